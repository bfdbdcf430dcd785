package runpod_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

func resolve(t *testing.T, e *runpod.Endpoint, r endpoint.Revision) endpoint.Revision {
	t.Helper()
	full, err := e.Resolve(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return full
}

func status(t *testing.T, e *runpod.Endpoint) endpoint.Status {
	t.Helper()
	s, err := e.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fields names the writes that a server got.
func fields(srv *runpodtest.Server) []string {
	names := []string{}
	for _, m := range srv.Mutations() {
		names = append(names, m.Fields[0])
	}
	return names
}

func TestUpdateLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account(t)
		e := client(t, srv).Endpoint(endpointID)
		from := status(t, e)
		if from.Phase != endpoint.PhaseReady || from.Serving.ID != liveID || from.Generation != "7" {
			t.Fatalf("before: %+v", from)
		}
		to := resolve(t, e, endpoint.Revision{ID: nextID})
		if err := e.Update(t.Context(), endpoint.Change{To: to}); err != nil {
			t.Fatal(err)
		}
		s := status(t, e)
		if s.Desired != to || !s.Serving.IsZero() || s.Phase != endpoint.PhaseUpdating || s.Pools[0].Stale != 2 || s.Generation != "8" {
			t.Errorf("after the write: %+v", s)
		}
		sawMixed := false
		for range 20 {
			time.Sleep(10 * time.Second)
			s = status(t, e)
			sawMixed = sawMixed || s.Mixed
			if s.Pools[0].Stale > 0 && (!s.Serving.IsZero() || s.Phase != endpoint.PhaseUpdating) {
				t.Errorf("with stale workers: %+v", s)
			}
		}
		if s.Serving != to || s.Phase != endpoint.PhaseReady || !sawMixed {
			t.Errorf("in the end: %+v, mixed on the way: %v", s, sawMixed)
		}
		if diff := cmp.Diff([]string{"updateEndpointTemplate"}, fields(srv)); diff != "" {
			t.Errorf("writes (-want +got):\n%s", diff)
		}
	})
}

// Replacing the image of the live template leaves everything else as it is.
func TestUpdateRewrites(t *testing.T) {
	for name, behaviour := range map[string]runpodtest.Behaviour{
		"at once":      {},
		"lag":          {ReadLag: 3 * time.Second},
		"flapping":     {ReadLag: 3 * time.Second, ReadFlaps: true},
		"blank at ~3s": {BlankDockerArgs: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := account(t, runpodtest.WithBehaviour(behaviour))
				time.Sleep(time.Minute)
				e := client(t, srv).Endpoint(endpointID)
				was, from := srv.Template(liveID), status(t, e).Desired
				to := resolve(t, e, endpoint.Revision{Artifact: imageV3})
				if to.ID != liveID || to.Artifact != imageV3 {
					t.Fatalf("Resolve = %v", to)
				}
				// There, and at once back again: the second read is the old one.
				for _, r := range []endpoint.Revision{to, from} {
					if err := e.Update(t.Context(), endpoint.Change{To: r}); err != nil {
						t.Fatal(err)
					}
					want := was
					want.Image = r.Artifact
					if diff := cmp.Diff(want, srv.Template(liveID)); diff != "" {
						t.Fatalf("template (-want +got):\n%s", diff)
					}
					time.Sleep(behaviour.ReadLag)
				}
			})
		})
	}
}

func TestUpdateLeavesEditedTemplate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account(t)
		e := client(t, srv).Endpoint(endpointID)
		to := resolve(t, e, endpoint.Revision{Artifact: imageV3})
		srv.Do(func(st *runpodtest.State) {
			st.EditTemplate(liveID, func(tm *runpodtest.Template) { tm.Env = map[string]string{"MODEL": "other"} })
		})
		if err := e.Update(t.Context(), endpoint.Change{To: to}); !errors.Is(err, endpoint.ErrDrift) {
			t.Errorf("Update = %v, want ErrDrift", err)
		}
		if n := fields(srv); len(n) != 0 {
			t.Errorf("writes: %v", n)
		}
		to.Digest = "" // unknown: the edit is carried over
		if err := e.Update(t.Context(), endpoint.Change{To: to}); err != nil {
			t.Fatal(err)
		}
		if tm := srv.Template(liveID); tm.Env["MODEL"] != "other" || tm.Image != imageV3 {
			t.Errorf("template = %+v", tm)
		}
	})
}

