package runpod

import "context"

// control is what an Endpoint needs of a management API. An implementation
// sends at most one request for each call and never repeats one. Its errors
// say what happened in the words of package endpoint; absence is ErrNotFound.
type control interface {
	// endpoint looks at one endpoint, its template and its workers.
	endpoint(ctx context.Context, id string) (*state, error)
	// template reads all of a template, so that it can be written back.
	template(ctx context.Context, id string) (*template, error)
	// account lists what the account owns.
	account(ctx context.Context) (*account, error)
	// workerQuota is the limit on the sum of the endpoints' maxima, and 0 if
	// the API does not tell.
	workerQuota(ctx context.Context) (int, error)

	// link makes the endpoint use another template.
	link(ctx context.Context, id, templateID string) error
	// setWorkers writes one bound and returns both as the answer shows them.
	setWorkers(ctx context.Context, id string, b bound, n int) (bounds, error)
	// saveTemplate writes all of a template and returns the answer.
	saveTemplate(ctx context.Context, t *template) (*template, error)
}

// bound is one of an endpoint's two worker bounds.
type bound int

const (
	minWorkers bound = iota
	maxWorkers
)

type bounds struct{ min, max int }

// state is one look at an endpoint.
type state struct {
	id, name   string
	kind       string // "QB" for a queue, "LB" for a load balancer, "" if not told
	templateID string
	template   *content // nil if the answer did not hold it
	workers    bounds
	version    int // 0 if not told
	pods       []pod
}

// pod is a worker.
type pod struct {
	id, image string
	status    string // the status that RunPod wants it to have
	changed   string // when or why that last changed; opaque
	version   int    // the endpoint's version that it belongs to, 0 if not told
}

type account struct {
	endpoints []accountEndpoint
	templates []string // ids
}

type accountEndpoint struct {
	id, name, templateID string
	max                  int
}
