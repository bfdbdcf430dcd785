package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// mortal is an endpoint that is deleted after so many writes, and may be made again
// under its name.
type mortal struct {
	*endpointtest.Workers
	after int  // how many writes it lives for
	again bool // another one is made in its place
	sent  int  // writes to what came after
}

func (m *mortal) dead() bool {
	n := 0
	for _, c := range m.Calls() {
		if c.Write > 0 {
			n++
		}
	}
	return n >= m.after
}

func (m *mortal) Status(ctx context.Context) (endpoint.Status, error) {
	s, err := m.Workers.Status(ctx)
	s.Identity = "made on Monday"
	switch dead := m.dead(); {
	case dead && m.again:
		s.Identity = "made on Tuesday"
	case dead:
		return endpoint.Status{}, fmt.Errorf("no such endpoint: %w", endpoint.ErrNotFound)
	}
	return s, err
}

func (m *mortal) Set(ctx context.Context, key string, value int) error {
	if m.dead() {
		m.sent++
	}
	return m.Workers.Set(ctx, key, value)
}

func (m *mortal) Update(ctx context.Context, c endpoint.Change) error {
	if m.dead() {
		m.sent++
	}
	return m.Workers.Update(ctx, c)
}

// An endpoint that is deleted in the middle, or made again under its name, is told
// as such within a minute or so, is never written to, and its rollout can be
// closed, listing what was not restored.
func TestGoneEndpointIsToldAndClosed(t *testing.T) {
	for _, again := range []bool{false, true} {
		for after := 1; after <= 5; after++ {
			t.Run(fmt.Sprintf("made again %t/after %d writes", again, after), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					fx, store := flushFixture(), journal.NewMemory()
					ep := &mortal{Workers: fx.Workers, after: after, again: again}
					var died time.Time
					fx.OnMutation(func(n int, _ string) endpointtest.Fault {
						if n == after {
							died = time.Now()
						}
						return endpointtest.Fault{}
					})
					r, err := rollout.Run(t.Context(), store, ep, fx.strategy, fx.target)
					if !errors.Is(err, rollout.ErrGone) || errors.Is(err, rollout.ErrRolledBack) || r.Outcome != rollout.OutcomeGone || len(r.Residue) == 0 {
						t.Fatalf("Run = %v\nwant it gone, with what remains", err)
					}
					if took := time.Since(died); took > 75*time.Second || ep.sent > 0 {
						t.Errorf("it took %v, and %d writes were sent", took, ep.sent)
					}
					began := time.Now()
					_, err = rollout.Resume(t.Context(), store, ep)
					want := rollout.ErrGone
					if again { // it may be that the resume is made in another account
						want = endpoint.ErrInvalid
					}
					if took := time.Since(began); !errors.Is(err, want) || !strings.Contains(err.Error(), "abandon") || took > 75*time.Second || ep.sent > 0 {
						t.Errorf("Resume = %v after %v, %d writes", err, took, ep.sent)
					}
					r, err = rollout.Abandon(t.Context(), store, fx.Name(), "deleted by ops")
					if err != nil || r.Outcome != rollout.OutcomeAbandoned || !strings.Contains(fmt.Sprint(r.Residue), "set workers.min to 1") {
						t.Errorf("Abandon = %v, remaining %q", err, r.Residue)
					}
					if r, err := rollout.Resume(t.Context(), store, ep); err != nil || r.Outcome != rollout.OutcomeNothing {
						t.Errorf("Resume = %v, %v after it was abandoned", r, err)
					}
					wantExplained(t, store, fx.Name(), "ended abandoned: deleted by ops")
				})
			})
		}
	}
}

// A read that finds nothing for a moment is no deletion.
func TestMomentWithoutEndpointIsWaitedOut(t *testing.T) {
	for at, reached := 5, true; reached; at++ {
		bubble(t, func(t *testing.T) {
			fx := flushFixture()
			reached = false
			fx.OnRead(func(n int, name string) endpointtest.Fault {
				if name != "status" || n < at || n > at+1 {
					return endpointtest.Fault{}
				}
				reached = true
				return endpointtest.Refuse(endpoint.ErrNotFound)
			})
			r, err := rollout.Run(t.Context(), journal.NewMemory(), fx, fx.strategy, fx.target)
			if !errors.Is(err, rollout.ErrRefused) && (err != nil || r.Outcome != rollout.OutcomeSucceeded) { // it had begun
				t.Errorf("reads %d and %d: Run = %v", at, at+1, err)
			}
		})
	}
}

