package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
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

// On the way back, one write that is never answered does not starve the others.
func TestOneHangingWriteDoesNotStarveTheOthers(t *testing.T) {
	for _, hang := range []bool{false, true} {
		t.Run(fmt.Sprint("hang=", hang), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				fx := flushFixture()
				fx.FailOn(fx.goal, "image pull backoff")
				var updates atomic.Int32 // a call that was given up may still run
				fx.OnMutation(func(_ int, name string) endpointtest.Fault {
					if strings.HasPrefix(name, "update") {
						updates.Add(1)
						if name == "update b" {
							return endpointtest.RunAfter(func() {
								fx.FailOn(fx.goal, "image pull backoff")
							})
						}
						if hang {
							return endpointtest.RunBefore(func() { time.Sleep(61 * time.Second) })
						}
						return endpointtest.LostBefore()
					}
					if name == "set workers.max=3" && updates.Load() == 1 {
						return endpointtest.Refuse(endpoint.ErrInvalid) // forward restore fails, turn back
					}
					return endpointtest.Fault{}
				})
				store := journal.NewMemory()
				start := time.Now()
				r, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target)
				t.Logf("took %v, %d updates: %s %v", time.Since(start), updates.Load(), r.Outcome, err)
				if !errors.Is(err, rollout.ErrIncomplete) {
					t.Fatalf("want incomplete")
				}
				if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
					t.Errorf("bounds could be restored and were not (-before +after):\n%s", diff)
				}
				for _, c := range fx.Calls() {
					if c.Write > 0 && c.At.Sub(start) > 5*time.Minute && strings.HasPrefix(c.Name, "set") {
						return
					}
				}
				t.Error("the way back never tried workers.max")
			})
		})
	}
}

// An endpoint that was a worker short at the start is only rolled back once its source serves again.
func TestRolledBackMeansServing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
			Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 2, Max: 3,
		})
		ep.Foreign(func(s *endpointtest.WorkersState) { s.Min = 3 }) // the third one is starting
		ep.FailOn("acme/sdxl:v2", "image pull backoff")
		r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.FlushToZero{}, rollout.ToRevision("b"))
		if r.Outcome == rollout.OutcomeRefused {
			t.Fatal(err)
		}
		s := ep.Truth()
		up := 0
		for _, w := range s.Workers {
			if w.Up && w.Runs.ID == "a" {
				up++
			}
		}
		t.Logf("plan back: %v", r.Plan.Rollback)
		if r.Outcome == rollout.OutcomeRolledBack && up == 0 {
			t.Errorf("rolled back, but no worker serves the source; before, two did: %+v", s.Workers)
		}
	})
}

type lagging struct {
	*endpointtest.Workers
	old   endpoint.Status // before the rollout
	until time.Time       // reads may be old until then
	fresh int             // so many looks hit the other replica
}

func (l *lagging) Status(ctx context.Context) (endpoint.Status, error) {
	s, err := l.Workers.Status(ctx)
	if time.Now().Before(l.until) {
		if l.fresh > 0 {
			l.fresh--
			return s, err
		}
		return l.old, err
	}
	return s, err
}

func TestRolledBackIsNotReadFromThePast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		fx.strategy = strategy.InPlace{}
		l := &lagging{Workers: fx.Workers}
		l.old, _ = fx.Workers.Status(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			switch name {
			case "update b":
				return endpointtest.RunAfter(func() {
					// one replica lags 25s, less than the settle time; the next two looks hit the other one
					l.until, l.fresh = time.Now().Add(25*time.Second), 2
					fx.Foreign(func(s *endpointtest.WorkersState) { s.Workers = s.Workers[:0] }) // provider stops old workers at once
					cancel()
				})
			}
			return endpointtest.Fault{}
		})
		r, err := rollout.Run(ctx, journal.NewMemory(), l, fx.strategy, fx.target)
		up := 0
		for _, w := range fx.Truth().Workers {
			if w.Up && w.Runs.ID == "a" {
				up++
			}
		}
		t.Logf("%v", fx.writes())
		if r.Outcome == rollout.OutcomeRolledBack && up == 0 {
			t.Errorf("%v; but nothing serves the source: %+v", err, fx.Truth().Workers)
		}
	})
}

// One refused read on the way back is no reason to give it up.
func TestOneRefusedReadOnTheWayBack(t *testing.T) {
	for _, step := range []string{"await serving", "verify"} {
		bubble(t, func(t *testing.T) {
			fx := flushFixture()
			fx.FailOn(fx.goal, "image pull backoff")
			back, once := false, false
			fx.OnRead(func(int, string) endpointtest.Fault {
				if back && !once {
					once = true
					return endpointtest.Refuse(endpoint.ErrUnauthorized)
				}
				return endpointtest.Fault{}
			})
			_, err := rollout.Run(t.Context(), journal.NewMemory(), fx, fx.strategy, fx.target, rollout.WithHook(func(e rollout.Event) {
				if e.Rollback && e.Kind == rollout.EventStep && e.Step == step {
					back = true
				}
			}))
			if !errors.Is(err, rollout.ErrRolledBack) {
				t.Errorf("one 401 at %s: %v", step, err)
			}
		})
	}
}

