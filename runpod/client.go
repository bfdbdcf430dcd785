package runpod

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
	"github.com/changeover-dev/changeover/internal/redact"
)

const (
	// DefaultRESTURL is where RunPod's REST API, version 2, answers.
	DefaultRESTURL = "https://api.runpod.io/v2"
	// DefaultJobURL is where the job plane answers.
	DefaultJobURL = "https://api.runpod.ai/v2"
)

// Client is one RunPod account. It is safe for concurrent use, holds no
// connection of its own and needs no closing. Its key is never printed.
type Client struct {
	jobs    *jobPlane
	secrets secrets
	// operations makes an endpoint's, by the API that New chose.
	operations func(*Endpoint) operations
	list       func(context.Context) (map[string]endpoint.ListEntry, error)
}

type config struct {
	http       *http.Client
	transport  Transport
	restURL    string
	graphQLURL string
	jobURL     string
	jobKey     string
	share      float64
	maxDelay   time.Duration
}

// Option configures a [Client].
type Option func(*config)

// WithHTTPClient sets the client that requests are sent with. It is copied and
// never changed; its Timeout, if any, is on each single request. The default
// (also for nil) is a client with [http.DefaultTransport] and 30 seconds per
// request. Redirects are never followed: they would carry the key elsewhere.
func WithHTTPClient(c *http.Client) Option { return func(o *config) { o.http = c } }

// WithRESTURL sets the URL of the REST API, to which "/serverless/<endpoint
// id>" is added. The default is [DefaultRESTURL]. It must be http or https,
// without credentials or query.
//
// Over GraphQL, workers are read by it. They are not if [WithGraphQLURL]
// says where to go instead of RunPod and this option does not.
func WithRESTURL(u string) Option { return func(o *config) { o.restURL = u } }

// WithJobURL sets the URL of the job plane, to which "/<endpoint id>/health"
// is added. The default is [DefaultJobURL]. It must be http or https, without
// credentials or query.
func WithJobURL(u string) Option { return func(o *config) { o.jobURL = u } }

// WithJobKey sets the key for the job plane, for accounts whose management key
// may not use it. The default (also for "") is the management key.
func WithJobKey(key string) Option { return func(o *config) { o.jobKey = key } }

// WithPollingShare sets what part of the account's rate limit [Endpoint.Status]
// may spend, over all endpoints of the client, so that the rest is left for
// writes and for others. It counts for REST, where RunPod tells the limit.
// Status waits until its share has room, which makes polling slower the narrower
// the limit is, and never cuts it off for longer than [WithMaxDelay]. While a
// window is used up all the same, by others, Status answers
// [endpoint.ErrThrottled] with the time to wait and sends nothing, for as long at
// most. Writes are always sent. The default
// is 0.5; it must be above 0 and at most 1. If the share of the smallest window
// is less than what one Status needs, three requests, it may be exceeded by as
// much.
func WithPollingShare(share float64) Option { return func(o *config) { o.share = share } }

// WithMaxDelay sets the longest that RunPod's wish to be left alone is passed on,
// in [endpoint.RetryAfter] of an error and to polling. A rollout that has taken an
// endpoint's workers away cannot wait a day because a header says so: after this
// long it tries again. The default (also for 0) is 2 minutes; it must not be
// negative.
func WithMaxDelay(d time.Duration) Option { return func(o *config) { o.maxDelay = d } }

// New returns a client that authorizes itself with key, a RunPod API key that
// may read and write by the transport. It sends nothing. An empty key, a URL
// that cannot be used or a share that is none is [endpoint.ErrInvalid].
func New(key string, opts ...Option) (*Client, error) {
	o := config{restURL: DefaultRESTURL, graphQLURL: DefaultGraphQLURL, jobURL: DefaultJobURL, share: 0.5}
	for _, opt := range opts {
		opt(&o)
	}
	key = strings.TrimSpace(key)
	if o.jobKey = strings.TrimSpace(o.jobKey); o.jobKey == "" {
		o.jobKey = key
	}
	if err := o.check(key); err != nil {
		return nil, err
	}
	s := secrets{redact.New(key, o.jobKey)}
	c := &Client{secrets: s, jobs: &jobPlane{api: newAPI(&o, o.jobURL, o.jobKey, s.Redactor)}}
	r := &rest{api: newAPI(&o, o.restURL, key, s.Redactor), secrets: s}
	r.api.Explain, r.api.Limits = explainREST, httpx.NewLimits(o.share)
	if o.transport == GraphQL {
		c.useGraphQL(&o, r, key)
		return c, nil
	}
	c.list = r.list
	links := c.readLinks(&o, r, key)
	c.operations = func(e *Endpoint) operations {
		return &restOperations{Endpoint: e, api: r, view: &workerView{rest: r, id: e.id}, links: links, instead: orGraphQL}
	}
	return c, nil
}

func (o *config) check(key string) error {
	errs := []error{
		checkKey("API key", key),
		checkURL("REST URL", o.restURL), checkURL("job URL", o.jobURL), o.checkGraphQL(),
	}
	if o.jobKey != key {
		errs = append(errs, checkKey("job key", o.jobKey))
	}
	if o.maxDelay < 0 {
		errs = append(errs, fmt.Errorf("runpod: longest delay of %v, must not be negative: %w", o.maxDelay, endpoint.ErrInvalid))
	}
	if !(o.share > 0 && o.share <= 1) {
		errs = append(errs, fmt.Errorf("runpod: polling share of %v: %w", o.share, endpoint.ErrInvalid))
	}
	return errors.Join(errs...)
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
// it: rewriting a template rolls every endpoint that is linked to it. Over REST
// it lets a rollout change an endpoint whose template others are linked to.
func AllowSharedTemplate() EndpointOption { return func(e *Endpoint) { e.allowShared = true } }

// AllowTemplateCopy lets a rollout over REST move to a template by copying its
// settings into the endpoint, once: no link is kept, and later changes of the
// template do not reach the endpoint. The default is to refuse a template
// there. A copy that could not be rolled back is refused in any case.
func AllowTemplateCopy() EndpointOption { return func(e *Endpoint) { e.allowCopy = true } }

// Endpoint returns the endpoint with that id. It sends nothing, so that an id
// that does not exist is found out by the first call. With an empty or
// impossible id every method answers [endpoint.ErrInvalid].
func (c *Client) Endpoint(id string, opts ...EndpointOption) *Endpoint {
	e := &Endpoint{id: id, jobPlane: c.jobs, secrets: c.secrets}
	for _, opt := range opts {
		opt(e)
	}
	e.ops = c.operations(e)
	return e
}
