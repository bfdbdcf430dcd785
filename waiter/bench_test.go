package waiter_test

import (
	"context"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/waiter"
)

// noPause makes the cost of a look the only cost.
var noPause = waiter.WithSchedule(gaps(func(waiter.Progress) time.Duration { return 0 }))

// BenchmarkUntil is what the loop adds to one look, its sleep of no length
// included: b.N looks are one wait.
func BenchmarkUntil(b *testing.B) {
	var h waiter.History
	for range 32 {
		h.Add("k", "e", time.Minute)
	}
	always := make(chan struct{})
	close(always)
	for _, bb := range []struct {
		name string
		opts []waiter.Option
	}{
		{"plain", nil},
		{"woken", []waiter.Option{waiter.WithWake(always), waiter.WithSchedule(waiter.Every(time.Hour))}},
		{"observed", []waiter.Option{waiter.WithObserver(func(waiter.Progress) {}), waiter.WithHistory(&h, "k", "e")}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			looks := 0
			_, err := waiter.Until(b.Context(), func(context.Context) (waiter.Observation, bool, error) {
				looks++
				return waiter.Observation{}, looks > b.N, nil
			}, append([]waiter.Option{noPause}, bb.opts...)...)
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkUntilDeadline is a look under a context with a deadline, which
// nearly every wait has.
func BenchmarkUntilDeadline(b *testing.B) {
	b.ReportAllocs()
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	looks := 0
	_, err := waiter.Until(ctx, func(context.Context) (waiter.Observation, bool, error) {
		looks++
		return waiter.Observation{}, looks > b.N, nil
	}, noPause)
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkUntilAtOnce is a whole wait that is over with its first look.
func BenchmarkUntilAtOnce(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, err := waiter.Until(b.Context(), func(context.Context) (waiter.Observation, bool, error) {
			return waiter.Observation{}, true, nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// countdown is an endpoint that is ready after a number of looks.
type countdown struct {
	endpoint.Updater

	left          int
	moving, ready endpoint.Status
}

func (*countdown) Name() string { return "countdown/1" }

func (c *countdown) Status(context.Context) (endpoint.Status, error) {
	if c.left--; c.left < 0 {
		return c.ready, nil
	}
	return c.moving, nil
}

// BenchmarkReady is one look at an endpoint in the middle of an update.
func BenchmarkReady(b *testing.B) {
	b.ReportAllocs()
	u := &countdown{
		left:   b.N,
		moving: endpoint.Status{Phase: endpoint.PhaseUpdating, Desired: v2, Pools: []endpoint.Pool{{Ready: 1, Stale: 2}}},
		ready:  endpoint.Status{Phase: endpoint.PhaseReady, Desired: v2, Serving: v2},
	}
	if _, err := waiter.Ready(b.Context(), u, v2, noPause, waiter.WithConsecutive(1)); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkLearned is what the default schedule thinks between two looks, at
// the times that a wait of five minutes asks it.
func BenchmarkLearned(b *testing.B) {
	var h waiter.History
	for range 16 {
		h.Add("k", "e", 5*time.Minute)
	}
	f, schedule := h.Forecast("k", "e"), waiter.Learned(0)
	b.ReportAllocs()
	p := waiter.Progress{Forecast: f}
	for b.Loop() {
		if p.Elapsed += schedule.Next(p); p.Elapsed > 6*time.Minute {
			p.Elapsed = 0
		}
	}
}

// BenchmarkForecast is what a wait with a long history costs to begin.
func BenchmarkForecast(b *testing.B) {
	var h waiter.History
	for i := range 1600 {
		h.Add("k", string(rune('a'+i%100)), 5*time.Minute+time.Duration(i)*time.Second/10)
	}
	b.ReportAllocs()
	for b.Loop() {
		h.Forecast("k", "a")
	}
}
