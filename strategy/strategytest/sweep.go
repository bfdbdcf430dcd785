package strategytest

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/strategy"
)

// Sweep is a rollout that is run again and again, each time with another
// misfortune. However it goes, the endpoint has to end whole: at the target or
// at the source, with every protective value as it was and the error saying
// which. Where the provider keeps refusing, what remains has to be named, and
// a resume has to do it once the provider lets it.
type Sweep struct {
	// New makes the endpoint at rest on its source. It is called for each
	// point, in a testing/synctest bubble of its own: what it makes opens no
	// sockets and leaves no goroutines.
	New      func(t testing.TB) World
	Strategy strategy.Strategy
	Target   strategy.Target
	Options  []strategy.Option
	// Goal is what World.Live answers after a success. Empty means that the
	// target does not come up, so that the rollout has to end at the source.
	Goal string
	// Only are the misfortunes to sweep; all but ForeignReading if empty.
	Only []Misfortune
}

// World is one endpoint with what the sweep has to know of it and do to it.
type World struct {
	Updater endpoint.Updater
	// OnMutation asks hook what is to befall each remote write, when the
	// request would be sent, on the goroutine that called the updater. what
	// says what is written: the same text for the same write.
	OnMutation func(hook func(what string) Fault)
	// OnRead calls hook before each remote read likewise; hook may panic. If
	// it is nil, deaths between the writes are not swept.
	OnRead func(hook func())
	// Protective is everything that a rollout has to leave as it was, for
	// go-cmp to compare, as it is now, whatever reads are shown.
	Protective func() any
	// Foreign are changes that somebody else may make, one for each value that a
	// rollout could overwrite. If there is none, other people's changes are not
	// swept.
	Foreign []Foreign
	// Live names what the provider has been told to serve, as it is now.
	Live func() string
}

// Foreign is one change of one value, by somebody else, to one that no rollout
// sets.
type Foreign struct {
	Name string
	// Do makes the change, and reports whether the provider let it happen.
	Do func() bool
	// Serves is what World.Live answers after a change of what is served, which
	// supersedes the rollout. It is empty if the change is of a protective value.
	Serves string
}

// Fault is what befalls one remote write. The zero Fault is none.
type Fault struct {
	Kind FaultKind
	// Applied, for Lost: the write takes effect. Otherwise nothing arrives.
	Applied bool
	// Then, for Fine, Lost and Late, if it is not nil: it is called after the
	// write took effect, or where it would have, and before the answer. It may
	// panic, as if the process died, end the context of the call, or change
	// the endpoint.
	Then func()
	// After, for Late: when the write takes effect, counted from now. For
	// Throttled: how long the provider asks to be left alone.
	After time.Duration
}

// FaultKind is what the caller of a write hears.
type FaultKind int

// The kinds of faults.
const (
	Fine      FaultKind = iota
	Lost                // an endpoint.ErrUnavailable that tells nothing
	Late                // the same, and the write takes effect later
	Refused             // an error for which endpoint.Unapplied is true and endpoint.Transient false
	Throttled           // endpoint.ErrThrottled
)

// Misfortune is what the sweep lets happen at one write after the other.
type Misfortune string

// The misfortunes.
const (
	DiesBefore      Misfortune = "death before"
	DiesAfter       Misfortune = "death after"
	DiesSending     Misfortune = "death while sending"
	HangsSending    Misfortune = "hang while sending" // and nobody knows that it died
	LostBefore      Misfortune = "lost before"
	LostAfter       Misfortune = "lost after"
	LandsLate       Misfortune = "late"
	RefusedOnce     Misfortune = "refused"
	RefusedAlways   Misfortune = "refused each time"
	RefusedForGood  Misfortune = "refused from then on, as is all else"
	ThrottledOnce   Misfortune = "throttled"
	CancelledBefore Misfortune = "cancelled before"
	CancelledAfter  Misfortune = "cancelled after"
	ForeignChange   Misfortune = "somebody else's change"

	DiesReading      Misfortune = "death at a read"
	CancelledReading Misfortune = "cancelled at a read"
	// ForeignReading is swept only if Sweep.Only has it. It wants a provider that
	// shows everything in one read: nobody can see a change of what was read a
	// moment ago.
	ForeignReading Misfortune = "somebody else's change at a read"
)

