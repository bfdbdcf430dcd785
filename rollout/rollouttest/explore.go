package rollouttest

import (
	"fmt"
	"hash/maphash"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// Exploration is a strategy whose every reachable state [Explore] walks.
type Exploration struct {
	Strategy strategy.Strategy
	// Target is where the rollout goes. The endpoint serves the revision "a",
	// and there is a revision "b", which is the default. An artifact is staged.
	Target rollout.Target
	// Scaled gives the endpoint instances that the provider scales, and releases
	// that the provider rolls back by itself, instead of worker bounds.
	Scaled bool
	// Split gives the endpoint instances whose traffic can be split between two
	// revisions ([endpoint.Shifter]), instead of worker bounds.
	Split bool
	// Faults is how many faults may happen on one path; 2 if it is zero. It is
	// what makes the exploration end.
	Faults int
	// Options are those that the plan is made with, such as [rollout.WithBake].
	Options []rollout.Option
}

// Explored says how much was walked.
type Explored struct {
	States, Transitions int
	Elapsed             time.Duration
}

func (e Explored) String() string {
	return fmt.Sprintf("%d states, %d transitions, %v", e.States, e.Transitions, e.Elapsed.Round(time.Millisecond))
}

// Explore walks every state that a rollout can reach: it lets the engine's own
// state machine drive an abstract endpoint and an abstract journal, and lets
// each fault happen at each operation, in every combination of up to
// [Exploration.Faults] of them. Nothing is sampled. States that differ only in what
// no later decision depends on are one.
//
// The faults are: a crash, before the operation, after it, or with a write under
// way, and a resume at once or later, by each policy; an answer that is lost, or
// lost while the write takes effect now or later; a refusal, once or each time;
// throttling; a call that hangs; an accepted write that is forgotten or takes
// effect late; a read that is stale, fails or is refused; an outage of the
// store; a cancel, and a hard stop; a third party's change of each thing that
// the rollout writes; the provider's own rollback, and a target that never comes
// up, is unhealthy or loses its capacity; a value that the provider limits; code
// of the provider that panics; a check that fails or cannot tell; a person's
// decision; an endpoint that is deleted, or made again under its name; a clock that
// is put back or on by an hour while no runner lives; and, where the store has no
// lock, a second runner, beside one that lives, or that stalls and goes on at any time.
//
// In every state the guarantees hold: an intent is in the journal before its
// write, and no write is repeated before its fate is known (G4); nothing is
// written after a cancel but what rolls back (G3), nor what is not planned (G7),
// nor over a third party's value that was seen (G5); and every end is what it
// says (G1, G2, G6). From every state an end is reached without another fault.
// A state for which that does not hold fails t, with the path that leads there.
func Explore(t testing.TB, e Exploration) Explored {
	t.Helper()
	began := time.Now()
	var total Explored
	var mu sync.Mutex
	var wg sync.WaitGroup
	turn := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, s := range scenes(t, e) {
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			x := newExplorer(s)
			x.run()
			mu.Lock()
			defer mu.Unlock()
			total.States += len(x.states)
			total.Transitions += x.transitions
			for _, broken := range x.broken {
				t.Errorf("%s, %s: %s", e.Strategy, s.own, broken)
			}
		})
	}
	wg.Wait()
	total.Elapsed = time.Since(began)
	return total
}

// pace polls rarely while nothing is there, and again soon once something is.
// What has to be over in the settle time is polled that often in any case.
type pace struct{}

func (pace) Next(p waiter.Progress) time.Duration {
	if p.Held > 0 {
		return time.Second
	}
	return 20 * time.Second
}

// explorer walks the states of one scene.
type explorer struct {
	root        *world
	seeds       [2]maphash.Seed
	ids         map[[2]uint64]int32
	states      []state
	stack       []unexplored
	transitions int
	broken      []string
	buf         []byte
	list        []choice
}

// state is a state that was reached.
type state struct {
	parent int32  // from which it was reached first
	next   int32  // that follows if all goes as it should; -1 if it is not known yet
	via    choice // by which
	end    bool
}

type unexplored struct {
	w  *world
	id int32
}

func newExplorer(root *world) *explorer {
	return &explorer{root: root, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, ids: map[[2]uint64]int32{}}
}

