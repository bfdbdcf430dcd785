package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// Run moves an endpoint to the target by the strategy. It returns when the
// rollout has ended, forward or rolled back.
//
// Every intent is in the store before it is carried out, so that a rollout
// that is killed at any moment can be finished by [Resume], or by the next Run
// with [WithResumeFirst]. A nil error means that the endpoint was read back
// serving the target with every guarded value as it was. Otherwise the error is
// an [*Error] that says how the rollout ended. With [ErrRefused] nothing was
// changed: something is wrong with the request, or there is an [ErrUnfinished]
// rollout, or another runner holds the endpoint ([endpoint.ErrBusy]).
//
// The report is never nil.
//
// When ctx is done the rollout stops waiting and writing at once, and then
// rolls back on a budget of its own; see [WithDetach] and [WithHardStop]. A
// context that is done before the start changes nothing.
func Run(ctx context.Context, store journal.Store, u endpoint.Updater, s strategy.Strategy, t Target, opts ...Option) (*Report, error) {
	o := newOptions(opts)
	if err := errors.Join(o.check("Run"), checkCall(store, u, func() error { return checkMove(u, s, t, o.refreshes) })); err != nil {
		return refused(nameOf(u), err)
	}
	return afterResume(ctx, store, u, o, func() (*Rollout, error) { return begin(ctx, store, u, s, t, o) })
}

// afterResume first finishes what is unfinished, if that is asked for, and then
// runs the rollout that begin begins.
func afterResume(ctx context.Context, store journal.Store, u endpoint.Updater, o options, begin func() (*Rollout, error)) (*Report, error) {
	var resumed *Report
	if o.resumeFirst {
		first := o
		first.resumeFirst, first.given = false, nil
		report, err := resume(ctx, store, u, first)
		switch report.Outcome { //nolint:exhaustive // the others need nothing here
		case OutcomeSucceeded, OutcomeRolledBack, OutcomeSuperseded:
			resumed = report
		case OutcomeNothing:
		default:
			return report, err
		}
	}
	r, err := begin()
	if err != nil {
		report, err := refused(u.Name(), err)
		report.Resumed = resumed
		return report, err
	}
	defer r.Close() //nolint:contextcheck // it has to happen whatever becomes of the context
	report, err := r.loop(ctx)
	report.Resumed = resumed
	return report, err
}

// Resume finishes the rollout that the store holds for u. Before the commit
// point it rolls back, or goes on forward with [WithForward]; after it, forward. A
// write of which it is not known whether it was carried out is looked up, never
// repeated blindly. Without an unfinished rollout the report's outcome is
// [OutcomeNothing].
//
// The checks of the rollout must be given again. Report and error are as for [Run]:
// a rollout that is rolled back is [ErrRolledBack]. A program that wants to roll
// out in any case calls Run with [WithResumeFirst].
func Resume(ctx context.Context, store journal.Store, u endpoint.Updater, opts ...Option) (*Report, error) {
	o := newOptions(opts)
	if len(o.cursor) > 0 {
		return refused(nameOf(u), fmt.Errorf("%s: resume: %w: a cursor is for Begin and Attach", nameOf(u), endpoint.ErrInvalid))
	}
	return resume(ctx, store, u, o)
}

func resume(ctx context.Context, store journal.Store, u endpoint.Updater, o options) (*Report, error) {
	r, err := attach(ctx, store, u, o, core.Policy{Resume: true})
	if err != nil {
		return refused(nameOf(u), err)
	}
	defer r.Close() //nolint:contextcheck // it has to happen whatever becomes of the context
	return r.loop(ctx)
}

// loop drives a rollout to its end.
func (r *Rollout) loop(ctx context.Context) (*Report, error) {
	var stop func()
	defer func() {
		if stop != nil {
			stop()
		}
	}()
	for {
		next, report, err := r.Advance(ctx)
		if next.IsZero() {
			return report, err
		}
		if stop == nil && !r.machine.Starting() {
			stop = r.lease.keep(ctx, r.book, r.machine)
		}
		r.sleep(ctx, next)
	}
}

// sleep waits until the next call of Advance is due, or something happens that
// it should know of.
func (r *Rollout) sleep(ctx context.Context, until time.Time) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	var done <-chan struct{}
	if !r.machine.Cancelled() && !r.machine.Ledger().Restoring() || r.machine.Starting() {
		done = ctx.Done()
	}
	var wake, listed, job <-chan struct{}
	if r.wake {
		wake = r.wakes
		if r.watch != nil {
			listed = r.watch.Wake()
		}
		if r.job != nil {
			job = r.job.done
		}
	}
	for {
		select {
		case <-timer.C:
		case <-done:
		case <-r.hardStop:
		case <-listed:
			r.machine.Wake()
		case <-job:
			r.machine.Wake()
		case _, ok := <-wake:
			if !ok { // a closed channel wakes nothing
				wake = nil
				continue
			}
			r.machine.Wake()
		}
		return
	}
}
