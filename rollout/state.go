package rollout

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// journal is what the records of the newest rollout amount to. It is derived
// from them alone, so that any driver that reads them comes to the same.
type state struct {
	endpoint  string
	seq       int
	sum       string // the checksum of the last record
	plan      *strategy.Plan
	driver    string
	back      bool
	turned    string // why
	committed bool
	next      int // index of the next step in the current list
	pending   *journal.Record
	writes    map[string][]written
	origin    map[string]int // settings, as the first intent on each found them
	protected *endpoint.AutoscalingSnapshot
	drifts    []journal.Drift
	failing   []endpoint.Revision // that the provider takes capacity away from
	imposed   endpoint.Settings   // what it sets then
	failure   string              // why, in its words
	failures  []string            // steps that could not be done, and that nothing else depends on
	proof     string
	started   time.Time
	last      *journal.Record // the end or the latest stop
}

// written is one write of ours that may be in force.
type written struct {
	journal.Write
	// quiet is when it must have become visible if it ever does, give or take
	// the settle time.
	quiet time.Time
	seen  bool // it was read back
}

// fold reads the newest rollout from the records of one endpoint's journal.
// What ended earlier only has to be all there, which [journal.Check] has seen to.
func fold(name string, records []journal.Record) (*state, error) {
	j := &state{endpoint: name}
	newest := 0
	for i, r := range records {
		if r.Kind == journal.KindPlan {
			newest = i
		}
	}
	if len(records) > 0 {
		j.seq = records[newest].Seq - 1
	}
	for i := newest; i < len(records); i++ {
		if err := j.add(&records[i]); err != nil {
			return nil, &journal.ReadError{Records: records[:i], Line: i + 1, Err: fmt.Errorf("journal of %s: %w", name, err)}
		}
	}
	return j, nil
}

// unfinished reports whether a rollout began and did not end.
func (j *state) unfinished() bool {
	return j.plan != nil && (j.last == nil || j.last.Kind != journal.KindEnd)
}

// list is the list of steps that is being carried out.
func (j *state) list() []strategy.Step {
	if j.back {
		return j.plan.Rollback
	}
	return j.plan.Forward
}

func (j *state) add(r *journal.Record) error {
	switch {
	case r.Version < 1 || r.Version > strategy.FormatVersion:
		return fmt.Errorf("its format is version %d, this program knows up to %d: %w", r.Version, strategy.FormatVersion, endpoint.ErrInvalid)
	case r.Seq != j.seq+1:
		return fmt.Errorf("its number is %d where %d is due: %w", r.Seq, j.seq+1, journal.ErrDamaged)
	case r.Kind == journal.KindPlan:
		if err := j.begin(r); err != nil {
			return err
		}
		j.seq, j.sum = r.Seq, r.Sum
		return nil
	case j.plan == nil || r.Rollout != j.plan.Rollout:
		return fmt.Errorf("it belongs to no rollout that began: %w", journal.ErrDamaged)
	}
	j.seq, j.sum = r.Seq, r.Sum
	switch r.Kind {
	case journal.KindClaim:
		j.claim(r)
	case journal.KindIntent:
		return j.intend(r)
	case journal.KindDone:
		j.resolved(r)
		j.step(r)
	case journal.KindFailed:
		// The value stays among ours all the same: a late read may show it.
		j.resolved(r)
		switch {
		case r.Step == "" || !j.restoring():
		case j.next >= len(j.list()):
			return fmt.Errorf("a step failed after the last one: %w", journal.ErrDamaged)
		default:
			// The other steps do not depend on this one. One that only looks
			// has nothing to add to those that write.
			if len(j.failures) == 0 || writes(j.list()[j.next]) {
				j.failures = append(j.failures, r.Error)
			}
			j.next++
		}
	case journal.KindRollback:
		j.back, j.next, j.turned = true, 0, r.Error
	case journal.KindCommit:
		j.committed = true
		j.step(r)
	case journal.KindDrift:
		if r.Drift == nil {
			return fmt.Errorf("a drift record without drift: %w", journal.ErrDamaged)
		}
		j.drifts = slices.DeleteFunc(j.drifts, func(d journal.Drift) bool { return d.Thing == r.Drift.Thing })
		j.drifts = append(j.drifts, *r.Drift)
	case journal.KindOverridden:
		if r.Before == nil {
			return fmt.Errorf("a record of what the provider sets without a look: %w", journal.ErrDamaged)
		}
		j.failing, j.failure = append(j.failing, r.Before.Desired), r.Note
		maps.Copy(j.imposed, r.Before.ProviderOverrides)
	case journal.KindStop, journal.KindEnd:
		j.last = r
	case journal.KindPlan:
	default:
		return fmt.Errorf("unknown kind %q: %w", r.Kind, journal.ErrDamaged)
	}
	return nil
}

