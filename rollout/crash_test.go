package rollout_test

import (
	"context"
	"errors"
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
)

// survive calls f on a goroutine of its own, and reports whether it died on the
// way: [runtime.Goexit] is what a process that dies does here.
func survive(f func() (*rollout.Report, error)) (report *rollout.Report, crashed bool, err error) {
	crashed = true
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		report, err = f()
		crashed = false
	}()
	<-ended
	return report, crashed, err
}

// unlocked is a store without a lock, as one over a network would be: nobody
// can know whether the driver before is dead.
type unlocked struct{ m *journal.Memory }

func (u unlocked) Load(ctx context.Context, name string) ([]journal.Record, error) {
	return u.m.Load(ctx, name)
}

func (u unlocked) Append(ctx context.Context, name string, r journal.Record) error {
	return u.m.Append(ctx, name, r)
}

// crashAt runs a rollout that dies at its nth write, after it was applied.
func (fx *fixture) crashAt(t *testing.T, store journal.Store, n int, opts ...rollout.Option) {
	t.Helper()
	fx.OnMutation(func(i int, _ string) endpointtest.Fault {
		if i == n {
			return endpointtest.RunAfter(runtime.Goexit)
		}
		return endpointtest.Fault{}
	})
	if _, crashed, err := survive(func() (*rollout.Report, error) {
		return rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, opts...)
	}); !crashed {
		t.Fatalf("the rollout did not crash: %v", err)
	}
	fx.OnMutation(nil)
}

// Once a rollout has turned back, no policy makes it go forward again.
func TestTurnedBackStaysBack(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := journal.NewMemory()
		forward := map[string]int{"in-place": 1, "flush-to-zero": 5, "alternating-template": 2}[fx.strategy.String()]
		veto := gate("approval", func(context.Context, endpoint.Status) error { return errors.New("not today") })
		fx.crashAt(t, store, forward+1, veto)
		allow := gate("approval", func(context.Context, endpoint.Status) error { return nil })
		_, err := rollout.Resume(t.Context(), store, fx, rollout.WithForward(), allow)
		fx.wantRolledBack(t, err, rollout.ErrRolledBack)
		if !strings.Contains(err.Error(), "not today") {
			t.Errorf("error %q does not say why it went back", err)
		}
	})
}

// After the commit point a resume only goes forward.
func TestCommittedStaysForward(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := journal.NewMemory()
		_, crashed, _ := survive(func() (*rollout.Report, error) {
			return rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, rollout.WithHook(func(e rollout.Event) {
				if e.Kind == rollout.EventCommit {
					runtime.Goexit()
				}
			}))
		})
		if !crashed {
			t.Fatal("the rollout did not crash")
		}
		r, err := rollout.Resume(t.Context(), store, fx)
		if err != nil || r.Outcome != rollout.OutcomeSucceeded || fx.artifact() != fx.goal {
			t.Errorf("Resume = %v, %v; serves %s", r, err, fx.artifact())
		}
	})
}

// A write whose answer was lost is looked for, and made once.
func TestLostAnswersAreNotRepeated(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		fx.StaleReads(20 * time.Second)
		fx.OnMutation(func(int, string) endpointtest.Fault { return endpointtest.LostAfter() })
		if _, err := fx.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		seen := map[string]int{}
		for _, name := range fx.writes() {
			if seen[name]++; seen[name] > 1 {
				t.Errorf("%s was sent again; writes: %v", name, fx.writes())
			}
		}
	})
}

