// Package temporal runs rollouts and fleets as workflows of a Temporal service, so
// that they outlive the machine that began them.
//
// A [Worker] registers the endpoints, the stores, the fleets and the options that it
// has, by name, and the workflows [RolloutWorkflow] and [FleetWorkflow]. A workflow's
// history holds names and outcomes: no secret, and no function. The workflow of a
// rollout calls one activity again and again, which goes on with the rollout by calls
// of [rollout.Rollout.Advance], and sleeps by a timer in between. The workflow of a
// fleet calls [fleet.Advance] in the same way, and has each member moved by a workflow
// of its own, a child.
//
// The store stays the source of truth: an activity that is repeated, by another
// worker or after a crash, reads the journal and polls before it writes. Without
// Temporal any process can finish the rollout by [rollout.Resume], or the fleet by
// [fleet.Run], once the workflow was terminated.
//
// A workflow's ID is made of the endpoint's name ([WorkflowID]) or the fleet's ID
// ([FleetWorkflowID]), so that a second one for the same cannot begin. To cancel the
// workflow rolls back what is under way. The signal [SignalDecide] carries a
// [rollout.Decision], and the queries [QueryProgress], [QueryInspect] and
// [QueryTimeline] say how far it is. A workflow whose history grows long continues as
// a new one; that of a fleet begins no members until it has, which it does once none
// is under way.
//
// To keep within a provider's rate, give an account's endpoints a task queue of
// their own, and set its rate by worker.Options.TaskQueueActivitiesPerSecond.
package temporal
