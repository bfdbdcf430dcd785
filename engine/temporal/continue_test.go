package temporal

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/rollout"
)

// A workflow whose history has grown long continues as a new one, which has to know
// what the one before was told in its last pause.
func TestContinueAsNew(t *testing.T) {
	for name, tt := range map[string]struct {
		happens   func(env *testsuite.TestWorkflowEnvironment)
		cancelled bool
		decided   int
	}{
		"nothing":   {func(*testsuite.TestWorkflowEnvironment) {}, false, 0},
		"cancelled": {func(env *testsuite.TestWorkflowEnvironment) { env.CancelWorkflow() }, true, 0},
		"decided": {func(env *testsuite.TestWorkflowEnvironment) {
			env.SignalWorkflow(SignalDecide, rollout.Decision{Verb: rollout.Approve, By: "dana"})
		}, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var suite testsuite.WorkflowTestSuite
			env := suite.NewTestWorkflowEnvironment()
			env.SetTestTimeout(time.Minute)
			env.RegisterWorkflowWithOptions(RolloutWorkflow, workflow.RegisterOptions{Name: RolloutWorkflowName})
			env.RegisterActivityWithOptions((&Worker{}).advance, activity.RegisterOptions{Name: advanceActivityName})
			env.RegisterActivityWithOptions((&Worker{}).decide, activity.RegisterOptions{Name: decideActivityName})
			activities, decided := 0, 0
			env.OnActivity(advanceActivityName, mock.Anything, mock.Anything, mock.Anything).Return(func(context.Context, Request, state) (*advanced, error) {
				activities++
				a := &advanced{Cursor: []byte("{}")}
				if activities == maxActivities {
					a.Next = env.Now().Add(time.Hour)
					env.RegisterDelayedCallback(func() { tt.happens(env) }, 30*time.Minute)
				}
				return a, nil
			})
			env.OnActivity(decideActivityName, mock.Anything, mock.Anything, mock.Anything).Return(func(context.Context, Request, rollout.Decision) (string, error) {
				decided++
				return "on record", nil
			})
			env.ExecuteWorkflow(RolloutWorkflowName, Request{Endpoint: "fab/one"}, (*state)(nil))
			var next *workflow.ContinueAsNewError
			if err := env.GetWorkflowError(); !errors.As(err, &next) {
				t.Fatalf("after %d activities: %v", activities, err)
			}
			var q Request
			var st state
			if err := converter.GetDefaultDataConverter().FromPayloads(next.Input, &q, &st); err != nil {
				t.Fatal(err)
			}
			if q.Endpoint != "fab/one" || st.Cancelled != tt.cancelled || string(st.Cursor) != "{}" || st.Owner == "" || decided != tt.decided {
				t.Errorf("handed on: %+v, %+v, after %d decisions", q, st, decided)
			}
		})
	}
}

// Members that wait for the next run of a fleet's workflow are begun before its first
// activity has ended. One that another workflow moves by then is waited for all the same.
func TestContinuedFleetWaits(t *testing.T) {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	env.RegisterWorkflowWithOptions(FleetWorkflow, workflow.RegisterOptions{Name: FleetWorkflowName})
	env.RegisterWorkflowWithOptions(memberWorkflow, workflow.RegisterOptions{Name: memberWorkflowName})
	env.RegisterActivityWithOptions((&Worker{}).advanceFleet, activity.RegisterOptions{Name: advanceFleetActivityName})
	env.OnWorkflow(memberWorkflowName, mock.Anything, mock.Anything, mock.Anything).After(5*time.Minute).
		Return(&fleet.MemberReport{Endpoint: "fab/one", Outcome: fleet.Succeeded}, nil)
	var moved []fleet.Outcome
	env.OnActivity(advanceFleetActivityName, mock.Anything, mock.Anything, mock.Anything).Return(func(_ context.Context, _ FleetRequest, st fleetState) (*fleetAdvanced, error) {
		a := &fleetAdvanced{SkipBusy: false, Patience: time.Hour, Step: fleet.Step{Cursor: []byte("{}"), Next: env.Now().Add(time.Minute)}}
		for _, m := range st.Moved {
			moved = append(moved, m.Outcome)
		}
		if len(moved) == 2 {
			a.Result = &FleetResult{Outcome: fleet.Succeeded}
		}
		return a, nil
	})
	earlier := &fleetState{Owner: "earlier", Cursor: []byte("{}"), Patience: time.Hour, Waiting: []fleet.Move{{Endpoint: "fab/one"}, {Endpoint: "fab/one"}}}
	env.ExecuteWorkflow(FleetWorkflowName, FleetRequest{Fleet: "nightly", ID: "night"}, earlier)
	if err := env.GetWorkflowError(); err != nil || !slices.Equal(moved, []fleet.Outcome{fleet.Succeeded, fleet.Succeeded}) {
		t.Errorf("%v: what the members came to: %v, want the second one to have waited for the first", err, moved)
	}
}
