package core

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// Ledger is what the records of the newest rollout in a journal amount to. It
// is derived from them alone, so that any runner that reads them decides alike.
type Ledger struct {
	values

	Endpoint    string
	Seq         int // of the newest record
	Owner       string
	RollingBack bool
	Reason      string // why it rolls back
	Committed   bool
	Next        int             // index of the next step in the current list
	Pending     *journal.Record // an intent whose write is open
	Drift       []journal.Drift
	Failures    []Failure // steps that could not be done, and that no other depends on
	Proof       strategy.Proof
	Began       time.Time
	Hold        *Hold             // the approval that is waited for, or was last
	Aborted     *journal.Decision // a person aborted the rollout
	Last        *journal.Record   // the end or the latest stop
	// Ahead is by how much the newest record is dated after the time of reading.
	Ahead time.Duration
	// AheadSeq is the number of the record that is dated the furthest ahead; 0 for none.
	AheadSeq int

	firstWrite time.Time // when the first intent was recorded
	snapshot   *endpoint.AutoscalingSnapshot
	suspended  time.Time            // when suspending autoscaling began
	restored   time.Time            // when restoring it ended; zero if it has not
	bakes      map[string]time.Time // when a bake ends, by step
	skipped    map[string]string    // the rest of a bake, by step: by whom
	tallies    tallies              // of the checks
}

// Failure is a step that could not be done, and the sentence that says so.
type Failure struct {
	Step  strategy.Step
	Error string
}

// Fold reads the newest rollout from the records of one endpoint's journal,
// which [journal.Check] has accepted. A record that is dated after now, because a
// clock was put back, counts as one of now. Its error is a [*journal.ReadError].
func Fold(name string, records []journal.Record, now time.Time) (*Ledger, error) {
	j := &Ledger{Endpoint: name}
	newest := 0
	for i, r := range records {
		if r.Kind == journal.KindPlan {
			newest = i
		}
	}
	if len(records) > 0 {
		j.Seq = records[newest].Seq - 1
	}
	for i := newest; i < len(records); i++ {
		r := records[i]
		if ahead := clamp(&r, now); ahead > j.Ahead {
			j.Ahead, j.AheadSeq = ahead, r.Seq
		}
		if err := j.add(&r); err != nil {
			return nil, &journal.ReadError{Records: records[:i], Line: i + 1, Err: fmt.Errorf("journal of %s: %w", name, err)}
		}
	}
	return j, nil
}

// clamp brings the times of a record that cannot be later than now, and says
// by how much it was ahead.
func clamp(r *journal.Record, now time.Time) time.Duration {
	ahead := max(0, r.Time.Sub(now))
	r.Time = r.Time.Add(-ahead)
	if latest := now.Add(longestCall); r.Kind == journal.KindIntent && r.NotAfter.After(latest) {
		r.NotAfter = latest
	}
	return ahead
}

// Clone returns a copy that shares nothing that changes.
func (j *Ledger) Clone() *Ledger {
	c := *j
	c.Drift, c.Failures, c.failing = slices.Clone(j.Drift), slices.Clone(j.Failures), slices.Clone(j.failing)
	c.writes, c.origin, c.overridden = slices.Clone(j.writes), maps.Clone(j.origin), maps.Clone(j.overridden)
	c.bakes, c.skipped, c.tallies = maps.Clone(j.bakes), maps.Clone(j.skipped), maps.Clone(j.tallies)
	return &c
}

// Unfinished reports whether a rollout began and did not end.
func (j *Ledger) Unfinished() bool {
	return j.Plan != nil && (j.Last == nil || j.Last.Kind != journal.KindEnd)
}

// List is the list of steps that is being carried out.
func (j *Ledger) List() []strategy.Step {
	if j.RollingBack {
		return j.Plan.Rollback
	}
	return j.Plan.Forward
}

// done reports whether every step of the list is done, and none failed.
func (j *Ledger) done() bool { return j.Next >= len(j.List()) && len(j.Failures) == 0 }

// Restoring reports whether the steps that are left must not be left undone:
// those of the rollback, and those after the commit point.
func (j *Ledger) Restoring() bool { return j.RollingBack || j.Committed }

// Add takes in the record that follows. After an error the ledger is of no use.
func (j *Ledger) Add(r journal.Record) error { return j.add(&r) }

