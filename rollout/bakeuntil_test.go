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
	"github.com/changeover-dev/changeover/strategy"
)

// shrinking has less than its capacity, or none that proves anything, from a time on.
type shrinking struct {
	*endpointtest.Workers
	to func(s *endpoint.Status)
}

func (f *shrinking) Status(ctx context.Context) (endpoint.Status, error) {
	s, err := f.Workers.Status(ctx)
	if f.to != nil && err == nil {
		f.to(&s)
	}
	return s, err
}

// A bake watches for what its step asks: by default a healthy target, and less or
// more where a strategy says so.
func TestBakeUntil(t *testing.T) {
	scaling := func(s *endpoint.Status) {
		s.Phase, s.Pools = endpoint.PhaseScaling, []endpoint.Pool{{Ready: 1, Starting: 1}}
	}
	idle := func(s *endpoint.Status) {
		s.Phase, s.Pools, s.Serving = endpoint.PhaseReady, []endpoint.Pool{{}}, endpoint.Revision{}
	}
	for _, tt := range []struct {
		name  string
		until strategy.Condition
		to    func(s *endpoint.Status)
		holds bool
	}{
		{"less than its capacity, by default", "", scaling, false},
		{"less than its capacity, running", strategy.UntilRunning, scaling, true},
		{"nothing runs, by default", "", idle, true},
		{"nothing runs, serving", strategy.UntilServing, idle, false},
		{"nothing runs, running", strategy.UntilRunning, idle, false},
		{"nothing runs, accepted", strategy.UntilAccepted, idle, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := &shrinking{Workers: flushFixture().Workers}
				baked := own(func(_ strategy.Facts, p *strategy.Plan) {
					for i, s := range p.Forward {
						if s.Do == strategy.ActionBake {
							p.Forward[i].Until, p.Forward[i].Timeout = tt.until, 20*time.Minute
						}
					}
				})
				r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, baked, rollout.ToRevision("b"), rollout.WithBake(5*time.Minute),
					rollout.WithHook(func(e rollout.Event) {
						switch {
						case e.Kind == rollout.EventStep && e.Step == "bake":
							ep.to = tt.to
						case e.Kind == rollout.EventDone && e.Step == "bake", e.Kind == rollout.EventFail:
							ep.to = nil
						}
					}))
				if text := r.Plan.String(); tt.until != "" && !strings.Contains(text, "bake for 5m0s, while "+string(tt.until)+"  (at most") {
					t.Errorf("the plan does not say what has to hold:\n%s", text)
				}
				if tt.holds != (err == nil) || !tt.holds && !errors.Is(err, rollout.ErrStepTimeout) {
					t.Errorf("Run = %v, want it to hold: %t", err, tt.holds)
				}
			})
		})
	}
}
