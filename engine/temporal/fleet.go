package temporal

import (
	"errors"
	"fmt"
	"slices"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/rollout"
)

// FleetWorkflowID is the ID of the workflow of a fleet: the lock that keeps a second
// one from beginning.
func FleetWorkflowID(id string) string { return "changeover/" + fleet.JournalPrefix + id }

// FleetRequest is what the workflow of a fleet is begun with. It holds names only.
type FleetRequest struct {
	Fleet string `json:"fleet"` // a name of [Worker.Fleets]
	ID    string `json:"id"`    // see [fleet.Fleet]; a fleet that is gone on with has the same
	// Revision or Artifact says what to move the members to that have no target of
	// their own.
	Revision string `json:"revision,omitempty"`
	Artifact string `json:"artifact,omitempty"`
}

// defaultAtOnce is how many members of a wave are under way at once, if the wave sets
// no limit: each is a workflow.
const defaultAtOnce = 200

// fleet resolves the request's names.
func (w *Worker) fleet(q FleetRequest) (fleet.Fleet, error) {
	f, ok := w.Fleets[q.Fleet]
	if !ok {
		return f, fmt.Errorf("request: %w: this worker has no fleet %q", endpoint.ErrInvalid, q.Fleet)
	}
	f.ID, f.Accounts, f.Members, f.Waves = q.ID, nil, slices.Clone(f.Members), slices.Clone(f.Waves)
	for i := range f.Members {
		m := &f.Members[i]
		if m.Account = ""; m.Target != (rollout.Target{}) {
			continue
		}
		var err error
		if m.Target, err = target(q.Revision, q.Artifact); err != nil {
			return f, err
		}
	}
	if len(f.Waves) == 0 {
		f.Waves = []fleet.Wave{{Name: "all"}}
	}
	for i := range f.Waves {
		if f.Waves[i].AtOnce == 0 {
			f.Waves[i].AtOnce = defaultAtOnce
		}
	}
	return f, nil
}

// FleetProgress is how far the workflow of a fleet is.
type FleetProgress struct {
	Request    FleetRequest   `json:"request"`
	Members    fleet.Progress `json:"members"`
	Activities int            `json:"activities"` // of the fleet's own, in this run of the workflow
	Next       time.Time      `json:"next,omitzero"`
	Cancelled  bool           `json:"cancelled,omitempty"`
	// Events are the newest events of the fleet, without those of its members.
	Events []string `json:"events,omitempty"`
	// Decision says what came of the last decision.
	Decision string `json:"decision,omitempty"`
}

// FleetResult is what the workflow of a fleet ends with. A fleet that was rolled back
// or refused is a result, not an error of the workflow. [fleet.Inspect] has the members.
type FleetResult struct {
	Outcome fleet.Outcome `json:"outcome,omitempty"`
	// Refused says why the fleet did not begin.
	Refused string         `json:"refused,omitempty"`
	Breach  string         `json:"breach,omitempty"`
	Cause   string         `json:"cause,omitempty"`
	Members fleet.Progress `json:"members"`
	Reasons []fleet.Reason `json:"reasons,omitempty"`
}

// fleetState is what one run of the workflow hands to the next, and to activities.
type fleetState struct {
	Owner     string               `json:"owner"`
	Cursor    []byte               `json:"cursor,omitempty"`
	Cancelled bool                 `json:"cancelled,omitempty"`
	Moved     []fleet.MemberReport `json:"moved,omitempty"` // since the last activity
	Waiting   []fleet.Move         `json:"waiting,omitempty"`
	Back      bool                 `json:"back,omitempty"`
	// SkipBusy and Patience are the fleet's for members that others move.
	SkipBusy bool          `json:"skipBusy,omitempty"`
	Patience time.Duration `json:"patience,omitempty"`
}

// leastPause is how long nothing happens at least between two activities, also where
// the clocks of service and worker differ.
const leastPause = time.Second

const maxFleetActivities = 200 // in one run of the workflow; its history stays short

// FleetWorkflow moves many endpoints as the request says: each by a workflow of its
// own, a child, under the ID that a rollout of the endpoint would have. Begin it by
// the name [FleetWorkflowName] and the ID [FleetWorkflowID], without earlier.
func FleetWorkflow(ctx workflow.Context, q FleetRequest, earlier *fleetState) (*FleetResult, error) {
	st := earlier
	if st == nil {
		st = &fleetState{Owner: ownerOf(ctx)}
	}
	work, _ := workflow.NewDisconnectedContext(ctx) // a cancelled fleet has to be rolled back
	f := &fleetRun{q: q, fleetState: st, progress: FleetProgress{Request: q}}
	f.work = workflow.WithActivityOptions(work, activityOptions)
	if err := errors.Join(
		workflow.SetQueryHandler(ctx, QueryProgress, func() (FleetProgress, error) { return f.progress, nil }),
		workflow.SetQueryHandler(ctx, QueryInspect, func() (*fleet.State, error) { return f.state, nil }),
	); err != nil {
		return nil, err
	}
	f.begin(nil)
	for decisions := workflow.GetSignalChannel(ctx, SignalDecide); ; {
		f.Cancelled = f.Cancelled || ctx.Err() != nil
		f.progress.Cancelled = f.Cancelled
		result, err := f.advance()
		if result != nil || err != nil {
			return result, err
		}
		happens := func() bool { return len(f.Moved) > 0 || decisions.Len() > 0 || ctx.Err() != nil && !f.Cancelled }
		if _, err := workflow.AwaitWithTimeout(f.work, max(leastPause, f.progress.Next.Sub(workflow.Now(ctx))), happens); err != nil {
			return nil, err
		}
		f.decide(decisions)
		f.Cancelled = f.Cancelled || ctx.Err() != nil // the next run of the workflow is not told again
		if f.full() && f.moving == 0 && decisions.Len() == 0 {
			return nil, workflow.NewContinueAsNewError(ctx, FleetWorkflowName, q, st)
		}
	}
}

