package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// jumped is a store whose records up to one were dated by a clock that was put back
// or forward since.
type jumped struct {
	*journal.Memory
	until int
	by    time.Duration
}

func (j jumped) Load(ctx context.Context, name string) ([]journal.Record, error) {
	records, err := j.Memory.Load(ctx, name)
	for i := range records {
		if r := &records[i]; r.Seq <= j.until {
			r.Time = r.Time.Add(j.by)
			if !r.NotAfter.IsZero() {
				r.NotAfter = r.NotAfter.Add(j.by)
			}
		}
	}
	return records, err
}

// A clock that jumps after a crash, either way, keeps no endpoint without workers:
// records from the future count as of now, and the resume says which.
func TestClockThatJumpsAfterACrash(t *testing.T) {
	for _, by := range []time.Duration{-72 * time.Hour, -10 * time.Minute, 10 * time.Minute, 72 * time.Hour, 20 * 365 * 24 * time.Hour} {
		for at := 1; at <= 5; at++ {
			for _, locked := range []bool{true, false} {
				t.Run(fmt.Sprintf("%v/write %d/locked %t", by, at, locked), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						fx, memory := flushFixture(), journal.NewMemory()
						fx.crashAt(t, unlocked{memory}, at)
						records, err := memory.Load(t.Context(), fx.Name())
						if err != nil {
							t.Fatal(err)
						}
						var store journal.Store = jumped{memory, len(records), by}
						if !locked {
							store = struct{ journal.Store }{store}
						}
						said, began := "", time.Now()
						_, err = rollout.Resume(t.Context(), store, fx, rollout.WithHook(func(e rollout.Event) {
							if e.Kind == rollout.EventResume {
								said = e.Text
							}
						}))
						fx.wantRolledBack(t, err, rollout.ErrRolledBack)
						if took := time.Since(began); took > 15*time.Minute {
							t.Errorf("it took %v", took)
						}
						if ahead := strings.Contains(said, "is dated"); ahead != (by > 0) {
							t.Errorf("it says %q", said)
						}
					})
				})
			}
		}
	}
}

// away is a store without a lock that is away for a while from a moment on.
type away struct {
	unlocked
	from, until func() time.Time
}

func (a away) gone() error {
	if now := time.Now(); !a.from().IsZero() && now.After(a.from()) && now.Before(a.until()) {
		return errors.New("S3 is away")
	}
	return nil
}

func (a away) Load(ctx context.Context, name string) ([]journal.Record, error) {
	if err := a.gone(); err != nil {
		return nil, err
	}
	return a.unlocked.Load(ctx, name)
}

func (a away) Append(ctx context.Context, name string, r journal.Record) error {
	if err := a.gone(); err != nil {
		return err
	}
	return a.unlocked.Append(ctx, name, r)
}

// While the store is away with no worker left, restoring needs no store: with the
// option the endpoint is restored at once, and a resume ends the journal.
func TestStoreAwayAtZeroWorkers(t *testing.T) {
	for _, restore := range []bool{false, true} {
		t.Run(fmt.Sprintf("restore unrecorded %t", restore), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				fx, memory := flushFixture(), journal.NewMemory()
				var from time.Time
				store := away{unlocked{memory}, func() time.Time { return from }, func() time.Time { return from.Add(20 * time.Minute) }}
				opts := []rollout.Option{rollout.WithHook(func(e rollout.Event) {
					if e.Kind == rollout.EventStep && e.Step == "await empty" {
						from = time.Now()
					}
				})}
				if restore {
					opts = append(opts, rollout.WithRestoreUnrecorded())
				}
				_, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, opts...)
				if took := time.Since(from); restore {
					fx.wantRolledBack(t, err, rollout.ErrRolledBack)
					if took > 5*time.Minute {
						t.Errorf("it took %v", took)
					}
				} else if !errors.Is(err, rollout.ErrIncomplete) || fx.Truth().Max != 0 {
					t.Errorf("Run = %v", err)
				}
				time.Sleep(time.Hour)
				_, err = rollout.Resume(t.Context(), unlocked{memory}, fx)
				fx.wantRolledBack(t, err, rollout.ErrRolledBack)
			})
		})
	}
}