func (j *Ledger) add(r *journal.Record) error {
	switch {
	case r.Version < 1 || r.Version > strategy.FormatVersion:
		return fmt.Errorf("its format is version %d, this program knows up to %d: %w", r.Version, strategy.FormatVersion, endpoint.ErrInvalid)
	case r.Seq != j.Seq+1:
		return fmt.Errorf("its number is %d where %d is due: %w", r.Seq, j.Seq+1, journal.ErrDamaged)
	case r.Kind == journal.KindPlan:
		if err := j.begin(r); err != nil {
			return err
		}
		j.Seq = r.Seq
		return nil
	case j.Plan == nil || r.Rollout != j.Plan.Rollout:
		return fmt.Errorf("it belongs to no rollout that began: %w", journal.ErrDamaged)
	}
	j.Seq = r.Seq
	return j.take(r)
}

// take takes in a record of the rollout, by its kind.
func (j *Ledger) take(r *journal.Record) error {
	switch r.Kind {
	case journal.KindClaim:
		j.claim(r)
	case journal.KindIntent:
		return j.intend(r)
	case journal.KindDone:
		j.resolve(r)
		j.complete(r)
	case journal.KindFailed:
		// The value stays one of the rollout's: a late read may show it.
		j.resolve(r)
		return j.fail(r)
	case journal.KindRollback:
		j.RollingBack, j.Next, j.Reason = true, 0, r.Error
	case journal.KindCommit:
		j.Committed = true
		j.complete(r)
	case journal.KindBake:
		if j.bakes == nil {
			j.bakes = map[string]time.Time{}
		}
		j.bakes[r.Step] = r.NotAfter
	case journal.KindHold:
		j.Hold = &Hold{Step: r.Step, Approval: r.Note, Since: r.Time, Expires: r.NotAfter}
	case journal.KindCheck:
		if r.Verdict == nil {
			return fmt.Errorf("a record of a check without a verdict: %w", journal.ErrDamaged)
		}
		if j.tallies == nil {
			j.tallies = tallies{}
		}
		j.tallies.add(r)
	case journal.KindDecision:
		if r.Decision == nil {
			return fmt.Errorf("a record of a decision without one: %w", journal.ErrDamaged)
		}
		j.decided(r.Decision)
	case journal.KindDrift:
		if r.Drift == nil {
			return fmt.Errorf("a drift record without drift: %w", journal.ErrDamaged)
		}
		j.Drift = slices.DeleteFunc(j.Drift, func(d journal.Drift) bool { return d.Thing == r.Drift.Thing })
		j.Drift = append(j.Drift, *r.Drift)
	case journal.KindOverridden:
		if r.Before == nil {
			return fmt.Errorf("a record of the provider's own values without a status: %w", journal.ErrDamaged)
		}
		j.overrule(r.Before, r.Note)
	case journal.KindStop, journal.KindEnd:
		j.Last = r
	case journal.KindPlan:
	default:
		return fmt.Errorf("unknown kind %q: %w", r.Kind, journal.ErrDamaged)
	}
	return nil
}

func (j *Ledger) begin(r *journal.Record) error {
	switch {
	case j.Unfinished():
		return fmt.Errorf("a rollout begins before %s has ended: %w", j.Plan.Rollout, journal.ErrDamaged)
	case r.Plan == nil:
		return fmt.Errorf("a plan record without a plan: %w", journal.ErrDamaged)
	case r.Plan.Endpoint != j.Endpoint:
		return fmt.Errorf("it is of endpoint %s: %w", r.Plan.Endpoint, journal.ErrForeignJournal)
	}
	if err := r.Plan.Check(); err != nil {
		return err
	}
	*j = Ledger{
		values:   values{Plan: r.Plan},
		Endpoint: j.Endpoint, Owner: r.Owner, Began: r.Time, Ahead: j.Ahead, AheadSeq: j.AheadSeq,
	}
	return nil
}

// claim hands the rollout to a runner. The steps that must not be left undone
// start over then: each of them polls before it writes.
func (j *Ledger) claim(r *journal.Record) {
	j.Owner, j.Last = r.Owner, nil
	if j.Restoring() {
		j.Failures = nil
		j.Next = 1 + slices.IndexFunc(j.List(), func(s strategy.Step) bool { return s.Do == strategy.ActionCommit }) // 0 in a rollback
	}
	if j.Pending != nil && r.Exclusive {
		// Its runner is dead, so its call is over.
		j.setOver(j.Pending.Write.Thing, r.Time)
	}
}

