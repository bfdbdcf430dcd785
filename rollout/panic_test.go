package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// bug is what the code of these tests panics with.
const bug = "index out of range [3]"

// wantPanic fails unless err says that something panicked, and where.
func wantPanic(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, rollout.ErrPanic) || !strings.Contains(err.Error(), bug) || !strings.Contains(err.Error(), "panic_test.go:") {
		t.Errorf("error is %v\nwant it to be %q, with the stack", err, rollout.ErrPanic)
	}
}

// wantFree fails unless the lock of the endpoint can be had.
func wantFree(t *testing.T, store *journal.Memory, name string) {
	t.Helper()
	release, err := store.Lock(t.Context(), name)
	if err != nil {
		t.Fatalf("the lock is held: %v", err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}

// A panic of the endpoint, at any of its calls, is a failure of the step: the
// rollout goes back, or has not begun.
func TestPanicOfTheEndpoint(t *testing.T) {
	for name, hook := range map[string]func(*fixture, func(n int, name string) endpointtest.Fault){
		"read":  func(fx *fixture, f func(int, string) endpointtest.Fault) { fx.OnRead(f) },
		"write": func(fx *fixture, f func(int, string) endpointtest.Fault) { fx.OnMutation(f) },
	} {
		for when, fault := range map[string]func(func()) endpointtest.Fault{"before": endpointtest.RunBefore, "after": endpointtest.RunAfter} {
			points := 0
			for at, reached := 1, true; reached; at++ {
				t.Run(fmt.Sprintf("%s/%s/%d", name, when, at), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						fx, store := flushFixture(), journal.NewMemory()
						reached = false
						hook(fx, func(n int, _ string) endpointtest.Fault {
							if n != at {
								return endpointtest.Fault{}
							}
							reached = true
							return fault(func() { panic(bug) })
						})
						_, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target)
						wantFree(t, store, fx.Name())
						switch {
						case !reached:
							return
						case err == nil: // after the commit point one panic is not the end
							if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" || fx.artifact() != fx.goal {
								t.Errorf("serves %s, guarded values (-before +after):\n%s", fx.artifact(), diff)
							}
						default:
							wantPanic(t, err)
							fx.wantAsBefore(t)
						}
						points++
					})
				})
			}
			if points < 5 {
				t.Errorf("%s: only %d calls were swept", name, points)
			}
		}
	}
}

// brokenStore is a store of which one call panics.
type brokenStore struct {
	*journal.Memory
	at, n int
}

func (s *brokenStore) panics() {
	if s.n++; s.n == s.at {
		panic(bug)
	}
}

func (s *brokenStore) Load(ctx context.Context, name string) ([]journal.Record, error) {
	s.panics()
	return s.Memory.Load(ctx, name)
}

func (s *brokenStore) Append(ctx context.Context, name string, r journal.Record) error {
	s.panics()
	return s.Memory.Append(ctx, name, r)
}

func (s *brokenStore) Lock(ctx context.Context, name string) (func() error, error) {
	s.panics()
	return s.Memory.Lock(ctx, name)
}

// A panic of the store is a failure of the record that it was to keep, and its
// lock is released.
func TestPanicOfTheStore(t *testing.T) {
	for at, reached := 1, true; reached; at++ {
		bubble(t, func(t *testing.T) {
			fx, store := flushFixture(), &brokenStore{Memory: journal.NewMemory(), at: at}
			_, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target)
			wantFree(t, store.Memory, fx.Name())
			if reached = store.n >= at; !reached {
				return
			}
			if err != nil {
				wantPanic(t, err)
			}
			if r, rerr := rollout.Resume(t.Context(), store.Memory, fx); rerr == nil && r.Outcome != rollout.OutcomeNothing && err != nil {
				t.Errorf("call %d: %v, and then Resume = %v", at, err, r.Outcome)
			}
			if err == nil {
				fx.before["live"] = fx.goal
				return
			}
			fx.wantAsBefore(t)
		})
	}
}

// A panic of the caller's own code is a failure of the step that it belongs to, or
// of the one during which it happens.
func TestPanicOfTheCaller(t *testing.T) {
	for name, opt := range map[string]func(fx *fixture) rollout.Option{
		"check": func(*fixture) rollout.Option {
			return rollout.WithCheck(strategy.Check{Name: "errors", Unknown: strategy.UnknownRollback}, rollout.CheckFunc(
				func(context.Context, rollout.Sample) (rollout.Verdict, error) { panic(bug) }))
		},
		"freeze": func(*fixture) rollout.Option {
			n := 0
			return rollout.WithFreeze(func(time.Time) (time.Time, string) {
				if n++; n > 20 {
					panic(bug)
				}
				return time.Time{}, ""
			})
		},
		"job": func(fx *fixture) rollout.Option {
			fx.Foreign(func(s *endpointtest.WorkersState) { s.Min = 0 })
			fx.before = fx.Protective()
			return rollout.WithProbe("p", func(context.Context) (string, error) { panic(bug) })
		},
		"schedule": func(*fixture) rollout.Option { return rollout.WithSchedule(brokenSchedule{}) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				fx, store := flushFixture(), journal.NewMemory()
				_, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, opt(fx))
				if name != "check" || !errors.Is(err, rollout.ErrCheck) || !strings.Contains(err.Error(), "panic_test.go:") { // which cannot tell then
					wantPanic(t, err)
				}
				fx.wantAsBefore(t)
				wantFree(t, store, fx.Name())
			})
		})
	}
}

