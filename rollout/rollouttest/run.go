package rollouttest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// play runs one point, and reports how many of its hits the rollout got to.
func (s Sweep) play(t *testing.T, p point) (hits int, ok bool) {
	t.Helper()
	ok = t.Run(p.String(), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := &run{Sweep: s, Environment: s.environment(t), left: p.hits, first: p.hits[0].FaultCase}
			r.Updater = r.hear(t, r.Updater)
			r.told = told{t: t, secrets: r.Secrets, panics: p.panics()}
			r.Options = append(slices.Clip(s.Options), rollout.WithObserver(r.told.hear))
			r.before, r.source = r.Guarded(), r.Live()
			r.arm(t)
			report, err := r.drive(t, p)
			time.Sleep(time.Hour) //nolint:forbidigo // in the bubble's time: whatever is still under way lands
			r.over()
			r.happened(t)
			if r.deleted != nil {
				r.gone(t, report, err)
				hits = r.hits
				return
			}
			if errors.Is(err, rollout.ErrIncomplete) && (r.refuses != nil || r.clamped) {
				r.named(t, report)
				r.allow()
				r.told.live(r.records(t))
				report, err = rollout.Resume(t.Context(), r.store, r.Updater, slices.Concat(r.Options, p.opts)...)
			}
			r.hushed(t, report, err)
			r.check(t, report, err)
			hits = r.hits
		})
	})
	return hits, ok
}

// run is a point in progress.
type run struct {
	Sweep
	Environment
	told   told
	first  FaultCase
	store  journal.Store
	before any
	source string

	mu      sync.Mutex
	moment  moment // of the last read
	left    []hit
	count   int
	hits    int
	refuses func(what string) bool // what the provider refuses for good
	only    string                 // the one write that it does
	things  map[string]bool        // the things it was for, as the journal names them
	waiting *Foreign               // what a third party is going to change
	changed *Foreign               // what a third party has changed
	clamped bool                   // settings get other values
	deleted *remains               // the endpoint is not the one that it was
	writes  int
	sent    []sent
	given   []int // the writes of settings back, in the rollback
	cancel  context.CancelFunc
	asked   []*asked               // every fault so far
	answer  endpointtest.FaultKind // of the last write of the call in progress
}

// arm lets the hits happen as their turn comes.
func (r *run) arm(t *testing.T) {
	t.Helper()
	r.store, r.things = journal.NewMemory(), map[string]bool{}
	r.OnWrite(func(what string) endpointtest.Fault { r.watch(t, what); return endpointtest.Fault{} })
	if r.first == DiesReading || r.first == HangsSending {
		// Over a network a runner cannot know whether the one before is dead.
		memory := journal.NewMemory()
		r.store = unlocked{memory, memory}
	}
	if r.first.reading() {
		r.OnRead(func() { r.read(t) })
		return
	}
	r.OnWrite(func(what string) endpointtest.Fault {
		r.watch(t, what)
		r.unanswered()
		h, ok := r.meet(what)
		switch h.FaultCase { //nolint:exhaustive // all others are a fault of this write
		case ForeignChange:
			r.waiting = &r.Foreign[h.foreign]
		case Deleted:
			r.waiting = &Foreign{Name: "deleted", Do: r.remove}
		case Clamped:
			r.clamped = true
			r.Clamp(true)
			return endpointtest.Fault{}
		}
		if r.waiting != nil {
			// Just after the write. Just before it, between the rollout's poll and
			// its write, no provider could tell.
			return r.ask(t, what, endpointtest.Fault{Then: r.interfere})
		}
		if !ok {
			return endpointtest.Fault{}
		}
		if r.only != "" {
			r.things[thing(r.records(t))] = true
		}
		return r.ask(t, what, h.fault(r.cancel))
	})
}

// read makes the case happen that the next read is due for, if any.
func (r *run) read(t *testing.T) {
	if first, foreign := r.reads(); foreign && (!first || len(r.records(t)) == 0) {
		return // what was changed before the plan was made is the plan's original
	}
	h, ok := r.meet("")
	if !ok {
		return
	}
	switch {
	case h.FaultCase == DiesReading:
		runtime.Goexit()
	case h.FaultCase == ForeignReading:
		r.waiting = &r.Foreign[h.foreign]
		r.interfere()
	case h.FaultCase == PanicsReading:
		panicking()
	case h.FaultCase == SilentReading:
		silent()
	default:
		r.cancel()
	}
}

