package sagemakertest

import (
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

func (a *account) updateEndpoint(in *sagemaker.UpdateEndpointInput) (*sagemaker.UpdateEndpointOutput, error) {
	e, err := a.find(str(in.EndpointName))
	if err != nil {
		return nil, err
	}
	if err := e.idle(statusInService, types.EndpointStatusUpdateRollbackFailed); err != nil {
		return nil, err
	}
	c, err := a.usable(str(in.EndpointConfigName))
	if err != nil {
		return nil, err
	}
	// An endpoint whose config was deleted is not even updated to another one.
	if a.configs[e.config.name] != e.config {
		return nil, invalid("Could not find endpoint configuration %q.", e.config.arn)
	}
	if err := a.checkRetention(in); err != nil {
		return nil, err
	}
	if err := checkKind(e.config, c); err != nil {
		return nil, err
	}
	if err := a.checkTargets(e, c); err != nil {
		return nil, err
	}
	d := in.DeploymentConfig
	if yes(in.RetainDeploymentConfig) && d == nil {
		d = e.last
	}
	j := &job{
		kind: deployment, config: c, fate: a.fateOf(c), at: levels{old: 1},
		fresh: a.retained(e, c.in.ProductionVariants, in), shadows: a.retained(e, c.in.ShadowProductionVariants, in),
	}
	if err := a.checkGuardrails(d, e, j); err != nil {
		return nil, err
	}
	a.stages(d, j)
	if a.lacksReserved(j) && j.fate.outcome == Succeeds {
		j.fate = fate{RollsBack, "The ML capacity reservation has not enough available instances."}
	}
	part := 1.0
	if j.rolling {
		part = j.batch
	}
	if err := a.quota(e.demand(j.all(), part)); err != nil {
		return nil, err
	}
	e.reason, e.last, e.updated = "", d, a.now
	e.begin(j, types.EndpointStatusUpdating, a.now)
	if d := maxTime(d); d > 0 {
		j.deadline = a.now.Add(d)
	}
	return &sagemaker.UpdateEndpointOutput{EndpointArn: &e.arn}, nil
}

// checkRetention holds the rules between the retaining members.
func (a *account) checkRetention(in *sagemaker.UpdateEndpointInput) error {
	var seen []types.VariantPropertyType
	for _, p := range in.ExcludeRetainedVariantProperties {
		switch {
		case p.VariantPropertyType == types.VariantPropertyTypeDataCaptureConfig:
			return invalid("VariantPropertyType DataCaptureConfig is not currently supported.")
		case slices.Contains(seen, p.VariantPropertyType):
			return invalid("ExcludeRetainedVariantProperties has %s twice.", p.VariantPropertyType)
		}
		seen = append(seen, p.VariantPropertyType)
	}
	switch {
	case a.behaviour.Lenient:
		return nil
	case len(seen) > 0 && !yes(in.RetainAllVariantProperties):
		return invalid("ExcludeRetainedVariantProperties can only be specified when RetainAllVariantProperties is true.")
	case yes(in.RetainDeploymentConfig) && in.DeploymentConfig != nil:
		return invalid("DeploymentConfig cannot be specified when RetainDeploymentConfig is true.")
	}
	return nil
}

// checkKind refuses the moves between kinds of endpoints that do not exist.
func checkKind(from, to *config) error {
	if from.in.AsyncInferenceConfig != nil && to.in.AsyncInferenceConfig == nil {
		return invalid("The AsyncInferenceConfig parameter cannot be removed from this endpoint.")
	}
	if !slices.ContainsFunc(from.variants(), serverless) && slices.ContainsFunc(to.variants(), serverless) {
		return invalid("An endpoint with instances cannot be updated to a serverless endpoint.")
	}
	return nil
}

// machine is what a variant runs on, as far as auto scaling cares.
func machine(v types.ProductionVariant) string {
	if serverless(v) {
		return "serverless"
	}
	names := []string{string(v.InstanceType)}
	for _, p := range v.InstancePools {
		names = append(names, string(p.InstanceType))
	}
	return strings.Join(names, " ")
}

// checkTargets refuses to remove, or to put on other instances, a variant that
// is registered as a scalable target.
func (a *account) checkTargets(e *endpoint, c *config) error {
	var held []string
	for _, t := range a.targetsOf(e) {
		if t.variant == "" || a.behaviour.SuspendedMayChange && t.suspended == (suspended{true, true, true}) {
			continue
		}
		was := e.variant(t.variant)
		to, ok := c.variant(t.variant)
		if (!ok || was != nil && machine(was.spec) != machine(to)) && !slices.Contains(held, t.variant) {
			held = append(held, t.variant)
		}
	}
	if len(held) == 0 {
		return nil
	}
	return invalid("The following variants must be deregistered as scalable targets with AWS Auto Scaling before they can be removed or have their instance type updated: [%s]",
		strings.Join(held, ", "))
}

// retained makes the fleet of an update, with what it carries over from
// variants of the same names.
func (a *account) retained(e *endpoint, specs []types.ProductionVariant, in *sagemaker.UpdateEndpointInput) []*variant {
	fleet := a.fleet(specs)
	if !yes(in.RetainAllVariantProperties) {
		return fleet
	}
	keeps := func(p types.VariantPropertyType) bool {
		return !slices.ContainsFunc(in.ExcludeRetainedVariantProperties, func(x types.VariantProperty) bool { return x.VariantPropertyType == p })
	}
	for _, v := range fleet {
		old := e.variant(v.name)
		if old == nil {
			continue
		}
		if keeps(types.VariantPropertyTypeDesiredInstanceCount) && v.serverless == nil && old.serverless == nil &&
			(old.desired > 0 || !a.behaviour.DropZeroCounts) {
			v.desired = old.desired
		}
		if keeps(types.VariantPropertyTypeDesiredWeight) {
			v.weight = old.weight
		}
	}
	return fleet
}

// stages fills in how a deployment goes.
func (a *account) stages(d *types.DeploymentConfig, j *job) {
	n := j.size()
	switch {
	case d == nil:
		j.stages = a.blueGreen(nil, n)
		return
	case slices.ContainsFunc(j.config.variants(), unguarded):
		// All at once, without a bake and without alarms, and without a word.
		j.stages = a.blueGreen(nil, n)
		return
	case d.RollingUpdatePolicy != nil:
		r := d.RollingUpdatePolicy
		j.rolling, j.batch, j.backOff = true, share(r.MaximumBatchSize, n), 1
		if r.RollbackMaximumBatchSize != nil {
			j.backOff = share(r.RollbackMaximumBatchSize, n)
		}
		j.stages = a.batches(j.at, j.batch, seconds(r.WaitIntervalInSeconds), false)
	default:
		j.stages = a.blueGreen(d.BlueGreenUpdatePolicy, n)
	}
	if d.AutoRollbackConfiguration != nil {
		for _, al := range d.AutoRollbackConfiguration.Alarms {
			j.alarms = append(j.alarms, str(al.AlarmName))
		}
	}
}

// size is the smallest number of instances of a production variant.
func (j *job) size() int32 {
	n := int32(0)
	for i, v := range j.fresh {
		if i == 0 || v.desired < n {
			n = v.desired
		}
	}
	return n
}

// unguarded reports whether a variant is on instances that deployment
// guardrails do not support.
func unguarded(v types.ProductionVariant) bool {
	return strings.HasPrefix(string(v.InstanceType), "ml.inf1.")
}

func maxTime(d *types.DeploymentConfig) time.Duration {
	switch {
	case d == nil:
		return 0
	case d.RollingUpdatePolicy != nil:
		return seconds(d.RollingUpdatePolicy.MaximumExecutionTimeoutInSeconds)
	case d.BlueGreenUpdatePolicy != nil:
		return seconds(d.BlueGreenUpdatePolicy.MaximumExecutionTimeoutInSeconds)
	}
	return 0
}
