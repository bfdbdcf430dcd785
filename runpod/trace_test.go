package runpod_test

import (
	"context"
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

// idleWorld is an endpoint that scales to zero, and is there.
func idleWorld(t *testing.T, r route, b runpodtest.Behaviour) *world {
	t.Helper()
	w := newWorld(t, r, runpodtest.WithBehaviour(b))
	w.Do(func(st *runpodtest.State) {
		st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.WorkersMin = 0 })
	})
	time.Sleep(time.Hour)
	w.before = w.truth()
	return w
}

func (w *world) probe() rollout.Option {
	return rollout.WithProbe("one picture", sendJob(w.Client(), runpodtest.Key, endpointID, `{"prompt":"a cat"}`))
}

// wantNoJob fails if a job is left that nobody waits for.
func (w *world) wantNoJob(t *testing.T) {
	t.Helper()
	synctest.Wait()
	time.Sleep(time.Minute)
	if n := w.Jobs(endpointID); n.InQueue+n.InProgress > 0 {
		t.Errorf("jobs are left: %+v", n)
	}
}

func TestProbe(t *testing.T) {
	for name, b := range map[string]runpodtest.Behaviour{
		"plain":                    {JobTime: 20 * time.Second},
		"short jobs":               {},
		"reads lag":                {ReadLag: 20 * time.Second, JobLag: 10 * time.Second},
		"list of workers lags":     {WorkersLag: 20 * time.Second},
		"reads flicker":            {ReadLag: 20 * time.Second, ReadFlaps: true, JobTime: 10 * time.Second},
		"list of workers degraded": {DegradedWorkers: true},
		"bounds make releases":     {ScalingReleases: true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range routes() {
				for _, s := range r.strategies {
					t.Run(r.name+"/"+s.String(), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							w := idleWorld(t, r, b)
							report, err := w.run(t.Context(), s, w.probe())
							w.wantServing(t, report, err)
							if report.Proof != "probe" || w.Jobs(endpointID).Completed != 1 {
								t.Errorf("proof %q with %+v", report.Proof, w.Jobs(endpointID))
							}
							w.wantNoJob(t)
						})
					})
				}
			}
		})
	}
}

// An image that cannot do the job is rolled back, and no job is left behind.
func TestProbeOfABadImage(t *testing.T) {
	for name, tt := range map[string]struct {
		fault runpodtest.ImageFault
		want  error
	}{
		"unhealthy":    {runpodtest.TurnsUnhealthy, endpoint.ErrUnhealthy},
		"crash loop":   {runpodtest.CrashLoops, endpoint.ErrUnhealthy},
		"never starts": {runpodtest.NeverStarts, rollout.ErrStepTimeout},
		"fails jobs":   {runpodtest.FailsJobs, rollout.ErrCheck},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range routes() {
				for _, s := range r.strategies {
					t.Run(r.name+"/"+s.String(), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							w := idleWorld(t, r, runpodtest.Behaviour{})
							w.AddImage(runpodtest.Image{Ref: w.goal, Fault: tt.fault})
							report, err := w.run(t.Context(), s, w.probe(), rollout.WithStepTimeout(20*time.Minute))
							w.wantRolledBack(t, report, err, tt.want)
							w.wantNoJob(t)
						})
					})
				}
			}
		})
	}
}

// A paused endpoint refuses jobs until it is let have a worker, which the job
// plane learns late.
func TestProbeOfAPausedEndpoint(t *testing.T) {
	for _, r := range routesFor(strategy.InPlace{}) {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := idleWorld(t, r, runpodtest.Behaviour{JobLag: 20 * time.Second})
				w.Do(func(st *runpodtest.State) {
					st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.WorkersMax = 0 })
				})
				time.Sleep(time.Hour)
				w.before = w.truth()
				report, err := w.run(t.Context(), strategy.InPlace{}, w.probe(), rollout.AllowPaused())
				w.wantServing(t, report, err)
				if report.Proof != "probe" || w.truth().Max != 0 {
					t.Errorf("proof %q, maximum %d", report.Proof, w.truth().Max)
				}
			})
		})
	}
}

// A worker is traced by what it is known to run, and not otherwise.
func TestTrace(t *testing.T) {
	for _, r := range routesFor(strategy.InPlace{}) {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, r)
				ctx, old := t.Context(), w.Workers(endpointID)[0].ID
				want := func(when, worker string, rev endpoint.Revision, want error) {
					t.Helper()
					if err := w.ep.InspectWorker(ctx, worker, rev); !errors.Is(err, want) || want == nil && err != nil {
						t.Errorf("%s: Trace = %v, want %v", when, err, want)
					} else if err != nil {
						noSecret(t, err.Error())
					}
				}
				source := status(t, w.ep).Desired
				report, err := rollout.Preview(ctx, w.ep, strategy.InPlace{}, w.target)
				if err != nil {
					t.Fatal(err)
				}
				target := report.Target
				want("at rest", old, source, nil)
				want("another revision", old, target, endpoint.ErrDrift)
				want("no such worker", "z3jr9rv2k3tt2y", source, endpoint.ErrNotFound)
				want("no worker", "", source, endpoint.ErrNotFound)

				w.AddJobs(endpointID, time.Hour, time.Hour) // both workers stay
				if err := w.ep.Update(ctx, endpoint.Change{To: target}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Minute)
				want("the old one, by the new revision", old, target, endpoint.ErrDrift)
				want("the old one, by its own", old, source, endpoint.ErrDrift)
				time.Sleep(2 * time.Hour)
				want("gone", old, target, endpoint.ErrNotFound)
				for _, worker := range w.Workers(endpointID) {
					if worker.State == runpodtest.Idle {
						want("a new one", worker.ID, target, nil)
						want("a new one, by the old revision", worker.ID, source, endpoint.ErrDrift)
					}
				}
				w.Fail(runpodtest.Call{Op: runpodtest.Query}, runpodtest.HTTPStatus(http.StatusBadGateway))
				want("unavailable", old, target, endpoint.ErrUnavailable)
				done, cancel := context.WithCancel(ctx)
				cancel()
				if err := w.ep.InspectWorker(done, old, target); !errors.Is(err, context.Canceled) {
					t.Errorf("Trace with a done context = %v", err)
				}
			})
		})
	}
}

// A worker of which RunPod does not say what it runs proves nothing.
func TestTraceOfTheUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, routes()[0])
		id, now := w.Workers(endpointID)[0].ID, status(t, w.ep).Desired
		w.Fail(runpodtest.Call{Field: "listEndpointWorkers"}, runpodtest.Fault{
			Body: `{"endpointVersion":null,"workers":[{"id":"` + id + `","status":"RUNNING","isStale":null,"version":null,"image":null}]}`,
		})
		err := w.ep.InspectWorker(t.Context(), id, now)
		if !errors.Is(err, endpoint.ErrUnavailable) || !strings.Contains(err.Error(), id) {
			t.Errorf("Trace = %v", err)
		}
	})
}

var _ endpoint.WorkerInspector = (*runpod.Endpoint)(nil)
