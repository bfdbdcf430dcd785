package sagemakertest

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

// idle refuses what cannot be done to a component now.
func (c *component) idle() error {
	switch c.status { //nolint:exhaustive // the others are in progress
	case types.InferenceComponentStatusInService:
		return nil
	case types.InferenceComponentStatusFailed:
		return invalid("Cannot update inference component %q in status %s.", c.arn, c.status)
	}
	return invalid("Cannot update in-progress inference component %q.", c.arn)
}

// ready is a component that takes a change, on an endpoint that is in service.
func (a *account) ready(name string) (*component, error) {
	c, err := a.component(name)
	if err != nil {
		return nil, err
	}
	if err := c.idle(); err != nil && !(a.behaviour.FailedMayUpdate && c.status == types.InferenceComponentStatusFailed) {
		if a.behaviour.OtherBusyWords {
			err = invalid("The inference component is in status %s.", c.status)
		}
		return nil, err
	}
	e, err := a.find(c.endpoint)
	if err != nil {
		return nil, err
	}
	return c, e.idle(statusInService)
}

func (a *account) updateInferenceComponent(in *sagemaker.UpdateInferenceComponentInput) (*sagemaker.UpdateInferenceComponentOutput, error) {
	c, err := a.ready(str(in.InferenceComponentName))
	if err != nil {
		return nil, err
	}
	specs, err := specifications(in.Specification, in.Specifications)
	if err != nil {
		return nil, err
	}
	if specs == nil && in.RuntimeConfig == nil {
		return nil, invalid("At least one of Specification, Specifications and RuntimeConfig must be specified.")
	}
	copies := c.desired
	if in.RuntimeConfig != nil {
		copies = num(in.RuntimeConfig.CopyCount)
	}
	j := &componentJob{kind: copiesReplaced, to: specs, batch: max(1, copies), backBatch: max(1, copies)}
	if d := in.DeploymentConfig; d != nil {
		if err := a.checkComponentDeployment(d, copies, j); err != nil {
			return nil, err
		}
		c.last = d
	}
	if specs == nil {
		a.setCopies(c, copies)
		return &sagemaker.UpdateInferenceComponentOutput{InferenceComponentArn: &c.arn}, nil
	}
	if c.many != (len(in.Specifications) > 0) {
		return nil, invalid("Specification and Specifications cannot be exchanged by an update.")
	}
	if err := a.checkSpecifications(c, specs); err != nil {
		return nil, err
	}
	c.desired, c.reason = copies, ""
	j.fate = a.componentFate(c, specs)
	c.begin(j, a.now)
	a.launch(c)
	if p := in.DeploymentConfig; p != nil && p.RollingUpdatePolicy.MaximumExecutionTimeoutInSeconds != nil {
		j.deadline = a.now.Add(seconds(p.RollingUpdatePolicy.MaximumExecutionTimeoutInSeconds))
	}
	return &sagemaker.UpdateInferenceComponentOutput{InferenceComponentArn: &c.arn}, nil
}

// checkComponentDeployment holds the rules of a deployment config of a number
// of copies, and fills in the job what it says.
func (a *account) checkComponentDeployment(d *types.InferenceComponentDeploymentConfig, copies int32, j *componentJob) error {
	p := d.RollingUpdatePolicy
	var err error
	if j.batch, err = a.copiesOf("MaximumBatchSize", p.MaximumBatchSize, 5, 50, copies); err != nil {
		return err
	}
	if p.RollbackMaximumBatchSize != nil {
		if j.backBatch, err = a.copiesOf("RollbackMaximumBatchSize", p.RollbackMaximumBatchSize, 5, 100, copies); err != nil {
			return err
		}
	}
	j.wait = seconds(p.WaitIntervalInSeconds)
	batches := time.Duration((copies + j.batch - 1) / j.batch)
	if limit := seconds(p.MaximumExecutionTimeoutInSeconds); limit > 0 && limit <= batches*j.wait {
		return invalid("MaximumExecutionTimeoutInSeconds %d must be larger than the total waiting time of %d seconds.", int(limit.Seconds()), int((batches * j.wait).Seconds()))
	}
	if auto := d.AutoRollbackConfiguration; auto != nil {
		for _, al := range auto.Alarms {
			if a.alarms[str(al.AlarmName)] == nil && !a.behaviour.Lenient {
				return invalid("Could not find CloudWatch alarm %q.", str(al.AlarmName))
			}
			j.alarms = append(j.alarms, str(al.AlarmName))
		}
	}
	return nil
}

// copiesOf is a capacity size as a number of copies, which has to be between
// least and most percent of all of them.
func (a *account) copiesOf(name string, s *types.InferenceComponentCapacitySize, least, most, copies int32) (int32, error) {
	k := num(s.Value)
	if s.Type == types.InferenceComponentCapacitySizeTypeCapacityPercent {
		if k < least || k > most {
			return 0, invalid("%s of %d percent must be between %d and %d percent of the copy count.", name, k, least, most)
		}
		if copies == 1 && most < 100 {
			return 0, invalid("%s of %d percent is not possible with %d copies.", name, k, copies)
		}
		return max(1, count(float64(k)/100, copies)), nil
	}
	if copies > 0 && (100*k < least*copies || 100*k > most*copies) {
		return 0, invalid("%s of %d copies must be between %d and %d percent of the copy count %d.", name, k, least, most, copies)
	}
	return max(1, k), nil
}

func (a *account) updateInferenceComponentRuntimeConfig(in *sagemaker.UpdateInferenceComponentRuntimeConfigInput) (*sagemaker.UpdateInferenceComponentRuntimeConfigOutput, error) {
	c, err := a.ready(str(in.InferenceComponentName))
	if err != nil {
		return nil, err
	}
	if c.base() != "" {
		return nil, invalid("The copy count of the adapter inference component %q cannot be set.", c.arn)
	}
	a.setCopies(c, num(in.DesiredRuntimeConfig.CopyCount))
	return &sagemaker.UpdateInferenceComponentRuntimeConfigOutput{InferenceComponentArn: &c.arn}, nil
}

// setCopies begins a change of the number of copies.
func (a *account) setCopies(c *component, n int32) {
	c.desired, c.reason = n, ""
	c.begin(&componentJob{kind: copiesScaled, fate: a.fates[c.name], until: a.now.Add(a.behaviour.scale())}, a.now)
}
