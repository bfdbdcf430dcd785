package runpod_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/strategy"
)

// Rollouts over GraphQL whose workers are looked up by REST, where the key may.

// What the first look is refused is done without for good; whatever else goes
// wrong is an error, then and later.
func TestEvidence(t *testing.T) {
	refused := func(status int) runpodtest.Fault {
		return runpodtest.Fault{Status: status, Header: http.Header{"Content-Type": {"application/problem+json"}}, Body: `{"title":"no","detail":"access denied to ` + runpodtest.Key + `"}`}
	}
	for name, tt := range map[string]struct {
		call  string
		fault runpodtest.Fault
		first error  // of the first look
		then  string // the evidence of what follows
	}{
		"nothing wrong":               {"none", runpodtest.Fault{}, nil, "REST"},
		"the key is unknown":          {"listEndpointWorkers", refused(401), nil, "GraphQL"},
		"the key may not":             {"listEndpointWorkers", refused(403), nil, "GraphQL"},
		"there is no such view":       {"listEndpointWorkers", refused(404), nil, "GraphQL"},
		"there is no such view again": {"listEndpointWorkers", refused(410), nil, "GraphQL"},
		"it may not see the releases": {"listEndpointReleases", refused(403), nil, "GraphQL"},
		"REST is down":                {"listEndpointWorkers", runpodtest.HTTPStatus(503), endpoint.ErrUnavailable, "REST"},
		"REST is busy":                {"listEndpointWorkers", runpodtest.RateLimited(time.Minute), endpoint.ErrThrottled, "REST"},
		"the connection breaks":       {"listEndpointReleases", runpodtest.Dropped(false), endpoint.ErrUnavailable, "REST"},
		"the answer is another":       {"listEndpointWorkers", runpodtest.Fault{Body: `{"workers":7}`}, endpoint.ErrUnavailable, "REST"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, idle := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, routeNamed("graphql, template"))
					if idle {
						w = idleWorld(t, w.route, runpodtest.Behaviour{})
					}
					w.Fail(runpodtest.Call{Field: tt.call}, tt.fault)
					s, err := w.ep.Status(t.Context())
					if !errors.Is(err, tt.first) || tt.first == nil && (err != nil || s.Evidence != tt.then) {
						t.Fatalf("the first look: %v by %q, want %v by %q", err, s.Evidence, tt.first, tt.then)
					}
					time.Sleep(2 * time.Minute)
					for range 3 {
						if s := status(t, w.ep); s.Evidence != tt.then || s.Phase != endpoint.PhaseReady {
							t.Errorf("a later look is by %s, want %s: %v", s.Evidence, tt.then, s.Phase)
						}
					}
					p, err := rollout.Preview(t.Context(), w.ep, strategy.InPlace{}, w.target)
					if err != nil {
						t.Fatal(err)
					}
					notes := strings.Join(p.Notes, "\n")
					if got := strings.Contains(notes, "a crash loop that is shown as running is not noticed"); got != (tt.then == "GraphQL") {
						t.Errorf("the plan says %q", notes)
					}
					noSecret(t, notes)
					if p.Source.Kind != runpod.KindTemplate || p.Target.Kind != runpod.KindTemplate {
						t.Errorf("from a %s to a %s: what proves a rollout must not change what it moves", p.Source.Kind, p.Target.Kind)
					}
				})
			}
		})
	}
}

// What was seen once is not done without later: that would be another measure
// in the middle of a rollout.
func TestEvidenceIsNotDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, routeNamed("graphql, template"))
		status(t, w.ep)
		w.Fail(runpodtest.Call{Field: "listEndpointWorkers", Times: -1}, runpodtest.Fault{Status: 403, Body: `{"detail":"no more"}`})
		for range 3 {
			if s, err := w.ep.Status(t.Context()); !errors.Is(err, endpoint.ErrUnauthorized) {
				t.Errorf("Status = %v by %s, %v; want it refused", s.Phase, s.Evidence, err)
			}
		}
		if s := status(t, w.endpoint(t)); s.Evidence != "GraphQL" {
			t.Errorf("a new process goes by %s", s.Evidence)
		}
	})
}

// A view of REST that is down for a while is waited out, on the way forward and
// back.
func TestEvidenceIsWaitedFor(t *testing.T) {
	for _, bad := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, routeNamed("graphql, template"))
			if bad {
				w.AddImage(runpodtest.Image{Ref: w.goal, Fault: runpodtest.TurnsUnhealthy})
			}
			w.OnMutation(func(int, string) runpodtest.Fault {
				w.Fail(runpodtest.Call{Field: "listEndpointWorkers", Times: 5}, runpodtest.HTTPStatus(502))
				return runpodtest.Fault{}
			})
			r, err := w.run(t.Context(), strategy.InPlace{})
			if bad {
				w.wantRolledBack(t, r, err, endpoint.ErrUnhealthy)
				return
			}
			w.wantServing(t, r, err)
		})
	}
}

// REST's own word that a worker is outdated counts, where GraphQL shows nothing
// of it.
func TestStaleByRESTAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, routeNamed("graphql, template"))
		id := w.Workers(endpointID)[0].ID
		w.Fail(runpodtest.Call{Field: "listEndpointWorkers"}, runpodtest.Fault{
			Body: `{"endpointVersion":9,"workers":[{"id":"` + id + `","status":"IDLE","isStale":true,"version":7,"image":"` + imageV1 + `"}]}`,
		})
		s := status(t, w.ep)
		if s.Phase != endpoint.PhaseUpdating || !s.Serving.IsZero() || s.Pools[0].Stale != 1 || !strings.Contains(s.UpdateStage.Message, id) {
			t.Errorf("status %+v", s)
		}
	})
}

// Nobody who sends everything to a stand-in for one of the APIs sends the key to
// the other one.
func TestEvidenceStaysAtHome(t *testing.T) {
	for name, tt := range map[string]struct {
		opts []runpod.Option
		want string
	}{
		"RunPod":               {nil, "REST"},
		"GraphQL is elsewhere": {[]runpod.Option{runpod.WithGraphQLURL("https://stand.in/graphql")}, "GraphQL"},
		"REST is elsewhere":    {[]runpod.Option{runpod.WithRESTURL("https://stand.in/v2")}, "REST"},
		"both are":             {[]runpod.Option{runpod.WithGraphQLURL("https://stand.in/graphql"), runpod.WithRESTURL("https://stand.in/v2")}, "REST"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := account(t)
			if s := status(t, client(t, srv, tt.opts...).Endpoint(endpointID)); s.Evidence != tt.want {
				t.Errorf("looked up by %s, want %s", s.Evidence, tt.want)
			}
		})
	}
}
