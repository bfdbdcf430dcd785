package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// The tests of this file have two drivers on one endpoint. The store has no
// lock, so that the first one may be paused (a laptop that sleeps, a virtual
// machine that is moved) while the second one, which cannot know whether it is
// dead, takes the rollout over.

// paused is where a driver is stopped, and for how long.
type paused struct {
	name  string
	fault func(stop func()) endpointtest.Fault
	// sent is whether the write was on its way before the driver was stopped.
	sent bool
}

func pauses() []paused {
	return []paused{
		{"before its write is sent", endpointtest.RunBefore, false},
		{"before it hears of its write", endpointtest.RunAfter, true},
	}
}

// log is what the fakes say of their calls.
type log interface{ Calls() []endpointtest.Call }

func writesTo(t *testing.T, w world) []endpointtest.Call {
	t.Helper()
	l, ok := w.ep.(log)
	if !ok {
		t.Fatal("the endpoint keeps no log")
	}
	var writes []endpointtest.Call
	for _, c := range l.Calls() {
		if c.Write > 0 {
			writes = append(writes, c)
		}
	}
	return writes
}

// drivers is what came of two drivers.
type drivers struct {
	first, second       *rollout.Report
	firstErr, secondErr error
	// taken is what the endpoint was sent until the second driver had finished.
	taken []endpointtest.Call
}

// process is one that is stopped as a whole, and not only in its call, which its
// rollout would abandon: nothing happens in it until it is woken.
type process struct {
	stopped chan struct{}
	wakes   time.Time
}

func (p *process) stop(d time.Duration) {
	p.wakes = time.Now().Add(d)
	close(p.stopped)
	time.Sleep(d)
}

// hear is an observer that stops with the process.
func (p *process) hear(rollout.Event) {
	select {
	case <-p.stopped:
		time.Sleep(time.Until(p.wakes))
	default:
	}
}

// duel stops a driver at its write number at for d. A minute later another one
// resumes and finishes the rollout. reached is false if there was no such write.
func (sc scenario) duel(t *testing.T, w world, p paused, at int, d time.Duration, opts ...rollout.Option) (ds drivers, reached bool) {
	t.Helper()
	store := unlocked{journal.NewMemory()}
	frozen := &process{stopped: make(chan struct{})}
	stopped := frozen.stopped
	w.ep.OnMutation(func(n int, _ string) endpointtest.Fault {
		if n != at {
			return endpointtest.Fault{}
		}
		return p.fault(func() { frozen.stop(d) })
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		ds.first, ds.firstErr = rollout.Run(t.Context(), store, w.ep, sc.strategy, sc.target,
			append(sc.opts, rollout.WithOwner("first"), rollout.WithHook(frozen.hear))...)
	}()
	select {
	case <-done:
		return ds, false
	case <-stopped:
	}
	time.Sleep(time.Minute)
	ds.second, ds.secondErr = rollout.Resume(t.Context(), store, w.ep, append(append(sc.opts, opts...), rollout.WithOwner("second"))...)
	ds.taken = writesTo(t, w)
	select {
	case <-done:
		t.Error("the first driver ended before it was woken")
	default:
	}
	<-done
	return ds, true
}

// A driver that wakes up after its rollout was taken over and finished ends
// without another write, and says what happened.
func TestTakenOver(t *testing.T) {
	points := 0
	for _, sc := range scenarios() {
		for _, p := range pauses() {
			for _, o := range takeOvers() {
				for at, reached := 1, true; reached; at++ {
					ok := t.Run(fmt.Sprintf("%s/stopped %s %d%s", sc.name, p.name, at, o.name), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							reached = sc.takeOver(t, p, at, o)
						})
					})
					if !ok {
						break
					}
					if reached {
						points++
					}
				}
			}
		}
	}
	t.Logf("swept %d take-overs", points)
}

// takeOver is how the second driver goes about it, and when the first one wakes.
type takeOver struct {
	name string
	// wakes is within, or long after, what the way back may take.
	wakes time.Duration
	opts  []rollout.Option
}

func takeOvers() []takeOver {
	return []takeOver{
		{", taken back, awake in an hour", time.Hour, nil},
		{", taken forward, awake in an hour", time.Hour, []rollout.Option{rollout.WithForward()}},
		{", taken back, awake in two days", 48 * time.Hour, nil},
	}
}

func (sc scenario) takeOver(t *testing.T, p paused, at int, o takeOver) (reached bool) {
	t.Helper()
	w := sc.world()
	before := w.ep.Protective()
	ds, reached := sc.duel(t, w, p, at, o.wakes, o.opts...)
	if !reached {
		return false
	}
	sc.check(t, w, before, ds.second, ds.secondErr)
	if ds.first == nil || ds.first.Outcome != rollout.OutcomeDetached ||
		!errors.Is(ds.firstErr, rollout.ErrDetached) || !errors.Is(ds.firstErr, journal.ErrConflict) {
		t.Errorf("the first driver ended with %v\nwant it detached, by a conflict", ds.firstErr)
	}
	var writes []endpointtest.Call
	for _, c := range writesTo(t, w) {
		if c.Write != at || p.sent {
			writes = append(writes, c)
		} else if c.Applied || c.Err == nil {
			t.Errorf("its write landed after it was woken: %+v", c)
		}
	}
	if diff := cmp.Diff(len(ds.taken), len(writes)); diff != "" {
		t.Errorf("it wrote again after it was woken (-before +after):\n%s%v", diff, writes[len(ds.taken):])
	}
	return true
}

