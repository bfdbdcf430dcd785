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
		h.Add("k", time.Minute)
	}
	always := make(chan struct{})
	close(always)
	for _, bb := range []struct {
		name string
		opts []waiter.Option
	}{
		{"plain", nil},
		{"woken", []waiter.Option{waiter.WithWake(always), waiter.WithSchedule(waiter.Every(time.Hour))}},
		{"observed", []waiter.Option{waiter.WithObserver(func(waiter.Progress) {}), waiter.WithHistory(&h, "k")}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			looks := 0
			_, err := waiter.Until(b.Context(), func(context.Context) (waiter.Seen, bool, error) {
				looks++
				return waiter.Seen{}, looks > b.N, nil
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
	_, err := waiter.Until(ctx, func(context.Context) (waiter.Seen, bool, error) {
		looks++
		return waiter.Seen{}, looks > b.N, nil
	}, noPause)
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkUntilAtOnce is a whole wait that is over with its first look.
func BenchmarkUntilAtOnce(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, err := waiter.Until(b.Context(), func(context.Context) (waiter.Seen, bool, error) {
			return waiter.Seen{}, true, nil
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