// One refused read while an open write is looked for skips no step of the way back.
func TestRefusedReadSkipsNoStep(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		ctx, cancel := context.WithCancel(t.Context())
		armed := false
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name == "update b" {
				return endpointtest.RunAfter(func() { armed = true; cancel() })
			}
			return endpointtest.Fault{}
		})
		fx.OnRead(func(int, string) endpointtest.Fault {
			if armed {
				armed = false
				return endpointtest.Refuse(endpoint.ErrUnauthorized)
			}
			return endpointtest.Fault{}
		})
		r, err := rollout.Run(ctx, journal.NewMemory(), fx, fx.strategy, fx.target)
		if !errors.Is(err, rollout.ErrRolledBack) {
			t.Errorf("%s: %v\nwrites %v", r.Outcome, err, fx.writes())
		}
	})
}

// The quota is taken by somebody else while the bounds are down.
func TestRestoreRefusedByQuotaIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fx := flushFixture()
		taken := false
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name == "update b" {
				taken = true
			}
			if taken && name == "set workers.max=3" {
				return endpointtest.Refuse(endpoint.ErrQuota)
			}
			return endpointtest.Fault{}
		})
		store := journal.NewMemory()
		r, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target)
		if !errors.Is(err, rollout.ErrIncomplete) || r.Outcome != rollout.OutcomeIncomplete {
			t.Fatalf("Run = %s, %v; want it incomplete", r.Outcome, err)
		}
		if !slices.ContainsFunc(r.Residue, func(x rollout.Remainder) bool { return x.Remedy == "set workers.max to 3" }) {
			t.Errorf("residue %q does not name workers.max and its value", r.Residue)
		}
		if _, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target); !errors.Is(err, rollout.ErrUnfinished) {
			t.Errorf("a second rollout: %v, want %v", err, rollout.ErrUnfinished)
		}
		taken = false // the other party has given the quota back
		_, err = rollout.Resume(t.Context(), store, fx)
		fx.wantRolledBack(t, err, rollout.ErrRolledBack)
	})
}

// A broken revision must not keep its own replacement from being rolled back.
func TestBrokenSource(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		fx.Foreign(func(s *endpointtest.WorkersState) { s.Templates["a"] = "acme/sdxl:bad" })
		fx.FailOn("acme/sdxl:bad", "crash loop")
		time.Sleep(time.Hour)
		fx.FailOn(fx.goal, "also bad")
		_, err := fx.run(t.Context())
		fx.wantRolledBack(t, err, endpoint.ErrUnhealthy)
	})
}

type sickly struct {
	*endpointtest.Workers
	from *time.Time
}

func (f sickly) Status(ctx context.Context) (endpoint.Status, error) {
	s, err := f.Workers.Status(ctx)
	if !f.from.IsZero() && time.Since(*f.from) < 2*time.Minute {
		s.Phase, s.Serving, s.Pools = endpoint.PhaseDegraded, endpoint.Revision{}, []endpoint.Pool{{Unhealthy: 1}}
	}
	return s, err
}

func TestResumeSettlesAsPlanned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		fx.strategy = strategy.InPlace{}
		store := journal.NewMemory()
		fx.crashAt(t, store, 1, rollout.WithSettle(5*time.Minute))
		var now time.Time
		r, err := rollout.Resume(t.Context(), store, sickly{fx.Workers, &now}, rollout.WithForward(), rollout.WithHook(func(e rollout.Event) {
			if e.Kind == rollout.EventStep && e.Step == "await serving" {
				now = time.Now()
			}
		}))
		if err != nil {
			t.Errorf("the plan says to believe a bad sign after 5m: %s, %v", r.Outcome, err)
		}
	})
}

// What was staged and is not served is listed.
func TestStagedRevisionIsALeftover(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := newVariants()
		ep.FailOn("model-3", "no")
		n := len(ep.Truth().Revisions)
		r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.ScaleProtectedSwap{}, rollout.ToArtifact("model-3"))
		if made := len(ep.Truth().Revisions) - n; made > 0 && len(r.Leftovers) == 0 {
			t.Errorf("%d revision left behind, leftovers %q: %v", made, r.Leftovers, err)
		}
	})
}

// A step of the way back whose time is over before it is known what became of
// its write is done once more, after the others.
func TestAnotherRound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		var blind time.Time
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			switch {
			case name == "update b":
				return endpointtest.Refuse(endpoint.ErrInvalid)
			case name == "set workers.max=3" && blind.IsZero():
				blind = time.Now().Add(4 * time.Minute) // the step has three
				return endpointtest.LostBefore()
			}
			return endpointtest.Fault{}
		})
		fx.OnRead(func(int, string) endpointtest.Fault {
			if time.Now().Before(blind) {
				return endpointtest.Refuse(endpoint.ErrUnavailable)
			}
			return endpointtest.Fault{}
		})
		_, err := fx.run(t.Context())
		fx.wantRolledBack(t, err, endpoint.ErrInvalid)
	})
}

// A value that a read may show from before the rollout's own writes is no proof
// of the next one, whose answer was lost.
func TestOldValueIsNoProof(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		fx.FlickerReads(20 * time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		lost := false
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name != "set workers.max=3" || lost {
				return endpointtest.Fault{}
			}
			lost = true
			return endpointtest.LostBefore()
		})
		_, err := rollout.Run(ctx, journal.NewMemory(), fx, fx.strategy, fx.target, rollout.WithHook(func(e rollout.Event) {
			most := fx.Truth().Max
			switch {
			case e.Kind == rollout.EventDone && e.Step == "lower workers.max":
				cancel()
			case e.Kind == rollout.EventDone && e.Step == "restore workers.max" && most != 3:
				t.Errorf("%s is done, and it is %d", e.Step, most)
			}
		}))
		fx.wantRolledBack(t, err, context.Canceled)
	})
}
