package rollout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// Preview reads the endpoint and returns the plan that [Run] would carry out.
// It changes nothing. It refuses what Run refuses, except for a journal, which
// it does not look at. The plan of an endpoint that serves the target already
// has no steps.
func Preview(ctx context.Context, u endpoint.Updater, s strategy.Strategy, t Target, opts ...Option) (*strategy.Plan, error) {
	o := newOptions(opts)
	p, _, err := prepare(ctx, bound(u), s, t, o)
	return p, err
}

// prepare reads what a plan needs, makes the plan and has it checked. All of
// it only reads.
func prepare(ctx context.Context, u endpoint.Updater, s strategy.Strategy, t Target, o options) (*strategy.Plan, endpoint.Status, error) {
	status, err := rest(ctx, u, o)
	if err != nil {
		return nil, status, err
	}
	paused := status.Phase == endpoint.PhasePaused
	if paused && !o.allowPaused {
		return nil, status, fmt.Errorf(
			"%s: %w: %s is 0, which may be what an accident left; set it, or agree to leave the endpoint paused again",
			u.Name(), endpoint.ErrPaused, endpoint.WorkersMax)
	}
	target, draft, err := t.resolve(ctx, u, s, status.Desired)
	if err != nil {
		return nil, status, err
	}
	plan := &strategy.Plan{
		Version: strategy.FormatVersion, Rollout: newRolloutName(), Endpoint: u.Name(), Identity: status.Identity, Strategy: s.String(),
		Source: status.Desired, Target: target, Options: o.change, Draft: draft,
		Settings: status.Settings.Clone(), Settle: o.settle, Gates: o.gateNames(),
	}
	if serves(status, target) {
		plan.Notes = []string{"the endpoint serves the target already"}
		return plan, status, nil
	}
	pre, checks := endpoint.As[endpoint.Preflighter](u)
	// A provider that checks knows better what else of a revision makes a
	// difference to what runs.
	if !checks && target.Artifact != "" && target.Artifact == status.Desired.Artifact {
		return nil, status, fmt.Errorf("%s: %w: %s and %s both run %s, so nothing that runs would change; give the new one a name of its own",
			u.Name(), endpoint.ErrSameArtifact, status.Desired, target, target.Artifact)
	}
	facts := strategy.Facts{
		Status: status, Target: target, Draft: draft, Prove: o.prove,
		Bake: o.bake, Gated: len(o.gates) > 0, Settle: o.settle, StepTimeout: o.patience,
	}
	if pacer, ok := endpoint.As[endpoint.DurationEstimator](u); ok {
		pace, err := pacer.EstimateDuration(ctx, changeTo(plan, false))
		if err != nil {
			return nil, status, err
		}
		facts.StepTimeout = plus(facts.StepTimeout, pace)
	}
	facts.StepTimeout = min(facts.StepTimeout, forever) // other times are added to it
	if err := protectPlan(ctx, plan, u, s); err != nil {
		return nil, status, err
	}
	facts.Autoscaling = plan.Autoscaling
	made, err := s.Plan(facts)
	if err != nil {
		return nil, status, fmt.Errorf("%s: %w", u.Name(), err)
	}
	plan.Forward, plan.Rollback, plan.Downtime, plan.Notes = made.Forward, made.Rollback, made.Downtime, made.Notes
	if slices.ContainsFunc(plan.Forward, func(s strategy.Step) bool { return s.Do == strategy.ActionProbe }) {
		if plan.Probe = o.probe; o.job == nil {
			return nil, status, fmt.Errorf("%s: %w: there is no job to prove the target by", u.Name(), endpoint.ErrInvalid)
		}
	}
	if paused {
		plan.Notes = append(plan.Notes, "the endpoint is paused, and is left paused")
	}
	if err := needs(plan, u); err != nil {
		return nil, status, err
	}
	if checks {
		cautions, err := pre.Preflight(ctx, changeTo(plan, false), highest(plan))
		if err != nil {
			return nil, status, err
		}
		plan.Notes = append(plan.Notes, cautions...)
	}
	return plan, status, plan.Check()
}

