package rollout_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// job is one of 20 seconds, as a caller may have it: it names the worker that
// did it, and comes back when it is told to.
func job(ep func() *endpointtest.Workers) rollout.Job {
	return func(ctx context.Context) (string, error) {
		if err := ep().Enqueue(1, 20*time.Second); err != nil {
			return "", err
		}
		worker := ""
		for {
			i := slices.IndexFunc(ep().Truth().Workers, func(w endpointtest.Worker) bool { return !w.Busy.IsZero() })
			switch {
			case i >= 0:
				worker = ep().Truth().Workers[i].ID
			case worker != "":
				return worker, nil
			}
			select {
			case <-ctx.Done():
				return "", context.Cause(ctx)
			case <-time.After(time.Second):
			}
		}
	}
}

// eachIdle runs f for every strategy on an endpoint that scales to zero.
func eachIdle(t *testing.T, f func(t *testing.T, fx *fixture)) {
	t.Helper()
	for _, w := range ways() {
		t.Run(w.strategy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, idle(w, 3)) })
		})
	}
}

func idle(w way, most int) *fixture {
	ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
		Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Max: most, Quota: 10,
	})
	return &fixture{Workers: ep, way: w, before: ep.Protective()}
}

func (fx *fixture) job() rollout.Job { return job(func() *endpointtest.Workers { return fx.Workers }) }

func TestProbe(t *testing.T) {
	for name, tt := range map[string]struct {
		lag  time.Duration
		opts []rollout.Option
		lack time.Duration // of capacity
	}{
		"plain":                     {},
		"stale reads":               {lag: 20 * time.Second},
		"looked at now and then":    {opts: []rollout.Option{rollout.WithInterval(time.Minute)}},
		"no capacity for some time": {lack: 20 * time.Minute, opts: []rollout.Option{rollout.WithStepTimeout(5 * time.Minute), rollout.WithInterval(5 * time.Second)}},
		"and a bake":                {opts: []rollout.Option{rollout.WithBake(10 * time.Minute)}},
	} {
		t.Run(name, func(t *testing.T) {
			eachIdle(t, func(t *testing.T, fx *fixture) {
				fx.StaleReads(tt.lag)
				if tt.lack > 0 {
					fx.Foreign(func(s *endpointtest.WorkersState) { s.NoCapacity = time.Now().Add(tt.lack) })
				}
				r, err := fx.run(t.Context(), append(tt.opts, rollout.WithProbe("one picture", fx.job()))...)
				if err != nil || r.Proof != "probe" || fx.artifact() != fx.goal {
					t.Fatalf("Run = %v, proof %q, serves %s", err, r.Proof, fx.artifact())
				}
				if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
					t.Errorf("protective values (-before +after):\n%s", diff)
				}
				if text := r.Plan.String(); r.Plan.Probe != "one picture" || !strings.Contains(text, "probe by job one picture") || !strings.Contains(text, "wakes a worker") {
					t.Errorf("the plan does not say what is done:\n%s", text)
				}
			})
		})
	}
}

// A paused endpoint takes no jobs: it is let have one worker meanwhile.
func TestProbeOfAPausedEndpoint(t *testing.T) {
	for _, w := range ways() {
		for _, bad := range []bool{false, true} {
			t.Run(w.strategy.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					fx := idle(w, 0)
					if bad {
						fx.FailOn(fx.goal, "image pull backoff")
					}
					r, err := fx.run(t.Context(), rollout.AllowPaused(), rollout.WithProbe("p", fx.job()))
					if bad {
						fx.wantRolledBack(t, err, endpoint.ErrUnhealthy)
						return
					}
					if err != nil || r.Proof != "probe" || fx.artifact() != fx.goal {
						t.Errorf("Run = %v, proof %q, serves %s", err, r.Proof, fx.artifact())
					}
					if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
						t.Errorf("protective values (-before +after):\n%s", diff)
					}
				})
			})
		}
	}
}

