package runpod_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name string
		key  string
		opts []runpod.Option
	}{
		{"empty key", "", nil},
		{"blank key", " \n", nil},
		{"key with a line break", runpodtest.Key + "\nX-Evil: 1", nil},
		{"key with a letter outside ASCII", runpodtest.Key + "é", nil},
		{"job key with a space", runpodtest.Key, []runpod.Option{runpod.WithJobKey(secret + " " + secret)}},
		{"relative URL", runpodtest.Key, []runpod.Option{runpod.WithGraphQLURL("/graphql")}},
		{"no URL", runpodtest.Key, []runpod.Option{runpod.WithGraphQLURL("")}},
		{"another scheme", runpodtest.Key, []runpod.Option{runpod.WithJobURL("ftp://api.runpod.ai/v2")}},
		{"key in the query", runpodtest.Key, []runpod.Option{runpod.WithGraphQLURL("https://api.runpod.io/graphql?api_key=" + secret)}},
		{"password", runpodtest.Key, []runpod.Option{runpod.WithJobURL("https://me:" + secret + "@api.runpod.ai/v2")}},
		{"unreadable URL", runpodtest.Key, []runpod.Option{runpod.WithJobURL("https://" + secret + ":x%zz/")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := runpod.New(tt.key, tt.opts...)
			if c != nil || !errors.Is(err, endpoint.ErrInvalid) {
				t.Fatalf("New = %v, %v, want ErrInvalid", c, err)
			}
			noSecret(t, err.Error())
		})
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	c, err := runpod.New(runpodtest.Key, runpod.WithJobKey(secret))
	if err != nil {
		t.Fatal(err)
	}
	e := c.Endpoint(endpointID)
	holder := struct {
		C *runpod.Client
		c *runpod.Client
		v runpod.Client
		E *runpod.Endpoint
		e *runpod.Endpoint
	}{c, c, *c, e, e}
	for _, v := range []any{c, *c, e, holder, &holder} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			noSecret(t, fmt.Sprintf(verb, v))
		}
	}
	if got := fmt.Sprintf("%v %#v %v", e, e, c); got != "runpod/"+endpointID+" runpod/"+endpointID+" runpod.Client" {
		t.Errorf("printed %q", got)
	}
}

// The keys go where they belong, in the header only.
func TestRequests(t *testing.T) {
	a := &answers{status: 500}
	hc := &http.Client{Transport: a}
	before := *hc
	c, err := runpod.New(" "+runpodtest.Key+"\n", runpod.WithHTTPClient(hc), runpod.WithJobKey("rpa_JOB"),
		runpod.WithTransport(runpod.GraphQL), runpod.WithGraphQLURL("https://graphql.example/x"), runpod.WithJobURL("https://jobs.example/v2/"))
	if err != nil {
		t.Fatal(err)
	}
	e := c.Endpoint(endpointID)
	_, _ = e.Status(t.Context())
	a.status, a.body = 200, `{"data":{"myself":{"endpoint":{"id":"`+endpointID+`","workersMin":0,"workersMax":1,"type":"QB"}}}}`
	_, _ = e.Status(t.Context())
	if hc.Transport != before.Transport || hc.CheckRedirect != nil {
		t.Error("the caller's HTTP client was changed")
	}
	if len(a.sent) != 3 {
		t.Fatalf("%d requests, want 3", len(a.sent))
	}
	for i, want := range []struct{ method, url, key string }{
		{http.MethodPost, "https://graphql.example/x", runpodtest.Key},
		{http.MethodPost, "https://graphql.example/x", runpodtest.Key},
		{http.MethodGet, "https://jobs.example/v2/" + endpointID + "/health", "rpa_JOB"},
	} {
		got := a.sent[i]
		if got.Method != want.method || got.URL.String() != want.url || got.Header.Get("Authorization") != "Bearer "+want.key {
			t.Errorf("request %d: %s %s %q, want %+v", i, got.Method, got.URL, got.Header, want)
		}
	}
}

// every calls each method of an endpoint once.
func every(ctx context.Context, e *runpod.Endpoint) map[string]error {
	to := endpoint.Revision{Kind: "template", ID: nextID, Artifact: imageV2, Digest: "0123"}
	d := endpoint.Draft{Revision: to, Base: to}
	errs := map[string]error{
		"Update": e.Update(ctx, endpoint.Change{To: to}),
		"Set":    e.Set(ctx, endpoint.WorkersMin, 1),
		"Stage":  e.Stage(ctx, d),
		"Staged": e.Staged(ctx, d),
	}
	_, errs["Status"] = e.Status(ctx)
	_, errs["Draft"] = e.Draft(ctx, to, imageV3)
	_, errs["Jobs"] = e.Jobs(ctx)
	_, errs["Resolve"] = e.Resolve(ctx, to)
	_, errs["Preflight"] = e.Preflight(ctx, endpoint.Change{To: to}, nil)
	return errs
}

func TestDoneContextSendsNothing(t *testing.T) {
	cause := errors.New("stopped by hand")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	a := &answers{status: 200}
	for name, err := range every(ctx, a.endpoint(t)) {
		if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
			t.Errorf("%s = %v, want context.Canceled with its cause", name, err)
		}
	}
	if len(a.sent) != 0 {
		t.Errorf("%d requests were sent", len(a.sent))
	}
}

func TestImpossibleIDs(t *testing.T) {
	a := &answers{status: 200}
	c, err := runpod.New(runpodtest.Key, runpod.WithHTTPClient(&http.Client{Transport: a}))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", "a/../b", "a b", "a?b"} {
		for name, err := range every(t.Context(), c.Endpoint(id)) {
			if !errors.Is(err, endpoint.ErrInvalid) {
				t.Errorf("%s of %q = %v, want ErrInvalid", name, id, err)
			}
		}
	}
	if len(a.sent) != 0 {
		t.Errorf("%d requests were sent", len(a.sent))
	}
}

// A context that ends on the way is told apart from a server that is slow.
func TestContextEndsOnTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account(t)
		e := client(t, srv).Endpoint(endpointID)
		srv.Fail(runpodtest.Call{Times: -1}, runpodtest.Fault{Delay: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := e.Status(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, endpoint.ErrUnavailable) {
			t.Errorf("Status = %v, want the context's error alone", err)
		}
	})
}

func TestUnknownEndpoint(t *testing.T) {
	srv := account(t)
	_, err := client(t, srv).Endpoint("nosuchendpoint").Status(t.Context())
	if !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("Status = %v, want ErrNotFound", err)
	}
}
