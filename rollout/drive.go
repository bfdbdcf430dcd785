package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// driver carries out one rollout. Everything it decides follows from its
// journal and from reads.
type driver struct {
	options
	u       endpoint.Updater
	store   journal.Store
	release func() error
	alone   bool // no other driver can be alive
	j       *state
	seen    endpoint.Status  // the last look
	due     time.Time        // when the present wait may learn more at the latest
	lost    error            // why the journal could not be written any more
	unheard []journal.Record // whose append failed, and which may be there all the same
	step    string           // where the way forward ended
	cause   error            // and why
	open    bool             // a step failed by its time, not by a refusal: another round may do
	clock   *clock           // of a step that waits for capacity
}

// Errors that only the driver itself handles.
var (
	// errNotInForce: a write was accepted, or may have been, and is not there.
	errNotInForce = errors.New("the write is not in force")
	// errResumed: why the rollout went back is known from its journal only.
	errResumed = errors.New("resumed")
)

// close gives the lock back. Its error is of no use to anybody: the lock dies
// with the process in any case.
func (d *driver) close() { _ = d.release() }

// emit sends an event with what all have in common.
func (d *driver) emit(e Event) {
	e.Time, e.Endpoint = time.Now(), d.u.Name()
	if d.j != nil && d.j.plan != nil {
		e.Rollout, e.Rollback = d.j.plan.Rollout, d.j.back
	}
	d.observe(e)
}

func (d *driver) emitStep(kind EventKind, s strategy.Step, text string) {
	list := d.j.list()
	n := slices.IndexFunc(list, func(o strategy.Step) bool { return o.Name == s.Name })
	e := Event{Kind: kind, Step: s.Name, N: n + 1, Of: len(list), Text: text}
	if kind == EventPoll {
		status := d.seen
		e.Status = &status
	}
	d.emit(e)
}

// drive is the loop of [Run] and [Resume].
func (d *driver) drive(ctx context.Context) (*Report, error) {
	defer d.keepStamping(ctx)()
	fctx, cancel := ctx, func() {}
	if d.timeout > 0 {
		fctx, cancel = context.WithTimeoutCause(ctx, d.timeout, fmt.Errorf("%w after %v", ErrTimeout, d.timeout))
	}
	defer cancel()
	for !d.j.back {
		report, done, err := d.next(fctx)
		switch {
		case done:
			return report, err
		case err == nil:
			continue
		case errors.Is(err, journal.ErrConflict):
			return d.evicted(err)
		case d.j.committed:
			// A context that is done does not keep what is left from being done.
			return d.finish(ctx, d.j.plan.Forward[d.j.next:])
		case ctx.Err() != nil && d.detach:
			return d.stop(ctx, OutcomeDetached, context.Cause(ctx))
		}
		err = d.turn(ctx, d.step, err)
		switch {
		case errors.Is(err, journal.ErrConflict):
			return d.evicted(err)
		case err != nil:
			return d.stop(ctx, OutcomeIncomplete, err)
		}
	}
	return d.finish(ctx, d.j.plan.Rollback)
}

// finish carries out what must not be left undone, whatever has become of ctx,
// within what its steps may take.
func (d *driver) finish(ctx context.Context, steps []strategy.Step) (*Report, error) {
	var budget time.Duration
	for _, s := range steps {
		if budget = plus(budget, s.Timeout); waitsForCapacity(s) {
			budget = plus(budget, d.capacity)
		}
	}
	uctx, cancel := d.undoContext(ctx, budget)
	defer cancel()
	for {
		report, done, err := d.next(uctx)
		switch {
		case done:
			return report, err
		case errors.Is(err, journal.ErrConflict):
			return d.evicted(err)
		case err != nil:
			if d.cause != nil {
				err = fmt.Errorf("%w; and then: %w", d.cause, err)
			}
			return d.stop(ctx, OutcomeIncomplete, err)
		}
	}
}

// evicted ends a driver whose journal somebody else writes to: whatever is
// left is theirs to do.
func (d *driver) evicted(err error) (*Report, error) {
	d.emit(Event{Kind: EventEnd, Outcome: OutcomeDetached, Text: "another driver has taken the rollout over", Status: &d.seen})
	return d.report(OutcomeDetached), &Error{
		Endpoint: d.u.Name(), Strategy: d.j.plan.Strategy, Outcome: OutcomeDetached, Cause: err,
		Next: "another driver has taken the rollout over",
	}
}

