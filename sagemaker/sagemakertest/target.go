package sagemakertest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
)

const (
	instanceCount = types.ScalableDimensionSageMakerVariantDesiredInstanceCount
	concurrency   = types.ScalableDimensionSageMakerVariantDesiredProvisionedConcurrency
	copyCount     = types.ScalableDimensionSageMakerInferenceComponentDesiredCopyCount
)

// What Application Auto Scaling allows an account.
const (
	maxTargets   = 500
	maxPolicies  = 50 // of a target
	maxSchedules = 200
	maxSteps     = 20 // of a policy
)

// serviceRole is what Application Auto Scaling changes endpoints as.
const serviceRole = "arn:aws:iam::" + Account + ":role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"

// targetID tells targets apart: a variant may have one in each dimension.
type targetID struct {
	resource  string
	dimension types.ScalableDimension
}

type target struct {
	targetID
	endpoint, variant string // or
	component         string
	arn               string
	min, max          int32
	suspended         suspended
	created           time.Time
	ready             time.Time // when the other calls find it
	tags              map[string]string
	policies          []*policy
	schedules         []*schedule
	clampDue          bool
}

type suspended struct{ in, out, scheduled bool }

func (t *target) clone() *target {
	c := *t
	c.tags = maps.Clone(t.tags)
	c.policies = cloneEach(t.policies)
	c.schedules = cloneEach(t.schedules)
	return &c
}

func cloneEach[T any](in []*T) []*T {
	out := slices.Clone(in)
	for i, v := range out {
		out[i] = ref(*v)
	}
	return out
}

// targetFor takes the ID of a resource apart, which may not exist.
func targetFor(ns types.ServiceNamespace, resource *string, dim types.ScalableDimension) (*target, error) {
	t := &target{targetID: targetID{str(resource), dim}}
	parts := strings.Split(t.resource, "/")
	switch {
	case ns != types.ServiceNamespaceSagemaker:
		return nil, invalid("Unsupported service namespace: %s", ns)
	case dim == copyCount && len(parts) == 2 && parts[0] == "inference-component":
		t.component = parts[1]
	case (dim == instanceCount || dim == concurrency) && len(parts) == 4 && parts[0] == "endpoint" && parts[2] == "variant":
		t.endpoint, t.variant = parts[1], parts[3]
	default:
		return nil, invalid("Unsupported service namespace, resource type or scalable dimension: %s, %s, %s", ns, t.resource, dim)
	}
	return t, nil
}

// target finds a registered target that the calls which need one see by now.
func (a *account) target(ns types.ServiceNamespace, resource *string, dim types.ScalableDimension) (*target, error) {
	id, err := targetFor(ns, resource, dim)
	if err != nil {
		return nil, err
	}
	t := a.targets[id.targetID]
	if t == nil || a.now.Before(t.ready) {
		return nil, refuse("ObjectNotFoundException", "No scalable target registered for service namespace: %s, resource ID: %s, scalable dimension: %s", ns, str(resource), dim)
	}
	return t, nil
}

// targetsOf are the targets of an endpoint's variants, in order.
func (a *account) targetsOf(e *endpoint) []*target {
	return slices.DeleteFunc(a.allTargets(), func(t *target) bool { return t.endpoint != e.name })
}

func (a *account) allTargets() []*target {
	return slices.SortedFunc(maps.Values(a.targets), func(x, y *target) int {
		return cmp.Or(strings.Compare(x.resource, y.resource), cmp.Compare(x.dimension, y.dimension))
	})
}

// scaled is what a target is about: an endpoint's variant, or a component.
func (a *account) scaled(t *target) (*endpoint, *variant, *component) {
	if t.component != "" {
		return nil, nil, a.comps[t.component]
	}
	e := a.endpoint(t.endpoint)
	if e == nil || e.name != t.endpoint {
		return nil, nil, nil
	}
	return e, e.variant(t.variant), nil
}

// capacity is what the target scales, if there is such a thing.
func (a *account) capacity(t *target) (n int32, ok bool) {
	_, v, c := a.scaled(t)
	switch {
	case c != nil:
		return c.desired, true
	case v == nil, (v.serverless != nil) != (t.dimension == concurrency):
		return 0, false
	case v.serverless != nil:
		return num(v.serverless.ProvisionedConcurrency), true
	}
	return v.desired, true
}

// setCapacity scales, if the endpoint lets it.
func (a *account) setCapacity(t *target, n int32) bool {
	e, v, c := a.scaled(t)
	switch {
	case c != nil:
		e := a.endpoint(c.endpoint)
		if c.idle() != nil || e == nil || e.status != statusInService {
			return false
		}
		a.setCopies(c, n)
		return true
	case v == nil || e.status != statusInService || e.job != nil:
		return false
	}
	a.scale(e, func() {
		if v.serverless == nil {
			v.desired = n
			return
		}
		v.serverless = clone(v.serverless)
		v.serverless.ProvisionedConcurrency = &n
		if n == 0 {
			v.serverless.ProvisionedConcurrency = nil
		}
	})
	return true
}

// clamp moves capacities into the bounds of targets that were registered or
// changed, as soon as the endpoints let it.
func (a *account) clamp() {
	for _, t := range a.allTargets() {
		n, ok := a.capacity(t)
		if !t.clampDue || !ok {
			continue
		}
		to := max(t.min, min(t.max, n))
		if e, _, c := a.scaled(t); to == n && (e == nil || e.job == nil) && (c == nil || c.job == nil) || to != n && a.setCapacity(t, to) {
			t.clampDue = false
		}
	}
}

