package waiter

import (
	"context"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// Observation is what one poll saw.
type Observation struct {
	Status endpoint.Status
	// Note says in a few words what is still missing, for people.
	Note string
	// Due, if positive, is when the next poll is due at the latest: what was
	// seen may then count, or be over. [Learned] heeds it.
	Due time.Duration
}

// PollFunc polls once. done means that the condition holds. An error ends the
// wait unless it is transient; what was seen along with it is kept.
type PollFunc func(ctx context.Context) (seen Observation, done bool, err error)

// Progress is the state of a wait after a poll.
type Progress struct {
	// Polls counts the polls so far, from 1.
	Polls int
	// Held counts the polls in a row, this one included, for which the
	// condition held. One that failed says nothing, and is left out.
	Held int
	// Elapsed is the time since the wait began.
	Elapsed time.Duration
	// Observed is the last successful poll.
	Observed Observation
	// Err is the error of this poll, nil if it succeeded.
	Err error
	// Next is how long the wait is going to sleep; zero when it has ended.
	Next time.Duration
	// Stage is the stage in Observed, with a number if it is not the first of its
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
	// Jitter is a number from -1 to 1 that differs from poll to poll and from
	// endpoint to endpoint. It lets a schedule scatter many waits and still be
	// a pure function.
	Jitter float64
}

// Until polls until the condition holds and returns the last observation. It
// runs on the caller's goroutine and starts no other. Its error is always an
// [*Error].
func Until(ctx context.Context, poll PollFunc, opts ...Option) (Observation, error) {
	c := newConfig(opts)
	l := &loop{Wait: newWait(time.Now(), c.pacing), polling: c.polling}
	err := l.run(ctx, func(ctx context.Context, last *Observation) (bool, error) {
		seen, done, err := poll(ctx)
		if err == nil || ctx.Err() == nil && !l.transient(err) && (seen.Note != "" || seen.Status.Phase != endpoint.PhaseUnknown) {
			*last = seen
		}
		return done, err
	})
	return l.progress.Observed, err
}

// loop is a wait with what makes its polls.
type loop struct {
	*Wait
	polling

	watch *Watch // by the shared poller, nil without
	// read is readInto, or the watch's.
	read func(ctx context.Context, u endpoint.Updater, status *endpoint.Status) error
}

// pollInto polls once, and overwrites what the last poll showed. With an error
// that is waited out it leaves that alone.
type pollInto func(ctx context.Context, seen *Observation) (done bool, err error)

// run polls and sleeps until the wait is over.
func (l *loop) run(ctx context.Context, poll pollInto) error {
	for {
		if ctx.Err() != nil {
			return l.Error(time.Now(), context.Cause(ctx))
		}
		done, err := poll(ctx, &l.progress.Observed)
		ended, cause := l.took(ctx, done, err)
		switch {
		case ended && cause != nil:
			return l.Error(time.Now(), cause)
		case ended:
			return nil
		}
		wake, listed := l.wakes()
		if err := sleep(ctx, l.progress.Next, wake, listed); err != nil {
			return l.Error(time.Now(), err)
		}
	}
}

// took takes in a poll and tells the observer. If the context ended the poll, the
// context is the cause: the error of the poll before says more than that of the
// one that was cut short.
func (l *loop) took(ctx context.Context, done bool, err error) (ended bool, cause error) {
	if err != nil && ctx.Err() != nil {
		ended, cause = true, context.Cause(ctx)
		l.Cut(time.Now(), cause, err)
	} else {
		l.vouched = l.watch != nil && l.watch.Vouched()
		ended, cause = l.Wait.took(time.Now(), done, err)
	}
	if l.observer != nil {
		l.observer(l.progress)
	}
	return ended, cause
}

// wakes are the channels that may cut the next sleep short.
func (l *loop) wakes() (wake, listed <-chan struct{}) {
	if l.progress.Err != nil {
		return nil, nil // the provider may have asked for rest
	}
	if l.watch != nil {
		listed = l.watch.wake
	}
	return l.wake, listed
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
