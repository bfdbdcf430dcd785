package rollout_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// A cancelled context at every look and every write.
func TestCancelledAnywhere(t *testing.T) {
	for at := 1; ; at++ {
		reached := false
		eachWay(t, func(t *testing.T, fx *fixture) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			why := errors.New("the deploy was cancelled")
			looks := 0
			fx.OnRead(func(n int, _ string) endpointtest.Fault {
				if looks = n; n != at {
					return endpointtest.Fault{}
				}
				reached = true
				return endpointtest.RunBefore(func() { cancel(why) })
			})
			r, err := fx.run(ctx)
			switch {
			case looks < at:
				return // the rollout was over before
			case r.Outcome == rollout.OutcomeRefused:
				if !errors.Is(err, why) || len(fx.writes()) > 0 {
					t.Errorf("cancelled at look %d before the start: error %v, writes %v", at, err, fx.writes())
				}
			case r.Outcome == rollout.OutcomeSucceeded:
				// Cancelled after the commit point: what is left is done.
				if err != nil || fx.artifact() != fx.goal {
					t.Errorf("cancelled at look %d: %v, serves %s", at, err, fx.artifact())
				}
			default:
				fx.wantRolledBack(t, err, why)
			}
		})
		if !reached {
			t.Logf("cancelled at %d looks", at-1)
			return
		}
	}
}

func TestDoneContextChangesNothing(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := fx.run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v, want %v", err, context.Canceled)
		}
		if calls := fx.Calls(); len(calls) > 0 {
			t.Errorf("it called %v", calls)
		}
	})
}

func TestDetachAndResume(t *testing.T) {
	for name, opts := range map[string][]rollout.Option{"back": nil, "forward": {rollout.WithForward()}} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, fx *fixture) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				fx.OnMutation(func(_ int, name string) endpointtest.Fault {
					if name == "update b" {
						return endpointtest.RunAfter(cancel)
					}
					return endpointtest.Fault{}
				})
				store := journal.NewMemory()
				r, err := rollout.Run(ctx, store, fx, fx.strategy, fx.target, rollout.WithDetach())
				if !errors.Is(err, rollout.ErrDetached) || r.Outcome != rollout.OutcomeDetached {
					t.Fatalf("Run = %s, %v; want it detached", r.Outcome, err)
				}
				if n := len(fx.writes()); fx.writes()[n-1] != "update b" {
					t.Errorf("it went on to write %v", fx.writes())
				}
				fx.OnMutation(nil)
				r, err = rollout.Resume(t.Context(), store, fx, opts...)
				if name == "back" {
					fx.wantRolledBack(t, err, rollout.ErrRolledBack)
					return
				}
				if err != nil || r.Outcome != rollout.OutcomeSucceeded || fx.artifact() != fx.goal {
					t.Errorf("Resume = %s, %v; serves %s", r.Outcome, err, fx.artifact())
				}
			})
		})
	}
}

func TestAbandonStopsTheWayBack(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		ctx, cancel := context.WithCancel(t.Context())
		abandon := make(chan struct{})
		fx.FailOn(fx.goal, "crash loop")
		updates := 0
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			if strings.HasPrefix(name, "update") {
				if updates++; updates == 1 {
					return endpointtest.RunAfter(cancel)
				}
				close(abandon)
				return endpointtest.LostBefore()
			}
			return endpointtest.Fault{}
		})
		store := journal.NewMemory()
		start := time.Now()
		_, err := rollout.Run(ctx, store, fx, fx.strategy, fx.target, rollout.WithHardStop(abandon))
		if !errors.Is(err, rollout.ErrIncomplete) || !errors.Is(err, rollout.ErrHardStop) {
			t.Errorf("Run = %v, want it incomplete and abandoned", err)
		}
		if took := time.Since(start); took > 3*time.Minute {
			t.Errorf("it went on for %v", took)
		}
		fx.OnMutation(nil)
		_, err = rollout.Resume(t.Context(), store, fx)
		fx.wantRolledBack(t, err, rollout.ErrRolledBack)
	})
}

// An abandoned way back still says why the rollout failed.
func TestAbandonedSaysWhy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		fx.FailOn(fx.goal, "image pull backoff")
		abandon := make(chan struct{})
		turned := false
		r, err := rollout.Run(t.Context(), journal.NewMemory(), fx, fx.strategy, fx.target, rollout.WithHardStop(abandon),
			rollout.WithHook(func(e rollout.Event) {
				if e.Kind == rollout.EventRollback {
					turned = true
				}
				if turned && e.Kind == rollout.EventPoll && e.Step == "await serving" {
					select {
					case <-abandon:
					default:
						close(abandon)
					}
				}
			}))
		if !errors.Is(err, endpoint.ErrUnhealthy) || !strings.Contains(err.Error(), "image pull backoff") {
			t.Errorf("%s: the error does not say why the rollout failed: %v", r.Outcome, err)
		}
	})
}

func TestAbandonedBeforehandWritesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		abandon := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		n := -1
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name == "set workers.max=0" {
				return endpointtest.RunAfter(func() { close(abandon); cancel(); n = 0 })
			}
			if n >= 0 {
				n++
			}
			return endpointtest.Fault{}
		})
		looks := 0
		fx.OnRead(func(int, string) endpointtest.Fault {
			if n >= 0 {
				looks++
			}
			return endpointtest.Fault{}
		})
		_, err := rollout.Run(ctx, journal.NewMemory(), fx, fx.strategy, fx.target, rollout.WithHardStop(abandon))
		if n > 0 || looks > 0 {
			t.Errorf("%d writes, %d reads after it was abandoned: %v", n, looks, err)
		}
	})
}
