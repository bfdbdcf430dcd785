package rollouttest

import (
	"fmt"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/core"
)

// read carries out a read of the endpoint.
func (w *world) read(op *core.Op, stale bool, bit uint16) (result core.Result) {
	value := func(thing int) int {
		c := &w.ep.cells[thing]
		if stale {
			return c.stale(w.now)
		}
		c.seenBy |= bit
		return c.value
	}
	if w.gone != nil && !stale && op.Kind == core.OpStatus {
		w.gone.seenBy |= bit
	}
	if w.gone != nil && !stale && !w.gone.again && op.Kind != core.OpStaged {
		return core.Result{Err: endpoint.ErrNotFound}
	}
	switch op.Kind { //nolint:exhaustive // the others need nothing here
	case core.OpStatus:
		if result.Status = w.ep.status(w.now, stale); !stale {
			for i := range w.ep.cells {
				if i != thingScaling && !isDraft(i) {
					w.ep.cells[i].seenBy |= bit
				}
			}
		}
		if w.gone != nil && !stale {
			result.Status.Identity = another
		}
	case core.OpJobs:
	case core.OpStaged:
		thing := thingDraft
		if c := w.plan.Canary; c != nil && op.Draft.Revision.Same(c.Revision) {
			thing = thingCanary
		}
		if value(thing) == draftAbsent {
			result.Err = endpoint.ErrNotFound
		}
	case core.OpSnapshot:
		result.Snapshot = w.snapshot
	case core.OpAutoscaling:
		switch value(thingScaling) {
		case scalingBefore:
			result.Autoscaling.Restored = true
		case scalingSuspended:
			result.Autoscaling = endpoint.AutoscalingState{Suspended: true, Differences: []string{"suspended"}}
		case scalingForeign:
			result.Autoscaling = endpoint.AutoscalingState{Differences: foreignPolicy, Foreign: foreignPolicy}
		}
	default:
		result.Err = fmt.Errorf("%w: operation %d is not explored", endpoint.ErrInvalid, op.Kind)
		w.breaks("%v", result.Err)
	}
	return result
}

var foreignPolicy = []string{"policy"}
