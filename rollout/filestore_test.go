package rollout_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// next seals r as the record behind last.
func next(t *testing.T, last, r journal.Record) journal.Record {
	t.Helper()
	r.Version, r.Seq, r.Time, r.Rollout = strategy.FormatVersion, last.Seq+1, time.Now(), last.Rollout
	if err := r.Seal(last.Sum); err != nil {
		t.Error(err)
	}
	return r
}

// reseal gives lines that were edited the checksums that go with them, so that
// another check has to catch the edit.
func reseal(t *testing.T, lines []string) []string {
	t.Helper()
	type unchecked journal.Record
	prev := ""
	for i, line := range lines {
		if line == "" {
			continue
		}
		var r journal.Record
		if err := json.Unmarshal([]byte(line), (*unchecked)(&r)); err != nil {
			t.Fatal(err)
		}
		if err := r.Seal(prev); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		lines[i], prev = string(b)+"\n", r.Sum
	}
	return lines
}

// intentOn makes the first write one of another thing.
func intentOn(t *testing.T, thing string) func([]string) []string {
	t.Helper()
	return func(l []string) []string {
		l[2] = strings.Replace(l[2], `"thing":"workers.min","value":0`, `"thing":"`+thing+`"`, 1)
		return reseal(t, l)
	}
}

// Journals that cannot be believed are refused, and nothing is written.
func TestJournalRefusals(t *testing.T) {
	for _, tt := range []struct {
		name  string
		edit  func(lines []string) []string
		want  error
		text  string
		shown string // of what Explain still renders
	}{
		{"damaged line", func(l []string) []string { l[1] = `{"v":2,"seq"` + l[1][12:20]; return l }, journal.ErrDamaged, "line 2", "planned"},
		{"flipped digit", func(l []string) []string { l[2] = strings.Replace(l[2], `"value":0`, `"value":7`, 1); return l }, journal.ErrDamaged, "line 3", "driven by"},
		{"flipped digit in the plan", func(l []string) []string {
			l[0] = strings.Replace(l[0], `"workers.max":3`, `"workers.max":7`, 1)
			return l
		}, journal.ErrDamaged, "line 1", "from line 1 on"},
		{"exchanged records", func(l []string) []string { l[2], l[3] = l[3], l[2]; return l }, journal.ErrDamaged, "line 3", "driven by"},
		{"a record of another journal", func(l []string) []string {
			l[2] = reseal(t, []string{l[2]})[0]
			return l
		}, journal.ErrDamaged, "line 3", "driven by"},
		{"taken for version 1", func(l []string) []string { l[1] = strings.Replace(l[1], `"v":2`, `"v":1`, 1); return l }, journal.ErrDamaged, "line 2", "planned"},
		{"lost line", func(l []string) []string { return append(l[:1], l[2:]...) }, journal.ErrDamaged, "line 2", "planned"},
		{"lost beginning", func(l []string) []string { return l[1:] }, journal.ErrDamaged, "line 1", "from line 1 on"},
		{"newer format", func(l []string) []string { l[1] = strings.Replace(l[1], `"v":2`, `"v":3`, 1); return l }, endpoint.ErrInvalid, "version 3", "planned"},
		{"other endpoint", func(l []string) []string {
			l[0] = strings.ReplaceAll(l[0], `"endpoint":"fake/workers"`, `"endpoint":"fake/other"`)
			return reseal(t, l)
		}, journal.ErrForeignJournal, "fake/other", "from line 1 on"},
		{"unknown kind", func(l []string) []string {
			l[1] = strings.Replace(l[1], `"kind":"claim"`, `"kind":"karma"`, 1)
			return reseal(t, l)
		}, journal.ErrDamaged, "karma", "planned"},
		{"write of no draft", intentOn(t, "draft"), journal.ErrDamaged, "draft", "driven by"},
		{"write of no snapshot", intentOn(t, "autoscaling"), journal.ErrDamaged, "autoscaling", "driven by"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := journal.NewFiles(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				fx := flushFixture()
				fx.OnMutation(func(n int, _ string) endpointtest.Fault {
					if n == 3 {
						return endpointtest.RunAfter(runtime.Goexit)
					}
					return endpointtest.Fault{}
				})
				if _, crashed, err := survive(func() (*rollout.Report, error) {
					return rollout.Run(t.Context(), s, fx, fx.strategy, fx.target)
				}); !crashed {
					t.Fatalf("the rollout did not crash: %v", err)
				}
				fx.OnMutation(nil)
				writes := len(fx.writes())
				b, err := os.ReadFile(s.Path(fx.Name()))
				if err != nil {
					t.Fatal(err)
				}
				lines := tt.edit(strings.SplitAfter(string(b), "\n"))
				bad := strings.Join(lines, "")
				if bad == string(b) {
					t.Fatal("the edit changed nothing")
				}
				if err := os.WriteFile(s.Path(fx.Name()), []byte(bad), 0o600); err != nil {
					t.Fatal(err)
				}
				_, err = rollout.Resume(t.Context(), s, fx)
				if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("Resume = %v\nwant it to be %v and to name %q", err, tt.want, tt.text)
				}
				if _, err := rollout.Run(t.Context(), s, fx, fx.strategy, fx.target); !errors.Is(err, tt.want) {
					t.Errorf("Run = %v, want %v", err, tt.want)
				}
				text, err := rollout.Explain(t.Context(), s, fx.Name())
				if !errors.Is(err, tt.want) || !strings.Contains(text, tt.shown) || !strings.Contains(text, "cannot be read whole") {
					t.Errorf("Explain = %s, %v\nwant it to show %q and to be %v", text, err, tt.shown, tt.want)
				}
				if n := len(fx.writes()); n != writes {
					t.Errorf("it wrote to the endpoint")
				}
			})
		})
	}
}

func TestHolderIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fx := flushFixture()
		store := journal.NewMemory()
		var second error
		fx.OnMutation(func(n int, _ string) endpointtest.Fault {
			if n == 1 {
				_, second = rollout.Run(t.Context(), store, fx, fx.strategy, fx.target)
			}
			return endpointtest.Fault{}
		})
		if _, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, rollout.WithOwner("deploy #41")); err != nil {
			t.Fatal(err)
		}
		if !errors.Is(second, endpoint.ErrBusy) || !strings.Contains(second.Error(), "deploy #41") {
			t.Errorf("the second rollout: %v; want it refused with the holder's name", second)
		}
	})
}

// failing is a store whose disk fills up at some record.
type failing struct {
	*journal.Memory
	from int
}

var errDiskFull = errors.New("no space left on device")

func (f *failing) Append(ctx context.Context, name string, r journal.Record) error {
	if r.Seq >= f.from {
		return errDiskFull
	}
	return f.Memory.Append(ctx, name, r)
}

// A journal that cannot be written stops the way forward, not the way back.
func TestStoreThatFails(t *testing.T) {
	for from := 1; from < 40; from++ {
		eachWay(t, func(t *testing.T, fx *fixture) {
			store := &failing{journal.NewMemory(), from}
			r, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target)
			switch {
			case r.Outcome == rollout.OutcomeRefused:
				if !errors.Is(err, errDiskFull) || len(fx.writes()) > 0 {
					t.Errorf("failing from record %d: %v, writes %v", from, err, fx.writes())
				}
			case r.Outcome == rollout.OutcomeSucceeded:
				if fx.artifact() != fx.goal {
					t.Errorf("failing from record %d: succeeded serving %s", from, fx.artifact())
				}
			default:
				fx.wantRolledBack(t, err, errDiskFull)
			}
			if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
				t.Errorf("failing from record %d: protective values (-before +after):\n%s", from, diff)
			}
			// What the journal holds is enough to be sure of it.
			store.from = 1 << 30
			if _, err := rollout.Resume(t.Context(), store, fx); err != nil && !errors.Is(err, rollout.ErrRolledBack) {
				t.Errorf("failing from record %d: resumed: %v", from, err)
			}
			if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
				t.Errorf("failing from record %d, resumed: protective values (-before +after):\n%s", from, diff)
			}
		})
	}
}

// deaf is a store whose answer to one append is lost: the record is there.
type deaf struct {
	*journal.Memory
	at int
}

func (d *deaf) Append(ctx context.Context, name string, r journal.Record) error {
	err := d.Memory.Append(ctx, name, r)
	if err == nil && r.Seq == d.at {
		return errDiskFull
	}
	return err
}

// A record whose append was answered with an error, and that is there, counts.
func TestStoreThatLosesAnAnswer(t *testing.T) {
	for at := 1; at < 40; at++ {
		eachWay(t, func(t *testing.T, fx *fixture) {
			r, err := rollout.Run(t.Context(), &deaf{journal.NewMemory(), at}, fx, fx.strategy, fx.target)
			if err != nil || r.Outcome != rollout.OutcomeSucceeded || fx.artifact() != fx.goal {
				t.Errorf("answer %d lost: %v, %v; serves %s", at, r, err, fx.artifact())
			}
		})
	}
}
