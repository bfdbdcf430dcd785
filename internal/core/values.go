package core

import (
	"reflect"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// written is one write of the rollout that may be applied.
type written struct {
	journal.Write

	// over is when its call was over: reads show it, if they ever do, no later
	// than the settle time after that.
	over      time.Time
	confirmed bool // it was read back
	unknown   bool // it could not be read back
}

// values are those that the rollout has written, and those that it found.
type values struct {
	Plan   *strategy.Plan // nil if the journal is empty
	writes []written      // oldest first
	origin map[string]int // settings, as the first intent on each found them

	// Of a provider that takes capacity away.
	failing    []endpoint.Revision // from these revisions
	overridden endpoint.Settings   // what it sets then
	failure    string              // why, in its words
}

// latest is the newest write of a thing, nil if there is none.
func (vs *values) latest(thing string) *written {
	for i := len(vs.writes) - 1; i >= 0; i-- {
		if vs.writes[i].Thing == thing {
			return &vs.writes[i]
		}
	}
	return nil
}

// wrote reports whether a thing was, or may have been, written.
func (vs *values) wrote(thing string) bool { return vs.latest(thing) != nil }

// made reports whether w is the latest write of its thing, and was read back, or
// may still take effect.
func (vs *values) made(w journal.Write) bool {
	latest := vs.latest(w.Thing)
	return latest != nil && (latest.confirmed || latest.unknown) && reflect.DeepEqual(latest.Write, w)
}

// setOver notes when the call of the latest write of a thing was over.
func (vs *values) setOver(thing string, t time.Time) {
	if w := vs.latest(thing); w != nil {
		w.over = t
	}
}

// consistentAfter is when reads of a thing have caught up with every write of
// the rollout to it: the call of each is over, and the settle time has passed.
func (vs *values) consistentAfter(thing string) time.Time {
	return vs.caughtUp(func(w *written) bool { return w.Thing == thing })
}

// consistentBefore is consistentAfter without the latest write.
func (vs *values) consistentBefore(thing string) time.Time {
	latest := vs.latest(thing)
	return vs.caughtUp(func(w *written) bool { return w.Thing == thing && w != latest })
}

// allConsistentAfter is the latest consistentAfter of all things.
func (vs *values) allConsistentAfter() time.Time {
	return vs.caughtUp(func(*written) bool { return true })
}

// caughtUp is when reads have caught up with the writes that are meant.
func (vs *values) caughtUp(meant func(*written) bool) time.Time {
	var t time.Time
	for i := range vs.writes {
		if w := &vs.writes[i]; meant(w) {
			t = later(t, w.over)
		}
	}
	if t.IsZero() {
		return t
	}
	return t.Add(vs.Plan.Settle)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// before is the value that a setting had before the rollout changed it.
func (vs *values) before(key string) (int, bool) {
	if v, ok := vs.origin[key]; ok {
		return v, true
	}
	v, ok := vs.Plan.Settings[key]
	return v, ok
}

// known reports whether a setting's value is one that this rollout found or wrote.
func (vs *values) known(key string, value int) bool {
	if v, ok := vs.before(key); ok && v == value {
		return true
	}
	if v, ok := vs.Plan.Settings[key]; ok && v == value {
		return true
	}
	return slices.ContainsFunc(vs.writes, func(w written) bool { return w.Thing == key && w.Value != nil && *w.Value == value })
}

// lowered reports whether a setting may have, by a write of the rollout, less
// than it had.
func (vs *values) lowered(key string) bool {
	had, _ := vs.before(key)
	return slices.ContainsFunc(vs.writes, func(w written) bool { return w.Thing == key && w.Value != nil && *w.Value < had })
}

// moves reports whether the provider's autoscaling moves a setting by itself.
func (j *Ledger) moves(key string) bool {
	return j.Plan.ProviderSets(key) || j.snapshot != nil && slices.Contains(j.snapshot.Autoscaled, key)
}

// resets reports whether a setting's value is one that an update may have given it.
func (j *Ledger) resets(key string, value int) bool {
	return j.wrote(journal.ThingRevision) && slices.Contains(j.Plan.ResetTo[key], value)
}

// overrides reports whether a setting's value is one that the provider gives it
// because capacity fails.
func (vs *values) overrides(key string, value int) bool {
	v, ok := vs.overridden[key]
	return ok && v == value
}

// failed reports whether a revision is one that the provider takes capacity
// away from, as it keeps failing.
func (vs *values) failed(r endpoint.Revision) bool {
	return slices.ContainsFunc(vs.failing, func(f endpoint.Revision) bool { return f == r || f.Same(r) })
}

// drifted reports whether a foreign value of a thing was found.
func (j *Ledger) drifted(thing string) bool {
	return slices.ContainsFunc(j.Drift, func(d journal.Drift) bool { return d.Thing == thing })
}
