package rollout_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

func record(seq int) journal.Record {
	return journal.Record{
		Version: strategy.FormatVersion, Seq: seq, Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Rollout: "r",
		Kind: journal.KindFailed, Error: "line one\nline two",
	}
}

// Two processes without the lock append at the same moment: one of them wins.
func TestFilesAppendAtOnce(t *testing.T) {
	dir := t.TempDir()
	for seq := 1; seq <= 20; seq++ {
		errs := make(chan error)
		for range 4 {
			s, err := journal.NewFiles(dir)
			if err != nil {
				t.Fatal(err)
			}
			go func() { errs <- s.Append(t.Context(), "e", record(seq)) }()
		}
		won := 0
		for range 4 {
			switch err := <-errs; {
			case err == nil:
				won++
			case !errors.Is(err, journal.ErrConflict):
				t.Error(err)
			}
		}
		if won != 1 {
			t.Fatalf("record %d was appended %d times", seq, won)
		}
	}
}

// A process that is stopped in the middle of an append holds its lock for as
// long as it is. That is no reason to wait for ever.
func TestFilesAppendHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := journal.NewFiles(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		held := flock.New(store.Path("fake/prod") + ".append")
		if ok, err := held.TryLock(); !ok || err != nil {
			t.Fatal(ok, err)
		}
		defer func() { _ = held.Unlock() }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		err = store.Append(ctx, "fake/prod", journal.Record{Seq: 1})
		if !errors.Is(err, endpoint.ErrBusy) || ctx.Err() != nil {
			t.Errorf("Append = %v, want ErrBusy", err)
		}
	})
}

func TestTornLastLine(t *testing.T) {
	dir := t.TempDir()
	s, err := journal.NewFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), "e", record(1)); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(s.Path("e"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"v":2,"seq":2,"kind":"inte`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load(t.Context(), "e"); err != nil || len(got) != 1 {
		t.Fatalf("Load = %v, %v; want the one whole record", got, err)
	}
	if err := s.Append(t.Context(), "e", record(2)); err != nil {
		t.Fatal(err)
	}
	got, err := s.Load(t.Context(), "e")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]journal.Record{record(1), record(2)}, got); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
}

func TestUnusableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", file, filepath.Join(file, "below")} {
		if _, err := journal.NewFiles(dir); err == nil {
			t.Errorf("NewFiles(%q) succeeded", dir)
		}
	}
}

// intentOn makes the first write one of another thing.
func intentOn(thing string) func([]string) []string {
	return func(l []string) []string {
		l[2] = strings.Replace(l[2], `"thing":"workers.min","value":0`, `"thing":"`+thing+`"`, 1)
		return l
	}
}

// Journals that cannot be believed are refused, and nothing is written.
func TestJournalRefusals(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(lines []string) []string
		want error
		text string
	}{
		{"damaged line", func(l []string) []string { l[1] = `{"v":2,"seq"` + l[1][12:20]; return l }, journal.ErrDamaged, "line 2"},
		{"lost line", func(l []string) []string { return append(l[:1], l[2:]...) }, journal.ErrDamaged, "record 2"},
		{"lost beginning", func(l []string) []string { return l[1:] }, journal.ErrDamaged, "record 1"},
		{"newer format", func(l []string) []string { l[1] = strings.Replace(l[1], `"v":2`, `"v":3`, 1); return l }, endpoint.ErrInvalid, "version 3"},
		{"other endpoint", func(l []string) []string {
			l[0] = strings.ReplaceAll(l[0], `"endpoint":"fake/workers"`, `"endpoint":"fake/other"`)
			return l
		}, journal.ErrForeignJournal, "fake/other"},
		{"unknown kind", func(l []string) []string {
			l[1] = strings.Replace(l[1], `"kind":"claim"`, `"kind":"karma"`, 1)
			return l
		}, journal.ErrDamaged, "karma"},
		{"write of no draft", intentOn("draft"), journal.ErrDamaged, "draft"},
		{"write of no snapshot", intentOn("autoscaling"), journal.ErrDamaged, "autoscaling"},
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
						return endpointtest.RunAfter(func() { panic(crash{}) })
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
				if _, err := rollout.Explain(t.Context(), s, fx.Name()); !errors.Is(err, tt.want) {
					t.Errorf("Explain = %v, want %v", err, tt.want)
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
			case r == nil:
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
			if _, err := rollout.Resume(t.Context(), store, fx); err != nil && !errors.Is(err, endpoint.ErrRolledBack) {
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
