package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// do carries out one step within its time. The note says what it found.
func (d *driver) do(ctx context.Context, s strategy.Step) (note string, err error) {
	if s.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = d.stepContext(ctx, s)
		defer cancel()
	}
	switch s.Do {
	case strategy.ActionStage:
		return "", d.write(ctx, s, journal.Write{Thing: journal.ThingDraft})
	case strategy.ActionSuspendAutoscaling:
		return "", d.protect(ctx, s)
	case strategy.ActionRestoreAutoscaling:
		if !d.j.wrote(journal.ThingAutoscaling) {
			return untouched, nil
		}
		return "", d.write(ctx, s, journal.Write{Thing: journal.ThingAutoscaling})
	case strategy.ActionSet:
		if d.j.back && !d.j.wrote(s.Key) {
			return untouched, nil
		}
		return "", d.set(ctx, s, s.Value)
	case strategy.ActionRaise:
		return "", d.write(ctx, s, journal.Write{Thing: s.Key, Value: &s.Value, AtLeast: true})
	case strategy.ActionRestoreSetting:
		v, known := d.j.before(s.Key)
		if !known || !d.j.wrote(s.Key) {
			return untouched, nil
		}
		return "", d.set(ctx, s, v)
	case strategy.ActionUpdate:
		if d.j.back && !d.j.wrote(journal.ThingRevision) {
			return untouched, nil
		}
		if err := d.protectAgain(ctx, s); err != nil {
			return "", err
		}
		to := changeTo(d.j.plan, d.j.back).To
		return "", d.write(ctx, s, journal.Write{Thing: journal.ThingRevision, Revision: &to})
	case strategy.ActionDrain:
		return "", d.drain(ctx, s)
	case strategy.ActionAwait:
		return d.await(ctx, s)
	case strategy.ActionProbe:
		return d.probeStep(ctx, s)
	case strategy.ActionBake:
		return "", d.bakeStep(ctx, s)
	case strategy.ActionCommit:
		return "", nil
	case strategy.ActionVerify:
		return "", d.verify(ctx, s)
	}
	return "", fmt.Errorf("unknown action %q: %w", s.Do, endpoint.ErrInvalid)
}

// untouched is the note of a step that has nothing to undo.
const untouched = "the rollout did not get to change it"

func (d *driver) write(ctx context.Context, s strategy.Step, w journal.Write) error {
	e, err := d.effectOf(w)
	if err != nil {
		return err
	}
	return d.ensure(ctx, s, e)
}

// set brings a setting to a value. Where it only puts a value back and a quota
// stands in the way, it goes as far as the quota allows: too little capacity is
// better than none. The step has failed all the same.
func (d *driver) set(ctx context.Context, s strategy.Step, value int) error {
	w := journal.Write{Thing: s.Key, Value: &value}
	write := d.write
	if d.j.back {
		write = d.setBack
	}
	err := write(ctx, s, w)
	var quota interface{ AtMost() (int, bool) }
	if !d.j.back && !d.j.committed || !errors.Is(err, endpoint.ErrQuota) || !errors.As(err, &quota) {
		return err
	}
	most, known := quota.AtMost()
	if !known || most <= d.seen.Settings[s.Key] || most >= value {
		return err
	}
	if lerr := d.write(ctx, s, journal.Write{Thing: s.Key, Value: &most}); lerr != nil {
		return errors.Join(err, lerr)
	}
	return fmt.Errorf("only %d for now: %w", most, err)
}

// leaveDrift turns somebody else's value into a note where the step would only
// have put a value back: theirs stays.
func (d *driver) leaveDrift(ctx context.Context, s strategy.Step, do func(context.Context, strategy.Step) (string, error)) (string, error) {
	note, err := do(ctx, s)
	var drift *driftError
	if !errors.As(err, &drift) || !d.j.back && !restoresValue(d.j.plan, s) {
		return note, err
	}
	if d.j.moves(drift.Thing) {
		return "moved by autoscaling, left alone", nil // which is restored, or is going to be
	}
	return "left alone", d.noteDrift(ctx, drift.Drift)
}

