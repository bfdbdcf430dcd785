package bench

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/waiter"
)

// ours is the library with its defaults; first sees the target and adds what
// the row is about.
func ours(name string, opts func(h *waiter.History, w Workload, t *Target) []waiter.Option) Peer {
	return Peer{Name: name, Kind: "ours", New: func(w Workload) TargetWaiter {
		h := new(waiter.History)
		return func(ctx context.Context, t *Target) error {
			_, err := waiter.Until(ctx, func(ctx context.Context) (waiter.Seen, bool, error) {
				o, err := t.Observe(ctx)
				var seen waiter.Seen
				if o.Phase.Name != "" && !o.Done {
					seen.Status.Stage = endpoint.Stage{Name: o.Phase.Name, Since: o.PhaseStart, For: o.Phase.Known}
				}
				return seen, o.Done, err
			}, opts(h, w, t)...)
			return err
		}
	}}
}

func learned(h *waiter.History, w Workload, t *Target) []waiter.Option {
	return []waiter.Option{waiter.WithHistory(h, w.Name, fmt.Sprint(t.Endpoint))}
}

// woken looks when an event comes, and otherwise every five minutes.
func woken(_ *waiter.History, _ Workload, t *Target) []waiter.Option {
	wake := make(chan struct{}, 1)
	if at := t.Event(); at != nil {
		go func() { <-at; wake <- struct{}{} }()
	}
	return []waiter.Option{waiter.WithWake(wake), waiter.WithSchedule(waiter.Every(5 * time.Minute))}
}

var (
	changeover = ours("changeover, default with a history", learned)
	cold       = ours("changeover, default without a history", func(_ *waiter.History, w Workload, t *Target) []waiter.Option {
		return learned(nil, w, t)
	})
	pushed = ours("changeover, woken by events", woken)
)

func init() {
	pushed.Skip = func(w Workload) bool { return w.Name[:2] == "rp" } // RunPod has no events
}

// targets are the figures that the default schedule is held to.
var targets = map[string]struct{ mean, p99, calls, product float64 }{
	"sm-update": {5, 15, 42, 215},
	"sm-scale":  {4, 11, 32, 120},
	"sm-canary": {2, 7, 80, 150},
	"rp-drain":  {1.7, 6, 12, 19},
	"rp-ready":  {2.5, 8, 20, 50},
}

// TestTargets holds the means of the table. The p99 of a thousand waits is the
// tenth-longest, which a small change of anything moves by a tenth: it is held
// over five more samples.
func TestTargets(t *testing.T) {
	for _, w := range Workloads {
		want := targets[w.Name]
		r := Run(t, changeover, w)
		t.Logf("%s: lag %.2f s, p99 %.1f s, %.1f calls, product %.1f", w.Name, r.Mean, r.P99, r.Calls, r.Product)
		if r.Mean > want.mean || r.Calls > want.calls || r.Product > want.product || r.GaveUp > 0 {
			t.Errorf("%s: lag %.2f s, %.1f calls, product %.1f, gave up %d; want at most %v", w.Name, r.Mean, r.Calls, r.Product, r.GaveUp, want)
		}
		p99 := 0.
		const more = 5
		for i := range more {
			w.Seed += 1000 * uint64(i+1)
			p99 += Run(t, changeover, w).P99 / more
		}
		if p99 > want.p99 {
			t.Errorf("%s: p99 %.1f s, want at most %v", w.Name, p99, want.p99)
		}
	}
}

func TestPushedTargets(t *testing.T) {
	for _, w := range Workloads {
		if pushed.Skip(w) {
			continue
		}
		r := Run(t, pushed, w)
		if r.Mean > 2 || w.Name != "sm-canary" && r.Calls > 4 {
			t.Errorf("%s: lag %.2f s, %.1f calls; want at most 2 s and, up to half an hour, 4 calls", w.Name, r.Mean, r.Calls)
		}
	}
}

func other(name string, endpoint func(r *rand.Rand) any, draw func(r *rand.Rand, e any) float64) Workload {
	return Workload{Name: name, Horizon: 2 * time.Hour, Seed: 900, endpoint: endpoint, draw: func(r *rand.Rand, e any) Transition {
		return Transition{D: secs(min(draw(r, e), 7200))}
	}}
}

func alike(*rand.Rand) any { return nil }

// others are distributions that no constant of the library comes from.
var others = []Workload{
	other("uniform, 1 to 20 min", alike, func(r *rand.Rand, _ any) float64 { return 60 + 1140*r.Float64() }),
	other("one of 40 s and 15 min", alike, func(r *rand.Rand, _ any) float64 {
		return []float64{ln(r, 40, .2), ln(r, 900, .2)}[r.IntN(2)]
	}),
	other("constant per endpoint", func(r *rand.Rand) any { return ln(r, 240, 1) },
		func(r *rand.Rand, e any) float64 { return e.(float64) * (1 + .02*r.NormFloat64()) }),
	other("Pareto, 1.5", alike, func(r *rand.Rand, _ any) float64 { return 30 * math.Pow(r.Float64(), -1/1.5) }),
	other("Weibull, 0.6", alike, func(r *rand.Rand, _ any) float64 { return 1 + 120*math.Pow(r.ExpFloat64(), 1/.6) }),
	other("seconds", func(r *rand.Rand) any { return ln(r, 5, .4) }, func(r *rand.Rand, e any) float64 { return ln(r, e.(float64), .4) }),
	other("exponential, 5 min", alike, func(r *rand.Rand, _ any) float64 { return 1 + 300*r.ExpFloat64() }),
}

// TestOtherDistributions compares with every fixed interval that a peer has.
// Against durations without a memory a fixed interval cannot be beaten: there
// the library may cost its first look more, and what it takes to learn that.
func TestOtherDistributions(t *testing.T) {
	fixed := []Peer{
		Plug("30 s, then look", "restated", FixedPoll(30*time.Second, true, 0)),
		Plug("3 s, then look", "restated", FixedPoll(3*time.Second, true, 0)),
		Plug("k8s wait.Poll 10 s", "real", K8sPoll(10*time.Second)),
		Plug("5 s", "restated", FixedPoll(5*time.Second, false, 0)),
		Plug("1 s", "restated", FixedPoll(time.Second, false, 0)),
		Plug("0.5 s, then look", "restated", FixedPoll(500*time.Millisecond, true, 0)),
	}
	for _, w := range others {
		best := Result{Product: math.Inf(1)}
		for _, p := range fixed {
			if r := Run(t, p, w); r.Product < best.Product {
				best = r
			}
		}
		r, margin := Run(t, changeover, w), 1.
		if w.Name == "exponential, 5 min" {
			margin = 1.06
		}
		t.Logf("%s: lag %.2f s, %.1f calls, product %.1f; best fixed interval %.1f (%s): %.2f of it",
			w.Name, r.Mean, r.Calls, r.Product, best.Product, best.Peer, r.Product/best.Product)
		if r.Product > margin*best.Product {
			t.Errorf("%s: product %.1f, and of %q %.1f", w.Name, r.Product, best.Peer, best.Product)
		}
	}
}
