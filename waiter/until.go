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
	// Due, if positive, is when the next look is due at the latest: what was
	// seen may then be believed, or be over. [Learned] heeds it.
	Due time.Duration
}

// Probe looks once. done means that the condition holds. An error ends the
// wait unless it is transient; what was seen along with it is kept.
type Probe func(ctx context.Context) (seen Seen, done bool, err error)

// Progress is the state of a wait after a look.
type Progress struct {
	// Looks counts the looks so far, from 1.
	Looks int
	// Held counts the looks in a row, this one included, for which the
	// condition held.
	Held int
	// Elapsed is the time since the wait began.
	Elapsed time.Duration
	// Seen is the last successful look.
	Seen Seen
	// Err is the error of this look, nil if it succeeded.
	Err error
	// Next is how long the wait is going to sleep; zero when it has ended.
	Next time.Duration
	// Stage is the stage in Seen, with a number if it is not the first of its
	// name ("Baking", "Baking 2"), and InStage for how long it has lasted, by
	// the provider's clock if that can be right.
	Stage   string
	InStage time.Duration
	// Earlier are the durations of earlier waits of the same kind on the same
	// endpoint, oldest first. Nil without [WithHistory]. They must not be changed.
	Earlier []time.Duration
	// Forecast is what the history says about Elapsed, or about InStage beyond
	// the stage's configured length if there is a stage. Nil if it says nothing.
	Forecast *Forecast
	// Jitter is a number from -1 to 1 that differs from look to look and from
	// endpoint to endpoint. It lets a schedule scatter many waits and still be
	// a pure function.
	Jitter float64
}

// Until looks until the condition holds and returns what was last seen. It
// runs on the caller's goroutine and starts no other. Its error is always an
// [*Error].
func Until(ctx context.Context, probe Probe, opts ...Option) (Seen, error) {
	// On the heap: a wait that sleeps is to hold a small stack.
	w := newWait(opts)
	for {
		if err := ctx.Err(); err != nil {
			return w.end(context.Cause(ctx))
		}
		w.probe(ctx, probe)
		end, cause := w.look(ctx)
		if !end {
			w.plan()
		}
		w.tell()
		if end {
			return w.end(cause)
		}
		wake, listed := w.wake, w.listed
		if w.progress.Err != nil {
			wake, listed = nil, nil // whoever wakes does not know that the provider asked for rest
		}
		if err := sleep(ctx, w.progress.Next, wake, listed); err != nil {
			return w.end(err)
		}
	}
}

func newWait(opts []Option) *wait {
	w := &wait{config: newConfig(opts), start: time.Now()}
	w.before = w.start
	if h := w.history; h != nil {
		w.progress.Earlier = h.Durations(w.kind, w.endpoint)
		w.progress.Forecast = h.Forecast(w.kind, w.endpoint)
	}
	w.seed = w.config.seed()
	return w
}

// probe, look, plan and tell are the parts of one look. They follow each other
// rather than call each other, so that what sleeps keeps half the stack.

func (w *wait) probe(ctx context.Context, probe Probe) {
	w.seen, w.done, w.progress.Err = probe(ctx)
}

// wait is the state of one call of Until.
type wait struct {
	config
	start    time.Time
	progress Progress
	seen     Seen // by the last probe, and whether it said that it is done
	done     bool
	failing  time.Time                   // when the current run of errors began
	backoff  *backoff.ExponentialBackOff // nil while all is well
	last     error                       // of the last look, unless it is the cause
	seed     uint64
	stages   stages
	before   time.Time // the last look for which the condition did not hold
	began    time.Time // the first look of those for which it holds
}

// look takes in one look and decides whether the wait ends, and why.
func (w *wait) look(ctx context.Context) (end bool, cause error) {
	now := time.Now()
	p, err := &w.progress, w.progress.Err
	p.Looks++
	p.Elapsed, p.Next = now.Sub(w.start), 0
	switch {
	case err == nil:
		p.Seen, w.failing, w.last = w.seen, time.Time{}, nil
		w.backoff = nil
		w.found(now)
		end = p.Held >= w.consecutive
	case ctx.Err() != nil:
		// The look was cut short: what ended the wait is the context.
		end, cause = true, context.Cause(ctx)
		if w.last = err; errors.Is(cause, err) {
			w.last = nil // not told twice
		}
	case !w.transient(err):
		if w.seen.Note != "" || w.seen.Status.Phase != endpoint.PhaseUnknown {
			p.Seen = w.seen // a verdict comes with what it was passed on
		}
		w.last, end, cause = nil, true, err
	default:
		w.last, p.Held = err, 0
		if w.failing.IsZero() {
			w.failing = now
		}
		if now.Sub(w.failing) >= w.budget {
			w.last, end, cause = nil, true, err
		}
	}
	return end, cause
}

// tell calls the observer.
func (w *wait) tell() {
	if w.observer != nil {
		w.observer(w.progress)
	}
}

// found takes in a look that succeeded.
func (w *wait) found(now time.Time) {
	p := &w.progress
	if w.done {
		if p.Held++; p.Held == 1 {
			w.began = now
		}
		return
	}
	p.Held, w.before = 0, now
	if w.stages.enter(p.Seen.Status.Stage, w.start, now) && w.history != nil {
		p.Forecast = w.history.forecast(w.kind, w.stages.name(), w.endpoint)
	}
	p.Stage, p.InStage = w.stages.name(), w.stages.lasted(now)
}

// plan says how long to sleep before the next look.
func (w *wait) plan() {
	p := &w.progress
	if p.Err == nil {
		p.Jitter = jitter(w.seed, p.Looks)
		p.Next = max(0, w.schedule.Next(*p))
		if w.vouched != nil && w.vouched() && p.Held == 0 && p.Seen.Due <= 0 {
			p.Next = max(p.Next, Heartbeat) // the poller looks for this wait, and wakes it
		}
		return
	}
	if w.backoff == nil {
		w.backoff = w.newBackoff()
	}
	p.Next = max(w.backoff.NextBackOff(), endpoint.RetryAfter(p.Err))
}

// end returns what was last seen, and unless the condition holds why the wait
// ended without it.
func (w *wait) end(cause error) (Seen, error) {
	p := w.progress
	if cause != nil {
		return p.Seen, &Error{Cause: cause, Last: w.last, Looks: p.Looks, Elapsed: time.Since(w.start), Seen: p.Seen}
	}
	// What was there from the start tells nothing about how long it takes.
	if w.history != nil && p.Looks > p.Held {
		// It came between two looks. Half-way is right on average.
		at := w.before.Add(w.began.Sub(w.before) / 2)
		w.history.Add(w.kind, w.endpoint, at.Sub(w.start))
		w.history.addStages(w.kind, w.endpoint, w.stages, at)
	}
	return p.Seen, nil
}

// jitter is a number from -1 to 1 for a look (splitmix64).
func jitter(seed uint64, look int) float64 {
	z := seed + uint64(look)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return float64((z^z>>31)>>11)/(1<<52) - 1
}

// sleep waits for d, for the context or for a wake-up, whichever is first. A
// nil channel never wakes.
func sleep(ctx context.Context, d time.Duration, wake, listed <-chan struct{}) error {
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
	case <-listed:
	case <-ctx.Done():
	}
	// What ended the sleep and the context may be ready at once.
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
