package sagemaker

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

// rollbackOptions is o with the deployment that undoes one by o: all at once, or for a
// rolling one in batches of its own size, as far as the instances of now allow.
func (e *Endpoint) rollbackOptions(ctx context.Context, o UpdateOptions) (UpdateOptions, error) {
	used := o.DeploymentConfig
	o.DeploymentConfig = nil
	if used == nil && !o.RetainDeploymentConfig || used != nil && used.RollingUpdatePolicy == nil {
		return o, nil
	}
	live, err := e.describe(ctx)
	if err != nil {
		return o, err
	}
	if used == nil {
		used = live.LastDeploymentConfig
	}
	o.RetainDeploymentConfig = false
	if used == nil || used.RollingUpdatePolicy == nil {
		return o, nil
	}
	// AWS allows one variant.
	for _, v := range live.ProductionVariants {
		if n := deref(v.DesiredInstanceCount); n >= leastForSizes {
			o.DeploymentConfig = &types.DeploymentConfig{RollingUpdatePolicy: batches(used.RollingUpdatePolicy, n)}
		}
	}
	return o, nil
}

// batches is p without its waits, and with sizes that AWS allows for n instances.
func batches(p *types.RollingUpdatePolicy, n int32) *types.RollingUpdatePolicy {
	return &types.RollingUpdatePolicy{
		MaximumBatchSize: within(p.MaximumBatchSize, n, minBatch, maxBatch), WaitIntervalInSeconds: ptr[int32](0),
		MaximumExecutionTimeoutInSeconds: p.MaximumExecutionTimeoutInSeconds,
		RollbackMaximumBatchSize:         within(p.RollbackMaximumBatchSize, n, minRollback, maxRollback),
	}
}

// within is a size of so many percent of n instances; what is in percent was
// found to be within them before.
func within(s *types.CapacitySize, n, least, most int32) *types.CapacitySize {
	if s == nil || s.Type != types.CapacitySizeTypeInstanceCount {
		return s
	}
	v := min(max(deref(s.Value), (n*least+99)/100), n*most/100)
	return &types.CapacitySize{Type: s.Type, Value: &v}
}
