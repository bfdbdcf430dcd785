// Package runpod drives a RunPod Serverless endpoint: which template and image
// it is asked to serve, which workers run what, how many workers it may have,
// and how many jobs there are.
//
//	client, err := runpod.New(os.Getenv("RUNPOD_API_KEY"))
//	if err != nil {
//		return err
//	}
//	status, err := client.Endpoint("i02xupws21hp6i").Status(ctx)
//
// An [Endpoint] is an [endpoint.Updater] with every optional ability but
// protection: RunPod has no autoscaling policies that would have to be taken
// away and put back. It reads and writes; it never waits for a rollout and
// never repeats a write. Waiting is package waiter's, ordering steps is
// package strategy's, and carrying them out and rolling back is package rollout's.
//
// The rules that it encodes are RunPod's own, from the page "Updating Your
// Endpoint": images are told apart by name:tag, so the target has to have
// another one than the source; both worker bounds at 0 flush the cache of
// images; and the maximum should be 20 % above the expected concurrency
// ([MaxWorkersFor]).
//
// There are two transports. [REST], the default, is version 2 of RunPod's REST
// API, which RunPod recommends and is going to keep. It is the only one that
// tells which worker runs which release. An endpoint's settings are its own
// there, known by the image ([KindImage]); a change sends the image alone, and
// leaves what another writer changes beside it. [GraphQL] is the only API that links an endpoint to a
// template ([KindTemplate]), so that two templates can be swapped, and RunPod
// has announced that it retires in early 2027. Narrow mutations only are used
// there: saveEndpoint is not, as it puts what is left out back to its default.
// Which worker runs what is read over REST all the same, where the key may.
// Jobs and the health of workers come from the job plane in either case, which
// takes a key of its own if the account separates the two ([WithJobKey]).
//
// A template can be copied into an endpoint over REST ([AllowTemplateCopy]).
// The values that a copy replaces are written down nowhere: a rollback finds
// them at RunPod, in a template or in the history of releases, and a copy that
// could not be rolled back so is refused. No value of an environment and no start
// command leaves the package, in no error and no revision; a digest stands for
// them.
//
// An answer proves who sent it: a refusal without RunPod's own words, such as the
// page of a gateway, is [endpoint.ErrUnavailable], whatever its status. An answer
// to a read whose deciding fields have another shape is [errors.ErrUnsupported]
// and names the place.
//
// RunPod tells its rate limit over REST. Polling keeps to a share of it
// ([WithPollingShare]); no limit keeps a write from being sent, and a delay that
// RunPod asks for is passed on up to [WithMaxDelay].
//
// What the package does not do: create or delete endpoints and templates, send
// jobs, purge queues.
package runpod