// Workers that are up prove more than a job, and cost none.
func TestProbeIsForEndpointsWithoutWorkers(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		r, err := fx.run(t.Context(), rollout.WithProbe("p", func(context.Context) (string, error) {
			t.Error("the job was sent")
			return "", nil
		}))
		if err != nil || r.Proof != "workers" || r.Plan.Probe != "" {
			t.Errorf("Run = %v, proof %q, plan names %q", err, r.Proof, r.Plan.Probe)
		}
	})
}

func TestProbeThatDoesNotPass(t *testing.T) {
	for name, tt := range map[string]struct {
		job  func(fx *fixture) rollout.Job
		want error
		took time.Duration // of the step; zero: any
	}{
		"the job fails": {func(*fixture) rollout.Job {
			return func(context.Context) (string, error) { return "", context.DeadlineExceeded }
		}, context.DeadlineExceeded, 0},
		"no worker is named": {func(*fixture) rollout.Job {
			return func(context.Context) (string, error) { return "", nil }
		}, rollout.ErrCheck, 0},
		"a worker that is not there": {func(*fixture) rollout.Job {
			return func(context.Context) (string, error) { return "w99", nil }
		}, endpoint.ErrNotFound, 30 * time.Second},
		"a worker of the old revision": {func(fx *fixture) rollout.Job {
			return func(context.Context) (string, error) {
				fx.Foreign(func(s *endpointtest.WorkersState) {
					s.Workers = append(s.Workers, endpointtest.Worker{ID: "old", Up: true, Stuck: true})
				})
				return "old", nil
			}
		}, endpoint.ErrDrift, 30 * time.Second},
		"a worker of the old version": {func(fx *fixture) rollout.Job {
			return func(ctx context.Context) (string, error) {
				worker, err := fx.job()(ctx)
				fx.Foreign(func(s *endpointtest.WorkersState) { s.Version++ })
				return worker, err
			}
		}, endpoint.ErrDrift, 0},
	} {
		t.Run(name, func(t *testing.T) {
			eachIdle(t, func(t *testing.T, fx *fixture) {
				_, err := fx.run(t.Context(), rollout.WithProbe("p", tt.job(fx)))
				if !errors.Is(err, rollout.ErrRolledBack) && !errors.Is(err, rollout.ErrIncomplete) || !errors.Is(err, rollout.ErrCheck) || !errors.Is(err, tt.want) {
					t.Errorf("Run = %v, want it rolled back by %v and %v", err, rollout.ErrCheck, tt.want)
				}
				fx.wantAsBefore(t)
				var began time.Time
				for _, e := range fx.events {
					switch {
					case e.Step != "probe":
					case e.Kind == rollout.EventStep:
						began = e.Time
					case e.Kind == rollout.EventFail && tt.took > 0:
						if took := e.Time.Sub(began); took != tt.took {
							t.Errorf("given up after %v, want the settle time", took)
						}
					}
				}
			})
		})
	}
}

// What keeps the target from doing the job is told as that, at once, and the
// job is called off.
func TestProbeOfAFailingTarget(t *testing.T) {
	eachIdle(t, func(t *testing.T, fx *fixture) {
		fx.FailOn(fx.goal, "image pull backoff")
		calledOff := false
		_, err := fx.run(t.Context(), rollout.WithInterval(5*time.Second), rollout.WithProbe("p", func(ctx context.Context) (string, error) {
			worker, err := fx.job()(ctx)
			calledOff = errors.Is(err, context.Canceled)
			return worker, err
		}))
		fx.wantRolledBack(t, err, endpoint.ErrUnhealthy)
		if errors.Is(err, rollout.ErrCheck) || !strings.Contains(err.Error(), "image pull backoff") {
			t.Errorf("error %q, want the provider's words", err)
		}
		if synctest.Wait(); !calledOff {
			t.Error("the job was not called off")
		}
	})
}

