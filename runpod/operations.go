package runpod

import (
	"context"

	"github.com/changeover-dev/changeover/endpoint"
)

// operations are how an [Endpoint] is read and changed by one of RunPod's two
// management APIs. [New] chooses one of them, and nothing else in the package asks
// which it is. Each method begins with a context that is not done.
type operations interface {
	// read reads the endpoint, and what it is to run, without its workers.
	read(ctx context.Context) (*state, error)
	// readWorkers is read with the workers, within the share of the rate limit
	// that polling has.
	readWorkers(ctx context.Context) (*state, error)
	setWorkers(ctx context.Context, b bound, n int) (bounds, error)
	update(ctx context.Context, c endpoint.Change) error
	resolve(ctx context.Context, r endpoint.Revision) (endpoint.Revision, error)
	preflight(ctx context.Context, p *preflight) error
	draft(ctx context.Context, base endpoint.Revision, artifact string) (endpoint.Draft, error)
	stage(ctx context.Context, d endpoint.Draft) error
	staged(ctx context.Context, d endpoint.Draft) error
	// workerLog reads the last lines of a worker's log, secrets taken out.
	workerLog(ctx context.Context, worker string) ([]logEntry, error)
}
