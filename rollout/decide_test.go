package rollout_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// held runs a rollout that waits for an approval until the test decides.
func (fx *fixture) held(t *testing.T, store journal.Store, a strategy.Approval) (wait func() (*rollout.Report, error)) {
	t.Helper()
	type end struct {
		report *rollout.Report
		err    error
	}
	done := make(chan end, 1)
	go func() {
		r, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, rollout.WithApproval(a))
		done <- end{r, err}
	}()
	time.Sleep(30 * time.Minute) // it holds by then
	return func() (*rollout.Report, error) {
		e := <-done
		return e.report, e.err
	}
}

var go4h = strategy.Approval{Name: "go", Expires: 4 * time.Hour}

func TestApproval(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := unlocked{journal.NewMemory()}
		wait := fx.held(t, store, go4h)
		began := time.Now()
		if err := rollout.Decide(t.Context(), store, fx.Name(), rollout.Decision{Verb: rollout.Approve, By: "anna"}); err != nil {
			t.Fatal(err)
		}
		// The same once more is no error, and another one is told that it is too late.
		if err := rollout.Decide(t.Context(), store, fx.Name(), rollout.Decision{Verb: rollout.Approve, Approval: "go", By: "ben"}); err != nil {
			t.Errorf("the same decision again: %v", err)
		}
		err := rollout.Decide(t.Context(), store, fx.Name(), rollout.Decision{Verb: rollout.Reject, By: "ben"})
		if !errors.Is(err, rollout.ErrDecided) || !strings.Contains(err.Error(), "approve go by anna") {
			t.Errorf("the other decision = %v", err)
		}
		r, err := wait()
		if err != nil || r.Outcome != rollout.OutcomeSucceeded || fx.artifact() != fx.goal {
			t.Errorf("Run = %v, %v", r, err)
		}
		if took := time.Since(began); took > 2*time.Minute {
			t.Errorf("the decision took %v to have an effect", took)
		}
		text, err := rollout.Explain(t.Context(), store, fx.Name())
		if err != nil || !strings.Contains(text, "decided: approve go by anna") {
			t.Errorf("Explain = %v\n%s", err, text)
		}
	})
}

func TestRejectAbortAndExpiry(t *testing.T) {
	decide := func(d rollout.Decision) func(t *testing.T, store journal.Store, name string) {
		return func(t *testing.T, store journal.Store, name string) {
			t.Helper()
			if err := rollout.Decide(t.Context(), store, name, d); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tt := range map[string]struct {
		approval strategy.Approval
		decide   func(t *testing.T, store journal.Store, name string)
		err      error
		text     string
	}{
		"reject":               {go4h, decide(rollout.Decision{Verb: rollout.Reject, Approval: "go", By: "anna", Reason: "too slow"}), rollout.ErrRejected, "reject go by anna: too slow"},
		"abort":                {go4h, decide(rollout.Decision{Verb: rollout.Abort, By: "anna"}), rollout.ErrRejected, "abort by anna"},
		"expires, and is back": {go4h, nil, rollout.ErrExpired, `"go" was not decided in 4h0m0s`},
		"expires, and goes on": {strategy.Approval{Name: "go", Expires: time.Hour, Then: strategy.ExpiryContinue}, nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, fx *fixture) {
				store := unlocked{journal.NewMemory()}
				wait := fx.held(t, store, tt.approval)
				if tt.decide != nil {
					tt.decide(t, store, fx.Name())
				}
				_, err := wait()
				if tt.err == nil {
					if err != nil || fx.artifact() != fx.goal {
						t.Errorf("Run = %v", err)
					}
					return
				}
				fx.wantRolledBack(t, err, tt.err)
				if !strings.Contains(err.Error(), tt.text) {
					t.Errorf("error %q does not say %q", err, tt.text)
				}
			})
		})
	}
}

// The runner dies while it waits; the decision is made meanwhile; a resume
// goes on with it.
func TestDecisionWhileNobodyRuns(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := unlocked{journal.NewMemory()}
		r, err := rollout.Begin(t.Context(), store, fx, fx.strategy, fx.target, rollout.WithApproval(go4h))
		if err != nil {
			t.Fatal(err)
		}
		for began := time.Now(); time.Since(began) < 30*time.Minute; {
			next, _, err := r.Advance(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Until(next))
		}
		r.Close()
		if err := rollout.Decide(t.Context(), store, fx.Name(), rollout.Decision{Verb: rollout.Approve, By: "anna"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Hour)
		report, err := rollout.Resume(t.Context(), store, fx, rollout.WithForward())
		if err != nil || report.Outcome != rollout.OutcomeSucceeded || fx.artifact() != fx.goal {
			t.Errorf("Resume = %v, %v", report, err)
		}
	})
}