func (a *account) registerScalableTarget(in *aas.RegisterScalableTargetInput) (*aas.RegisterScalableTargetOutput, error) {
	fresh, err := targetFor(in.ServiceNamespace, in.ResourceId, in.ScalableDimension)
	if err != nil {
		return nil, err
	}
	t, known := a.targets[fresh.targetID]
	if !known {
		if t, err = a.newTarget(fresh, in); err != nil {
			return nil, err
		}
	} else if len(in.Tags) > 0 {
		return nil, invalid("The scalable target that you tried to tag already exists. To tag an existing scalable target, use the TagResource API.")
	}
	least, most := t.min, t.max
	if in.MinCapacity != nil {
		least = *in.MinCapacity
	}
	if in.MaxCapacity != nil {
		most = *in.MaxCapacity
	}
	if err := checkBounds(least, most); err != nil {
		return nil, err
	}
	t.min, t.max = least, most
	if s := in.SuspendedState; s != nil {
		for _, f := range []struct {
			to *bool
			on *bool
		}{
			{&t.suspended.in, s.DynamicScalingInSuspended},
			{&t.suspended.out, s.DynamicScalingOutSuspended},
			{&t.suspended.scheduled, s.ScheduledScalingSuspended},
		} {
			if f.on != nil {
				*f.to = *f.on
			}
		}
	}
	t.clampDue = true // whether or not bounds were given
	a.targets[t.targetID] = t
	return &aas.RegisterScalableTargetOutput{ScalableTargetARN: &t.arn}, nil
}

func checkBounds(least, most int32) error {
	switch {
	case least < 0 || most < 0:
		return invalid("Minimum and maximum capacity cannot be less than 0")
	case least > most:
		return invalid("Maximum capacity cannot be less than minimum capacity")
	}
	return nil
}

func (a *account) newTarget(t *target, in *aas.RegisterScalableTargetInput) (*target, error) {
	if _, ok := a.capacity(t); !ok {
		return nil, invalid("The resource does not exist or cannot be scaled in this dimension: %s, %s", t.resource, t.dimension)
	}
	if _, v, _ := a.scaled(t); v != nil && strings.HasPrefix(string(v.spec.InstanceType), "ml.t") {
		return nil, invalid("Automatic scaling is not supported for burstable instances: %s", v.spec.InstanceType)
	}
	if in.MinCapacity == nil || in.MaxCapacity == nil {
		return nil, invalid("MinCapacity and MaxCapacity must be specified when registering a new scalable target")
	}
	if len(a.targets) >= maxTargets {
		return nil, refuse("LimitExceededException", "Scalable target limit of %d exceeded", maxTargets)
	}
	if err := checkTags(in.Tags, nil); err != nil {
		return nil, err
	}
	t.arn = arn("application-autoscaling", "scalable-target/"+strings.ReplaceAll(a.id(), "-", ""))
	t.created, t.ready, t.tags = a.now, a.now.Add(a.behaviour.TargetLag), in.Tags
	return t, nil
}

func (a *account) deregisterScalableTarget(in *aas.DeregisterScalableTargetInput) (*aas.DeregisterScalableTargetOutput, error) {
	id, err := targetFor(in.ServiceNamespace, in.ResourceId, in.ScalableDimension)
	if err != nil {
		return nil, err
	}
	t := a.targets[id.targetID]
	if t == nil {
		_, err := a.target(in.ServiceNamespace, in.ResourceId, in.ScalableDimension)
		return nil, err
	}
	a.removeTarget(t)
	return &aas.DeregisterScalableTargetOutput{}, nil
}

// removeTarget loses everything that hangs on a target. Alarms that users made
// stay, without the actions.
func (a *account) removeTarget(t *target) {
	for _, p := range t.policies {
		a.removePolicy(p)
	}
	delete(a.targets, t.targetID)
}

func (a *account) describeScalableTargets(in *aas.DescribeScalableTargetsInput) (*aas.DescribeScalableTargetsOutput, error) {
	if in.ServiceNamespace != types.ServiceNamespaceSagemaker {
		return &aas.DescribeScalableTargetsOutput{}, nil
	}
	var all []types.ScalableTarget
	for _, t := range a.allTargets() {
		if len(in.ResourceIds) > 0 && !slices.Contains(in.ResourceIds, t.resource) || in.ScalableDimension != "" && in.ScalableDimension != t.dimension {
			continue
		}
		all = append(all, types.ScalableTarget{
			ServiceNamespace: types.ServiceNamespaceSagemaker, ResourceId: &t.resource, ScalableDimension: t.dimension, ScalableTargetARN: &t.arn,
			MinCapacity: &t.min, MaxCapacity: &t.max, CreationTime: &t.created, RoleARN: ref(serviceRole),
			SuspendedState: &types.SuspendedState{
				DynamicScalingInSuspended: &t.suspended.in, DynamicScalingOutSuspended: &t.suspended.out, ScheduledScalingSuspended: &t.suspended.scheduled,
			},
		})
	}
	items, next, err := scalingPage(all, fmt.Sprint("targets", in.ResourceIds, in.ScalableDimension), in.NextToken, in.MaxResults, 50)
	return &aas.DescribeScalableTargetsOutput{ScalableTargets: items, NextToken: next}, err
}

// scalingPage is page with the rules of Application Auto Scaling.
func scalingPage[T any](all []T, name string, next *string, asked *int32, most int32) ([]T, *string, error) {
	n := size(asked, most)
	if n < 1 || n > most {
		return nil, nil, invalid("MaxResults must be between 1 and %d", most)
	}
	return page(all, name, next, n, refuse("InvalidNextTokenException", "The next token is invalid"))
}
