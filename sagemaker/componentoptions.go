package sagemaker

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

// ComponentUpdateOptions are how the copies of a [Component] are replaced. As
// JSON they are the [endpoint.Change.Options] of a component; no options mean
// the zero value, which leaves it to SageMaker's defaults.
type ComponentUpdateOptions struct {
	// DeploymentConfig is the document of the AWS CLI's --deployment-config of
	// update-inference-component: a rolling policy, and rollback alarms. A batch
	// is 5 to 50 percent of the copies, so that it takes 2 copies or more. A
	// rollback uses the same batches, without waiting between them and without
	// the alarms, which may still be in ALARM.
	DeploymentConfig *types.InferenceComponentDeploymentConfig
}

// Encode returns o as the Options of an [endpoint.Change].
func (o ComponentUpdateOptions) Encode() (json.RawMessage, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return encode(o)
}

// DecodeComponentUpdateOptions reads the [endpoint.Change.Options] of a
// component as [DecodeUpdateOptions] reads those of an endpoint.
func DecodeComponentUpdateOptions(raw json.RawMessage) (ComponentUpdateOptions, error) {
	var o ComponentUpdateOptions
	if noOptions(raw) {
		return o, nil
	}
	if err := decodeNoNull(raw, &o); err != nil {
		return o, fmt.Errorf("component update options: %w", err)
	}
	return o, o.check()
}

// DecodeComponentDeploymentConfig reads the document of --deployment-config of
// the AWS CLI's update-inference-component, with the same checks.
func DecodeComponentDeploymentConfig(raw []byte) (*types.InferenceComponentDeploymentConfig, error) {
	var c types.InferenceComponentDeploymentConfig
	if err := decodeGiven(raw, &c); err != nil {
		return nil, fmt.Errorf("DeploymentConfig: %w", err)
	}
	return &c, ComponentUpdateOptions{DeploymentConfig: &c}.check()
}

// componentSizes are the capacity sizes that c has, as those of endpoints.
func componentSizes(c *types.InferenceComponentDeploymentConfig) []size {
	var all []size
	add := func(field string, s *types.InferenceComponentCapacitySize, least, most int) {
		if s == nil {
			return
		}
		same := types.CapacitySize{Type: types.CapacitySizeType(s.Type), Value: s.Value}
		if s.Type == types.InferenceComponentCapacitySizeTypeCopyCount {
			same.Type = types.CapacitySizeTypeInstanceCount
		} else if s.Type != types.InferenceComponentCapacitySizeTypeCapacityPercent {
			same.Type = "" // neither of those that a component has
		}
		all = append(all, size{field: field, size: &same, least: least, most: most, unit: "copies", counted: string(types.InferenceComponentCapacitySizeTypeCopyCount), given: string(s.Type)})
	}
	if c != nil && c.RollingUpdatePolicy != nil {
		add(policyRolling+".MaximumBatchSize", c.RollingUpdatePolicy.MaximumBatchSize, minBatch, maxBatch)
		add(policyRolling+".RollbackMaximumBatchSize", c.RollingUpdatePolicy.RollbackMaximumBatchSize, minRollback, maxRollback)
	}
	return all
}

// check holds the options to AWS's published rules, as far as they do not
// depend on the component.
func (o ComponentUpdateOptions) check() error {
	c := o.DeploymentConfig
	if c == nil {
		return nil
	}
	p := c.RollingUpdatePolicy
	if p == nil {
		return invalid("%s is missing, AWS requires it", policyRolling)
	}
	errs := []error{checkRolling(p.MaximumBatchSize != nil, p.WaitIntervalInSeconds, p.MaximumExecutionTimeoutInSeconds)}
	for _, s := range componentSizes(c) {
		errs = append(errs, s.check())
	}
	if a := c.AutoRollbackConfiguration; a != nil {
		errs = append(errs, checkAlarms(a.Alarms))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	limit, w := seconds(p.MaximumExecutionTimeoutInSeconds), time.Duration(componentSizes(c)[0].fewest())*seconds(p.WaitIntervalInSeconds)
	if limit > 0 && limit <= w {
		return invalid("%s.MaximumExecutionTimeoutInSeconds is %d, AWS wants it to be more than the %d seconds that the deployment waits",
			policyRolling, int(limit.Seconds()), int(w.Seconds()))
	}
	return nil
}

// rollback is o for undoing an update by o, of a component of n copies.
func (o ComponentUpdateOptions) rollback(n int) ComponentUpdateOptions {
	c := o.DeploymentConfig
	if c == nil || n < leastForSizes {
		return ComponentUpdateOptions{}
	}
	p := *c.RollingUpdatePolicy
	p.WaitIntervalInSeconds = ptr[int32](0)
	p.MaximumBatchSize = withinCopies(p.MaximumBatchSize, n, minBatch, maxBatch)
	p.RollbackMaximumBatchSize = withinCopies(p.RollbackMaximumBatchSize, n, minRollback, maxRollback)
	return ComponentUpdateOptions{DeploymentConfig: &types.InferenceComponentDeploymentConfig{RollingUpdatePolicy: &p}}
}

// withinCopies is a size of so many percent of n copies.
func withinCopies(s *types.InferenceComponentCapacitySize, n, least, most int) *types.InferenceComponentCapacitySize {
	if s == nil || s.Type != types.InferenceComponentCapacitySizeTypeCopyCount {
		return s
	}
	v := int32(min(max(int(deref(s.Value)), (n*least+99)/100), n*most/100)) //nolint:gosec // of the size of n
	return &types.InferenceComponentCapacitySize{Type: s.Type, Value: &v}
}