// A rollout that waits for a person sees the target break.
func TestTargetBreaksWhileAPersonIsWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		store := unlocked{journal.NewMemory()}
		wait := fx.held(t, store, go4h)
		fx.Foreign(func(s *endpointtest.WorkersState) {
			for i := range s.Workers {
				s.Workers[i].Up, s.Workers[i].Unhealthy = false, true
			}
		})
		began := time.Now()
		_, err := wait()
		fx.wantRolledBack(t, err, endpoint.ErrUnhealthy)
		if took := time.Since(began); took > time.Hour {
			t.Errorf("it took %v to go back", took)
		}
	})
}

func TestSkipBake(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := unlocked{journal.NewMemory()}
		done := make(chan error, 1)
		began := time.Now()
		go func() {
			_, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, rollout.WithBake(100*time.Hour))
			done <- err
		}()
		time.Sleep(time.Hour)
		if err := rollout.Decide(t.Context(), store, fx.Name(), rollout.Decision{Verb: rollout.SkipBake, By: "anna"}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil || time.Since(began) > 2*time.Hour {
			t.Errorf("Run = %v after %v", err, time.Since(began))
		}
	})
}

func TestDecisionsThatAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		store := unlocked{journal.NewMemory()}
		refused := func(d rollout.Decision, want error, text string) {
			t.Helper()
			if err := rollout.Decide(t.Context(), store, fx.Name(), d); !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
				t.Errorf("%+v: %v, want %v and %q", d, err, want, text)
			}
		}
		refused(rollout.Decision{Verb: rollout.Approve, By: "anna"}, rollout.ErrNothingToDecide, "no rollout is in progress")
		wait := fx.held(t, store, go4h)
		refused(rollout.Decision{Verb: rollout.Approve}, endpoint.ErrInvalid, "who decided")
		refused(rollout.Decision{Verb: "sing", By: "anna"}, endpoint.ErrInvalid, `"sing"`)
		refused(rollout.Decision{Verb: rollout.Approve, Approval: "other", By: "anna"}, rollout.ErrNothingToDecide, "pending: go")
		refused(rollout.Decision{Verb: rollout.SkipBake, By: "anna"}, rollout.ErrNothingToDecide, "in no bake")
		if err := rollout.Decide(t.Context(), store, fx.Name(), rollout.Decision{Verb: rollout.Approve, By: "anna"}); err != nil {
			t.Fatal(err)
		}
		if _, err := wait(); err != nil {
			t.Error(err)
		}
		refused(rollout.Decision{Verb: rollout.Abort, By: "anna"}, rollout.ErrNothingToDecide, "no rollout is in progress")
	})
}

func TestFreeze(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		until := time.Now().Add(48 * time.Hour)
		freeze := rollout.WithFreeze(func(time.Time) (time.Time, string) { return until, "the quarter ends" })
		_, err := fx.run(t.Context(), freeze)
		if !errors.Is(err, rollout.ErrFrozen) || !strings.Contains(err.Error(), "the quarter ends") || len(fx.writes()) > 0 {
			t.Errorf("Run = %v, writes %v", err, fx.writes())
		}
		r, err := fx.run(t.Context(), freeze, rollout.WithFreezeOverride("INC-7"))
		if err != nil || !strings.Contains(r.Plan.String(), "a freeze window is overridden: INC-7") {
			t.Errorf("Run = %v, %v", r, err)
		}
	})
}

// A freeze window does not keep a rollback from running.
func TestFreezeDoesNotStopARollback(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := journal.NewMemory()
		fx.crashAt(t, store, 1)
		_, err := rollout.Resume(t.Context(), store, fx,
			rollout.WithFreeze(func(now time.Time) (time.Time, string) { return now.Add(time.Hour), "no" }))
		fx.wantRolledBack(t, err, rollout.ErrRolledBack)
	})
}
