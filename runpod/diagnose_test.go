package runpod_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
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

// TestWhyItIsStuck: a rollout that fails says which of the causes it is, names the
// worker with its place and since when, and ends with the last lines of its log,
// in which no secret is.
func TestWhyItIsStuck(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(*world)
		note    string // what it says of the cause, times aside
	}{
		"image cannot be pulled": {
			func(w *world) { w.target, w.goal = rollout.ToArtifact("acme/sdxl:missing"), "acme/sdxl:missing" },
			"worker trqwe609sb3hqv (INITIALIZING, version 8, acme/sdxl:missing, NVIDIA GeForce RTX 4090 in US-KS-2, since T) has been starting for D: " +
				"its image cannot be pulled; the last lines of its log: system: pulling image acme/[redacted]:missing | " +
				"system: error pulling image: manifest for acme/[redacted]:missing not found: manifest unknown",
		},
		"crash loop": {
			func(w *world) {
				w.AddImage(runpodtest.Image{Ref: imageV2, Fault: runpodtest.CrashLoops, Log: []string{"loading with token " + secret, "CUDA error: no kernel image"}})
			},
			"worker p2ttx6yomgx2o9 (RUNNING, version 8, acme/sdxl:v2, NVIDIA GeForce RTX 4090 in US-KS-2, since T) has been restarting for D: " +
				"its container starts and ends again and again (crash loop); the last lines of its log: " +
				"system: start container for acme/[redacted]:v2 | container: loading with token [redacted] | container: CUDA error: no kernel image | " +
				"system: start container for acme/[redacted]:v2 | container: loading with token [redacted] | container: CUDA error: no kernel image | " +
				"system: start container for acme/[redacted]:v2 | container: loading with token [redacted] | container: CUDA error: no kernel image",
		},
		"health check": {
			func(w *world) {
				w.AddImage(runpodtest.Image{Ref: imageV2, Fault: runpodtest.TurnsUnhealthy, Log: []string{"listening on 8080"}})
			},
			"worker p2ttx6yomgx2o9 (UNHEALTHY, version 8, acme/sdxl:v2, NVIDIA GeForce RTX 4090 in US-KS-2, since T) has been unhealthy for D: " +
				"it fails RunPod's health check; the last lines of its log: system: pulling image acme/[redacted]:v2 | " +
				"system: start container for acme/[redacted]:v2 | container: listening on 8080",
		},
		"never starts": {
			func(w *world) {
				w.AddImage(runpodtest.Image{Ref: imageV2, Fault: runpodtest.NeverStarts, Log: []string{"waiting for a newer driver"}})
			},
			"worker trqwe609sb3hqv (INITIALIZING, version 8, acme/sdxl:v2, NVIDIA GeForce RTX 4090 in US-KS-2, since T) has been starting for D: " +
				"its container has not come up; the last lines of its log: system: pulling image acme/[redacted]:v2 | " +
				"system: start container for acme/[redacted]:v2 | container: waiting for a newer driver",
		},
		"no capacity": {
			func(w *world) {
				w.Do(func(st *runpodtest.State) {
					st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.Locations = "US-KS-2,EU-RO-1" })
				})
				time.Sleep(10 * time.Minute)
				w.onFirst(func(st *runpodtest.State) { st.Throttle(endpointID, 24*time.Hour) })
			},
			"2 of 2 workers wait for hardware (RunPod has no GPU for 2 of 2 workers (ADA_24 in US-KS-2, EU-RO-1))",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, routes()[0])
				tt.prepare(w)
				_, err := w.run(t.Context(), strategy.InPlace{})
				if err == nil {
					t.Fatal("it succeeded")
				}
				t.Log(err)
				if said := withoutTimes(err.Error()); !strings.Contains(said, tt.note) {
					t.Errorf("error does not say\n%s\nbut\n%s", tt.note, said)
				}
				if strings.Contains(err.Error(), "flush") {
					t.Error("it advises a flush, which would not help")
				}
				noSecret(t, err.Error())
				logs := 0
				for _, r := range w.Requests() {
					if strings.HasSuffix(r.Path, "/logs") {
						logs++
					}
				}
				if logs > 12 {
					t.Errorf("the log was read %d times", logs)
				}
			})
		})
	}
}

