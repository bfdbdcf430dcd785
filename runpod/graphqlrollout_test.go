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

// linkMove is a strategy with where it goes to.
type linkMove struct {
	strategy strategy.Strategy
	target   strategy.Target
	template string // linked at the end
	image    string
}

func linkMoves() []linkMove {
	return []linkMove{
		{strategy.InPlace{}, strategy.ToRevision(nextID), nextID, imageV2},
		{strategy.FlushToZero{}, strategy.ToRevision(nextID), nextID, imageV2},
		{strategy.AlternatingTemplate{Templates: [2]string{liveID, nextID}}, strategy.ToArtifact(imageV3), nextID, imageV3},
		{renamed{strategy.InPlace{}, "in-place by image"}, strategy.ToArtifact(imageV3), liveID, imageV3},
	}
}

// renamed tells two uses of a strategy apart in test names.
type renamed struct {
	strategy.Strategy
	name string
}

func (n renamed) String() string { return n.name }

// linked is one account with one endpoint, driven over GraphQL, that a test moves.
type linked struct {
	linkMove
	srv    *runpodtest.Server
	ep     *runpod.Endpoint
	before linkedState
}

// linkedState is what a rollback has to bring back.
type linkedState struct {
	TemplateID, Image string
	Env               map[string]string
	DockerArgs        string
	Min, Max          int
	Idle              int
	Scaler            int
}

func (r *linked) linkedState() linkedState {
	e := r.srv.Endpoint(endpointID)
	t := r.srv.Template(e.TemplateID)
	return linkedState{e.TemplateID, t.Image, t.Env, t.DockerArgs, e.WorkersMin, e.WorkersMax, e.IdleTimeout, e.ScalerValue}
}

func newLinked(t *testing.T, m linkMove, b runpodtest.Behaviour) *linked {
	t.Helper()
	srv := account(t, runpodtest.WithBehaviour(b))
	r := &linked{linkMove: m, srv: srv, ep: client(t, srv, runpod.WithTransport(runpod.GraphQL)).Endpoint(endpointID)}
	r.before = r.linkedState()
	return r
}

func eachLinkMove(t *testing.T, b runpodtest.Behaviour, f func(t *testing.T, r *linked)) {
	t.Helper()
	for _, m := range linkMoves() {
		t.Run(m.strategy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, newLinked(t, m, b)) })
		})
	}
}

func (r *linked) run(ctx context.Context, opts ...strategy.Option) (*strategy.Report, error) {
	return strategy.Run(ctx, strategy.NewMemory(), r.ep, r.strategy, r.target, opts...)
}

func (r *linked) wantMoved(t *testing.T, err error) {
	t.Helper()
	want := r.before
	want.TemplateID, want.Image = r.template, r.image
	if diff := cmp.Diff(want, r.linkedState()); err != nil || diff != "" {
		t.Errorf("error %v, state (-want +got):\n%s", err, diff)
	}
	for _, w := range r.srv.Workers(endpointID) {
		if w.State != runpodtest.Gone && w.Image != r.image {
			t.Errorf("worker %s runs %s", w.ID, w.Image)
		}
	}
}

func (r *linked) wantRolledBack(t *testing.T, err, cause error) {
	t.Helper()
	if !errors.Is(err, endpoint.ErrRolledBack) || !errors.Is(err, cause) {
		t.Errorf("error is %v\nwant it to be %q and %q", err, endpoint.ErrRolledBack, cause)
	}
	if diff := cmp.Diff(r.before, r.linkedState()); diff != "" {
		t.Errorf("state (-before +after):\n%s", diff)
	}
}

func TestGraphQLRollout(t *testing.T) {
	for name, b := range map[string]runpodtest.Behaviour{
		"as documented": {},
		"lagging":       {ReadLag: 15 * time.Second, JobLag: 20 * time.Second, BlankDockerArgs: 5 * time.Second},
		"flapping":      {ReadLag: 15 * time.Second, ReadFlaps: true, ShowGone: time.Minute},
		"sparse health": {HealthOmits: []string{"throttled", "unhealthy", "ready"}, NoStandby: true},
	} {
		t.Run(name, func(t *testing.T) {
			eachLinkMove(t, b, func(t *testing.T, r *linked) {
				report, err := r.run(t.Context())
				r.wantMoved(t, err)
				if report.Proof != "workers" {
					t.Errorf("proof %q", report.Proof)
				}
			})
		})
	}
}

func TestGraphQLBrokenImage(t *testing.T) {
	for name, fault := range map[string]runpodtest.ImageFault{
		"unhealthy": runpodtest.TurnsUnhealthy, "crash loop": runpodtest.CrashLoops,
	} {
		t.Run(name, func(t *testing.T) {
			eachLinkMove(t, runpodtest.Behaviour{}, func(t *testing.T, r *linked) {
				r.srv.AddImage(runpodtest.Image{Ref: r.image, Fault: fault})
				_, err := r.run(t.Context())
				r.wantRolledBack(t, err, endpoint.ErrUnhealthy)
			})
		})
	}
	t.Run("never starts", func(t *testing.T) {
		eachLinkMove(t, runpodtest.Behaviour{}, func(t *testing.T, r *linked) {
			r.srv.AddImage(runpodtest.Image{Ref: r.image, Fault: runpodtest.NeverStarts})
			_, err := r.run(t.Context(), strategy.WithTimeout(15*time.Minute))
			r.wantRolledBack(t, err, strategy.ErrTimeout)
		})
	})
}

