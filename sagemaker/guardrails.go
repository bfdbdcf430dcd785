package sagemaker

import (
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

// AWS's limits, from the reference of UpdateEndpoint and the pages on
// deployment guardrails. The SDK checks none of them.
const (
	maxWait         = 3600
	minExecution    = 600
	maxExecution    = 28800
	minAlarms       = 1
	maxAlarms       = 10
	maxAlarmName    = 255
	maxCanary       = 50 // percent of a variant's instances, as are the following
	minLinear       = 10
	maxLinear       = 50
	minBatch        = 5
	maxBatch        = 50
	minRollback     = 1
	maxRollback     = 100
	leastForSizes   = 2 // one of one instance is 100 percent
	policyBlueGreen = "DeploymentConfig.BlueGreenUpdatePolicy"
	policyRolling   = "DeploymentConfig.RollingUpdatePolicy"
)

// size is one capacity size of a deployment configuration with AWS's limits.
type size struct {
	field       string
	size        *types.CapacitySize
	least, most int    // percent
	unit        string // "instances", or "copies" of an inference component
	counted     string // AWS's name of the type that counts them
	given       string // the type that was given
}

// sizes are the capacity sizes that c has.
func sizes(c *types.DeploymentConfig) []size {
	var all []size
	add := func(field string, s *types.CapacitySize, least, most int) {
		if s != nil {
			all = append(all, size{
				field: field, size: s, least: least, most: most,
				unit: "instances", counted: string(types.CapacitySizeTypeInstanceCount), given: string(s.Type),
			})
		}
	}
	if p := c.BlueGreenUpdatePolicy; p != nil && p.TrafficRoutingConfiguration != nil {
		add(policyBlueGreen+".TrafficRoutingConfiguration.CanarySize", p.TrafficRoutingConfiguration.CanarySize, 1, maxCanary)
		add(policyBlueGreen+".TrafficRoutingConfiguration.LinearStepSize", p.TrafficRoutingConfiguration.LinearStepSize, minLinear, maxLinear)
	}
	if p := c.RollingUpdatePolicy; p != nil {
		add(policyRolling+".MaximumBatchSize", p.MaximumBatchSize, minBatch, maxBatch)
		add(policyRolling+".RollbackMaximumBatchSize", p.RollbackMaximumBatchSize, minRollback, maxRollback)
	}
	return all
}

// checkDeployment holds a deployment configuration to the rules that do not
// depend on the endpoint.
func checkDeployment(c *types.DeploymentConfig) error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, invalid(format, args...)) }
	within := func(field string, v *int32, least, most int32) {
		errs = append(errs, checkRange(field, v, least, most))
	}
	if c.BlueGreenUpdatePolicy != nil && c.RollingUpdatePolicy != nil {
		fail("DeploymentConfig has BlueGreenUpdatePolicy and RollingUpdatePolicy, AWS allows one of them")
	}
	if p := c.BlueGreenUpdatePolicy; p != nil {
		within(policyBlueGreen+".TerminationWaitInSeconds", p.TerminationWaitInSeconds, 0, maxWait)
		within(policyBlueGreen+".MaximumExecutionTimeoutInSeconds", p.MaximumExecutionTimeoutInSeconds, minExecution, maxExecution)
		if r := p.TrafficRoutingConfiguration; r == nil {
			fail("%s.TrafficRoutingConfiguration is missing, AWS requires it", policyBlueGreen)
		} else {
			errs = append(errs, checkRouting(r))
			within(policyBlueGreen+".TrafficRoutingConfiguration.WaitIntervalInSeconds", r.WaitIntervalInSeconds, 0, maxWait)
		}
	}
	if p := c.RollingUpdatePolicy; p != nil {
		errs = append(errs, checkRolling(p.MaximumBatchSize != nil, p.WaitIntervalInSeconds, p.MaximumExecutionTimeoutInSeconds))
	}
	for _, s := range sizes(c) {
		errs = append(errs, s.check())
	}
	if a := c.AutoRollbackConfiguration; a != nil {
		errs = append(errs, checkAlarms(a.Alarms))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return checkTimes(c)
}