// reads takes in a read, and reports whether it is the first of its moment, and
// whether a third party's change is next. A call that was given up may read beside
// another one.
func (r *run) reads() (first, foreign bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.moment.passed(), len(r.left) > 0 && r.left[0].FaultCase == ForeignReading
}

// moment is when something happened last. In a bubble no time passes between
// the reads of one poll.
type moment struct{ time.Time }

// passed reports whether time has passed since it was last asked.
func (m *moment) passed() bool {
	before := m.Time
	m.Time = time.Now()
	return m.After(before)
}

// over ends what was still to happen.
func (r *run) over() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = nil
}

// allow ends what the provider refuses or limits for good.
func (r *run) allow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuses = nil
	if r.clamped {
		r.Clamp(false)
	}
}

// interfere lets a third party make a change, as soon as the provider lets it.
func (r *run) interfere() {
	if r.waiting != nil && r.waiting.Do() {
		r.changed, r.waiting = r.waiting, nil
	}
}

// thing is what the write is for that is about to be made.
func thing(records []journal.Record) string {
	if w := records[len(records)-1].Write; w != nil {
		return w.Thing
	}
	return ""
}

func (r *run) records(t *testing.T) []journal.Record {
	t.Helper()
	records, err := r.store.Load(t.Context(), r.Updater.Name())
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// meet returns the case of the call that is about to be made, if it has one.
func (r *run) meet(what string) (h hit, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuses != nil && r.refuses(what) {
		return hit{FaultCase: RefusedForGood}, true
	}
	if len(r.left) == 0 {
		return hit{}, false
	}
	if r.count++; r.count != r.left[0].at {
		return hit{}, false
	}
	h = r.left[0]
	r.left, r.count, r.hits = r.left[1:], 0, r.hits+1
	if h.FaultCase == RefusedForGood {
		r.refuses = func(string) bool { return true }
	}
	if h.FaultCase == RefusedAlways {
		r.only = what
		r.refuses = func(other string) bool { return other == what }
	}
	return h, true
}

// drive runs the rollout, and resumes it as often as it dies.
func (r *run) drive(t *testing.T, p point) (*rollout.Report, error) {
	t.Helper()
	for lives := range len(p.hits) + 2 {
		ctx, cancel := context.WithCancel(t.Context())
		r.cancel = cancel
		r.told.live(r.records(t))
		report, died, err := survive(t, p.String(), p.panics(), func() (*rollout.Report, error) {
			if lives == 0 {
				return rollout.Run(ctx, r.store, r.Updater, r.Strategy, r.Sweep.Target, r.Options...)
			}
			return rollout.Resume(ctx, r.store, r.Updater, slices.Concat(r.Options, p.opts)...)
		})
		cancel()
		if !died {
			return report, err
		}
		time.Sleep(p.delay) //nolint:forbidigo // in the bubble's time
		if p.clock != 0 && lives == 0 {
			r.store = clocked{r.store, len(r.records(t)), time.Now(), p.clock}
		}
	}
	t.Fatal("the rollout does not end")
	return nil, nil
}

// survive calls f on a goroutine of its own, and reports whether it died on the
// way, by [runtime.Goexit]. A panic is a bug of the updater or of the rollout, and
// fails the point, unless it is the updater's that the point is about.
func survive(t *testing.T, at string, panics bool, f func() (*rollout.Report, error)) (report *rollout.Report, died bool, err error) {
	t.Helper()
	died = true
	var bug string
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() {
			if v := recover(); v != nil {
				bug = fmt.Sprintf("%v\n%s", v, debug.Stack())
			}
		}()
		report, err = f()
		died = false
	}()
	<-ended
	if errors.Is(err, rollout.ErrPanic) && !panics {
		bug = err.Error()
	}
	if bug != "" {
		t.Fatalf("panic at the point %q: %s", at, bug)
	}
	if died && t.Failed() { // which ends a goroutine too
		t.FailNow()
	}
	return report, died, err
}

// unlocked is a store without its lock.
type unlocked struct {
	journal.Store
	journal.Heartbeater
}
