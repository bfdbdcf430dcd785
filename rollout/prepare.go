package rollout

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/strategy"
)

// Preview reads the endpoint and returns the plan that [Run] would carry out.
// It changes nothing. It refuses what Run refuses, except for a journal, which
// it does not read. The plan of an endpoint that serves the target already
// has no steps.
func Preview(ctx context.Context, u endpoint.Updater, s strategy.Strategy, t Target, opts ...Option) (*strategy.Plan, error) {
	o := newOptions(opts)
	err := errors.Join(o.check("Preview", "WithForward", "WithResumeFirst"), checkUpdater(u))
	if err == nil {
		err = checkMove(u, s, t)
	}
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, refusal(nameOf(u), err)
	}
	r := newRollout(nil, u, o)
	r.begin = func(ctx context.Context, status endpoint.Status) (*strategy.Plan, error) {
		return prepare(ctx, r.u, s, t, status, r.options)
	}
	r.machine = core.New(&core.Ledger{Endpoint: u.Name()}, r.policy(core.Policy{PlanOnly: true}), time.Now())
	defer r.Close()
	if _, err := r.loop(ctx); err != nil {
		return nil, err
	}
	return r.machine.Planned(), nil
}

// readTime is how long one of the reads that a plan needs may take. Each may be
// many calls of the provider.
const readTime = 2 * time.Minute

// prepare reads what a plan needs, makes the plan and has it checked. All of
// it only reads.
func prepare(ctx context.Context, u endpoint.Updater, s strategy.Strategy, t Target, status endpoint.Status, o options) (*strategy.Plan, error) {
	paused := status.Phase == endpoint.PhasePaused
	if paused && !o.allowPaused {
		return nil, fmt.Errorf(
			"%s: %w: %s is 0, which may be what an accident left; set it, or agree to leave the endpoint paused again",
			u.Name(), endpoint.ErrPaused, endpoint.WorkersMax)
	}
	target, draft, err := t.resolve(ctx, u, s, status.Desired)
	if err != nil {
		return nil, err
	}
	plan := &strategy.Plan{
		Version: strategy.FormatVersion, Rollout: newRolloutName(), Endpoint: u.Name(), Identity: status.Identity, Strategy: s.String(), Label: o.label,
		Source: status.Desired, Target: target, Options: o.change, Draft: draft,
		Settings: status.Settings.Clone(), Settle: o.settle,
	}
	if serves(status, target) {
		plan.Notes = []string{"the endpoint serves the target already"}
		return plan, nil
	}
	pre, checks := endpoint.As[endpoint.Preflighter](u)
	// A provider that checks knows better what else of a revision makes a
	// difference to what runs.
	if !checks && target.Artifact != "" && target.Artifact == status.Desired.Artifact {
		return nil, fmt.Errorf("%s: %w: %s and %s both run %s, so nothing that runs would change; give the new one a name of its own",
			u.Name(), endpoint.ErrSameArtifact, status.Desired, target, target.Artifact)
	}
	facts := strategy.Facts{
		Status: status, Target: target, Draft: draft, Prove: o.prove,
		Bake: o.bake, Approvals: o.approvals, Settle: o.settle, StepTimeout: o.patience,
	}
	for _, c := range o.rules {
		facts.Checks = append(facts.Checks, c.WithDefaults())
	}
	plan.Checks = facts.Checks
	if _, splits := s.(interface{ SplitsTraffic() }); splits {
		canary, err := ability(ctx, u, "the draft of the canary", readTime, func(ctx context.Context, s endpoint.Shifter) (endpoint.Canary, error) {
			return s.DraftCanary(ctx, plan.Source, target, draft)
		})
		if err != nil {
			return nil, err
		}
		plan.Canary, facts.Canary = &canary, &canary
	}
	if pacer, ok := endpoint.As[endpoint.DurationEstimator](u); ok {
		pace, err := call(ctx, "the estimate of the duration", readTime, func(ctx context.Context) (time.Duration, error) {
			return pacer.EstimateDuration(ctx, core.Change(plan, false))
		})
		if err != nil {
			return nil, err
		}
		facts.StepTimeout = facts.StepTimeout + min(max(0, pace), math.MaxInt64-facts.StepTimeout)
	}
	facts.StepTimeout = min(facts.StepTimeout, core.NoLimit) // other times are added to it
	if err := protectPlan(ctx, plan, u, s); err != nil {
		return nil, err
	}
	facts.Autoscaling = plan.Autoscaling
	made, err := s.Plan(facts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.Name(), err)
	}
	plan.Forward, plan.Rollback, plan.Downtime, plan.Notes = made.Forward, made.Rollback, made.Downtime, made.Notes
	if slices.ContainsFunc(plan.Forward, func(s strategy.Step) bool { return s.Do == strategy.ActionProbe }) {
		if plan.Probe = o.probe; o.job == nil {
			return nil, fmt.Errorf("%s: %w: there is no job to prove the target by", u.Name(), endpoint.ErrInvalid)
		}
	}
	if o.override != "" {
		plan.Notes = append(plan.Notes, "a freeze window is overridden: "+o.override)
	}
	if paused {
		plan.Notes = append(plan.Notes, "the endpoint is paused, and is left paused")
	}
	if err := needs(plan, u); err != nil {
		return nil, err
	}
	if checks {
		cautions, err := call(ctx, "preflight", readTime, func(ctx context.Context) ([]string, error) {
			return pre.Preflight(ctx, core.Change(plan, false), core.Highest(plan))
		})
		if err != nil {
			return nil, err
		}
		plan.Notes = append(plan.Notes, cautions...)
	}
	return plan, plan.Check()
}