// A driver that is stopped in the middle of a wait finds out as well.
func TestTakenOverWhileItWaits(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := unlocked{journal.NewMemory()}
		frozen := &process{stopped: make(chan struct{})}
		stopped := frozen.stopped
		start := time.Now()
		halted := false
		fx.OnRead(func(int, string) endpointtest.Fault {
			if halted || len(fx.writes()) == 0 || fx.Truth().Live != "b" || time.Since(start) < time.Minute {
				return endpointtest.Fault{}
			}
			halted = true
			return endpointtest.RunBefore(func() {
				frozen.stop(20 * time.Minute) // less than its step has: it finds everything as it should be
			})
		})
		done := make(chan error)
		go func() {
			_, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, rollout.WithHook(frozen.hear))
			done <- err
		}()
		<-stopped
		r, err := rollout.Resume(t.Context(), store, fx, rollout.WithForward())
		if err != nil || r.Outcome != rollout.OutcomeSucceeded {
			t.Errorf("Resume = %v, %v", r, err)
		}
		writes := fx.writes()
		if err := <-done; !errors.Is(err, journal.ErrConflict) || !errors.Is(err, rollout.ErrDetached) {
			t.Errorf("the first driver ended with %v\nwant it detached, by a conflict", err)
		}
		if diff := cmp.Diff(writes, fx.writes()); diff != "" {
			t.Errorf("it wrote again (-before +after):\n%s", diff)
		}
		if fx.artifact() != fx.goal {
			t.Errorf("serves %s", fx.artifact())
		}
	})
}

// Whoever takes a rollout over without knowing whether its driver is dead waits
// for as long as that driver's call may take, and then for the settle time.
func TestTakeOverWaitsForTheCallToEnd(t *testing.T) {
	for _, tt := range []struct {
		name  string
		store journal.Store
		waits time.Duration
	}{
		{"without a lock", unlocked{journal.NewMemory()}, 90 * time.Second}, // a minute for the call, 30s to settle
		{"with a lease", newConnected(), 90 * time.Second},                  // which the driver before lost when it died, or was cut off
		{"with a lock", journal.NewMemory(), 30 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fx := flushFixture()
				fx.OnMutation(func(n int, _ string) endpointtest.Fault {
					if n == 1 {
						return endpointtest.RunBefore(runtime.Goexit)
					}
					return endpointtest.Fault{}
				})
				if _, crashed, err := survive(func() (*rollout.Report, error) {
					return rollout.Run(t.Context(), tt.store, fx, fx.strategy, fx.target)
				}); !crashed {
					t.Fatalf("the rollout did not crash: %v", err)
				}
				died := time.Now()
				var decided time.Time
				_, err := rollout.Resume(t.Context(), tt.store, fx, rollout.WithHook(func(e rollout.Event) {
					if e.Kind == rollout.EventStep && decided.IsZero() {
						decided = e.Time
					}
				}))
				if !errors.Is(err, rollout.ErrRolledBack) {
					t.Fatal(err)
				}
				if waited := decided.Sub(died); waited != tt.waits {
					t.Errorf("it decided what became of the write after %v, want %v", waited, tt.waits)
				}
				fx.wantAsBefore(t)
			})
		})
	}
}

// overtaken is a store in which somebody else is faster with a record of a kind.
type overtaken struct {
	journal.Store
	kind journal.RecordKind
	by   func()
}

func (o *overtaken) Append(ctx context.Context, name string, r journal.Record) error {
	if by := o.by; by != nil && r.Kind == o.kind {
		o.by = nil
		by()
	}
	return o.Store.Append(ctx, name, r)
}

// claim drives a rollout until its owner has claimed it.
func claim(t *testing.T, r *rollout.Rollout, store journal.Store, name, owner string) error {
	t.Helper()
	defer r.Close()
	for range 100 {
		next, _, err := r.Advance(t.Context())
		if err != nil {
			return err
		}
		records, err := store.Load(t.Context(), name)
		if err != nil {
			return err
		}
		for _, rec := range records {
			if rec.Kind == journal.KindClaim && rec.Owner == owner {
				return nil
			}
		}
		time.Sleep(time.Until(next))
	}
	return errors.New("it is not claimed")
}

// Whoever is too late to begin, or to take over, is told that the endpoint is
// busy, and by whom.
func TestOvertaken(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		shared := unlocked{journal.NewMemory()}
		var other error
		store := &overtaken{Store: shared, kind: journal.KindPlan, by: func() {
			r, err := rollout.Begin(t.Context(), shared, fx, fx.strategy, fx.target, rollout.WithOwner("the other one"))
			other = errors.Join(err, claim(t, r, shared, fx.Name(), "the other one"))
		}}
		_, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target)
		if other != nil || !errors.Is(err, endpoint.ErrBusy) || !strings.Contains(err.Error(), "held by the other one") {
			t.Errorf("Run = %v, want it to be %v and to name the holder; the other one: %v", err, endpoint.ErrBusy, other)
		}
		for _, kind := range []journal.RecordKind{journal.KindClaim, journal.KindRollback} {
			store.kind, store.by = kind, func() {
				r, err := rollout.Attach(t.Context(), shared, fx, rollout.WithOwner("a third one"), rollout.WithForward())
				other = errors.Join(err, claim(t, r, shared, fx.Name(), "a third one"))
			}
			_, err = rollout.Resume(t.Context(), store, fx)
			if other != nil || !errors.Is(err, endpoint.ErrBusy) || !strings.Contains(err.Error(), "held by a third one") {
				t.Errorf("Resume = %v, want it to be %v and to name the holder; the other one: %v", err, endpoint.ErrBusy, other)
			}
		}
		if n := len(fx.writes()); n > 1 { // the third one's
			t.Errorf("%d writes were made", n)
		}
	})
}
