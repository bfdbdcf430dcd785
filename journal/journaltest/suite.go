package journaltest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/internal/promise"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// Harness makes the stores that [Run] tests.
type Harness struct {
	// New makes an empty store. Stores of different calls share nothing.
	New func(t testing.TB) journal.Store
	// Reopen makes another handle on what s keeps, as a second process would.
	// If it is nil the store is taken to forget with the process: what has to
	// survive is skipped, and what two handles do at once is done on one.
	Reopen func(t testing.TB, s journal.Store) journal.Store
}

func (h Harness) second(t testing.TB, s journal.Store) journal.Store {
	t.Helper()
	if h.Reopen == nil {
		return s
	}
	return h.Reopen(t, s)
}

// Run holds a store to the promises of [journal.Store], one subtest each, and
// to those of its abilities, such as [journal.Locker]; what it cannot do is
// skipped. It runs in real time and outside of any bubble.
func Run(t *testing.T, h Harness) {
	t.Helper()
	storeSuite.Run(t, h)
}

// journalName is one that needs escaping nearly everywhere.
const journalName = "runpod/a b/c"

var storeSuite = promise.Suite[Harness]{Promises: []promise.Promise[Harness]{
	{
		Name: "a journal that does not exist is empty", Keep: loadsNothing,
		Why: "the first rollout of an endpoint begins by loading its journal: an error here means that none can ever begin",
	},
	{
		Name: "records come back in order", Keep: keepsOrder,
		Why: "the next action of a rollout is derived from its records in order; out of order they are refused as damaged, and the rollout cannot be resumed",
	},
	{
		Name: "records come back as they were", Keep: roundTrips,
		Why: "the values that a rollback restores are in the records: a value that is lost or rounded there cannot be put back",
	},
	{
		Name: "large records come back whole", Keep: keepsLarge,
		Why: "the snapshot of an endpoint's autoscaling can be long; cut off, the endpoint loses it",
	},
	{
		Name: "a record that is not sealed is refused", Keep: refusesUnsealed,
		Why: "without its checksum a record cannot be read again, and neither can the journal that it is in",
	},
	{
		Name: "a number that is taken is a conflict", Keep: conflicts,
		Why: "the number is the fence between two runners: both would go on writing to the same endpoint",
	},
	{
		Name: "a conflict changes nothing", Keep: conflictsInVain,
		Why: "the runner that won relies on its records; replaced by the loser's, a resume would undo the wrong thing",
	},
	{
		Name: "of appends at once one wins", Keep: oneWins,
		Why: "two runners that begin at the same moment are separated by this alone: if both win, both change the endpoint",
	},
	{
		Name: "endpoints are kept apart", Keep: keepsApart,
		Why: "records of one endpoint in another's journal make both unreadable; names hold slashes, dots and every other character that a provider allows",
	},
	{
		Name: "an append survives its process", Keep: survives,
		Why: "a record is appended before the endpoint is changed; lost with the process, the values to put back are unknown",
	},
	{
		Name: "a done context appends nothing", Keep: heedsContext,
		Why: "a caller that has given up must not leave a record behind that says otherwise",
	},
	{
		Name: "a loaded journal is the caller's", Keep: handsOutCopies,
		Why: "a program that reads a journal must not change it",
	},
	{
		Name: "a lock has one holder", Keep: locks,
		Why: "the holder takes all others for dead, and does not wait for what they may still be writing",
	},
	{
		Name: "a lease has one holder", Keep: leases,
		Why: "two runners would both begin, and each disturb the other until one loses the next number",
	},
	{
		Name: "a decision is appended beside the runner", Keep: appendsBesideTheRunner,
		Why: "an approval comes from another process while the runner holds the endpoint",
	},
	{
		Name: "the newest heartbeat counts", Keep: heartbeats,
		Why: "a runner that is alive and seems dead is taken over, and one that is dead and seems alive is waited for",
	},
	{
		Name: "the newest records can be read alone", Keep: tails,
		Why: "a runner that waits for a decision reads the journal at every poll: a record that is left out is a decision that is not heard",
	},
	{
		Name: "every journal is listed", Keep: lists,
		Why: "an unfinished rollout that is not in the list is finished by no runner",
	},
	{
		Name: "a trimmed journal goes on", Keep: trims,
		Why: "numbers that were used once must stay taken, or a runner that slept through the end of its rollout writes to the endpoint again",
	},
	{
		Name: "a rollout has one attachment", Keep: attaches,
		Why: "a rollout that is drawn on another machine must be drawn from its own document, whole",
	},
}}

// next is a short record behind last, the zero value before the first one.
func next(t testing.TB, last journal.Record, text string) journal.Record {
	t.Helper()
	return seal(t, last, journal.Record{Kind: journal.KindFailed, Rollout: "20260102-030405-abcdef", Error: text})
}

// seal makes r the record behind last.
func seal(t testing.TB, last, r journal.Record) journal.Record {
	t.Helper()
	r.Version, r.Seq, r.Time = strategy.FormatVersion, last.Seq+1, time.Date(2026, 1, 2, 3, 4, 5, last.Seq, time.UTC)
	if err := r.Seal(last.Sum); err != nil {
		t.Fatal(err)
	}
	return r
}

// chain is n short records.
func chain(t testing.TB, n int) []journal.Record {
	t.Helper()
	var all []journal.Record
	var last journal.Record
	for range n {
		last = next(t, last, fmt.Sprint("record ", last.Seq+1))
		all = append(all, last)
	}
	return all
}

// rollouts is a journal of n rollouts that have ended, of three records each.
func rollouts(t testing.TB, n int) []journal.Record {
	t.Helper()
	var all []journal.Record
	var last journal.Record
	for i := range n {
		for _, kind := range []journal.RecordKind{journal.KindPlan, journal.KindDone, journal.KindEnd} {
			last = seal(t, last, journal.Record{Kind: kind, Rollout: fmt.Sprint("rollout-", i+1)})
			all = append(all, last)
		}
	}
	return all
}

func load(t testing.TB, s journal.Store, name string) []journal.Record {
	t.Helper()
	records, err := journal.Load(t.Context(), s, name)
	if err != nil {
		t.Fatalf("Load(%q): %v", name, err)
	}
	return records
}

func add(t testing.TB, s journal.Store, name string, records ...journal.Record) {
	t.Helper()
	for _, r := range records {
		if err := s.Append(t.Context(), name, r); err != nil {
			t.Fatalf("Append of record %d to %q: %v", r.Seq, name, err)
		}
	}
}

// same compares records by their JSON: it is what a store is given to keep.
func same(t testing.TB, want, got []journal.Record) {
	t.Helper()
	lines := func(records []journal.Record) (all []string) {
		for _, r := range records {
			b, err := json.Marshal(r)
			if err != nil {
				t.Fatalf("record %d: %v", r.Seq, err)
			}
			all = append(all, string(b))
		}
		return all
	}
	if diff := cmp.Diff(lines(want), lines(got)); diff != "" {
		t.Errorf("Load (-appended +loaded):\n%s", diff)
	}
}
