package rollouttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// choice is what happens at an operation.
type choice struct {
	kind choiceKind
	arg  int8
}

type choiceKind int8

const (
	asItShould   choiceKind = iota
	otherFirst              // of two runners, the other one acts first
	wakes                   // a stalled runner goes on
	resumes                 // what was left unfinished is taken over; arg: forward
	crashes                 // before the operation; arg: how it is resumed
	crashesAfter            // after it
	crashesLate             // and its write takes effect later
	cancelled               // arg: whether the call that is called off took effect
	stoppedHard
	foreign // a third party changes thing arg
	goesBack
	unavailable // not carried out, no answer
	lostAfter   // carried out, no answer
	lateEffect  // no answer, and it takes effect later
	hangs       // it is not answered for as long as a call may take
	refused     // arg: 1 each time from then on
	throttledCall
	forgotten
	slowEffect // accepted, and it takes effect later
	turnsOut   // the update is accepted; arg: what becomes of the target
	staleRead
	storeAway
	decides // a person; arg: a verb
	verdict // of a check; arg: 0 fail, 1 unknown
	clamps  // the provider makes something else of a value, and says so
	panics  // the code of the provider, or of a check
	second  // another runner begins; arg: bit 0 forward, 1 this one stalls, 2 after its operation
)

var choiceNames = [...]string{
	"as it should", "the other runner first", "the stalled runner goes on", "resumed", "crash before", "crash after", "crash, and it takes effect later",
	"cancelled", "stopped at once", "foreign change", "the provider goes back", "lost before", "lost after", "lost, and it takes effect later",
	"hangs", "refused", "throttled", "forgotten", "takes effect later", "the target turns out bad", "stale", "the store is away", "decided", "the check does not pass", "clamped", "panics", "a second runner",
}

func (c choice) String() string { return fmt.Sprintf("%s (%d)", choiceNames[c.kind], c.arg) }

// costs reports whether a choice is one of the bounded number of faults.
func (c choice) costs() bool { return c.kind > resumes }

// How a crashed runner is followed: bit 0 forward, bit 1 a while later.
const followers = 4

func follower(arg int8) (forward bool, after int) {
	if arg&2 != 0 {
		after = 100
	}
	return arg&1 != 0, after
}

// choices lists what may happen at the operation of runner i beside that it is
// carried out as it should.
func (w *world) choices(i int, list []choice) []choice {
	list = list[:0]
	if i < 0 {
		return list
	}
	r := &w.runners[i]
	if r.op.Kind == core.OpEnd {
		if w.unfinished(r.machine.End()) {
			list = append(list, choice{resumes, 1})
		}
		return list
	}
	if len(w.runners) > 1 {
		if other := &w.runners[1-i]; other.stalled {
			list = append(list, choice{kind: wakes})
		} else if other.op.Kind != core.OpSleep && r.op.Kind != core.OpSleep {
			list = append(list, choice{kind: otherFirst})
		}
	}
	if w.left == 0 {
		return list
	}
	list = w.ofRunner(r, list)
	list = w.ofOthers(list)
	switch {
	case r.op.Kind == core.OpAppend:
		list = append(list, choice{kind: unavailable}, choice{kind: lostAfter}, choice{kind: storeAway})
	case r.op.Kind == core.OpLoad, r.op.Kind == core.OpHeartbeat, r.op.Kind == core.OpPrepare, r.op.Kind == core.OpNews:
		list = append(list, choice{kind: unavailable})
	case r.op.Kind == core.OpCheck:
		list = append(list, choice{kind: verdict}, choice{verdict, 1}, choice{kind: panics})
	case r.op.Kind == core.OpWrite:
		list = w.ofWrite(r, list)
	case r.op.Kind != core.OpSleep:
		list = append(list, choice{kind: unavailable}, choice{kind: refused}, choice{kind: hangs}, choice{kind: panics})
		if w.lags() {
			list = append(list, choice{kind: staleRead})
		}
	}
	list = w.ofPeople(r, list)
	if w.left == 1 && w.own != lockedScene && !w.special {
		list = slices.DeleteFunc(list, func(c choice) bool { return c.costs() && !w.isSpecial(i, c) })
	}
	return list
}

// isSpecial reports whether a fault is one that makes a difference in this scene.
// A path without one is the same in the scene with a lock, and walked there.
func (w *world) isSpecial(i int, c choice) bool {
	switch w.own {
	case detachedScene:
		return c.kind == cancelled
	case unlockedScene:
		switch c.kind { //nolint:exhaustive // the others do not
		case crashes, crashesAfter, crashesLate, second, storeAway:
			return true
		case unavailable, lostAfter:
			return i >= 0 && w.runners[i].op.Kind == core.OpAppend
		}
		return false
	}
	return true
}

// ofRunner: the runner dies, or is told to stop, or another one begins.
func (w *world) ofRunner(r *runner, list []choice) []choice {
	begun := w.store.Plan != nil
	if begun {
		for arg := int8(0); arg < followers; arg++ {
			if w.store.Restoring() && arg&1 != 0 {
				continue // the policy makes no difference
			}
			list = append(list, choice{crashes, arg})
			if r.op.Kind == core.OpAppend || r.op.Kind == core.OpWrite {
				list = append(list, choice{crashesAfter, arg})
			}
			if r.op.Kind == core.OpWrite {
				list = append(list, choice{crashesLate, arg})
			}
		}
	}
	if !r.cancelled {
		list = append(list, choice{kind: cancelled})
		if r.op.Kind == core.OpWrite {
			list = append(list, choice{cancelled, 1})
		}
	} else {
		list = append(list, choice{kind: stoppedHard})
	}
	if begun && w.own == unlockedScene && len(w.runners) == 1 && !r.machine.Starting() {
		for arg := int8(0); arg < 8; arg++ {
			if arg&6 == 4 || w.store.Restoring() && arg&1 != 0 || arg&4 != 0 && r.op.Kind == core.OpSleep {
				continue
			}
			list = append(list, choice{second, arg})
		}
	}
	return list
}

