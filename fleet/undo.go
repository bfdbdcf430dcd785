package fleet

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// undoNext begins to undo what is next, newest first. The members of a wave are
// undone before those of the waves before it, as many at once as were moved.
func (r *runner) undoNext(now time.Time) {
	if r.undo == nil {
		r.undo = r.toUndo()
	}
	for len(r.undo) > 0 && !r.cancelled {
		m := r.undo[0]
		if w := m.wave; r.active > w.active || w.AtOnce > 0 && w.active >= w.AtOnce {
			return
		}
		r.undo = r.undo[1:]
		m.undoing = true
		delete(r.remains, m) // it is tried again
		r.begin(m, now)
	}
	r.over = r.active == 0
}

// toUndo are the members that this fleet has moved, or may have moved, and that this
// runner has not tried to undo: the newest first. Of those that are not on record as
// ended their journals tell. A wave that was not reached has begun none.
func (r *runner) toUndo() []*member {
	known, order := map[string]*member{}, map[*wave]int{}
	list := []*member{}
	for i, w := range r.reached() {
		order[w] = i
		for _, m := range w.members {
			if _, remains := r.remains[m]; m.state != active && !(remains && m.undoing) {
				known[m.name] = m
			}
		}
	}
	for _, w := range slices.Backward(r.reached()) {
		for _, m := range slices.Backward(w.members) {
			if _, onRecord := r.ledger.ended[m.name]; known[m.name] != nil && !onRecord && !r.ledger.untouched[m.name] {
				list = append(list, m)
			}
		}
	}
	for _, name := range slices.Backward(r.ledger.order) {
		if m := known[name]; m != nil && Outcome(r.ledger.ended[name].Outcome) == Succeeded {
			list = append(list, m)
		}
	}
	slices.SortStableFunc(list, func(a, b *member) int { return order[b.wave] - order[a.wave] })
	return list
}

// reached are the waves that may have begun: the first one that has not passed, and
// those before it.
func (r *runner) reached() []*wave {
	for i, w := range r.waves {
		if !r.ledger.passed[w.Name] {
			return r.waves[:i+1]
		}
	}
	return r.waves
}

// undoPatience is for how long an endpoint is asked what it serves, before it is undone.
const undoPatience = 10 * time.Minute

// openUndo begins to undo what the fleet did to a member, or goes on with it.
func (v *mover) openUndo(ctx context.Context, m *member, p past) came {
	label := v.f.ID + undoSuffix
	if p.done == nil {
		return came{outcome: Pending} // nothing was done
	}
	attach := func(more ...rollout.Option) func([]rollout.Option) (*rollout.Rollout, error) {
		return func(opts []rollout.Option) (*rollout.Rollout, error) {
			return rollout.Attach(ctx, v.store, m.Endpoint, append(opts, more...)...)
		}
	}
	switch m.undo = p.plan.Label == label; {
	case m.undo && !p.ended:
		return v.open1(m, attach(rollout.WithForward()), label)
	case m.undo && p.outcome == rollout.OutcomeSucceeded:
		return came{outcome: Undone}
	case m.undo && m.tried:
		return came{outcome: Incomplete, reason: "it could not be moved back: " + p.reason}
	case !m.undo && p.plan.Label != v.f.ID:
		return came{outcome: NotUndone, reason: "another rollout was begun since: to " + p.plan.Target.String()}
	case !m.undo && !p.ended:
		return v.open1(m, attach(), v.f.ID)
	case !m.undo && p.outcome != rollout.OutcomeSucceeded:
		m.rollout = p.plan.Rollout
		return came{outcome: memberOutcome(p.outcome), reason: p.reason}
	}
	status, err := m.Endpoint.Status(ctx)
	switch {
	case err != nil && (m.busy.IsZero() || time.Since(m.busy) < undoPatience):
		return v.waitForMember(m, err.Error())
	case err != nil:
		return came{outcome: Incomplete, reason: err.Error()}
	case !status.Desired.Same(p.done.Target) && !status.Desired.Same(p.done.Source):
		return came{outcome: NotUndone, reason: "it serves another revision by now: " + status.Desired.String()}
	}
	m.undo, m.tried, m.busy = true, true, time.Time{}
	s, target := backTo(m.Strategy, p.done)
	return v.open1(m, func(opts []rollout.Option) (*rollout.Rollout, error) {
		return rollout.Begin(ctx, v.store, m.Endpoint, s, target, opts...)
	}, label)
}

// backTo is the rollout that undoes one that has succeeded. A strategy that stages
// goes to the source's artifact; so does one whose target was made in the place
// of the source. Everything else goes to the source itself.
func backTo(s strategy.Strategy, done *strategy.Plan) (strategy.Strategy, rollout.Target) {
	_, stages := s.(interface {
		Base(live endpoint.Revision) (endpoint.Revision, error)
	})
	inPlace := done.Draft != nil && done.Draft.Base.ID == done.Draft.Revision.ID
	if done.Source.Artifact != "" && (stages || inPlace || done.Draft != nil && done.Source.ID == "") {
		return s, rollout.ToArtifact(done.Source.Artifact)
	}
	return s, rollout.ToRevision(done.Source.ID)
}

// undone takes in how a rollout ended while the fleet is being rolled back.
func (v *mover) undone(m *member, c came) came {
	switch {
	case !m.undo && c.outcome == Succeeded: // past its commit point; now it is undone
		m.close()
		return came{next: time.Now()}
	case !m.undo:
		return c
	case c.outcome == Succeeded, c.outcome == NoOp:
		return came{outcome: Undone}
	}
	return came{outcome: Incomplete, reason: fmt.Sprintf("it could not be moved back: %s: %s", c.outcome, c.reason)}
}
