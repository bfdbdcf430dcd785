package sagemakertest

import (
	"fmt"
	"math"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

// stage is one step of a job. What it brings about is so when it is over.
type stage struct {
	status types.VariantStatus
	took   time.Duration
	text   string // with a %d for a number of instances
	share  float64
	then   levels
	final  bool // from its beginning on it is not rolled back
}

// count is a share of n instances.
func count(share float64, n int32) int32 { return int32(math.Ceil(share*float64(n) - 1e-9)) }

// blueGreen makes the stages of a deployment with a second fleet.
func (a *account) blueGreen(p *types.BlueGreenUpdatePolicy, n int32) []stage {
	b := a.behaviour
	up := levels{fresh: 1, old: 1}
	stages := []stage{{status: types.VariantStatusCreating, took: b.launch(), text: "Launching %d instance(s).", share: 1, then: up}}
	move := func(to float64, kind string, wait time.Duration, name string) {
		up.traffic = min(1, to)
		stages = append(stages, stage{
			status: types.VariantStatusActivatingTraffic, took: b.shift(), share: up.traffic, then: up,
			text: "Activating traffic on " + kind + " capacity of %d instance(s).",
		})
		if wait > 0 {
			stages = append(stages, stage{
				status: types.VariantStatusBaking, took: wait, share: up.traffic, then: up,
				text: fmt.Sprintf("Baking for %d seconds (%s) with traffic enabled on %s capacity of %%d instance(s).", int(wait.Seconds()), name, kind),
			})
		}
	}
	var end time.Duration
	if p != nil {
		end = seconds(p.TerminationWaitInSeconds)
		r := p.TrafficRoutingConfiguration
		wait := seconds(r.WaitIntervalInSeconds)
		switch r.Type {
		case types.TrafficRoutingConfigTypeCanary:
			move(share(r.CanarySize, n), "canary", wait, "WaitIntervalInSeconds")
		case types.TrafficRoutingConfigTypeLinear:
			for i, step := 1, share(r.LinearStepSize, n); ; i++ {
				to := float64(i) * step
				if to >= 1-1e-9 {
					move(1, "linear", wait, "WaitIntervalInSeconds")
					break
				}
				move(to, "linear", wait, "WaitIntervalInSeconds")
			}
		case types.TrafficRoutingConfigTypeAllAtOnce:
		}
	}
	if up.traffic < 1 {
		move(1, "full", end, "TerminationWaitInSeconds")
	} else if end > 0 {
		stages = append(stages, stage{
			status: types.VariantStatusBaking, took: end, share: 1, then: up,
			text: fmt.Sprintf("Baking for %d seconds (TerminationWaitInSeconds) with traffic enabled on full capacity of %%d instance(s).", int(end.Seconds())),
		})
	}
	return append(stages, stage{
		status: types.VariantStatusDeleting, took: b.terminate(), text: "Terminating %d instance(s).", share: 1,
		then: levels{fresh: 1, traffic: 1}, final: true,
	})
}

// batches makes the stages that move a fleet of n instances from one side to
// the other by steps of a share of it, beginning where at is.
func (a *account) batches(at levels, step float64, wait time.Duration, back bool) []stage {
	b := a.behaviour
	var stages []stage
	add := func(s types.VariantStatus, took time.Duration, text string, share float64) {
		if took > 0 {
			stages = append(stages, stage{status: s, took: took, text: text, share: share, then: at})
		}
	}
	from, to := &at.old, &at.fresh
	if back {
		from, to = to, from
	}
	// A batch whose instances did not come up leaves nothing to put back.
	for *from > 1e-9 {
		part := min(step, *from)
		if missing := min(part, 1-*to); missing > 1e-9 {
			*to += missing
			add(types.VariantStatusCreating, b.launch(), "Launching %d instance(s).", missing)
		}
		at.traffic = at.fresh
		if back {
			at.traffic = max(0, at.fresh-part)
		}
		add(types.VariantStatusActivatingTraffic, b.shift(), "Activating traffic on batch capacity of %d instance(s).", part)
		if wait > 0 {
			add(types.VariantStatusBaking, wait, fmt.Sprintf(
				"Baking for %d seconds (WaitIntervalInSeconds) with traffic enabled on batch capacity of %%d instance(s).", int(wait.Seconds())), part)
		}
		*from -= part
		add(types.VariantStatusDeleting, b.terminate(), "Terminating %d instance(s).", part)
	}
	return stages
}

// share is a capacity size as a share of n instances, at least one of them.
func share(c *types.CapacitySize, n int32) float64 {
	if n == 0 {
		return 1
	}
	k := num(c.Value)
	if c.Type == types.CapacitySizeTypeCapacityPercent {
		k = count(float64(k)/100, n)
	}
	return min(1, float64(max(1, k))/float64(n))
}
