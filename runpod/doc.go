// Package runpod drives a RunPod Serverless endpoint: which template and image
// it is asked to serve, which workers run what, how many workers it may have,
// and which jobs are at hand.
//
//	client, err := runpod.New(os.Getenv("RUNPOD_API_KEY"))
//	if err != nil {
//		return err
//	}
//	status, err := client.Endpoint("i02xupws21hp6i").Status(ctx)
//
// An [Endpoint] is an [endpoint.Updater] with every optional ability but
// protection: RunPod has no autoscaling policies that would have to be taken
// away and put back. It looks and writes; it never waits for a rollout and
// never repeats a write. Waiting is package waiter's, ordering steps and
// rolling back is package strategy's.
//
// The rules that it encodes are RunPod's own, from the page "Updating Your
// Endpoint": images are told apart by name:tag, so the target has to have
// another one than the source; two templates per production endpoint let a
// rollout swap between them; both worker bounds at 0 flush the cache of
// images; and the maximum should be 20 % above the expected concurrency
// ([MaxWorkersFor]).
//
// Reads and writes go to RunPod's GraphQL API, the only one that links a
// template to an endpoint. RunPod has announced that it retires in early 2027.
// Narrow mutations only are used: saveEndpoint is not, as it puts what is left
// out back to its default. Jobs and the health of workers come from the job
// plane, which takes a key of its own if the account separates the two
// ([WithJobKey]).
//
// What the package does not do: create or delete endpoints and templates, send
// jobs, read logs, purge queues.
package runpod
