package sagemaker

import (
	"context"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
)

// Status describes the component, in one request.
//
// Desired and Serving are zero while a change is in progress: SageMaker shows
// one specification only and does not document which, and it has no summary of
// what is to come. Serving is zero as well while there is no copy, since
// nothing runs that could prove the model. The setting is [SettingCopies].
func (c *Component) Status(ctx context.Context) (endpoint.Status, error) {
	out, err := c.describe(ctx)
	if err != nil {
		return endpoint.Status{}, c.wrap("status", err)
	}
	s := componentStatus(out)
	if s.Reason != "" {
		c.secrets.learnModels(ctx, c.sm, []string{s.Desired.ID})
		s.Reason = c.secrets.hide(s.Reason)
	}
	return s, nil
}

func componentStatus(out *sm.DescribeInferenceComponentOutput) endpoint.Status {
	s := endpoint.Status{
		Identity: identity(deref(out.InferenceComponentArn), out.CreationTime), Phase: componentPhase(out.InferenceComponentStatus),
		Reason: componentReason(out), Settings: endpoint.Settings{},
	}
	if out.LastModifiedTime != nil {
		s.Generation = out.LastModifiedTime.UTC().Format(time.RFC3339Nano)
	}
	pool := endpoint.Pool{Name: deref(out.InferenceComponentName)}
	now, want := 0, 0
	if r := out.RuntimeConfig; r != nil {
		now, want = int(deref(r.CurrentCopyCount)), int(deref(r.DesiredCopyCount))
		if r.DesiredCopyCount != nil {
			s.Settings[SettingCopies] = want
		}
	}
	switch s.Phase { //nolint:exhaustive // the others have copies of which nothing is known
	case endpoint.PhaseReady:
		s.Desired = shown(out)
		pool.Ready, pool.Starting = now, max(0, want-now)
		if now > 0 {
			s.Serving = s.Desired
		}
		if now < want {
			s.Phase = endpoint.PhaseScaling
		}
	case endpoint.PhaseFailed:
		s.Desired = shown(out)
		pool.Unhealthy = now
	default:
		// Nothing shows which of them run what is to come.
		pool.Stale = now
		s.UpdateStage = endpoint.UpdateStage{Name: string(out.InferenceComponentStatus), Message: componentProgress(now, want)}
	}
	s.Pools = []endpoint.Pool{pool}
	return s
}

// componentPhase meets every status that the SDK knows with a decision. One
// that it does not know is unknown.
func componentPhase(s types.InferenceComponentStatus) endpoint.Phase {
	switch s {
	case types.InferenceComponentStatusInService:
		return endpoint.PhaseReady
	case types.InferenceComponentStatusCreating, types.InferenceComponentStatusUpdating:
		return endpoint.PhaseUpdating
	case types.InferenceComponentStatusFailed, types.InferenceComponentStatusDeleting:
		return endpoint.PhaseFailed
	}
	return endpoint.PhaseUnknown
}

// componentReason is AWS's reason, and for an end what is to be done about it.
func componentReason(out *sm.DescribeInferenceComponentOutput) string {
	why := deref(out.FailureReason)
	switch out.InferenceComponentStatus { //nolint:exhaustive // the others are no ends
	case types.InferenceComponentStatusFailed:
		if why == "" {
			why = "AWS gives no reason"
		}
		return clip("the inference component is Failed: " + why)
	case types.InferenceComponentStatusDeleting:
		return "the inference component is being deleted"
	}
	return clip(why)
}
