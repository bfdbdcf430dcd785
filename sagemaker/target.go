package sagemaker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	aastypes "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"

	"github.com/changeover-dev/changeover/endpoint"
)

// target is a scalable target with everything that hangs on it.
type target struct {
	ResourceID string
	Dimension  aastypes.ScalableDimension
	Variant    string // empty for an inference component
	// Mode is what suspending does to it: retain, suspend or deregister.
	Mode      AutoscalingMode
	ARN, Role string // made by AWS, kept for people
	Min, Max  int32
	Suspended suspended
	Tags      map[string]string
	Policies  []policy
	Schedules []schedule
}

// suspended are the kinds of scaling that a target does not carry out.
type suspended struct{ In, Out, Scheduled bool }

// allSuspended is how SuspendAutoscaling leaves a target that it suspends, and how RestoreAutoscaling
// registers one, so that half a set of policies never acts.
var allSuspended = suspended{In: true, Out: true, Scheduled: true}

func (s suspended) String() string {
	var on []string
	for _, k := range []struct {
		name string
		is   bool
	}{{"scale-in", s.In}, {"scale-out", s.Out}, {"scheduled", s.Scheduled}} {
		if k.is {
			on = append(on, k.name)
		}
	}
	if on == nil {
		return "nothing"
	}
	return strings.Join(on, "+")
}

type policy struct {
	Name, ARN      string
	Type           aastypes.PolicyType
	Step           *aastypes.StepScalingPolicyConfiguration
	TargetTracking *aastypes.TargetTrackingScalingPolicyConfiguration
	// Alarms of a step policy were made by people; those of a target-tracking
	// policy come and go with it.
	Alarms []string
}

type schedule struct {
	Name, Schedule, Timezone string
	Start, End               *time.Time
	Min, Max                 *int32
	Created                  time.Time
}

// alarm is a user's alarm with the actions that it has.
type alarm struct {
	Name                        string
	Alarm, OK, InsufficientData []string
}

// key tells targets apart: one resource can have two dimensions.
func (t *target) key() string { return t.ResourceID + " " + string(t.Dimension) }

// String names the target for people: "variant main", "variant main (concurrency)".
func (t *target) String() string {
	switch {
	case t.Variant == "":
		return t.ResourceID
	case t.Dimension == aastypes.ScalableDimensionSageMakerVariantDesiredProvisionedConcurrency:
		return "variant " + t.Variant + " (concurrency)"
	}
	return "variant " + t.Variant
}

// setting is the key of what the target moves; empty if that is none of the
// endpoint's settings.
func (t *target) setting() string {
	switch {
	case t.Variant == "":
		return ""
	case t.Dimension == aastypes.ScalableDimensionSageMakerVariantDesiredProvisionedConcurrency:
		return concurrencyKey(t.Variant)
	}
	return instancesKey(t.Variant)
}

// moves reports whether autoscaling moves the capacity by itself.
func (t *target) moves() bool {
	return len(t.Policies) > 0 && (!t.Suspended.In || !t.Suspended.Out) || len(t.Schedules) > 0 && !t.Suspended.Scheduled
}

func (t *target) policy(name string) *policy {
	if i := slices.IndexFunc(t.Policies, func(p policy) bool { return p.Name == name }); i >= 0 {
		return &t.Policies[i]
	}
	return nil
}

func (t *target) hasSchedule(name string) bool {
	return slices.ContainsFunc(t.Schedules, func(s schedule) bool { return s.Name == name })
}

// state is what was read of autoscaling.
type state struct {
	targets map[string]*target
	alarms  map[string]*alarm
	// variants are those that the endpoint has.
	variants map[string]bool
}

// gone reports whether the target's variant is not there any more, so that
// there is nothing to register. An endpoint that shows no variant at all has
// failed, and tells nothing.
func (st *state) gone(t *target) bool {
	return t.Variant != "" && len(st.variants) > 0 && !st.variants[t.Variant]
}

// ownerOf is the endpoint as what scalable targets belong to.
func ownerOf(out *sm.DescribeEndpointOutput) owner {
	return owner{arn: deref(out.EndpointArn), created: deref(out.CreationTime), variants: variantsOf(out)}
}

// variantsOf are the names of the endpoint's variants, shadow variants included.
func variantsOf(out *sm.DescribeEndpointOutput) []string {
	var names []string
	for _, v := range slices.Concat(out.ProductionVariants, out.ShadowProductionVariants) {
		names = append(names, deref(v.VariantName))
	}
	return names
}

// resources are the resources that may be scalable targets, each with its
// variant. Ids are built from what AWS spells, since names keep the case in
// which they were given.
func (e *Endpoint) resources(ctx context.Context, out *sm.DescribeEndpointOutput) (map[string]string, error) {
	ids := map[string]string{}
	for _, v := range variantsOf(out) {
		ids["endpoint/"+deref(out.EndpointName)+"/variant/"+v] = v
	}
	err := pages(func(token *string) (*string, error) {
		list, err := call(ctx, e.sm.ListInferenceComponents, &sm.ListInferenceComponentsInput{EndpointNameEquals: out.EndpointName, NextToken: token})
		if err != nil {
			return nil, err
		}
		for _, c := range list.InferenceComponents {
			ids["inference-component/"+deref(c.InferenceComponentName)] = ""
		}
		return list.NextToken, nil
	})
	return ids, err
}