func (j *state) begin(r *journal.Record) error {
	switch {
	case j.unfinished():
		return fmt.Errorf("a rollout begins before %s has ended: %w", j.plan.Rollout, journal.ErrDamaged)
	case r.Plan == nil:
		return fmt.Errorf("a plan record without a plan: %w", journal.ErrDamaged)
	case r.Plan.Endpoint != j.endpoint:
		return fmt.Errorf("it is of endpoint %s: %w", r.Plan.Endpoint, journal.ErrForeignJournal)
	}
	if err := r.Plan.Check(); err != nil {
		return err
	}
	*j = state{
		endpoint: j.endpoint, plan: r.Plan, started: r.Time,
		writes: map[string][]written{}, origin: map[string]int{}, imposed: endpoint.Settings{},
	}
	return nil
}

// restoring reports whether what is left must not be left undone: the way back,
// or what follows the commit point.
func (j *state) restoring() bool { return j.back || j.committed }

// claim hands the rollout to a driver. What must not be left undone starts over
// then: each of its steps looks before it writes.
func (j *state) claim(r *journal.Record) {
	j.driver, j.last = r.Owner, nil
	if j.restoring() {
		j.failures = nil
		j.next = 1 + slices.IndexFunc(j.list(), func(s strategy.Step) bool { return s.Do == strategy.ActionCommit }) // 0 on the way back
	}
	if j.pending != nil && r.Exclusive {
		// Its driver is dead, so what it sent is sent.
		j.setQuiet(j.pending.Write.Thing, r.Time)
	}
}

func (j *state) intend(r *journal.Record) error {
	if r.Write == nil || j.pending != nil {
		return fmt.Errorf("an intent without a write, or before the last one was resolved: %w", journal.ErrDamaged)
	}
	if w := r.Write; w.Thing == journal.ThingDraft && j.plan.Draft == nil || w.Thing == journal.ThingAutoscaling && w.Suspend == nil && j.protected == nil {
		return fmt.Errorf("an intent on the %s without one: %w", w.Thing, journal.ErrDamaged)
	}
	j.pending = r
	j.writes[r.Write.Thing] = append(j.writes[r.Write.Thing], written{Write: *r.Write, quiet: r.NotAfter})
	if r.Write.Value != nil && r.Before != nil {
		if _, seen := j.origin[r.Write.Thing]; !seen {
			j.origin[r.Write.Thing] = r.Before.Settings[r.Write.Thing]
		}
	}
	if r.Write.Suspend != nil && j.protected == nil {
		j.protected = r.Write.Suspend
	}
	return nil
}

// resolved ends the pending intent: r says what became of its write.
func (j *state) resolved(r *journal.Record) {
	if j.pending != nil {
		thing := j.pending.Write.Thing
		j.setQuiet(thing, r.Time)
		w := j.writes[thing]
		w[len(w)-1].seen = r.Kind == journal.KindDone
	}
	j.pending = nil
}

