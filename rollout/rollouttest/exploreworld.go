package rollouttest

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// world is one state of an exploration: the endpoint, the journal, and the
// runners, each of which is about to carry out an operation.
type world struct {
	*scene

	now     int // seconds
	ep      model
	records *entry
	store   *core.Ledger // the fold of records
	beat    beat
	runners []runner

	left    int  // faults that may still happen
	special bool // one has happened that makes a difference in this scene
	born    int  // runners so far
	away    bool // the store is, until the runner has ended
	refused int  // the thing whose writes are refused until the runner has ended; -1 for none
	excused bool // the runner may leave the rollout incomplete
	shift   int  // by how much the clock was put on, in seconds
	gone    *goneEndpoint
	over    bool
	broken  string // the promise that was broken
}

// scene is what does not change in an exploration.
type scene struct {
	plan     *strategy.Plan
	own      sceneKind
	epoch    time.Time
	snapshot endpoint.AutoscalingSnapshot
}

// sceneKind is what an exploration has several scenes for.
type sceneKind string

const (
	lockedScene   sceneKind = "with a lock"
	detachedScene sceneKind = "with a lock, detached when cancelled"
	unlockedScene sceneKind = "without a lock"
)

// entry is the newest record of a journal, and the rest of it.
type entry struct {
	journal.Record

	by   string
	rest *entry
}

type beat struct {
	owner string
	at    int
}

// runner is one process.
type runner struct {
	owner   string
	bit     uint16 // of its own
	machine *core.Machine
	op      core.Op
	stalled bool
	paused  bool // it has been stalled
	// performed is true if a stalled runner has carried out its operation and
	// not taken in the result.
	performed bool
	result    core.Result
	forward   bool
	cancelled bool
}

// time is what the clock shows at a time.
func (w *world) time(t int) time.Time {
	return w.epoch.Add(time.Duration(t+w.shift) * time.Second)
}

func (w *world) clone() *world {
	c := *w
	c.ep = w.ep.clone()
	if w.gone != nil {
		gone := *w.gone
		c.gone = &gone
	}
	c.runners = make([]runner, len(w.runners), 2)
	for i, r := range w.runners {
		r.machine = r.machine.Clone()
		c.runners[i] = r
	}
	return &c
}

// begin starts a runner: the first one plans, each other takes over.
func (w *world) begin(forward bool) {
	p := core.Policy{
		Owner: fmt.Sprintf("runner %d", w.born), Exclusive: w.own != unlockedScene, Resume: w.born > 0, Forward: forward, Detach: w.own == detachedScene,
		Settle: w.plan.Settle, StartTimeout: 70 * time.Second, Schedule: pace{}, ErrorInterval: time.Second, Checks: map[string]bool{},
	}
	for _, c := range w.plan.Checks {
		p.Checks[c.Name] = true
	}
	w.born++
	j, err := core.Fold(w.ep.name, w.load(), w.time(w.now)) // which clamps what a clock that was put back made
	if err != nil {
		w.breaks("the journal cannot be read: %v", err)
		j = w.store.Clone()
	}
	m := core.New(j, p, w.time(w.now))
	w.runners = append(w.runners, runner{owner: p.Owner, bit: 1 << (w.born & 15), machine: m, forward: forward})
	w.next(len(w.runners) - 1)
}

// next asks a runner for its operation.
func (w *world) next(i int) {
	r := &w.runners[i]
	r.op = r.machine.Next(w.time(w.now))
	r.machine.Events()
}

// pass lets time go by. The runners that are alive say so.
func (w *world) pass(to int) {
	if to <= w.now {
		return
	}
	w.now = to
	w.ep.pass(to)
	w.alive()
}

func (w *world) alive() {
	for i := range w.runners {
		if r := &w.runners[i]; !r.stalled && r.machine.Ledger().Owner == r.owner && w.store.Owner == r.owner {
			w.beat = beat{r.owner, w.now + w.shift}
		}
	}
}

// seconds is a time of the core's in the world's seconds.
func (w *world) seconds(t time.Time) int {
	return int((t.Sub(w.epoch)+time.Second-1)/time.Second) - w.shift
}

// actor is the runner that is next to act: one that is not asleep, else the
// one that wakes first; -1 if all are stalled.
func (w *world) actor() int {
	best, at := -1, 0
	for i := range w.runners {
		r := &w.runners[i]
		if r.stalled {
			continue
		}
		due := w.now
		if r.op.Kind == core.OpSleep {
			due = max(w.now, w.seconds(r.op.Until))
		}
		if best < 0 || due < at {
			best, at = i, due
		}
	}
	return best
}

// act carries out the operation of a runner as it should be carried out.
func (w *world) act(i int) {
	r := &w.runners[i]
	switch {
	case r.op.Kind == core.OpEnd:
		w.ended(i)
		return
	case r.op.Kind == core.OpSleep:
		w.pass(w.seconds(r.op.Until))
		w.next(i)
		return
	}
	w.observe(i, w.perform(i, false))
}

// observe hands a runner the result of its operation.
func (w *world) observe(i int, result core.Result) {
	r := &w.runners[i]
	r.machine.Observe(r.op, result, w.time(w.now))
	w.next(i)
}

