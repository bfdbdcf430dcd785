package rollout_test

import (
	"context"
	"encoding/json"
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
	"github.com/changeover-dev/changeover/waiter"
)

// reads is when the endpoint was looked at.
func (fx *fixture) reads() []time.Time {
	var at []time.Time
	for _, c := range fx.Calls() {
		if c.Name == "status" {
			at = append(at, c.At)
		}
	}
	return at
}

// gaps are the distinct times that it slept between looks.
func gaps(at []time.Time) []time.Duration {
	var ds []time.Duration
	for i := 1; i < len(at); i++ {
		if d := at[i].Sub(at[i-1]); d > 0 && !slices.Contains(ds, d) {
			ds = append(ds, d)
		}
	}
	slices.Sort(ds)
	return ds
}

func TestIntervals(t *testing.T) {
	twoThen20 := schedule(func(p waiter.Progress) time.Duration {
		if p.Polls <= 2 {
			return 2 * time.Second
		}
		return 20 * time.Second
	})
	for _, tt := range []struct {
		name string
		opts []rollout.Option
		want []time.Duration
	}{
		{"WithInterval", []rollout.Option{rollout.WithInterval(13 * time.Second)}, []time.Duration{13 * time.Second}},
		{"WithSchedule", []rollout.Option{rollout.WithSchedule(twoThen20)}, []time.Duration{2 * time.Second, 20 * time.Second}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, fx *fixture) {
				if _, err := fx.run(t.Context(), tt.opts...); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, gaps(fx.reads())); diff != "" {
					t.Errorf("slept between looks (-want +got):\n%s", diff)
				}
			})
		})
	}
}

type schedule func(waiter.Progress) time.Duration

func (s schedule) Next(p waiter.Progress) time.Duration { return s(p) }

// The back-off after errors starts at the interval, and doubles.
func TestIntervalAfterErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts []rollout.Option
		want []time.Duration
	}{
		{"by default", nil, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}},
		{"WithInterval", []rollout.Option{rollout.WithInterval(3 * time.Second)}, []time.Duration{3 * time.Second, 6 * time.Second, 12 * time.Second}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fx := flushFixture()
				fx.OnRead(func(n int, _ string) endpointtest.Fault {
					if n <= 3 {
						return endpointtest.LostBefore()
					}
					return endpointtest.Fault{}
				})
				if _, err := fx.run(t.Context(), tt.opts...); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, gaps(fx.reads()[:4])); diff != "" {
					t.Errorf("slept after errors (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A rollout adds how long it waited, by strategy, step and endpoint, and its
// schedule is told how long earlier ones did.
func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h waiter.History
		var told [][]time.Duration
		listen := schedule(func(p waiter.Progress) time.Duration {
			if len(p.Earlier) > 0 {
				told = append(told, p.Earlier)
			}
			return time.Second
		})
		const kind, name = "in-place await serving", "fake/workers"
		store := journal.NewMemory()
		fx := flushFixture()
		roll := func(target string) time.Duration {
			t.Helper()
			var began, ended time.Time
			_, err := rollout.Run(t.Context(), store, fx, strategy.InPlace{}, rollout.ToRevision(target),
				rollout.WithHistory(&h), rollout.WithSchedule(listen), rollout.WithHook(func(e rollout.Event) {
					switch {
					case e.Step != "await serving":
					case e.Kind == rollout.EventStep:
						began = e.Time
					case e.Kind == rollout.EventDone:
						ended = e.Time
					}
				}))
			if err != nil {
				t.Fatal(err)
			}
			return ended.Sub(began)
		}
		first := roll("b")
		if len(told) > 0 {
			t.Errorf("the first rollout was told %v", told)
		}
		second := roll("a")
		// What is remembered is when it happened, which lies before the look
		// that noticed it.
		got := h.Durations(kind, name)
		for i, noticed := range []time.Duration{first, second} {
			if len(got) != 2 || got[i] > noticed || noticed-got[i] > 2*time.Second {
				t.Errorf("remembered of %q: %v; noticed after %v and %v", kind, got, first, second)
			}
		}
		if len(told) == 0 || !slices.Equal(told[0], got[:1]) {
			t.Errorf("the second rollout was told %v, want %v", told, got)
		}
	})
}

