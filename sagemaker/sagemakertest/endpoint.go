package sagemakertest

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

const statusInService = types.EndpointStatusInService

// endpoint is an endpoint with the fleet that it serves with.
type endpoint struct {
	name, arn         string
	config            *config // what is served, even if it was deleted since
	status            types.EndpointStatus
	created, modified time.Time
	updated           time.Time // when the last UpdateEndpoint began
	reason            string
	mixed             string // the other config that is served, after a rollback that failed
	variants, shadows []*variant
	last              *types.DeploymentConfig
	job               *job          // what is in progress
	maintenance       time.Duration // that is to begin as soon as nothing is in progress
	tags              map[string]string
}

// variant is one variant of a fleet.
type variant struct {
	name            string
	spec            types.ProductionVariant
	desired         int32
	current         int32
	weight, traffic float32 // desired and current weight
	serverless      *types.ProductionVariantServerlessConfig
	served          *types.ProductionVariantServerlessConfig // what of it is in effect
	images          []types.DeployedImage
}

func (v *variant) clone() *variant { c := *v; return &c }

// land lets what is desired be what is.
func (v *variant) land() { v.current, v.traffic, v.served = v.desired, v.weight, v.serverless }

func (e *endpoint) clone() *endpoint {
	c := *e
	c.variants, c.shadows = cloneVariants(e.variants), cloneVariants(e.shadows)
	c.tags = maps.Clone(e.tags)
	if e.job != nil {
		c.job = e.job.clone()
	}
	return &c
}

func cloneVariants(in []*variant) []*variant {
	out := slices.Clone(in)
	for i, v := range out {
		out[i] = v.clone()
	}
	return out
}

// all are the variants, the shadows last.
func (e *endpoint) all() []*variant { return slices.Concat(e.variants, e.shadows) }

func (e *endpoint) variant(name string) *variant {
	for _, v := range e.all() {
		if v.name == name {
			return v
		}
	}
	return nil
}

func endpointARN(name string) string { return arn("sagemaker", "endpoint/"+strings.ToLower(name)) }

// find is an endpoint that must be there.
func (a *account) find(name string) (*endpoint, error) {
	e := a.endpoint(name)
	if e == nil {
		return nil, invalid("Could not find endpoint %q.", endpointARN(name))
	}
	return e, nil
}

// modified is the LastModifiedTime of an endpoint.
func (a *account) modified(e *endpoint) time.Time {
	if a.behaviour.RareTimes {
		return e.updated
	}
	return e.modified
}

// idle refuses what cannot be done to an endpoint now.
func (e *endpoint) idle(statuses ...types.EndpointStatus) error {
	switch {
	case slices.Contains(statuses, e.status):
		return nil
	case e.status == types.EndpointStatusFailed, e.status == types.EndpointStatusUpdateRollbackFailed, e.status == types.EndpointStatusOutOfService:
		return invalid("Cannot update endpoint %q in status %s.", e.arn, e.status)
	default:
		return invalid("Cannot update in-progress endpoint %q.", e.arn)
	}
}

// fleet makes the variants of a config as they are deployed without a past.
func (a *account) fleet(specs []types.ProductionVariant) []*variant {
	var out []*variant
	for _, s := range specs {
		v := &variant{
			name: str(s.VariantName), spec: s, desired: num(s.InitialInstanceCount), weight: 1, serverless: s.ServerlessConfig,
			images: a.images(str(s.ModelName)),
		}
		if s.InitialVariantWeight != nil {
			v.weight = *s.InitialVariantWeight
		}
		out = append(out, v)
	}
	return out
}

func (a *account) createEndpoint(in *sagemaker.CreateEndpointInput) (*sagemaker.CreateEndpointOutput, error) {
	name := str(in.EndpointName)
	if a.endpoint(name) != nil {
		return nil, invalid("Cannot create already existing endpoint %q.", endpointARN(name))
	}
	c, err := a.usable(str(in.EndpointConfigName))
	if err != nil {
		return nil, err
	}
	tags, err := newTags(in.Tags)
	if err != nil {
		return nil, err
	}
	e := &endpoint{
		name: name, arn: endpointARN(name), config: c, status: types.EndpointStatusCreating, created: a.now, modified: a.now, updated: a.now,
		variants: a.fleet(c.in.ProductionVariants), shadows: a.fleet(c.in.ShadowProductionVariants), last: in.DeploymentConfig, tags: tags,
	}
	if err := a.quota(e.demand(e.all(), 1)); err != nil {
		return nil, err
	}
	e.job = a.creation(c)
	a.endpoints[strings.ToLower(name)] = e
	return &sagemaker.CreateEndpointOutput{EndpointArn: &e.arn}, nil
}

