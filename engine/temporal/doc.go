// Package temporal runs rollouts as workflows of a Temporal service, so that they
// outlive the machine that began them.
//
// A [Worker] registers the endpoints, the stores and the options that it has, by
// name, and the workflow [RolloutWorkflow]. The workflow's history holds names and
// outcomes: no secret, and no function. The workflow calls one activity again and
// again, which goes on with the rollout by one call of
// [rollout.Rollout.Advance], and sleeps by a timer in between.
//
// The store stays the source of truth: an activity that is repeated, by another
// worker or after a crash, reads the journal and polls before it writes. Without
// Temporal any process can finish the rollout by [rollout.Resume] once the
// workflow was terminated.
//
// The workflow's ID is made of the endpoint's name ([WorkflowID]), so that a
// second one for the same endpoint cannot begin. To cancel the workflow rolls the
// rollout back. The signal [SignalDecide] carries a [rollout.Decision], and the
// query [QueryProgress] answers with a [Progress].
//
// To keep within a provider's rate, give an account's endpoints a task queue of
// their own, and set its rate by worker.Options.TaskQueueActivitiesPerSecond.
package temporal
