package journaltest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
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

// Run holds a store to the promises of [strategy.Store], one subtest
// each, and to those of [strategy.Locker] if it has a lock. It runs in real
// time and outside of any bubble.
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
		Why: "what a rollout does next is derived from its records in order; out of order they are refused as damaged, and the rollout cannot be resumed",
	},
	{
		Name: "records come back as they were", Keep: roundTrips,
		Why: "the values that a rollback restores are in the records: what is lost or rounded there cannot be put back",
	},
	{
		Name: "large records come back whole", Keep: keepsLarge,
		Why: "the snapshot of an endpoint's autoscaling can be long; cut off, the endpoint loses it",
	},
	{
		Name: "a number that is taken is a conflict", Keep: conflicts,
		Why: "the number is the fence between two drivers: both would go on writing to the same endpoint",
	},
	{
		Name: "a conflict changes nothing", Keep: conflictsInVain,
		Why: "the driver that won relies on what it wrote down; replaced by the loser's record, a resume would undo the wrong thing",
	},
	{
		Name: "of appends at once one wins", Keep: oneWins,
		Why: "two drivers that begin at the same moment are told apart by this alone: if both win, both change the endpoint",
	},
	{
		Name: "endpoints are kept apart", Keep: keepsApart,
		Why: "records of one endpoint in another's journal make both unreadable; names hold slashes, dots and what else a provider allows",
	},
	{
		Name: "an append survives its process", Keep: survives,
		Why: "a record is appended before the endpoint is changed; lost with the process, nobody knows what to put back",
	},
	{
		Name: "a done context appends nothing", Keep: heedsContext,
		Why: "whoever has given up must not leave a record behind that says otherwise",
	},
	{
		Name: "what was loaded is the caller's", Keep: handsOutCopies,
		Why: "a program that looks at a journal must not change it",
	},
	{
		Name: "a lock has one holder", Keep: locks,
		Why: "whoever gets the lock takes all others for dead, and does not wait for what they may still be writing",
	},
	{
		Name: "the newest stamp is the stamp", Keep: stamps,
		Why: "a driver that lives and looks dead is taken over, and one that is dead and looks alive is waited for",
	},
}}

// record is a short one.
func record(seq int, text string) journal.Record {
	return journal.Record{
		Version: strategy.FormatVersion, Seq: seq, Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Rollout: "20260102-030405-abcdef", Kind: journal.KindFailed, Error: text,
	}
}

func load(t testing.TB, s journal.Store, name string) []journal.Record {
	t.Helper()
	records, err := s.Load(t.Context(), name)
	if err != nil {
		t.Fatalf("Load(%q): %v", name, err)
	}
	return records
}

