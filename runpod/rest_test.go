package runpod_test

import (
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/strategy"
)

func restClient(t *testing.T, srv *runpodtest.Server, opts ...runpod.Option) *runpod.Client {
	t.Helper()
	return client(t, srv, append([]runpod.Option{runpod.WithTransport(runpod.REST)}, opts...)...)
}

// An answer with fields that nobody knows yet, and a worker in a state that
// nobody knows yet: the fields are passed over, the worker is not ready.
func TestUnknownIsToleratedAndNeverSuccess(t *testing.T) {
	srv := account(t)
	srv.Fail(runpodtest.Call{Field: "getEndpoint", Times: -1}, runpodtest.Fault{Body: `{"id":"` + endpointID + `","new":{"a":[1]},"type":"STREAM",
		"image":"` + imageV1 + `","workers":{"min":1,"max":3,"burst":9},"scaling":{"type":"MAGIC"},"flashboot":"NOVA","gpu":null}`})
	srv.Fail(runpodtest.Call{Field: "listEndpointWorkers", Times: -1}, runpodtest.Fault{Body: `{"endpointVersion":7,"new":1,"workers":[
		{"id":"a","status":"WARMING_UP","isStale":false,"version":7,"image":"` + imageV1 + `","new":true}]}`})
	s := status(t, restClient(t, srv).Endpoint(endpointID))
	want := endpoint.Pool{Starting: 1}
	if s.Phase != endpoint.PhaseScaling || !s.Serving.IsZero() || s.Pools[0] != want {
		t.Errorf("Status = %+v", s)
	}
}

// What is missing from an answer is never taken for zero.
func TestIncompleteAnswersOverREST(t *testing.T) {
	for name, body := range map[string]string{
		"no bounds": `{"id":"` + endpointID + `","image":"acme/a:1"}`, "half the bounds": `{"id":"` + endpointID + `","image":"acme/a:1","workers":{"min":0}}`,
		"no image": `{"id":"` + endpointID + `","workers":{"min":0,"max":0}}`, "another endpoint": `{"id":"x","image":"acme/a:1","workers":{"min":0,"max":0}}`,
		"nothing": `{}`, "null": `null`, "a list": `[]`,
	} {
		srv := account(t)
		srv.Fail(runpodtest.Call{Field: "getEndpoint"}, runpodtest.Fault{Body: body})
		if s, err := restClient(t, srv).Endpoint(endpointID).Status(t.Context()); !errors.Is(err, endpoint.ErrUnavailable) {
			t.Errorf("%s: Status = %+v, %v, want ErrUnavailable", name, s, err)
		}
	}
}

// A list of workers that is older than the release, and calls its workers
// current, proves nothing.
func TestOldListOfWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account(t)
		e := restClient(t, srv).Endpoint(endpointID)
		from := status(t, e).Desired
		to := resolve(t, e, endpoint.Revision{Artifact: imageV2})
		for _, r := range []endpoint.Revision{to, from} { // away, and back to the image that the old list shows
			if err := e.Update(t.Context(), endpoint.Change{To: r}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		srv.Fail(runpodtest.Call{Field: "listEndpointWorkers", Times: -1}, runpodtest.Fault{Body: `{"endpointVersion":7,"workers":[
			{"id":"a","status":"IDLE","isStale":false,"version":7,"image":"` + imageV1 + `"}]}`})
		if s := status(t, e); !s.Serving.IsZero() || s.Phase == endpoint.PhaseReady || s.Pools[0].Stale != 1 {
			t.Errorf("Status = %+v, want the worker stale", s)
		}
	})
}

func TestSetOverREST(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account(t)
		e := restClient(t, srv).Endpoint(endpointID)
		for _, w := range []struct {
			key   string
			value int
			want  error
		}{
			{endpoint.WorkersMin, 0, nil},
			{endpoint.WorkersMax, 0, nil},
			{endpoint.WorkersMin, 1, endpoint.ErrInvalid},
			{endpoint.WorkersMax, 11, endpoint.ErrQuota},
			{endpoint.WorkersMax, 4, nil},
		} {
			err := e.Set(t.Context(), w.key, w.value)
			if !errors.Is(err, w.want) {
				t.Errorf("Set(%s, %d) = %v, want %v", w.key, w.value, err, w.want)
			}
			var api *runpod.APIError
			if errors.As(err, &api) && errors.Is(w.want, endpoint.ErrQuota) {
				if n, ok := api.AtMost(); n != 10 || !ok || api.StatusCode != 400 {
					t.Errorf("refusal %v, at most %d", api, n)
				}
			}
		}
		if got := srv.Endpoint(endpointID); got.WorkersMin != 0 || got.WorkersMax != 4 || got.IdleTimeout != 5 {
			t.Errorf("ended at %+v", got)
		}
	})
}