// reading reports whether it befalls reads.
func (m Misfortune) reading() bool {
	return m == DiesReading || m == CancelledReading || m == ForeignReading
}

// faults says what befalls a write. How late a write may land is bounded by
// the settle time, which has to be longer.
func (m Misfortune) fault(cancel func()) Fault {
	die := func() { panic(death{}) }
	switch m {
	case DiesBefore, DiesAfter:
		return Fault{Kind: Lost, Applied: m == DiesAfter, Then: die}
	case LostBefore, LostAfter:
		return Fault{Kind: Lost, Applied: m == LostAfter}
	case LandsLate:
		return Fault{Kind: Late, After: 7 * time.Second}
	case DiesSending:
		return Fault{Kind: Late, After: 7 * time.Second, Then: die}
	case HangsSending: // a call ends after a minute
		return Fault{Kind: Late, After: 55 * time.Second, Then: die}
	case RefusedOnce, RefusedAlways, RefusedForGood:
		return Fault{Kind: Refused}
	case ThrottledOnce:
		return Fault{Kind: Throttled, After: 40 * time.Second}
	case CancelledBefore, CancelledAfter:
		return Fault{Kind: Lost, Applied: m == CancelledAfter, Then: cancel}
	case ForeignChange, DiesReading, CancelledReading, ForeignReading:
	}
	return Fault{}
}

// death is what a process that dies panics with.
type death struct{}

// hit puts a misfortune on a write, counted from the one that was hit before.
type hit struct {
	Misfortune
	at     int
	theirs int // which of World.Foreign
}

func (h hit) String() string { return fmt.Sprintf("%s at %d", h.Misfortune, h.at) }

// point is one run of a sweep.
type point struct {
	hits  []hit
	delay time.Duration // from a death to the resume
	opts  []strategy.Option
	label string
}

func (p point) String() string {
	var parts []string
	for _, h := range p.hits {
		parts = append(parts, h.String())
	}
	return strings.Join(parts, ", then ") + p.label
}

// Run puts each misfortune on each write, and a death on each read, and
// resumes what died at once, ten minutes later, a day later, forward, and with
// another death. It returns the number of runs.
func (s Sweep) Run(t *testing.T) int {
	t.Helper()
	n := 0
	_, kinds, reads := s.probe(t)
	able := func(m Misfortune) bool {
		return (reads || !m.reading()) && (len(kinds) > 0 || m != ForeignChange && m != ForeignReading)
	}
	for _, m := range s.misfortunes() {
		if !able(m) {
			t.Logf("SKIPPED: %s: the world has no hook for it", m)
			continue
		}
		for at, reached := 1, true; reached; at++ {
			for _, p := range points(hit{Misfortune: m, at: at}, kinds) {
				hits, ok := s.play(t, p)
				if !ok {
					return n
				}
				if reached = hits > 0; !reached {
					break
				}
				n++
			}
		}
	}
	t.Logf("%d points swept", n)
	return n
}

// Pairs puts each misfortune on each write, and then another one on each write
// that is still made: in the way back, in the resume, or on the way on. Of all
// pairs it runs one in so many, the same ones each time. It returns the number of runs.
func (s Sweep) Pairs(t *testing.T, oneIn int) int {
	t.Helper()
	writes, _, _ := s.probe(t)
	n := 0
	for _, first := range s.misfortunes() {
		for _, second := range s.misfortunes() {
			if slices.Contains(alone, first) || slices.Contains(alone, second) || first == RefusedForGood || first == RefusedAlways {
				continue
			}
			for at := 1; at <= writes; at++ {
				for then, reached := 1, true; reached && then <= 2*writes+1; then++ {
					p := point{hits: []hit{{Misfortune: first, at: at}, {Misfortune: second, at: then}}, delay: time.Second}
					if crc32.ChecksumIEEE([]byte(t.Name()+p.String()))%uint32(oneIn) != 0 {
						continue
					}
					hits, ok := s.play(t, p)
					if !ok {
						return n
					}
					if reached = hits == 2; reached {
						n++
					}
				}
			}
		}
	}
	t.Logf("%d pairs swept", n)
	return n
}

