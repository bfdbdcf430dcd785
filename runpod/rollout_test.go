package runpod_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/strategy"
)

// Whole rollouts over the real GraphQL client.

// move is a strategy with where it goes to.
type move struct {
	strategy strategy.Strategy
	target   strategy.Target
	template string // linked at the end
	image    string
}

func moves() []move {
	return []move{
		{strategy.InPlace{}, strategy.ToRevision(nextID), nextID, imageV2},
		{strategy.FlushToZero{}, strategy.ToRevision(nextID), nextID, imageV2},
		{strategy.AlternatingTemplate{Templates: [2]string{liveID, nextID}}, strategy.ToArtifact(imageV3), nextID, imageV3},
		{named{strategy.InPlace{}, "in-place by image"}, strategy.ToArtifact(imageV3), liveID, imageV3},
	}
}

// named tells two uses of a strategy apart in test names.
type named struct {
	strategy.Strategy
	name string
}

func (n named) String() string { return n.name }

// rollout is one account with one endpoint that a test moves.
type rollout struct {
	move
	srv    *runpodtest.Server
	ep     *runpod.Endpoint
	before state
}

// state is what a rollback has to bring back.
type state struct {
	TemplateID, Image string
	Env               map[string]string
	DockerArgs        string
	Min, Max          int
	Idle              int
	Scaler            int
}

func (r *rollout) state() state {
	e := r.srv.Endpoint(endpointID)
	t := r.srv.Template(e.TemplateID)
	return state{e.TemplateID, t.Image, t.Env, t.DockerArgs, e.WorkersMin, e.WorkersMax, e.IdleTimeout, e.ScalerValue}
}

func newRollout(t testing.TB, m move, b runpodtest.Behaviour, opts ...runpod.Option) *rollout {
	t.Helper()
	srv := account(t, runpodtest.WithBehaviour(b))
	r := &rollout{move: m, srv: srv, ep: client(t, srv, opts...).Endpoint(endpointID)}
	r.before = r.state()
	return r
}

func eachMove(t *testing.T, b runpodtest.Behaviour, f func(t *testing.T, r *rollout)) {
	t.Helper()
	for _, m := range moves() {
		t.Run(m.strategy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, newRollout(t, m, b)) })
		})
	}
}

func (r *rollout) run(ctx context.Context, opts ...strategy.Option) (*strategy.Report, error) {
	return strategy.Run(ctx, strategy.NewMemory(), r.ep, r.strategy, r.target, opts...)
}

func (r *rollout) wantMoved(t *testing.T, err error) {
	t.Helper()
	want := r.before
	want.TemplateID, want.Image = r.template, r.image
	if diff := cmp.Diff(want, r.state()); err != nil || diff != "" {
		t.Errorf("error %v, state (-want +got):\n%s", err, diff)
	}
	for _, w := range r.srv.Workers(endpointID) {
		if w.State != runpodtest.Gone && w.Image != r.image {
			t.Errorf("worker %s runs %s", w.ID, w.Image)
		}
	}
}

func (r *rollout) wantRolledBack(t *testing.T, err, cause error) {
	t.Helper()
	if !errors.Is(err, endpoint.ErrRolledBack) || !errors.Is(err, cause) {
		t.Errorf("error is %v\nwant it to be %q and %q", err, endpoint.ErrRolledBack, cause)
	}
	if diff := cmp.Diff(r.before, r.state()); diff != "" {
		t.Errorf("state (-before +after):\n%s", diff)
	}
}

func TestRollout(t *testing.T) {
	for name, b := range map[string]runpodtest.Behaviour{
		"as documented": {},
		"lagging":       {ReadLag: 15 * time.Second, JobLag: 20 * time.Second, BlankDockerArgs: 5 * time.Second},
		"flapping":      {ReadLag: 15 * time.Second, ReadFlaps: true, ShowGone: time.Minute},
		"sparse health": {HealthOmits: []string{"throttled", "unhealthy", "ready"}, NoStandby: true},
	} {
		t.Run(name, func(t *testing.T) {
			eachMove(t, b, func(t *testing.T, r *rollout) {
				report, err := r.run(t.Context())
				r.wantMoved(t, err)
				if report.Proof != "workers" {
					t.Errorf("proof %q", report.Proof)
				}
			})
		})
	}
}

func TestBrokenImageIsRolledBack(t *testing.T) {
	for name, fault := range map[string]runpodtest.ImageFault{
		"unhealthy": runpodtest.TurnsUnhealthy, "crash loop": runpodtest.CrashLoops,
	} {
		t.Run(name, func(t *testing.T) {
			eachMove(t, runpodtest.Behaviour{}, func(t *testing.T, r *rollout) {
				r.srv.AddImage(runpodtest.Image{Ref: r.image, Fault: fault})
				_, err := r.run(t.Context())
				r.wantRolledBack(t, err, endpoint.ErrUnhealthy)
			})
		})
	}
	t.Run("never starts", func(t *testing.T) {
		eachMove(t, runpodtest.Behaviour{}, func(t *testing.T, r *rollout) {
			r.srv.AddImage(runpodtest.Image{Ref: r.image, Fault: runpodtest.NeverStarts})
			_, err := r.run(t.Context(), strategy.WithTimeout(15*time.Minute))
			r.wantRolledBack(t, err, strategy.ErrTimeout)
		})
	})
}