// deleteEndpoint takes the scalable targets of the endpoint with it.
func (a *account) deleteEndpoint(in *sagemaker.DeleteEndpointInput) (*sagemaker.DeleteEndpointOutput, error) {
	e, err := a.find(str(in.EndpointName))
	if err != nil {
		return nil, err
	}
	if err := e.idle(statusInService, types.EndpointStatusFailed, types.EndpointStatusOutOfService, types.EndpointStatusUpdateRollbackFailed); err != nil {
		return nil, err
	}
	if names := a.componentsOf(e); names != nil {
		return nil, invalid("Cannot delete endpoint %q, which hosts inference components: %v.", e.arn, names)
	}
	for _, t := range a.targetsOf(e) {
		a.removeTarget(t)
	}
	delete(a.endpoints, strings.ToLower(e.name))
	return &sagemaker.DeleteEndpointOutput{}, nil
}

func (a *account) describeEndpoint(in *sagemaker.DescribeEndpointInput) (*sagemaker.DescribeEndpointOutput, error) {
	e, err := a.find(str(in.EndpointName))
	if err != nil {
		return nil, err
	}
	out := &sagemaker.DescribeEndpointOutput{
		CreationTime: &e.created, EndpointArn: &e.arn, EndpointName: &e.name, EndpointStatus: e.status, LastModifiedTime: ref(a.modified(e)),
		EndpointConfigName: &e.config.name, LastDeploymentConfig: e.last, ProductionVariants: a.summaries(e, e.variants),
		ShadowProductionVariants: a.summaries(e, e.shadows), AsyncInferenceConfig: e.config.in.AsyncInferenceConfig,
		ExplainerConfig: e.config.in.ExplainerConfig, MetricsConfig: e.config.in.MetricsConfig, PendingDeploymentSummary: e.pending(),
	}
	if e.reason != "" {
		out.FailureReason = &e.reason
	}
	if out.PendingDeploymentSummary != nil && a.behaviour.NewNameWhileUpdating {
		out.EndpointConfigName = out.PendingDeploymentSummary.EndpointConfigName
	}
	if d := e.config.in.DataCaptureConfig; d != nil {
		status := types.CaptureStatusStopped
		if yes(d.EnableCapture) {
			status = types.CaptureStatusStarted
		}
		out.DataCaptureConfig = &types.DataCaptureConfigSummary{
			CaptureStatus: status, CurrentSamplingPercentage: d.InitialSamplingPercentage, DestinationS3Uri: d.DestinationS3Uri,
			EnableCapture: ref(yes(d.EnableCapture)), KmsKeyId: ref(str(d.KmsKeyId)),
		}
	}
	return out, nil
}

func (a *account) summaries(e *endpoint, vs []*variant) []types.ProductionVariantSummary {
	var out []types.ProductionVariantSummary
	for _, v := range vs {
		s := types.ProductionVariantSummary{
			VariantName: &v.name, DeployedImages: v.images, CurrentWeight: &v.traffic, DesiredWeight: &v.weight,
			ManagedInstanceScaling: v.spec.ManagedInstanceScaling, RoutingConfig: v.spec.RoutingConfig,
			CurrentServerlessConfig: v.served, DesiredServerlessConfig: v.serverless,
			AcceleratorPartitionLayouts: v.spec.AcceleratorPartitionLayouts, CapacityReservationConfig: a.reservationSummary(e, v),
			InstancePools: poolSummaries(v.spec.InstancePools, v.current), VariantStatus: e.job.scalingStatus(v),
		}
		// A serverless variant has no instances to count.
		if v.serverless == nil {
			s.CurrentInstanceCount, s.DesiredInstanceCount = &v.current, &v.desired
		}
		out = append(out, s)
	}
	return out
}

// poolSummaries has all instances in the pool of the highest priority.
func poolSummaries(in []types.InstancePool, n int32) []types.InstancePoolSummary {
	var out []types.InstancePoolSummary
	for i, p := range in {
		s := types.InstancePoolSummary{InstanceType: p.InstanceType, CurrentInstanceCount: ref(int32(0))}
		if i == 0 {
			s.CurrentInstanceCount = &n
		}
		out = append(out, s)
	}
	return out
}
