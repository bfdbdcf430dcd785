package rollouttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/core"
)

// take lets the choice happen at the operation of runner i.
func (w *world) take(i int, c choice) {
	if c.costs() {
		w.left--
		w.special = w.special || w.isSpecial(i, c)
	}
	switch c.kind { //nolint:exhaustive // the others need nothing here
	case asItShould:
		if i < 0 { // all are stalled
			w.wake()
			return
		}
		w.act(i)
	case otherFirst:
		w.act(1 - i)
	case wakes:
		w.wake()
	case resumes:
		w.endedAs(i, true)
	case crashes, crashesAfter, crashesLate:
		w.takeCrash(i, c)
	case cancelled, stoppedHard:
		w.takeCancel(i, c)
	case foreign:
		value, _ := w.foreignValue(int(c.arg))
		w.ep.apply(int(c.arg), value, w.now, w.now+w.ep.settle)
		w.ep.cells[c.arg].foreign = true
		w.ep.cells[c.arg].impose()
	case goesBack:
		w.ep.goBack(w.now)
	case vanishes:
		w.gone, w.excused = &goneEndpoint{again: c.arg == 1}, true
	case second:
		w.takeSecond(i, c)
	case decides:
		w.decide(verbs[c.arg])
	default:
		w.takeFault(i, c)
	}
}

// wake lets the stalled runner go on.
func (w *world) wake() {
	for i := range w.runners {
		r := &w.runners[i]
		if !r.stalled {
			continue
		}
		r.stalled = false
		switch {
		case r.performed:
			r.performed = false
			w.observe(i, r.result)
		case r.op.Kind == core.OpSleep:
			w.next(i)
		}
		return
	}
}

func (w *world) takeCrash(i int, c choice) {
	forward, after, jump := follower(c.arg)
	switch c.kind { //nolint:exhaustive // the others carry nothing out
	case crashesAfter:
		w.perform(i, false)
	case crashesLate:
		_ = w.late(i, w.now+w.ep.settle)
	}
	w.shift += jump
	w.crash(i, forward, after)
}

// late carries out a write that takes effect, and shows, no later than sure.
func (w *world) late(i, sure int) error {
	thing, value := w.wanted(w.runners[i].op.Write)
	err := w.write(i)
	if err == nil {
		w.ep.flights = append(slices.Clip(w.ep.flights), flight{thing, value, sure, sure, w.runners[i].machine.Lost() != nil})
	}
	return err
}

// takeCancel calls the operation off, or lets it be the last.
func (w *world) takeCancel(i int, c choice) {
	r := &w.runners[i]
	interrupted := !r.cancelled && (r.machine.Starting() || !r.machine.Ledger().Restoring()) || c.kind == stoppedHard
	cause := error(context.Canceled)
	if c.kind == stoppedHard {
		cause, w.excused = core.ErrHardStop, true
	}
	var result core.Result
	switch {
	case r.op.Kind == core.OpSleep:
	case !interrupted || r.op.Kind == core.OpAppend:
		result = w.perform(i, false)
	case c.arg == 1:
		w.perform(i, false)
		result.Err = cause
	default:
		result.Err = cause
	}
	if r.cancelled = true; c.kind == stoppedHard {
		r.machine.HardStop()
	} else {
		r.machine.Cancel(cause)
	}
	if r.op.Kind == core.OpSleep {
		w.next(i)
		return
	}
	w.observe(i, result)
}

// takeSecond begins another runner beside this one, which may have stalled.
func (w *world) takeSecond(i int, c choice) {
	r := &w.runners[i]
	if c.arg&4 != 0 {
		r.result, r.performed = w.perform(i, false), true
	}
	r.stalled, w.left = c.arg&2 != 0, 0
	r.paused = r.stalled
	w.begin(c.arg&1 != 0)
}

var errAway = errors.New("the store is away")

// takeFault lets a fault of a call happen.
func (w *world) takeFault(i int, c choice) {
	r := &w.runners[i]
	noAnswer := fmt.Errorf("%w: connection reset", endpoint.ErrUnavailable)
	result := core.Result{Err: noAnswer}
	if r.op.Kind == core.OpWrite {
		if w.expired(r) {
			w.observe(i, core.Result{Err: context.DeadlineExceeded})
			return
		}
		w.checkWrite(i)
	}
	switch c.kind { //nolint:exhaustive // those of calls
	case lostAfter:
		w.perform(i, false)
	case lateEffect:
		_ = w.late(i, w.now+w.ep.settle)
	case hangs:
		result.Err = w.hang(i, noAnswer)
	case refused:
		result.Err = endpoint.ErrUnauthorized
		if r.op.Kind == core.OpWrite {
			if result.Err = endpoint.ErrInvalid; c.arg == 1 {
				w.refused, _ = w.wanted(r.op.Write)
				w.excused = true
			}
		}
	case throttledCall:
		result.Err = throttledError{}
	case forgotten:
		result.Err = w.write(i)
	case slowEffect:
		result.Err = w.late(i, w.now+w.ep.settle)
	case turnsOut:
		w.ep.health = health(c.arg)
		result = w.perform(i, false)
	case verdict:
		result.Err, result.Verdict.Result = nil, [...]string{"fail", "unknown"}[c.arg]
	case clamps:
		thing, value := w.wanted(r.op.Write)
		if result.Err = w.ep.refuses(thing, value-1); result.Err == nil {
			w.ep.apply(thing, value-1, w.now, w.now+w.ep.settle)
			w.ep.cells[thing].impose()
			result.Err = fmt.Errorf("%w: to %d", endpoint.ErrClamped, value-1)
		}
		w.excused = true
	case panics:
		result.Err, w.excused = fmt.Errorf("%w: nil map", core.ErrPanic), true
	case staleRead:
		result = w.perform(i, true)
	case storeAway:
		w.away, w.excused = true, true
		result.Err = errAway
	}
	w.observe(i, result)
}

// hang is a call that is not answered for as long as it may take. A write takes
// effect later still.
func (w *world) hang(i int, noAnswer error) error {
	r := &w.runners[i]
	over, err := w.now+int(r.op.Within/time.Second), noAnswer
	if by := w.seconds(r.op.By); !r.op.By.IsZero() && by < over {
		over, err = max(by, w.now), context.DeadlineExceeded
	}
	if r.op.Kind == core.OpWrite {
		_ = w.late(i, over+w.ep.settle)
	}
	w.pass(over)
	return err
}

type throttledError struct{}

func (throttledError) Error() string             { return endpoint.ErrThrottled.Error() }
func (throttledError) Unwrap() error             { return endpoint.ErrThrottled }
func (throttledError) RetryAfter() time.Duration { return 3 * time.Second }