var times = regexp.MustCompile(`\bfor (\d+[hms.]+)+s?|\bsince \d{4}-[^)]*Z`)

// withoutTimes makes "for D" and "since T" of times.
func withoutTimes(s string) string {
	return times.ReplaceAllStringFunc(s, func(at string) string {
		if strings.HasPrefix(at, "for") {
			return "for D"
		}
		return "since T"
	})
}

// TestLogsOverASocket: the stream of a log never ends, and may be long.
func TestLogsOverASocket(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	fake := account(t)
	fake.AddImage(runpodtest.Image{Ref: imageV1, Fault: runpodtest.TurnsUnhealthy, Log: []string{"first", "key " + runpodtest.Key, "last"}})
	fake.Do(func(st *runpodtest.State) {
		st.EditTemplate(liveID, func(t *runpodtest.Template) { t.DockerArgs = "again" }) // workers are started anew
	})
	for name, h := range map[string]http.Handler{
		"the fake": fake,
		"100 MB": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/logs") {
				fake.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			for range 100 {
				if _, err := w.Write([]byte("data: {\"source\":\"container\",\"line\":\"" + long + "\"}\n\n")); err != nil {
					return
				}
			}
		}),
		"refused": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/logs") {
				http.Error(w, "no", http.StatusForbidden)
				return
			}
			fake.ServeHTTP(w, r)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(h)
			defer srv.Close()
			c, err := runpod.New(runpodtest.Key, runpod.WithRESTURL(srv.URL+"/v2"), runpod.WithJobURL(srv.URL+"/v2"))
			if err != nil {
				t.Fatal(err)
			}
			fake.Fail(runpodtest.Call{Field: "listEndpointWorkers", Times: 1}, runpodtest.Fault{Body: `{"endpointVersion":7,"workers":[
				{"id":"` + fake.Workers(endpointID)[0].ID + `","status":"UNHEALTHY","isStale":false,"version":7,"image":"` + imageV1 + `"}]}`})
			start := time.Now()
			s, err := c.Endpoint(endpointID).Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
			if !strings.Contains(s.Reason, "it fails RunPod's health check") || len(s.Reason) > 1<<10 {
				t.Errorf("reason of %d bytes: %q", len(s.Reason), s.Reason)
			}
			noSecret(t, s.Reason)
		})
	}
}

// TestCrashLoopIsNoProof: workers that run for some seconds and die again are
// shown as ready by every view. Their starts move, and none is up for long.
func TestCrashLoopIsNoProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account(t)
		e := restClient(t, srv).Endpoint(endpointID)
		time.Sleep(time.Hour)
		before := status(t, e)
		if up := time.Since(before.UpSince); before.Restarts != 0 || up < time.Hour {
			t.Errorf("a good revision: %d restarts, up for %v", before.Restarts, up)
		}
		srv.AddImage(runpodtest.Image{Ref: imageV2, Fault: runpodtest.Flaps, After: 8 * time.Second})
		if err := e.Update(t.Context(), endpoint.Change{To: resolve(t, e, endpoint.Revision{Artifact: imageV2})}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		last := 0
		for range 20 {
			time.Sleep(5 * time.Second)
			s := status(t, e)
			if s.Phase != endpoint.PhaseReady || s.Pools[0].Ready != 2 {
				t.Fatalf("the views do not show it as ready: %+v", s)
			}
			if up := time.Since(s.UpSince); s.UpSince.IsZero() || up > 8*time.Second {
				t.Errorf("up for %v, and it lives 8s at most", up)
			}
			if s.Restarts < last {
				t.Errorf("%d restarts after %d", s.Restarts, last)
			}
			last = s.Restarts
		}
		if last < 10 {
			t.Errorf("%d restarts were seen", last)
		}
		if err := e.Update(t.Context(), endpoint.Change{To: before.Desired, Rollback: true}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		if s := status(t, e); s.Restarts != 0 || time.Since(s.UpSince) < time.Minute {
			t.Errorf("the source again: %d restarts, up since %v", s.Restarts, s.UpSince)
		}
	})
}

