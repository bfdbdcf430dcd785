package strategy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/strategy"
)

// What a hostile review of the engine broke once, and has to stay mended.

func bubble(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

// On the way back, one write that is never answered does not starve the others.
func TestOneHangingWriteDoesNotStarveTheOthers(t *testing.T) {
	for _, hang := range []bool{false, true} {
		t.Run(fmt.Sprint("hang=", hang), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				fx := flushFixture()
				fx.FailOn(fx.goal, "image pull backoff")
				updates := 0
				fx.OnMutation(func(_ int, name string) endpointtest.Fault {
					if strings.HasPrefix(name, "update") {
						updates++
						if name == "update b" {
							return endpointtest.RunAfter(func() {
								fx.FailOn(fx.goal, "image pull backoff")
							})
						}
						if hang {
							return endpointtest.Run(func() { time.Sleep(61 * time.Second) })
						}
						return endpointtest.LostBefore()
					}
					if name == "set workers.max=3" && updates == 1 {
						return endpointtest.Refuse(endpoint.ErrInvalid) // forward restore fails, turn back
					}
					return endpointtest.Fault{}
				})
				store := strategy.NewMemory()
				start := time.Now()
				r, err := strategy.Run(t.Context(), store, fx, fx.strategy, fx.target)
				t.Logf("took %v, %d updates: %s %v", time.Since(start), updates, r.Outcome, err)
				if !errors.Is(err, strategy.ErrIncomplete) {
					t.Fatalf("want incomplete")
				}
				if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
					t.Errorf("bounds could be restored and were not (-before +after):\n%s", diff)
				}
				for _, c := range fx.Calls() {
					if c.Write > 0 && c.At.Sub(start) > 5*time.Minute && strings.HasPrefix(c.Name, "set") {
						return
					}
				}
				t.Error("the way back never tried workers.max")
			})
		})
	}
}

// A store's error says nothing of the provider, whatever its class, and leaves the journal readable.
func TestStoreErrorIsNotTheProviders(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		fx.OnMutation(func(n int, _ string) endpointtest.Fault {
			if n == 2 { // max=0
				return endpointtest.Throttle(time.Second)
			}
			return endpointtest.Fault{}
		})
		mem := strategy.NewMemory()
		store := &badStore{Store: unlocked{mem}, how: spoiled{err: fmt.Errorf("dynamodb: %w", endpoint.ErrThrottled)}, at: 7}
		r, err := strategy.Run(t.Context(), store, fx, fx.strategy, fx.target)
		t.Logf("%v: %v", r.Outcome, err)
		if _, err := strategy.Explain(t.Context(), mem, fx.Name()); err != nil {
			t.Errorf("the journal is unreadable from now on: %v", err)
		}
		if _, err := strategy.Resume(t.Context(), mem, fx); errors.Is(err, strategy.ErrDamaged) {
			t.Errorf("and cannot be resumed: %v", err)
		}
		if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
			t.Errorf("(-before +after):\n%s", diff)
		}
	})
}

// A foreign value under an open intent is left alone by a resume after the commit point, too.
func TestDriftFoundByAResumeAfterTheCommit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := newVariants()
		ep.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name == "restore main" {
				return endpointtest.RunAfter(func() { panic(crash{}) })
			}
			return endpointtest.Fault{}
		})
		store := strategy.NewMemory()
		_, crashed, err := survive(func() (*strategy.Report, error) {
			return strategy.Run(t.Context(), store, ep, strategy.ScaleProtectedSwap{}, strategy.ToRevision("c2"))
		})
		if !crashed {
			t.Fatal(err)
		}
		ep.OnMutation(nil)
		ep.Foreign(func(s *endpointtest.VariantsState) {
			target := s.Targets["main"]
			target.Max = 9
			s.Targets["main"] = target
		})
		r, err := strategy.Resume(t.Context(), store, ep)
		if err != nil {
			t.Errorf("Resume = %s, %v; want it succeeded with drift noted", r.Outcome, err)
			r, err = strategy.Resume(t.Context(), store, ep)
			t.Logf("second Resume = %s, %v, drift %v", r.Outcome, err, r.Drift)
		}
	})
}

// A job that wakes a scale-to-zero endpoint after the commit point does not make it incomplete.
func TestColdStartDuringTheVerification(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
			Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 0, Max: 2, Start: 6 * time.Minute,
		})
		r, err := strategy.Run(t.Context(), strategy.NewMemory(), ep, strategy.InPlace{}, strategy.ToRevision("b"), strategy.WithObserver(func(e strategy.Event) {
			if e.Kind == strategy.EventCommit {
				if err := ep.Enqueue(1, time.Minute); err != nil {
					t.Error(err)
				}
			}
		}))
		if err != nil {
			t.Errorf("a healthy endpoint with a cold start: %s, %v", r.Outcome, err)
		}
	})
}

