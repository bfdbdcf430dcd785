package runpod

import (
	"context"
	"errors"
	"fmt"

	"github.com/changeover-dev/changeover/endpoint"
)

// What the package does over GraphQL is in the files named graphql_*.go, and goes
// with them: New alone refers to it.

const (
	// DefaultGraphQLURL is where RunPod's GraphQL API answers.
	DefaultGraphQLURL = "https://api.runpod.io/graphql"

	// graphQLRetires is when RunPod takes the GraphQL API away, as it has announced.
	graphQLRetires = "early 2027"
	// orGraphQL is what can be done instead of what REST cannot do.
	orGraphQL = ", or use the GraphQL transport, which RunPod retires in " + graphQLRetires
)

// Transport is one of RunPod's two management APIs.
type Transport int

const (
	// REST is version 2 of RunPod's REST API. It is the one that stays, and the
	// only one that tells which worker runs which release. An endpoint's
	// settings are its own there: it cannot be linked to a template.
	REST Transport = iota
	// GraphQL is the only API that links endpoints to templates. RunPod has
	// announced that it retires in early 2027. What workers run is read over
	// REST all the same, where the key may: see [Endpoint.Status].
	GraphQL
)

// WithTransport sets the management API that endpoints are read and changed
// by. The default is [REST]. A rollout is to be resumed over the one that it
// began with: the two know a revision by different things.
func WithTransport(t Transport) Option { return func(o *config) { o.transport = t } }

// WithGraphQLURL sets the URL of the GraphQL API. The default is
// [DefaultGraphQLURL]. It must be http or https, without credentials or query.
//
// Over REST, a preflight asks it for one thing that REST does not show: whether
// other endpoints share the template that this one is linked to. It is left out
// if [WithRESTURL] says where to go instead of RunPod and this option does not.
func WithGraphQLURL(u string) Option { return func(o *config) { o.graphQLURL = u } }

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

// checkGraphQL checks the options of this file.
func (o *config) checkGraphQL() error {
	err := checkURL("GraphQL URL", o.graphQLURL)
	if o.transport != REST && o.transport != GraphQL {
		err = errors.Join(err, fmt.Errorf("runpod: unknown transport %d: %w", o.transport, endpoint.ErrInvalid))
	}
	return err
}
