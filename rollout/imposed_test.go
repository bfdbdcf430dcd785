package rollout_test

import (
	"context"
	"errors"
	"fmt"
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

// The service scales down by itself what does nothing but fail. That is
// nobody's decision, whoever finds it and whenever.

// eachScaledDown runs f for every strategy, on an endpoint whose target fails
// and is then scaled down.
func eachScaledDown(t *testing.T, f func(t *testing.T, fx *fixture)) {
	t.Helper()
	for _, w := range ways() {
		t.Run(w.strategy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, scaledDown(w, 45*time.Second)) })
		})
	}
}

func scaledDown(w way, after time.Duration) *fixture {
	ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
		Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3, Quota: 10, ScaleDown: after,
	})
	ep.FailOn(w.goal, "image pull backoff")
	return &fixture{Workers: ep, way: w, before: ep.Protective()}
}

// onRecord reports whether the journal says what the service sets by itself.
func onRecord(t *testing.T, store journal.Store, name string) bool {
	t.Helper()
	records, err := store.Load(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(records, func(r journal.Record) bool { return r.Kind == journal.KindOverridden })
}

func TestScaledDown(t *testing.T) {
	for _, after := range []time.Duration{time.Second, 20 * time.Second, 45 * time.Second, 3 * time.Minute} {
		for name, lag := range map[string]func(*fixture){
			"fresh":   func(*fixture) {},
			"stale":   func(fx *fixture) { fx.StaleReads(20 * time.Second) },
			"flicker": func(fx *fixture) { fx.FlickerReads(20 * time.Second) },
		} {
			for _, w := range ways() {
				t.Run(fmt.Sprintf("after %v/%s/%s", after, name, w.strategy), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						fx := scaledDown(w, after)
						lag(fx)
						r, err := fx.run(t.Context(), rollout.WithInterval(time.Second))
						if !errors.Is(err, endpoint.ErrUnhealthy) && !errors.Is(err, endpoint.ErrFailed) || !strings.Contains(err.Error(), "image pull backoff") {
							t.Errorf("error %v does not say that the workers failed, in the provider's words", err)
						}
						fx.wantRolledBack(t, err, rollout.ErrRolledBack)
						if len(r.Drift) > 0 {
							t.Errorf("drift %v: the service is taken for a person", r.Drift)
						}
						writes := fx.writes()
						back := writes[slices.Index(writes, "update a"):]
						if len(back) > 4 { // the service may do it twice: before the source is there, and after
							t.Errorf("an old read was taken for the service's doing it again: the way back wrote %v", back)
						}
					})
				})
			}
		}
	}
}

// However late the service acts, and whatever the way back waits for.
func TestScaledDownOnTheWayBack(t *testing.T) {
	for name, tt := range map[string]struct {
		way      way
		starting bool          // the source has not got all its workers, so that less is waited for
		at       []string      // the steps at whose beginning, or writes before which, it happens
		lag      time.Duration // of reads
	}{
		"while the source comes up":  {ways()[0], false, []string{"await serving"}, 0},
		"while it is verified":       {ways()[0], false, []string{"verify"}, 0},
		"with a source that was":     {ways()[0], true, []string{"await running"}, 0},
		"between two bounds":         {ways()[1], false, []string{"restore workers.min"}, 0},
		"again, while it is undone":  {ways()[0], false, []string{"await serving", "workers.min → 1"}, 0},
		"again, and not seen as yet": {ways()[0], false, []string{"await serving", "workers.min → 1"}, 28 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fx := scaledDown(tt.way, time.Hour)
				fx.StaleReads(tt.lag)
				if tt.starting {
					fx.Foreign(func(s *endpointtest.WorkersState) { s.Min, s.NoCapacity = 2, time.Now().Add(20*time.Minute) })
					fx.before = fx.Protective()
				}
				watch := rollout.WithHook(func(e rollout.Event) {
					if e.Rollback && len(tt.at) > 0 && (e.Kind == rollout.EventStep && e.Step == tt.at[0] || e.Kind == rollout.EventWrite && e.Text == tt.at[0]) {
						tt.at = tt.at[1:]
						fx.Foreign(func(s *endpointtest.WorkersState) { s.Min, s.Max = 0, 0 })
					}
				})
				r, err := rollout.Run(t.Context(), journal.NewMemory(), fx, fx.strategy, fx.target, watch)
				fx.wantRolledBack(t, err, endpoint.ErrUnhealthy)
				if len(tt.at) > 0 || len(r.Drift) > 0 {
					t.Errorf("it did not come to %q; drift %v", tt.at, r.Drift)
				}
			})
		})
	}
}