type brokenLater struct {
	*endpointtest.Workers
	failed *bool
}

func (f brokenLater) Status(ctx context.Context) (endpoint.Status, error) {
	s, err := f.Workers.Status(ctx)
	if *f.failed && err == nil {
		s.Phase, s.Serving, s.Pools, s.Reason = endpoint.PhaseFailed, endpoint.Revision{}, nil, "account suspended"
	}
	return s, err
}

func TestFailedAfterTheCommitIsNoSuccess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		failed := false
		ep := brokenLater{fx.Workers, &failed}
		r, err := strategy.Run(t.Context(), strategy.NewMemory(), ep, fx.strategy, fx.target, strategy.WithObserver(func(e strategy.Event) {
			if e.Kind == strategy.EventCommit {
				failed = true
			}
		}))
		if err == nil {
			t.Errorf("%s, nil error: endpoint is %s, %s", r.Outcome, r.Status.Phase, r.Status.Reason)
		}
	})
}

func TestDeadEndpointIsNoNoOp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture() // min 1
		fx.Foreign(func(s *endpointtest.WorkersState) { s.Live = "b"; s.Workers = nil })
		fx.StallOn(fx.goal)
		// No worker at all: the service has none to give.
		ep := starved{fx.Workers}
		r, err := strategy.Run(t.Context(), strategy.NewMemory(), ep, fx.strategy, fx.target)
		if err == nil {
			t.Errorf("%s, nil error: min is %d and %d workers live, phase %s", r.Outcome, r.Status.Settings[endpoint.WorkersMin], r.Status.Live(), r.Status.Phase)
		}
	})
}

type starved struct{ *endpointtest.Workers }

func (f starved) Status(ctx context.Context) (endpoint.Status, error) {
	s, err := f.Workers.Status(ctx)
	s.Pools = nil
	return s, err
}

type cut struct {
	unlocked
	off *bool
}

func (c cut) Append(ctx context.Context, name string, r strategy.Record) error {
	if *c.off {
		return errors.New("dial tcp: no route to host")
	}
	return c.unlocked.Append(ctx, name, r)
}

func TestDriverWithoutItsJournalStopsWriting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		fx.strategy = strategy.InPlace{}
		shared := unlocked{strategy.NewMemory()}
		off := false
		ctx, cancel := context.WithCancel(t.Context())
		throttled := true
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name == "update b" {
				return endpointtest.RunAfter(func() { off = true; time.AfterFunc(45*time.Second, cancel) })
			}
			if name == "update a" && throttled {
				return endpointtest.Throttle(5 * time.Second)
			}
			return endpointtest.Fault{}
		})
		// its "done" of the update arrives, everything after it does not
		a := make(chan error, 1)
		go func() {
			_, err := strategy.Run(ctx, cut{shared, &off}, fx, fx.strategy, fx.target)
			a <- err
		}()
		time.Sleep(2 * time.Minute)
		r, err := strategy.Resume(t.Context(), shared, fx, strategy.WithForward())
		if err != nil {
			t.Fatalf("Resume: %v", err)
		}
		throttled = false
		t.Logf("driver 2: %s; driver 1: %v", r.Outcome, <-a)
		if fx.artifact() != fx.goal {
			t.Errorf("the second driver succeeded, and then the first one moved the endpoint to %s", fx.artifact())
		}
	})
}

// An endpoint that was a worker short at the start is only rolled back once its source serves again.
func TestRolledBackMeansServing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
			Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 2, Max: 3,
		})
		ep.Foreign(func(s *endpointtest.WorkersState) { s.Min = 3 }) // the third one is starting
		ep.FailOn("acme/sdxl:v2", "image pull backoff")
		r, err := strategy.Run(t.Context(), strategy.NewMemory(), ep, strategy.FlushToZero{}, strategy.ToRevision("b"))
		if r == nil {
			t.Fatal(err)
		}
		s := ep.Truth()
		up := 0
		for _, w := range s.Workers {
			if w.Up && w.Runs.ID == "a" {
				up++
			}
		}
		t.Logf("plan back: %v", r.Plan.Back)
		if r.Outcome == strategy.RolledBack && up == 0 {
			t.Errorf("rolled back, but no worker serves the source; before, two did: %+v", s.Workers)
		}
	})
}

type lagging struct {
	*endpointtest.Workers
	old   endpoint.Status // before the rollout
	until time.Time       // reads may be old until then
	fresh int             // so many looks hit the other replica
}

func (l *lagging) Status(ctx context.Context) (endpoint.Status, error) {
	s, err := l.Workers.Status(ctx)
	if time.Now().Before(l.until) {
		if l.fresh > 0 {
			l.fresh--
			return s, err
		}
		return l.old, err
	}
	return s, err
}