// alone are the misfortunes that are no part of a pair.
var alone = []Misfortune{ForeignChange, DiesReading, CancelledReading, ForeignReading, HangsSending}

func (s Sweep) misfortunes() []Misfortune {
	if len(s.Only) > 0 {
		return s.Only
	}
	return []Misfortune{
		DiesBefore, DiesAfter, DiesSending, HangsSending, LostBefore, LostAfter, LandsLate, RefusedOnce, RefusedAlways, RefusedForGood,
		ThrottledOnce, CancelledBefore, CancelledAfter, ForeignChange, DiesReading, CancelledReading,
	}
}

// points are the runs for one misfortune at one place, one for each of its
// kinds if it has any.
func points(h hit, kinds []string) []point {
	once := point{hits: []hit{h}}
	later := []point{
		{[]hit{h}, 10 * time.Minute, nil, ", resumed after ten minutes"},
		{[]hit{h}, 24 * time.Hour, nil, ", resumed after a day"},
		{[]hit{h}, 0, []strategy.Option{strategy.WithForward()}, ", resumed forward"},
	}
	switch h.Misfortune {
	case DiesReading: // of which there are many
		return []point{append(later, once)[h.at%4]}
	case DiesSending, HangsSending:
		return []point{once, later[2]}
	case DiesBefore, DiesAfter:
		all := append(later, once)
		for at := 1; at <= 3; at++ {
			all = append(all, point{hits: []hit{h, {Misfortune: DiesAfter, at: at}}, delay: time.Second})
		}
		return all
	case ForeignReading:
		h.theirs = h.at % len(kinds)
		return []point{{hits: []hit{h}, label: ": " + kinds[h.theirs]}}
	case ForeignChange:
		var all []point
		for i, kind := range kinds {
			h.theirs = i
			all = append(all, point{hits: []hit{h}, label: ": " + kind})
		}
		return all
	case LostBefore, LostAfter, LandsLate, RefusedOnce, RefusedAlways, RefusedForGood, ThrottledOnce, CancelledBefore, CancelledAfter, CancelledReading:
	}
	return []point{once}
}

// probe runs a rollout that nothing happens to, however it goes, and counts its
// writes. kinds are the names of other people's changes; reads says whether
// there is a hook for reads.
func (s Sweep) probe(t *testing.T) (writes int, kinds []string, reads bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := s.New(t)
		reads = w.OnRead != nil
		for _, f := range w.Foreign {
			kinds = append(kinds, f.Name)
		}
		w.OnMutation(func(string) Fault { writes++; return Fault{} })
		if report, err := strategy.Run(t.Context(), strategy.NewMemory(), w.Updater, s.Strategy, s.Target, s.Options...); report == nil {
			t.Errorf("the rollout is refused: %v", err)
		}
	})
	return writes, kinds, reads
}

// play runs one point, and reports how many of its hits the rollout got to.
func (s Sweep) play(t *testing.T, p point) (hits int, ok bool) {
	t.Helper()
	ok = t.Run(p.String(), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := &run{Sweep: s, World: s.New(t), left: p.hits}
			r.before, r.source = r.Protective(), r.Live()
			r.arm(t)
			report, err := r.drive(t, p)
			time.Sleep(time.Hour) //nolint:forbidigo // in the bubble's time: whatever is still under way lands
			r.left = nil
			if errors.Is(err, strategy.ErrIncomplete) && r.refuses != nil {
				r.named(t, report)
				r.refuses = nil
				report, err = strategy.Resume(t.Context(), r.store, r.Updater, slices.Concat(s.Options, p.opts)...)
			}
			r.check(t, report, err)
			hits = r.hits
		})
	})
	return hits, ok
}

// run is a point in progress.
type run struct {
	Sweep
	World
	store  strategy.Store
	before any
	source string

	mu      sync.Mutex
	left    []hit
	count   int
	hits    int
	refuses func(what string) bool // what the provider refuses for good
	only    string                 // the one write that it does
	theirs  *Foreign               // what somebody else has changed
	early   bool                   // before the snapshot of what is protected
	cancel  context.CancelFunc
}

