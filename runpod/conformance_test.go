package runpod_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/rollout/rollouttest"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

// sweepsOf are the crashes of each strategy. The other misfortunes are swept by
// TestSweep.
func sweepsOf(route string, b runpodtest.Behaviour) map[string]endpointtest.Sweep {
	all := map[string]endpointtest.Sweep{}
	for _, s := range everySwept() {
		if s.behaviour = b; s.name == route && !s.bad {
			sweep := s.sweep(rollouttest.DiesSending)
			sweep.OneIn = 64
			all[s.strategy.String()] = sweep
		}
	}
	return all
}

func TestConformance(t *testing.T) {
	for transport, to := range map[string]endpoint.Revision{
		"rest":                {Artifact: imageV2},
		"rest, template copy": {ID: nextID},
		"graphql, template":   {ID: nextID},

		"graphql, template, without rest": {ID: nextID},
	} {
		for name, b := range map[string]runpodtest.Behaviour{
			"as documented": {},
			"paged":         {PageSize: 1},
			"lagging":       {ReadLag: 15 * time.Second, JobLag: 20 * time.Second, WorkersLag: 5 * time.Second},
		} {
			t.Run(transport+"/"+name, func(t *testing.T) {
				if testing.Short() && name != "as documented" {
					t.Skip("SKIPPED: RunPod as documented stands for the others with -short")
				}
				t.Parallel()
				endpointtest.Run(t, endpointtest.Harness{New: func(t testing.TB) endpointtest.Subject {
					return subject(t, newWorld(t, routeNamed(transport), runpodtest.WithBehaviour(b)), to)
				}, Sweeps: sweepsOf(transport, b)})
			})
		}
	}
}

// TestConformanceOfLoadBalancer is the suite on an endpoint without a queue. A flush
// waits for no jobs there, as they cannot be counted: see TestSweepAgain.
func TestConformanceOfLoadBalancer(t *testing.T) {
	for transport, to := range map[string]endpoint.Revision{"rest": {Artifact: imageV2}, "graphql, template": {ID: nextID}} {
		for name, b := range map[string]runpodtest.Behaviour{"as documented": {}, "paged": {PageSize: 1}} {
			t.Run(transport+"/"+name, func(t *testing.T) {
				if testing.Short() && name != "as documented" {
					t.Skip("SKIPPED: RunPod as documented stands for the others with -short")
				}
				t.Parallel()
				endpointtest.Run(t, endpointtest.Harness{New: func(t testing.TB) endpointtest.Subject {
					r := routeNamed(transport)
					r.changing = loadBalancer
					s := subject(t, newWorld(t, r, runpodtest.WithBehaviour(b)), to)
					s.Enqueue = nil // there is nothing to count
					return s
				}, Sweeps: loadBalancerSweeps(transport)})
			})
		}
	}
}

// loadBalancerSweeps are the crashes of every strategy on such an endpoint.
func loadBalancerSweeps(route string) map[string]endpointtest.Sweep {
	all := map[string]endpointtest.Sweep{}
	for _, s := range everySwept() {
		if s.name == route && !s.bad {
			s.changing = loadBalancer
			sweep := s.sweep(rollouttest.DiesSending)
			sweep.OneIn = 64
			all[s.String()] = sweep
		}
	}
	return all
}

// loadBalancer makes the endpoint one without a queue.
func loadBalancer(st *runpodtest.State) {
	st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.Type = "LB" })
}

// subject is an endpoint of the fake for the conformance suite.
func subject(t testing.TB, w *world, to endpoint.Revision) endpointtest.Subject {
	t.Helper()
	full, err := w.ep.Resolve(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	s := endpointtest.Subject{
		Updater: w.ep, To: full,
		Mutations:    func() int { return len(w.Mutations()) },
		DropResponse: func(applied bool) { w.Fail(runpodtest.Call{Op: runpodtest.Mutation}, runpodtest.Dropped(applied)) },
		BreakTarget:  func() { w.AddImage(runpodtest.Image{Ref: imageV2, Fault: runpodtest.TurnsUnhealthy}) },
		HangResponse: func(applied bool) {
			w.Fail(runpodtest.Call{Op: runpodtest.Mutation}, runpodtest.Fault{Delay: 24 * time.Hour, Applied: applied})
		},
		FailReads: func() {
			w.Fail(runpodtest.Call{Op: runpodtest.Query, Times: -1}, runpodtest.HTTPStatus(http.StatusServiceUnavailable))
		},
		Enqueue: func(n int) {
			for range n {
				w.AddJobs(endpointID, 24*time.Hour)
			}
		},
		Actual: w.actual,
		Pause:  w.edit(func(e *runpodtest.Endpoint) { e.WorkersMin, e.WorkersMax = 0, 0 }),
		Empty:  w.edit(func(e *runpodtest.Endpoint) { e.WorkersMin = 0 }),
		Key:    endpoint.WorkersMax, Value: 4, Others: endpoint.Settings{endpoint.WorkersMin: 1},
		Secrets: []string{runpodtest.Key, secret},
	}
	if w.linked != "" {
		s.Base, s.Artifact = endpoint.Revision{Kind: "template", ID: nextID}, imageV3
		s.TakeName = func(d endpoint.Draft) {
			w.Do(func(st *runpodtest.State) {
				st.EditTemplate(d.Revision.ID, func(t *runpodtest.Template) { t.Image = "acme/other:v9" })
			})
		}
	}
	return s
}
