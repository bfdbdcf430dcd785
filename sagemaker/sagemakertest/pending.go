package sagemakertest

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

// pending is what DescribeEndpoint shows of a deployment in progress. A change
// of capacity has none.
func (e *endpoint) pending() *types.PendingDeploymentSummary {
	j := e.job
	if j == nil || j.kind != deployment {
		return nil
	}
	return &types.PendingDeploymentSummary{
		EndpointConfigName: &j.config.name, StartTime: &j.started,
		ProductionVariants: j.summaries(j.fresh), ShadowProductionVariants: j.summaries(j.shadows),
	}
}

func (j *job) summaries(vs []*variant) []types.PendingProductionVariantSummary {
	var out []types.PendingProductionVariantSummary
	for _, v := range vs {
		s := types.PendingProductionVariantSummary{
			VariantName: &v.name, DeployedImages: v.images, CurrentWeight: &v.traffic, DesiredWeight: &v.weight,
			InstanceType: v.spec.InstanceType, ManagedInstanceScaling: v.spec.ManagedInstanceScaling, RoutingConfig: v.spec.RoutingConfig,
			CurrentServerlessConfig: v.served, DesiredServerlessConfig: v.serverless,
			AcceleratorPartitionLayouts: v.spec.AcceleratorPartitionLayouts,
			InstancePools:               poolSummaries(v.spec.InstancePools, v.current),
			VariantStatus:               []types.ProductionVariantStatus{j.status(v)},
		}
		if v.serverless == nil {
			s.CurrentInstanceCount, s.DesiredInstanceCount = &v.current, &v.desired
		}
		out = append(out, s)
	}
	return out
}

// status is the stage in progress as it concerns one variant.
func (j *job) status(v *variant) types.ProductionVariantStatus {
	s := j.stages[0]
	out := types.ProductionVariantStatus{Status: s.status, StartTime: &j.since}
	switch {
	case strings.Contains(s.text, "%d"):
		out.StatusMessage = ref(fmt.Sprintf(s.text, count(s.share, v.desired)))
	case s.text != "":
		out.StatusMessage = &s.text
	}
	return out
}

// scalingStatus is what is in progress with a variant of the fleet in service:
// a change of its capacity, or its end.
func (j *job) scalingStatus(v *variant) []types.ProductionVariantStatus {
	switch {
	case j == nil, j.kind == patching, j.kind == deployment && !j.stages[0].final:
		return nil
	case j.kind == scaling && v.desired == v.current && v.weight == v.traffic && v.serverless == v.served:
		return nil
	case j.kind == scaling:
		s := types.ProductionVariantStatus{Status: types.VariantStatusUpdating, StartTime: &j.since}
		way := "out"
		if v.desired < v.current {
			way = "in"
		}
		s.StatusMessage = ref(fmt.Sprintf("Scaling %s desired instance count to %d.", way, v.desired))
		return []types.ProductionVariantStatus{s}
	default:
		return []types.ProductionVariantStatus{j.status(v)}
	}
}