// A job that does not come back keeps nothing from going on.
func TestProbeThatHangs(t *testing.T) {
	for name, tt := range map[string]struct {
		opt  rollout.Option
		want error
	}{
		"by its time":  {rollout.WithStepTimeout(10 * time.Minute), rollout.ErrStepTimeout},
		"by the whole": {rollout.WithTimeout(10 * time.Minute), rollout.ErrTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			eachIdle(t, func(t *testing.T, fx *fixture) {
				hung := make(chan struct{})
				defer close(hung)
				_, err := fx.run(t.Context(), tt.opt, rollout.WithProbe("p", func(context.Context) (string, error) {
					<-hung
					return "", nil
				}))
				fx.wantRolledBack(t, err, tt.want)
			})
		})
	}
}

// A rollout that is resumed forward passes with the job that is in its plan.
func TestProbeAfterACrash(t *testing.T) {
	for name, tt := range map[string]struct {
		with   func(fx *fixture) rollout.Option
		passes bool
	}{
		"given again":    {func(fx *fixture) rollout.Option { return rollout.WithProbe("p", fx.job()) }, true},
		"another one":    {func(fx *fixture) rollout.Option { return rollout.WithProbe("q", fx.job()) }, false},
		"not given":      {func(*fixture) rollout.Option { return rollout.WithProof(strategy.ProofProbe) }, false},
		"another policy": {func(*fixture) rollout.Option { return rollout.WithProof(strategy.ProofConfiguration) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			eachIdle(t, func(t *testing.T, fx *fixture) {
				store := journal.NewMemory()
				_, crashed, _ := survive(func() (*rollout.Report, error) {
					return rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, rollout.WithProbe("p", fx.job()), rollout.WithHook(func(e rollout.Event) {
						if e.Step == "probe" && e.Kind == rollout.EventPoll {
							runtime.Goexit()
						}
					}))
				})
				if !crashed {
					t.Fatal("it did not crash")
				}
				r, err := rollout.Resume(t.Context(), store, fx, rollout.WithForward(), tt.with(fx))
				if !tt.passes {
					fx.wantRolledBack(t, err, rollout.ErrCheck)
					return
				}
				if err != nil || r.Proof != "probe" || fx.artifact() != fx.goal {
					t.Errorf("Resume = %v, proof %q, serves %s", err, r.Proof, fx.artifact())
				}
			})
		})
	}
}

// traceless is an updater that cannot tell what a worker runs.
type traceless struct {
	endpoint.Updater
	endpoint.Resolver
}

func TestProbeIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fx := idle(ways()[0], 3)
		for _, tt := range []struct {
			u    endpoint.Updater
			opt  rollout.Option
			want error
		}{
			{fx, rollout.WithProof(strategy.ProofProbe), endpoint.ErrInvalid},
			{fx, rollout.WithProbe("", fx.job()), endpoint.ErrInvalid},
			{fx, rollout.WithProbe("p", nil), endpoint.ErrInvalid},
			{traceless{fx, fx}, rollout.WithProbe("p", fx.job()), errors.ErrUnsupported},
		} {
			_, err := rollout.Run(t.Context(), journal.NewMemory(), tt.u, fx.strategy, fx.target, tt.opt)
			if !errors.Is(err, tt.want) || len(fx.writes()) > 0 {
				t.Errorf("Run = %v and wrote %v, want it refused by %v", err, fx.writes(), tt.want)
			}
		}
	})
}

// While the job is done the endpoint is looked at as in any wait, not as in one
// that is as good as over.
func TestProbeLooksUnhurriedly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fx := idle(ways()[0], 3)
		_, err := fx.run(t.Context(), rollout.WithProbe("p", func(ctx context.Context) (string, error) {
			select {
			case <-ctx.Done():
				return "", ctx.Err()
			case <-time.After(20 * time.Minute):
				return fx.job()(ctx)
			}
		}))
		looks := 0
		for _, e := range fx.events {
			if e.Step == "probe" && e.Kind == rollout.EventPoll {
				looks++
			}
		}
		if err != nil || looks > 200 {
			t.Errorf("Run = %v, with %d looks in twenty minutes", err, looks)
		}
	})
}
