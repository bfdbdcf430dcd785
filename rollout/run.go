package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// Run moves an endpoint to the target by the strategy. It returns when the
// rollout has ended, on the way forward or back.
//
// Every intent is in the store before it is carried out, so that a rollout
// that is killed at any moment can be finished by [Resume]. A nil error means
// that the endpoint was read back serving the target with every protective
// value as it was. A [*Error] says how a rollout that began ended
// otherwise. Any other error refused it, with nothing changed: what is wrong
// with the request, or [ErrUnfinished], or [endpoint.ErrBusy] while another
// driver holds the endpoint.
//
// When ctx is done the rollout stops waiting and writing at once, and then
// goes back on a budget of its own; see [WithDetach] and [WithHardStop]. A
// context that is done before the start changes nothing.
func Run(ctx context.Context, store journal.Store, u endpoint.Updater, s strategy.Strategy, t Target, opts ...Option) (*Report, error) {
	d, err := open(ctx, store, u, newOptions(opts))
	if err != nil {
		return nil, err
	}
	defer d.close()
	plan, status, err := d.begin(ctx, s, t)
	if err != nil {
		return nil, err
	}
	if len(plan.Forward) == 0 {
		now := time.Now()
		d.emit(Event{Kind: EventEnd, Text: plan.Notes[0], Outcome: OutcomeNoOp, Status: &status})
		return &Report{Outcome: OutcomeNoOp, Plan: plan, Status: status, Began: now, Finished: now}, nil
	}
	return d.drive(ctx)
}

// Begin does what [Run] does before the first step: it plans the rollout, and
// puts the plan on record. [Next] carries it out. It begins nothing if the
// endpoint serves the target already: the plan then has no steps.
func Begin(ctx context.Context, store journal.Store, u endpoint.Updater, s strategy.Strategy, t Target, opts ...Option) (*strategy.Plan, error) {
	d, err := open(ctx, store, u, newOptions(opts))
	if err != nil {
		return nil, err
	}
	defer d.close()
	plan, _, err := d.begin(ctx, s, t)
	return plan, err
}

// begin plans a rollout and puts it on record, unless there is nothing to do.
func (d *driver) begin(ctx context.Context, s strategy.Strategy, t Target) (*strategy.Plan, endpoint.Status, error) {
	if d.j.unfinished() {
		return nil, endpoint.Status{}, fmt.Errorf("%s: %w: %s to %s, driven by %s; resume it first",
			d.u.Name(), ErrUnfinished, d.j.plan.Strategy, d.j.plan.Target, d.j.drivenBy(ctx, d.store))
	}
	looked := time.Now()
	plan, status, err := prepare(ctx, d.u, s, t, d.options)
	if err != nil || len(plan.Forward) == 0 {
		return plan, status, err
	}
	if err := d.confirm(ctx, plan, looked); err != nil {
		return nil, status, err
	}
	if err := d.append(ctx, journal.Record{Kind: journal.KindPlan, Rollout: plan.Rollout, Plan: plan}); err != nil {
		return nil, status, d.outrun(ctx, err)
	}
	d.emit(Event{Kind: EventPlan, Text: fmt.Sprintf("%s: %s → %s", plan.Strategy, plan.Source, plan.Target), Plan: plan})
	return plan, status, d.outrun(ctx, d.claim(ctx))
}

// Resume finishes the rollout that the store holds for u. Before the commit
// point it goes back, or forward with [WithForward]; after it, forward. A
// write of which it is not known whether it was carried out is looked for,
// never repeated blindly. Without an unfinished rollout the report's outcome
// is [OutcomeNothing].
//
// The gates of the rollout must be given again. Errors are as for [Run].
func Resume(ctx context.Context, store journal.Store, u endpoint.Updater, opts ...Option) (*Report, error) {
	d, err := open(ctx, store, u, newOptions(opts))
	if err != nil {
		return nil, err
	}
	defer d.close()
	if err := d.awaitDeath(ctx); err != nil {
		return nil, err
	}
	if !d.j.unfinished() {
		return &Report{Outcome: OutcomeNothing}, nil
	}
	if err := d.takeOver(ctx); err != nil {
		return nil, err
	}
	return d.drive(ctx)
}