func TestRolledBackIsNotReadFromThePast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		fx.strategy = strategy.InPlace{}
		l := &lagging{Workers: fx.Workers}
		l.old, _ = fx.Workers.Status(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			switch name {
			case "update b":
				return endpointtest.RunAfter(func() {
					// one replica lags 25s, less than the settle time; the next two looks hit the other one
					l.until, l.fresh = time.Now().Add(25*time.Second), 2
					fx.Foreign(func(s *endpointtest.WorkersState) { s.Workers = s.Workers[:0] }) // provider stops old workers at once
					cancel()
				})
			}
			return endpointtest.Fault{}
		})
		r, err := strategy.Run(ctx, strategy.NewMemory(), l, fx.strategy, fx.target)
		up := 0
		for _, w := range fx.Truth().Workers {
			if w.Up && w.Runs.ID == "a" {
				up++
			}
		}
		t.Logf("%v", fx.writes())
		if r.Outcome == strategy.RolledBack && up == 0 {
			t.Errorf("%v; but nothing serves the source: %+v", err, fx.Truth().Workers)
		}
	})
}

// An abandoned way back still says why the rollout failed.
func TestAbandonedSaysWhy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		fx.FailOn(fx.goal, "image pull backoff")
		abandon := make(chan struct{})
		turned := false
		r, err := strategy.Run(t.Context(), strategy.NewMemory(), fx, fx.strategy, fx.target, strategy.WithAbandon(abandon),
			strategy.WithObserver(func(e strategy.Event) {
				if e.Kind == strategy.EventTurn {
					turned = true
				}
				if turned && e.Kind == strategy.EventLook && e.Step == "await serving" {
					select {
					case <-abandon:
					default:
						close(abandon)
					}
				}
			}))
		if !errors.Is(err, endpoint.ErrUnhealthy) || !strings.Contains(err.Error(), "image pull backoff") {
			t.Errorf("%s: the error does not say why the rollout failed: %v", r.Outcome, err)
		}
	})
}

func TestAbandonedBeforehandWritesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		abandon := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		n := -1
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name == "set workers.max=0" {
				return endpointtest.RunAfter(func() { close(abandon); cancel(); n = 0 })
			}
			if n >= 0 {
				n++
			}
			return endpointtest.Fault{}
		})
		looks := 0
		fx.OnRead(func(int, string) endpointtest.Fault {
			if n >= 0 {
				looks++
			}
			return endpointtest.Fault{}
		})
		_, err := strategy.Run(ctx, strategy.NewMemory(), fx, fx.strategy, fx.target, strategy.WithAbandon(abandon))
		if n > 0 || looks > 0 {
			t.Errorf("%d writes, %d reads after it was abandoned: %v", n, looks, err)
		}
	})
}

type bare struct{ w *endpointtest.Workers }

func (b bare) Name() string { return b.w.Name() }

func (b bare) Status(ctx context.Context) (endpoint.Status, error) { return b.w.Status(ctx) }

func (b bare) Update(ctx context.Context, c endpoint.Change) error { return b.w.Update(ctx, c) }

func (b bare) Resolve(ctx context.Context, r endpoint.Revision) (endpoint.Revision, error) {
	return b.w.Resolve(ctx, r)
}

func TestMissingAbilityIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		if _, err := strategy.Preview(t.Context(), bare{fx.Workers}, fx.strategy, fx.target); err == nil {
			t.Error("Preview shows a plan that cannot be carried out")
		}
		_, err := strategy.Run(t.Context(), strategy.NewMemory(), bare{fx.Workers}, fx.strategy, fx.target)
		var re *strategy.RolloutError
		if errors.As(err, &re) {
			t.Errorf("a rollout began: %v", err)
		}
	})
}

// What was staged and is not served is listed.
func TestStagedRevisionIsALeftover(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := newVariants()
		ep.FailOn("model-3", "no")
		n := len(ep.Truth().Revisions)
		r, err := strategy.Run(t.Context(), strategy.NewMemory(), ep, strategy.ScaleProtectedSwap{}, strategy.ToArtifact("model-3"))
		if made := len(ep.Truth().Revisions) - n; made > 0 && len(r.Leftovers) == 0 {
			t.Errorf("%d revision left behind, leftovers %q: %v", made, r.Leftovers, err)
		}
	})
}

// A foreign write just before the start, which reads do not show yet, is not overwritten.
func TestLateReadAtTheStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
			Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 0, Max: 3,
		})
		fx := &fixture{Workers: ep, way: ways()[1], before: ep.Protective()}
		fx.StaleReads(25 * time.Second) // less than the settle time
		fx.Foreign(func(s *endpointtest.WorkersState) { s.Max = 7 })
		r, err := strategy.Run(t.Context(), strategy.NewMemory(), fx, fx.strategy, fx.target)
		if got := fx.Truth().Max; got != 7 {
			t.Errorf("%s, %v, drift %v: somebody's max=7 became %d", r.Outcome, err, r.Drift, got)
		}
	})
}

