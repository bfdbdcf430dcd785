package fleet

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/journal"
)

// Step is what an engine has to do next for a fleet.
type Step struct {
	// Move are members to be moved from now on, each by a [Mover], at the same time.
	Move []Move `json:"move,omitempty"`
	// Back says that the moves under way have to go back, but those that undo: the
	// context of their movers has to be done.
	Back bool `json:"back,omitempty"`
	// Next is when to call [Advance] again, if no move has ended before.
	Next time.Time `json:"next,omitzero"`
	// Cursor is what the next call needs; see [WithCursor].
	Cursor   []byte   `json:"cursor,omitempty"`
	Progress Progress `json:"progress"`
	// Report is not nil if the fleet has ended, or this engine has to leave it.
	Report *Report `json:"report,omitempty"`
}

// engineInterval is how often an engine looks for decisions and says that it is alive.
const engineInterval = time.Minute

// Advance goes on with a fleet for an engine that moves the members, and waits, by
// means of its own, as a durable workflow does: where [Run] is a call that goes on
// until the fleet has ended, Advance returns at once with what to do next. The first
// call begins the fleet, or takes it over, as Run does. Calls must not overlap.
//
// Moved says which moves have ended since the call before, as their movers reported
// it; a call that is repeated, because its answer was lost, takes the same. When ctx
// is done the fleet is cancelled, as that of Run is: the members under way go back,
// and the calls go on, with a context that is done, until there is a report.
//
// Checks are asked within the call. No call of the provider is made. Between two calls
// no lock is held: by a store that has locks, another runner can take the fleet over
// at once, which the next call then says ([ErrTakenOver]).
//
// The error is nil, or with a report that of Run, or says why there is no step: the
// fleet was refused, or, once it has begun, the store cannot be reached, or a call
// that was given up is still under way. Then the call is made again.
func Advance(ctx context.Context, store journal.Store, f Fleet, moved []MemberReport, opts ...Option) (*Step, error) {
	r, err := newRunner(ctx, store, f, opts)
	if err != nil {
		return nil, err
	}
	r.notify, r.engine = nil, true
	for i := range moved {
		if err := r.names(&moved[i]); err != nil {
			return nil, err
		}
	}
	var c cursor
	if err := c.read(r.set.cursor); err != nil {
		return nil, err
	}
	release, err := r.lock()
	if err != nil {
		return nil, err
	}
	defer r.leave(release)      //nolint:contextcheck // it has to happen whatever becomes of the context
	s, err := r.once(&c, moved) //nolint:contextcheck // it has to happen whatever becomes of the context
	if r.died {
		runtime.Goexit() // as a check did
	}
	return s, err
}

// once goes on from a cursor by one step.
func (r *runner) once(c *cursor, moved []MemberReport) (*Step, error) {
	if err := r.open(); err != nil {
		return nil, err
	}
	if r.ledger.last != nil && r.lost == nil { // also by a call whose answer was lost
		report, err := r.finish(*r.ledger.last)
		return &Step{Progress: r.progress(), Report: report}, err
	}
	c.restore(r)
	r.heartbeat()
	for i := range moved {
		r.took(&moved[i])
	}
	for r.decide(time.Now()); r.calls > 0 && !r.died; r.decide(time.Now()) { // the checks
		r.apply(<-r.results)
	}
	if r.lost != nil && !errors.Is(r.lost, ErrTakenOver) {
		return nil, fmt.Errorf("fleet %s: %w", r.f.ID, r.lost)
	}
	if r.over || r.lost != nil {
		report, err := r.end()
		if r.lost != nil && !errors.Is(r.lost, ErrTakenOver) { // the end is not on record
			return nil, fmt.Errorf("fleet %s: %w", r.f.ID, r.lost)
		}
		return &Step{Progress: r.progress(), Report: report}, err
	}
	return r.next()
}

// names refuses a report of what is no member, or of no outcome.
func (r *runner) names(moved *MemberReport) error {
	known := slices.ContainsFunc(r.f.Members, func(m Member) bool { return m.Endpoint.Name() == moved.Endpoint })
	if !known || moved.Outcome == "" {
		return invalid("moved: %q is no member, or has no outcome", moved.Endpoint)
	}
	return nil
}

// took takes in how a move has ended.
func (r *runner) took(moved *MemberReport) {
	for _, w := range r.waves {
		for _, m := range w.members {
			if m.name == moved.Endpoint && m.state == active {
				m.rollout = moved.Rollout
				r.memberEnded(m, came{outcome: moved.Outcome, reason: moved.Reason})
			}
		}
	}
}

// next is the step that the decisions have come to.
func (r *runner) next() (*Step, error) {
	s := &Step{Back: r.forward.Err() != nil, Next: time.Now().Add(engineInterval).Round(0), Progress: r.progress()}
	if r.gate != nil && !r.gate.due.IsZero() && r.gate.due.Before(s.Next) {
		s.Next = r.gate.due
	}
	for _, w := range r.waves {
		for _, m := range w.members {
			if m.at >= 0 { // in the queue: this call has begun it
				s.Move = append(s.Move, Move{Endpoint: m.name, Undo: m.undoing, Finish: m.finish, Cut: r.cut[m.name]})
			}
		}
	}
	var err error
	s.Cursor, err = newCursor(r).text()
	return s, err
}