type brokenSchedule struct{}

func (brokenSchedule) Next(waiter.Progress) time.Duration { panic(bug) }

// A panic of an observer, at any of its events, breaks nothing: the rollout
// goes on, and the observer gets the events after that.
func TestPanicOfTheObserver(t *testing.T) {
	for at, reached := 1, true; reached; at += 5 {
		bubble(t, func(t *testing.T) {
			fx, store := flushFixture(), journal.NewMemory()
			n := 0
			r, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, rollout.WithObserver(func(context.Context, rollout.Event) {
				if n++; n == at {
					panic(bug)
				}
			}))
			reached = n >= at
			if err != nil || r.Outcome != rollout.OutcomeSucceeded {
				t.Errorf("event %d: Run = %v, %v; want success", at, r, err)
			}
			wantFree(t, store, fx.Name())
		})
	}
}

// stubborn is an endpoint of which one call goes on whatever becomes of its context.
type stubborn struct {
	*endpointtest.Workers
	at   int
	n    atomic.Int64 // calls; one that hangs goes on beside the next
	free chan struct{}
}

func (s *stubborn) hang() {
	if s.n.Add(1) == int64(s.at) {
		<-s.free
	}
}

func (s *stubborn) Status(ctx context.Context) (endpoint.Status, error) {
	s.hang()
	return s.Workers.Status(ctx)
}

func (s *stubborn) Set(ctx context.Context, key string, value int) error {
	s.hang()
	return s.Workers.Set(ctx, key, value)
}

func (s *stubborn) Update(ctx context.Context, c endpoint.Change) error {
	s.hang()
	return s.Workers.Update(ctx, c)
}

func (s *stubborn) Resolve(ctx context.Context, r endpoint.Revision) (endpoint.Revision, error) {
	s.hang()
	return s.Workers.Resolve(ctx, r)
}

func (s *stubborn) Preflight(ctx context.Context, c endpoint.Change, v endpoint.Settings) ([]string, error) {
	s.hang()
	return s.Workers.Preflight(ctx, c, v)
}

// A call that ignores its context is abandoned: no rollout stands still for it.
func TestCallThatIgnoresItsContext(t *testing.T) {
	at, reached := 1, true
	for ; reached; at++ {
		bubble(t, func(t *testing.T) {
			fx := flushFixture()
			ep := &stubborn{Workers: fx.Workers, at: at, free: make(chan struct{})}
			defer close(ep.free)
			began := time.Now()
			_, err := rollout.Run(t.Context(), journal.NewMemory(), ep, fx.strategy, fx.target)
			if reached = int(ep.n.Load()) >= at; !reached {
				return
			}
			if took := time.Since(began); took > 30*time.Minute {
				t.Errorf("call %d: it took %v", at, took)
			}
			if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
				t.Errorf("call %d: %v, guarded values (-before +after):\n%s", at, err, diff)
			}
			if err == nil != (fx.artifact() == fx.goal) {
				t.Errorf("call %d: Run = %v, and it serves %s", at, err, fx.artifact())
			}
		})
	}
	if at < 20 {
		t.Errorf("only %d calls were swept", at)
	}
}

// A read before the plan that is never answered refuses the rollout, naming it.
func TestReadBeforeThePlanThatIsNeverAnswered(t *testing.T) {
	for what, at := range map[string]int{"the read of the target": 3, "preflight": 4} {
		bubble(t, func(t *testing.T) {
			fx := flushFixture()
			ep := &stubborn{Workers: fx.Workers, at: at, free: make(chan struct{})}
			defer close(ep.free)
			began := time.Now()
			report, err := rollout.Run(t.Context(), journal.NewMemory(), ep, fx.strategy, fx.target)
			if took := time.Since(began); report.Outcome != rollout.OutcomeRefused || !errors.Is(err, endpoint.ErrUnavailable) || took > 5*time.Minute ||
				!strings.Contains(err.Error(), what+" was not answered for 2m0s") {
				t.Errorf("Run = %v, %v after %v, want it refused naming %q", report, err, took, what)
			}
		})
	}
}
