package rollouttest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// checkWrite holds a write that is about to be carried out to the promises.
func (w *world) checkWrite(i int) {
	r := &w.runners[i]
	write := r.op.Write
	thing, value := w.wanted(write)
	c := &w.ep.cells[thing]
	pending := w.store.Pending
	switch {
	case r.machine.Lost() == nil && (pending == nil || !sameWrite(pending.Write, write)):
		w.breaks("G4: %v is written and no intent on it is open in the journal", write)
	case slices.ContainsFunc(w.ep.flights, func(f flight) bool { return f.thing == thing && !f.unrecorded }):
		w.breaks("G4: %v is written while an earlier write of it may still take effect", write)
	case c.value == value && !c.foreign && c.since < w.now-w.ep.settle && len(c.old) == 0:
		w.breaks("G4: %v is written, and it has been so for longer than reads may lag", write)
	case c.foreign && c.seen(r.bit) && c.value != value:
		w.breaks("G5: %v is written over a third party's value that was seen", write)
	case r.cancelled && !(r.machine.Lost() != nil && r.machine.Ledger().Restoring()) && !w.store.Restoring():
		w.breaks("G3: %v is written after the rollout was cancelled", write)
	case w.outOfOrder(r, thing, value):
		w.breaks("G2: %v restores capacity in a rollback before the source is asked for", write)
	case w.gone != nil && w.gone.again && w.gone.seenBy&r.bit != 0 && !isDraft(thing):
		w.breaks("G5: %v is written to another endpoint of the same name, which was seen", write)
	case !w.planned(write):
		w.breaks("G7: %v is written, and not in the plan", write)
	}
}

// outOfOrder reports whether a write of a rollback raises a setting while the
// endpoint is on the target and nothing was done about that: the capacity would
// come up on the target.
func (w *world) outOfOrder(r *runner, thing, value int) bool {
	if thing < thingSetting || !w.store.RollingBack || r.machine.Lost() != nil || value <= w.ep.cells[thing].value {
		return false
	}
	if revision := &w.ep.cells[thingRevision]; revision.value != target || !revision.seen(r.bit) {
		return false
	}
	updates := func(step string) bool {
		return slices.ContainsFunc(w.plan.Rollback, func(s strategy.Step) bool { return s.Do == strategy.ActionUpdate && s.Name == step })
	}
	for e := w.records; e != nil && e.Kind != journal.KindRollback; e = e.rest {
		if updates(e.Step) {
			return false
		}
	}
	return true
}

// checkClaim holds a claim to the lease: the runner before is not alive.
func (w *world) checkClaim(r *runner) {
	for i := range w.runners {
		if other := &w.runners[i]; other.owner != r.owner && !other.paused && other.owner == w.store.Owner && w.store.Last == nil {
			w.breaks("G4: %s takes over from %s, which is alive", r.owner, other.owner)
		}
	}
}

// planned reports whether a write is one of the plan's, or restores what was
// before.
func (w *world) planned(write *journal.Write) bool {
	p := w.plan
	if write.Value == nil {
		return write.Revision == nil || write.Revision.Same(p.Source) || write.Revision.Same(p.Target) ||
			p.Canary != nil && write.Revision.Same(p.Canary.Revision)
	}
	if before, ok := p.Settings[write.Thing]; ok && before == *write.Value {
		return true
	}
	return slices.ContainsFunc(slices.Concat(p.Forward, p.Rollback), func(s strategy.Step) bool {
		return s.Key == write.Thing && s.Value == *write.Value || s.Do == strategy.ActionShift && write.Thing == journal.ThingShare && s.Value == *write.Value
	})
}

// unfinished reports whether a runner ended and left something to do.
func (w *world) unfinished(e *core.End) bool {
	return len(w.runners) == 1 && w.store.Unfinished() && e != nil
}

// ended takes in the end of runner i.
func (w *world) ended(i int) { w.endedAs(i, false) }

func (w *world) endedAs(i int, forward bool) {
	r := &w.runners[i]
	e := r.machine.End()
	unfinished := w.unfinished(e)
	w.checkEnd(e, r)
	w.runners = append(w.runners[:i:i], w.runners[i+1:]...)
	switch {
	case len(w.runners) > 0:
		w.away, w.refused = false, -1
	case unfinished && w.gone != nil: // which a person abandons
		w.over = true
	case unfinished:
		w.replace(forward, 100)
	default:
		w.over = true
	}
}

