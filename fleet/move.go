package fleet

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/journal"
)

// Move is a member that an engine moves. It is data, to be kept and handed on.
type Move struct {
	Endpoint string `json:"endpoint"`
	// Undo says that what the fleet did to the member is undone.
	Undo bool `json:"undo,omitempty"`
	// Finish says that only a rollout that the fleet has begun is gone on with.
	Finish bool `json:"finish,omitempty"`
	// Cut are rollouts of this fleet that do not count, since it was cancelled: the
	// member begins again.
	Cut []string `json:"cut,omitempty"`
	// Cursor is what a [Mover] has gathered since.
	Cursor []byte `json:"cursor,omitempty"`
}

// moveCursor is what a mover knows that is not in the member's journal.
type moveCursor struct {
	Rollout []byte    `json:"rollout,omitempty"`
	Busy    time.Time `json:"busy,omitzero"`
	Tried   bool      `json:"tried,omitempty"`
}

// Mover moves one member of a fleet for an engine. It is not safe for concurrent use,
// and at rest it is a value: no goroutine waits for it.
type Mover struct {
	v    mover
	m    *member
	move Move
}

// NewMover is a mover for a move that [Advance] asked for, in this process or in
// another one. The accounts of the fleet are not used: the pace of the calls is the
// engine's. Options are those of Advance, with the name of an owner that no other
// mover of the member has ([WithOwner]).
func NewMover(ctx context.Context, store journal.Store, f Fleet, move Move, opts ...Option) (*Mover, error) {
	if store == nil {
		return nil, invalid("the store is nil")
	}
	set, err := newSettings(opts)
	if err != nil {
		return nil, err
	}
	if _, err := f.plan(); err != nil {
		return nil, err
	}
	at := slices.IndexFunc(f.Members, func(m Member) bool { return m.Endpoint.Name() == move.Endpoint })
	if at < 0 {
		return nil, invalid("%s is no member", move.Endpoint)
	}
	var c moveCursor
	if len(move.Cursor) > 0 {
		if err := json.Unmarshal(move.Cursor, &c); err != nil {
			return nil, invalid("the cursor of %s cannot be read: %v", move.Endpoint, err)
		}
	}
	return &Mover{
		v: mover{
			f: f, set: set, store: store, base: context.WithoutCancel(ctx), observed: set.observe != nil,
			cut: map[string][]string{move.Endpoint: move.Cut},
		},
		m: &member{
			Member: f.Members[at], name: move.Endpoint, at: -1, undoing: move.Undo, finish: move.Finish,
			cursor: c.Rollout, busy: c.Busy, tried: c.Tried,
		},
		move: move,
	}, nil
}

// Advance goes on with the move by one call of [rollout.Rollout.Advance], and returns
// when to call it again, or what became of the member. When ctx is done the member
// goes back, unless the move undoes. A call that is made again, by another mover of
// the same move, looks before it writes.
func (mv *Mover) Advance(ctx context.Context) (next time.Time, ended *MemberReport) { //nolint:contextcheck // an undoing goes on
	if mv.m.undoing {
		ctx = mv.v.base
	}
	c := came{}
	if mv.m.r == nil {
		c = mv.v.openMember(ctx, mv.m)
	}
	if mv.m.r != nil {
		c = mv.v.advance(ctx, mv.m)
	}
	if mv.v.observed {
		for _, e := range mv.m.takeEvents() {
			mv.v.set.observe(Event{Time: e.Time, Kind: EventMember, Fleet: mv.v.f.ID, Endpoint: mv.m.name, Rollout: &e})
		}
	}
	if c.outcome == "" {
		return c.next, nil
	}
	return time.Time{}, &MemberReport{Endpoint: mv.m.name, Outcome: c.outcome, Reason: c.reason, Rollout: mv.m.rollout}
}

// Move is the move as it stands, for a mover that goes on with it, in this process or
// in another one, with the same owner.
func (mv *Mover) Move() Move {
	c := moveCursor{Rollout: mv.m.cursor, Busy: mv.m.busy, Tried: mv.m.tried}
	if mv.m.r != nil {
		c.Rollout = mv.m.r.Cursor()
	}
	move := mv.move
	move.Cursor, _ = json.Marshal(c) // it has no value that cannot be
	return move
}

// Close gives up what the mover holds: a lock, if the store has any. The move can be
// gone on with by another one.
func (mv *Mover) Close() { mv.m.close() }