// made reports whether w is our latest write of its thing, and was read back.
func (j *state) made(w journal.Write) bool {
	all := j.writes[w.Thing]
	return len(all) > 0 && all[len(all)-1].seen && reflect.DeepEqual(all[len(all)-1].Write, w)
}

// step moves on past the step that r completes. A record that names no step
// only resolves a write.
func (j *state) step(r *journal.Record) {
	list := j.list()
	if j.next >= len(list) || list[j.next].Name != r.Step {
		return
	}
	if s := list[j.next]; !j.back && waitsForCapacity(s) { // which is what proves a revision
		if j.proof = strings.TrimPrefix(r.Note, provenBy); j.proof != proofConfig {
			j.failing, j.failure, j.imposed = nil, "", endpoint.Settings{} // not any more
		}
	}
	j.next++
}

func (j *state) setQuiet(thing string, t time.Time) {
	if w := j.writes[thing]; len(w) > 0 {
		w[len(w)-1].quiet = t
	}
}

// quiet is when reads of a thing can be believed: every write of ours to it
// was answered or given up by then, and the settle time has passed.
func (j *state) quiet(thing string) time.Time { return j.quietAfter(j.writes[thing]) }

// quietBefore is quiet without the latest write.
func (j *state) quietBefore(thing string) time.Time {
	w := j.writes[thing]
	return j.quietAfter(w[:max(0, len(w)-1)])
}

func (j *state) quietAfter(writes []written) time.Time {
	var t time.Time
	for _, w := range writes {
		if w.quiet.After(t) {
			t = w.quiet
		}
	}
	if t.IsZero() {
		return t
	}
	return t.Add(j.plan.Settle)
}

// lastQuiet is the latest of all things' quiet times.
func (j *state) lastQuiet() time.Time {
	var t time.Time
	for thing := range j.writes {
		if q := j.quiet(thing); q.After(t) {
			t = q
		}
	}
	return t
}

// before is the value that a setting had before the rollout touched it.
func (j *state) before(key string) (int, bool) {
	if v, ok := j.origin[key]; ok {
		return v, true
	}
	v, ok := j.plan.Settings[key]
	return v, ok
}

// ours reports whether a setting's value is one that this rollout found or wrote.
func (j *state) ours(key string, value int) bool {
	if v, ok := j.before(key); ok && v == value {
		return true
	}
	if v, ok := j.plan.Settings[key]; ok && v == value {
		return true
	}
	for _, w := range j.writes[key] {
		if w.Value != nil && *w.Value == value {
			return true
		}
	}
	return false
}

// lowered reports whether a setting may have, by a write of ours, less than it had.
func (j *state) lowered(key string) bool {
	had, _ := j.before(key)
	return slices.ContainsFunc(j.writes[key], func(w written) bool { return w.Value != nil && *w.Value < had })
}

// failed reports whether a revision is one that the provider takes capacity
// away from, as it keeps failing.
func (j *state) failed(r endpoint.Revision) bool {
	return slices.ContainsFunc(j.failing, func(f endpoint.Revision) bool { return f == r || f.Same(r) })
}

// imposes reports whether a setting's value is one that the provider sets by
// itself.
func (j *state) imposes(key string, value int) bool {
	v, ok := j.imposed[key]
	return ok && v == value
}

// resets reports whether a setting's value is one that an update may have given it.
func (j *state) resets(key string, value int) bool {
	return j.wrote(journal.ThingRevision) && slices.Contains(j.plan.ResetTo[key], value)
}

// drifted reports whether somebody else's value of a thing was found.
func (j *state) drifted(thing string) bool {
	return slices.ContainsFunc(j.drifts, func(d journal.Drift) bool { return d.Thing == thing })
}

// moves reports whether the provider's autoscaling moves a setting by itself.
func (j *state) moves(key string) bool {
	return j.plan.ProviderSets(key) || j.protected != nil && slices.Contains(j.protected.Autoscaled, key)
}

// wrote reports whether a thing was, or may have been, written.
func (j *state) wrote(thing string) bool { return len(j.writes[thing]) > 0 }
