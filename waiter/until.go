package waiter

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/changeover-dev/changeover/endpoint"
)

// Seen is what one look saw.
type Seen struct {
	Status endpoint.Status
	// Note says in a few words what is still missing, for people.
	Note string
}

// Probe looks once. done means that the condition holds. An error ends the
// wait unless it is transient; what was seen along with it is kept.
type Probe func(ctx context.Context) (seen Seen, done bool, err error)

// Progress is the state of a wait after a look.
type Progress struct {
	// Looks counts the looks so far, from 1.
	Looks int
	// Elapsed is the time since the wait began.
	Elapsed time.Duration
	// Seen is the last successful look.
	Seen Seen
	// Err is the error of this look, nil if it succeeded.
	Err error
	// Next is how long the wait is going to sleep; zero when it has ended.
	Next time.Duration
	// Earlier are the durations of earlier waits of the same kind, oldest
	// first. Nil without [WithHistory]. They must not be changed.
	Earlier []time.Duration
}

// Until looks until the condition holds and returns what was last seen. It
// runs on the caller's goroutine and starts no other. Its error is always an
// [*Error].
func Until(ctx context.Context, probe Probe, opts ...Option) (Seen, error) {
	c := newConfig(opts)
	w := wait{config: c, start: time.Now(), backoff: c.newBackoff()}
	if c.history != nil {
		w.progress.Earlier = c.history.Durations(c.kind)
	}
	for {
		if err := ctx.Err(); err != nil {
			return w.end(context.Cause(ctx))
		}
		seen, done, err := probe(ctx)
		end, cause := w.look(ctx, seen, done, err)
		if end {
			return w.end(cause)
		}
		wake := c.wake
		if err != nil {
			wake = nil // whoever wakes does not know that the provider asked for rest
		}
		if err := sleep(ctx, w.progress.Next, wake); err != nil {
			return w.end(err)
		}
	}
}

// wait is the state of one call of Until.
type wait struct {
	config
	start    time.Time
	progress Progress
	held     int       // consecutive looks for which the condition held
	failing  time.Time // when the current run of errors began
	backoff  *backoff.ExponentialBackOff
	last     error // of the last look, unless it is the cause
}

// look takes in one look and decides whether the wait ends, and why.
func (w *wait) look(ctx context.Context, seen Seen, done bool, err error) (end bool, cause error) {
	now := time.Now()
	p := &w.progress
	p.Looks++
	p.Elapsed, p.Err, p.Next = now.Sub(w.start), err, 0
	switch {
	case err == nil:
		p.Seen, w.failing, w.last = seen, time.Time{}, nil
		w.backoff.Reset()
		w.held++
		if !done {
			w.held = 0
		}
		end = w.held >= w.consecutive
	case ctx.Err() != nil:
		// The look was cut short: what ended the wait is the context.
		end, cause = true, context.Cause(ctx)
		if w.last = err; errors.Is(cause, err) {
			w.last = nil // not told twice
		}
	case !w.transient(err):
		if seen.Note != "" || seen.Status.Phase != endpoint.PhaseUnknown {
			p.Seen = seen // a verdict comes with what it was passed on
		}
		w.last, end, cause = nil, true, err
	default:
		w.last, w.held = err, 0
		if w.failing.IsZero() {
			w.failing = now
		}
		if now.Sub(w.failing) >= w.budget {
			w.last, end, cause = nil, true, err
		}
	}
	if !end {
		p.Next = w.gap(err)
	}
	if w.observer != nil {
		w.observer(*p)
	}
	return end, cause
}

// gap is the time to sleep before the next look.
func (w *wait) gap(err error) time.Duration {
	if err == nil {
		return max(0, w.schedule.Next(w.progress))
	}
	return max(w.backoff.NextBackOff(), endpoint.RetryAfter(err))
}

// end returns what was last seen, and unless the condition holds why the wait
// ended without it.
func (w *wait) end(cause error) (Seen, error) {
	p := w.progress
	if cause != nil {
		return p.Seen, &Error{Cause: cause, Last: w.last, Looks: p.Looks, Elapsed: time.Since(w.start), Seen: p.Seen}
	}
	if w.history != nil {
		w.history.Add(w.kind, p.Elapsed)
	}
	return p.Seen, nil
}

// sleep waits for d, for the context or for a wake-up, whichever is first. A
// nil wake never wakes.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) error {
	// No timer if the context ends no later: it is to win, and of two timers for
	// the same moment either may be first.
	var over <-chan time.Time
	if deadline, ok := ctx.Deadline(); !ok || d < time.Until(deadline) {
		t := time.NewTimer(d)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-over:
	case <-wake:
	case <-ctx.Done():
	}
	// What ended the sleep and the context may be ready at once.
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
