package sagemaker

import (
	"context"
	"errors"
	"slices"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"

	"github.com/changeover-dev/changeover/endpoint"
)

// resource is the component as a scalable target.
func (c *Component) resource() map[string]string {
	return map[string]string{"inference-component/" + c.name: ""}
}

// SnapshotAutoscaling reads the scalable target of the component with
// policies, scheduled actions and tags. It is suspended, or with
// [AutoscalingRetain] left alone; it is never deregistered, since no update of a
// component asks for that.
func (c *Component) SnapshotAutoscaling(ctx context.Context, ch endpoint.Change) (endpoint.AutoscalingSnapshot, error) {
	p, err := c.snapshot(ctx, ch)
	return p, c.wrap("snapshot", err)
}

func (c *Component) snapshot(ctx context.Context, ch endpoint.Change) (endpoint.AutoscalingSnapshot, error) {
	var none endpoint.AutoscalingSnapshot
	if _, err := c.optionsOf(ch); err != nil {
		return none, err
	}
	live, err := c.describe(ctx)
	if err != nil {
		return none, err
	}
	s, err := c.take(ctx, ownerOfComponent(live), c.resource(), func(*target) AutoscalingMode {
		if c.mode == AutoscalingRetain {
			return AutoscalingRetain
		}
		return AutoscalingSuspend
	})
	if err != nil {
		return none, err
	}
	p := endpoint.AutoscalingSnapshot{Summary: s.summary(time.Now()), Max: endpoint.Settings{}}
	for _, t := range s.Targets {
		p.Max[SettingCopies] = int(t.Max)
		if t.moves() {
			p.Autoscaled = []string{SettingCopies}
		}
	}
	p.Data, err = encode(s)
	return p, err
}

// SuspendAutoscaling suspends the scalable target of the snapshot, as
// [Endpoint.SuspendAutoscaling] does.
func (c *Component) SuspendAutoscaling(ctx context.Context, p endpoint.AutoscalingSnapshot) error {
	return c.wrap("suspend autoscaling", c.suspend(ctx, p))
}

// RestoreAutoscaling puts autoscaling back as [Endpoint.RestoreAutoscaling] does.
func (c *Component) RestoreAutoscaling(ctx context.Context, p endpoint.AutoscalingSnapshot) error {
	s, err := c.openSnapshot(p.Data)
	if err == nil {
		err = c.restore(ctx, s)
	}
	return c.wrap("restore autoscaling", err)
}

// InspectAutoscaling compares autoscaling with the snapshot as
// [Endpoint.InspectAutoscaling] does.
func (c *Component) InspectAutoscaling(ctx context.Context, p endpoint.AutoscalingSnapshot) (endpoint.AutoscalingState, error) {
	is, err := c.inspect(ctx, p)
	return is, c.wrap("inspect autoscaling", err)
}

// MissedActions are the scheduled actions that were due while autoscaling was
// suspended, as for [Endpoint.MissedActions].
func (c *Component) MissedActions(p endpoint.AutoscalingSnapshot, from, to time.Time) ([]Missed, error) {
	all, err := c.missed(p, from, to)
	return all, c.wrap("missed actions", err)
}

// adapters are the components of the endpoint that are adapters of this one.
func (c *Component) adapters(ctx context.Context) ([]string, error) {
	var names []string
	err := pages(func(token *string) (*string, error) {
		list, err := call(ctx, c.sm.ListInferenceComponents, &sm.ListInferenceComponentsInput{EndpointNameEquals: &c.endpoint, NextToken: token})
		if err != nil {
			return nil, err
		}
		for _, other := range list.InferenceComponents {
			if deref(other.InferenceComponentName) == c.name {
				continue
			}
			out, err := call(ctx, c.sm.DescribeInferenceComponent, &sm.DescribeInferenceComponentInput{InferenceComponentName: other.InferenceComponentName})
			if errors.Is(err, endpoint.ErrNotFound) {
				continue // it was deleted since
			}
			if err != nil {
				return nil, err
			}
			for _, s := range summaries(out) {
				if deref(s.BaseInferenceComponentName) == c.name {
					names = append(names, deref(other.InferenceComponentName))
				}
			}
		}
		return list.NextToken, nil
	})
	slices.Sort(names)
	return names, err
}
