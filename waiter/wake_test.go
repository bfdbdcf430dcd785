package waiter_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/waiter"
)

func TestWake(t *testing.T) {
	pause := look{err: throttled(20 * time.Second)}
	for _, tt := range []struct {
		name  string
		looks []look
		ready int             // wake-ups that are there before the wait begins
		sent  []time.Duration // moments of more; lost if nobody waits for one
		want  []time.Duration
	}{
		{
			name:  "never",
			looks: []look{pending, pending, holds},
			want:  seconds(0, 60, 120),
		},
		{
			name:  "cuts the sleep short",
			looks: []look{pending, holds},
			sent:  seconds(3),
			want:  seconds(0, 3),
		},
		{
			name:  "lies",
			looks: []look{pending, pending, holds},
			sent:  seconds(3),
			want:  seconds(0, 3, 60),
		},
		{
			name:  "is lost before and comes twice",
			looks: []look{pending, pending, pending, pending, holds},
			sent:  seconds(3, 3, 70),
			want:  seconds(0, 3, 3, 60, 70),
		},
		{
			name:  "was there before",
			looks: []look{pending, pending, pending, pending, holds},
			ready: 3,
			want:  seconds(0, 0, 0, 0, 60),
		},
		{
			name:  "does not stand in for a look",
			looks: []look{holds},
			ready: 1,
			want:  seconds(0),
		},
		{
			name:  "does not disturb the rest that the provider asked for",
			looks: []look{pause, pending, holds},
			sent:  seconds(5, 10),
			want:  seconds(0, 20, 80),
		},
		{
			name:  "does not disturb the back-off, and is not lost if it was kept",
			looks: []look{broken, broken, pending, holds},
			ready: 1,
			want:  seconds(0, 1, 3, 3),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wake := make(chan struct{}, tt.ready)
				for range tt.ready {
					wake <- struct{}{}
				}
				start := time.Now()
				go func() {
					for _, at := range tt.sent {
						time.Sleep(time.Until(start.Add(at)))
						synctest.Wait() // until the wait sleeps again
						select {
						case wake <- struct{}{}:
						default:
						}
					}
				}()
				p := newProbe(tt.looks...)
				_, err := waiter.Until(t.Context(), p.look, waiter.WithWake(wake), waiter.WithSchedule(waiter.Every(time.Minute)))
				wantErr(t, err, nil)
				wantDiff(t, "looks at", tt.want, p.at)
			})
		})
	}
}

// TestWakeCostsNoMoreThanPolling wakes waits that end at any time with what a
// source of events may come to: some are lost, late, doubled, or lies. No wait
// ends later than one that nobody wakes, and each wake-up costs a look at most.
func TestWakeCostsNoMoreThanPolling(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 7))
	for range 300 {
		end := time.Duration(r.Int64N(int64(5 * time.Minute)))
		var events []time.Duration
		for range r.IntN(12) {
			events = append(events, time.Duration(r.Int64N(int64(6*time.Minute)))) // lies
		}
		for range r.IntN(3) { // lost, late, and maybe twice
			events = append(events, end+time.Duration(r.ExpFloat64()*float64(10*time.Second)))
		}
		slices.Sort(events)
		run := func(events []time.Duration) (at time.Duration, looks int) {
			synctest.Test(t, func(t *testing.T) {
				wake := make(chan struct{}, 1)
				start := time.Now()
				for _, e := range events {
					time.AfterFunc(e, func() {
						select {
						case wake <- struct{}{}:
						default:
						}
					})
				}
				_, err := waiter.Until(t.Context(), func(context.Context) (waiter.Observation, bool, error) {
					looks++
					return waiter.Observation{}, time.Since(start) >= end, nil
				}, waiter.WithWake(wake), waiter.WithSchedule(waiter.Every(17*time.Second)))
				wantErr(t, err, nil)
				at = time.Since(start)
			})
			return at, looks
		}
		polled, least := run(nil)
		woken, looks := run(events)
		if woken > polled || looks > least+len(events) {
			t.Errorf("over after %v: noticed after %v in %d looks with %v, and after %v in %d without", end, woken, looks, events, polled, least)
		}
	}
}

// TestWakeClosed: a source that ends costs no looks.
func TestWakeClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{}, 1)
		wake <- struct{}{}
		close(wake)
		p := newProbe(pending, pending, pending, holds)
		_, err := waiter.Until(t.Context(), p.look, waiter.WithWake(wake), waiter.WithSchedule(waiter.Every(time.Minute)))
		wantErr(t, err, nil)
		wantDiff(t, "looks at", seconds(0, 0, 60, 120), p.at)
	})
}

func TestWakeNil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbe(pending, holds)
		_, err := waiter.Until(t.Context(), p.look, waiter.WithWake(nil), steady)
		wantErr(t, err, nil)
		wantDiff(t, "looks at", seconds(0, 5), p.at)
	})
}

// TestWakeShared is the use that it is made for: one poller that tells many
// waits, each of which looks for itself.
func TestWakeShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wakes []chan struct{}
		var waits sync.WaitGroup
		for range 3 {
			wake := make(chan struct{}, 1)
			wakes = append(wakes, wake)
			waits.Go(func() {
				p := newProbe(pending, pending, holds)
				_, err := waiter.Until(t.Context(), p.look, waiter.WithWake(wake), waiter.WithSchedule(waiter.Every(time.Hour)))
				wantErr(t, err, nil)
				wantDiff(t, "looks at", seconds(0, 10, 20), p.at)
			})
		}
		for range 2 {
			time.Sleep(10 * time.Second)
			for _, wake := range wakes {
				wake <- struct{}{}
			}
		}
		waits.Wait()
	})
}
