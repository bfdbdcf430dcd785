package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/sampled"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// spoiled is what goes wrong with one append.
type spoiled struct {
	name  string
	wrote bool  // the record is there all the same
	err   error // nil: the process dies
	stays bool  // every later append fails too
}

func spoils() []spoiled {
	disk, cloud := errors.New("disk: i/o error"), fmt.Errorf("dynamodb: %w", endpoint.ErrUnavailable)
	return []spoiled{
		{name: "dies before"},
		{name: "dies after", wrote: true},
		{name: "fails once", err: disk},
		{name: "fails once, in the provider's vocabulary", err: cloud},
		{name: "fails for good", err: disk, stays: true},
		{name: "loses the answer", err: cloud, wrote: true},
	}
}

// badStore spoils the append with the number at.
type badStore struct {
	journal.Store
	how   spoiled
	n, at int
}

func (b *badStore) reached() bool { return b.n >= b.at }

func (b *badStore) Append(ctx context.Context, name string, r journal.Record) error {
	b.n++
	if b.n < b.at || b.n > b.at && !b.how.stays {
		return b.Store.Append(ctx, name, r)
	}
	if b.how.wrote {
		if err := b.Store.Append(ctx, name, r); err != nil {
			return err
		}
	}
	if b.how.err == nil {
		runtime.Goexit()
	}
	return b.how.err
}

// Each append of each rollout goes wrong in each way, with a store that has a
// lock and with one that has none.
func TestStoreSweep(t *testing.T) {
	points := 0
	for _, sc := range scenarios() {
		for _, how := range spoils() {
			for _, locked := range []bool{true, false} {
				step := sampled.OneIn(7)
				for at, reached := 1+points%step, true; reached; at += step {
					ok := t.Run(fmt.Sprintf("%s/%s/locked=%v/append %d", sc.name, how.name, locked, at), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) { reached = sc.spoil(t, how, locked, at) })
					})
					if !ok {
						return
					}
					points++
				}
			}
		}
	}
	t.Logf("swept %d points of the store, none of them lost anything", points)
}

func (sc scenario) spoil(t *testing.T, how spoiled, locked bool, at int) (reached bool) {
	w := sc.world()
	before := w.ep.Protective()
	memory := journal.NewMemory()
	bad := &badStore{Store: memory, how: how, at: at}
	var store, good journal.Store = bad, unlocked{memory}
	if locked {
		good = memory
		store = struct {
			*badStore
			journal.Locker
		}{bad, memory}
	}
	report, crashed, err := survive(func() (*rollout.Report, error) {
		return rollout.Run(t.Context(), store, w.ep, sc.strategy, sc.target, sc.opts...)
	})
	// Without a lock and without its journal a driver does not know whether
	// another one has taken over, so it may stop and leave the rest to a resume.
	stopped := !locked && how.stays && errors.Is(err, rollout.ErrIncomplete)
	if crashed || report.Outcome == rollout.OutcomeRefused || stopped {
		report, err = rollout.Resume(t.Context(), good, w.ep, sc.opts...)
	}
	time.Sleep(time.Hour)
	if report != nil && report.Outcome == rollout.OutcomeNothing { // it had not begun, or it had ended
		report.Outcome, err = rollout.OutcomeRolledBack, rollout.ErrRolledBack
		if w.live() == sc.goal {
			report.Outcome, err = rollout.OutcomeSucceeded, nil
		}
	}
	sc.check(t, w, before, report, err)
	return bad.reached()
}
