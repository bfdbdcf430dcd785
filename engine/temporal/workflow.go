package temporal

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/changeover-dev/changeover/rollout"
)

const (
	// SignalDecide is the signal that carries a [rollout.Decision].
	SignalDecide = "decide"
	// QueryProgress is the query that answers with a [Progress], or a [FleetProgress].
	QueryProgress = "progress"
	// QueryInspect is the query that answers with a [rollout.State], as
	// [rollout.Inspect] does but without the plan, or with a [fleet.State] whose waves
	// have no members: they may be large, or hold what a history must not.
	QueryInspect = "inspect"
	// QueryTimeline is the query that answers with the records of the rollout's
	// journal, one line each, with its time; a fleet has none.
	QueryTimeline = "timeline"
)

// Progress is how far a workflow is.
type Progress struct {
	Request    Request   `json:"request"`
	Activities int       `json:"activities"` // that have ended, in this run of the workflow
	Next       time.Time `json:"next,omitzero"`
	Cancelled  bool      `json:"cancelled,omitempty"`
	// Events are the newest events of the rollout, one line each.
	Events []string `json:"events,omitempty"`
	// Decision says what came of the last decision.
	Decision string `json:"decision,omitempty"`
}

// Result is what a workflow ends with. A rollout that was rolled back or refused
// is a result, not an error of the workflow.
type Result struct {
	Outcome rollout.Outcome `json:"outcome,omitempty"`
	// Refused says why the rollout did not begin.
	Refused string              `json:"refused,omitempty"`
	Cause   string              `json:"cause,omitempty"`
	Residue []rollout.Remainder `json:"residue,omitempty"`
	Rollout string              `json:"rollout,omitempty"`
}

const (
	keptEvents    = 20
	maxActivities = 500 // in one run of the workflow; its history stays short
)

// state is what one run of the workflow hands to the next, and to activities.
type state struct {
	Cancelled bool   `json:"cancelled,omitempty"`
	Owner     string `json:"owner"`
	Begun     bool   `json:"begun,omitempty"` // the journal has the rollout
	Cursor    []byte `json:"cursor,omitempty"`
	Seq       int    `json:"seq,omitempty"` // of the last record that the timeline has
}

// RolloutWorkflow moves an endpoint as the request says. Begin it by the name
// [RolloutWorkflowName] and the ID [WorkflowID], without earlier.
func RolloutWorkflow(ctx workflow.Context, q Request, earlier *state) (*Result, error) {
	st := begun(ctx, earlier)
	a, err := loop(ctx, q, st, func(work workflow.Context) workflow.Future {
		return workflow.ExecuteActivity(work, advanceActivityName, q, *st)
	})
	switch {
	case err != nil:
		return nil, err
	case a == nil:
		return nil, workflow.NewContinueAsNewError(ctx, RolloutWorkflowName, q, st)
	}
	return a.Result, nil
}

// begun is the state of a workflow that continues an earlier one, or of a new one.
func begun(ctx workflow.Context, earlier *state) *state {
	if earlier == nil {
		return &state{Owner: ownerOf(ctx)}
	}
	earlier.Seq = 0 // the timeline is read again
	return earlier
}

func ownerOf(ctx workflow.Context) string {
	return "temporal workflow " + workflow.GetInfo(ctx).WorkflowExecution.RunID
}

// loop moves one endpoint by one activity after the other, with pauses, and returns
// what the last one came to, or nil if the workflow has to continue as new.
func loop(ctx workflow.Context, q Request, st *state, advance func(workflow.Context) workflow.Future) (*advanced, error) {
	progress := Progress{Request: q, Cancelled: st.Cancelled}
	var known seen
	if err := errors.Join(
		workflow.SetQueryHandler(ctx, QueryProgress, func() (Progress, error) { return progress, nil }),
		workflow.SetQueryHandler(ctx, QueryInspect, func() (*rollout.State, error) { return known.State, nil }),
		workflow.SetQueryHandler(ctx, QueryTimeline, func() ([]string, error) { return known.Lines, nil }),
	); err != nil {
		return nil, err
	}
	work, _ := workflow.NewDisconnectedContext(ctx) // a cancelled rollout has to be rolled back
	work = workflow.WithActivityOptions(work, activityOptions)
	decisions := workflow.GetSignalChannel(ctx, SignalDecide)
	for {
		st.Cancelled = st.Cancelled || ctx.Err() != nil
		progress.Cancelled = st.Cancelled
		var a advanced
		if err := advance(work).Get(work, &a); err != nil {
			return nil, err
		}
		known.add(&a.seen)
		st.Cursor, st.Seq = a.Cursor, known.Seq
		st.Begun = st.Begun || known.State != nil && known.State.Owner == st.Owner
		progress.Activities++
		progress.Next = a.Next
		progress.Events = append(progress.Events, a.Events...)
		progress.Events = progress.Events[max(0, len(progress.Events)-keptEvents):]
		if a.Result != nil || a.Member != nil {
			return &a, nil
		}
		decided := pause(ctx, work, q, st, decisions, &progress)
		st.Cancelled = st.Cancelled || ctx.Err() != nil // the next run of the workflow is not told again
		if !decided && (progress.Activities >= maxActivities || long(ctx)) && decisions.Len() == 0 {
			return nil, nil
		}
	}
}

// long reports whether the server says that the history has grown long.
func long(ctx workflow.Context) bool { return workflow.GetInfo(ctx).GetContinueAsNewSuggested() }

// activityOptions: an activity is short, and is retried for ever, since it polls
// before it writes.
var activityOptions = workflow.ActivityOptions{
	StartToCloseTimeout: 10 * time.Minute,
	HeartbeatTimeout:    time.Minute,
	RetryPolicy: &temporal.RetryPolicy{
		InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute,
		NonRetryableErrorTypes: []string{errInvalidRequest},
	},
}

// pause waits until the next activity is due, the workflow is cancelled, or a
// decision arrives, and reports whether it was a decision.
func pause(ctx, work workflow.Context, q Request, st *state, decisions workflow.ReceiveChannel, p *Progress) (decided bool) {
	timerCtx, stop := workflow.WithCancel(work)
	defer stop()
	var decision *rollout.Decision
	s := workflow.NewSelector(ctx)
	if d := p.Next.Sub(workflow.Now(ctx)); d > 0 {
		s.AddFuture(workflow.NewTimer(timerCtx, d), func(workflow.Future) {})
	} else {
		s.AddDefault(func() {})
	}
	if !st.Cancelled {
		s.AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {})
	}
	s.AddReceive(decisions, func(c workflow.ReceiveChannel, _ bool) {
		decision = &rollout.Decision{}
		c.Receive(ctx, decision)
	})
	s.Select(ctx)
	if decision == nil {
		return false
	}
	var said string
	if err := workflow.ExecuteActivity(work, decideActivityName, q, *decision).Get(work, &said); err != nil {
		said = err.Error()
	}
	p.Decision = said
	return true
}
