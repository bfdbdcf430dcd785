package runpod_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/strategy"
)

// What the platform, and other people, do in the middle of a rollout.

// onFirst lets f happen right after the first write of a revision.
func (w *world) onFirst(f func(*runpodtest.State)) {
	done := false
	w.OnMutation(func(_ int, field string) runpodtest.Fault {
		revision := slices.Contains([]string{"updateEndpointTemplate", "saveTemplate"}, field)
		if field == "updateEndpoint" {
			r := w.Mutations()
			_, bounds := r[len(r)-1].Args["workers"]
			revision = !bounds
		}
		if done || !revision {
			return runpodtest.Fault{}
		}
		done = true
		return runpodtest.Fault{Then: func() { w.Do(f) }}
	})
}

// Another writer's image in the middle, or whatever a revision is known by, ends
// the rollout: it is kept, and so are the bounds.
func TestSuperseded(t *testing.T) {
	for name, f := range map[string]func(*runpodtest.State){
		"image": func(st *runpodtest.State) {
			editContent(st, func(t *runpodtest.Template) { t.Image = "acme/sdxl:theirs" })
		},
		"build": func(st *runpodtest.State) { st.Build(endpointID, "bld7", "acme/sdxl:theirs") },
		"environment": func(st *runpodtest.State) {
			editContent(st, func(t *runpodtest.Template) { t.Env = map[string]string{"MODEL": "theirs"} })
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachRoute(t, runpodtest.Behaviour{}, func(t *testing.T, w *world, s strategy.Strategy) {
				t.Helper()
				if w.name == "rest" && name == "environment" {
					t.Skip("a rollout of an image writes no variable: see TestForeignFieldIsKept")
				}
				w.onFirst(func(st *runpodtest.State) { f(st) })
				r, err := w.run(t.Context(), s)
				if !errors.Is(err, endpoint.ErrDrift) || r.Outcome != rollout.OutcomeSuperseded {
					t.Fatalf("Run = %v; want it superseded", err)
				}
				theirs := w.truth()
				if name != "environment" && theirs.Image != "acme/sdxl:theirs" || name == "environment" && theirs.Env["MODEL"] != "theirs" {
					t.Errorf("their change was overwritten: %+v", theirs)
				}
				if theirs.Min != w.before.Min || theirs.Max != w.before.Max {
					t.Errorf("bounds %d, %d; want them as before", theirs.Min, theirs.Max)
				}
				w.wantNoSecret(t, r, err)
			})
		})
	}
}

// What nobody knows of, and was there before the rollout began, is part of both
// revisions: it is no reason not to arrive, nor not to get back.
func TestUnseenReleaseBefore(t *testing.T) {
	for _, bad := range []bool{false, true} {
		for _, b := range []runpodtest.Behaviour{{}, {ReadLag: 20 * time.Second, ReadFlaps: true}, {DegradedWorkers: true}, {HideReleaseValues: true}} {
			eachRoute(t, b, func(t *testing.T, w *world, s strategy.Strategy) {
				t.Helper()
				w.Do(func(st *runpodtest.State) { editContent(st, func(t *runpodtest.Template) { t.StartScript = "theirs" }) })
				time.Sleep(10 * time.Minute)
				w.before = w.truth()
				if bad {
					w.AddImage(runpodtest.Image{Ref: w.goal, Fault: runpodtest.TurnsUnhealthy})
				}
				r, err := w.run(t.Context(), s)
				if bad {
					w.wantRolledBack(t, r, err, endpoint.ErrUnhealthy)
					return
				}
				w.wantServing(t, r, err)
			})
		}
	}
}

// An update is one write where such a release is in the history too.
func TestUpdateAfterAnUnseenRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, routes()[0])
		w.Do(func(st *runpodtest.State) { editContent(st, func(t *runpodtest.Template) { t.StartScript = "theirs" }) })
		time.Sleep(10 * time.Minute)
		to, err := w.ep.Resolve(t.Context(), endpoint.Revision{Artifact: imageV2})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.ep.Update(t.Context(), endpoint.Change{To: to}); err != nil || len(w.Mutations()) != 1 {
			t.Errorf("Update = %v, with %d writes", err, len(w.Mutations()))
		}
		if got := status(t, w.ep).Desired; got != to {
			t.Errorf("desired is %v, want %v", got, to)
		}
	})
}