// A gate's error turns the rollout back, whatever its class.
func TestGateErrorIsNotWaitedOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		calls := 0
		_, err := fx.run(t.Context(), strategy.WithBake(time.Minute), strategy.WithGate("errors", func(context.Context, endpoint.Status) error {
			if calls++; calls <= 3 {
				return fmt.Errorf("error rate 80%%: model answers %w", endpoint.ErrUnavailable)
			}
			return nil
		}))
		if err == nil {
			t.Errorf("committed although the gate failed three times (%d calls)", calls)
		}
	})
}

// One refused read on the way back is no reason to give it up.
func TestOneRefusedReadOnTheWayBack(t *testing.T) {
	for _, step := range []string{"await serving", "verify"} {
		bubble(t, func(t *testing.T) {
			fx := flushFixture()
			fx.FailOn(fx.goal, "image pull backoff")
			back, once := false, false
			fx.OnRead(func(int, string) endpointtest.Fault {
				if back && !once {
					once = true
					return endpointtest.Refuse(endpoint.ErrUnauthorized)
				}
				return endpointtest.Fault{}
			})
			_, err := strategy.Run(t.Context(), strategy.NewMemory(), fx, fx.strategy, fx.target, strategy.WithObserver(func(e strategy.Event) {
				if e.Back && e.Kind == strategy.EventStep && e.Step == step {
					back = true
				}
			}))
			if !errors.Is(err, endpoint.ErrRolledBack) {
				t.Errorf("one 401 at %s: %v", step, err)
			}
		})
	}
}

// A rollout that has ended is not named as the holder.
func TestEndedRolloutIsNoHolder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		store := strategy.NewMemory()
		if _, err := strategy.Run(t.Context(), store, fx, strategy.InPlace{}, fx.target, strategy.WithDriver("alice")); err != nil {
			t.Fatal(err)
		}
		go func() {
			if _, err := strategy.Run(t.Context(), store, fx, strategy.InPlace{}, strategy.ToRevision("a"), strategy.WithDriver("bob")); err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(time.Second) // bob reads before he plans
		_, err := strategy.Run(t.Context(), store, fx, strategy.InPlace{}, strategy.ToRevision("a"), strategy.WithDriver("carol"))
		if !errors.Is(err, endpoint.ErrBusy) || strings.Contains(err.Error(), "alice") {
			t.Errorf("bob holds it: %v", err)
		}
		time.Sleep(time.Hour)
	})
}

type sickly struct {
	*endpointtest.Workers
	from *time.Time
}

func (f sickly) Status(ctx context.Context) (endpoint.Status, error) {
	s, err := f.Workers.Status(ctx)
	if !f.from.IsZero() && time.Since(*f.from) < 2*time.Minute {
		s.Phase, s.Serving, s.Pools = endpoint.PhaseDegraded, endpoint.Revision{}, []endpoint.Pool{{Unhealthy: 1}}
	}
	return s, err
}

func TestResumeSettlesAsPlanned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		fx.strategy = strategy.InPlace{}
		store := strategy.NewMemory()
		fx.crashAt(t, store, 1, strategy.WithSettle(5*time.Minute))
		var now time.Time
		r, err := strategy.Resume(t.Context(), store, sickly{fx.Workers, &now}, strategy.WithForward(), strategy.WithObserver(func(e strategy.Event) {
			if e.Kind == strategy.EventStep && e.Step == "await serving" {
				now = time.Now()
			}
		}))
		if err != nil {
			t.Errorf("the plan says to believe a bad sign after 5m: %s, %v", r.Outcome, err)
		}
	})
}

// One refused read while an open write is looked for skips no step of the way back.
func TestRefusedReadSkipsNoStep(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		ctx, cancel := context.WithCancel(t.Context())
		armed := false
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name == "update b" {
				return endpointtest.RunAfter(func() { armed = true; cancel() })
			}
			return endpointtest.Fault{}
		})
		fx.OnRead(func(int, string) endpointtest.Fault {
			if armed {
				armed = false
				return endpointtest.Refuse(endpoint.ErrUnauthorized)
			}
			return endpointtest.Fault{}
		})
		r, err := strategy.Run(ctx, strategy.NewMemory(), fx, fx.strategy, fx.target)
		if !errors.Is(err, endpoint.ErrRolledBack) {
			t.Errorf("%s: %v\nwrites %v", r.Outcome, err, fx.writes())
		}
	})
}