// What failed and then worked is no reason any more: who pauses it is a person.
func TestRecoveredIsNotScaledDown(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.strategy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fx, store := scaledDown(w, time.Hour), journal.NewMemory()
				r, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, rollout.WithInterval(5*time.Second), rollout.WithHook(func(e rollout.Event) {
					switch {
					case e.Kind == rollout.EventPoll && e.Status.Unhealthy() > 0:
						fx.SucceedOn(w.goal)
						fx.Foreign(func(s *endpointtest.WorkersState) { s.Workers = nil })
					case e.Kind == rollout.EventCommit:
						fx.Foreign(func(s *endpointtest.WorkersState) { s.Max = 0; s.Min = 0 })
					}
				}))
				if !onRecord(t, store, fx.Name()) {
					t.Fatal("nothing failed")
				}
				want := []journal.Drift{{Thing: endpoint.WorkersMax, Want: "3", Found: "0"}, {Thing: endpoint.WorkersMin, Want: "1", Found: "0"}}
				if fx.strategy.String() == (strategy.FlushToZero{}).String() {
					want = nil // it cannot be told from the rollout's own flush
				}
				if diff := cmp.Diff(want, r.Drift); err != nil || diff != "" {
					t.Errorf("Run = %v, drift (-want +got):\n%s", err, diff)
				}
			})
		})
	}
}

// A job that was done proves that as well as workers do.
func TestProbedIsNotScaledDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
			Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Max: 3, ScaleDown: time.Hour,
		})
		fx, store := &fixture{Workers: ep, way: ways()[0]}, journal.NewMemory()
		ep.FailOn(fx.goal, "image pull backoff")
		r, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, rollout.WithProbe("one picture", fx.job()), rollout.WithInterval(5*time.Second),
			rollout.WithHook(func(e rollout.Event) {
				switch {
				case e.Kind == rollout.EventPoll && e.Status.Unhealthy() > 0:
					ep.SucceedOn(fx.goal)
					ep.Foreign(func(s *endpointtest.WorkersState) { s.Workers = nil })
				case e.Kind == rollout.EventCommit:
					ep.Foreign(func(s *endpointtest.WorkersState) { s.Max = 0 })
				}
			}))
		if !onRecord(t, store, fx.Name()) {
			t.Fatal("nothing failed")
		}
		want := []journal.Drift{{Thing: endpoint.WorkersMax, Want: "3", Found: "0"}}
		if diff := cmp.Diff(want, r.Drift); err != nil || diff != "" {
			t.Errorf("Run = %v, drift (-want +got):\n%s", err, diff)
		}
	})
}

// The process dies at one look after the other, and another one takes over that
// never saw the workers fail. From the first look that shows it on, the bounds
// are known to be the service's; before that they may be anybody's.
func TestScaledDownIsRememberedByTheJournal(t *testing.T) {
	remembered := 0
	for _, delay := range []time.Duration{0, time.Minute, time.Hour, 24 * time.Hour} {
		for at, reached := 1, true; reached; at++ {
			reached = false
			eachScaledDown(t, func(t *testing.T, fx *fixture) {
				store := unlocked{journal.NewMemory()}
				fx.OnRead(func(n int, _ string) endpointtest.Fault {
					if n == at {
						reached = true
						return endpointtest.RunAfter(runtime.Goexit)
					}
					return endpointtest.Fault{}
				})
				opts := []rollout.Option{rollout.WithInterval(10 * time.Second)}
				r, crashed, err := survive(func() (*rollout.Report, error) {
					return rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, opts...)
				})
				if crashed {
					time.Sleep(delay)
					r, err = rollout.Resume(t.Context(), store, fx, opts...)
				}
				switch {
				case r.Outcome == rollout.OutcomeNothing: // it died before it had begun
					return
				case onRecord(t, store, fx.Name()):
					remembered++
					fx.wantRolledBack(t, err, rollout.ErrRolledBack)
					if len(r.Drift) > 0 {
						t.Errorf("dead at look %d: drift %v: the service is taken for a person", at, r.Drift)
					}
				case len(r.Drift) == 0:
					fx.wantRolledBack(t, err, rollout.ErrRolledBack)
				default:
					want := []journal.Drift{{Thing: endpoint.WorkersMax, Want: "3", Found: "0"}, {Thing: endpoint.WorkersMin, Want: "1", Found: "0"}}
					if diff := cmp.Diff(want, r.Drift); diff != "" || fx.Truth().Max != 0 || fx.Truth().Live != "a" {
						t.Errorf("dead at look %d: left at %+v; drift (-want +got):\n%s", at, fx.Truth(), diff)
					}
				}
			})
		}
	}
	if remembered < 20 {
		t.Errorf("remembered %d times: the test has lost its point", remembered)
	}
}