// A value of ours that turns up during the verification is set right; one that
// turns up for a moment is waited out.
func TestLateValues(t *testing.T) {
	for name, tt := range map[string]struct {
		step string
		max  int
		stay time.Duration // 0 for good
	}{
		"our own zero during verification":   {"verify", 0, 0},
		"a third party's for ten seconds":    {"lower workers.max", 9, 10 * time.Second},
		"a third party's, at the very end":   {"verify", 9, 10 * time.Second},
		"a third party's, while it restores": {"restore workers.max", 9, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fx := flushFixture()
				r, err := rollout.Run(t.Context(), journal.NewMemory(), fx, fx.strategy, fx.target, rollout.WithHook(func(e rollout.Event) {
					if e.Kind != rollout.EventStep || e.Step != tt.step {
						return
					}
					was := fx.Truth().Max
					fx.Foreign(func(s *endpointtest.WorkersState) { s.Max = tt.max })
					if tt.stay > 0 {
						fx.At(time.Now().Add(tt.stay), func(s *endpointtest.WorkersState) { s.Max = was })
					}
				}))
				if err != nil || len(r.Drift) > 0 {
					t.Errorf("Run: %v, drift %v", err, r.Drift)
				}
				if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
					t.Errorf("protective values (-before +after):\n%s", diff)
				}
			})
		})
	}
}

// Advance is what Resume is made of: any engine can drive a rollout with it.
func TestAdvanceDrives(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := journal.NewMemory()
		fx.crashAt(t, store, 1)
		opts := []rollout.Option{rollout.WithOwner("workflow 7"), rollout.WithForward()}
		r, err := rollout.Attach(t.Context(), store, fx, opts...)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for range 500 {
			before := len(fx.Calls())
			start := time.Now()
			next, report, err := r.Advance(t.Context())
			made := fx.Calls()[before:]
			if len(made) > 2 || len(made) == 2 && made[1].Write == 0 || time.Since(start) > 0 {
				t.Fatalf("one call of Advance made the calls %v and took %v", made, time.Since(start))
			}
			if !next.IsZero() {
				time.Sleep(time.Until(next))
				continue
			}
			if err != nil || report.Outcome != rollout.OutcomeSucceeded || fx.artifact() != fx.goal {
				t.Errorf("Advance ended %v, %v, serves %s", report, err, fx.artifact())
			}
			if _, report, err := r.Advance(t.Context()); err != nil || report.Outcome != rollout.OutcomeSucceeded {
				t.Errorf("Advance after the end = %v, %v", report, err)
			}
			return
		}
		t.Error("the rollout does not end")
	})
}

func TestExplain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fx := flushFixture()
		store := journal.NewMemory()
		explain := func() string {
			t.Helper()
			text, err := rollout.Explain(t.Context(), store, fx.Name())
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		want := func(parts ...string) {
			t.Helper()
			for _, p := range parts {
				if text := explain(); !strings.Contains(text, p) {
					t.Errorf("Explain does not say %q:\n%s", p, text)
				}
			}
		}
		want("the journal is empty")
		fx.crashAt(t, store, 3, rollout.WithOwner("ci job 12"))
		want("driven by ci job 12", "update: about to write revision=template b (acme/sdxl:v2)",
			"next: resume: find out whether revision=template b (acme/sdxl:v2) was written, then go back to template a")
		if _, err := rollout.Resume(t.Context(), store, fx); !errors.Is(err, rollout.ErrRolledBack) {
			t.Fatal(err)
		}
		want("turned back: it was interrupted before its commit point", "ended rolled back", "next: nothing, the rollout has ended rolled back")
	})
}

// A resume looks for the write that nobody saw the answer of before it makes
// it again, however late reads are, and if a late one follows one in time.
func TestResumeDoesNotRepeat(t *testing.T) {
	for name, lag := range map[string]func(*fixture, time.Duration){
		"stale":   func(fx *fixture, d time.Duration) { fx.StaleReads(d) },
		"flicker": func(fx *fixture, d time.Duration) { fx.FlickerReads(d) },
	} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, fx *fixture) {
				lag(fx, 20*time.Second)
				store := journal.NewMemory()
				last := map[string]int{"in-place": 1, "flush-to-zero": 3, "alternating-template": 2}[fx.strategy.String()]
				fx.crashAt(t, store, last)
				r, err := rollout.Resume(t.Context(), store, fx, rollout.WithForward())
				if err != nil || r.Outcome != rollout.OutcomeSucceeded {
					t.Fatalf("Resume = %v, %v", r, err)
				}
				sent := map[string]int{}
				for _, name := range fx.writes() {
					if sent[name]++; sent[name] > 1 {
						t.Errorf("%s was sent again; writes: %v", name, fx.writes())
					}
				}
			})
		})
	}
}
