package rollouttest_test

import (
	"context"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/internal/sampled"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/rollout/rollouttest"
	"github.com/changeover-dev/changeover/strategy"
)

var explorations = map[string]rollouttest.Exploration{
	"in-place": {Strategy: strategy.InPlace{}, Options: []rollout.Option{rollout.WithBake(2 * time.Second)}},
	"in-place, checked and approved": {Strategy: strategy.InPlace{}, Options: []rollout.Option{
		rollout.WithCheck(strategy.Check{Name: "errors", Interval: 10 * time.Second}, nothingWrong{}),
		rollout.WithApproval(strategy.Approval{Name: "lead", Expires: 40 * time.Second}),
	}, Faults: 1},
	"flush-to-zero":        {Strategy: strategy.FlushToZero{Drain: 5 * time.Second}, Faults: 1},
	"alternating-template": {Strategy: strategy.AlternatingTemplate{Templates: [2]string{"a", "b"}}, Target: rollout.ToArtifact("acme/sdxl:v9")},
	"scale-protected":      {Strategy: strategy.ScaleProtectedSwap{Prescale: 2}, Scaled: true, Faults: 1},
	"canary-by-weight": {Strategy: strategy.CanaryByWeight{Steps: []strategy.TrafficStep{
		{Percent: 5, Soak: 2 * time.Second}, {Percent: 50, Approval: strategy.Approval{Name: "half", Expires: 40 * time.Second}},
	}}, Split: true, Options: []rollout.Option{rollout.WithCheck(strategy.Check{Name: "errors", Interval: 10 * time.Second}, nothingWrong{})}, Faults: 1},
	"in-place, scaled": {Strategy: strategy.InPlace{}, Scaled: true},
}

func TestExplore(t *testing.T) {
	var total rollouttest.Explored
	for name, e := range explorations {
		t.Run(name, func(t *testing.T) {
			if !sampled.All() {
				e.Faults = 1
			}
			x := rollouttest.Explore(t, e)
			t.Log(x)
			total.States += x.States
			total.Transitions += x.Transitions
			total.Elapsed += x.Elapsed
		})
	}
	t.Logf("explored %s", total)
}

// nothingWrong is a check that passes. An exploration asks none: it lets each one
// pass, fail and not know.
type nothingWrong struct{}

func (nothingWrong) Check(context.Context, rollout.Sample) (rollout.Verdict, error) {
	return rollout.Verdict{Result: rollout.ResultPass}, nil
}
