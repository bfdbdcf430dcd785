package rollouttest

import "github.com/changeover-dev/changeover/internal/core"

// goneEndpoint is an endpoint that was deleted.
type goneEndpoint struct {
	again  bool   // another one has its name
	seenBy uint16 // has a bit for each runner to which a read has shown it
}

// another is the identity of the endpoint that was made again.
const another = "another incarnation"

// isDraft reports whether a thing is beside the endpoint, whatever becomes of that.
func isDraft(thing int) bool { return thing == thingDraft || thing == thingCanary }

// checkGone holds the end of the rollout of an endpoint that was deleted.
func (w *world) checkGone(e *core.End, r *runner) {
	switch {
	case w.gone == nil:
		w.breaks("G6: the endpoint is said to be gone (%v), and is there", e.Cause)
	case w.gone.seenBy&r.bit == 0:
	case e.Outcome == core.Succeeded, e.Outcome == core.RolledBack, e.Outcome == core.Superseded:
		w.breaks("G1: %s, and the endpoint was seen to be gone", e.Outcome)
	case e.Outcome == core.Gone && len(e.Residue) == 0 && w.changed():
		w.breaks("G6: the endpoint is gone, and nothing is said to remain")
	}
}

// changed reports whether the rollout has left something else than it was.
func (w *world) changed() bool {
	for thing := range w.ep.cells {
		if want, counts := w.want(thing, source); counts && w.ep.cells[thing].value != want && !w.ep.cells[thing].imposed {
			return true
		}
	}
	return false
}
