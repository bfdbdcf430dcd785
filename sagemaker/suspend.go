package sagemaker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	aastypes "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"

	"github.com/changeover-dev/changeover/endpoint"
)

// SuspendAutoscaling suspends or deregisters the scalable targets of the snapshot, one
// after the other, as the snapshot says for each. A target that another program
// changed since is not touched: [endpoint.ErrDrift]. It may be called again
// after any failure.
//
// The snapshot has to be kept where it survives this process before
// SuspendAutoscaling is called: deregistering destroys policies, scheduled actions and tags.
func (e *Endpoint) SuspendAutoscaling(ctx context.Context, p endpoint.AutoscalingSnapshot) error {
	return e.wrap("suspend autoscaling", e.suspend(ctx, p))
}

func (as *autoscaling) suspend(ctx context.Context, p endpoint.AutoscalingSnapshot) error {
	s, err := as.openSnapshot(p.Data)
	if err != nil {
		return err
	}
	return as.repeat(ctx, func() (bool, error) {
		progress := false
		for _, was := range s.Targets {
			wrote, err := as.suspendTarget(ctx, s, was)
			progress = progress || wrote
			if err != nil {
				return progress, fmt.Errorf("%s: %w", was, err)
			}
		}
		return progress, nil
	})
}

// suspendTarget suspends or deregisters one target. It reads right before it writes.
func (as *autoscaling) suspendTarget(ctx context.Context, of *snapshot, was *target) (wrote bool, err error) {
	st, err := as.read(ctx, &snapshot{ARN: of.ARN, Created: of.Created, Targets: []*target{was}})
	if err != nil {
		return false, err
	}
	have := st.targets[was.key()]
	switch {
	case was.Mode == AutoscalingRetain, have == nil && was.Mode == AutoscalingDeregister, st.gone(was):
		return false, nil
	case have == nil:
		return false, fmt.Errorf("it is not registered any more: %w", endpoint.ErrDrift)
	case was.Mode == AutoscalingSuspend && have.Suspended == allSuspended:
		return false, nil
	case was.Mode == AutoscalingSuspend && have.Suspended != was.Suspended:
		return false, fmt.Errorf("%s is suspended, not %s: %w", have.Suspended, was.Suspended, endpoint.ErrDrift)
	case was.Mode == AutoscalingSuspend:
		return true, as.setSuspended(ctx, was, allSuspended)
	}
	// What another program put there since would be lost without a trace.
	if ds := differ(flattenTarget(was, time.Now()), flattenTarget(have, time.Now())); ds != nil {
		return false, fmt.Errorf("%s: %w", strings.Join(ds, ", "), endpoint.ErrDrift)
	}
	_, err = call(ctx, as.aas.DeregisterScalableTarget, &aas.DeregisterScalableTargetInput{
		ServiceNamespace: aastypes.ServiceNamespaceSagemaker, ResourceId: &was.ResourceID, ScalableDimension: was.Dimension,
	}, onceAAS)
	if errors.Is(err, endpoint.ErrNotFound) {
		err = nil // gone already
	}
	return true, err
}

// setSuspended sets all three flags. What a request leaves out stays as it is,
// bounds included.
func (as *autoscaling) setSuspended(ctx context.Context, t *target, to suspended) error {
	_, err := call(ctx, as.aas.RegisterScalableTarget, &aas.RegisterScalableTargetInput{
		ServiceNamespace: aastypes.ServiceNamespaceSagemaker, ResourceId: &t.ResourceID, ScalableDimension: t.Dimension,
		SuspendedState: to.state(),
	}, onceAAS)
	return err
}

// state spells every flag out: one that is left out is not changed.
func (s suspended) state() *aastypes.SuspendedState {
	return &aastypes.SuspendedState{
		DynamicScalingInSuspended: &s.In, DynamicScalingOutSuspended: &s.Out, ScheduledScalingSuspended: &s.Scheduled,
	}
}

// How often a pass over all targets is begun again without having got any
// further, and how long it waits before that.
const (
	maxPasses = 6
	firstGap  = time.Second
	lastGap   = 15 * time.Second
)

// repeat begins pass again after errors that pass by: AWS is eventually
// consistent after a registration, refuses concurrent updates, throttles, and
// fails now and then. Every pass reads first, so nothing is sent blindly.
func (as *autoscaling) repeat(ctx context.Context, pass func() (progress bool, err error)) error {
	gap := firstGap
	for n := 1; ; n++ {
		progress, err := pass()
		if progress {
			n, gap = 1, firstGap
		}
		passing := endpoint.Transient(err) || errors.Is(err, errPassing)
		if err == nil || !passing || n >= maxPasses {
			return err
		}
		if perr := pause(ctx, max(gap, endpoint.RetryAfter(err))); perr != nil {
			return errors.Join(perr, err)
		}
		gap = min(2*gap, lastGap)
	}
}

// errPassing marks an error of which AWS says that it passes by.
var errPassing = errors.New("not yet")