func add(t testing.TB, s journal.Store, name string, r journal.Record) {
	t.Helper()
	if err := s.Append(t.Context(), name, r); err != nil {
		t.Fatalf("Append of record %d to %q: %v", r.Seq, name, err)
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

func loadsNothing(t testing.TB, h Harness) {
	s := h.New(t)
	if got := load(t, s, journalName); len(got) > 0 {
		t.Errorf("Load = %v, want no record", got)
	}
	add(t, s, journalName, record(1, "first"))
}

func keepsOrder(t testing.TB, h Harness) {
	s := h.New(t)
	var want []journal.Record
	for seq := 1; seq <= 21; seq++ { // past 10, which sorts before 2 as text
		want = append(want, record(seq, fmt.Sprint("record ", seq)))
		add(t, s, journalName, want[seq-1])
	}
	same(t, want, load(t, s, journalName))
}

func roundTrips(t testing.TB, h Harness) {
	s := h.New(t)
	zero, high := 0, math.MaxInt32
	rev := endpoint.Revision{Kind: "template", ID: "wphkv67a0p", Artifact: "acme/sdxl:v2", Digest: "sha256:0123"}
	status := endpoint.Status{
		Phase: endpoint.PhaseUpdating, Desired: rev, Mixed: true, Generation: "17",
		Settings:    endpoint.Settings{endpoint.WorkersMin: 0, endpoint.WorkersMax: 3},
		Pools:       []endpoint.Pool{{Name: "workers", Ready: 1, Stale: 2}},
		UpdateStage: endpoint.UpdateStage{Name: "baking", Since: time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.UTC), For: time.Minute},
		Reason:      "one\ntwo\r\n\ttabs \"quotes\" \\ <b>&amp;</b> \u2028 \x00 äöü 模型 🙂",
	}
	protection := &endpoint.AutoscalingSnapshot{
		Summary: "suspend main", Autoscaled: []string{"variant/main/instances"}, Max: endpoint.Settings{"variant/main/instances": 6},
		Data: json.RawMessage(`{"targets":{"main":{"Min":1,"Max":6}},"big":12345678901234567890,"exact":0.1000}`),
	}
	step := strategy.Step{Name: "update", Do: strategy.ActionUpdate, Timeout: 90*time.Second + 1}
	want := []journal.Record{
		{Kind: journal.KindPlan, Plan: &strategy.Plan{
			Version: strategy.FormatVersion, Rollout: "r", Endpoint: journalName, Strategy: "in-place", Source: rev, Target: rev,
			Options: json.RawMessage(`{"a":[1,2,{"b":null}]}`), Draft: &endpoint.Draft{Revision: rev, Base: rev, Body: json.RawMessage(`"text"`)},
			Settings: status.Settings, Autoscaling: protection, Notes: []string{"", "a note"}, Settle: 30 * time.Second,
			Forward: []strategy.Step{step, {Name: "commit", Do: strategy.ActionCommit}}, Rollback: []strategy.Step{step},
		}},
		{Kind: journal.KindClaim, Owner: "host, process 1", Exclusive: true},
		{
			Kind: journal.KindIntent, Step: "update", Before: &status, Write: &journal.Write{Thing: "revision", Revision: &rev},
			NotAfter: time.Date(2026, 1, 2, 3, 5, 5, 999999999, time.UTC),
		},
		{Kind: journal.KindIntent, Write: &journal.Write{Thing: endpoint.WorkersMin, Value: &zero}},
		{Kind: journal.KindIntent, Write: &journal.Write{Thing: endpoint.WorkersMax, Value: &high, AtLeast: true}},
		{Kind: journal.KindIntent, Write: &journal.Write{Thing: "autoscaling", Suspend: protection}},
		{Kind: journal.KindDrift, Drift: &journal.Drift{Thing: "workers.max", Want: "3", Found: "5"}},
		{Kind: journal.KindStop, Outcome: "incomplete", Residue: []string{"set workers.max to 3"}, Note: status.Reason},
	}
	for i := range want {
		want[i].Version, want[i].Seq, want[i].Rollout = strategy.FormatVersion, i+1, "r"
		want[i].Time = time.Date(2026, 1, 2, 3, 4, 5, i, time.UTC)
		add(t, s, journalName, want[i])
	}
	same(t, want, load(t, h.second(t, s), journalName))
}

func keepsLarge(t testing.TB, h Harness) {
	s := h.New(t)
	want := []journal.Record{record(1, strings.Repeat("0123456789abcde\n", 1<<14)), record(2, "short")}
	for _, r := range want {
		add(t, s, journalName, r)
	}
	got := load(t, s, journalName)
	if len(got) != 2 || got[0].Error != want[0].Error || got[1].Error != want[1].Error {
		t.Errorf("a record of %d bytes and one behind it did not come back as they were: %d records", len(want[0].Error), len(got))
	}
}

func conflicts(t testing.TB, h Harness) {
	s := h.New(t)
	for seq := 1; seq <= 3; seq++ {
		add(t, s, journalName, record(seq, "ours"))
	}
	for _, s := range []journal.Store{s, h.second(t, s)} {
		for _, r := range []journal.Record{record(1, "theirs"), record(3, "theirs"), record(3, "ours")} {
			if err := s.Append(t.Context(), journalName, r); !errors.Is(err, journal.ErrConflict) {
				t.Errorf("Append of another record %d, by %s, while 3 exist = %v, want %v", r.Seq, r.Error, err, journal.ErrConflict)
			}
		}
	}
}

func conflictsInVain(t testing.TB, h Harness) {
	s := h.New(t)
	want := []journal.Record{record(1, "ours"), record(2, "ours"), record(3, "ours")}
	for _, r := range want {
		add(t, s, journalName, r)
	}
	for _, seq := range []int{1, 3, 2} {
		_ = s.Append(t.Context(), journalName, record(seq, "theirs")) // that it is refused is another promise
	}
	same(t, want, load(t, s, journalName))
	add(t, s, journalName, record(4, "ours"))
	same(t, append(want, record(4, "ours")), load(t, s, journalName))
}

func oneWins(t testing.TB, h Harness) {
	const rounds, writers = 12, 3 // writers on each of two handles
	s := h.New(t)
	handles := []journal.Store{s, h.second(t, s)}
	for seq := 1; seq <= rounds; seq++ {
		var wg sync.WaitGroup
		var mu sync.Mutex
		var won []string
		begin := make(chan struct{})
		for i, s := range handles {
			for w := range writers {
				who := fmt.Sprintf("handle %d, writer %d", i, w)
				wg.Go(func() {
					<-begin
					err := s.Append(t.Context(), journalName, record(seq, who))
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						won = append(won, who)
					case !errors.Is(err, journal.ErrConflict):
						t.Errorf("record %d, %s: %v, want nil or %v", seq, who, err, journal.ErrConflict)
					}
				})
			}
			wg.Go(func() { // somebody looks meanwhile
				<-begin
				records, err := s.Load(t.Context(), journalName)
				if err != nil || len(records) < seq-1 || len(records) > seq {
					t.Errorf("Load while record %d is appended: %d records, %v", seq, len(records), err)
				}
			})
		}
		close(begin)
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("record %d was appended by %q, want exactly one", seq, won)
		}
		for i, s := range handles {
			got := load(t, s, journalName)
			if len(got) != seq || got[seq-1].Error != won[0] {
				t.Fatalf("handle %d has %d records after record %d, the last is not of %s, who was told so", i, len(got), seq, won[0])
			}
		}
	}
}