// A rollout is abandoned by a person with a reason, and not while its runner lives.
func TestAbandonRefuses(t *testing.T) {
	for name, store := range map[string]func() journal.Store{
		"lock":  func() journal.Store { return journal.NewMemory() },
		"lease": func() journal.Store { m := journal.NewMemory(); return leased{m, m} },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				fx, store := flushFixture(), store()
				var live error
				fx.OnMutation(func(n int, _ string) endpointtest.Fault {
					if n == 2 {
						_, live = rollout.Abandon(t.Context(), store, fx.Name(), "in a hurry")
					}
					return endpointtest.Fault{}
				})
				if r, err := rollout.Abandon(t.Context(), store, fx.Name(), "none"); err != nil || r.Outcome != rollout.OutcomeNothing {
					t.Errorf("Abandon of nothing = %v, %v", r, err)
				}
				if _, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, rollout.WithOwner("deploy #41")); err != nil {
					t.Errorf("Run = %v", err)
				}
				if !errors.Is(live, endpoint.ErrBusy) || !strings.Contains(live.Error(), "deploy #41") {
					t.Errorf("Abandon beside a live runner = %v, want %v with its name", live, endpoint.ErrBusy)
				}
				if _, err := rollout.Abandon(t.Context(), store, fx.Name(), ""); !errors.Is(err, endpoint.ErrInvalid) {
					t.Errorf("Abandon without a reason = %v", err)
				}
			})
		})
	}
}

// leased is a store that tells a dead runner by its heartbeats only.
type leased struct {
	journal.Store
	journal.Heartbeater
}

// An operator who pauses the endpoint in the middle is found within a minute or
// so: nothing waits half an hour for workers, the pause is kept, and the rollout
// is over.
func TestPausedInTheMiddle(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := journal.NewMemory()
		var paused time.Time
		r, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, rollout.WithHook(func(e rollout.Event) {
			if e.Kind == rollout.EventStep && e.Step == "await serving" && paused.IsZero() {
				paused = time.Now().Add(time.Minute)
				fx.At(paused, func(s *endpointtest.WorkersState) { s.Min, s.Max = 0, 0 })
			}
		}))
		took := time.Since(paused)
		if !errors.Is(err, rollout.ErrRolledBack) || !errors.Is(err, endpoint.ErrPaused) {
			t.Fatalf("Run = %v, drift %v; want it rolled back, since it was paused", err, r.Drift)
		}
		if took > 5*time.Minute {
			t.Errorf("it took %v", took)
		}
		if fx.strategy.String() == (strategy.FlushToZero{}).String() { // whose rollback cannot tell it from its own flush
			fx.wantAsBefore(t)
			return
		}
		if len(r.Drift) != 2 {
			t.Fatalf("drift %v", r.Drift)
		}
		if s := fx.Truth(); s.Min != 0 || s.Max != 0 || s.Live != "a" {
			t.Errorf("min %d, max %d, serving %s; want the pause kept", s.Min, s.Max, s.Live)
		}
		if diff := cmp.Diff(journal.Drift{Thing: endpoint.WorkersMax, Want: "3", Found: "0"}, r.Drift[0]); diff != "" {
			t.Errorf("drift (-want +got):\n%s", diff)
		}
	})
}

// A second runner is refused by the first one's name from the moment that the
// first one has the lock.
func TestHolderIsNamedBeforeThePlan(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx, store := flushFixture(), journal.NewMemory()
		refused := 0
		fx.OnRead(func(int, string) endpointtest.Fault {
			_, err := rollout.Resume(t.Context(), store, fx)
			if !errors.Is(err, endpoint.ErrBusy) || !strings.Contains(err.Error(), "deploy #41") {
				t.Errorf("the second runner: %v; want it refused with the holder's name", err)
			}
			refused++
			return endpointtest.Fault{}
		})
		if _, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, rollout.WithOwner("deploy #41")); err != nil || refused < 10 {
			t.Errorf("Run = %v, %d refused", err, refused)
		}
	})
}