// The answer to a write is lost: nobody says that it was refused, and what is
// read decides.
func TestAmbiguousPatch(t *testing.T) {
	for _, applied := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			srv := account(t)
			e := restClient(t, srv).Endpoint(endpointID)
			to := resolve(t, e, endpoint.Revision{Artifact: imageV2})
			srv.Fail(runpodtest.Call{Field: "updateEndpoint"}, runpodtest.Dropped(applied))
			err := e.Update(t.Context(), endpoint.Change{To: to})
			if !errors.Is(err, endpoint.ErrUnavailable) || endpoint.Unapplied(err) {
				t.Errorf("Update = %v, want it open", err)
			}
			if got := status(t, e).Desired.Same(to); got != applied {
				t.Errorf("applied %t, and the status shows %t", applied, got)
			}
			if n := len(srv.Mutations()); n != 1 {
				t.Errorf("%d writes, want one: it is never repeated", n)
			}
		})
	}
}

// RunPod may write the template that the endpoint is linked to, and with it
// every other endpoint: REST does not show the links, GraphQL does.
func TestSharedTemplateOverREST(t *testing.T) {
	const other = "otherendpoint1"
	share := func(st *runpodtest.State) {
		st.AddEndpoint(runpodtest.Endpoint{ID: other, Name: "other", TemplateID: liveID, WorkersMax: 2})
	}
	start := func(t *testing.T, opts ...runpodtest.Option) *world {
		t.Helper()
		return newWorld(t, route{name: "rest", target: rollout.ToArtifact(imageV2), goal: imageV2, changing: share},
			append(opts, runpodtest.WithBehaviour(runpodtest.Behaviour{PatchWritesTemplate: true}))...)
	}
	t.Run("refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := start(t)
			_, err := w.run(t.Context(), strategy.InPlace{})
			if !errors.Is(err, endpoint.ErrShared) || !strings.Contains(err.Error(), other) || len(fields(w.Server)) > 0 {
				t.Errorf("Run = %v, want it refused, naming %s", err, other)
			}
		})
	})
	t.Run("allowed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := start(t)
			w.allow = []runpod.EndpointOption{runpod.AllowSharedTemplate()}
			w.ep = w.endpoint(t)
			r, err := w.run(t.Context(), strategy.InPlace{})
			if err != nil || !strings.Contains(strings.Join(r.Plan.Notes, " "), other) {
				t.Errorf("Run = %v, want it to succeed and the plan to name %s", err, other)
			}
		})
	})
	t.Run("not told", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := start(t, runpodtest.WithKey(runpodtest.Key, runpodtest.RESTOnly))
			r, err := w.run(t.Context(), strategy.InPlace{})
			if err != nil || !strings.Contains(strings.Join(r.Plan.Notes, " "), "linked to this one's template") {
				t.Errorf("Run = %v, want it to succeed and the plan to say that sharing is not known", err)
			}
		})
	})
	t.Run("elsewhere", func(t *testing.T) {
		srv := account(t)
		srv.Do(share)
		e := restClient(t, srv, runpod.WithRESTURL("https://proxy.example/v2")).Endpoint(endpointID)
		to := resolve(t, e, endpoint.Revision{Artifact: imageV2})
		if _, err := e.Preflight(t.Context(), endpoint.Change{To: to}, nil); err != nil {
			t.Error(err)
		}
		for _, r := range srv.Requests() {
			if r.Path == "/graphql" {
				t.Error("the key went to RunPod behind a proxy's back")
			}
		}
	})
}

// A rollout that began over one transport is not guessed at over the other.
func TestResumeOverTheOtherTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, routes()[2])
		w.OnMutation(func(int, string) runpodtest.Fault { return runpodtest.Fault{Then: runtime.Goexit} })
		crashed := dies(func() { _, _ = w.run(t.Context(), strategy.InPlace{}) })
		if !crashed {
			t.Fatal("it did not die")
		}
		w.OnMutation(nil)
		report, err := rollout.Resume(t.Context(), w.store, restClient(t, w.Server).Endpoint(endpointID))
		if report.Outcome != rollout.OutcomeRefused || !errors.Is(err, endpoint.ErrInvalid) || !strings.Contains(err.Error(), "kind") {
			t.Errorf("Resume = %v, %v; want it refused", report, err)
		}
		report, err = rollout.Resume(t.Context(), w.store, w.endpoint(t))
		w.wantRolledBack(t, report, err)
	})
}