// protect asks for a snapshot if the provider has autoscaling. The one that
// is restored is taken again when the step begins. Where the strategy protects
// nothing, what counts is which settings autoscaling moves; who may not look at
// it does without that, and finds such a move among other people's changes.
func protectPlan(ctx context.Context, p *strategy.Plan, u endpoint.Updater, s strategy.Strategy) error {
	protector, ok := endpoint.As[endpoint.AutoscalingSuspender](u)
	if !ok {
		return nil
	}
	snapshot, err := protector.SnapshotAutoscaling(ctx, changeTo(p, false))
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

// rest waits until the endpoint is at rest, and until two looks agree. Before
// anything is written, [driver.confirm] looks again.
func rest(ctx context.Context, u endpoint.Updater, o options) (endpoint.Status, error) {
	rctx, cancel := context.WithTimeoutCause(ctx, o.readiness, ErrNotReady)
	defer cancel()
	var last *endpoint.Status
	seen, err := waiter.Until(rctx, func(ctx context.Context) (waiter.Observation, bool, error) {
		s, err := u.Status(ctx)
		if err != nil {
			return waiter.Observation{}, false, err
		}
		if s.Phase == endpoint.PhaseFailed {
			return waiter.Observation{Status: s}, false, fmt.Errorf("%w: %w: %s", ErrNotReady, endpoint.ErrFailed, s.Reason)
		}
		agree := last != nil && last.Desired == s.Desired && maps.Equal(last.Settings, s.Settings)
		last = &s
		resting := s.Phase != endpoint.PhaseUnknown && s.Phase != endpoint.PhaseUpdating
		return waiter.Observation{Status: s, Note: "at rest on " + s.Desired.String()}, resting && agree, nil
	}, o.brisk(u)...)
	switch {
	case err == nil:
		return seen.Status, nil
	case ctx.Err() != nil:
		return seen.Status, context.Cause(ctx)
	}
	var w *waiter.Error
	if errors.As(err, &w) && w.Polls == 1 && w.Last == nil {
		return seen.Status, w.Cause // the first look failed: there was no wait to speak of
	}
	return seen.Status, fmt.Errorf("%s: %w", u.Name(), err)
}

// confirm looks again when everything that was written before the first look
// must have become visible. A plan that puts settings back is not begun with
// values that a read may have been late for.
func (d *driver) confirm(ctx context.Context, p *strategy.Plan, looked time.Time) error {
	if len(highest(p)) == 0 {
		return nil
	}
	_, err := waiter.Until(ctx, func(ctx context.Context) (waiter.Observation, bool, error) {
		s, err := d.u.Status(ctx)
		if err == nil && (!s.Desired.Same(p.Source) || !d.unmoved(p, s)) {
			err = fmt.Errorf("%s: %w: %w while the rollout was planned, to %s %v; plan it again",
				p.Endpoint, ErrNotReady, endpoint.ErrDrift, s.Desired, s.Settings)
		}
		return waiter.Observation{Status: s}, time.Since(looked) >= p.Settle, err
	}, d.brisk(d.u)...)
	return plain(err)
}

// unmoved reports whether all settings are as in the plan, but for those that
// autoscaling moves.
func (d *driver) unmoved(p *strategy.Plan, s endpoint.Status) bool {
	j := state{plan: p}
	for key, value := range p.Settings {
		if s.Settings[key] != value && !j.moves(key) {
			return false
		}
	}
	return true
}

// waits are the options for every wait of a rollout.
func (o *options) waits(u endpoint.Updater) []waiter.Option {
	return []waiter.Option{
		waiter.WithSchedule(o.schedule), waiter.WithBackoff(o.errorGap, 30*time.Second),
		waiter.WithGrace(o.settle), waiter.WithWake(o.wake), waiter.WithHistory(nil, "", u.Name()),
	}
}

// brisk are the options for waits that a write or a lagging read is the reason
// of: they are over in about the settle time, however long the schedule sleeps.
func (o *options) brisk(u endpoint.Updater) []waiter.Option {
	most := max(o.settle, time.Second)
	return append(o.waits(u), waiter.WithSchedule(capped{o.schedule, most}), waiter.WithBackoff(min(o.errorGap, most), 30*time.Second))
}

type capped struct {
	waiter.Schedule
	most time.Duration
}

func (c capped) Next(p waiter.Progress) time.Duration { return min(c.Schedule.Next(p), c.most) }

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
