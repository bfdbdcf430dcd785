package rollout_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// resetting makes each update give workers.max the value 1, as a provider may.
func resetting() *fixture {
	fx := flushFixture()
	fx.OnMutation(func(_ int, name string) endpointtest.Fault {
		if !strings.HasPrefix(name, "update ") {
			return endpointtest.Fault{}
		}
		return endpointtest.RunAfter(func() { fx.Foreign(func(s *endpointtest.WorkersState) { s.Max = 1 }) })
	})
	return fx
}

// A value that the strategy says the update resets is set right, on either way. Of
// one that it does not speak of nobody knows whose it is: it is drift.
func TestStrategySaysWhatTheUpdateResets(t *testing.T) {
	resets := own(func(_ strategy.Facts, p *strategy.Plan) { p.ResetTo = map[string][]int{endpoint.WorkersMax: {1}} })
	for name, tt := range map[string]struct {
		strategy strategy.Strategy
		fails    bool
		max      int
		drift    int
	}{
		"told":               {resets, false, 3, 0},
		"told, rolled back":  {resets, true, 3, 0},
		"not told":           {strategy.InPlace{}, false, 1, 1},
		"not told, and back": {strategy.InPlace{}, true, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fx := resetting()
				if tt.fails {
					fx.FailOn(fx.goal, "image pull backoff")
				}
				report, err := rollout.Run(t.Context(), journal.NewMemory(), fx, tt.strategy, fx.target)
				if tt.fails != errors.Is(err, rollout.ErrRolledBack) || !tt.fails && err != nil {
					t.Errorf("Run = %v", err)
				}
				if got := fx.Truth().Max; got != tt.max || len(report.Drift) != tt.drift {
					t.Errorf("workers.max is %d, want %d; drift %v, want %d", got, tt.max, report.Drift, tt.drift)
				}
			})
		})
	}
}

// The values that a strategy adds are put beside those that the provider names.
func TestStrategyAddsToWhatTheProviderResets(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const key = "variant/shadow/instances"
		u := resettingVariants{newVariants()}
		p, err := rollout.Preview(t.Context(), u, own(func(_ strategy.Facts, p *strategy.Plan) {
			p.ResetTo = map[string][]int{key: {4}}
		}), rollout.ToRevision("c2"))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.ResetTo[key]; !slices.Equal(got, []int{2, 4}) {
			t.Errorf("the update may reset %s to %v, want the provider's 2 and the strategy's 4", key, got)
		}
	})
}

// resettingVariants says of itself that an update resets a count.
type resettingVariants struct{ *endpointtest.Variants }

func (u resettingVariants) SnapshotAutoscaling(ctx context.Context, c endpoint.Change) (endpoint.AutoscalingSnapshot, error) {
	s, err := u.Variants.SnapshotAutoscaling(ctx, c)
	s.ResetTo = map[string][]int{"variant/shadow/instances": {2}}
	return s, err
}