// Next carries out one action of the unfinished rollout that the store holds
// for u, appends what came of it, and reports whether the rollout has ended.
// [Resume] is a loop over it, and so is any other engine that wants to call it
// from steps of its own, after [Begin]: give each call the same [WithOwner].
// Between two calls nobody says that the driver lives, see [HeartbeatInterval].
// When ctx is done it returns the context's error and leaves the rollout as it stands.
func Next(ctx context.Context, store journal.Store, u endpoint.Updater, opts ...Option) (report *Report, done bool, err error) {
	d, err := open(ctx, store, u, newOptions(opts))
	if err != nil {
		return nil, false, err
	}
	defer d.close()
	if !d.j.unfinished() {
		return &Report{Outcome: OutcomeNothing}, true, nil
	}
	if d.j.driver == d.driver && d.j.last == nil {
		d.stamp(ctx)
		defer d.keepStamping(ctx)()
		return d.next(ctx)
	}
	if err := d.awaitDeath(ctx); err != nil || !d.j.unfinished() {
		return nil, false, err
	}
	return nil, false, d.takeOver(ctx)
}

// open takes the endpoint's lock, if the store has one, and reads its journal.
func open(ctx context.Context, store journal.Store, u endpoint.Updater, o options) (*driver, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	d := &driver{options: o, u: bound(u), store: store, release: func() error { return nil }}
	opened := false
	defer func() {
		if !opened { // also where the store panics
			d.close()
		}
	}()
	if l, ok := store.(journal.Locker); ok {
		release, err := l.Lock(ctx, u.Name())
		if errors.Is(err, endpoint.ErrBusy) {
			return nil, d.heldBy(ctx, err)
		}
		if err != nil {
			return nil, err
		}
		d.release, d.alone = release, true
	}
	var err error
	if d.j, err = d.load(ctx); err != nil {
		return nil, err
	}
	if d.j.unfinished() {
		d.options.settle = d.j.plan.Settle
	}
	opened = true
	return d, nil
}

func (d *driver) load(ctx context.Context) (*state, error) {
	records, err := d.records(ctx)
	if err != nil {
		return nil, err
	}
	return fold(d.u.Name(), records)
}

// heldBy adds the holder's name to the error of a lock that is taken.
func (d *driver) heldBy(ctx context.Context, err error) error {
	if j, lerr := d.load(ctx); lerr == nil && j.unfinished() {
		return fmt.Errorf("%w: since %s held by %s", err, j.started.Format(time.RFC3339), j.drivenBy(ctx, d.store))
	}
	return err
}

// takeOver makes this driver the one that drives, if it is of this endpoint.
func (d *driver) takeOver(ctx context.Context) error {
	// A look that fails says nothing: the rollout has its own patience for that.
	if s, err := d.u.Status(ctx); err == nil {
		if err := d.recognize(s); err != nil {
			return err
		}
	}
	if err := d.claim(ctx); err != nil {
		return d.outrun(ctx, err)
	}
	p := d.j.plan
	d.emit(Event{Kind: EventResume, Plan: p, Text: fmt.Sprintf("taking over %s: %s → %s, begun %s", p.Strategy, p.Source, p.Target, d.j.started.Format(time.RFC3339))})
	if d.j.back || d.j.committed || d.forward {
		return nil
	}
	return d.outrun(ctx, d.turn(ctx, "", errors.New("it was interrupted before its commit point")))
}

// outrun says of a conflict, before anything was done, that somebody else was faster.
func (d *driver) outrun(ctx context.Context, err error) error {
	if !errors.Is(err, journal.ErrConflict) {
		return err
	}
	return d.heldBy(ctx, fmt.Errorf("%w: %w", endpoint.ErrBusy, err))
}

func (d *driver) claim(ctx context.Context) error {
	if err := d.append(ctx, journal.Record{Kind: journal.KindClaim, Owner: d.driver, Exclusive: d.alone}); err != nil {
		return err
	}
	d.stamp(context.WithoutCancel(ctx))
	return nil
}
