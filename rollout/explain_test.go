package rollout_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// wantExplained fails unless the timeline holds the parts, in this order.
func wantExplained(t *testing.T, store journal.Store, name string, parts ...string) {
	t.Helper()
	text, err := rollout.Explain(t.Context(), store, name)
	if err != nil {
		t.Fatal(err)
	}
	rest := text
	for _, p := range parts {
		_, after, ok := strings.Cut(rest, p)
		if !ok {
			t.Errorf("the timeline does not say %q, or not after what comes before:\n%s", p, text)
			continue
		}
		rest = after
	}
}

func TestExplainIncomplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fx, store := flushFixture(), journal.NewMemory()
		fx.FailOn(fx.goal, "image pull backoff")
		refused := false
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			if refused = refused || name == "update b"; refused && name == "set workers.max=3" {
				return endpointtest.Refuse(endpoint.ErrQuota)
			}
			return endpointtest.Fault{}
		})
		if _, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target); !errors.Is(err, rollout.ErrIncomplete) {
			t.Fatal(err)
		}
		wantExplained(t, store, fx.Name(),
			"the write is not in force: set workers.max=3", "turned back: restore workers.max",
			"restore workers.max: could not be done: set workers.max to 3 (",
			"stopped incomplete: ", "remains: set workers.max to 3 (", "next: resume: go on with ")
	})
}

func TestExplainDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fx, store := flushFixture(), journal.NewMemory()
		_, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, onCommit(func() {
			fx.Foreign(func(s *endpointtest.WorkersState) { s.Max = 7 })
		}))
		if err != nil {
			t.Fatal(err)
		}
		wantExplained(t, store, fx.Name(), "committed: from here on only forward",
			"found somebody else's change of workers.max: found 7, left alone", "ended succeeded", "next: nothing")
	})
}

// A rollout that died between two writes: what is next depends on how far it was.
func TestExplainNext(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   func(rollout.Event) bool
		next string
	}{
		{
			"forward", func(e rollout.Event) bool { return e.Kind == rollout.EventStep && e.Step == "await empty" },
			`next: resume: go back to template a (acme/sdxl:v1), or with the forward policy on with "await empty"`,
		},
		{
			"forward, writing", func(e rollout.Event) bool { return e.Kind == rollout.EventWrite && e.Step == "update" },
			"next: resume: find out whether revision=template b (acme/sdxl:v2) was written, then go back to template a (acme/sdxl:v1)",
		},
		{
			"committed", func(e rollout.Event) bool { return e.Kind == rollout.EventCommit },
			`next: resume: go on with "verify"`,
		},
		{
			"verified", func(e rollout.Event) bool { return e.Kind == rollout.EventDone && e.Step == "verify" && !e.Rollback },
			`next: resume: go on with "the end"`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fx, store := flushFixture(), journal.NewMemory()
				if _, crashed, err := survive(func() (*rollout.Report, error) {
					return rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, rollout.WithHook(func(e rollout.Event) {
						if tt.at(e) {
							runtime.Goexit()
						}
					}))
				}); !crashed {
					t.Fatalf("the rollout did not crash: %v", err)
				}
				wantExplained(t, store, fx.Name(), tt.next)
			})
		})
	}
	t.Run("back, writing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			fx, store := flushFixture(), journal.NewMemory()
			fx.FailOn(fx.goal, "crash loop")
			fx.crashAt(t, store, 6)
			wantExplained(t, store, fx.Name(), "turned back: await serving: ",
				"next: resume: find out whether revision=template a (acme/sdxl:v1) was written, then go on")
		})
	})
}

// Only the newest rollout is told.
func TestExplainTellsTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fx, store := flushFixture(), journal.NewMemory()
		for _, target := range []string{"b", "a"} {
			if _, err := rollout.Run(t.Context(), store, fx, strategy.InPlace{}, rollout.ToRevision(target)); err != nil {
				t.Fatal(err)
			}
		}
		text, err := rollout.Explain(t.Context(), store, fx.Name())
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(text, "planned: "); n != 1 || !strings.HasPrefix(text, "in-place of fake/workers: template b (acme/sdxl:v2) → template a (acme/sdxl:v1)\n") {
			t.Errorf("%d rollouts are told:\n%s", n, text)
		}
	})
}

// Whatever is in a journal's file, reading and explaining it does not panic,
// and changes nothing on the disk.
func FuzzJournalFile(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "v2", "journal-*.jsonl"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		lines := strings.SplitAfter(string(b), "\n")
		begun := `{"v":2,"seq":3,"time":"2000-01-01T00:00:09Z","rollout":"ROLLOUT",`
		f.Add(string(b))
		f.Add(strings.Join(lines[:2], "") + begun + `"kind":"rollback","error":"x"}` + "\n")
		f.Add(strings.Join(lines[:2], "") + begun + `"kind":"drift"}` + "\n")
		f.Add(strings.Join(lines[:2], "") + begun + `"kind":"intent"}` + "\n")
		f.Add(strings.Join(lines[:2], "") + begun + `"kind":"commit","step":"verify"}` + "\n")
		f.Add(strings.Join(lines[:2], "") + begun + `"kind":"stop","residue":["x"]}` + "\n")
	}
	f.Add("null\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content string) {
		store, err := journal.NewFiles(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"fake/workers", "fake/variants"} {
			path := store.Path(name)
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			records, err := store.Load(t.Context(), name)
			text, eerr := rollout.Explain(t.Context(), store, name)
			switch {
			case err != nil && eerr == nil:
				t.Errorf("Load refuses it (%v), Explain says:\n%s", err, text)
			case eerr == nil && text == "":
				t.Errorf("Explain says nothing of %d records", len(records))
			}
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(content, string(after)); diff != "" {
				t.Errorf("the journal was changed (-before +after):\n%s", diff)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("it left %v in the directory (%v)", left, err)
		}
	})
}