func TestStuckWorkers(t *testing.T) {
	t.Run("an active worker that is never replaced", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRollout(t, moves()[0], runpodtest.Behaviour{StuckActive: true})
			_, err := r.run(t.Context(), strategy.WithPatience(20*time.Minute))
			r.wantRolledBack(t, err, context.DeadlineExceeded)
			if !strings.Contains(err.Error(), "on another revision") {
				t.Errorf("error %q does not say what was missing", err)
			}
		})
	})
	t.Run("a worker that never drains", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRollout(t, moves()[1], runpodtest.Behaviour{})
			r.srv.AddJobs(endpointID, 100*time.Hour)
			time.Sleep(time.Minute)
			_, err := r.run(t.Context(), strategy.WithPatience(20*time.Minute))
			r.wantRolledBack(t, err, context.DeadlineExceeded)
		})
	})
}

func TestForeignWriter(t *testing.T) {
	eachMove(t, runpodtest.Behaviour{}, func(t *testing.T, r *rollout) {
		changed := false
		report, err := r.run(t.Context(), strategy.WithObserver(func(e strategy.Event) {
			if e.Kind == strategy.EventStep && strings.HasPrefix(e.Step, "await serving") && !changed {
				changed = true
				r.srv.Do(func(s *runpodtest.State) {
					s.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.WorkersMax = 5 })
				})
			}
		}))
		if err != nil || report.Outcome != strategy.Succeeded {
			t.Fatalf("Run = %v, %v", report, err)
		}
		if diff := cmp.Diff([]strategy.Drift{{Thing: endpoint.WorkersMax, Want: "3", Found: "5"}}, report.Drift); diff != "" {
			t.Errorf("drift (-want +got):\n%s", diff)
		}
		if got := r.state(); got.Max != 5 || got.Min != 2 || got.Image != r.image {
			t.Errorf("ended at %+v", got)
		}
	})
}

// Somebody else takes the account's slots while the bounds are down. What the
// quota leaves is used, the rest is named, and a resume gets it when it can.
func TestQuotaTakenDuringFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRollout(t, moves()[1], runpodtest.Behaviour{})
		var other string
		r.srv.OnMutation(func(_ int, field string) runpodtest.Fault {
			if field == "updateEndpointTemplate" && other == "" {
				r.srv.Do(func(s *runpodtest.State) {
					tmpl := s.AddTemplate(runpodtest.Template{Name: "other", Image: "acme/other:v1"})
					other = s.AddEndpoint(runpodtest.Endpoint{TemplateID: tmpl, WorkersMax: 9})
				})
			}
			return runpodtest.Fault{}
		})
		store := strategy.NewMemory()
		report, err := strategy.Run(t.Context(), store, r.ep, r.strategy, r.target)
		if !errors.Is(err, strategy.ErrIncomplete) || !strings.Contains(err.Error(), "workers quota") {
			t.Fatalf("Run = %v; want it incomplete, with RunPod's words", err)
		}
		if !strings.Contains(strings.Join(report.Residue, "\n"), "set workers.max to 3") {
			t.Errorf("residue %q does not name the value to restore", report.Residue)
		}
		if got := r.state(); got.TemplateID != liveID || got.Max != 1 {
			t.Errorf("left at %+v; want the source, with the one slot that was left", got)
		}
		r.srv.Do(func(s *runpodtest.State) { s.RemoveEndpoint(other) })
		_, err = strategy.Resume(t.Context(), store, r.ep)
		r.wantRolledBack(t, err, endpoint.ErrRolledBack)
	})
}

// Keys, env values and start commands reach no plan, journal, event or error.
func TestNoSecretGetsOut(t *testing.T) {
	eachMove(t, runpodtest.Behaviour{}, func(t *testing.T, r *rollout) {
		r.srv.AddImage(runpodtest.Image{Ref: r.image, Fault: runpodtest.TurnsUnhealthy})
		store := strategy.NewMemory()
		var out strings.Builder
		put := func(v any) {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "%s %+v\n", b, v)
		}
		report, err := strategy.Run(t.Context(), store, r.ep, r.strategy, r.target,
			strategy.WithObserver(func(e strategy.Event) { put(e); out.WriteString(e.String()) }))
		put(report)
		out.WriteString(err.Error() + report.Plan.String())
		records, err := store.Load(t.Context(), r.ep.Name())
		if err != nil {
			t.Fatal(err)
		}
		put(records)
		noSecret(t, out.String())
	})
}
