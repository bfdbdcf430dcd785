package runpod

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

const (
	// DefaultGraphQLURL is where the management API answers.
	DefaultGraphQLURL = "https://api.runpod.io/graphql"
	// DefaultJobURL is where the job plane answers.
	DefaultJobURL = "https://api.runpod.ai/v2"

	// requestTimeout is the limit of the default HTTP client. It is on a
	// single request: a connection that never answers must not use up the
	// whole budget of a rollout.
	requestTimeout = 30 * time.Second
)

// Client is one RunPod account. It is safe for concurrent use, holds no
// connection of its own and needs no closing. Its key is never printed.
type Client struct {
	control control
	jobs    *jobPlane
}

type config struct {
	http       *http.Client
	graphQLURL string
	jobURL     string
	jobKey     string
}

// Option configures a [Client].
type Option func(*config)

// WithHTTPClient sets the client that requests are sent with. It is copied and
// never changed; its Timeout, if any, is on each single request. The default
// (also for nil) is a client with [http.DefaultTransport] and 30 seconds per
// request. Redirects are never followed: they would carry the key elsewhere.
func WithHTTPClient(c *http.Client) Option { return func(o *config) { o.http = c } }

// WithGraphQLURL sets the URL of the management API. The default is
// [DefaultGraphQLURL]. It must be http or https, without credentials or query.
func WithGraphQLURL(u string) Option { return func(o *config) { o.graphQLURL = u } }

// WithJobURL sets the URL of the job plane, to which "/<endpoint id>/health"
// is added. The default is [DefaultJobURL]. It must be http or https, without
// credentials or query.
func WithJobURL(u string) Option { return func(o *config) { o.jobURL = u } }

// WithJobKey sets the key for the job plane, for accounts whose management key
// may not use it. The default (also for "") is the management key.
func WithJobKey(key string) Option { return func(o *config) { o.jobKey = key } }

// New returns a client that authorizes itself with key, a RunPod API key that
// may read and write GraphQL. It sends nothing. An empty key or a URL that
// cannot be used is an error that is [endpoint.ErrInvalid].
func New(key string, opts ...Option) (*Client, error) {
	o := config{graphQLURL: DefaultGraphQLURL, jobURL: DefaultJobURL}
	for _, opt := range opts {
		opt(&o)
	}
	key = strings.TrimSpace(key)
	var errs []error
	if o.jobKey = strings.TrimSpace(o.jobKey); o.jobKey != "" {
		errs = append(errs, checkKey("job key", o.jobKey))
	}
	errs = append(errs, checkKey("API key", key),
		checkURL("GraphQL URL", o.graphQLURL), checkURL("job URL", o.jobURL))
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if o.jobKey == "" {
		o.jobKey = key
	}
	if o.http == nil {
		o.http = &http.Client{Timeout: requestTimeout}
	}
	return &Client{
		control: newGraphQL(o.graphQLURL, authorized(o.http, key, checkGraphQL)),
		jobs:    &jobPlane{url: strings.TrimRight(o.jobURL, "/"), http: authorized(o.http, o.jobKey, checkJSON)},
	}, nil
}

// checkKey refuses what cannot stand in a header, without repeating it.
func checkKey(what, key string) error {
	if key == "" {
		return fmt.Errorf("runpod: empty %s: %w", what, endpoint.ErrInvalid)
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("runpod: %s with a space or a character outside ASCII: %w", what, endpoint.ErrInvalid)
	}
	return nil
}

// checkURL does not repeat the URL: people put keys there.
func checkURL(what, raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil, u.Host == "", u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("runpod: %s is not an absolute http or https URL: %w", what, endpoint.ErrInvalid)
	case u.User != nil, u.RawQuery != "", u.Fragment != "":
		return fmt.Errorf("runpod: %s carries credentials, a query or a fragment: %w", what, endpoint.ErrInvalid)
	}
	return nil
}

// String names the package, and no key.
func (c *Client) String() string { return "runpod.Client" }

// GoString is as String.
func (c *Client) GoString() string { return "runpod.Client" }

// EndpointOption configures an [Endpoint].
type EndpointOption func(*Endpoint)

// AllowMutableTag lets a rollout move to an image whose reference may mean
// something else tomorrow: without a tag, or tagged latest. The default is to
// refuse it.
func AllowMutableTag() EndpointOption { return func(e *Endpoint) { e.allowMutable = true } }

// AllowSharedTemplate lets a rollout move to, or rewrite, a template that
// other endpoints use, and rewrite one that is live. The default is to refuse
// it: rewriting a template rolls every endpoint that is linked to it.
func AllowSharedTemplate() EndpointOption { return func(e *Endpoint) { e.allowShared = true } }

// Endpoint returns the endpoint with that id. It sends nothing, so that an id
// that does not exist is found out by the first call. With an empty or
// impossible id every method answers [endpoint.ErrInvalid].
func (c *Client) Endpoint(id string, opts ...EndpointOption) *Endpoint {
	e := &Endpoint{id: id, control: c.control, jobPlane: c.jobs}
	for _, opt := range opts {
		opt(e)
	}
	return e
}