// A wake-up cuts the sleeps of every wait short.
func TestWake(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		wake := make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go func() {
			tick := time.NewTicker(10 * time.Second)
			defer tick.Stop()
			for ctx.Err() == nil {
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
				select {
				case wake <- struct{}{}:
				case <-ctx.Done():
				}
			}
		}()
		start := time.Now()
		if _, err := fx.run(t.Context(), rollout.WithWake(wake), rollout.WithSchedule(waiter.Every(time.Hour))); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 10*time.Minute {
			t.Errorf("took %v: it slept through the wake-ups", took)
		}
	})
}

// A wake-up makes a whole poll, also where the poll needs more than one read.
func TestWakeMakesAWholePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep, wake := newVariants(), make(chan struct{}, 1)
		start := time.Now()
		_, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.InPlace{}, rollout.ToRevision("c2"),
			rollout.WithWake(wake), rollout.WithSchedule(confirmsSoon{waiter.Every(time.Hour)}),
			rollout.WithObserver(func(_ context.Context, e rollout.Event) {
				if e.Kind == rollout.EventWrite { // the update is long over when the wake-up comes
					time.AfterFunc(15*time.Minute, func() { wake <- struct{}{} })
				}
			}))
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 17*time.Minute {
			t.Errorf("took %v: a poll that the wake-up began was not made to its end", took)
		}
	})
}

// confirmsSoon polls again soon where that is all that is missing.
type confirmsSoon struct{ waiter.Schedule }

func (s confirmsSoon) Next(p waiter.Progress) time.Duration {
	if p.Held > 0 || p.Observed.Due > 0 {
		return time.Second
	}
	return s.Schedule.Next(p)
}

// The provider's options reach each update, and the journal, so that a rollout
// that is resumed means the same.
func TestChangeOptions(t *testing.T) {
	options := json.RawMessage(`{"canary":10}`)
	synctest.Test(t, func(t *testing.T) {
		ep, store := newVariants(), journal.NewMemory()
		ep.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name == "update c2" {
				return endpointtest.RunBefore(runtime.Goexit)
			}
			return endpointtest.Fault{}
		})
		if _, crashed, err := survive(func() (*rollout.Report, error) {
			return rollout.Run(t.Context(), store, ep, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"), rollout.WithChangeOptions(options))
		}); !crashed {
			t.Fatalf("the rollout did not crash: %v", err)
		}
		ep.OnMutation(nil)
		records, err := store.Load(t.Context(), ep.Name())
		if err != nil {
			t.Fatal(err)
		}
		if got := records[0].Plan.Options; string(got) != string(options) {
			t.Errorf("the journal has options %s, want %s", got, options)
		}
		// The resuming process is not told the options again.
		if _, err := rollout.Resume(t.Context(), store, ep, rollout.WithForward()); err != nil {
			t.Fatal(err)
		}
		if got := ep.Truth().Options; string(got) != string(options) {
			t.Errorf("the update had options %s, want %s", got, options)
		}
	})
	t.Run("refused", func(t *testing.T) {
		eachWay(t, func(t *testing.T, fx *fixture) {
			_, err := fx.run(t.Context(), rollout.WithChangeOptions(options)) // this provider has none
			fx.wantRolledBack(t, err, endpoint.ErrInvalid)
		})
	})
}