// protect asks for a snapshot if the provider has autoscaling. The one that
// is restored is taken again when the step begins. Where the strategy protects
// nothing, what counts is which settings autoscaling moves; who may not look at
// it does without that, and finds such a move among other people's changes.
func protectPlan(ctx context.Context, p *strategy.Plan, u endpoint.Updater, s strategy.Strategy) error {
	if _, ok := endpoint.As[endpoint.AutoscalingSuspender](u); !ok {
		return nil
	}
	snapshot, err := snapshot(ctx, u, core.Change(p, false), readTime)
	_, protects := s.(interface{ SuspendsAutoscaling() })
	switch {
	case protects && err == nil:
		p.Autoscaling = &snapshot
	case !protects && (err == nil || errors.Is(err, endpoint.ErrUnauthorized)):
		p.Autoscaled = snapshot.Autoscaled
	default:
		return err
	}
	p.ResetTo = snapshot.ResetTo
	return nil
}

// serves reports whether the endpoint serves the target already, at rest.
func serves(s endpoint.Status, target endpoint.Revision) bool {
	proven := s.Serving.Same(target) && !s.Mixed
	idle := s.Unproven() && s.Phase != endpoint.PhaseScaling
	return s.Desired.Same(target) && (proven || idle) && slices.Contains(
		[]endpoint.Phase{endpoint.PhaseReady, endpoint.PhaseScaling, endpoint.PhasePaused}, s.Phase)
}

// newRolloutName makes a name that sorts by time and does not repeat.
func newRolloutName() string {
	return fmt.Sprintf("%s-%06x", time.Now().UTC().Format("20060102-150405"), rand.IntN(1<<24)) //nolint:gosec // not a secret
}

// needs refuses a plan whose steps the endpoint has not the abilities for.
func needs(p *strategy.Plan, u endpoint.Updater) error {
	for _, s := range slices.Concat(p.Forward, p.Rollback) {
		var err error
		switch s.Do {
		case strategy.ActionStage, strategy.ActionStageCanary:
			_, err = endpoint.Need[endpoint.Stager](u)
		case strategy.ActionSuspendAutoscaling, strategy.ActionRestoreAutoscaling:
			_, err = endpoint.Need[endpoint.AutoscalingSuspender](u)
		case strategy.ActionSet, strategy.ActionRaise, strategy.ActionRestoreSetting:
			_, err = endpoint.Need[endpoint.Scaler](u)
		case strategy.ActionDrain:
			_, err = endpoint.Need[endpoint.Drainer](u)
		case strategy.ActionProbe:
			_, err = endpoint.Need[endpoint.WorkerInspector](u)
		case strategy.ActionShift:
			_, err = endpoint.Need[endpoint.Shifter](u)
		case strategy.ActionUpdate, strategy.ActionUpdateCanary, strategy.ActionAwait, strategy.ActionBake, strategy.ActionHold, strategy.ActionCommit, strategy.ActionVerify:
		}
		if err != nil {
			return err
		}
	}
	return nil
}