// arm lets the hits happen as their turn comes.
func (r *run) arm(t *testing.T) {
	t.Helper()
	r.store = strategy.NewMemory()
	first := r.left[0].Misfortune
	if first == DiesReading || first == HangsSending {
		// Over a network nobody can know whether the driver before is dead.
		memory := strategy.NewMemory()
		r.store = unlocked{memory, memory}
	}
	if first.reading() {
		r.OnRead(func() { r.read(t) })
		return
	}
	r.OnMutation(func(what string) Fault {
		h, ok := r.meet(what)
		if !ok {
			return Fault{}
		}
		if h.Misfortune == ForeignChange {
			// Just after the write. Just before it, between the rollout's look and
			// its write, no provider could tell.
			return Fault{Then: func() { r.interfere(t, &r.Foreign[h.theirs]) }}
		}
		return h.fault(r.cancel)
	})
}

// read lets happen what is to befall the read that is about to be made.
func (r *run) read(t *testing.T) {
	if len(r.left) > 0 && r.left[0].Misfortune == ForeignReading && len(r.records(t)) == 0 {
		return // what was changed before the plan was made is the plan's original
	}
	h, ok := r.meet("")
	if !ok {
		return
	}
	switch {
	case h.Misfortune == DiesReading:
		panic(death{})
	case h.Misfortune == ForeignReading:
		r.interfere(t, &r.Foreign[h.theirs])
	default:
		r.cancel()
	}
}

// interfere lets somebody else make a change.
func (r *run) interfere(t *testing.T, f *Foreign) {
	if !f.Do() {
		return
	}
	r.theirs = f
	records := r.records(t)
	r.early = records[0].Plan.Protection != nil && !slices.ContainsFunc(records, func(r strategy.Record) bool {
		return r.Write != nil && r.Write.Protect != nil
	})
}

func (r *run) records(t *testing.T) []strategy.Record {
	t.Helper()
	records, err := r.store.Load(t.Context(), r.Updater.Name())
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// meet says what befalls the call that is about to be made.
func (r *run) meet(what string) (h hit, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuses != nil && r.refuses(what) {
		return hit{Misfortune: RefusedForGood}, true
	}
	if len(r.left) == 0 {
		return hit{}, false
	}
	if r.count++; r.count != r.left[0].at {
		return hit{}, false
	}
	h = r.left[0]
	r.left, r.count, r.hits = r.left[1:], 0, r.hits+1
	if h.Misfortune == RefusedForGood {
		r.refuses = func(string) bool { return true }
	}
	if h.Misfortune == RefusedAlways {
		r.only = what
		r.refuses = func(other string) bool { return other == what }
	}
	return h, true
}

// drive runs the rollout, and resumes it as often as it dies.
func (r *run) drive(t *testing.T, p point) (*strategy.Report, error) {
	t.Helper()
	for lives := range len(p.hits) + 2 {
		ctx, cancel := context.WithCancel(t.Context())
		r.cancel = cancel
		report, died, err := survive(func() (*strategy.Report, error) {
			if lives == 0 {
				return strategy.Run(ctx, r.store, r.Updater, r.Strategy, r.Sweep.Target, r.Options...)
			}
			return strategy.Resume(ctx, r.store, r.Updater, slices.Concat(r.Options, p.opts)...)
		})
		cancel()
		if !died {
			return report, err
		}
		time.Sleep(p.delay) //nolint:forbidigo // in the bubble's time
	}
	t.Fatal("the rollout does not end")
	return nil, nil
}

// survive calls f and reports whether it died on the way.
func survive(f func() (*strategy.Report, error)) (report *strategy.Report, died bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(death); !ok {
				panic(p)
			}
			died = true
		}
	}()
	report, err = f()
	return report, false, err
}