// ofOthers: a third party, or the provider, changes the endpoint.
func (w *world) ofOthers(list []choice) []choice {
	if w.store.Plan == nil {
		return list
	}
	for thing := range w.ep.cells {
		if value, ok := w.foreignValue(thing); ok && w.ep.cells[thing].value != value && w.ep.refuses(thing, value) == nil {
			list = append(list, choice{foreign, int8(thing)})
		}
	}
	if !w.ep.workers && w.ep.cells[thingRevision].value == target {
		list = append(list, choice{kind: goesBack})
	}
	return list
}

// The verbs of decisions, by the argument of a choice.
var verbs = [...]string{core.VerbAbort, core.VerbSkipBake, core.VerbApprove, core.VerbReject}

// ofPeople: a person decides, just before the journal is read or written.
func (w *world) ofPeople(r *runner, list []choice) []choice {
	j := w.store
	if j.Plan == nil || !j.Unfinished() || j.Restoring() || r.op.Kind != core.OpNews && r.op.Kind != core.OpAppend {
		return list
	}
	if j.Aborted == nil {
		list = append(list, choice{kind: decides})
	}
	if steps := j.List(); j.Next < len(steps) && steps[j.Next].Do == strategy.ActionBake {
		list = append(list, choice{decides, 1})
	}
	if j.Hold != nil && j.Hold.Decision == nil {
		list = append(list, choice{decides, 2}, choice{decides, 3})
	}
	return list
}

// decide puts a person's decision on record.
func (w *world) decide(verb string) {
	d := &journal.Decision{Verb: verb, By: "a person"}
	if w.store.Hold != nil && (verb == core.VerbApprove || verb == core.VerbReject) {
		d.Approval = w.store.Hold.Approval
	}
	store := w.store.Clone()
	r := journal.Record{
		Version: strategy.FormatVersion, Seq: store.Seq + 1, Time: w.time(w.now), Rollout: w.plan.Rollout, Kind: journal.KindDecision, Decision: d,
	}
	if err := store.Add(r); err != nil {
		w.breaks("the journal cannot be read: %v", err)
	}
	w.store, w.records = store, &entry{r, d.By, w.records}
}

// foreignValue is what a third party sets a thing to.
func (w *world) foreignValue(thing int) (int, bool) {
	switch {
	case thing == thingRevision:
		return foreignRevision, true
	case thing == thingScaling:
		return scalingForeign, w.ep.cells[thing].value == scalingSuspended
	case thing >= thingSetting && thing-thingSetting < len(w.ep.settings):
		v := w.ep.shape.foreign[thing-thingSetting]
		return v, v >= 0
	}
	return 0, false
}

func (w *world) ofWrite(r *runner, list []choice) []choice {
	list = append(list, choice{kind: unavailable}, choice{kind: lostAfter}, choice{kind: lateEffect}, choice{kind: hangs},
		choice{kind: refused}, choice{refused, 1}, choice{kind: throttledCall}, choice{kind: forgotten}, choice{kind: slowEffect}, choice{kind: panics})
	if r.op.Write.Value != nil && *r.op.Write.Value > 1 {
		list = append(list, choice{kind: clamps})
	}
	if thing, value := w.wanted(r.op.Write); thing == thingRevision && value == target && w.ep.health == healthy {
		if w.ep.workers {
			return append(list, choice{turnsOut, int8(stuck)}, choice{turnsOut, int8(unhealthy)}, choice{turnsOut, int8(scaledIn)})
		}
		return append(list, choice{turnsOut, int8(unhealthy)}, choice{turnsOut, int8(reverted)})
	}
	return list
}

// lags reports whether a read may show something that is not so any more.
func (w *world) lags() bool {
	if len(w.ep.running.old) > 0 {
		return true
	}
	for i := range w.ep.cells {
		if len(w.ep.cells[i].old) > 0 {
			return true
		}
	}
	return false
}

// take lets the choice happen at the operation of runner i.
func (w *world) take(i int, c choice) {
	if c.costs() {
		w.left--
		w.special = w.special || w.isSpecial(i, c)
	}
	switch c.kind {
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
	forward, after := follower(c.arg)
	switch c.kind { //nolint:exhaustive // the others carry nothing out
	case crashesAfter:
		w.perform(i, false)
	case crashesLate:
		w.late(i, w.now+w.ep.settle)
	}
	w.crash(i, forward, after)
}

// late carries out a write that takes effect, and shows, no later than sure.
func (w *world) late(i, sure int) error {
	thing, value := w.wanted(w.runners[i].op.Write)
	err := w.write(i)
	if err == nil {
		w.ep.flights = append(w.ep.flights[:len(w.ep.flights):len(w.ep.flights)], flight{thing, value, sure, sure, w.runners[i].machine.Lost() != nil})
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
		w.late(i, w.now+w.ep.settle)
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
		w.late(i, over+w.ep.settle)
	}
	w.pass(over)
	return err
}

type throttledError struct{}

func (throttledError) Error() string             { return endpoint.ErrThrottled.Error() }
func (throttledError) Unwrap() error             { return endpoint.ErrThrottled }
func (throttledError) RetryAfter() time.Duration { return 3 * time.Second }