// checkRolling holds a rolling policy, of an endpoint or of an inference
// component, to the rules about what has to be there and its times.
func checkRolling(hasBatch bool, wait, limit *int32) error {
	var errs []error
	if !hasBatch {
		errs = append(errs, invalid("%s.MaximumBatchSize is missing, AWS requires it", policyRolling))
	}
	if wait == nil {
		errs = append(errs, invalid("%s.WaitIntervalInSeconds is missing, AWS requires it", policyRolling))
	}
	return errors.Join(append(errs,
		checkRange(policyRolling+".WaitIntervalInSeconds", wait, 0, maxWait),
		checkRange(policyRolling+".MaximumExecutionTimeoutInSeconds", limit, minExecution, maxExecution))...)
}

func checkRange(field string, v *int32, least, most int32) error {
	if v != nil && (*v < least || *v > most) {
		return invalid("%s is %d, AWS allows %d to %d", field, *v, least, most)
	}
	return nil
}

func checkRouting(r *types.TrafficRoutingConfig) error {
	const at = policyBlueGreen + ".TrafficRoutingConfiguration"
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, invalid(format, args...)) }
	if r.WaitIntervalInSeconds == nil {
		fail("%s.WaitIntervalInSeconds is missing, AWS requires it, for ALL_AT_ONCE too", at)
	}
	var canary, linear bool
	switch r.Type {
	case types.TrafficRoutingConfigTypeAllAtOnce:
	case types.TrafficRoutingConfigTypeCanary:
		canary = true
	case types.TrafficRoutingConfigTypeLinear:
		linear = true
	default:
		fail("%s.Type is %q, AWS allows ALL_AT_ONCE, CANARY and LINEAR", at, r.Type)
		return errors.Join(errs...)
	}
	for _, s := range []struct {
		field  string
		is     bool
		wanted bool
	}{{"CanarySize", r.CanarySize != nil, canary}, {"LinearStepSize", r.LinearStepSize != nil, linear}} {
		switch {
		case s.wanted && !s.is:
			fail("%s.%s is missing, AWS needs it for Type %s", at, s.field, r.Type)
		case !s.wanted && s.is:
			fail("%s.%s is given with Type %s, which has none", at, s.field, r.Type)
		}
	}
	return errors.Join(errs...)
}

// check is the part of a size's rules that needs no count of instances.
func (s size) check() error {
	v := int(deref(s.size.Value))
	switch s.size.Type {
	case types.CapacitySizeTypeInstanceCount:
		if v < 1 {
			return invalid("%s.Value is %d, AWS allows 1 or more", s.field, v)
		}
	case types.CapacitySizeTypeCapacityPercent:
		if v < s.least || v > s.most {
			return invalid("%s.Value is %d %%, AWS allows %d to %d %%", s.field, v, s.least, s.most)
		}
	default:
		return invalid("%s.Type is %q, AWS allows %s and CAPACITY_PERCENT", s.field, s.given, s.counted)
	}
	return nil
}

// checkCount holds a size to the number of instances of a variant, or of copies
// of a component; of names the one or the other.
func (s size) checkCount(of string, count int) error {
	if s.most <= maxBatch && count < leastForSizes {
		return invalid("%s on %s, which has %d %s: AWS allows %d %% at most, and one is 100 %% of itself, so it takes %d %s or more",
			s.field, of, count, s.unit, s.most, leastForSizes, s.unit)
	}
	v := int(deref(s.size.Value))
	if s.size.Type != types.CapacitySizeTypeInstanceCount {
		return nil
	}
	if v*100 < s.least*count || v*100 > s.most*count {
		return invalid("%s.Value is %d %s, of the %d of %s AWS allows %d to %d %%", s.field, v, s.unit, count, of, s.least, s.most)
	}
	return nil
}

func checkAlarms(alarms []types.Alarm) error {
	const at = "DeploymentConfig.AutoRollbackConfiguration.Alarms"
	if n := len(alarms); n < minAlarms || n > maxAlarms {
		return invalid("%s has %d entries, AWS allows %d to %d", at, n, minAlarms, maxAlarms)
	}
	for i, a := range alarms {
		if n := len(deref(a.AlarmName)); n < 1 || n > maxAlarmName {
			return invalid("%s[%d].AlarmName has %d characters, AWS allows 1 to %d", at, i, n, maxAlarmName)
		}
	}
	return nil
}

