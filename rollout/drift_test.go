package rollout_test

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// Somebody else changes a value in the middle: theirs stays, ours is undone.
func TestForeignBounds(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		changed := false
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name != "update b" || changed {
				return endpointtest.Fault{}
			}
			changed = true
			return endpointtest.RunAfter(func() {
				fx.Foreign(func(s *endpointtest.WorkersState) { s.Max = 7 })
			})
		})
		r, err := fx.run(t.Context())
		if err != nil || r.Outcome != rollout.OutcomeSucceeded {
			t.Fatalf("Run = %v, %v", r.Outcome, err)
		}
		want := []journal.Drift{{Thing: "workers.max", Want: "3", Found: "7"}}
		if diff := cmp.Diff(want, r.Drift); diff != "" {
			t.Errorf("drift (-want +got):\n%s", diff)
		}
		if s := fx.Truth(); s.Max != 7 || s.Min != 1 || fx.artifact() != fx.goal {
			t.Errorf("ended at min %d, max %d, serving %s", s.Min, s.Max, fx.artifact())
		}
	})
}

func TestForeignRevisionIsNotRolledOver(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		fx.Foreign(func(s *endpointtest.WorkersState) { s.Templates["c"] = "acme/sdxl:v9" })
		changed := false
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name != "update b" || changed {
				return endpointtest.Fault{}
			}
			changed = true
			return endpointtest.RunAfter(func() {
				fx.Foreign(func(s *endpointtest.WorkersState) { s.Live = "c" })
			})
		})
		r, err := fx.run(t.Context())
		if !errors.Is(err, rollout.ErrSuperseded) || r.Outcome != rollout.OutcomeSuperseded {
			t.Errorf("Run = %s, %v; want it superseded", r.Outcome, err)
		}
		if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
			t.Errorf("protective values (-before +after):\n%s", diff)
		}
		if got := fx.Truth().Live; got != "c" {
			t.Errorf("serves %s: the third party's choice was overwritten", got)
		}
	})
}

// A foreign value under an open intent is left alone by a resume after the commit point, too.
func TestDriftFoundByAResumeAfterTheCommit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := newVariants()
		ep.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name == "restore main" {
				return endpointtest.RunAfter(runtime.Goexit)
			}
			return endpointtest.Fault{}
		})
		store := journal.NewMemory()
		_, crashed, err := survive(func() (*rollout.Report, error) {
			return rollout.Run(t.Context(), store, ep, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"))
		})
		if !crashed {
			t.Fatal(err)
		}
		ep.OnMutation(nil)
		ep.Foreign(func(s *endpointtest.VariantsState) {
			target := s.Targets["main"]
			target.Max = 9
			s.Targets["main"] = target
		})
		r, err := rollout.Resume(t.Context(), store, ep)
		if err != nil {
			t.Errorf("Resume = %s, %v; want it succeeded with drift noted", r.Outcome, err)
			r, err = rollout.Resume(t.Context(), store, ep)
			t.Logf("second Resume = %s, %v, drift %v", r.Outcome, err, r.Drift)
		}
	})
}

// A foreign write just before the start, which reads do not show yet, is not overwritten.
func TestLateReadAtTheStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
			Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 0, Max: 3,
		})
		fx := &fixture{Workers: ep, way: ways()[1], before: ep.Protective()}
		fx.StaleReads(25 * time.Second) // less than the settle time
		fx.Foreign(func(s *endpointtest.WorkersState) { s.Max = 7 })
		r, err := rollout.Run(t.Context(), journal.NewMemory(), fx, fx.strategy, fx.target)
		if got := fx.Truth().Max; got != 7 {
			t.Errorf("%s, %v, drift %v: somebody's max=7 became %d", r.Outcome, err, r.Drift, got)
		}
	})
}

// Somebody else goes to the target before the rollout does, and it does not
// come up: that is theirs, and everything of ours is undone.
func TestSomebodyElseGoesToTheTarget(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		fx.FailOn("acme/sdxl:v2", "image pull backoff")
		r, err := rollout.Run(t.Context(), journal.NewMemory(), fx, fx.strategy, fx.target, rollout.WithHook(func(e rollout.Event) {
			if e.Kind == rollout.EventStep && e.Step == "lower workers.max" {
				fx.Foreign(func(s *endpointtest.WorkersState) { s.Live = "b" })
			}
		}))
		if r.Outcome != rollout.OutcomeSuperseded || !errors.Is(err, rollout.ErrSuperseded) {
			t.Errorf("Run = %s, %v, want it %s", r.Outcome, err, rollout.OutcomeSuperseded)
		}
		if len(r.Drift) != 1 || r.Drift[0].Thing != "revision" {
			t.Errorf("drift %v, want the revision", r.Drift)
		}
		if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" || fx.Truth().Live != "b" {
			t.Errorf("serves %s; protective values (-before +after):\n%s", fx.Truth().Live, diff)
		}
	})
}

// A value of somebody else's that is there just after ours was written, and
// gone in a moment, is waited out.
func TestMomentAfterTheWrite(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name != "set workers.max=0" {
				return endpointtest.Fault{}
			}
			return endpointtest.RunAfter(func() {
				fx.Foreign(func(s *endpointtest.WorkersState) { s.Max = 9 })
				fx.At(time.Now().Add(10*time.Second), func(s *endpointtest.WorkersState) { s.Max = 0 })
			})
		})
		r, err := fx.run(t.Context())
		if err != nil || len(r.Drift) > 0 {
			t.Errorf("Run: %v, drift %v", err, r.Drift)
		}
		if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
			t.Errorf("protective values (-before +after):\n%s", diff)
		}
	})
}

// One look may be a late one: the end is seen twice.
func TestChangeThatEveryOtherReadShows(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		r, err := rollout.Run(t.Context(), journal.NewMemory(), fx, fx.strategy, fx.target, onCommit(func() {
			fx.FlickerReads(20 * time.Second)
			fx.Foreign(func(s *endpointtest.WorkersState) { s.Max = 9 })
		}))
		if err != nil || len(r.Drift) != 1 || r.Drift[0].Thing != endpoint.WorkersMax {
			t.Errorf("Run: %v, drift %v, want it of %s", err, r.Drift, endpoint.WorkersMax)
		}
	})
}