// A list of workers that is of a newer version than the history reaches up to
// proves nothing yet: the release that is missing may be anybody's.
func TestHistoryThatIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, routes()[0])
		w.Fail(runpodtest.Call{Field: "listEndpointReleases", Times: 2}, runpodtest.Fault{Body: `{"endpointVersion":6,"releases":[]}`})
		for range 2 {
			if s := status(t, w.ep); !s.Serving.IsZero() || s.Desired.IsZero() {
				t.Errorf("serving %s by a history that ends at version 6", s.Serving)
			}
		}
		if s := status(t, w.ep); s.Serving.IsZero() {
			t.Errorf("not serving by the whole history: %+v", s)
		}
	})
}

// editContent edits the template that the endpoint's settings are in.
func editContent(st *runpodtest.State, f func(*runpodtest.Template)) {
	var id string
	st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { id = e.TemplateID })
	st.EditTemplate(id, f)
}

// A change of bounds that makes a release of its own is not taken for one.
func TestBoundsAreNotARelease(t *testing.T) {
	eachRoute(t, runpodtest.Behaviour{ScalingReleases: true}, func(t *testing.T, w *world, s strategy.Strategy) {
		t.Helper()
		w.onFirst(func(st *runpodtest.State) {
			st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.WorkersMax = 7 })
		})
		r, err := w.run(t.Context(), s)
		if err != nil || r.Outcome != rollout.OutcomeSucceeded {
			t.Fatal(err)
		}
		want := []journal.Drift{{Thing: endpoint.WorkersMax, Want: "3", Found: "7"}}
		if diff := cmp.Diff(want, r.Drift); diff != "" || w.truth().Max != 7 {
			t.Errorf("maximum %d, drift (-want +got):\n%s", w.truth().Max, diff)
		}
	})
}

// No capacity is not the revision's fault, and has a deadline of its own.
func TestThrottled(t *testing.T) {
	for name, tt := range map[string]struct {
		lasts time.Duration
		opts  []rollout.Option
		fails bool
	}{
		"ten minutes":                         {10 * time.Minute, nil, false},
		"longer than the wait for a revision": {10 * time.Minute, []rollout.Option{rollout.WithStepTimeout(3 * time.Minute)}, false},
		"longer than anybody waits":           {2 * time.Hour, []rollout.Option{rollout.WithStepTimeout(5 * time.Minute), rollout.WithCapacityTimeout(10 * time.Minute)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			eachRoute(t, runpodtest.Behaviour{}, func(t *testing.T, w *world, s strategy.Strategy) {
				t.Helper()
				w.onFirst(func(st *runpodtest.State) { st.Throttle(endpointID, tt.lasts) })
				start := time.Now()
				r, err := w.run(t.Context(), s, tt.opts...)
				if !tt.fails {
					w.wantServing(t, r, err)
					if took := time.Since(start); took < tt.lasts {
						t.Errorf("done after %v, without capacity", took)
					}
					return
				}
				if !errors.Is(err, rollout.ErrStepTimeout) || !strings.Contains(err.Error(), "capacity") {
					t.Errorf("error %v, want it to be the deadline and to name the capacity", err)
				}
				if want := "RunPod has no GPU for 2 of 2 workers (ADA_24 in any data center)"; !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "would replace") {
					t.Errorf("error %v, want it to say %q, and to advise no flush", err, want)
				}
				if took := time.Since(start); took > 90*time.Minute {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// A rolling release that never replaces an active worker is rolled back, and
// the error says who stayed and what would have replaced them.
func TestActiveWorkerNeverRecycles(t *testing.T) {
	eachRoute(t, runpodtest.Behaviour{StuckActive: true}, func(t *testing.T, w *world, s strategy.Strategy) {
		t.Helper()
		stuck := w.Workers(endpointID)[0].ID
		r, err := w.run(t.Context(), s)
		if s.String() == "flush-to-zero" {
			w.wantServing(t, r, err) // nobody is left that could stay
			return
		}
		w.wantRolledBack(t, r, err, rollout.ErrNotConverged, rollout.ErrStepTimeout)
		for _, want := range []string{stuck, imageV1, "flush-to-zero"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %q does not name %s", err, want)
			}
		}
	})
}

// A worker that never ends its job keeps a flush from going on, and nothing more.
func TestWorkerNeverDrains(t *testing.T) {
	for _, r := range routesFor(strategy.FlushToZero{}) {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, r)
				w.AddJobs(endpointID, 100*time.Hour)
				time.Sleep(time.Minute)
				report, err := w.run(t.Context(), strategy.FlushToZero{}, rollout.WithStepTimeout(20*time.Minute))
				w.wantRolledBack(t, report, err, rollout.ErrStepTimeout)
			})
		})
	}
}

