package rollout_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/waiter"
)

// A finished rollout can be drawn from its store alone.
func TestSeriesShowsCapacity(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := journal.NewMemory()
		report, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target)
		if err != nil {
			t.Fatal(err)
		}
		s, err := rollout.LoadSeries(t.Context(), store, fx.Name(), report.Plan.Rollout)
		if err != nil {
			t.Fatal(err)
		}
		first, last := s.Points[0], s.Points[len(s.Points)-1]
		if first.Source == 0 || first.Target != 0 || last.Target == 0 || last.Source != 0 {
			t.Errorf("capacity goes from %+v to %+v, want from the source to the target", first, last)
		}
		empty := false
		for _, p := range s.Points {
			empty = empty || p.Ready() == 0
		}
		if flushes := fx.strategy.String() == "flush-to-zero"; flushes && !empty {
			t.Errorf("no point shows that no worker was ready: %+v", s.Points)
		}
		if s.Polls == 0 || s.Until.Before(last.At) || s.Until.After(report.Finished) {
			t.Errorf("%d polls until %v, want some until %v", s.Polls, s.Until, report.Finished)
		}
	})
}

// The runner that takes over goes on with the series.
func TestSeriesGoesOnAfterACrash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx, store := flushFixture(), journal.NewMemory()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		_, err := rollout.Run(ctx, store, fx, fx.strategy, fx.target, rollout.WithDetach(), rollout.WithSchedule(waiter.Every(5*time.Second)),
			rollout.WithObserver(func(_ context.Context, e rollout.Event) {
				if e.Kind == rollout.EventDone && e.Step == "await empty" {
					cancel()
				}
			}))
		if !errors.Is(err, rollout.ErrDetached) {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		resumed := time.Now()
		report, err := rollout.Resume(t.Context(), store, fx)
		if !errors.Is(err, rollout.ErrRolledBack) {
			t.Fatal(err)
		}
		s, err := rollout.LoadSeries(t.Context(), store, fx.Name(), report.Plan.Rollout)
		if err != nil {
			t.Fatal(err)
		}
		if !s.Points[0].At.Before(resumed.Add(-time.Hour)) || !s.Until.After(resumed) {
			t.Errorf("points from %v to %v, want some before and after %v", s.Points[0].At, s.Until, resumed)
		}
	})
}

// refusing is a store with no place for a series.
type refusing struct {
	*journal.Memory
	attached int
}

func (r *refusing) Attach(context.Context, string, string, []byte) error {
	r.attached++
	return errors.New("the disk is full")
}

func TestSeriesThatCannotBeKeptChangesNothing(t *testing.T) {
	took := func(store journal.Store) (d time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			fx, began := flushFixture(), time.Now()
			if _, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target); err != nil {
				t.Fatal(err)
			}
			d = time.Since(began)
		})
		return d
	}
	full := &refusing{Memory: journal.NewMemory()}
	if got, want := took(full), took(journal.NewMemory()); got != want {
		t.Errorf("the rollout took %v, want %v as with a store that keeps it", got, want)
	}
	if full.attached == 0 || full.attached > 10 {
		t.Errorf("it was tried %d times, want some", full.attached)
	}
	_, err := rollout.LoadSeries(t.Context(), struct{ journal.Store }{journal.NewMemory()}, "fake/sdxl", "x")
	if !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("of a store without a place for it: %v", err)
	}
}
