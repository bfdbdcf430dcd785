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
	"github.com/changeover-dev/changeover/waiter"
)

// driftError says that somebody else changed a thing.
type driftError struct{ journal.Drift }

func (e *driftError) Error() string {
	return fmt.Sprintf("%v: %s is %s, which this rollout neither found nor set", endpoint.ErrDrift, e.Thing, e.Found)
}

func (*driftError) Unwrap() error { return endpoint.ErrDrift }

// stubborn is how often the way back tries a write that the provider refuses
// as such: a quota may be freed, a wrong request stays wrong.
const stubborn = 5

// ensure brings a thing to its wanted value: it looks, and if need be writes
// the intent down, writes, and reads back. It tries again where trying again
// can help, until ctx is done.
func (d *driver) ensure(ctx context.Context, s strategy.Step, e effect) error {
	refusals := 0
	again := func(err error) bool {
		var lost *journalError
		switch {
		case errors.As(err, &lost):
			return false
		case errors.Is(err, journal.ErrConflict), errors.Is(err, endpoint.ErrDrift), errors.Is(err, endpoint.ErrRolledBack):
			return false
		case endpoint.Transient(err), errors.Is(err, errNotInForce):
			return true
		case endpoint.Unapplied(err) && (d.j.back || d.j.committed):
			refusals++
			return refusals < stubborn
		}
		return false
	}
	_, err := waiter.Until(ctx, func(ctx context.Context) (waiter.Observation, bool, error) {
		err := d.attempt(ctx, s, e)
		if err != nil && again(err) {
			d.emitStep(EventRetry, s, err.Error())
			return waiter.Observation{}, false, &retry{err}
		}
		return waiter.Observation{}, err == nil, err
	}, append(d.brisk(d.u), waiter.WithTransient(func(err error) bool {
		var r *retry
		return errors.As(err, &r)
	}, forever))...)
	return plain(err)
}

// forever is longer than any step: only the step's own time ends its tries.
const forever = 1000 * time.Hour

// retry marks an error that [driver.ensure] waits out.
type retry struct{ error }

func (r *retry) Unwrap() error { return r.error }

// plain takes the account of a wait off an error that it was not the cause of,
// and that of an outer wait off an inner one's.
func plain(err error) error {
	var outer, inner *waiter.Error
	switch {
	case !errors.As(err, &outer):
		return err
	case errors.As(outer.Last, &inner):
		return inner
	case errors.As(outer.Cause, &inner):
		return plain(inner)
	case outer.Polls <= 1 && outer.Last == nil:
		return outer.Cause
	}
	return err
}