func keepsApart(t testing.TB, h Harness) {
	names := []string{
		"runpod/a", "runpod/a/b", "runpod/a b", "runpod/a%2Fb", "runpod/a+b", "runpod/a.jsonl", "runpod/", "runpod", "/runpod/a",
		"runpod/../a", "..", ".", "a", "runpod\\a", "sagemaker/eu-west-1:a", "runpod/ä", "runpod/a\nb", "runpod/a?x=1#y", "runpod/a*", "~a",
		"sagemaker/" + strings.Repeat("x", 63), "sagemaker/" + strings.Repeat("x", 62),
	}
	s := h.New(t)
	for i, name := range names {
		add(t, s, name, record(1, name))
		if i%2 == 0 {
			add(t, s, name, record(2, name))
		}
	}
	for i, name := range names {
		want := []journal.Record{record(1, name), record(2, name)}[:2-i%2]
		same(t, want, load(t, h.second(t, s), name))
	}
}

func survives(t testing.TB, h Harness) {
	if h.Reopen == nil {
		t.Skip("SKIPPED: the store forgets with its process; a crash cannot be resumed from it")
	}
	s := h.New(t)
	var want []journal.Record
	for seq := 1; seq <= 5; seq++ {
		want = append(want, record(seq, fmt.Sprint("record ", seq)))
		add(t, s, journalName, want[seq-1])
		s = h.Reopen(t, s)
		same(t, want, load(t, s, journalName))
	}
}

func heedsContext(t testing.TB, h Harness) {
	s := h.New(t)
	add(t, s, journalName, record(1, "ours"))
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Append(done, journalName, record(2, "too late")); !errors.Is(err, context.Canceled) {
		t.Errorf("Append with a done context = %v, want %v", err, context.Canceled)
	}
	if _, err := s.Load(done, journalName); !errors.Is(err, context.Canceled) {
		t.Errorf("Load with a done context = %v, want %v", err, context.Canceled)
	}
	same(t, []journal.Record{record(1, "ours")}, load(t, s, journalName))
}

func handsOutCopies(t testing.TB, h Harness) {
	s := h.New(t)
	add(t, s, journalName, record(1, "ours"))
	got := load(t, s, journalName)
	if len(got) != 1 {
		t.Fatalf("Load = %d records, want 1", len(got))
	}
	got[0] = record(7, "changed")
	_ = append(got, record(8, "added"))
	same(t, []journal.Record{record(1, "ours")}, load(t, s, journalName))
}

func locks(t testing.TB, h Harness) {
	s := h.New(t)
	first, ok := s.(journal.Locker)
	if !ok {
		t.Skip("SKIPPED: the store has no lock; a takeover waits until a dead driver's last call must be over")
	}
	second, ok := h.second(t, s).(journal.Locker)
	if !ok {
		t.Fatal("the store has a lock, and reopened it has none")
	}
	hold := func(l journal.Locker, name string) func() error {
		t.Helper()
		unlock, err := l.Lock(t.Context(), name)
		if err != nil {
			t.Fatalf("Lock(%q) = %v", name, err)
		}
		return unlock
	}
	unlock := hold(first, journalName)
	for _, l := range []journal.Locker{first, second} {
		if _, err := l.Lock(t.Context(), journalName); !errors.Is(err, endpoint.ErrBusy) {
			t.Errorf("Lock while it is held = %v, want %v", err, endpoint.ErrBusy)
		}
	}
	add(t, s, journalName, record(1, "by the holder"))
	other := hold(second, "runpod/other")
	if err := errors.Join(unlock(), other()); err != nil {
		t.Errorf("unlock: %v", err)
	}
	unlock = hold(second, journalName)
	if err := unlock(); err != nil {
		t.Errorf("unlock: %v", err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := first.Lock(done, journalName); !errors.Is(err, context.Canceled) {
		t.Errorf("Lock with a done context = %v, want %v", err, context.Canceled)
	}
}
