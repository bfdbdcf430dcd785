package temporal

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// The names under which workflow and activities are registered. They are in the
// histories of workflows that are under way, and do not change.
const (
	RolloutWorkflowName       = "changeover.Rollout"
	FleetWorkflowName         = "changeover.Fleet"
	memberWorkflowName        = "changeover.Member"
	advanceActivityName       = "changeover.Advance"
	decideActivityName        = "changeover.Decide"
	advanceFleetActivityName  = "changeover.AdvanceFleet"
	advanceMemberActivityName = "changeover.AdvanceMember"
	decideFleetActivityName   = "changeover.DecideFleet"
)

// Worker is what a worker process has: what the workflows' requests name. Every
// worker of a task queue needs the same names, and the same store: another store has a
// task queue of its own.
type Worker struct {
	Store journal.Store
	// Endpoints by [endpoint.Updater.Name].
	Endpoints map[string]endpoint.Updater
	// Strategies by a name of the caller's choice.
	Strategies map[string]strategy.Strategy
	// Options by a name of the caller's choice: checks, approvals, bakes. Owner,
	// detaching and resuming are the engine's.
	Options map[string][]rollout.Option
	// Fleets by a name of the caller's choice. The ID is the request's, and so is the
	// target of members that have none. Accounts are not used: the task queue has the
	// rate. Without a limit of its own a wave has 200 members under way at once.
	Fleets map[string]fleet.Fleet
}

// Register registers the workflows and their activities.
func (w *Worker) Register(r worker.Registry) error {
	if w.Store == nil {
		return fmt.Errorf("temporal: %w: the store is nil", endpoint.ErrInvalid)
	}
	for name, u := range w.Endpoints {
		if u == nil || u.Name() != name {
			return fmt.Errorf("temporal: %w: endpoint %q is nil, or has another name", endpoint.ErrInvalid, name)
		}
	}
	for name, s := range w.Strategies {
		if s == nil {
			return fmt.Errorf("temporal: %w: strategy %q is nil", endpoint.ErrInvalid, name)
		}
	}
	r.RegisterWorkflowWithOptions(RolloutWorkflow, workflow.RegisterOptions{Name: RolloutWorkflowName})
	r.RegisterActivityWithOptions(w.advance, activity.RegisterOptions{Name: advanceActivityName})
	r.RegisterActivityWithOptions(w.decide, activity.RegisterOptions{Name: decideActivityName})
	r.RegisterWorkflowWithOptions(FleetWorkflow, workflow.RegisterOptions{Name: FleetWorkflowName})
	r.RegisterWorkflowWithOptions(memberWorkflow, workflow.RegisterOptions{Name: memberWorkflowName})
	r.RegisterActivityWithOptions(w.advanceFleet, activity.RegisterOptions{Name: advanceFleetActivityName})
	r.RegisterActivityWithOptions(w.advanceMember, activity.RegisterOptions{Name: advanceMemberActivityName})
	r.RegisterActivityWithOptions(w.decideFleet, activity.RegisterOptions{Name: decideFleetActivityName})
	return nil
}

// WorkflowID is the workflow's ID for an endpoint: the lock that keeps a second
// rollout of it from beginning.
func WorkflowID(endpointName string) string { return "changeover/" + endpointName }

// Request is what a workflow is begun with. It holds names only.
type Request struct {
	Endpoint string `json:"endpoint"` // a name of [Worker.Endpoints]
	Strategy string `json:"strategy"` // a name of [Worker.Strategies]
	Options  string `json:"options,omitempty"`
	// Revision or Artifact says what to move to.
	Revision string `json:"revision,omitempty"`
	Artifact string `json:"artifact,omitempty"`
	// Label is that of the plan; see [rollout.WithLabel].
	Label string `json:"label,omitempty"`
}

func (q Request) target() (rollout.Target, error) { return target(q.Revision, q.Artifact) }

func target(revision, artifact string) (rollout.Target, error) {
	switch {
	case revision != "" && artifact != "":
		return rollout.Target{}, fmt.Errorf("request: %w: both a revision and an artifact", endpoint.ErrInvalid)
	case revision != "":
		return rollout.ToRevision(revision), nil
	case artifact != "":
		return rollout.ToArtifact(artifact), nil
	}
	return rollout.Target{}, fmt.Errorf("request: %w: neither a revision nor an artifact", endpoint.ErrInvalid)
}

// find resolves the request's names.
func (w *Worker) find(q Request) (endpoint.Updater, strategy.Strategy, []rollout.Option, error) {
	var errs []error
	missing := func(what, name string) {
		errs = append(errs, fmt.Errorf("request: %w: this worker has no %s %q", endpoint.ErrInvalid, what, name))
	}
	u, ok := w.Endpoints[q.Endpoint]
	if !ok {
		missing("endpoint", q.Endpoint)
	}
	s, ok := w.Strategies[q.Strategy]
	if !ok {
		missing("strategy", q.Strategy)
	}
	opts, ok := w.Options[q.Options]
	if !ok && q.Options != "" {
		missing("options", q.Options)
	}
	return u, s, opts, errors.Join(errs...)
}