func (j *Ledger) intend(r *journal.Record) error {
	if r.Write == nil || j.Pending != nil {
		return fmt.Errorf("an intent without a write, or before the last one was resolved: %w", journal.ErrDamaged)
	}
	if w := r.Write; w.Thing == journal.ThingDraft && j.Plan.Draft == nil || (w.Thing == journal.ThingCanary || w.Thing == journal.ThingShare) && j.Plan.Canary == nil || w.Thing == journal.ThingAutoscaling && w.Suspend == nil && j.snapshot == nil {
		return fmt.Errorf("an intent on the %s without one: %w", w.Thing, journal.ErrDamaged)
	}
	j.Pending = r
	if j.firstWrite.IsZero() {
		j.firstWrite = r.Time
	}
	j.writes = append(j.writes, written{Write: *r.Write, over: r.NotAfter})
	if r.Write.Value != nil && r.Before != nil {
		if _, seen := j.origin[r.Write.Thing]; !seen {
			if j.origin == nil {
				j.origin = map[string]int{}
			}
			j.origin[r.Write.Thing] = r.Before.Settings[r.Write.Thing]
		}
	}
	if r.Write.Suspend != nil {
		j.restored = time.Time{}
		if j.snapshot == nil {
			j.snapshot, j.suspended = r.Write.Suspend, r.Time
		}
	}
	return nil
}

// resolve ends the pending intent: r says what became of its write.
func (j *Ledger) resolve(r *journal.Record) {
	if j.Pending != nil {
		thing := j.Pending.Write.Thing
		j.setOver(thing, r.Time)
		w := j.latest(thing)
		w.confirmed = r.Kind == journal.KindDone
		w.unknown = r.Kind == journal.KindFailed && (r.Note == fateUnknown || r.Step != "")
		if thing == journal.ThingAutoscaling && j.Pending.Write.Suspend == nil && r.Kind == journal.KindDone {
			j.restored = r.Time
		}
		if v, err := strconv.Atoi(clampedTo(r)); err == nil { // that value is the rollout's doing
			j.writes = append(j.writes, written{Write: journal.Write{Thing: thing, Value: &v}, over: r.Time, confirmed: true})
		}
	}
	j.Pending = nil
}

// clampedTo is what the provider made of the write that failed, "" if that is not
// why it failed.
func clampedTo(r *journal.Record) string {
	if r.Kind != journal.KindFailed || r.Drift == nil {
		return ""
	}
	return r.Drift.Found
}

// complete moves on past the step that r completes. A record that names no
// step only resolves a write.
func (j *Ledger) complete(r *journal.Record) {
	list := j.List()
	if j.Next >= len(list) || list[j.Next].Name != r.Step {
		return
	}
	if s := list[j.Next]; !j.RollingBack && waitsForCapacity(s) { // which is what proves a revision
		proof, _, _ := strings.Cut(strings.TrimPrefix(r.Note, provenBy), ";")
		if j.Proof = strategy.Proof(proof); j.Proof != strategy.ProofConfiguration {
			j.failing, j.failure, j.overridden = nil, "", nil // not any more
		}
	}
	if list[j.Next].Do == strategy.ActionRestoreAutoscaling && j.restored.IsZero() {
		j.restored = r.Time // there was nothing to write
	}
	j.Next++
}

// fail moves on past a step that could not be done, where the others do not
// depend on it. A step that only reads adds nothing to one that writes.
func (j *Ledger) fail(r *journal.Record) error {
	switch {
	case r.Step == "" || !j.Restoring():
	case j.Next >= len(j.List()):
		return fmt.Errorf("a step failed after the last one: %w", journal.ErrDamaged)
	default:
		if len(j.Failures) == 0 || writes(j.List()[j.Next]) {
			j.Failures = append(j.Failures, Failure{Step: j.List()[j.Next], Error: r.Error})
		}
		j.Next++
	}
	return nil
}

// Suspension is the snapshot by which autoscaling was suspended, when that began,
// and when restoring it ended: zero if it has not. The snapshot is nil if it was not.
func (j *Ledger) Suspension() (s *endpoint.AutoscalingSnapshot, from, to time.Time) {
	return j.snapshot, j.suspended, j.restored
}

// Staged are the drafts that the rollout made, or may have made, and has not taken
// back.
func (j *Ledger) Staged() []*endpoint.Draft {
	var all []*endpoint.Draft
	if w := j.latest(journal.ThingDraft); w != nil && !(w.Unstage && w.confirmed) {
		all = append(all, j.Plan.Draft)
	}
	if j.wrote(journal.ThingCanary) {
		all = append(all, &j.Plan.Canary.Draft)
	}
	return all
}