// RunPod scales an endpoint down to 0 whose workers only fail. That is nobody's
// decision: with the source back, the bounds are too.
func TestPlatformScalesDown(t *testing.T) {
	for name, b := range map[string]runpodtest.Behaviour{
		"before the verdict": {CrashScaleDown: 20 * time.Second},
		"on the way back":    {CrashScaleDown: 42 * time.Second},
		"later":              {CrashScaleDown: 3 * time.Minute},
		"and reads flicker":  {CrashScaleDown: 20 * time.Second, ReadLag: 15 * time.Second, ReadFlaps: true},
		"and makes releases": {CrashScaleDown: 20 * time.Second, ScalingReleases: true},
	} {
		for fault, image := range map[string]runpodtest.ImageFault{"unhealthy": runpodtest.TurnsUnhealthy, "crash loop": runpodtest.CrashLoops} {
			t.Run(name+"/"+fault, func(t *testing.T) {
				if image == runpodtest.CrashLoops {
					b.CrashScaleDown += 50 * time.Second // a loop takes three starts to see
				}
				eachRoute(t, b, func(t *testing.T, w *world, s strategy.Strategy) {
					t.Helper()
					w.AddImage(runpodtest.Image{Ref: w.goal, Fault: image})
					r, err := w.run(t.Context(), s)
					w.wantRolledBack(t, r, err)
					if !errors.Is(err, endpoint.ErrUnhealthy) && !errors.Is(err, endpoint.ErrFailed) {
						t.Errorf("error is %v, want the workers' failure to be the cause", err)
					}
					if len(r.Drift) > 0 {
						t.Errorf("drift %v: the platform is taken for a person", r.Drift)
					}
				})
			})
		}
	}
}

// dying is a store whose process dies once a record of that kind is durable.
type dying struct {
	*journal.Memory

	at journal.RecordKind
}

func (d dying) Append(ctx context.Context, name string, r journal.Record) error {
	err := d.Memory.Append(ctx, name, r)
	if err == nil && r.Kind == d.at {
		runtime.Goexit()
	}
	return err
}

// That RunPod is going to scale down is on record before it does, so that a
// process that never saw the workers fail knows whose doing it is.
func TestPlatformScalesDownAfterTheProcessDied(t *testing.T) {
	for fault, image := range map[string]runpodtest.ImageFault{"unhealthy": runpodtest.TurnsUnhealthy, "crash loop": runpodtest.CrashLoops} {
		for _, delay := range []time.Duration{4 * time.Minute, time.Hour, 24 * time.Hour} {
			t.Run(fmt.Sprintf("%s/resumed after %v", fault, delay), func(t *testing.T) {
				eachRoute(t, runpodtest.Behaviour{CrashScaleDown: 3 * time.Minute}, func(t *testing.T, w *world, s strategy.Strategy) {
					t.Helper()
					w.AddImage(runpodtest.Image{Ref: w.goal, Fault: image})
					died := dies(func() {
						_, _ = rollout.Run(t.Context(), dying{w.store, journal.KindOverridden}, w.ep, s, w.target, rollout.WithInterval(5*time.Second))
					})
					if !died {
						t.Fatal("it did not die")
					}
					time.Sleep(delay)
					if got := w.truth(); got.Max != 0 {
						t.Fatalf("RunPod has not scaled it down: %+v", got)
					}
					r, err := rollout.Resume(t.Context(), w.store, w.endpoint(t), rollout.WithObserver(w.observe))
					w.wantRolledBack(t, r, err)
					if len(r.Drift) > 0 {
						t.Errorf("drift %v: the platform is taken for a person", r.Drift)
					}
				})
			})
		}
	}
}