// maxBroken is how many broken promises an exploration tells of.
const maxBroken = 3

func (x *explorer) run() {
	w := x.root.clone()
	id, _ := x.reach(w, -1, choice{})
	x.stack = append(x.stack, unexplored{w, id})
	for len(x.stack) > 0 && len(x.broken) < maxBroken {
		u := x.stack[len(x.stack)-1]
		x.stack = x.stack[:len(x.stack)-1]
		x.walk(u.w, u.id)
	}
	x.reachEnds()
}

// walk follows the path on which all goes as it should, and leaves each other
// choice on it for later.
func (x *explorer) walk(w *world, id int32) {
	for !w.over && w.broken == "" {
		i := w.actor()
		x.list = w.choices(i, x.list)
		for _, c := range x.list {
			other := w.clone()
			other.take(i, c)
			x.transitions++
			if oid, fresh := x.reach(other, id, c); fresh {
				x.stack = append(x.stack, unexplored{other, oid})
			}
		}
		w.take(i, choice{})
		x.transitions++
		next, fresh := x.reach(w, id, choice{})
		if x.states[id].next = next; !fresh {
			return
		}
		id = next
	}
}

// reach gives a state its number, and reports whether it is new.
func (x *explorer) reach(w *world, parent int32, via choice) (id int32, fresh bool) {
	x.buf = w.fingerprint(x.buf[:0])
	key := [2]uint64{maphash.Bytes(x.seeds[0], x.buf), maphash.Bytes(x.seeds[1], x.buf)}
	if id, ok := x.ids[key]; ok {
		return id, false
	}
	id = int32(len(x.states))
	x.ids[key] = id
	x.states = append(x.states, state{parent: parent, next: -1, via: via, end: w.over})
	if w.broken != "" {
		x.states[id].end = true
		x.tell(id, w.broken)
	}
	return id, true
}

// reachEnds follows every state to an end.
func (x *explorer) reachEnds() {
	if len(x.broken) > 0 {
		return
	}
	const onPath, ends = 1, 2
	mark := make([]byte, len(x.states))
	var path []int32
	for start := range x.states {
		path = path[:0]
		at := int32(start)
		for mark[at] == 0 && !x.states[at].end {
			mark[at] = onPath
			path = append(path, at)
			if at = x.states[at].next; at < 0 {
				x.tell(path[len(path)-1], "nothing follows")
				return
			}
		}
		if mark[at] == onPath {
			x.tell(at, "it is reached again and again, and no end is")
			return
		}
		for _, id := range path {
			mark[id] = ends
		}
		mark[at] = ends
	}
}

// tell notes what is wrong with a state, and how it is reached.
func (x *explorer) tell(id int32, what string) {
	if len(x.broken) >= maxBroken {
		return
	}
	var path []choice
	for at := id; x.states[at].parent >= 0; at = x.states[at].parent {
		path = append(path, x.states[at].via)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", what)
	w := x.root.clone()
	for n := len(path) - 1; n >= 0 && !w.over; n-- {
		i := w.actor()
		if fmt.Fprintf(&b, "%4ds  ", w.now); i < 0 {
			b.WriteString("all are stalled")
		} else {
			fmt.Fprintf(&b, "%s: %s", w.runners[i].owner, describe(&w.runners[i].op))
		}
		if c := path[n]; c.kind != asItShould {
			fmt.Fprintf(&b, "   ← %v", c)
		}
		b.WriteByte('\n')
		w.take(i, path[n])
	}
	x.broken = append(x.broken, b.String())
}

// describe says what an operation is.
func describe(op *core.Op) string {
	switch op.Kind { //nolint:exhaustive // the others need nothing here
	case core.OpAppend:
		r := op.Record
		text := fmt.Sprintf("append %s %s", r.Kind, r.Step)
		if r.Write != nil {
			text += " " + r.Write.String()
		}
		return text + " " + r.Error + r.Outcome
	case core.OpWrite:
		return "write " + op.Write.String()
	case core.OpSleep:
		return "sleep"
	case core.OpEnd:
		return "end"
	default:
		return fmt.Sprintf("read %d", op.Kind)
	}
}