func (d *driver) noteDrift(ctx context.Context, drift journal.Drift) error {
	if err := d.append(ctx, journal.Record{Kind: journal.KindDrift, Drift: &drift}); err != nil {
		return err
	}
	d.emit(Event{Kind: EventDrift, Text: drift.String()})
	return nil
}

// protect takes the snapshot as late as possible, and writes it down with the
// intent, before anything is frozen.
func (d *driver) protect(ctx context.Context, s strategy.Step) error {
	snapshot := d.j.protected
	if snapshot == nil {
		p, err := endpoint.Need[endpoint.AutoscalingSuspender](d.u)
		if err != nil {
			return err
		}
		var taken endpoint.AutoscalingSnapshot
		if _, err := d.until(ctx, s, func(ctx context.Context) (_ string, done bool, err error) {
			taken, err = answered(ctx, inspectTime, func(ctx context.Context) (endpoint.AutoscalingSnapshot, error) {
				return p.SnapshotAutoscaling(ctx, changeTo(d.j.plan, false))
			})
			return "", err == nil, err
		}); err != nil {
			return plain(err)
		}
		snapshot = &taken
	}
	return d.write(ctx, s, journal.Write{Thing: journal.ThingAutoscaling, Suspend: snapshot})
}

// protectAgain freezes autoscaling once more where an earlier try of the way
// back has put it back but could not bring the revision back: the provider may
// refuse to update an endpoint that it scales.
func (d *driver) protectAgain(ctx context.Context, s strategy.Step) error {
	if !d.j.back || d.j.protected == nil {
		return nil
	}
	st, err := d.status(ctx)
	if err != nil || st.Desired.Same(d.j.plan.Source) {
		return nil //nolint:nilerr // the update looks for itself, and again
	}
	if is, err := inspect(ctx, d.u, d.j.protected); err != nil || is.Suspended || !is.Restored {
		return nil //nolint:nilerr // what is half-way, or somebody else's, is left to Restore
	}
	return d.protect(ctx, s)
}

// drain waits until there is no work at hand.
func (d *driver) drain(ctx context.Context, s strategy.Step) error {
	drainer, err := endpoint.Need[endpoint.Drainer](d.u)
	if err != nil {
		return err
	}
	_, err = waiter.Until(ctx, func(ctx context.Context) (waiter.Observation, bool, error) {
		jobs, err := drainer.Jobs(ctx)
		note := fmt.Sprintf("%d in flight, %d queued", jobs.InFlight, jobs.Queued)
		return waiter.Observation{Status: d.seen, Note: note}, jobs == endpoint.Jobs{}, err
	}, append(d.waits(), waiter.WithConsecutive(2), waiter.WithTransient(endpoint.Transient, forever), d.watch(s))...)
	return err
}