// attempt makes one attempt at a write.
func (d *driver) attempt(ctx context.Context, s strategy.Step, e effect) error {
	v, err := d.lookUntilSure(ctx, s, e)
	if err != nil || v == inForce {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	notAfter := time.Now().Add(callTime(ctx, e.Thing)).Round(0)
	before := d.seen
	if err := d.append(ctx, journal.Record{Kind: journal.KindIntent, Step: s.Name, Before: &before, Write: &e.Write, NotAfter: notAfter}); err != nil {
		return err
	}
	d.emitStep(EventWrite, s, e.Thing+" → "+e.want)
	cctx, cancel := context.WithDeadline(ctx, notAfter)
	err = e.call(cctx)
	cancel()
	switch {
	case err != nil && endpoint.Unapplied(err):
		if aerr := d.append(ctx, journal.Record{Kind: journal.KindFailed, Error: err.Error()}); aerr != nil {
			return aerr
		}
		return err
	case ctx.Err() != nil:
		// What became of it is found out on the way back, or by a resume. This
		// driver at least knows that its call is over.
		d.j.setQuiet(e.Thing, time.Now())
		return context.Cause(ctx)
	}
	return d.settle(ctx, s, e, err, time.Now())
}

// callTime bounds one call. Protecting and restoring are many calls in one.
func callTime(ctx context.Context, thing string) time.Duration {
	call := time.Minute
	if thing == journal.ThingAutoscaling {
		call = 5 * time.Minute
	}
	if end, ok := ctx.Deadline(); ok {
		return min(call, time.Until(end))
	}
	return call
}

// lookUntilSure looks until it is clear whether a thing has to be written. A
// read that shows the wanted value is believed only when no earlier write of
// ours can still be on its way into view, and a foreign value only when it
// lasts.
func (d *driver) lookUntilSure(ctx context.Context, s strategy.Step, e effect) (verdict, error) {
	var sure verdict
	var since time.Time
	quiet := d.j.quiet(e.Thing)
	_, err := d.until(ctx, s, func(ctx context.Context) (string, bool, error) {
		v, found, err := e.look(ctx)
		if err != nil {
			return "", false, err
		}
		now := time.Now()
		switch v {
		case ours:
			if d.j.made(e.Write) && now.Before(quiet) { // the read is older than what was read back before
				since, d.due = time.Time{}, quiet
				return "waiting until reads can be believed", false, nil
			}
			sure = ours
			return "", true, nil
		case inForce:
			sure, since = inForce, time.Time{}
			d.due = quiet
			return "waiting until reads can be believed", !now.Before(quiet), nil
		case foreign:
			if since.IsZero() {
				since = now
			}
			d.due = later(since.Add(d.j.plan.Settle), quiet)
			if !now.Before(d.due) {
				return "", false, &driftError{journal.Drift{Thing: e.Thing, Want: e.want, Found: found}}
			}
			return "found " + found + ", which is not of this rollout", false, nil
		case unsure:
		}
		return "", false, nil
	})
	return sure, err
}

// settle finds out what became of a write: nil if it is in force. callErr is
// the error of its call, nil if the provider accepted it; answered is when the
// call ended.
func (d *driver) settle(ctx context.Context, s strategy.Step, e effect, callErr error, answered time.Time) error {
	limit := answered.Add(d.j.plan.Settle)
	// The value that is looked for may be an old one too. Where nobody saw the
	// provider accept the write, a read that could be that old is no proof.
	var believable time.Time
	if callErr != nil {
		believable = d.j.quietBefore(e.Thing)
	}
	var since time.Time
	_, err := d.until(ctx, s, func(ctx context.Context) (string, bool, error) {
		v, found, err := e.look(ctx)
		if err != nil {
			return "", false, err
		}
		now := time.Now()
		switch v {
		case inForce:
			since = time.Time{}
			d.due = believable
			return "waiting until reads can be believed", !now.Before(believable), nil
		case foreign:
			if since.IsZero() {
				since = now
			}
			d.due = later(since.Add(d.j.plan.Settle), limit)
			if !now.Before(d.due) {
				return "", false, &driftError{journal.Drift{Thing: e.Thing, Want: e.want, Found: found}}
			}
			return "found " + found + ", which is not of this rollout", false, nil
		case ours, unsure:
			since, d.due = time.Time{}, limit
			if v == ours && !now.Before(limit) {
				return "", false, d.absent(e, callErr)
			}
		}
		return "waiting to see " + e.want, false, nil
	})
	err = plain(err)
	if ctx.Err() != nil && err != nil {
		return err // still open
	}
	kind, text := journal.KindDone, ""
	if err != nil {
		kind, text = journal.KindFailed, err.Error()
	}
	if aerr := d.append(ctx, journal.Record{Kind: kind, Error: text}); aerr != nil {
		return aerr
	}
	return err
}

// absent says why a write is not in force when it should be.
func (d *driver) absent(e effect, callErr error) error {
	before, now := d.j.pending.Before, d.seen
	if e.Revision != nil && before != nil && before.Generation != now.Generation && !d.j.back {
		return fmt.Errorf("%w to %s: %s", endpoint.ErrRolledBack, now.Desired, orUnknown(now.Reason))
	}
	if callErr != nil {
		return fmt.Errorf("%w: %s → %s: %w", errNotInForce, e.Thing, e.want, callErr)
	}
	return fmt.Errorf("%w: %s → %s was accepted", errNotInForce, e.Thing, e.want)
}

func orUnknown(reason string) string {
	if reason == "" {
		return "the provider gives no reason"
	}
	return reason
}

// reopen finds out what became of a write whose driver died, or was cancelled,
// before it knew.
func (d *driver) reopen(ctx context.Context) error {
	p := d.j.pending
	s := strategy.Step{Name: p.Step}
	e, err := d.effectOf(*p.Write)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, max(0, time.Until(p.NotAfter))+2*d.j.plan.Settle+time.Minute, errors.New("what became of the write could not be found out"))
	defer cancel()
	writes := d.j.writes[e.Thing]
	err = d.settle(ctx, s, e, errors.New("nobody saw the answer"), writes[len(writes)-1].quiet)
	var drift *driftError
	switch {
	case errors.Is(err, errNotInForce):
		return nil // it is on record; whether to write it again is the step's to decide
	case errors.As(err, &drift) && d.j.restoring():
		return nil // the step itself will find it
	}
	return err
}

// patient says which errors of a look are waited out. Where there is no way
// but on, a refusal has to be repeated before it is believed.
func (d *driver) patient() func(error) bool {
	refusals := 0
	return func(err error) bool {
		var lost *journalError
		if errors.As(err, &lost) {
			return false
		}
		if endpoint.Unapplied(err) && !endpoint.Transient(err) && d.j.restoring() {
			refusals++
			return refusals < stubborn
		}
		return endpoint.Transient(err)
	}
}

// until is one wait of a step.
func (d *driver) until(ctx context.Context, s strategy.Step, look func(ctx context.Context) (note string, done bool, err error), opts ...waiter.Option) (waiter.Observation, error) {
	patient := d.patient()
	return waiter.Until(ctx, func(ctx context.Context) (waiter.Observation, bool, error) {
		d.due = time.Time{}
		note, done, err := look(ctx)
		seen := waiter.Observation{Status: d.seen, Note: note}
		if !d.due.IsZero() {
			seen.Due = time.Until(d.due)
		}
		return seen, done, err
	}, slices.Concat(d.brisk(d.u), []waiter.Option{waiter.WithTransient(func(err error) bool {
		// Those are findings, whatever led to them.
		return patient(err) && !errors.Is(err, errNotInForce) && !errors.Is(err, ErrGate)
	}, forever), d.watch(s)}, opts)...)
}

// waits are the options for every wait on the endpoint.
func (d *driver) waits() []waiter.Option { return d.options.waits(d.u) }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// watch reports the looks of a wait as events.
func (d *driver) watch(s strategy.Step) waiter.Option { return waiter.WithObserver(d.observer(s)) }

func (d *driver) observer(s strategy.Step) func(waiter.Progress) {
	return func(p waiter.Progress) {
		switch {
		case p.Err != nil && p.Next > 0:
			d.emitStep(EventRetry, s, p.Err.Error())
		case p.Err == nil && p.Next > 0:
			d.seen = p.Observed.Status
			d.clock.look(d.seen)
			d.emitStep(EventPoll, s, p.Observed.Note)
		}
	}
}

// status looks at the endpoint and remembers what it saw.
func (d *driver) status(ctx context.Context) (endpoint.Status, error) {
	s, err := d.u.Status(ctx)
	if err == nil {
		err = d.recognize(s)
	}
	if err != nil {
		return s, err
	}
	d.seen = s
	return s, d.remember(ctx, s)
}