// fleetRun is one run of the workflow of a fleet.
type fleetRun struct {
	*fleetState

	q        FleetRequest
	work     workflow.Context
	progress FleetProgress
	state    *fleet.State
	moving   int      // moves under way
	back     []func() // has the moves under way that go forward go back
}

// full reports whether this run has to continue as a new one, once no child is under
// way: nothing more begins before.
func (f *fleetRun) full() bool { return f.progress.Activities >= maxFleetActivities || long(f.work) }

// advance goes on with the fleet by one activity, and begins the moves that it asks for.
func (f *fleetRun) advance() (*FleetResult, error) {
	var a fleetAdvanced
	given := len(f.Moved)
	if err := workflow.ExecuteActivity(f.work, advanceFleetActivityName, f.q, *f.fleetState).Get(f.work, &a); err != nil {
		return nil, err
	}
	f.progress.Activities++
	f.progress.Events = append(f.progress.Events, a.Events...)
	f.progress.Events = f.progress.Events[max(0, len(f.progress.Events)-keptEvents):]
	f.progress.Next = a.Step.Next
	if a.State != nil {
		f.state = a.State
	}
	if a.Busy { // nothing was done
		return nil, nil //nolint:nilnil // it is tried again
	}
	f.Cursor, f.Moved, f.progress.Members = a.Step.Cursor, f.Moved[given:], a.Step.Progress
	f.SkipBusy, f.Patience = a.SkipBusy, a.Patience
	if a.Result != nil {
		return a.Result, nil
	}
	if a.Step.Back && !f.Back {
		f.Back = true
		for _, back := range f.back {
			back()
		}
	}
	f.begin(a.Step.Move)
	return nil, nil //nolint:nilnil // it goes on
}

// begin begins moves, and those that have waited for a new run of the workflow.
func (f *fleetRun) begin(moves []fleet.Move) {
	f.Waiting = append(f.Waiting, moves...)
	if f.full() {
		return
	}
	for _, m := range f.Waiting {
		f.moving++
		workflow.Go(f.work, func(ctx workflow.Context) {
			ended := f.move(ctx, m)
			f.Moved = append(f.Moved, ended)
			f.moving--
		})
	}
	f.Waiting = nil
}

// move moves a member by a workflow of its own. Another workflow of the endpoint is
// waited for, as the fleet says.
func (f *fleetRun) move(ctx workflow.Context, m fleet.Move) fleet.MemberReport {
	ctx, cancel := workflow.WithCancel(ctx)
	if !m.Undo && !f.Back {
		f.back = append(f.back, cancel)
	}
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: WorkflowID(m.Endpoint), WaitForCancellation: true, // to know how it ended
		ParentClosePolicy: enums.PARENT_CLOSE_POLICY_ABANDON, // the endpoint is brought to its end
	})
	q := memberRequest{Fleet: f.q, Move: m, Back: f.Back && !m.Undo}
	for since := workflow.Now(ctx); ; {
		var ended fleet.MemberReport
		err := workflow.ExecuteChildWorkflow(ctx, memberWorkflowName, q, (*state)(nil)).Get(ctx, &ended)
		switch {
		case err == nil:
			return ended
		case temporal.IsCanceledError(err): // before it began
			return fleet.MemberReport{Endpoint: m.Endpoint, Outcome: fleet.Pending}
		case !alreadyStarted(err):
			return fleet.MemberReport{Endpoint: m.Endpoint, Outcome: fleet.Incomplete, Reason: "its workflow ended: " + err.Error()}
		case f.SkipBusy && !m.Undo:
			return fleet.MemberReport{Endpoint: m.Endpoint, Outcome: fleet.Skipped, Reason: "another workflow moves it"}
		case workflow.Now(ctx).Sub(since) >= f.Patience:
			outcome := fleet.Refused
			if m.Undo {
				outcome = fleet.Incomplete
			}
			return fleet.MemberReport{Endpoint: m.Endpoint, Outcome: outcome, Reason: "another workflow moves it"}
		}
		if workflow.Sleep(ctx, busyInterval) != nil {
			return fleet.MemberReport{Endpoint: m.Endpoint, Outcome: fleet.Pending}
		}
	}
}

// alreadyStarted reports whether a child did not begin because another workflow has its
// ID, as the service says it or the SDK's test suite.
func alreadyStarted(err error) bool {
	return errors.As(err, new(*temporal.ChildWorkflowExecutionAlreadyStartedError)) || errors.As(err, new(*serviceerror.WorkflowExecutionAlreadyStarted))
}

// decide puts the decisions that have arrived on record.
func (f *fleetRun) decide(decisions workflow.ReceiveChannel) {
	for decisions.Len() > 0 {
		var d rollout.Decision
		decisions.Receive(f.work, &d)
		var said string
		if err := workflow.ExecuteActivity(f.work, decideFleetActivityName, f.q, d).Get(f.work, &said); err != nil {
			said = err.Error()
		}
		f.progress.Decision = said
	}
}
