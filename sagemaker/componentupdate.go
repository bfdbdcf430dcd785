package sagemaker

import (
	"context"
	"errors"
	"fmt"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
)

// Update asks SageMaker to replace the component's model by c.To, by the
// [ComponentUpdateOptions] in c.Options. It reads the component first, and sends
// the whole specification that it has now with the new model, and no count of
// copies. A specification that was changed since c.To was resolved is
// [endpoint.ErrDrift], and nothing is sent. An update in progress is
// [endpoint.ErrBusy]. Nothing is sent twice.
func (c *Component) Update(ctx context.Context, ch endpoint.Change) error {
	return c.wrap("update", c.update(ctx, ch))
}

func (c *Component) update(ctx context.Context, ch endpoint.Change) error {
	if ch.To.Kind != KindModel || !componentName.MatchString(ch.To.ID) {
		return invalid("revision %s: want one of kind %q with a name: resolve it first", ch.To, KindModel)
	}
	o, err := c.optionsOf(ch)
	if err != nil {
		return err
	}
	live, err := c.describe(ctx)
	if err != nil {
		return err
	}
	if componentPhase(live.InferenceComponentStatus) == endpoint.PhaseUpdating {
		return fmt.Errorf("the inference component is %s: %w", live.InferenceComponentStatus, endpoint.ErrBusy)
	}
	specs, err := specificationsOf(live)
	if err != nil {
		return err
	}
	specs = withModel(specs, ch.To.ID)
	if is := revisionOf(specs); ch.To.Digest != "" && is.Digest != ch.To.Digest {
		return fmt.Errorf("the rest of the specification is another one than when the change was planned (%s, was %s): %w: %w",
			is.Digest, ch.To.Digest, endpoint.ErrDrift, endpoint.ErrInvalid)
	}
	if ch.Rollback {
		o = o.rollback(copiesOf(live))
	}
	in := &sm.UpdateInferenceComponentInput{InferenceComponentName: &c.name, DeploymentConfig: o.DeploymentConfig}
	if len(live.Specifications) > 0 {
		in.Specifications = specs
	} else {
		in.Specification = &specs[0]
	}
	_, err = call(ctx, c.sm.UpdateInferenceComponent, in, onceSM)
	return c.busy(ctx, err)
}

// copiesOf is how many copies a component is to have.
func copiesOf(out *sm.DescribeInferenceComponentOutput) int {
	if out.RuntimeConfig == nil {
		return 0
	}
	return int(deref(out.RuntimeConfig.DesiredCopyCount))
}

// Set changes how many copies the component has. SageMaker refuses it while a
// change is in progress: [endpoint.ErrBusy].
func (c *Component) Set(ctx context.Context, key string, value int) error {
	return c.wrap("set "+clip(key), c.set(ctx, key, value))
}

func (c *Component) set(ctx context.Context, key string, value int) error {
	if err := checkCopies(key, value); err != nil {
		return err
	}
	_, err := call(ctx, c.sm.UpdateInferenceComponentRuntimeConfig, &sm.UpdateInferenceComponentRuntimeConfigInput{
		InferenceComponentName: &c.name,
		DesiredRuntimeConfig:   &types.InferenceComponentRuntimeConfig{CopyCount: ptr(int32(value))}, //nolint:gosec // checkCopies bounds it
	}, onceSM)
	return c.busy(ctx, err)
}

// busy tells a refusal because of a change in progress from others by reading:
// AWS does not document its words.
func (c *Component) busy(ctx context.Context, refused error) error {
	if !errors.Is(refused, endpoint.ErrInvalid) {
		return refused
	}
	live, err := c.describe(ctx)
	if err != nil || componentPhase(live.InferenceComponentStatus) != endpoint.PhaseUpdating {
		return refused
	}
	return fmt.Errorf("%w: the inference component is %s: %s", endpoint.ErrBusy, live.InferenceComponentStatus, refused.Error())
}

func checkCopies(key string, value int) error {
	switch {
	case key != SettingCopies:
		return invalid("setting %q: an inference component has %s", key, SettingCopies)
	case value < 0 || value > 1<<20:
		return invalid("%s=%d", key, value)
	}
	return nil
}

// EstimateDuration is the time that the component is configured to take: for
// each batch the time that a copy is given to load its model and to become
// healthy, and the waits between batches, or the deployment's time limit if
// that is longer.
func (c *Component) EstimateDuration(ctx context.Context, ch endpoint.Change) (time.Duration, error) {
	d, err := c.estimate(ctx, ch)
	return d, c.wrap("estimate duration", err)
}

func (c *Component) estimate(ctx context.Context, ch endpoint.Change) (time.Duration, error) {
	o, err := c.optionsOf(ch)
	if err != nil {
		return 0, err
	}
	live, err := c.describe(ctx)
	if err != nil {
		return 0, err
	}
	if ch.Rollback {
		o = o.rollback(copiesOf(live))
	}
	n, wait, limit := o.times(copiesOf(live))
	return max(limit, addTimes(times(componentStart(live), n), times(wait, n))), nil
}

// times are the number of batches, the wait after each, and the time limit of a
// deployment of n copies.
func (o ComponentUpdateOptions) times(n int) (batches int, wait, limit time.Duration) {
	if o.DeploymentConfig == nil || o.DeploymentConfig.RollingUpdatePolicy == nil {
		return 1, 0, 0
	}
	p := o.DeploymentConfig.RollingUpdatePolicy
	return componentSizes(o.DeploymentConfig)[0].parts(n), seconds(p.WaitIntervalInSeconds), seconds(p.MaximumExecutionTimeoutInSeconds)
}

// componentStart is the longest time that a new copy is given to start.
func componentStart(out *sm.DescribeInferenceComponentOutput) time.Duration {
	var longest time.Duration
	for _, s := range summaries(out) {
		if p := s.StartupParameters; p != nil {
			longest = max(longest, seconds(p.ModelDataDownloadTimeoutInSeconds)+seconds(p.ContainerStartupHealthCheckTimeoutInSeconds))
		}
	}
	return longest
}

func componentProgress(now, want int) string {
	return fmt.Sprintf("%d copies, wants %d", now, want)
}
