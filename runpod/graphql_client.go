package runpod

import (
	"context"

	"github.com/changeover-dev/changeover/endpoint"
)

// graphQLRetires is when RunPod takes the GraphQL API away, as it has announced.
const graphQLRetires = "early 2027"

// useGraphQL makes a client read and change endpoints over GraphQL. Workers are
// read over REST all the same, but not at RunPod behind the back of a caller who
// sends GraphQL elsewhere.
func (c *Client) useGraphQL(o *config, r *rest, key string) {
	g := newGraphQL(newAPI(o, o.graphQLURL, key, r.secrets.Redactor), r.secrets)
	mayREST := o.graphQLURL == DefaultGraphQLURL || o.restURL != DefaultRESTURL
	c.operations = func(e *Endpoint) operations {
		ops := &graphQLOperations{Endpoint: e, api: g}
		if mayREST {
			ops.view = &workerView{rest: r, id: e.id}
		}
		return ops
	}
	c.list = func(ctx context.Context) (map[string]endpoint.ListEntry, error) {
		found, err := g.list(ctx)
		if mayREST && retired(err) {
			return r.list(ctx)
		}
		return found, err
	}
}

// readLinks is how REST operations find out which endpoints are linked to which
// template; nil if GraphQL may not be asked. It has the list of endpoints read
// over GraphQL too, which shows their workers, for as long as there is one.
func (c *Client) readLinks(o *config, r *rest, key string) func(context.Context) (*account, error) {
	if o.restURL != DefaultRESTURL && o.graphQLURL == DefaultGraphQLURL {
		return nil
	}
	g := newGraphQL(newAPI(o, o.graphQLURL, key, r.secrets.Redactor), r.secrets)
	c.list = func(ctx context.Context) (map[string]endpoint.ListEntry, error) {
		found, err := g.list(ctx)
		if retired(err) {
			return r.list(ctx)
		}
		return found, err
	}
	return g.account
}
