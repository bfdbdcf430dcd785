package rollouttest

import (
	"fmt"
	"slices"

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
	vanishes    // the endpoint is deleted; arg: 1 and another one gets its name
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
	"cancelled", "stopped at once", "foreign change", "the provider goes back", "deleted", "lost before", "lost after", "lost, and it takes effect later",
	"hangs", "refused", "throttled", "forgotten", "takes effect later", "the target turns out bad", "stale", "the store is away", "decided", "the check does not pass", "clamped", "panics", "a second runner",
}

func (c choice) String() string { return fmt.Sprintf("%s (%d)", choiceNames[c.kind], c.arg) }

// costs reports whether a choice is one of the bounded number of faults.
func (c choice) costs() bool { return c.kind > resumes }

// How a crashed runner is followed: bit 0 forward, bit 1 a while later, bit 2 with
// a clock that was put back by an hour, bit 3 with one that was put on by one.
const (
	followers = 4
	clockBack = 4
	clockOn   = 8
)

// clockJump is by how much a clock is put back, or on, in seconds.
const clockJump = 3600

func follower(arg int8) (forward bool, after, jump int) {
	if arg&2 != 0 {
		after = 100
	}
	switch {
	case arg&clockBack != 0:
		jump = -clockJump
	case arg&clockOn != 0:
		jump = clockJump
	}
	return arg&1 != 0, after, jump
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
		list = append(list, choice{kind: verdict}, choice{verdict, 1}, choice{kind: panics}, choice{kind: hangs})
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
	switch w.own { //nolint:exhaustive // the others need nothing here
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
		for arg := range int8(followers) {
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
	if begun && len(w.runners) == 1 {
		list = append(list, choice{crashes, clockBack})
		if r.op.Kind == core.OpWrite {
			list = append(list, choice{crashesAfter, clockBack})
		}
		if len(w.ep.flights) == 0 && !w.lags() { // a clock that is put on says that reads have caught up
			list = append(list, choice{crashes, clockOn})
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
		for arg := range int8(8) {
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
	if w.store.Plan == nil || w.gone != nil {
		return list
	}
	list = append(list, choice{kind: vanishes}, choice{vanishes, 1})
	for thing := range w.ep.cells {
		if c := &w.ep.cells[thing]; c.imposed && !c.foreign && c.seenBy == 0 {
			continue // nothing would tell it from what the provider did
		}
		if value, ok := w.foreignValue(thing); ok && w.ep.cells[thing].value != value && w.ep.refuses(thing, value) == nil {
			list = append(list, choice{foreign, int8(thing)})
		}
	}
	if on := w.ep.cells[thingRevision].value; !w.ep.workers && (on == target || on == canaryRevision) {
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

// foreignShare is the share of the traffic that a third party gives the target.
const foreignShare = 37

// foreignValue is what a third party sets a thing to.
func (w *world) foreignValue(thing int) (int, bool) {
	switch {
	case thing == thingRevision:
		return foreignRevision, true
	case thing == thingShare:
		return foreignShare, w.ep.cells[thingRevision].value == canaryRevision
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
	if thing, value := w.wanted(r.op.Write); thing == thingRevision && (value == target || value == canaryRevision) && w.ep.health == healthy {
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