// checkEnd holds the end of a rollout to the promises.
func (w *world) checkEnd(e *core.End, r *runner) {
	if w.gone != nil || e.Outcome == core.Gone {
		w.checkGone(e, r)
		return
	}
	if r.machine.Lost() != nil && w.store.Owner != r.owner {
		return // without a journal it cannot know that another one has taken over; it wrote nothing
	}
	switch e.Outcome { //nolint:exhaustive // nothing is gone or abandoned in this world
	case core.Succeeded:
		w.checkAt("G1", target, r)
		if running := &w.ep.running; w.ep.cells[thingRevision].seen(r.bit) && !w.ep.cells[thingRevision].foreign && running.value == source {
			w.breaks("G1: succeeded, and the capacity runs the source")
		}
	case core.RolledBack:
		w.checkAt("G2", source, r)
	case core.Superseded:
		w.checkAt("G5", foreignRevision, r)
	case core.Incomplete:
		if !w.excused && !r.paused && r.machine.Lost() == nil { // a process that stood still has used its time up
			w.breaks("G2: incomplete (%v; %v), and no refusal, outage or second signal led to it", e.Cause, e.Residue)
		}
		w.checkResidue(e, r)
	case core.Detached, core.Nothing, core.NoOp, core.Refused:
	}
	if len(w.ep.flights) > 0 && (e.Outcome == core.Succeeded || e.Outcome == core.RolledBack || e.Outcome == core.Superseded) {
		w.breaks("G1: %s while a write may still take effect", e.Outcome)
	}
}

// checkAt holds the endpoint to serving a revision, with all else as before.
func (w *world) checkAt(promise string, revision int, r *runner) {
	j := r.machine.Ledger()
	for thing := range w.ep.cells {
		want, counts := w.want(thing, revision)
		if !counts {
			continue
		}
		c := &w.ep.cells[thing]
		drift := slices.ContainsFunc(j.Drift, func(d journal.Drift) bool { return d.Thing == w.ep.thingName(thing) })
		switch {
		case !c.seen(r.bit):
		case c.foreign && !drift:
			w.breaks("G5: a third party's %s was seen, and is not reported as drift", w.ep.thingName(thing))
		case c.imposed && drift: // the provider does not say for long that it was not a third party
		case c.value != want:
			w.breaks("%s: at the end %s is %d, want %d", promise, w.ep.thingName(thing), c.value, want)
		}
	}
}

// want is what a thing has to be at the end, if that counts.
func (w *world) want(thing, revision int) (value int, counts bool) {
	switch {
	case thing == thingRevision:
		return revision, true
	case thing == thingScaling:
		return scalingBefore, true
	case thing >= thingSetting && thing-thingSetting < len(w.ep.settings):
		return w.ep.before[thing-thingSetting], !slices.Contains(w.snapshot.Autoscaled, w.ep.settings[thing-thingSetting])
	}
	return 0, false
}

// checkResidue holds an incomplete rollout to having named what remains.
func (w *world) checkResidue(e *core.End, r *runner) {
	text := fmt.Sprint(e.Residue)
	if len(e.Residue) == 0 {
		w.breaks("G6: incomplete, and nothing is said to remain")
	}
	if !r.machine.Ledger().Restoring() {
		return
	}
	for i, key := range w.ep.settings {
		c := &w.ep.cells[thingSetting+i]
		if want, counts := w.want(thingSetting+i, source); counts && c.value != want && !c.foreign && c.seen(r.bit) && !strings.Contains(text, key) {
			w.breaks("G6: incomplete, %s is %d, want %d, and the residue does not say so: %s", key, c.value, want, text)
		}
	}
	if c := &w.ep.cells[thingScaling]; c.value != scalingBefore && !strings.Contains(text, "autoscaling") {
		w.breaks("G6: incomplete, autoscaling is not as it was, and the residue does not say so: %s", text)
	}
}

// sameWrite reports whether two writes are one.
func sameWrite(a, b *journal.Write) bool {
	return a != nil && b != nil && a.Thing == b.Thing && reflect.DeepEqual(a.Value, b.Value) && reflect.DeepEqual(a.Revision, b.Revision) &&
		(a.Suspend == nil) == (b.Suspend == nil)
}