// A person who sets the very same values, where nothing failed, or others than
// the service's where something did, is a person.
func TestScaledDownByAPerson(t *testing.T) {
	for name, tt := range map[string]struct {
		fails    bool
		min, max int
	}{
		"nothing fails":    {false, 0, 0},
		"to another value": {true, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			for _, w := range ways() {
				t.Run(w.strategy.String(), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						fx := scaledDown(w, time.Hour)
						if !tt.fails {
							fx.SucceedOn(w.goal)
						}
						done := false
						opts := []rollout.Option{rollout.WithInterval(5 * time.Second), rollout.WithStepTimeout(10 * time.Minute), rollout.WithHook(func(e rollout.Event) {
							if e.Kind != rollout.EventPoll || e.Step != "await serving" || e.Rollback || done || tt.fails && e.Status.Unhealthy() == 0 {
								return
							}
							done = true
							fx.Foreign(func(s *endpointtest.WorkersState) { s.Min, s.Max = tt.min, tt.max })
						})}
						r, err := rollout.Run(t.Context(), journal.NewMemory(), fx, fx.strategy, fx.target, opts...)
						want := []journal.Drift{{Thing: endpoint.WorkersMax, Want: "3", Found: fmt.Sprint(tt.max)}, {Thing: endpoint.WorkersMin, Want: "1", Found: "0"}}
						if tt.fails {
							want = want[:1] // the minimum is the one that the service would have set
						}
						if fx.strategy.String() == (strategy.FlushToZero{}).String() && !tt.fails {
							want = nil // the way back cannot tell it from its own flush
						}
						if diff := cmp.Diff(want, r.Drift); diff != "" {
							t.Errorf("Run = %v; drift (-want +got):\n%s", err, diff)
						}
						if want != nil && fx.Truth().Max != tt.max {
							t.Errorf("the maximum is %d, want theirs", fx.Truth().Max)
						}
						if got := fx.Truth().Live; got != "a" {
							t.Errorf("serves %s", got)
						}
					})
				})
			}
		})
	}
}

// What is rolled out to an endpoint whose source fails gets the capacity that
// the service takes from the source.
func TestScaledDownBeforeTheTarget(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.strategy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fx := scaledDown(w, time.Hour)
				fx.SucceedOn(w.goal)
				fx.FailOn("acme/sdxl:v1", "out of memory")
				fx.Foreign(func(s *endpointtest.WorkersState) { s.Workers = nil }) // and they start anew
				time.Sleep(2 * time.Minute)
				r, err := rollout.Run(t.Context(), journal.NewMemory(), fx, fx.strategy, fx.target, rollout.WithInterval(10*time.Second), rollout.WithHook(func(e rollout.Event) {
					if e.Kind == rollout.EventDone && e.Step == "update" {
						fx.Foreign(func(s *endpointtest.WorkersState) { s.Min, s.Max = 0, 0 })
					}
				}))
				if err != nil || fx.artifact() != fx.goal || len(r.Drift) > 0 || r.Proof != "workers" {
					t.Errorf("Run = %v, drift %v, serves %s", err, r.Drift, fx.artifact())
				}
				if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
					t.Errorf("protective values (-before +after):\n%s", diff)
				}
			})
		})
	}
}

// After the commit point nothing goes back, and what the service took because
// of the target is not given back to it: that is said instead.
func TestScaledDownAfterTheCommitPoint(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.strategy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fx := scaledDown(w, 10*time.Second)
				fx.SucceedOn(w.goal)
				watch := rollout.WithHook(func(e rollout.Event) {
					if e.Kind == rollout.EventCommit {
						fx.FailOn(w.goal, "out of memory")
						fx.Foreign(func(s *endpointtest.WorkersState) { s.Workers = nil })
					}
				})
				r, err := rollout.Run(t.Context(), journal.NewMemory(), fx, fx.strategy, fx.target, rollout.WithSettle(5*time.Minute), watch)
				if !errors.Is(err, rollout.ErrIncomplete) || !errors.Is(err, endpoint.ErrFailed) || !strings.Contains(err.Error(), "out of memory") {
					t.Errorf("Run = %v, want it incomplete, with the provider's words", err)
				}
				if len(r.Drift) > 0 || fx.artifact() != fx.goal {
					t.Errorf("drift %v, serves %s", r.Drift, fx.artifact())
				}
			})
		})
	}
}

// A bake ends when the service gives up, however long it was to last: an
// endpoint without workers must not pass for one that idles.
func TestScaledDownInTheBake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
			Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 0, Max: 3, ScaleDown: 10 * time.Second,
		})
		fx := &fixture{Workers: ep, way: ways()[0], before: ep.Protective()}
		ep.FailOn(fx.goal, "out of memory")
		gate := gate("smoke", func(context.Context, endpoint.Status) error {
			if fx.Truth().Max > 0 && len(fx.Truth().Queue) == 0 {
				return ep.Enqueue(1, time.Minute) // which wakes a worker that fails
			}
			return nil
		})
		_, err := fx.run(t.Context(), rollout.WithInterval(5*time.Second), rollout.WithBake(2*time.Hour), gate)
		fx.wantRolledBack(t, err, endpoint.ErrFailed)
		if !strings.Contains(err.Error(), "bake") || !strings.Contains(err.Error(), "out of memory") {
			t.Errorf("error %q does not say where and why", err)
		}
	})
}
