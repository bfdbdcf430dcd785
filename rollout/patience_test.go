package rollout_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// awaited is how long the way forward waited for the target.
func (fx *fixture) awaited(t *testing.T) time.Duration {
	t.Helper()
	var began time.Time
	for _, e := range fx.events {
		switch {
		case e.Rollback || e.Step != "await serving":
		case e.Kind == rollout.EventStep:
			began = e.Time
		case e.Kind == rollout.EventDone, e.Kind == rollout.EventFail:
			return e.Time.Sub(began)
		}
	}
	t.Fatal("the rollout did not wait for its target")
	return 0
}

// Time without capacity does not count against a step, up to a bound of its own.
func TestCapacityHasAClockOfItsOwn(t *testing.T) {
	const patience = 5 * time.Minute
	for name, tt := range map[string]struct {
		lacks, capacity time.Duration
		stalls          bool
		gap             time.Duration // between looks
		least, most     time.Duration // of the wait
		says            string        // why it failed; "" if it did not
	}{
		"soon there":            {2 * time.Minute, time.Hour, false, 5 * time.Second, 2 * time.Minute, 5 * time.Minute, ""},
		"later than the step":   {20 * time.Minute, time.Hour, false, 5 * time.Second, 20 * time.Minute, 23 * time.Minute, ""},
		"later than its bound":  {20 * time.Minute, 10 * time.Minute, false, 5 * time.Second, 15 * time.Minute, 15 * time.Minute, "10m0s that it waited for the provider's capacity"},
		"seldom looked at":      {30 * time.Minute, 10 * time.Minute, false, 4 * time.Minute, 15 * time.Minute, 15 * time.Minute, "10m0s that it waited for the provider's capacity"},
		"nothing apart":         {20 * time.Minute, 0, false, 5 * time.Second, 5 * time.Minute, 5 * time.Minute, "longer than 5m0s"},
		"and then never starts": {20 * time.Minute, time.Hour, true, 5 * time.Second, 24*time.Minute + 30*time.Second, 25 * time.Minute, "that it waited for the provider's capacity"},
		"never starts":          {0, time.Hour, true, 5 * time.Second, 5 * time.Minute, 5 * time.Minute, "longer than 5m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, fx *fixture) {
				if _, flush := fx.strategy.(strategy.FlushToZero); flush && tt.gap > time.Minute {
					t.Skip("SKIPPED: two looks that see no worker would take longer than the patience of this test")
				}
				if tt.stalls {
					fx.StallOn(fx.goal)
				}
				fx.OnMutation(func(_ int, what string) endpointtest.Fault {
					if what == "update b" {
						fx.Foreign(func(s *endpointtest.WorkersState) { s.NoCapacity = time.Now().Add(tt.lacks) })
					}
					return endpointtest.Fault{}
				})
				_, err := fx.run(t.Context(), rollout.WithInterval(tt.gap), rollout.WithStepTimeout(patience), rollout.WithCapacityTimeout(tt.capacity))
				if took := fx.awaited(t); took < tt.least || took > tt.most {
					t.Errorf("waited for %v, want %v to %v", took, tt.least, tt.most)
				}
				if tt.says == "" {
					if err != nil || fx.artifact() != fx.goal {
						t.Errorf("Run = %v, serves %s", err, fx.artifact())
					}
					return
				}
				if !errors.Is(err, rollout.ErrStepTimeout) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("error %q does not say %q", err, tt.says)
				}
				fx.wantAsBefore(t) // even where the way back finds no capacity either
			})
		})
	}
}

// A lack of capacity excuses nothing else.
func TestCapacityDoesNotExcuseFailures(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		fx.FailOn(fx.goal, "image pull backoff")
		fx.At(time.Now().Add(4*time.Minute), func(s *endpointtest.WorkersState) {
			s.NoCapacity = time.Now().Add(10 * time.Hour)
			s.Min = 2 // the second worker is the one that waits for it
		})
		_, err := fx.run(t.Context(), rollout.WithInterval(5*time.Second))
		if !strings.Contains(err.Error(), "image pull backoff") {
			t.Errorf("Run = %v, want it to fail for the image", err)
		}
		if took := fx.awaited(t); took > 10*time.Minute {
			t.Errorf("waited for %v", took)
		}
	})
}

// A rolling release that leaves a worker behind names it, and the strategy that
// would not. What fails for another reason does not.
func TestNotConverged(t *testing.T) {
	stuck := func(fx *fixture) {
		fx.Foreign(func(s *endpointtest.WorkersState) { s.Workers[0].Stuck = true })
	}
	for name, tt := range map[string]struct {
		spoil func(*fixture)
		opts  []rollout.Option
		want  bool
	}{
		"a worker stays":                 {stuck, []rollout.Option{rollout.WithStepTimeout(10 * time.Minute)}, true},
		"a worker stays until the limit": {stuck, []rollout.Option{rollout.WithTimeout(10 * time.Minute)}, true},
		"no worker comes up":             {func(fx *fixture) { fx.StallOn(fx.goal) }, []rollout.Option{rollout.WithStepTimeout(10 * time.Minute)}, false},
		"workers fail":                   {func(fx *fixture) { fx.FailOn(fx.goal, "") }, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, fx *fixture) {
				tt.spoil(fx)
				_, err := fx.run(t.Context(), append(tt.opts, rollout.WithInterval(5*time.Second))...)
				// A flush that a worker survives is told as that: there is nothing left to advise.
				_, flush := fx.strategy.(strategy.FlushToZero)
				if got := errors.Is(err, rollout.ErrNotConverged); got != (tt.want && !flush) {
					t.Errorf("Run = %v; says that it did not converge: %t", err, got)
				}
				if tt.want && !flush && (!strings.Contains(err.Error(), "1 of 1 workers stayed;") || !strings.Contains(err.Error(), "flush-to-zero")) {
					t.Errorf("error %q does not say who stayed and what would replace them", err)
				}
				if got := fx.Truth().Live; got != "a" {
					t.Errorf("serves template %s, want a", got)
				}
			})
		})
	}
}

// A flush that a worker of the old revision outlives is not advised to flush.
func TestFlushIsNotAdvisedToFlush(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		old := fx.Truth().Workers[0]
		old.ID, old.Stuck = "w99", true
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name == "update b" {
				return endpointtest.RunAfter(func() {
					fx.Foreign(func(s *endpointtest.WorkersState) { s.Workers = append(s.Workers, old) })
				})
			}
			return endpointtest.Fault{}
		})
		_, err := fx.run(t.Context(), rollout.WithStepTimeout(10*time.Minute), rollout.WithInterval(5*time.Second))
		if !errors.Is(err, rollout.ErrStepTimeout) || errors.Is(err, rollout.ErrNotConverged) {
			t.Errorf("Run = %v, want its time over, and no advice", err)
		}
	})
}

// A way back that lacks capacity has the time for that which a step has.
func TestWayBackWaitsForCapacity(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			switch name {
			case "update b":
				return endpointtest.Refuse(endpoint.ErrInvalid)
			case "set workers.min=1":
				fx.Foreign(func(s *endpointtest.WorkersState) { s.NoCapacity = time.Now().Add(85 * time.Minute) })
			}
			return endpointtest.Fault{}
		})
		_, err := fx.run(t.Context(), rollout.WithCapacityTimeout(2*time.Hour))
		fx.wantRolledBack(t, err, endpoint.ErrInvalid)
	})
}