// What RunPod refuses, and in which words, over REST.
func TestRefusalsOverREST(t *testing.T) {
	for name, tt := range map[string]struct {
		fault runpodtest.Fault
		want  error
		says  string
	}{
		"validation": {runpodtest.Fault{
			Status: 422, Header: http.Header{"Content-Type": {"application/problem+json"}},
			Body: `{"title":"Unprocessable Entity","status":422,"detail":"Request validation failed.","errors":["$: additional properties 'imageName' not allowed"]}`,
		}, endpoint.ErrInvalid, "imageName"},
		"rule":          {runpodtest.Refused("allowedCudaVersions and minCudaVersion are mutually exclusive"), endpoint.ErrInvalid, "mutually exclusive"},
		"not found":     {runpodtest.Fault{Null: true}, endpoint.ErrNotFound, "no such endpoint"},
		"unavailable":   {runpodtest.HTTPStatus(503), endpoint.ErrUnavailable, "503"},
		"forbidden":     {runpodtest.Fault{Status: 403, Body: `{"title":"Forbidden","status":403,"detail":"access denied"}`}, endpoint.ErrUnauthorized, "RUNPOD_API_KEY"},
		"repeats a key": {runpodtest.Fault{Status: 400, Body: `{"detail":"bad key ` + runpodtest.Key + `"}`}, endpoint.ErrInvalid, "[redacted]"},
		"HTML with 200": {runpodtest.Fault{Body: "<html>"}, endpoint.ErrUnavailable, "HTML"},
		"cut short":     {runpodtest.Fault{Truncate: true}, endpoint.ErrUnavailable, "broke off"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := account(t)
			srv.Fail(runpodtest.Call{Field: "updateEndpoint"}, tt.fault)
			err := restClient(t, srv).Endpoint(endpointID).Set(t.Context(), endpoint.WorkersMax, 4)
			checkError(t, err, tt.want)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v does not say %q", err, tt.says)
			}
			noSecret(t, err.Error())
		})
	}
}

// What RunPod quotes need not have been sent: it may be what it has, or what it
// copies.
func TestRefusalQuotingSecretsOverREST(t *testing.T) {
	for _, to := range []endpoint.Revision{{Artifact: imageV3}, {ID: nextID}} {
		for _, quoted := range []string{secret, secret + " of the template"} {
			synctest.Test(t, func(t *testing.T) {
				srv := account(t)
				srv.Do(func(st *runpodtest.State) {
					st.EditTemplate(nextID, func(t *runpodtest.Template) { t.Env["HF_TOKEN"] = secret + " of the template" })
				})
				e := restClient(t, srv).Endpoint(endpointID, runpod.AllowTemplateCopy())
				to, err := e.Resolve(t.Context(), to)
				if err != nil {
					t.Fatal(err)
				}
				srv.Fail(runpodtest.Call{Field: "updateEndpoint"}, runpodtest.Refused("env HF_TOKEN="+quoted+" is not allowed"))
				checkError(t, e.Update(t.Context(), endpoint.Change{To: to}), endpoint.ErrInvalid)
			})
		}
	}
}

func TestKeysOverREST(t *testing.T) {
	srv := runpodtest.New(runpodtest.WithKey("rpa_JOB", runpodtest.JobsOnly), runpodtest.WithKey("rpa_MANAGEMENT", runpodtest.RESTOnly))
	srv.AddTemplate(runpodtest.Template{ID: liveID, Image: imageV1})
	srv.AddEndpoint(runpodtest.Endpoint{ID: endpointID, TemplateID: liveID, WorkersMin: 1, WorkersMax: 3})
	c, err := runpod.New("rpa_MANAGEMENT", runpod.WithHTTPClient(srv.Client()), runpod.WithJobKey("rpa_JOB"))
	if err != nil {
		t.Fatal(err)
	}
	if s := status(t, c.Endpoint(endpointID)); s.Phase != endpoint.PhaseReady {
		t.Errorf("Status = %+v", s)
	}
	if _, err := c.Endpoint(endpointID).Jobs(t.Context()); err != nil {
		t.Error(err)
	}
	c, err = runpod.New("rpa_JOB", runpod.WithHTTPClient(srv.Client()))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Endpoint(endpointID).Status(t.Context())
	checkError(t, err, endpoint.ErrUnauthorized)
}

// Worker facts, for people.
func TestUnhealthyNamesTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, routes()[0])
		w.AddImage(runpodtest.Image{Ref: imageV2, Fault: runpodtest.TurnsUnhealthy})
		_, err := w.run(t.Context(), strategy.InPlace{})
		if !errors.Is(err, endpoint.ErrUnhealthy) {
			t.Fatal(err)
		}
		for _, want := range []string{"UNHEALTHY", "version 8", imageV2, "RTX 4090 in US-KS-2"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %q does not say %q", err, want)
			}
		}
	})
}

// An image that is refused by RunPod itself leaves everything as it was.
func TestRefusedImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, routes()[0])
		w.Fail(runpodtest.Call{Field: "image"}, runpodtest.Fault{
			Status: 422, Body: `{"title":"Unprocessable Entity","status":422,"detail":"a container image that is not on the registry"}`,
		})
		r, err := w.run(t.Context(), strategy.FlushToZero{})
		w.wantRolledBack(t, r, err, endpoint.ErrInvalid)
		if !strings.Contains(err.Error(), "not on the registry") {
			t.Errorf("error %q is not in RunPod's words", err)
		}
	})
}

func TestLoadBalancerOverREST(t *testing.T) {
	srv := account(t)
	srv.Do(func(st *runpodtest.State) {
		st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.Type = "LB" })
	})
	e := restClient(t, srv).Endpoint(endpointID)
	if s := status(t, e); s.Phase != endpoint.PhaseReady || s.Pools[0].Ready != 2 {
		t.Errorf("Status = %+v", s)
	}
	if _, err := e.Jobs(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Jobs = %v, want ErrUnsupported", err)
	}
	if diff := cmp.Diff([]string{}, fields(srv)); diff != "" {
		t.Error(diff)
	}
}
