package rollout

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
		err = checkMove(u, s, t, o.refreshes)
	}
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, refusal(nameOf(u), err)
	}
	r := newRollout(nil, u, &o)
	r.begin = func(ctx context.Context, status endpoint.Status) (*strategy.Plan, error) {
		return prepare(ctx, r.u, s, t, status, o)
	}
	r.machine = core.New(&core.Ledger{Endpoint: u.Name()}, o.policy(core.Policy{PlanOnly: true}), time.Now())
	defer r.Close() //nolint:contextcheck // it has to happen whatever becomes of the context
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
	if status.Phase == endpoint.PhasePaused && !o.allowPaused {
		return nil, fmt.Errorf(
			"%s: %w: %s is 0, which may be what an accident left; set it, or agree to leave the endpoint paused again",
			u.Name(), endpoint.ErrPaused, endpoint.WorkersMax)
	}
	plan, err := goal(ctx, u, s, t, status, o)
	if err != nil {
		return nil, err
	}
	if !o.refreshes && serves(status, plan.Target) {
		plan.Notes = []string{serving(plan.Target)}
		return plan, nil
	}
	if !o.refreshes {
		if err := differs(plan, u); err != nil {
			return nil, err
		}
	}
	facts, err := factsOf(ctx, plan, u, s, status, o)
	if err != nil {
		return nil, err
	}
	made, err := s.Plan(facts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.Name(), err)
	}
	plan.Forward, plan.Rollback, plan.Downtime, plan.Notes = made.Forward, made.Rollback, made.Downtime, made.Notes
	plan.ResetTo = resets(plan.ResetTo, made.ResetTo)
	plan.Notes = o.notes(plan.Notes, status.Phase == endpoint.PhasePaused)
	if has(plan.Forward, strategy.ActionProbe) {
		if plan.Probe = o.probe; o.job == nil {
			return nil, fmt.Errorf("%s: %w: there is no job to prove the target by", u.Name(), endpoint.ErrInvalid)
		}
	}
	return plan, verify(ctx, plan, u, status, o)
}

// resets are the values that the update may give to settings, by what the
// provider says and what the strategy adds.
func resets(provider, added map[string][]int) map[string][]int {
	if len(added) == 0 {
		return provider
	}
	all := map[string][]int{}
	for _, m := range []map[string][]int{provider, added} {
		for key, values := range m {
			all[key] = append(all[key], values...)
		}
	}
	return all
}

// goal resolves what is rolled out, and returns a plan that has everything but steps.
func goal(ctx context.Context, u endpoint.Updater, s strategy.Strategy, t Target, status endpoint.Status, o options) (*strategy.Plan, error) {
	var target endpoint.Revision
	var draft *endpoint.Draft
	var err error
	if o.refreshes {
		target, draft, err = refreshTarget(ctx, u, t, status.Desired, o.refresh)
	} else {
		target, draft, err = t.resolve(ctx, u, s, status.Desired)
	}
	if err != nil {
		return nil, err
	}
	change, err := changeOptions(u, o)
	if err != nil {
		return nil, err
	}
	plan := &strategy.Plan{
		Version: strategy.FormatVersion, Rollout: newRolloutName(), Endpoint: u.Name(), Identity: status.Identity, Strategy: s.String(), Label: o.label,
		Trace: o.trace, Source: status.Desired, Target: target, Options: change, Draft: draft,
		Settings: status.Settings.Clone(), Fields: maps.Clone(status.Fields), Settle: o.settle, Refresh: o.refresh,
	}
	if draft != nil && !o.refreshes {
		plan.Refresh = draft.Refresh
	}
	return plan, nil
}

// differs refuses a target that runs what the source runs. A provider that
// checks knows better what else of a revision makes a difference.
func differs(p *strategy.Plan, u endpoint.Updater) error {
	if _, checks := endpoint.As[endpoint.Preflighter](u); checks || p.Target.Artifact == "" || p.Target.Artifact != p.Source.Artifact {
		return nil
	}
	return fmt.Errorf("%s: %w: %s and %s both run %s, so nothing that runs would change; give the new one a name of its own, or ask for a refresh",
		u.Name(), endpoint.ErrSameArtifact, p.Source, p.Target, p.Target.Artifact)
}

