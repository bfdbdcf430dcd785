package rollout_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// Plans and journals outlive the program that wrote them. The files in
// testdata/v1 were written by version 1 of the format and never change; those in
// testdata/v2 are of the present version, and UPDATE=1 rewrites them. Both have
// to be read.

var rolloutName = regexp.MustCompile(`20000101-0000\d\d-[0-9a-f]{6}`)

// golden compares got with a file, or writes the file.
func golden(t *testing.T, name string, got []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", "v2", name)
	got = rolloutName.ReplaceAll(got, []byte("ROLLOUT"))
	if os.Getenv("UPDATE") == "1" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-golden +got):\n%s", path, diff)
	}
	return want
}

func TestGoldenPlans(t *testing.T) {
	for _, sc := range scenarios() {
		if sc.fails {
			continue
		}
		t.Run(sc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, err := rollout.Preview(t.Context(), sc.world().ep, sc.strategy, sc.target, sc.opts...)
				if err != nil {
					t.Fatal(err)
				}
				got, err := json.MarshalIndent(p, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				file := regexp.MustCompile(`\W+`).ReplaceAllString(sc.name, "-")
				want := golden(t, "plan-"+file+".json", append(got, '\n'))
				golden(t, "plan-"+file+".txt", []byte(p.String()))
				read, err := strategy.DecodePlan(want)
				if err != nil {
					t.Fatalf("the golden plan cannot be read: %v", err)
				}
				again, err := json.MarshalIndent(read, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), string(again)+"\n"); diff != "" {
					t.Errorf("round trip (-golden +written again):\n%s", diff)
				}
			})
		})
	}
}

// A journal of either version, left by a crash, is finished by this one.
func TestGoldenJournals(t *testing.T) {
	for _, version := range []string{"v1", "v2"} {
		for _, sc := range scenarios() {
			if _, split := sc.strategy.(strategy.CanaryByWeight); split && version == "v1" {
				t.Logf("SKIPPED: version 1 had no %s", sc.name)
				continue
			}
			if !sc.fails {
				t.Run(version+"/"+sc.name, func(t *testing.T) { finishGolden(t, version, sc) })
			}
		}
	}
}

func finishGolden(t *testing.T, version string, sc scenario) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		store, err := journal.NewFiles(dir)
		if err != nil {
			t.Fatal(err)
		}
		w := sc.world()
		before := w.ep.Protective()
		w.ep.OnMutation(func(n int, _ string) endpointtest.Fault {
			if n == 2 || slices.Contains([]string{"in-place", "in-place by image", "in-place, probe"}, sc.name) {
				return endpointtest.RunAfter(runtime.Goexit)
			}
			return endpointtest.Fault{}
		})
		_, crashed, _ := survive(func() (*rollout.Report, error) {
			return rollout.Run(t.Context(), store, w.ep, sc.strategy, sc.target, append(sc.opts, rollout.WithOwner("ci"),
				rollout.WithSchedule(waiter.Every(5*time.Second)))...)
		})
		if !crashed {
			t.Fatal("the rollout did not crash")
		}
		w.ep.OnMutation(nil)
		path := store.Path(w.ep.Name())
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		file := "journal-" + regexp.MustCompile(`\W+`).ReplaceAllString(sc.name, "-") + ".jsonl"
		lines := strings.SplitAfter(string(rolloutName.ReplaceAll(got, []byte("ROLLOUT"))), "\n")
		content := golden(t, file, []byte(strings.Join(reseal(t, lines), "")))
		if version == "v1" {
			if content, err = os.ReadFile(filepath.Join("testdata", version, file)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		report, err := rollout.Resume(t.Context(), store, w.ep, sc.opts...)
		if report == nil || report.Outcome != rollout.OutcomeRolledBack || !errors.Is(err, rollout.ErrRolledBack) {
			t.Fatalf("Resume = %v, %v", report, err)
		}
		if diff := cmp.Diff(before, w.ep.Protective()); diff != "" {
			t.Errorf("protective values (-before +after):\n%s", diff)
		}
	})
}

// A plan of version 1 means the same today.
func TestPlansOfVersion1(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "v1", "plan-*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			read := func(path string) *strategy.Plan {
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				p, err := strategy.DecodePlan(b)
				if err != nil {
					t.Fatal(err)
				}
				for _, list := range [][]strategy.Step{p.Forward, p.Rollback} {
					for i := range list {
						list[i].Name = "" // some are named after their action
					}
				}
				p.Notes = nil
				return p
			}
			v1, v2 := read(file), read(filepath.Join("testdata", "v2", filepath.Base(file)))
			for _, list := range [][]strategy.Step{v1.Forward, v1.Rollback} {
				list[len(list)-1].Timeout += time.Minute // today's verify has the time of one more call
				if list[0].Do == strategy.ActionStage {
					list[0].Timeout += 30 * time.Minute // and a staging that of a wait
				}
			}
			if diff := cmp.Diff(v2, v1); diff != "" {
				t.Errorf("plan (-version 2 +version 1):\n%s", diff)
			}
		})
	}
}

func TestDecodePlanRefuses(t *testing.T) {
	good, err := os.ReadFile(filepath.Join("testdata", "v2", "plan-flush-to-zero.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string][2]string{
		"newer format":     {`"version": 2`, `"version": 3`},
		"no version":       {`"version": 2`, `"version": 0`},
		"no commit":        {`"do": "commit"`, `"do": "bake", "timeout": 1`},
		"unknown action":   {`"do": "await"`, `"do": "hope"`},
		"unknown state":    {`"until": "empty"`, `"until": "lucky"`},
		"negative value":   {`"value": 3`, `"value": -3`},
		"no timeout":       {`"do": "verify",`, `"do": "verify", "timeout": 0, "x":`},
		"same name twice":  {`"name": "await empty"`, `"name": "update"`},
		"ends without end": {`"do": "verify"`, `"do": "drain"`},
		"not JSON":         {`{`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			bad := bytes.Replace(good, []byte(edit[0]), []byte(edit[1]), 1)
			if bytes.Equal(bad, good) {
				t.Fatalf("%q is not in the plan", edit[0])
			}
			if p, err := strategy.DecodePlan(bad); err == nil {
				t.Errorf("DecodePlan = %v, want an error", p)
			}
		})
	}
}

func FuzzDecodePlan(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "v[12]", "plan-*.json"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := strategy.DecodePlan(b)
		if err != nil {
			return
		}
		_ = p.String()
		if again, err := json.Marshal(p); err != nil {
			t.Errorf("a plan that was read cannot be written: %v", err)
		} else if _, err := strategy.DecodePlan(again); err != nil {
			t.Errorf("a plan that was written cannot be read: %v", err)
		}
	})
}