// A person who pauses a healthy endpoint is not taken for the platform, by this
// process or another one.
func TestPausedByAPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, routes()[0])
		w.onFirst(func(st *runpodtest.State) {
			st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.WorkersMin, e.WorkersMax = 0, 0 })
		})
		r, err := w.run(t.Context(), strategy.InPlace{}, rollout.WithStepTimeout(5*time.Minute))
		if err == nil || w.truth().Max != 0 || len(r.Drift) != 2 {
			t.Errorf("Run = %v, drift %v; maximum %d, want theirs", err, r.Drift, w.truth().Max)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, routes()[0])
		w.OnMutation(func(int, string) runpodtest.Fault {
			return runpodtest.Fault{Then: runtime.Goexit}
		})
		if !dies(func() { _, _ = w.run(t.Context(), strategy.InPlace{}) }) {
			t.Fatal("it did not die")
		}
		w.OnMutation(nil)
		time.Sleep(time.Minute)
		w.Do(func(st *runpodtest.State) {
			st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.WorkersMin, e.WorkersMax = 0, 0 })
		})
		r, err := rollout.Resume(t.Context(), w.store, w.endpoint(t), rollout.WithStepTimeout(5*time.Minute))
		if !errors.Is(err, rollout.ErrRolledBack) && !errors.Is(err, rollout.ErrIncomplete) || w.truth().Max != 0 || len(r.Drift) != 2 {
			t.Errorf("Resume = %v, drift %v; maximum %d, want theirs", err, r.Drift, w.truth().Max)
		}
	})
}

// The quota that the flush gave up is taken by another endpoint.
func TestQuotaRefusesTheRestore(t *testing.T) {
	for _, r := range routesFor(strategy.FlushToZero{}) {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, r, runpodtest.WithQuota(3))
				w.onFirst(func(st *runpodtest.State) {
					st.AddTemplate(runpodtest.Template{ID: "othertmpl1", Image: "acme/other:v1"})
					st.AddEndpoint(runpodtest.Endpoint{ID: "otherendpoint1", TemplateID: "othertmpl1", WorkersMax: 1})
				})
				report, err := w.run(t.Context(), strategy.FlushToZero{})
				var api *runpod.APIError
				if !errors.Is(err, rollout.ErrIncomplete) || !errors.Is(err, endpoint.ErrQuota) || !errors.As(err, &api) {
					t.Fatalf("Run = %v, want it incomplete by the quota", err)
				}
				if now := w.truth(); now.Max != 2 || now.Image != imageV1 {
					t.Errorf("left at %+v, want the most that the quota allows, on the source", now)
				}
				if !strings.Contains(fmt.Sprint(report.Residue), "set workers.max to 3") {
					t.Errorf("residue %q", report.Residue)
				}
				w.Do(func(st *runpodtest.State) { st.RemoveEndpoint("otherendpoint1") })
				report, err = rollout.Resume(t.Context(), w.store, w.endpoint(t))
				w.wantRolledBack(t, report, err)
			})
		})
	}
}

// After the maximum was restored the job plane goes on refusing jobs for a
// while. When the rollout is over, it does not.
func TestJobPlaneLagsBehindTheRestore(t *testing.T) {
	for _, lag := range []time.Duration{20 * time.Second, 3 * time.Minute} {
		t.Run(lag.String(), func(t *testing.T) {
			for _, r := range routesFor(strategy.FlushToZero{}) {
				t.Run(r.name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t, r, runpodtest.WithBehaviour(runpodtest.Behaviour{JobLag: lag}))
						report, err := w.run(t.Context(), strategy.FlushToZero{})
						w.wantServing(t, report, err)
						req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, runpod.DefaultJobURL+"/"+endpointID+"/run", strings.NewReader(`{"input":{}}`))
						if err != nil {
							t.Fatal(err)
						}
						req.Header.Set("Authorization", runpodtest.Key)
						res, err := w.Client().Do(req)
						if err != nil {
							t.Fatal(err)
						}
						defer func() { _ = res.Body.Close() }()
						if res.StatusCode != http.StatusOK {
							t.Errorf("a job right after success: %s", res.Status)
						}
					})
				})
			}
		})
	}
}

// A paused endpoint is refused, whoever paused it; here it is the platform,
// after a week without a request.
func TestPausedByThePlatform(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, routes()[0])
		time.Sleep(8 * 24 * time.Hour)
		_, err := w.run(t.Context(), strategy.InPlace{})
		if !errors.Is(err, endpoint.ErrPaused) || len(fields(w.Server)) > 0 {
			t.Errorf("Run = %v, want it refused", err)
		}
	})
}
