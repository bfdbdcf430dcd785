package waiter

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/changeover-dev/changeover/endpoint"
)

// Observation is what one look saw.
type Observation struct {
	Status endpoint.Status
	// Note says in a few words what is still missing, for people.
	Note string
	// Due, if positive, is when the next look is due at the latest: what was
	// seen may then be believed, or be over. [Learned] heeds it.
	Due time.Duration
}

// PollFunc looks once. done means that the condition holds. An error ends the
// wait unless it is transient; what was seen along with it is kept.
type PollFunc func(ctx context.Context) (seen Observation, done bool, err error)

// Progress is the state of a wait after a look.
type Progress struct {
	// Looks counts the looks so far, from 1.
	Polls int
	// Held counts the looks in a row, this one included, for which the
	// condition held. One that failed says nothing, and is left out.
	Held int
	// Elapsed is the time since the wait began.
	Elapsed time.Duration
	// Observation is the last successful look.
	Observed Observation
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
func Until(ctx context.Context, probe PollFunc, opts ...Option) (Observation, error) {
	w := newWait(opts)
	err := w.run(ctx, func(ctx context.Context, last *Observation) (bool, error) {
		seen, done, err := probe(ctx)
		if err == nil || w.verdict(ctx, err) && (seen.Note != "" || seen.Status.Phase != endpoint.PhaseUnknown) {
			*last = seen
		}
		return done, err
	})
	return w.progress.Observed, err
}

func newWait(opts []Option) *wait {
	w := &wait{config: newConfig(opts), start: time.Now()}
	if h := w.history; h != nil {
		w.progress.Earlier = h.Durations(w.kind, w.endpoint)
		w.progress.Forecast = h.Forecast(w.kind, w.endpoint)
	}
	w.seed = w.config.seed()
	return w
}

// look looks once, and writes what it sees over what the last look saw. With
// an error that can be waited out it leaves that alone.
type look func(ctx context.Context, seen *Observation) (done bool, err error)

// run is the loop. What sleeps in it is to hold a small stack, and there may be
// thousands: the state is on the heap, in one piece, and what is large is
// passed by its address. The parts of a look follow each other rather than
// call each other for the same reason.
func (w *wait) run(ctx context.Context, look look) error {
	p := &w.progress
	for {
		if err := ctx.Err(); err != nil {
			return w.end(context.Cause(ctx))
		}
		due := p.Elapsed + p.Next
		done, err := look(ctx, &p.Observed)
		end, cause := w.took(ctx, done, err)
		if !end {
			w.plan(due - p.Elapsed)
		}
		if w.observer != nil {
			w.tell()
		}
		if end {
			return w.end(cause)
		}
		wake, listed := w.wakes()
		if err := sleep(ctx, p.Next, wake, listed); err != nil {
			return w.end(err)
		}
	}
}

// wait is the state of one call of Until.
type wait struct {
	config
	start    time.Time
	progress Progress
	backoff  *backoff.ExponentialBackOff // since the current run of errors began; nil while all is well
	last     error                       // of the last look, unless it is the cause
	seed     uint64
	stages   stages
	before   time.Duration // the last look for which the condition did not hold
	began    time.Duration // the first look of those for which it holds
	waited   bool          // there was a look before that one
	watch    *watch        // by the shared poller, nil without
}

// took takes in one look and decides whether the wait ends, and why.
func (w *wait) took(ctx context.Context, done bool, err error) (end bool, cause error) {
	p, now := &w.progress, time.Now()
	p.Polls++
	p.Elapsed, p.Next, p.Err = now.Sub(w.start), 0, err
	switch {
	case err == nil:
		w.last, w.backoff = nil, nil
		w.found(now, done)
		end = p.Held >= w.consecutive
	case ctx.Err() != nil:
		// The look was cut short: what ended the wait is the context. What the
		// look before failed with says more than that.
		end, cause = true, context.Cause(ctx)
		if w.last == nil || !errors.Is(err, ctx.Err()) {
			w.last = err
		}
		if errors.Is(cause, w.last) {
			w.last = nil // not told twice
		}
	case !w.transient(err):
		w.last, end, cause = nil, true, err
	default:
		w.last, w.waited = err, w.waited || p.Held == 0
		if w.backoff == nil {
			w.backoff = w.newBackoff()
		}
		if w.backoff.GetElapsedTime() >= w.budget {
			w.last, end, cause = nil, true, err
		}
	}
	return end, cause
}

// verdict says whether err ends the wait by itself: such an error comes with
// what it was passed on.
func (w *wait) verdict(ctx context.Context, err error) bool {
	return ctx.Err() == nil && !w.transient(err)
}

// tell calls the observer. Its copy is not to be a part of run's stack.
//
//go:noinline
func (w *wait) tell() { w.observer(w.progress) }

// wakes are the channels that may cut the next sleep short.
func (w *wait) wakes() (wake, listed <-chan struct{}) {
	if w.progress.Err != nil {
		return nil, nil // whoever wakes does not know that the provider asked for rest
	}
	if w.watch != nil {
		listed = w.watch.wake
	}
	return w.wake, listed
}

// found takes in a look that succeeded.
func (w *wait) found(now time.Time, done bool) {
	p := &w.progress
	if done {
		if p.Held++; p.Held == 1 {
			w.began = p.Elapsed
		}
		return
	}
	p.Held, w.before, w.waited = 0, p.Elapsed, true
	if w.stages.enter(p.Observed.Status.UpdateStage, w.start, now) && w.history != nil {
		p.Forecast = w.history.forecast(w.kind, w.stages.name(), w.endpoint)
	}
	p.Stage, p.InStage = w.stages.name(), w.stages.lasted(now)
}

// plan says how long to sleep before the next look. A look that somebody woke
// the wait for came before the one that was planned, which is left away still:
// whoever wakes for nothing puts nothing off.
func (w *wait) plan(left time.Duration) {
	p := &w.progress
	if p.Err == nil {
		p.Jitter = jitter(w.seed, p.Polls)
		p.Next = max(0, w.next())
		if w.watch != nil && w.watch.vouched() && p.Held == 0 && p.Observed.Due <= 0 {
			p.Next = max(p.Next, MaxInterval) // the poller looks for this wait, and wakes it
		}
		if left > 0 && p.Held == 0 {
			p.Next = min(p.Next, left)
		}
		return
	}
	p.Next = max(w.backoff.NextBackOff(), endpoint.RetryAfter(p.Err))
}

// next asks the schedule. The default one looks where everything is, another is
// handed a copy: see tell.
func (w *wait) next() time.Duration {
	if l, ok := w.schedule.(*learned); ok {
		return l.next(&w.progress)
	}
	return w.ask()
}

//go:noinline
func (w *wait) ask() time.Duration { return w.schedule.Next(w.progress) }

// end says why the wait ended without its condition, unless that holds.
func (w *wait) end(cause error) error {
	p := &w.progress
	if cause != nil {
		return &Error{Cause: cause, Last: w.last, Polls: p.Polls, Elapsed: time.Since(w.start), Observed: p.Observed}
	}
	// What was there from the start tells nothing about how long it takes.
	if w.history != nil && w.waited {
		// It came between two looks. Half-way is right on average.
		at := (w.before + w.began) / 2
		w.history.Add(w.kind, w.endpoint, at)
		w.history.addStages(w.kind, w.endpoint, w.stages, w.start.Add(at))
	}
	return nil
}

// jitter is a number from -1 to 1 for a look (splitmix64).
func jitter(seed uint64, look int) float64 {
	z := seed + uint64(look)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return float64((z^z>>31)>>11)/(1<<52) - 1
}

// sleep waits for d, for the context or for a wake-up, whichever is first. A
// channel that is nil never wakes, nor does wake once it is closed.
func sleep(ctx context.Context, d time.Duration, wake, listed <-chan struct{}) error {
	// No timer if the context ends no later: it is to win, and of two timers for
	// the same moment either may be first.
	var timer *time.Timer
	var over <-chan time.Time
	if deadline, ok := ctx.Deadline(); !ok || d < time.Until(deadline) {
		timer = time.NewTimer(d)
		over = timer.C
	}
	for slept := false; !slept; {
		slept = true
		select {
		case <-over:
		case _, slept = <-wake:
			if !slept {
				wake = nil
			}
		case <-listed:
		case <-ctx.Done():
		}
	}
	if timer != nil {
		timer.Stop()
	}
	// What ended the sleep and the context may be ready at once.
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
