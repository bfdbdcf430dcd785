package runpod_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/strategy"
)

// TestForeignRefusals: for a minute in the middle of a rollout, with no worker
// left, a gateway answers instead of RunPod. That is waited out, whatever status
// it has, over either transport.
func TestForeignRefusals(t *testing.T) {
	pages := map[string]runpodtest.Fault{
		"502":          runpodtest.HTTPStatus(502),
		"another JSON": {Status: 404, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"path":"/v2","timestamp":"now"}`},
		"an API's 404": {Status: 404, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"requestId":"r-1"}`},
	}
	for _, code := range []int{400, 401, 403, 404, 405, 410, 422, 451} {
		pages[fmt.Sprintf("text %d", code)] = runpodtest.TextPage(code)
		pages[fmt.Sprintf("HTML %d", code)] = runpodtest.HTTPStatus(code)
	}
	// Over GraphQL these are RunPod's own words too.
	own := []string{"text 401", "text 403"}
	for _, route := range []int{0, 2} {
		for name, page := range pages {
			r := routes()[route]
			if len(r.opts) > 0 && (name == own[0] || name == own[1]) {
				continue
			}
			t.Run(r.name+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, r)
					began := false
					w.OnMutation(func(n int, _ string) runpodtest.Fault {
						if n != 2 || began { // the second write takes the last worker away
							return runpodtest.Fault{}
						}
						began = true
						return runpodtest.Fault{Applied: true, Then: func() {
							w.Fail(runpodtest.Call{Plane: runpodtest.Management, Times: 6}, page)
						}}
					})
					report, err := w.run(t.Context(), strategy.FlushToZero{})
					if e := w.Endpoint(endpointID); e.WorkersMin != w.before.Min || e.WorkersMax != w.before.Max {
						t.Fatalf("%v, workers left at %d/%d: %v", report.Outcome, e.WorkersMin, e.WorkersMax, err)
					}
					w.wantServing(t, report, err)
				})
			})
		}
	}
}

// TestWrongHost: another service's 404 does not say that the endpoint is not there.
func TestWrongHost(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	for name, opts := range map[string][]runpod.Option{
		"rest":    {runpod.WithRESTURL(srv.URL + "/v2")},
		"graphql": {runpod.WithTransport(runpod.GraphQL), runpod.WithGraphQLURL(srv.URL + "/graphql")},
	} {
		c, err := runpod.New(runpodtest.Key, opts...)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Endpoint(endpointID).Status(t.Context())
		checkError(t, err, endpoint.ErrUnavailable)
		if !strings.Contains(err.Error(), "check the URL") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestGraphQLRetired: the end of GraphQL is told as what it is, and only to who
// needs it.
func TestGraphQLRetired(t *testing.T) {
	srv := account(t, runpodtest.WithBehaviour(runpodtest.Behaviour{GraphQLRetired: true}))
	c := client(t, srv)
	e := c.Endpoint(endpointID)
	_, err := e.Status(t.Context())
	checkError(t, err, errors.ErrUnsupported)
	if !strings.Contains(err.Error(), "RunPod has retired GraphQL: use the REST transport") {
		t.Errorf("Status = %v", err)
	}
	err = e.Set(t.Context(), endpoint.WorkersMax, 4)
	if !errors.Is(err, errors.ErrUnsupported) || !endpoint.Unapplied(err) {
		t.Errorf("Set = %v", err)
	}
	for name, c := range map[string]*runpod.Client{"graphql": c, "rest": restClient(t, srv)} {
		if found, err := c.List(t.Context()); err != nil || len(found) != 1 || !found["runpod/"+endpointID].Incomplete {
			t.Errorf("%s: List = %v, %v", name, found, err)
		}
	}
	rest := restClient(t, srv).Endpoint(endpointID)
	notes, err := rest.Preflight(t.Context(), endpoint.Change{To: resolve(t, rest, endpoint.Revision{Artifact: imageV2})}, nil)
	if err != nil || !strings.Contains(strings.Join(notes, " "), "whether other endpoints are linked to this one's template") {
		t.Errorf("Preflight over REST = %q, %v", notes, err)
	}
}

// TestGraphQLLimits: RunPod takes GraphQL away in stages, by a rate limit.
func TestGraphQLLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account(t, runpodtest.WithBehaviour(runpodtest.Behaviour{GraphQLLimits: []runpodtest.Limit{{Name: "minute", Quota: 1, Window: 60e9}}}))
		e := client(t, srv).Endpoint(endpointID)
		status(t, e)
		_, err := e.Status(t.Context())
		checkError(t, err, endpoint.ErrThrottled)
		if d := endpoint.RetryAfter(err); d != 60e9 {
			t.Errorf("RetryAfter = %v", d)
		}
	})
}

// replays reports requests that net/http could send a second time.
type replays struct {
	*testing.T
	next http.RoundTripper
}

func (r replays) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet && (req.GetBody != nil || req.Body == nil || req.Body == http.NoBody) {
		r.Errorf("%s %s could be sent twice", req.Method, req.URL.Path)
	}
	return r.next.RoundTrip(req)
}

// TestNoBodyIsReplayed: a write over either transport is sent once, whatever
// HTTP/2 makes of a refused stream.
func TestNoBodyIsReplayed(t *testing.T) {
	for _, r := range []route{routes()[0], routes()[1], routes()[2], routes()[4], routes()[5]} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, r)
			c, err := runpod.New(runpodtest.Key, append([]runpod.Option{runpod.WithHTTPClient(&http.Client{Transport: replays{t, w.Client().Transport}})}, w.opts...)...)
			if err != nil {
				t.Fatal(err)
			}
			w.ep = c.Endpoint(endpointID, w.allow...)
			report, err := w.run(t.Context(), r.strategies[0])
			w.wantServing(t, report, err)
		})
	}
}