// undoContext outlives the cancellation of ctx. It ends with its budget, or at
// once when the caller abandons the rollout.
func (d *driver) undoContext(ctx context.Context, budget time.Duration) (context.Context, context.CancelFunc) {
	uctx, cancelTime := context.WithTimeoutCause(context.WithoutCancel(ctx), budget,
		fmt.Errorf("the budget of %v for what must not be left undone is used up: %w", budget, context.DeadlineExceeded))
	uctx, cancel := context.WithCancelCause(uctx)
	if d.abandon == nil {
		return uctx, func() { cancel(nil); cancelTime() }
	}
	select {
	case <-d.abandon:
		cancel(ErrHardStop)
	default:
	}
	done := make(chan struct{})
	go func() {
		select {
		case <-d.abandon:
			cancel(ErrHardStop)
		case <-done:
		}
	}()
	return uctx, func() { close(done); cancel(nil); cancelTime() }
}

// next carries out one action: it finds out what became of a write that was
// left open, or does the next step, or ends the rollout. When the context is
// done before the commit point it leaves the decision what to do to its caller.
func (d *driver) next(ctx context.Context) (*Report, bool, error) {
	list := d.j.list()
	if d.j.pending == nil && d.j.next >= len(list) {
		if d.open && len(d.j.failures) > 0 && ctx.Err() == nil {
			d.open = false
			return nil, false, d.claim(ctx) // which starts the list over
		}
		report, err := d.end(ctx)
		return report, true, err
	}
	if ctx.Err() != nil {
		return nil, false, context.Cause(ctx)
	}
	var s strategy.Step
	var note string
	var err error
	if d.j.pending != nil {
		s.Name = d.j.pending.Step
		err = d.reopen(ctx)
	} else {
		s = list[d.j.next]
		if s.Do != strategy.ActionCommit { // which takes no time
			d.emitStep(EventStep, s, "")
		}
		note, err = d.leaveDrift(ctx, s, d.do)
	}
	switch {
	case err != nil:
		return d.failStep(ctx, s, err)
	case s.Do == "":
		return nil, false, nil // the step itself is still to be done
	}
	kind, event := journal.KindDone, EventDone
	if s.Do == strategy.ActionCommit {
		kind, event = journal.KindCommit, EventCommit
	}
	if err := d.append(ctx, journal.Record{Kind: kind, Step: s.Name, Note: note}); err != nil {
		return nil, false, err
	}
	d.emitStep(event, s, note)
	return nil, false, nil
}

// failStep decides what a step's failure means for the rollout. Before the
// commit point it turns back. After it, and on the way back, the other steps
// are done all the same: none depends on another.
func (d *driver) failStep(ctx context.Context, s strategy.Step, err error) (*Report, bool, error) {
	if errors.Is(err, journal.ErrConflict) {
		return nil, false, err
	}
	d.emitStep(EventFail, s, err.Error())
	switch {
	case ctx.Err() != nil:
		if !d.j.back {
			d.step = s.Name
		}
		return nil, false, err
	case s.Do == "" && d.j.restoring():
		// The step itself is still to be done, and looks.
		return nil, false, d.append(ctx, journal.Record{Kind: journal.KindFailed, Error: err.Error()})
	case d.j.committed && len(d.j.failures) == 0 && errors.Is(err, endpoint.ErrRolledBack):
		d.step = s.Name
		report, err := d.endWith(ctx, OutcomeRolledBack, err)
		return report, true, err
	case d.j.restoring():
		if d.cause == nil {
			d.step, d.cause = s.Name, err
		}
		d.open = d.open || d.j.pending != nil
		text := fmt.Sprintf("%s (%v)", d.describe(s), err)
		return nil, false, d.append(ctx, journal.Record{Kind: journal.KindFailed, Step: s.Name, Error: text})
	}
	return nil, false, d.turn(ctx, s.Name, err)
}

// turn puts on record that from here on the rollout goes back.
func (d *driver) turn(ctx context.Context, step string, cause error) error {
	d.step, d.cause = step, cause
	text := cause.Error()
	if step != "" {
		text = step + ": " + text
	}
	if err := d.append(ctx, journal.Record{Kind: journal.KindRollback, Step: step, Error: text}); err != nil {
		return err
	}
	if !d.j.back { // the commit point is on record after all
		d.step, d.cause = "", nil
		return nil
	}
	d.emit(Event{Kind: EventRollback, Text: "going back: " + text})
	return nil
}

// end finishes a rollout whose list is at its end.
func (d *driver) end(ctx context.Context) (*Report, error) {
	superseded := slices.IndexFunc(d.j.drifts, func(x journal.Drift) bool { return x.Thing == journal.ThingRevision })
	switch {
	case len(d.j.failures) > 0:
		return d.stop(ctx, OutcomeIncomplete, d.why())
	case superseded >= 0 && d.cause == nil:
		return d.endWith(ctx, OutcomeSuperseded, &driftError{d.j.drifts[superseded]})
	case superseded >= 0:
		return d.endWith(ctx, OutcomeSuperseded, d.cause)
	case d.j.back:
		return d.endWith(ctx, OutcomeRolledBack, d.why())
	}
	return d.endWith(ctx, OutcomeSucceeded, nil)
}