// perform carries out an operation, and returns its result. A read may be stale.
func (w *world) perform(i int, stale bool) (result core.Result) {
	op := &w.runners[i].op
	switch op.Kind { //nolint:exhaustive // the others need nothing here
	case core.OpAppend, core.OpLoad, core.OpHeartbeat, core.OpNews:
		if w.away {
			return core.Result{Err: errAway}
		}
	default:
	}
	switch op.Kind { //nolint:exhaustive // the others need nothing here
	case core.OpAppend:
		result.Err = w.append(i)
	case core.OpLoad:
		result.Records = w.load()
	case core.OpNews:
		result.Records = w.load()[op.After:]
	case core.OpCheck:
		result.Verdict.Result = "pass"
	case core.OpHeartbeat:
		result.Err = endpoint.ErrNotFound
		if w.beat.owner != "" {
			result.Err, result.Heartbeat = nil, journal.Heartbeat{Rollout: w.plan.Rollout, Owner: w.beat.owner, Time: w.epoch.Add(time.Duration(w.beat.at) * time.Second)}
		}
	case core.OpPrepare:
		result.Plan = w.plan
	case core.OpWrite:
		thing, value := w.wanted(op.Write)
		if result.Err = w.write(i); result.Err == nil {
			w.ep.apply(thing, value, w.now, w.now+w.ep.settle)
		}
	default:
		result = w.read(op, stale, w.runners[i].bit)
	}
	return result
}

func (w *world) append(i int) error {
	r := &w.runners[i]
	if r.op.Record.Seq != w.store.Seq+1 {
		return fmt.Errorf("record %d after %d: %w", r.op.Record.Seq, w.store.Seq, journal.ErrConflict)
	}
	if r.op.Record.Kind == journal.KindClaim {
		w.checkClaim(r)
	}
	store := w.store.Clone()
	if err := store.Add(*r.op.Record); err != nil {
		w.breaks("the journal cannot be read: %v", err)
		return err
	}
	w.store, w.records = store, &entry{*r.op.Record, r.owner, w.records}
	if r.op.Record.Kind == journal.KindClaim && !r.stalled {
		w.beat = beat{r.owner, w.now + w.shift}
	}
	return nil
}

func (w *world) load() []journal.Record {
	records := make([]journal.Record, w.store.Seq)
	for e := w.records; e != nil; e = e.rest {
		records[e.Seq-1] = e.Record
	}
	return records
}

// wanted is what a write sets.
func (w *world) wanted(write *journal.Write) (thing, value int) {
	thing = w.ep.thing(write.Thing)
	switch {
	case write.Value != nil:
		return thing, *write.Value
	case write.Revision != nil:
		for i, r := range w.ep.revisions {
			if write.Revision.Same(r) {
				return thing, i
			}
		}
	case thing == thingDraft, thing == thingCanary:
		return thing, draftStaged
	case write.Suspend != nil && w.ep.cells[thingScaling].value == scalingForeign:
		return thing, scalingForeign // it is not what the snapshot was taken of
	case write.Suspend != nil:
		return thing, scalingSuspended
	}
	return thing, scalingBefore
}

// write holds a write that is about to be carried out to the promises, and
// returns the provider's answer.
func (w *world) write(i int) error {
	r := &w.runners[i]
	if w.expired(r) {
		return context.DeadlineExceeded
	}
	w.checkWrite(i)
	thing, value := w.wanted(r.op.Write)
	if w.gone != nil && !w.gone.again && !isDraft(thing) {
		return endpoint.ErrNotFound
	}
	if w.refused == thing {
		return endpoint.ErrInvalid
	}
	return w.ep.refuses(thing, value)
}

// expired reports whether the time of an operation is over: its call is not
// made any more.
func (w *world) expired(r *runner) bool { return !r.op.By.IsZero() && !w.time(w.now).Before(r.op.By) }

// breaks notes that a promise was broken, once.
func (w *world) breaks(format string, args ...any) {
	if w.broken == "" {
		w.broken = fmt.Sprintf(format, args...)
	}
}

// crash ends a runner without a word. Another one takes over after some time.
func (w *world) crash(i int, forward bool, after int) {
	w.runners = append(w.runners[:i:i], w.runners[i+1:]...)
	w.replace(forward, after)
}

// replace begins the next runner, if there is none and something is left to do.
func (w *world) replace(forward bool, after int) {
	w.away, w.refused, w.excused = false, -1, false
	if len(w.runners) > 0 {
		return
	}
	if w.store.Plan == nil {
		w.over = true
		return
	}
	w.pass(w.now + after)
	w.begin(forward)
}

// fingerprint appends all that the future of the world depends on.
func (w *world) fingerprint(b []byte) []byte {
	now := w.time(w.now)
	b = w.ep.fingerprint(b, w.now)
	b = w.store.AppendFingerprint(b, now)
	b = append(b, byte(w.left), byte(w.refused+1), byte(len(w.runners)), bits(w.away, w.excused, w.over, w.special && w.left > 0))
	b = binary.AppendVarint(b, int64(max(w.beat.at-w.now-w.shift, -200)))
	if w.gone != nil {
		b = append(b, 'g', bits(w.gone.again))
		b = binary.AppendUvarint(b, uint64(w.gone.seenBy))
	}
	b = append(b, w.beat.owner...)
	for i := range w.runners {
		r := &w.runners[i]
		b = append(b, r.owner...)
		b = append(b, byte(r.op.Kind), bits(r.stalled, r.paused, r.performed, r.forward, r.cancelled, r.result.Err != nil))
		if !r.op.By.IsZero() {
			b = binary.AppendVarint(b, int64(r.op.By.Sub(now)))
		}
		if r.performed {
			b = append(b, byte(r.result.Status.Phase))
			b = append(b, r.result.Status.Desired.ID...)
		}
		for e, n := w.records, w.store.Seq-r.machine.Ledger().Seq; n > 0 && e != nil; e, n = e.rest, n-1 {
			b = append(b, e.Kind...)
			b = append(b, e.by...)
		}
		b = r.machine.AppendFingerprint(b, now)
	}
	return b
}

func bits(flags ...bool) (b byte) {
	for i, set := range flags {
		if set {
			b |= 1 << i
		}
	}
	return b
}
