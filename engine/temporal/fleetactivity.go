package temporal

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// fleetAdvanced is what an activity for a fleet hands back.
type fleetAdvanced struct {
	Step   fleet.Step   `json:"step"`
	Result *FleetResult `json:"result,omitempty"`
	// Busy says that another runner has the fleet, and nothing was done.
	Busy   bool         `json:"busy,omitempty"`
	Events []string     `json:"events,omitempty"`
	State  *fleet.State `json:"state,omitempty"`
	// SkipBusy and Patience are the fleet's for members that others move.
	SkipBusy bool          `json:"skipBusy,omitempty"`
	Patience time.Duration `json:"patience,omitempty"`
}

const defaultPatience = time.Hour // as fleet.Fleet.BusyTimeout

// advanceFleet goes on with a fleet by one step.
func (w *Worker) advanceFleet(ctx context.Context, q FleetRequest, st fleetState) (*fleetAdvanced, error) {
	f, err := w.fleet(q)
	if err != nil {
		return nil, temporal.NewNonRetryableApplicationError(err.Error(), errInvalidRequest, err)
	}
	defer alive(ctx)()
	a := &fleetAdvanced{SkipBusy: f.OnBusy == fleet.BusySkip, Patience: f.BusyTimeout}
	if a.Patience == 0 {
		a.Patience = defaultPatience
	}
	inner, cancel := inContext(ctx, st.Cancelled)
	defer cancel()
	step, err := fleet.Advance(inner, w.Store, f, st.Moved, fleet.WithOwner(st.Owner), fleet.WithCursor(st.Cursor),
		fleet.WithObserver(func(e fleet.Event) { a.Events = append(a.Events, e.String()) }))
	a.Events = a.Events[max(0, len(a.Events)-keptEvents):]
	switch {
	case step != nil && step.Report != nil:
		a.Result = resultOf(step.Report, err)
		a.Result.Members = step.Progress
	case step != nil:
		a.Step = *step
	case errors.Is(err, endpoint.ErrBusy):
		a.Busy, a.Step.Next = true, time.Now().Add(busyInterval)
	case len(st.Cursor) > 0, endpoint.Transient(err): // of the store: it is asked again
		return nil, err
	default:
		a.Result = &FleetResult{Refused: err.Error()}
	}
	a.look(ctx, w.Store, q.ID)
	return a, nil
}

// look reads where the fleet stands, for the workflow's queries.
func (a *fleetAdvanced) look(ctx context.Context, store journal.Store, id string) {
	state, err := fleet.Inspect(ctx, store, id)
	if err != nil {
		return // it is told by the next activity
	}
	for i := range state.Waves {
		state.Waves[i].Members = nil // in a large fleet too many for a history
	}
	a.State = state
}

func resultOf(report *fleet.Report, err error) *FleetResult {
	r := &FleetResult{Outcome: report.Outcome, Breach: report.Breach, Reasons: report.Reasons}
	if err != nil {
		r.Cause = err.Error()
	}
	return r
}

// decideFleet puts a decision about a fleet on record, and says what came of it.
func (w *Worker) decideFleet(ctx context.Context, q FleetRequest, d rollout.Decision) (string, error) {
	return said(fleet.Decide(ctx, w.Store, q.ID, d), d)
}