// factsOf reads what a strategy plans by, and keeps in the plan what belongs there.
func factsOf(ctx context.Context, p *strategy.Plan, u endpoint.Updater, s strategy.Strategy, status endpoint.Status, o options) (strategy.Facts, error) {
	facts := strategy.Facts{
		Status: status, Target: p.Target, Draft: p.Draft, Prove: o.prove,
		Bake: o.bake, Approvals: o.approvals, Settle: o.settle, StepTimeout: o.patience,
	}
	for _, c := range o.rules {
		facts.Checks = append(facts.Checks, c.WithDefaults())
	}
	p.Checks = facts.Checks
	if _, splits := s.(interface{ SplitsTraffic() }); splits {
		canary, err := ability(ctx, u, "the draft of the canary", readTime, func(ctx context.Context, s endpoint.Shifter) (endpoint.Canary, error) {
			return s.DraftCanary(ctx, p.Source, p.Target, p.Draft)
		})
		if err != nil {
			return strategy.Facts{}, err
		}
		p.Canary, facts.Canary = &canary, &canary
	}
	_, facts.Unstages = endpoint.As[endpoint.Unstager](u)
	_, p.Uninterruptible = endpoint.As[endpoint.DurationEstimator](u)
	pace, err := duration(ctx, p, u)
	if err != nil {
		return strategy.Facts{}, err
	}
	facts.StepTimeout += min(max(0, pace), math.MaxInt64-facts.StepTimeout)
	facts.StepTimeout = min(facts.StepTimeout, core.NoLimit) // other times are added to it
	err = protectPlan(ctx, p, u, s)
	facts.Autoscaling = p.Autoscaling
	return facts, err
}

// notes are those of a strategy's plan, with what the options make of it.
func (o *options) notes(notes []string, paused bool) []string {
	if o.override != "" {
		notes = append(notes, "a freeze window is overridden: "+o.override)
	}
	if o.refreshes {
		notes = refreshNote(o.refresh, notes)
	}
	if paused {
		notes = append(notes, "the endpoint is paused, and is left paused")
	}
	return notes
}

// verify refuses a plan that the endpoint cannot carry out.
func verify(ctx context.Context, p *strategy.Plan, u endpoint.Updater, status endpoint.Status, o options) error {
	if err := needs(p, u); err != nil {
		return err
	}
	if err := errors.Join(p.Check(), p.Fits(status)); err != nil {
		return err
	}
	if o.refreshes {
		if err := checkRefresh(p); err != nil {
			return err
		}
	}
	if err := drains(ctx, p, u); err != nil {
		return err
	}
	if err := preflight(ctx, p, u); err != nil && !(o.refreshes && p.Draft == nil && errors.Is(err, endpoint.ErrSameArtifact)) {
		return err
	}
	return nil
}

// has reports whether one of the steps does a.
func has(steps []strategy.Step, a strategy.Action) bool {
	return slices.ContainsFunc(steps, func(s strategy.Step) bool { return s.Do == a })
}

// protectPlan asks for a snapshot if the provider has autoscaling. The one that
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

// serving says that nothing is sent, so that a person who has pushed new content
// under a tag that is served cannot take it for deployed.
func serving(target endpoint.Revision) string {
	of := target.Artifact
	if of == "" {
		of = target.String()
	}
	return fmt.Sprintf("nothing was sent, as the endpoint serves %s already. If new content was pushed under this name, it is not deployed: "+
		"providers keep what they have under a name and tag. Push it under a new tag and roll out to that, or refresh the endpoint", of)
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

// drains refuses a plan that waits for jobs where those cannot be counted: to find
// that out later would cost a rollback.
func drains(ctx context.Context, p *strategy.Plan, u endpoint.Updater) error {
	if !has(p.Forward, strategy.ActionDrain) {
		return nil
	}
	_, err := ability(ctx, u, "the count of jobs", readTime,
		func(ctx context.Context, d endpoint.Drainer) (endpoint.Jobs, error) { return d.Jobs(ctx) })
	if errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("%s: it cannot be drained, since its jobs cannot be counted: plan the rollout without a drain: %w", u.Name(), err)
	}
	return nil // any other error is for the step to wait out
}

// needs refuses a plan whose steps the endpoint has not the abilities for.
func needs(p *strategy.Plan, u endpoint.Updater) error {
	for _, s := range slices.Concat(p.Forward, p.Rollback) {
		var err error
		switch s.Do {
		case strategy.ActionStage, strategy.ActionStageCanary:
			_, err = endpoint.Need[endpoint.Stager](u)
		case strategy.ActionUnstage:
			_, err = endpoint.Need[endpoint.Unstager](u)
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