// maxResources is how many resources AWS takes in one DescribeScalableTargets.
const maxResources = 50

// targets reads the scalable targets of resources, whatever their dimension,
// without what hangs on them.
func (as *autoscaling) targets(ctx context.Context, ids map[string]string) ([]*target, error) {
	var all []*target
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(ids)), maxResources) {
		err := pages(func(token *string) (*string, error) {
			out, err := call(ctx, as.aas.DescribeScalableTargets, &aas.DescribeScalableTargetsInput{
				ServiceNamespace: aastypes.ServiceNamespaceSagemaker, ResourceIds: chunk, NextToken: token,
			})
			if err != nil {
				return nil, err
			}
			for i := range out.ScalableTargets {
				t := &out.ScalableTargets[i]
				variant, asked := ids[deref(t.ResourceId)]
				if !asked {
					continue
				}
				all = append(all, &target{
					ResourceID: deref(t.ResourceId), Dimension: t.ScalableDimension, Variant: variant,
					ARN: deref(t.ScalableTargetARN), Role: deref(t.RoleARN), Min: deref(t.MinCapacity), Max: deref(t.MaxCapacity),
					Suspended: suspendedOf(t.SuspendedState),
				})
			}
			return out.NextToken, nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b *target) int { return strings.Compare(a.key(), b.key()) })
	return all, nil
}

func suspendedOf(s *aastypes.SuspendedState) suspended {
	if s == nil {
		return suspended{}
	}
	return suspended{
		In: deref(s.DynamicScalingInSuspended), Out: deref(s.DynamicScalingOutSuspended), Scheduled: deref(s.ScheduledScalingSuspended),
	}
}

// complete reads what hangs on a target.
func (as *autoscaling) complete(ctx context.Context, t *target) error {
	if err := as.policies(ctx, t); err != nil {
		return err
	}
	if err := as.schedules(ctx, t); err != nil {
		return err
	}
	if t.ARN == "" {
		return nil // registered before targets had ARNs: it has no tags
	}
	out, err := call(ctx, as.aas.ListTagsForResource, &aas.ListTagsForResourceInput{ResourceARN: &t.ARN})
	if errors.Is(err, endpoint.ErrNotFound) {
		return nil // it is gone by now, which the next poll shows
	}
	if err != nil {
		return err
	}
	for k, v := range out.Tags {
		if !strings.HasPrefix(k, "aws:") {
			if t.Tags == nil {
				t.Tags = map[string]string{}
			}
			t.Tags[k] = v
		}
	}
	return nil
}

func (as *autoscaling) policies(ctx context.Context, t *target) error {
	return pages(func(token *string) (*string, error) {
		out, err := call(ctx, as.aas.DescribeScalingPolicies, &aas.DescribeScalingPoliciesInput{
			ServiceNamespace: aastypes.ServiceNamespaceSagemaker, ResourceId: &t.ResourceID, ScalableDimension: t.Dimension, NextToken: token,
		})
		if err != nil {
			return nil, err
		}
		for _, p := range out.ScalingPolicies {
			q := policy{
				Name: deref(p.PolicyName), ARN: deref(p.PolicyARN), Type: p.PolicyType,
				Step: p.StepScalingPolicyConfiguration, TargetTracking: p.TargetTrackingScalingPolicyConfiguration,
			}
			if q.Type == aastypes.PolicyTypeStepScaling {
				for _, a := range p.Alarms {
					q.Alarms = append(q.Alarms, deref(a.AlarmName))
				}
			}
			t.Policies = append(t.Policies, q)
		}
		return out.NextToken, nil
	})
}

func (as *autoscaling) schedules(ctx context.Context, t *target) error {
	return pages(func(token *string) (*string, error) {
		out, err := call(ctx, as.aas.DescribeScheduledActions, &aas.DescribeScheduledActionsInput{
			ServiceNamespace: aastypes.ServiceNamespaceSagemaker, ResourceId: &t.ResourceID, ScalableDimension: t.Dimension, NextToken: token,
		})
		if err != nil {
			return nil, err
		}
		for _, s := range out.ScheduledActions {
			a := schedule{
				Name: deref(s.ScheduledActionName), Schedule: deref(s.Schedule), Timezone: deref(s.Timezone),
				Start: s.StartTime, End: s.EndTime, Created: deref(s.CreationTime),
			}
			if s.ScalableTargetAction != nil {
				a.Min, a.Max = s.ScalableTargetAction.MinCapacity, s.ScalableTargetAction.MaxCapacity
			}
			t.Schedules = append(t.Schedules, a)
		}
		return out.NextToken, nil
	})
}

// kind refuses policies that cannot be put back.
func (t *target) kind() error {
	for _, p := range t.Policies {
		known := p.Type == aastypes.PolicyTypeStepScaling && p.Step != nil ||
			p.Type == aastypes.PolicyTypeTargetTrackingScaling && p.TargetTracking != nil
		if !known {
			return fmt.Errorf("policy %s of %s is of type %s, which could not be put back: %w", p.Name, t, p.Type, errors.ErrUnsupported)
		}
	}
	return nil
}