// waits is the longest time that a valid deployment configuration waits, in
// all. A size in instances counts as the smallest share it could be.
func waits(c *types.DeploymentConfig) time.Duration {
	if c == nil {
		return 0
	}
	if p := c.BlueGreenUpdatePolicy; p != nil && p.TrafficRoutingConfiguration != nil {
		r := p.TrafficRoutingConfiguration
		wait, last := seconds(r.WaitIntervalInSeconds), seconds(p.TerminationWaitInSeconds)
		if r.Type == types.TrafficRoutingConfigTypeLinear && r.LinearStepSize != nil {
			return time.Duration(partsOf(r.LinearStepSize, minLinear))*wait + last
		}
		return wait + last
	}
	if p := c.RollingUpdatePolicy; p != nil && p.MaximumBatchSize != nil {
		return time.Duration(partsOf(p.MaximumBatchSize, minBatch)) * seconds(p.WaitIntervalInSeconds)
	}
	return 0
}

// checkTimes refuses a time limit that the configuration's own waits use up.
func checkTimes(c *types.DeploymentConfig) error {
	field, limit := executionLimit(c)
	if limit == 0 {
		return nil
	}
	// A size in instances may be any share: only what is certain is refused.
	least := *c
	if !inPercent(c) {
		least = withoutSteps(c)
	}
	if w := waits(&least); limit <= w {
		return invalid("%s is %d, AWS wants it to be more than the %d seconds that the deployment waits", field, int(limit.Seconds()), int(w.Seconds()))
	}
	return nil
}

func inPercent(c *types.DeploymentConfig) bool {
	for _, s := range sizes(c) {
		if s.size.Type != types.CapacitySizeTypeCapacityPercent {
			return false
		}
	}
	return true
}

// withoutSteps is c as if it took the fewest steps that AWS allows.
func withoutSteps(c *types.DeploymentConfig) types.DeploymentConfig {
	half := &types.CapacitySize{Type: types.CapacitySizeTypeCapacityPercent, Value: ptr[int32](maxLinear)}
	var d types.DeploymentConfig
	if p := c.BlueGreenUpdatePolicy; p != nil && p.TrafficRoutingConfiguration != nil {
		q, r := *p, *p.TrafficRoutingConfiguration
		if r.LinearStepSize != nil {
			r.LinearStepSize = half
		}
		q.TrafficRoutingConfiguration = &r
		d.BlueGreenUpdatePolicy = &q
	}
	if p := c.RollingUpdatePolicy; p != nil {
		q := *p
		q.MaximumBatchSize = half
		d.RollingUpdatePolicy = &q
	}
	return d
}

// executionLimit is the time limit of a deployment; zero if it has none.
func executionLimit(c *types.DeploymentConfig) (field string, limit time.Duration) {
	switch {
	case c == nil:
	case c.BlueGreenUpdatePolicy != nil:
		return policyBlueGreen + ".MaximumExecutionTimeoutInSeconds", seconds(c.BlueGreenUpdatePolicy.MaximumExecutionTimeoutInSeconds)
	case c.RollingUpdatePolicy != nil:
		return policyRolling + ".MaximumExecutionTimeoutInSeconds", seconds(c.RollingUpdatePolicy.MaximumExecutionTimeoutInSeconds)
	}
	return "", 0
}

// deploymentName names a deployment for people.
func deploymentName(c *types.DeploymentConfig) string {
	switch {
	case c == nil:
	case c.RollingUpdatePolicy != nil:
		return "rolling"
	case c.BlueGreenUpdatePolicy != nil && c.BlueGreenUpdatePolicy.TrafficRoutingConfiguration != nil:
		return fmt.Sprintf("blue/green %s", c.BlueGreenUpdatePolicy.TrafficRoutingConfiguration.Type)
	}
	return "blue/green ALL_AT_ONCE"
}