func TestUpdateRefuses(t *testing.T) {
	srv := account(t)
	e := client(t, srv).Endpoint(endpointID)
	good := endpoint.Revision{Kind: "template", ID: nextID, Artifact: imageV2}
	for name, c := range map[string]endpoint.Change{
		"nothing":       {},
		"an image":      {To: endpoint.Revision{Kind: "image", Artifact: imageV2}},
		"no id":         {To: endpoint.Revision{Kind: "template", Artifact: imageV2}},
		"impossible id": {To: endpoint.Revision{Kind: "template", ID: "a/b"}},
		"options":       {To: good, Options: json.RawMessage(`{"canary":true}`)},
		"bad image":     {To: endpoint.Revision{Kind: "template", ID: nextID, Artifact: "A B"}},
	} {
		if err := e.Update(t.Context(), c); !errors.Is(err, endpoint.ErrInvalid) {
			t.Errorf("%s: Update = %v, want ErrInvalid", name, err)
		}
		if _, err := e.Preflight(t.Context(), c, nil); !errors.Is(err, endpoint.ErrInvalid) {
			t.Errorf("%s: Preflight = %v, want ErrInvalid", name, err)
		}
	}
	if err := e.Update(t.Context(), endpoint.Change{To: good, Options: json.RawMessage("null ")}); err != nil {
		t.Errorf("null options: %v", err)
	}
}

func TestSet(t *testing.T) {
	tests := []struct {
		name  string
		key   string
		value int
		want  error
		says  []string
	}{
		{"min", endpoint.WorkersMin, 3, nil, nil},
		{"max", endpoint.WorkersMax, 2, nil, nil},
		{"same", endpoint.WorkersMax, 3, nil, nil},
		{"min above max", endpoint.WorkersMin, 4, endpoint.ErrInvalid, []string{"4", "3"}},
		{"max below min", endpoint.WorkersMax, 1, endpoint.ErrInvalid, []string{"1", "2"}},
		{"negative", endpoint.WorkersMin, -1, endpoint.ErrInvalid, nil},
		{"huge", endpoint.WorkersMax, 1 << 40, endpoint.ErrInvalid, nil},
		{"unknown", "workers.standby", 1, endpoint.ErrInvalid, []string{endpoint.WorkersMin, endpoint.WorkersMax}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := account(t)
				e := client(t, srv).Endpoint(endpointID)
				err := e.Set(t.Context(), tt.key, tt.value)
				if !errors.Is(err, tt.want) {
					t.Fatalf("Set = %v, want %v", err, tt.want)
				}
				if tt.want != nil {
					for _, s := range tt.says {
						if !strings.Contains(err.Error(), s) {
							t.Errorf("Set = %v, want a word about %s", err, s)
						}
					}
					if n := fields(srv); len(n) != 0 {
						t.Errorf("writes: %v", n)
					}
					return
				}
				if got := status(t, e).Settings[tt.key]; got != tt.value || len(fields(srv)) != 1 {
					t.Errorf("%s = %d after %v", tt.key, got, fields(srv))
				}
			})
		})
	}
}

// A read that is still old must not keep a bound from being restored.
func TestSetOverLaggingReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account(t, runpodtest.WithBehaviour(runpodtest.Behaviour{ReadLag: 5 * time.Second}))
		time.Sleep(time.Minute)
		c := client(t, srv)
		e := c.Endpoint(endpointID)
		set := func(e *runpod.Endpoint, key string, value int) {
			t.Helper()
			if err := e.Set(t.Context(), key, value); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		set(e, endpoint.WorkersMin, 0)
		set(e, endpoint.WorkersMax, 0)
		set(e, endpoint.WorkersMax, 3)
		set(e, endpoint.WorkersMin, 2)
		if d := time.Since(start); d != 0 {
			t.Errorf("the order down and up took %v", d)
		}
		time.Sleep(time.Minute)
		set(e, endpoint.WorkersMax, 5)
		set(c.Endpoint(endpointID), endpoint.WorkersMin, 4) // knows of no earlier write
		if got := srv.Endpoint(endpointID); got.WorkersMin != 4 || got.WorkersMax != 5 {
			t.Errorf("bounds are %d, %d", got.WorkersMin, got.WorkersMax)
		}
	})
}

func TestFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account(t)
		srv.AddJobs(endpointID, 20*time.Second)
		e := client(t, srv).Endpoint(endpointID)
		if j, err := e.Jobs(t.Context()); err != nil || j != (endpoint.Jobs{InFlight: 1}) {
			t.Errorf("Jobs = %v, %v", j, err)
		}
		for _, key := range []string{endpoint.WorkersMin, endpoint.WorkersMax} {
			if err := e.Set(t.Context(), key, 0); err != nil {
				t.Fatal(err)
			}
		}
		s := status(t, e)
		if s.Phase != endpoint.PhaseUpdating || s.Live() == 0 {
			t.Errorf("draining: %+v", s)
		}
		srv.AddJobs(endpointID, time.Second)
		time.Sleep(time.Minute)
		// The job plane has no say about an endpoint that runs nothing.
		srv.Fail(runpodtest.Call{Field: "health"}, runpodtest.HTTPStatus(503))
		if s = status(t, e); s.Phase != endpoint.PhasePaused || s.Live() != 0 || !s.Serving.IsZero() {
			t.Errorf("flushed: %+v", s)
		}
		if _, err := e.Jobs(t.Context()); !errors.Is(err, endpoint.ErrUnavailable) {
			t.Errorf("Jobs = %v, want ErrUnavailable", err)
		}
		if j, err := e.Jobs(t.Context()); err != nil || j != (endpoint.Jobs{Queued: 1}) {
			t.Errorf("Jobs = %v, %v", j, err)
		}
	})
}

func TestBrokenImages(t *testing.T) {
	for _, fault := range []runpodtest.ImageFault{runpodtest.TurnsUnhealthy, runpodtest.CrashLoops} {
		synctest.Test(t, func(t *testing.T) {
			srv := account(t)
			srv.AddImage(runpodtest.Image{Ref: imageV2, Fault: fault})
			e := client(t, srv).Endpoint(endpointID)
			if err := e.Update(t.Context(), endpoint.Change{To: resolve(t, e, endpoint.Revision{ID: nextID})}); err != nil {
				t.Fatal(err)
			}
			var s endpoint.Status
			for range 30 {
				time.Sleep(10 * time.Second)
				s = status(t, e)
				if !s.Serving.IsZero() || s.Phase == endpoint.PhaseReady || s.Pools[0].Ready > 0 {
					t.Fatalf("fault %v: %+v", fault, s)
				}
			}
			if s.Phase != endpoint.PhaseDegraded || s.Unhealthy() != 2 || s.Reason == "" {
				t.Errorf("fault %v: %+v", fault, s)
			}
		})
	}
}

// Workers that start, wait for a host, and work are no crash loop.
func TestBusyIsNotBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account(t, runpodtest.WithBehaviour(runpodtest.Behaviour{JobLag: 5 * time.Second}))
		time.Sleep(time.Minute)
		e := client(t, srv).Endpoint(endpointID)
		srv.Do(func(st *runpodtest.State) { st.Throttle(endpointID, 30*time.Second) })
		if err := e.Update(t.Context(), endpoint.Change{To: resolve(t, e, endpoint.Revision{ID: nextID})}); err != nil {
			t.Fatal(err)
		}
		for i := range 120 {
			if i > 60 {
				srv.AddJobs(endpointID, 500*time.Millisecond, time.Second)
			}
			time.Sleep(2 * time.Second)
			if s := status(t, e); s.Unhealthy() > 0 || s.Phase == endpoint.PhaseDegraded {
				t.Fatalf("after %d looks: %+v", i, s)
			}
		}
		if s := status(t, e); s.Serving.ID != nextID {
			t.Errorf("in the end: %+v", s)
		}
	})
}

func TestLoadBalancer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account(t)
		id := srv.AddEndpoint(runpodtest.Endpoint{TemplateID: nextID, Type: "LB", WorkersMin: 1, WorkersMax: 2})
		e := client(t, srv).Endpoint(id)
		if s := status(t, e); s.Phase != endpoint.PhaseReady || s.Serving.ID != nextID {
			t.Errorf("Status = %+v", s)
		}
		if _, err := e.Jobs(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Jobs = %v, want ErrUnsupported", err)
		}
		for _, r := range srv.Requests() {
			if r.Plane == runpodtest.JobPlane {
				t.Errorf("the job plane was asked: %s", r.Path)
			}
		}
	})
}

