package sagemakertest

import (
	"math"

	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
)

// trigger lets the step policy that an alarm's action names act once, as if
// the metric were just beyond the threshold. Suspended or at the bounds, it
// does nothing; neither does it while the endpoint is busy.
func (a *account) trigger(arn string) {
	for _, t := range a.allTargets() {
		for _, p := range t.policies {
			if p.arn != arn || p.step == nil {
				continue
			}
			have, ok := a.capacity(t)
			if !ok {
				return
			}
			to := max(t.min, min(t.max, adjusted(p.step, have)))
			if to == have || to > have && t.suspended.out || to < have && t.suspended.in {
				return
			}
			a.setCapacity(t, to)
			return
		}
	}
}

// adjusted is a capacity after the adjustment nearest to the threshold.
func adjusted(c *types.StepScalingPolicyConfiguration, have int32) int32 {
	s := c.StepAdjustments[0]
	for _, o := range c.StepAdjustments[1:] {
		if distance(o) < distance(s) {
			s = o
		}
	}
	n := num(s.ScalingAdjustment)
	switch c.AdjustmentType {
	case types.AdjustmentTypeExactCapacity:
		return n
	case types.AdjustmentTypePercentChangeInCapacity:
		by := int32(math.Round(float64(have) * float64(n) / 100))
		if least := num(c.MinAdjustmentMagnitude); by > -least && by < least {
			by = least
			if n < 0 {
				by = -least
			}
		}
		return have + by
	case types.AdjustmentTypeChangeInCapacity:
	}
	return have + n
}

// distance is how far from the threshold an adjustment begins.
func distance(s types.StepAdjustment) float64 {
	least := math.Inf(1)
	for _, b := range []*float64{s.MetricIntervalLowerBound, s.MetricIntervalUpperBound} {
		if b != nil {
			least = min(least, math.Abs(*b))
		}
	}
	return least
}
