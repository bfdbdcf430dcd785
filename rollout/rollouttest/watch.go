package rollouttest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// sent is one remote write, and what it is for by the journal.
type sent struct {
	N    int // for Environment.Applied
	What string
	For  journal.Write
}

// watch holds the write that is about to be made to what is promised of each
// write, whatever its fault.
func (r *run) watch(t *testing.T, what string) {
	t.Helper()
	r.writes++
	if r.refuses != nil { // it is tried very often, and what does not depend on it is done
		r.given = nil
		return
	}
	records := r.records(t)
	if len(records) == 0 || records[len(records)-1].Kind != journal.KindIntent {
		t.Errorf("%q is sent, and no intent is on record", what)
		return
	}
	last := records[len(records)-1]
	if !planned(last.Step, records) {
		t.Errorf("%q is sent for %q, which is no step of the plan", what, last.Step)
	}
	is := sent{r.writes, what, *last.Write}
	if r.deleted != nil && !r.deleted.beside(is.For.Thing) {
		t.Errorf("%q is sent after the endpoint was deleted", what)
	}
	r.once(t, is, records)
	r.inOrder(t, is, records)
	r.sent = append(r.sent, is)
}

// planned reports whether a step is one of those that were printed before
// anything was changed.
func planned(step string, records []journal.Record) bool {
	i := slices.IndexFunc(records, func(r journal.Record) bool { return r.Plan != nil })
	return slices.ContainsFunc(slices.Concat(records[i].Plan.Forward, records[i].Plan.Rollback), func(s strategy.Step) bool { return s.Name == step })
}

// once: a write that took effect is not made again, unless another one of the
// same thing took effect since, or the provider gave another value than was asked for.
func (r *run) once(t *testing.T, is sent, records []journal.Record) {
	t.Helper()
	if r.Applied == nil || r.changed != nil || r.clamped || !sole(is.For, records) {
		return
	}
	for _, was := range slices.Backward(r.sent) {
		if was.For.Thing != is.For.Thing || !r.Applied(was.N) {
			continue
		}
		if was.What == is.What && cmp.Equal(was.For, is.For) {
			t.Errorf("%q, for %s, took effect, and is sent again", is.What, is.For.Thing)
		}
		return
	}
}

// sole reports whether a write is the only one of its intent, and of a thing
// that only the rollout sets.
func sole(w journal.Write, records []journal.Record) bool {
	if w.Value == nil {
		return w.Thing != "autoscaling"
	}
	i := slices.IndexFunc(records, func(r journal.Record) bool { return r.Plan != nil })
	_, fixed := promised(&rollout.Report{Plan: records[i].Plan})[w.Thing]
	return fixed && !slices.ContainsFunc(records, func(r journal.Record) bool { return r.Kind == journal.KindOverridden })
}

// inOrder: not all of what the rollback gives back is there before the source is
// asked for: until then it would come up on the target.
func (r *run) inOrder(t *testing.T, is sent, records []journal.Record) {
	t.Helper()
	back := slices.ContainsFunc(records, func(r journal.Record) bool { return r.Kind == journal.KindRollback })
	switch whole := cmp.Equal(r.before, r.Guarded()); {
	case !back || r.changed != nil:
	case !whole:
		if is.For.Revision == nil {
			r.given = append(r.given, is.N)
		}
	case slices.ContainsFunc(r.given, r.applied) && r.Live() != r.source:
		t.Errorf("going back, all is as before, and the endpoint serves %s", r.Live())
	}
}

// applied reports whether the n-th write has taken effect, as far as it is known.
func (r *run) applied(n int) bool { return r.Applied == nil || r.Applied(n) }
