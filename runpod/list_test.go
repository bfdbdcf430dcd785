package runpod_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/waiter"
)

func TestListShowsWhatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account(t)
		c := client(t, srv, runpod.WithTransport(runpod.GraphQL))
		name := "runpod/" + endpointID
		list := func() endpoint.ListEntry {
			t.Helper()
			found, err := c.List(t.Context())
			if err != nil || len(found) != 1 {
				t.Fatalf("List = %v, %v", found, err)
			}
			for _, s := range found {
				noSecret(t, s.Fingerprint)
			}
			return found[name]
		}
		time.Sleep(10 * time.Minute) // the workers are up
		first := list()
		if first.Fingerprint == "" || !first.Incomplete {
			t.Errorf("sighting %+v of an endpoint with workers", first)
		}
		if again := list(); again != first {
			t.Errorf("%+v, and again %+v, of an endpoint that did not change", first, again)
		}
		e := c.Endpoint(endpointID)
		for what, change := range map[string]func() error{
			"template": func() error {
				return e.Update(t.Context(), endpoint.Change{To: endpoint.Revision{Kind: runpod.KindTemplate, ID: nextID, Artifact: imageV2}})
			},
			"bound": func() error { return e.Set(t.Context(), endpoint.WorkersMin, 1) },
		} {
			before := list()
			if err := change(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if after := list(); after.Fingerprint == before.Fingerprint {
				t.Errorf("a new %s does not show", what)
			}
		}
		for _, key := range []string{endpoint.WorkersMin, endpoint.WorkersMax} {
			if err := e.Set(t.Context(), key, 0); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := waiter.Drained(t.Context(), e, waiter.WithShared(waiter.NewShared(c, 2*time.Second))); err != nil {
			t.Fatal(err)
		}
		if s := list(); s.Incomplete {
			t.Errorf("sighting %+v of an endpoint without workers", s)
		}
	})
}

func TestListErrors(t *testing.T) {
	respond := func(status int, body string) *http.Client {
		return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: status, Header: http.Header{"Retry-After": {"7"}}, Request: r,
				Body: io.NopCloser(strings.NewReader(body)),
			}, nil
		})}
	}
	for _, tt := range []struct {
		name   string
		client *http.Client
		found  int
		want   error
	}{
		{"throttled", respond(429, ""), 0, endpoint.ErrThrottled},
		{"refused", respond(401, `{"title":"Unauthorized","status":401,"detail":"missing bearer token"}`), 0, endpoint.ErrUnauthorized},
		{"a gateway's", respond(401, ""), 0, endpoint.ErrUnavailable},
		{"no account", respond(200, `{"data":{"myself":null,"x":1}}`), 0, endpoint.ErrUnavailable},
		{"another shape", respond(200, `{"data":{"myself":{"endpoints":{}}}}`), 0, endpoint.ErrUnavailable},
		{"one of two", respond(200, `{"data":{"myself":{"endpoints":[{"id":"a"},{"id":7}]}}}`), 1, endpoint.ErrUnavailable},
		{"a hole", respond(200, `{"data":{"myself":{"endpoints":[{"id":"a"},null]}}}`), 1, endpoint.ErrUnavailable},
		{"none", respond(200, `{"data":{"myself":{"endpoints":[]}}}`), 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := runpod.New(runpodtest.Key, runpod.WithTransport(runpod.GraphQL), runpod.WithHTTPClient(tt.client))
			if err != nil {
				t.Fatal(err)
			}
			found, err := c.List(t.Context())
			if !errors.Is(err, tt.want) || len(found) != tt.found {
				t.Errorf("List = %v, %v; want %d and %v", found, err, tt.found, tt.want)
			}
			if tt.name == "throttled" && endpoint.RetryAfter(err) != 7*time.Second {
				t.Errorf("asks for %v of rest, want 7s", endpoint.RetryAfter(err))
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, err := runpod.New(runpodtest.Key, runpod.WithTransport(runpod.GraphQL), runpod.WithHTTPClient(respond(200, "")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.List(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("List with a done context: %v", err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// canned answers a list of n endpoints with two workers each.
func canned(n int) *http.Client {
	var b bytes.Buffer
	b.WriteString(`{"data":{"myself":{"endpoints":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"ab12cd34ef%04d","templateId":"tpl%05d","type":"QB","workersMin":1,"workersMax":5,"version":17,`+
			`"template":{"id":"tpl%05d","imageName":"acme/sdxl:v%d"},`+
			`"pods":[{"id":"pod%05da","imageName":"acme/sdxl:v1","desiredStatus":"RUNNING","slsVersion":17,"lastStatusChange":"Rented by User"},`+
			`{"id":"pod%05db","imageName":"acme/sdxl:v1","desiredStatus":"EXITED","slsVersion":16,"lastStatusChange":"Exited by Runpod"}]}`, i, i, i, i, i, i)
	}
	b.WriteString(`]}}}`)
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(b.Bytes())), Request: r}, nil
	})}
}

func TestListAllocates(t *testing.T) {
	c, err := runpod.New(runpodtest.Key, runpod.WithTransport(runpod.GraphQL), runpod.WithHTTPClient(canned(100)))
	if err != nil {
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(20, func() {
		if found, err := c.List(t.Context()); err != nil || len(found) != 100 {
			t.Fatalf("%d endpoints, %v", len(found), err)
		}
	})
	if n > 1500 {
		t.Errorf("a list of 100 endpoints takes %v allocations, want at most 1500", n)
	}
}

func BenchmarkList100(b *testing.B) {
	c, err := runpod.New(runpodtest.Key, runpod.WithTransport(runpod.GraphQL), runpod.WithHTTPClient(canned(100)))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.List(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
