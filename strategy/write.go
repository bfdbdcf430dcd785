package strategy

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/waiter"
)

// verdict is what a look says about a thing that is about to be written, or
// may have been.
type verdict int

const (
	unsure  verdict = iota
	inForce         // the thing is as wanted
	ours            // it is as this rollout found it, or once wrote it
	foreign         // somebody else's value
)

// effect is a write together with how to see it and how to do it.
type effect struct {
	Write
	want string
	look func(ctx context.Context) (v verdict, found string, err error)
	call func(ctx context.Context) error
}

// driftError says that somebody else changed a thing.
type driftError struct{ Drift }

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
func (d *driver) ensure(ctx context.Context, s Step, e effect) error {
	refusals := 0
	again := func(err error) bool {
		var lost *journalError
		switch {
		case errors.As(err, &lost):
			return false
		case errors.Is(err, ErrConflict), errors.Is(err, endpoint.ErrDrift), errors.Is(err, endpoint.ErrRolledBack):
			return false
		case endpoint.Transient(err), errors.Is(err, errNotInForce):
			return true
		case endpoint.Unapplied(err) && (d.j.back || d.j.committed):
			refusals++
			return refusals < stubborn
		}
		return false
	}
	_, err := waiter.Until(ctx, func(ctx context.Context) (waiter.Seen, bool, error) {
		err := d.attempt(ctx, s, e)
		if err != nil && again(err) {
			d.emitStep(EventRetry, s, err.Error())
			return waiter.Seen{}, false, &retry{err}
		}
		return waiter.Seen{}, err == nil, err
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
	case outer.Looks <= 1 && outer.Last == nil:
		return outer.Cause
	}
	return err
}

// attempt makes one attempt at a write.
func (d *driver) attempt(ctx context.Context, s Step, e effect) error {
	v, err := d.lookUntilSure(ctx, s, e)
	if err != nil || v == inForce {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	notAfter := time.Now().Add(callTime(ctx, e.Thing)).Round(0)
	before := d.seen
	if err := d.append(ctx, Record{Kind: KindIntent, Step: s.Name, Before: &before, Write: &e.Write, NotAfter: notAfter}); err != nil {
		return err
	}
	d.emitStep(EventWrite, s, e.Thing+" → "+e.want)
	cctx, cancel := context.WithDeadline(ctx, notAfter)
	err = e.call(cctx)
	cancel()
	switch {
	case err != nil && endpoint.Unapplied(err):
		if aerr := d.append(ctx, Record{Kind: KindFailed, Error: err.Error()}); aerr != nil {
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
	if thing == thingProtection {
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
func (d *driver) lookUntilSure(ctx context.Context, s Step, e effect) (verdict, error) {
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
				return "", false, &driftError{Drift{Thing: e.Thing, Want: e.want, Found: found}}
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
func (d *driver) settle(ctx context.Context, s Step, e effect, callErr error, answered time.Time) error {
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
				return "", false, &driftError{Drift{Thing: e.Thing, Want: e.want, Found: found}}
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
	kind, text := KindDone, ""
	if err != nil {
		kind, text = KindFailed, err.Error()
	}
	if aerr := d.append(ctx, Record{Kind: kind, Error: text}); aerr != nil {
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
	s := Step{Name: p.Step}
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
		if endpoint.Unapplied(err) && !endpoint.Transient(err) && d.j.restoring() {
			refusals++
			return refusals < stubborn
		}
		return endpoint.Transient(err)
	}
}

// until is one wait of a step.
func (d *driver) until(ctx context.Context, s Step, look func(ctx context.Context) (note string, done bool, err error)) (waiter.Seen, error) {
	patient := d.patient()
	return waiter.Until(ctx, func(ctx context.Context) (waiter.Seen, bool, error) {
		d.due = time.Time{}
		note, done, err := look(ctx)
		seen := waiter.Seen{Status: d.seen, Note: note}
		if !d.due.IsZero() {
			seen.Due = time.Until(d.due)
		}
		return seen, done, err
	}, append(d.brisk(d.u), waiter.WithTransient(func(err error) bool {
		// Those are findings, whatever led to them.
		return patient(err) && !errors.Is(err, errNotInForce) && !errors.Is(err, ErrGate)
	}, forever), d.watch(s))...)
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
func (d *driver) watch(s Step) waiter.Option { return waiter.WithObserver(d.observer(s)) }

func (d *driver) observer(s Step) func(waiter.Progress) {
	return func(p waiter.Progress) {
		switch {
		case p.Err != nil && p.Next > 0:
			d.emitStep(EventRetry, s, p.Err.Error())
		case p.Err == nil && p.Next > 0:
			d.seen = p.Seen.Status
			d.clock.look(d.seen)
			d.emitStep(EventLook, s, p.Seen.Note)
		}
	}
}

// status looks at the endpoint and remembers what it saw.
func (d *driver) status(ctx context.Context) (endpoint.Status, error) {
	s, err := d.u.Status(ctx)
	if err == nil {
		d.seen = s
	}
	return s, err
}

// effectOf gives a write its look and its call. A write that was read from a
// journal gets the same ones.
func (d *driver) effectOf(w Write) (effect, error) {
	switch {
	case w.Revision != nil:
		return d.revisionEffect(w), nil
	case w.Value != nil:
		return d.settingEffect(w)
	case w.Thing == thingDraft:
		return d.draftEffect(w)
	case w.Thing == thingProtection:
		return d.protectionEffect(w)
	}
	return effect{}, fmt.Errorf("a write of %q: %w", w.Thing, ErrDamaged)
}

func (d *driver) revisionEffect(w Write) effect {
	to := *w.Revision
	c := endpoint.Change{To: to, Options: d.j.plan.Options, Back: to == d.j.plan.Source}
	return effect{
		Write: w, want: to.String(),
		look: func(ctx context.Context) (verdict, string, error) {
			s, err := d.status(ctx)
			if err == nil {
				err = d.sameKind(s)
			}
			switch {
			case err != nil:
				return unsure, "", err
			case s.Desired.IsZero():
				return unsure, "", nil
			case s.Desired.Same(to):
				return inForce, s.Desired.String(), nil
			case s.Desired.Same(d.j.plan.Source), s.Desired.Same(d.j.plan.Target):
				return ours, s.Desired.String(), nil
			}
			return foreign, s.Desired.String(), nil
		},
		call: func(ctx context.Context) error { return d.u.Update(ctx, c) },
	}
}

func (d *driver) settingEffect(w Write) (effect, error) {
	scaler, err := endpoint.Need[endpoint.Scaler](d.u)
	if err != nil {
		return effect{}, err
	}
	key, value := w.Thing, *w.Value
	return effect{
		Write: w, want: strconv.Itoa(value),
		look: func(ctx context.Context) (verdict, string, error) {
			s, err := d.status(ctx)
			if err != nil {
				return unsure, "", err
			}
			have, ok := s.Settings[key]
			switch {
			case !ok:
				return unsure, "", fmt.Errorf("%s has no setting %s any more: %w", d.u.Name(), key, endpoint.ErrInvalid)
			case have == value, w.AtLeast && have > value:
				return inForce, strconv.Itoa(have), nil
			case d.j.ours(key, have), w.AtLeast, imposed(s, key):
				return ours, strconv.Itoa(have), nil
			}
			return foreign, strconv.Itoa(have), nil
		},
		call: func(ctx context.Context) error { return scaler.Set(ctx, key, value) },
	}, nil
}

func (d *driver) draftEffect(w Write) (effect, error) {
	stager, err := endpoint.Need[endpoint.Stager](d.u)
	if err != nil {
		return effect{}, err
	}
	draft := *d.j.plan.Draft
	return effect{
		Write: w, want: draft.Revision.String(),
		look: func(ctx context.Context) (verdict, string, error) {
			err := stager.Staged(ctx, draft)
			switch {
			case err == nil:
				return inForce, "", nil
			case errors.Is(err, endpoint.ErrNotFound):
				return ours, "", nil
			case errors.Is(err, endpoint.ErrDrift), errors.Is(err, endpoint.ErrInvalid):
				return foreign, err.Error(), nil
			}
			return unsure, "", err
		},
		call: func(ctx context.Context) error { return stager.Stage(ctx, draft) },
	}, nil
}

func (d *driver) protectionEffect(w Write) (effect, error) {
	protector, err := endpoint.Need[endpoint.Protector](d.u)
	if err != nil {
		return effect{}, err
	}
	call, words := protector.Restore, "autoscaling as it was"
	snapshot, freezing := w.Protect, w.Protect != nil
	if freezing {
		call, words = protector.Protect, "autoscaling frozen"
	} else {
		snapshot = d.j.protected
	}
	return effect{
		Write: w, want: words,
		look: func(ctx context.Context) (verdict, string, error) {
			is, err := protector.Inspect(ctx, *snapshot)
			switch {
			case err != nil:
				return unsure, "", err
			case freezing && is.Frozen, !freezing && is.Intact:
				return inForce, "", nil
			case !freezing && len(is.Foreign) == len(is.Differences):
				return foreign, strings.Join(is.Foreign, ", "), nil
			}
			return ours, "", nil
		},
		call: func(ctx context.Context) error { return call(ctx, *snapshot) },
	}, nil
}
