package waiter

import (
	"context"
	"errors"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// Wait is a wait as a value: it says when to poll, and takes in the result of
// each poll. It has no clock, no context and no goroutine; [Until] is a loop
// over it, and a program with a loop of its own may be another. It is not safe
// for concurrent use. A copy made by [Wait.Clone] goes on by itself.
type Wait struct {
	pacing
	state
}

// state is what a wait has gathered.
type state struct {
	start    time.Time
	due      time.Time // of the next poll; zero before the first
	progress Progress
	failures int       // polls in a row that failed
	failing  time.Time // since when
	last     error     // of the last poll, unless it is the cause
	seed     uint64
	stages   stages
	before   time.Duration // the last poll for which the condition did not hold
	began    time.Duration // the first poll of those for which it holds
	waited   bool          // there was a poll before that one
	vouched  bool          // a shared poller answers for the endpoint
}

// NewWait begins a wait. The options that concern how a poll is made, such as
// [WithShared] and [WithObserver], are left to the loop.
func NewWait(now time.Time, opts ...Option) *Wait {
	return newWait(now, newConfig(opts).pacing)
}

func newWait(now time.Time, p pacing) *Wait {
	w := &Wait{pacing: p, state: state{start: now}}
	if h := w.history; h != nil {
		w.progress.Earlier = h.Durations(w.kind, w.endpoint)
		w.progress.Forecast = h.Forecast(w.kind, w.endpoint)
	}
	w.seed = w.newSeed()
	return w
}

// Clone returns a copy that shares nothing that changes.
func (w *Wait) Clone() *Wait {
	c := *w
	c.stages.seen = append([]stage(nil), w.stages.seen...)
	return &c
}

// Progress is the state after the last poll.
func (w *Wait) Progress() Progress { return w.progress }

// Due is when to poll next. Before the first poll it is zero: at once.
func (w *Wait) Due() time.Time { return w.due }

// Observe takes in a poll that ended now: what it showed, whether the condition
// held, or the error that it failed with. ended reports whether the wait is
// over; cause is nil if the condition holds and says otherwise why not. With an
// error that is waited out, seen is not taken in.
func (w *Wait) Observe(now time.Time, seen Observation, done bool, err error) (ended bool, cause error) {
	if err == nil || !w.transient(err) && (seen.Note != "" || seen.Status.Phase != endpoint.PhaseUnknown) {
		w.progress.Observed = seen
	}
	return w.took(now, done, err)
}

// took is Observe for a poll whose observation is in place already.
func (w *Wait) took(now time.Time, done bool, err error) (ended bool, cause error) {
	p := &w.progress
	left := w.due.Sub(now)
	p.Polls++
	p.Elapsed, p.Next, p.Err = now.Sub(w.start), 0, err
	switch {
	case err == nil:
		w.last, w.failures = nil, 0
		w.found(now, done)
		ended = p.Held >= w.consecutive
	case !w.transient(err):
		w.last, ended, cause = nil, true, err
	default:
		w.last, w.waited = err, w.waited || p.Held == 0
		if w.failures++; w.failures == 1 {
			w.failing = now
		}
		if now.Sub(w.failing) >= w.budget {
			w.last, ended, cause = nil, true, err
		}
	}
	if ended {
		w.finish(cause)
		return ended, cause
	}
	w.plan(left)
	w.due = now.Add(p.Next)
	return false, nil
}

// Cut takes in that the wait was ended from outside, by cause. If a poll was
// under way, err is what it failed with.
func (w *Wait) Cut(now time.Time, cause, err error) {
	if err == nil {
		return
	}
	w.progress.Polls++
	w.progress.Elapsed, w.progress.Next, w.progress.Err = now.Sub(w.start), 0, err
	if w.last == nil || !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		w.last = err // else the one before says more
	}
	if errors.Is(cause, w.last) {
		w.last = nil // not told twice
	}
}

// Fail takes in a poll that ended the wait by cause, for a caller that judges
// errors itself.
func (w *Wait) Fail(now time.Time, cause error, seen Observation) {
	if seen.Note != "" || seen.Status.Phase != endpoint.PhaseUnknown {
		w.progress.Observed = seen
	}
	w.progress.Polls++
	w.progress.Elapsed, w.progress.Next, w.progress.Err = now.Sub(w.start), 0, cause
	w.last = nil
}

// FailingSince is when the first of the present row of failed polls ended, and
// now if the last poll did not fail.
func (w *Wait) FailingSince(now time.Time) time.Time {
	if w.failures == 0 {
		return now
	}
	return w.failing
}

// Vouch says whether a poller for many endpoints tells of changes: the wait
// then polls no more often than every [MaxInterval].
func (w *Wait) Vouch(vouched bool) { w.vouched = vouched }

// Wakeable reports whether an event may cut the sleep before the next poll
// short: not after a poll that failed, since the provider may have asked for rest.
// [Wait.Observe] may be called before [Wait.Due] then, and the poll that was
// planned is made all the same.
func (w *Wait) Wakeable() bool { return w.progress.Err == nil }

// Error is the error of a wait that ended by cause.
func (w *Wait) Error(now time.Time, cause error) *Error {
	p := &w.progress
	return &Error{Cause: cause, Last: w.last, Polls: p.Polls, Elapsed: now.Sub(w.start), Observed: p.Observed}
}

// found takes in a poll that succeeded.
func (w *Wait) found(now time.Time, done bool) {
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

// plan says how long to sleep before the next poll. left is how long before
// the planned moment this poll was made, because the wait was woken: what wakes
// for nothing puts nothing off.
func (w *Wait) plan(left time.Duration) {
	p := &w.progress
	if p.Err != nil {
		p.Next = max(w.backoff(w.failures), endpoint.RetryAfter(p.Err))
		return
	}
	p.Jitter = jitter(w.seed, p.Polls)
	p.Next = max(0, w.schedule.next(&w.progress))
	if w.vouched && p.Held == 0 && p.Observed.Due <= 0 {
		p.Next = max(p.Next, MaxInterval) // the shared poller wakes this wait
	}
	if left > 0 && p.Held == 0 {
		p.Next = min(p.Next, left)
	}
}

// finish lets the history learn from a wait whose condition holds.
func (w *Wait) finish(cause error) {
	if cause != nil || w.history == nil || !w.waited {
		return // a condition that held from the start tells nothing about how long it takes
	}
	// The end came between two polls. Half-way is right on average.
	at := (w.before + w.began) / 2
	w.history.Add(w.kind, w.endpoint, at)
	w.history.addStages(w.kind, w.endpoint, w.stages, w.start.Add(at))
}

// jitter is a number from -1 to 1 for a poll (splitmix64).
func jitter(seed uint64, poll int) float64 {
	z := seed + uint64(poll)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return float64((z^z>>31)>>11)/(1<<52) - 1
}
