package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/journal"
)

// The kinds of records that only a fleet's journal has. Beside them it has
// claims, bakes (the soak of a wave), holds, decisions, a rollback, stops and an
// end, and in each of them Step is a wave.
const (
	kindFleet  journal.RecordKind = "fleet"  // the fleet begins; Note is its definition
	kindMember journal.RecordKind = "member" // the member Step has ended, by its rollout Note
	kindWave   journal.RecordKind = "wave"   // the wave Step has passed
)

// journalName is the name of a fleet's journal in the store.
func journalName(id string) string { return JournalPrefix + id }

// undoSuffix follows the fleet's ID in the labels of rollouts that undo others.
const undoSuffix = "/rollback"

// definition is the document of a fleet's first record.
type definition struct {
	Waves []waveRecord `json:"waves"`
	// Allowed is how many members may fail. Records of earlier versions lack it.
	Allowed int `json:"allowed,omitempty"`
}

type waveRecord struct {
	Name    string   `json:"name"`
	Members []string `json:"members"`
}

// hold is an approval that is being waited for.
type hold struct {
	wave, approval string
	expires        time.Time
	decision       *journal.Decision
}

// ledger is what the records of a fleet's journal amount to.
type ledger struct {
	seq     int
	sum     string
	began   time.Time
	def     *definition
	owner   string
	ended   map[string]journal.Record // the latest record of each member
	order   []string                  // of the members' first records
	passed  map[string]bool           // waves
	soaks   map[string]time.Time      // when the soak of a wave ends
	holds   map[string]*hold          // by wave
	breach  string                    // why nothing more begins
	undoing bool                      // what was done is rolled back
	abort   *journal.Decision
	// cut are the rollouts of a member that were rolled back because the fleet was
	// cancelled: it begins again.
	cut map[string][]string
	// untouched are the members of which a rollback found that nothing was done.
	untouched map[string]bool
	last      *journal.Record // the end or the latest stop, nil while a runner has it
}

func newLedger() *ledger {
	return &ledger{
		ended: map[string]journal.Record{}, passed: map[string]bool{},
		soaks: map[string]time.Time{}, holds: map[string]*hold{}, cut: map[string][]string{}, untouched: map[string]bool{},
	}
}

// fold reads a fleet's journal, which [journal.Check] has accepted.
func fold(id string, records []journal.Record) (*ledger, error) {
	l := newLedger()
	for i := range records {
		if err := l.add(&records[i]); err != nil {
			return nil, fmt.Errorf("journal of fleet %s: record %d: %w: %w", id, records[i].Seq, journal.ErrDamaged, err)
		}
		if records[i].Rollout != id {
			return nil, fmt.Errorf("journal of fleet %s: record %d is of %q: %w", id, records[i].Seq, records[i].Rollout, journal.ErrForeignJournal)
		}
	}
	return l, nil
}

func (l *ledger) unfinished() bool {
	return l.def != nil && (l.last == nil || l.last.Kind != journal.KindEnd)
}

func (l *ledger) add(r *journal.Record) error {
	if l.def == nil && r.Kind != kindFleet {
		return fmt.Errorf("a %s before the fleet began", r.Kind)
	}
	switch r.Kind { //nolint:exhaustive // the default refuses the kinds of rollouts
	case kindFleet:
		l.def = &definition{}
		if err := json.Unmarshal([]byte(r.Note), l.def); err != nil {
			return err
		}
		l.began = r.Time
	case journal.KindClaim:
		l.owner, l.last = r.Owner, nil
	case kindMember:
		if Outcome(r.Outcome) == Pending {
			if l.untouched[r.Step] = l.undoing; !l.undoing {
				l.cut[r.Step] = append(l.cut[r.Step], r.Note)
			}
			break
		}
		if _, again := l.ended[r.Step]; !again {
			l.order = append(l.order, r.Step)
		}
		l.ended[r.Step] = *r
	case journal.KindBake:
		l.soaks[r.Step] = r.NotAfter
	case journal.KindCheck:
	case journal.KindHold:
		l.holds[r.Step] = &hold{wave: r.Step, approval: r.Note, expires: r.NotAfter}
	case journal.KindDecision:
		if r.Decision == nil {
			return errors.New("a decision without one")
		}
		l.decided(r.Decision)
	case kindWave:
		l.passed[r.Step] = true
	case journal.KindRollback:
		l.breach, l.undoing = r.Error, r.Note != string(BreachStop)
	case journal.KindStop:
		l.last = r
	case journal.KindEnd:
		l.last = r
	default:
		return fmt.Errorf("a %s in a fleet's journal", r.Kind)
	}
	l.seq, l.sum = r.Seq, r.Sum
	return nil
}

// decided takes in a decision. The first one of an approval counts.
func (l *ledger) decided(d *journal.Decision) {
	if d.Verb == verbAbort {
		if l.abort == nil {
			l.abort = d
		}
		return
	}
	for _, h := range l.holds {
		if h.decision == nil && h.approval == d.Approval {
			h.decision = d
		}
	}
}

// pending is the approval that is being waited for, nil if none is.
func (l *ledger) pending() *hold {
	for _, h := range l.holds {
		if h.decision == nil && !l.passed[h.wave] {
			return h
		}
	}
	return nil
}

// failures counts the members that have failed before a breach.
func (l *ledger) failures() int {
	n := 0
	for _, r := range l.ended {
		if failed(Outcome(r.Outcome)) {
			n++
		}
	}
	return n
}

// differs says how the fleet differs from the one on record, "" if it does not.
func (d *definition) differs(waves []waveRecord) string {
	for i, w := range d.Waves {
		if i >= len(waves) || waves[i].Name != w.Name {
			return fmt.Sprintf("wave %d was %q", i+1, w.Name)
		}
		for _, name := range w.Members {
			if !slices.Contains(waves[i].Members, name) {
				return fmt.Sprintf("%s was in wave %q", name, w.Name)
			}
		}
		for _, name := range waves[i].Members {
			if !slices.Contains(w.Members, name) {
				return fmt.Sprintf("%s was not in wave %q", name, w.Name)
			}
		}
	}
	if len(waves) > len(d.Waves) {
		return fmt.Sprintf("there was no wave %q", waves[len(d.Waves)].Name)
	}
	return ""
}