// An answer that says nothing of jobs does not say that there are none.
func TestHealthWithoutJobs(t *testing.T) {
	for _, body := range []string{`{}`, `{"status":"ok"}`, `{"jobs":{}}`, `{"workers":{}}`, `null`} {
		srv := account(t)
		srv.Fail(runpodtest.Call{Field: "health"}, runpodtest.Fault{Body: body})
		_, err := client(t, srv).Endpoint(endpointID).Jobs(t.Context())
		checkError(t, err, endpoint.ErrUnavailable)
	}
}

func TestNewEndpointOnTheJobPlane(t *testing.T) {
	srv := account(t)
	srv.Fail(runpodtest.Call{Field: "health"}, runpodtest.HTTPStatus(404))
	_, err := client(t, srv).Endpoint(endpointID).Status(t.Context())
	checkError(t, err, endpoint.ErrUnavailable)
}

// An answer without the template is completed by another read.
func TestTemplateLeftOut(t *testing.T) {
	srv := account(t)
	srv.Fail(runpodtest.Call{Field: "endpoint"}, runpodtest.Fault{Body: `{"data":{"myself":{"endpoint":{"id":"` + endpointID +
		`","templateId":"` + liveID + `","workersMin":0,"workersMax":3,"type":"QB","template":null,"pods":null}}}}`})
	s := status(t, client(t, srv).Endpoint(endpointID))
	if s.Desired.ID != liveID || s.Desired.Artifact != imageV1 || s.Desired.Digest == "" || s.Generation != "" {
		t.Errorf("Status = %+v", s)
	}
}

// A template that nobody shows leaves the versions to go by.
func TestTemplateNotShown(t *testing.T) {
	srv := account(t)
	srv.Fail(runpodtest.Call{Field: "endpoint", Times: -1}, runpodtest.Fault{Body: `{"data":{"myself":{"endpoint":{"id":"` + endpointID +
		`","templateId":"hiddentmpl","workersMin":1,"workersMax":3,"version":7,"pods":[` +
		`{"id":"a","desiredStatus":"RUNNING","slsVersion":7},{"id":"b","desiredStatus":"RUNNING","slsVersion":6}]}}}}`})
	e := client(t, srv).Endpoint(endpointID)
	s := status(t, e)
	if want := (endpoint.Revision{Kind: "template", ID: "hiddentmpl"}); s.Desired != want || s.Pools[0].Stale != 1 || !s.Serving.IsZero() {
		t.Errorf("Status = %+v", s)
	}
	cautions, err := e.Preflight(t.Context(), endpoint.Change{To: resolve(t, e, endpoint.Revision{ID: nextID})}, nil)
	if cautions = withoutRetirement(t, cautions); err != nil || len(cautions) != 1 || !strings.Contains(cautions[0], "hiddentmpl") {
		t.Errorf("Preflight = %q, %v", cautions, err)
	}
}

func TestBoundsLeftOut(t *testing.T) {
	srv := account(t)
	srv.Fail(runpodtest.Call{Field: "endpoint"}, runpodtest.Fault{Body: `{"data":{"myself":{"endpoint":{"id":"` + endpointID + `","workersMin":0}}}}`})
	_, err := client(t, srv).Endpoint(endpointID).Status(t.Context())
	checkError(t, err, endpoint.ErrUnavailable)
}

func TestHealthWithKeysLeftOut(t *testing.T) {
	srv := account(t, runpodtest.WithBehaviour(runpodtest.Behaviour{HealthOmits: []string{
		"ready", "initializing", "throttled", "unhealthy", "inQueue",
	}}))
	if s := status(t, client(t, srv).Endpoint(endpointID)); s.Phase != endpoint.PhaseReady || s.Pools[0].Ready != 2 {
		t.Errorf("Status = %+v", s)
	}
}

func TestConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account(t)
		e := client(t, srv).Endpoint(endpointID)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for name, err := range every(t.Context(), e) {
					if err != nil && !errors.Is(err, endpoint.ErrDrift) {
						t.Errorf("%s = %v", name, err)
					}
				}
			})
		}
		wg.Wait()
	})
}
