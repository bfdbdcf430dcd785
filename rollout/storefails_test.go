package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

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
		mem := journal.NewMemory()
		store := &badStore{Store: unlocked{mem}, how: spoiled{err: fmt.Errorf("dynamodb: %w", endpoint.ErrThrottled)}, at: 7}
		r, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target)
		t.Logf("%v: %v", r.Outcome, err)
		if _, err := rollout.Explain(t.Context(), mem, fx.Name()); err != nil {
			t.Errorf("the journal is unreadable from now on: %v", err)
		}
		if _, err := rollout.Resume(t.Context(), mem, fx); errors.Is(err, journal.ErrDamaged) {
			t.Errorf("and cannot be resumed: %v", err)
		}
		if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
			t.Errorf("(-before +after):\n%s", diff)
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
	off *atomic.Bool
}

func (c cut) Append(ctx context.Context, name string, r journal.Record) error {
	if c.off.Load() {
		return errors.New("dial tcp: no route to host")
	}
	return c.unlocked.Append(ctx, name, r)
}

func TestDriverWithoutItsJournalStopsWriting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		fx.strategy = strategy.InPlace{}
		shared := unlocked{journal.NewMemory()}
		off := &atomic.Bool{}
		ctx, cancel := context.WithCancel(t.Context())
		throttled := true
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name == "update b" {
				return endpointtest.RunAfter(func() { off.Store(true); time.AfterFunc(45*time.Second, cancel) })
			}
			if name == "update a" && throttled {
				return endpointtest.Throttle(5 * time.Second)
			}
			return endpointtest.Fault{}
		})
		// its "done" of the update arrives, everything after it does not
		a := make(chan error, 1)
		go func() {
			_, err := rollout.Run(ctx, cut{shared, off}, fx, fx.strategy, fx.target)
			a <- err
		}()
		time.Sleep(2 * time.Minute)
		r, err := rollout.Resume(t.Context(), shared, fx, rollout.WithForward())
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

// garbled is a store of which one append fails and arrives all the same: at once,
// or when it is overtaken by the next. What is loaded meanwhile does not tell.
type garbled struct {
	journal.Store
	at      int
	late    bool
	waiting *journal.Record
	loads   int // that fail
}

func (g *garbled) Append(ctx context.Context, name string, r journal.Record) error {
	if g.waiting != nil {
		if err := g.Store.Append(ctx, name, *g.waiting); err != nil {
			return err
		}
		g.waiting = nil
	}
	if r.Seq != g.at {
		return g.Store.Append(ctx, name, r)
	}
	g.at = 0
	if g.late {
		g.waiting = &r
		return errors.New("i/o timeout")
	}
	g.loads = 2
	return errors.Join(g.Store.Append(ctx, name, r), errors.New("i/o timeout"))
}

func (g *garbled) Load(ctx context.Context, name string) ([]journal.Record, error) {
	if g.loads > 0 {
		g.loads--
		return nil, errors.New("i/o timeout")
	}
	return g.Store.Load(ctx, name)
}

// A record that arrives although its append failed is not taken for another
// driver's: the rollout does not stand still with nobody to drive it.
func TestOwnRecordIsNobodyElses(t *testing.T) {
	for _, late := range []bool{false, true} {
		eachWay(t, func(t *testing.T, fx *fixture) {
			whole := journal.NewMemory()
			if _, err := rollout.Run(t.Context(), whole, fx, fx.strategy, fx.target); err != nil {
				t.Fatal(err)
			}
			records, err := whole.Load(t.Context(), fx.Name())
			if err != nil {
				t.Fatal(err)
			}
			committed := slices.IndexFunc(records, func(r journal.Record) bool { return r.Kind == journal.KindCommit })
			for i, record := range records {
				fx := &fixture{Workers: flushFixture().Workers, way: fx.way, before: fx.before}
				store := &garbled{Store: unlocked{journal.NewMemory()}, at: record.Seq, late: late}
				r, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target)
				switch {
				case r.Outcome == rollout.OutcomeRefused && i < 2 && err != nil: // the plan and the claim: refused, with nothing changed
					fx.wantAsBefore(t)
				case i >= committed && err == nil && r.Outcome == rollout.OutcomeSucceeded && fx.artifact() == fx.goal:
				case i < committed:
					fx.wantRolledBack(t, err, rollout.ErrRolledBack)
				default:
					t.Errorf("the %s record is late (%v): %v, serving %s", record.Kind, late, err, fx.artifact())
				}
				if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
					t.Errorf("the %s record is late (%v): protective values (-before +after):\n%s", record.Kind, late, diff)
				}
			}
		})
	}
}

// A store without a lock that is down on the way back is waited for: nobody
// else may be driving, and the endpoint is not left half-way.
func TestStoreComesBack(t *testing.T) {
	for _, down := range []time.Duration{5 * time.Minute, time.Hour} {
		bubble(t, func(t *testing.T) {
			fx, off := flushFixture(), &atomic.Bool{}
			shared := unlocked{journal.NewMemory()}
			fx.FailOn("acme/sdxl:v2", "image pull backoff")
			fx.OnMutation(func(_ int, name string) endpointtest.Fault {
				if name == "set workers.min=0" {
					return endpointtest.RunAfter(func() {
						off.Store(true)
						time.AfterFunc(down, func() { off.Store(false) })
					})
				}
				return endpointtest.Fault{}
			})
			_, err := rollout.Run(t.Context(), cut{shared, off}, fx, fx.strategy, fx.target)
			if down > 10*time.Minute {
				if !errors.Is(err, rollout.ErrIncomplete) {
					t.Errorf("Run = %v, want it to be %v", err, rollout.ErrIncomplete)
				}
				time.Sleep(down)
				_, err = rollout.Resume(t.Context(), shared, fx)
			}
			if !errors.Is(err, rollout.ErrRolledBack) {
				t.Errorf("down for %v: %v, want it to be %v", down, err, rollout.ErrRolledBack)
			}
			fx.wantAsBefore(t)
		})
	}
}
