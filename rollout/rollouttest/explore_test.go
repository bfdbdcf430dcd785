package rollouttest_test

import (
	"testing"
	"time"

	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/rollout/rollouttest"
	"github.com/changeover-dev/changeover/strategy"
)

var explorations = map[string]rollouttest.Exploration{
	"in-place":             {Strategy: strategy.InPlace{}, Options: []rollout.Option{rollout.WithBake(2 * time.Second)}},
	"flush-to-zero":        {Strategy: strategy.FlushToZero{Drain: 5 * time.Second}},
	"alternating-template": {Strategy: strategy.AlternatingTemplate{Templates: [2]string{"a", "b"}}, Target: rollout.ToArtifact("acme/sdxl:v9")},
	"scale-protected":      {Strategy: strategy.ScaleProtectedSwap{Prescale: 2}, Scaled: true},
	"in-place, scaled":     {Strategy: strategy.InPlace{}, Scaled: true},
}

func TestExplore(t *testing.T) {
	var total rollouttest.Explored
	for name, e := range explorations {
		t.Run(name, func(t *testing.T) {
			if e.Faults = 2; testing.Short() {
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
