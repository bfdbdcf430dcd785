package sagemakertest

import (
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

// checkGuardrails holds the rules of a deployment config, with the numbers of
// instances that the deployment will have.
func (a *account) checkGuardrails(d *types.DeploymentConfig, e *endpoint, j *job) error {
	if d == nil {
		return nil
	}
	blue, roll := d.BlueGreenUpdatePolicy, d.RollingUpdatePolicy
	if blue != nil && roll != nil {
		return invalid("Only one of BlueGreenUpdatePolicy and RollingUpdatePolicy can be specified in DeploymentConfig.")
	}
	was, is := e.config.variants(), j.config.variants()
	if slices.ContainsFunc(was, serverless) || slices.ContainsFunc(is, serverless) {
		return invalid("DeploymentConfig is not supported for serverless endpoints.")
	}
	if !slices.Equal(names(was), names(is)) {
		return invalid("DeploymentConfig requires that the variants of the new endpoint configuration have the same names.")
	}
	if auto := d.AutoRollbackConfiguration; auto != nil && !a.behaviour.Lenient {
		for _, al := range auto.Alarms {
			if a.alarms[str(al.AlarmName)] == nil {
				return invalid("Could not find CloudWatch alarm %q.", str(al.AlarmName))
			}
		}
	}
	var least time.Duration
	var err error
	switch {
	case blue != nil:
		least, err = a.checkBlueGreen(blue, j)
	case roll != nil:
		least, err = a.checkRolling(roll, j)
	}
	if err != nil {
		return err
	}
	if most := maxTime(d); most > 0 && most <= least {
		return invalid("MaximumExecutionTimeoutInSeconds %d must be larger than the total waiting time of %d seconds.", int(most.Seconds()), int(least.Seconds()))
	}
	return nil
}

func names(vs []types.ProductionVariant) []string {
	set := map[string]bool{}
	for _, v := range vs {
		set[str(v.VariantName)] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// checkBlueGreen returns how long the policy waits in all.
func (a *account) checkBlueGreen(p *types.BlueGreenUpdatePolicy, j *job) (time.Duration, error) {
	r := p.TrafficRoutingConfiguration
	wait, end := seconds(r.WaitIntervalInSeconds), seconds(p.TerminationWaitInSeconds)
	if r.Type != types.TrafficRoutingConfigTypeCanary && r.CanarySize != nil {
		return 0, invalid("CanarySize can only be specified with traffic routing type CANARY.")
	}
	if r.Type != types.TrafficRoutingConfigTypeLinear && r.LinearStepSize != nil {
		return 0, invalid("LinearStepSize can only be specified with traffic routing type LINEAR.")
	}
	switch r.Type {
	case types.TrafficRoutingConfigTypeCanary:
		return wait + end, a.checkSize("CanarySize", r.CanarySize, 0, 50, j)
	case types.TrafficRoutingConfigTypeLinear:
		if err := a.checkSize("LinearStepSize", r.LinearStepSize, 10, 50, j); err != nil {
			return 0, err
		}
		return wait*steps(r.LinearStepSize, j.size()) + end, nil
	case types.TrafficRoutingConfigTypeAllAtOnce:
	}
	return end, nil
}

func (a *account) checkRolling(p *types.RollingUpdatePolicy, j *job) (time.Duration, error) {
	if len(j.fresh) > 1 {
		return 0, invalid("RollingUpdatePolicy is not supported for endpoints with multiple production variants.")
	}
	if err := a.checkSize("MaximumBatchSize", p.MaximumBatchSize, 5, 50, j); err != nil {
		return 0, err
	}
	if p.RollbackMaximumBatchSize != nil {
		if err := a.checkSize("RollbackMaximumBatchSize", p.RollbackMaximumBatchSize, 5, 100, j); err != nil {
			return 0, err
		}
	}
	return seconds(p.WaitIntervalInSeconds) * steps(p.MaximumBatchSize, j.size()), nil
}

// steps is how many parts of a size a fleet has. A percentage counts as it is,
// though whole instances may make fewer parts of it.
func steps(c *types.CapacitySize, n int32) time.Duration {
	part := share(c, n)
	if c.Type == types.CapacitySizeTypeCapacityPercent {
		part = float64(num(c.Value)) / 100
	}
	return time.Duration(count(1/part, 1))
}

// checkSize holds a size to a range in percent of every production variant.
func (a *account) checkSize(name string, c *types.CapacitySize, least, most int32, j *job) error {
	if c == nil {
		return invalid("%s is required.", name)
	}
	k := num(c.Value)
	if c.Type == types.CapacitySizeTypeCapacityPercent {
		if k < least || k > most {
			return invalid("%s of %d percent must be between %d and %d percent of the variant's total instance count.", name, k, least, most)
		}
		if j.size() < 2 && most < 100 && !a.behaviour.Lenient {
			return invalid("%s of %d percent is not possible with %d instance(s).", name, k, j.size())
		}
		return nil
	}
	for _, v := range j.fresh {
		if 100*k < least*v.desired || 100*k > most*v.desired {
			return invalid("%s of %d instance(s) must be between %d and %d percent of the variant's total instance count %d.", name, k, least, most, v.desired)
		}
	}
	return nil
}