func TestGraphQLStuckWorkers(t *testing.T) {
	t.Run("an active worker that is never replaced", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newLinked(t, linkMoves()[0], runpodtest.Behaviour{StuckActive: true})
			_, err := r.run(t.Context(), strategy.WithPatience(20*time.Minute))
			r.wantRolledBack(t, err, context.DeadlineExceeded)
			if !strings.Contains(err.Error(), "on another revision") {
				t.Errorf("error %q does not say what was missing", err)
			}
		})
	})
	t.Run("a worker that never drains", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newLinked(t, linkMoves()[1], runpodtest.Behaviour{})
			r.srv.AddJobs(endpointID, 100*time.Hour)
			time.Sleep(time.Minute)
			_, err := r.run(t.Context(), strategy.WithPatience(20*time.Minute))
			r.wantRolledBack(t, err, context.DeadlineExceeded)
		})
	})
}

func TestGraphQLForeignWriter(t *testing.T) {
	eachLinkMove(t, runpodtest.Behaviour{}, func(t *testing.T, r *linked) {
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
		if got := r.linkedState(); got.Max != 5 || got.Min != 2 || got.Image != r.image {
			t.Errorf("ended at %+v", got)
		}
	})
}

// Somebody else takes the account's slots while the bounds are down. What the
// quota leaves is used, the rest is renamed, and a resume gets it when it can.
func TestGraphQLQuotaTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLinked(t, linkMoves()[1], runpodtest.Behaviour{})
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
		if got := r.linkedState(); got.TemplateID != liveID || got.Max != 1 {
			t.Errorf("left at %+v; want the source, with the one slot that was left", got)
		}
		r.srv.Do(func(s *runpodtest.State) { s.RemoveEndpoint(other) })
		_, err = strategy.Resume(t.Context(), store, r.ep)
		r.wantRolledBack(t, err, endpoint.ErrRolledBack)
	})
}

// Each mutation meets each misfortune, with and without a crash.
func TestGraphQLSweep(t *testing.T) {
	type died struct{}
	misfortunes := map[string]func(cancel func()) runpodtest.Fault{
		"dropped before":   func(func()) runpodtest.Fault { return runpodtest.Dropped(false) },
		"dropped after":    func(func()) runpodtest.Fault { return runpodtest.Dropped(true) },
		"lands late":       func(func()) runpodtest.Fault { return runpodtest.Fault{LandsAfter: 8 * time.Second} },
		"502 before":       func(func()) runpodtest.Fault { return runpodtest.HTTPStatus(502) },
		"502 after":        func(func()) runpodtest.Fault { return runpodtest.Fault{Applied: true, Status: 502, Body: "<html>"} },
		"null":             func(func()) runpodtest.Fault { return runpodtest.Fault{Null: true, Applied: true} },
		"truncated":        func(func()) runpodtest.Fault { return runpodtest.Fault{Truncate: true, Applied: true} },
		"refused":          func(func()) runpodtest.Fault { return runpodtest.Refused("Something went wrong.") },
		"rate limited":     func(func()) runpodtest.Fault { return runpodtest.RateLimited(20 * time.Second) },
		"cancelled before": func(c func()) runpodtest.Fault { return runpodtest.Fault{Drop: true, Then: c} },
		"cancelled after":  func(c func()) runpodtest.Fault { return runpodtest.Fault{Applied: true, Drop: true, Then: c} },
		"died before":      func(func()) runpodtest.Fault { return runpodtest.Fault{Drop: true, Then: func() { panic(died{}) }} },
		"died after": func(func()) runpodtest.Fault {
			return runpodtest.Fault{Applied: true, Drop: true, Then: func() { panic(died{}) }}
		},
	}
	behaviours := map[string]runpodtest.Behaviour{"": {}, "lagging, ": {ReadLag: 15 * time.Second, JobLag: 20 * time.Second}}
	slow := strategy.WithInterval(15 * time.Second) // fewer looks, the same writes
	points := 0
	for _, m := range linkMoves() {
		for _, bad := range []bool{false, true} {
			for lag, b := range behaviours {
				for name, fault := range misfortunes {
					for at, reached := 1, true; reached; at++ {
						ok := t.Run(fmt.Sprintf("%s/bad %v/%s%s at mutation %d", m.strategy, bad, lag, name, at), func(t *testing.T) {
							synctest.Test(t, func(t *testing.T) {
								r := newLinked(t, m, b)
								if bad {
									r.srv.AddImage(runpodtest.Image{Ref: r.image, Fault: runpodtest.TurnsUnhealthy})
								}
								ctx, cancel := context.WithCancel(t.Context())
								defer cancel()
								reached = false
								r.srv.OnMutation(func(n int, _ string) runpodtest.Fault {
									if n != at {
										return runpodtest.Fault{}
									}
									reached = true
									return fault(cancel)
								})
								store := strategy.NewMemory()
								err := func() (err error) {
									defer func() {
										if p := recover(); p != nil {
											if _, ok := p.(died); !ok {
												panic(p)
											}
											time.Sleep(time.Second)
											_, err = strategy.Resume(t.Context(), store, r.ep, slow)
										}
									}()
									_, err = strategy.Run(ctx, store, r.ep, r.strategy, r.target, slow)
									return err
								}()
								time.Sleep(time.Minute) // what is still on its way lands
								switch {
								case err == nil && !bad:
									r.wantMoved(t, nil)
								case bad && !reached:
									r.wantRolledBack(t, err, endpoint.ErrUnhealthy)
								default:
									r.wantRolledBack(t, err, endpoint.ErrRolledBack)
								}
								points++
							})
						})
						if !ok {
							return
						}
					}
				}
			}
		}
	}
	t.Logf("swept %d points over GraphQL, none of them lost anything", points)
}

// Keys, env values and start commands reach no plan, journal, event or error.
func TestGraphQLSecrets(t *testing.T) {
	eachLinkMove(t, runpodtest.Behaviour{}, func(t *testing.T, r *linked) {
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
