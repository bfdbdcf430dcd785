package rollout_test

import (
	"testing"
	"time"

	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// BenchmarkAdvance is what a poll costs beyond the call of the provider, which
// takes no time here: deciding that it is due, calling Status under a time limit,
// and judging what it showed. The call runs on a goroutine of its own, whose
// hand-over between processors takes longer than all of it: see it with -cpu 1.
func BenchmarkAdvance(b *testing.B) {
	u := &resting{name: "fake/resting", live: restingA}
	r, err := rollout.Begin(b.Context(), forgetful{}, u, strategy.InPlace{}, rollout.ToRevision("b"),
		rollout.WithInterval(time.Millisecond), rollout.WithSettle(time.Millisecond), rollout.WithOwner("bench"))
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	for u.live == restingA {
		advance(b, r)
	}
	for range 8 { // until it waits
		advance(b, r)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Wake() // the poll is due at once
		if _, report, err := r.Advance(b.Context()); report != nil || err != nil {
			b.Fatal(report, err)
		}
	}
}