// named holds an incomplete rollout to having named every value that is not
// as it has to be.
func (r *run) named(t *testing.T, report *strategy.Report) {
	t.Helper()
	residue := strings.Join(report.Residue, "\n")
	status, err := r.Updater.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range promised(report) {
		switch have := status.Settings[key]; {
		case have == want:
		case !strings.Contains(residue, key):
			t.Errorf("%s is %d, not %d, and the residue does not say so:\n%s", key, have, want, residue)
		case r.only != "" && !strings.Contains(strings.ToLower(r.only), "set") && !strings.Contains(r.only, "Workers"):
			t.Errorf("%s is %d, not %d, although only %q was refused", key, have, want, r.only)
		}
	}
	if !status.Desired.Same(report.Plan.Source) && !status.Desired.Same(report.Plan.Target) {
		t.Errorf("left on %s", status.Desired)
	}
	if len(report.Residue) == 0 {
		t.Errorf("incomplete, and nothing is said to remain")
	}
}

// check holds the end of a run to what was promised.
func (r *run) check(t *testing.T, report *strategy.Report, err error) {
	t.Helper()
	if report == nil && errors.Is(err, context.Canceled) { // before it had begun
		report = &strategy.Report{Outcome: strategy.Nothing, Plan: &strategy.Plan{}}
		err = nil
	}
	if report == nil {
		t.Fatalf("no report, error: %v", err)
	}
	before, want := r.before, r.source
	if r.theirs != nil { // theirs stays, all else is as before
		w := r.New(t)
		if !w.Foreign[slices.IndexFunc(w.Foreign, func(f Foreign) bool { return f.Name == r.theirs.Name })].Do() {
			t.Fatalf("%s: it can be done in the middle of a rollout, and not on an endpoint at rest", r.theirs.Name)
		}
		before = w.Protective()
		r.reported(t, report, err)
	}
	if diff := cmp.Diff(before, r.Protective()); diff != "" {
		t.Errorf("protective values (-before +after):\n%s", diff)
	}
	switch {
	case r.theirs != nil && r.theirs.Serves != "" && report.Outcome == strategy.Superseded && errors.Is(err, endpoint.ErrDrift):
		want = r.theirs.Serves
	case err == nil && report.Outcome == strategy.Succeeded:
		if want = r.Goal; want == "" {
			t.Fatal("succeeded with a target that does not come up")
		}
	case report.Outcome == strategy.RolledBack && errors.Is(err, endpoint.ErrRolledBack):
	case report.Outcome == strategy.Nothing && err == nil: // it died before it had begun
	default:
		t.Errorf("outcome %s, error %v: want succeeded or rolled back", report.Outcome, err)
	}
	if live := r.Live(); live != want {
		t.Errorf("%s, but the endpoint serves %s, want %s", report.Outcome, live, want)
	}
	again, err := strategy.Resume(t.Context(), r.store, r.Updater, r.Options...)
	if err != nil || again.Outcome != strategy.Nothing {
		t.Errorf("resumed after its end: %v, %v, want nothing to do", again, err)
	}
}

// reported holds a rollout to having told of somebody else's change.
func (r *run) reported(t *testing.T, report *strategy.Report, err error) {
	t.Helper()
	status, serr := r.Updater.Status(t.Context())
	if serr != nil {
		t.Fatal(serr)
	}
	// What was changed before the snapshot of what is protected is its original.
	if len(report.Drift) == 0 && !r.early {
		t.Errorf("somebody else changed %s, and no drift is reported: %v", r.theirs.Name, err)
	}
	for key, want := range promised(report) {
		told := slices.ContainsFunc(report.Drift, func(d strategy.Drift) bool { return d.Thing == key })
		if have := status.Settings[key]; have != want && !told {
			t.Errorf("%s is %d, not %d, and no drift is reported: %v, %v", key, have, want, report.Drift, err)
		}
	}
}

// promised are the settings that the rollout has to leave as they were: all
// but those that the provider's autoscaling moves.
func promised(report *strategy.Report) endpoint.Settings {
	settings := report.Plan.Settings.Clone()
	if p := report.Plan.Protection; p != nil {
		for _, key := range p.Moved {
			delete(settings, key)
		}
	}
	return settings
}

// unlocked is a store without its lock.
type unlocked struct {
	strategy.Store
	strategy.Stamper
}