// why is the cause of the way back, from the journal if this process did not
// see it.
func (d *driver) why() error {
	switch {
	case d.cause != nil:
		return d.cause
	case d.j.turned != "":
		return fmt.Errorf("%w: %s", errResumed, d.j.turned)
	}
	return errResumed
}

func (d *driver) endWith(ctx context.Context, outcome Outcome, cause error) (*Report, error) {
	text := ""
	if cause != nil {
		text = cause.Error()
	}
	err := d.append(ctx, journal.Record{Kind: journal.KindEnd, Outcome: string(outcome), Error: text})
	switch {
	case errors.Is(err, journal.ErrConflict):
		return d.evicted(err)
	case err != nil:
		d.lost = err
	}
	d.emit(Event{Kind: EventEnd, Outcome: outcome, Text: string(outcome), Status: &d.seen})
	r := d.report(outcome)
	if d.lost != nil {
		r.Leftovers = append(r.Leftovers, "the journal lacks its end, and needs a resume: "+d.lost.Error())
	}
	if outcome == OutcomeSucceeded {
		return r, nil
	}
	return r, &Error{Endpoint: d.u.Name(), Strategy: d.j.plan.Strategy, Outcome: outcome, Step: d.step, Cause: cause}
}

// stop leaves the rollout unfinished, with what remains on record.
func (d *driver) stop(ctx context.Context, outcome Outcome, cause error) (*Report, error) {
	if cause == nil {
		cause = d.why()
	}
	r := d.report(outcome)
	r.Residue = d.residue()
	err := d.append(ctx, journal.Record{Kind: journal.KindStop, Outcome: string(outcome), Error: cause.Error(), Residue: r.Residue})
	if errors.Is(err, journal.ErrConflict) {
		return d.evicted(err)
	}
	d.emit(Event{Kind: EventEnd, Outcome: outcome, Text: string(outcome), Status: &d.seen})
	return r, &Error{
		Endpoint: d.u.Name(), Strategy: d.j.plan.Strategy, Outcome: outcome, Step: d.step, Cause: errors.Join(cause, err),
		Residue: r.Residue, Next: "resume the rollout with the same journal",
	}
}

// residue names what remains: before the turn or the commit point where the
// rollout stands; else the steps that failed, and all that were not reached,
// but for looking whether all is well if there is more.
func (d *driver) residue() []string {
	if !d.j.restoring() {
		return []string{fmt.Sprintf("the rollout stands before %q; a resume goes back to %s, or on with the forward policy",
			d.j.nextStep(), d.j.plan.Source)}
	}
	lines := slices.Clone(d.j.failures)
	rest := d.j.list()[d.j.next:]
	for _, s := range rest {
		if s.Do != strategy.ActionVerify || len(lines) == 0 {
			lines = append(lines, d.describe(s))
		}
	}
	return lines
}

// describe says what a step brings about, for a person who has to do it by hand.
func (d *driver) describe(s strategy.Step) string {
	switch s.Do {
	case strategy.ActionSet, strategy.ActionRaise:
		return fmt.Sprintf("set %s to %d", s.Key, s.Value)
	case strategy.ActionRestoreSetting:
		if v, ok := d.j.before(s.Key); ok {
			return fmt.Sprintf("set %s to %d", s.Key, v)
		}
	case strategy.ActionUpdate:
		return fmt.Sprintf("update to %s", changeTo(d.j.plan, d.j.back).To)
	case strategy.ActionAwait:
		return fmt.Sprintf("see %s %s", changeTo(d.j.plan, d.j.back).To, s.Until)
	case strategy.ActionStage, strategy.ActionSuspendAutoscaling, strategy.ActionRestoreAutoscaling, strategy.ActionDrain, strategy.ActionProbe, strategy.ActionBake, strategy.ActionCommit, strategy.ActionVerify:
	}
	return s.Name
}

func (d *driver) report(outcome Outcome) *Report {
	r := &Report{
		Outcome: outcome, Plan: d.j.plan, Proof: d.j.proof, Drift: d.j.drifts,
		Status: d.seen, Began: d.j.started, Finished: time.Now(),
	}
	if d.j.back && d.j.wrote(journal.ThingDraft) {
		r.Leftovers = append(r.Leftovers, fmt.Sprintf("%s was staged, and is not served", d.j.plan.Draft.Revision))
	}
	return r
}
