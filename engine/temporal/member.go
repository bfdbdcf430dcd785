package temporal

import (
	"context"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/changeover-dev/changeover/fleet"
)

// memberRequest is what the workflow of a fleet's member is begun with.
type memberRequest struct {
	Fleet FleetRequest `json:"fleet"`
	Move  fleet.Move   `json:"move"`
	// Back says that the member has to go back: the fleet was cancelled or breached.
	Back bool `json:"back,omitempty"`
}

// memberWorkflow moves one member of a fleet. It takes the signals and the queries
// that the workflow of a rollout takes.
func memberWorkflow(ctx workflow.Context, q memberRequest, earlier *state) (*fleet.MemberReport, error) {
	st := begun(ctx, earlier)
	st.Cancelled = st.Cancelled || q.Back
	a, err := loop(ctx, Request{Endpoint: q.Move.Endpoint, Label: q.Fleet.ID}, st, func(work workflow.Context) workflow.Future {
		return workflow.ExecuteActivity(work, advanceMemberActivityName, q, *st)
	})
	switch {
	case err != nil:
		return nil, err
	case a == nil:
		return nil, workflow.NewContinueAsNewError(ctx, memberWorkflowName, q, st)
	}
	return a.Member, nil
}

// advanceMember goes on with a member of a fleet until it has something to wait for.
func (w *Worker) advanceMember(ctx context.Context, q memberRequest, st state) (*advanced, error) {
	f, err := w.fleet(q.Fleet)
	if err != nil {
		return nil, temporal.NewNonRetryableApplicationError(err.Error(), errInvalidRequest, err)
	}
	defer alive(ctx)()
	var events lines
	move := q.Move
	if move.Cursor = nil; len(st.Cursor) > 0 {
		move.Cursor = st.Cursor
	}
	mover, err := fleet.NewMover(ctx, w.Store, f, move, fleet.WithOwner(st.Owner), fleet.WithObserver(func(e fleet.Event) { events.add(ctx, *e.Rollout) }))
	if err != nil {
		return nil, temporal.NewNonRetryableApplicationError(err.Error(), errInvalidRequest, err)
	}
	defer mover.Close()
	a := &advanced{}
	a.Next, err = drive(ctx, st.Cancelled, func(ctx context.Context) (next time.Time) {
		next, a.Member = mover.Advance(ctx)
		return next
	})
	if err != nil && a.Member == nil {
		return nil, err
	}
	a.Cursor, a.Events = mover.Move().Cursor, events.take()
	a.look(ctx, w.Store, q.Move.Endpoint, st.Seq)
	return a, nil
}
