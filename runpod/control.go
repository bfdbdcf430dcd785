package runpod

import (
	"context"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// control is what an Endpoint needs of every management API. Each call is one
// request at most, and is never repeated. Its errors say what happened in the
// words of package endpoint; absence is ErrNotFound.
type control interface {
	// endpoint looks at one endpoint and what it is to run.
	endpoint(ctx context.Context, id string) (*state, error)
	// template reads all of a template.
	template(ctx context.Context, id string) (*template, error)
	// account lists the endpoints that the account owns and, if the API can
	// tell that by the same request, its templates.
	account(ctx context.Context) (*account, error)
	// workerQuota is the limit on the sum of the endpoints' maxima, and 0 if
	// the API does not tell.
	workerQuota(ctx context.Context) (int, error)
	// setWorkers writes one bound and returns both as the answer shows them.
	setWorkers(ctx context.Context, id string, b bound, n int) (bounds, error)
}

// linker is what GraphQL alone can do: an endpoint uses a template, and follows
// its changes.
type linker interface {
	// link makes the endpoint use another template.
	link(ctx context.Context, id, templateID string) error
	// saveTemplate writes all of a template and returns the answer.
	saveTemplate(ctx context.Context, t *template) (*template, error)
}

// patcher is what REST alone can do: an endpoint has settings of its own, which
// are changed one by one.
type patcher interface {
	// patch changes what p holds, and nothing else.
	patch(ctx context.Context, id string, p patch) (*state, error)
	templates(ctx context.Context) ([]*template, error)
}

// watcher is what REST alone shows, whichever way an endpoint is changed: a
// history of releases, and workers that say which entry of it they run.
type watcher interface {
	workers(ctx context.Context, id string) (*workerList, error)
	releases(ctx context.Context, id string) (*releaseList, error)
	// turn is how long polling has to wait, as it has used up its share of what
	// the account may ask; 0 if it has not.
	turn() time.Duration
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
	template   *content  // nil if the answer did not hold it
	own        *settings // what the endpoint runs where that is its own; nil over GraphQL
	workers    bounds
	version    int    // 0 if not told
	pods       []*pod // as GraphQL shows them
	// list is REST's list of workers, nil where it was not looked at.
	list *workerList
	// target is the release that made the endpoint run what it is to run now,
	// 0 if none is known to.
	target int
	// late: the history of releases does not reach up to what the list is of. A
	// release is missing in it, and may be anybody's.
	late bool
}

// revision is what the endpoint is asked to serve.
func (s *state) revision() endpoint.Revision {
	switch {
	case s.own != nil:
		return s.own.revision()
	case s.template != nil:
		return s.template.revision()
	case s.templateID != "":
		return endpoint.Revision{Kind: KindTemplate, ID: s.templateID}
	}
	return endpoint.Revision{}
}

// image is what workers should run, "" if that is not told.
func (s *state) image() string {
	switch {
	case s.own != nil:
		return s.own.ImageName
	case s.template != nil:
		return s.template.ImageName
	}
	return ""
}

// pod is a worker.
type pod struct {
	id, image string
	status    string // the one that RunPod wants it to have or, if listed, what it does
	changed   string // when or why that last changed; opaque
	version   int    // the endpoint's version that it belongs to, 0 if not told
	stale     *bool  // RunPod's own word for it; nil if not told
	where     string // GPU and data center, for people
}

type account struct {
	endpoints []accountEndpoint
	templates []string // ids
}

type accountEndpoint struct {
	id, name, templateID string
	max                  int
}