// TestBatchWorkers: workers of a batch job are neither stale nor ready, whatever
// they run, and whichever API shows them.
func TestBatchWorkers(t *testing.T) {
	for mark, name := range map[string]string{"": "rest", "kind": "graphql, template", "type": "graphql, image"} {
		for _, strat := range routeNamed(name).strategies {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, routeNamed(name), runpodtest.WithBehaviour(runpodtest.Behaviour{BatchMark: mark}))
				w.Do(func(st *runpodtest.State) { st.AddBatchWorkers(endpointID, "batch7", "acme/batch:9", 2) })
				s := status(t, w.ep)
				if want := (endpoint.Pool{Ready: 2}); s.Pools[0] != want || !s.Serving.Same(s.Desired) || s.Mixed {
					t.Errorf("%s: Status = %+v", name, s)
				}
				r, err := w.run(t.Context(), strat)
				if err != nil || r.Outcome != rollout.OutcomeSucceeded {
					t.Errorf("%s, %v: Run = %v", name, strat, err)
				}
			})
		}
	}
}

// TestLoadBalancerJobs: what cannot be counted is said to be so, at once and
// before anything is written.
func TestLoadBalancerJobs(t *testing.T) {
	for _, transport := range []runpod.Transport{runpod.REST, runpod.GraphQL} {
		srv := account(t)
		srv.Do(func(st *runpodtest.State) {
			st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.Type = "LB" })
		})
		e := client(t, srv, runpod.WithTransport(transport)).Endpoint(endpointID)
		for range 2 {
			if _, err := e.Jobs(t.Context()); !errors.Is(err, errors.ErrUnsupported) || endpoint.Transient(err) || !strings.Contains(err.Error(), "no queue") {
				t.Errorf("Jobs = %v, want ErrUnsupported", err)
			}
		}
		to := endpoint.Revision{Artifact: imageV2}
		if transport == runpod.GraphQL {
			to = endpoint.Revision{ID: nextID}
		}
		notes, err := e.Preflight(t.Context(), endpoint.Change{To: resolve(t, e, to)}, endpoint.Settings{endpoint.WorkersMax: 3})
		if err != nil || !strings.Contains(strings.Join(notes, " "), "cannot be counted, so that no step waits") {
			t.Errorf("Preflight = %q, %v", notes, err)
		}
	}
}

// TestCrashLoopEndsNoRolloutWell: whatever writes the revision, an image that dies
// after some seconds and is shown as ready in between is rolled back, with the worker
// that was seen and its log.
func TestCrashLoopEndsNoRolloutWell(t *testing.T) {
	eachRoute(t, runpodtest.Behaviour{}, func(t *testing.T, w *world, s strategy.Strategy) {
		t.Helper()
		if w.blind {
			t.Skip("GraphQL alone shows no start of a worker, and its preflight says so: see TestEvidence")
		}
		w.AddImage(runpodtest.Image{Ref: w.goal, Fault: runpodtest.Flaps, After: 8 * time.Second, Log: []string{"CUDA error"}})
		r, err := w.run(t.Context(), s)
		w.wantRolledBack(t, r, err, endpoint.ErrUnhealthy)
		for _, want := range []string{"have started again", "has been restarting for", "crash loop", "container: CUDA error"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %q does not say %q", err, want)
			}
		}
	})
}