// Whoever finds the journal finds out who drove.
func TestDriverIsOnRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fx, store := flushFixture(), journal.NewMemory()
		fx.crashAt(t, store, 2, rollout.WithOwner("deploy #41"))
		if _, err := rollout.Resume(t.Context(), store, fx, rollout.WithOwner("deploy #42")); !errors.Is(err, rollout.ErrRolledBack) {
			t.Fatal(err)
		}
		records, err := store.Load(t.Context(), fx.Name())
		if err != nil {
			t.Fatal(err)
		}
		var drivers []string
		for _, r := range records {
			if r.Kind == journal.KindClaim {
				drivers = append(drivers, r.Owner)
				if !r.Exclusive {
					t.Errorf("the claim of %s does not say that the lock was held", r.Owner)
				}
			}
		}
		if diff := cmp.Diff([]string{"deploy #41", "deploy #42"}, drivers); diff != "" {
			t.Errorf("drivers (-want +got):\n%s", diff)
		}
	})
}

// By default a driver is named after its host and process.
func TestDefaultDriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fx, store := flushFixture(), journal.NewMemory()
		fx.crashAt(t, store, 1)
		_, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target)
		if !errors.Is(err, rollout.ErrUnfinished) || !strings.Contains(err.Error(), "process ") {
			t.Errorf("Run = %v, want %v that names the driver's process", err, rollout.ErrUnfinished)
		}
	})
}

// A worker that turns unhealthy while the new revision bakes turns the rollout
// back, if it stays so; a hiccup does not.
func TestBakeWatchesHealth(t *testing.T) {
	sick := func(is bool) func(s *endpointtest.WorkersState) {
		return func(s *endpointtest.WorkersState) {
			for i := range s.Workers {
				s.Workers[i].Unhealthy, s.Workers[i].Up = is, !is
			}
		}
	}
	for _, tt := range []struct {
		name  string
		lasts time.Duration // for good if zero
		want  rollout.Outcome
	}{
		{"for good", 0, rollout.OutcomeRolledBack},
		{"for ten seconds", 10 * time.Second, rollout.OutcomeSucceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, fx *fixture) {
				var bakes time.Time
				r, err := rollout.Run(t.Context(), journal.NewMemory(), fx, fx.strategy, fx.target, rollout.WithBake(10*time.Minute), rollout.WithHook(func(e rollout.Event) {
					switch {
					case e.Step != "bake" || !bakes.IsZero():
					case e.Kind == rollout.EventStep:
						bakes = e.Time
						fx.At(bakes.Add(4*time.Minute), sick(true))
						if tt.lasts > 0 {
							fx.At(bakes.Add(4*time.Minute+tt.lasts), sick(false))
						}
					}
				}))
				if r.Outcome != tt.want {
					t.Fatalf("Run = %s, %v; want it %s", r.Outcome, err, tt.want)
				}
				if tt.want == rollout.OutcomeRolledBack {
					fx.wantRolledBack(t, err, endpoint.ErrUnhealthy)
				} else if took := time.Since(bakes); took < 10*time.Minute {
					t.Errorf("baked for %v, want 10m", took)
				}
			})
		})
	}
}

// A worker that is booted to prove the new revision, and does not come up, is
// given back, and the bounds are as before.
func TestBootedWorkerFails(t *testing.T) {
	for _, bounds := range []struct {
		name string
		max  int
	}{{"idle", 2}, {"paused", 0}} {
		for _, w := range ways() {
			t.Run(bounds.name+"/"+w.strategy.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
						Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Max: bounds.max,
					})
					fx := &fixture{Workers: ep, way: w, before: ep.Protective()}
					fx.FailOn(fx.goal, "image pull backoff")
					r, err := fx.run(t.Context(), rollout.AllowPaused(), rollout.WithProof(strategy.ProofWorkers))
					fx.wantRolledBack(t, err, endpoint.ErrUnhealthy)
					if r.Proof != "" || !slices.Contains(fx.writes(), "set workers.min=1") {
						t.Errorf("proof %q, writes %v: want a worker booted and nothing proven", r.Proof, fx.writes())
					}
					time.Sleep(time.Hour)
					if s := fx.Truth(); len(s.Workers) > 0 {
						t.Errorf("%d workers are left", len(s.Workers))
					}
				})
			})
		}
	}
}