// await waits for a condition. For a revision the note says what proved it.
func (d *driver) await(ctx context.Context, s strategy.Step) (string, error) {
	want, from := d.j.plan.Target, d.j.plan.Source
	if d.j.back {
		want, from = from, want
		if len(d.j.failures) > 0 {
			return "", errors.New("not waited for, because an earlier step could not be done")
		}
	}
	opts := append(d.waits(), waiter.WithTransient(d.patient(), forever), waiter.WithFrom(from), waiter.WithShared(d.shared), d.watch(s))
	if d.history != nil {
		// The same step of the same strategy takes a similar time everywhere.
		opts = append(opts, waiter.WithHistory(d.history, d.j.plan.Strategy+" "+s.Name, d.u.Name()))
	}
	var err error
	if quiet := d.j.quiet(journal.ThingRevision); d.j.back && s.Until != strategy.UntilEmpty && s.Until != strategy.UntilSettled {
		// Until then a read may show the source as it was before the rollout.
		if _, err := d.until(ctx, s, func(context.Context) (string, bool, error) {
			return "waiting until reads can be believed", !time.Now().Before(quiet), nil
		}); err != nil {
			return "", err
		}
	}
	switch s.Until {
	case strategy.UntilEmpty:
		d.seen, err = waiter.Drained(ctx, d.u, opts...)
		return "", err
	case strategy.UntilSettled:
		d.seen, err = waiter.Settled(ctx, d.u, opts...)
		return "", err
	case strategy.UntilAccepted, strategy.UntilRunning:
		return "", d.accepted(ctx, s, want, s.Until == strategy.UntilRunning)
	case strategy.UntilConfigured:
		opts = append(opts, waiter.WithUnproven())
	case strategy.UntilServing:
		if _, bounded := d.j.plan.Settings[endpoint.WorkersMin]; !bounded {
			opts = append(opts, waiter.WithUnproven()) // autoscaling may have taken all of it away since
		}
	}
	if d.j.back && d.j.drifted(journal.ThingRevision) {
		return "left alone", nil
	}
	d.seen, err = d.ready(ctx, ctx, s, want, opts)
	switch {
	case err != nil && d.j.back && (errors.Is(err, endpoint.ErrDrift) ||
		errors.Is(err, endpoint.ErrRolledBack) && !d.j.wrote(journal.ThingRevision)): // somebody else went to the target
		return "", &driftError{journal.Drift{Thing: journal.ThingRevision, Want: want.String(), Found: d.seen.Desired.String()}}
	case err != nil:
		return "", d.notConverged(err)
	case d.seen.Serving.Same(want):
		return provenBy + proofWorkers, nil
	}
	return provenBy + proofConfig, nil
}

// What showed that a revision works: the note of the step that waited for it,
// and from there [Report.Proof].
const (
	provenBy     = "proven by "
	proofWorkers = "workers"
	proofProbe   = "probe"
	proofConfig  = "configuration"
)

// accepted waits until the provider has accepted a revision, whatever its health.
func (d *driver) accepted(ctx context.Context, s strategy.Step, want endpoint.Revision, running bool) error {
	if d.j.drifted(journal.ThingRevision) {
		return nil
	}
	_, err := d.until(ctx, s, func(ctx context.Context) (string, bool, error) {
		st, err := d.status(ctx)
		if err == nil && len(d.taken(st)) > 0 {
			err = d.giveBack(ctx, s)
		}
		ok := st.Desired.Same(want) && (!running || st.Serving.Same(want) && !st.Mixed && st.Phase != endpoint.PhaseUpdating)
		return "on " + st.Desired.String(), ok, err
	})
	return err
}

// bakeStep watches the target for a while. Every gate has to pass at each look.
func (d *driver) bakeStep(ctx context.Context, s strategy.Step) error {
	for _, name := range d.j.plan.Gates {
		if d.gates[name] == nil {
			return fmt.Errorf("%w: %q is in the plan and was not given", ErrGate, name)
		}
	}
	end := time.Now().Add(s.For)
	_, err := d.until(ctx, s, func(ctx context.Context) (string, bool, error) {
		d.due = end
		left := time.Until(end)
		// The new revision has to stay ready: this is the same wait as before,
		// and it is over at once while all is well.
		st, err := d.watched(ctx, d.j.plan.Target, func(waiter.Progress) {},
			append(d.waits(), waiter.WithFrom(d.j.plan.Source), waiter.WithUnproven(), waiter.WithConsecutive(1)))
		d.seen = st
		switch {
		case errors.Is(err, errImposed):
			return "", false, d.gaveUp(st)
		case err != nil:
			return "", false, err
		}
		for _, name := range d.j.plan.Gates {
			if err := d.gates[name](ctx, st); err != nil {
				return "", false, fmt.Errorf("%w: %s: %w", ErrGate, name, err)
			}
		}
		return fmt.Sprintf("baking, %v left", max(0, left).Round(time.Second)), left <= 0, nil
	})
	return err
}
