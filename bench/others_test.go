package bench

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

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
	other("constant", alike, func(*rand.Rand, any) float64 { return 200 }),
	other("constant per endpoint", func(r *rand.Rand) any { return ln(r, 240, 1) },
		func(r *rand.Rand, e any) float64 { return e.(float64) * (1 + .02*r.NormFloat64()) }),
	other("log-normal, wide", alike, func(r *rand.Rand, _ any) float64 { return ln(r, 100, 1.5) }),
	other("Pareto, 1.5", alike, func(r *rand.Rand, _ any) float64 { return 30 * math.Pow(r.Float64(), -1/1.5) }),
	other("Pareto, 1.1", alike, func(r *rand.Rand, _ any) float64 { return 30 * math.Pow(r.Float64(), -1/1.1) }),
	other("Weibull, 0.6", alike, func(r *rand.Rand, _ any) float64 { return 1 + 120*math.Pow(r.ExpFloat64(), 1/.6) }),
	other("Weibull, 1.5", alike, func(r *rand.Rand, _ any) float64 { return 1 + 300*math.Pow(r.ExpFloat64(), 1/1.5) }),
	other("seconds", func(r *rand.Rand) any { return ln(r, 5, .4) }, func(r *rand.Rand, e any) float64 { return ln(r, e.(float64), .4) }),
}

// simple are those for which a fixed interval is the best of all schedules, or
// next to it.
var simple = []Workload{
	other("exponential, 1 min", alike, func(r *rand.Rand, _ any) float64 { return 1 + 60*r.ExpFloat64() }),
	other("exponential, 5 min", alike, func(r *rand.Rand, _ any) float64 { return 1 + 300*r.ExpFloat64() }),
	other("exponential, 20 min", alike, func(r *rand.Rand, _ any) float64 { return 1 + 1200*r.ExpFloat64() }),
	other("uniform, up to 1 min", alike, func(r *rand.Rand, _ any) float64 { return 60 * r.Float64() }),
}

// fixed is a loop with one interval. Looks take what they take in Observe.
type fixed struct {
	every  float64 // seconds
	atOnce bool    // whether it looks before it sleeps
}

// on returns what the loop comes to, by arithmetic.
func (f fixed) on(trs []Transition) (lag, calls float64) {
	look := ProbeLatency.Seconds()
	for _, tr := range trs {
		first := f.every
		if f.atOnce {
			first = 0
		}
		// The first look whose middle is not before the end.
		n := max(0, math.Ceil((tr.D.Seconds()-look/2-first)/(f.every+look)))
		lag += first + n*(f.every+look) + look - tr.D.Seconds()
		calls += n + 1
	}
	n := float64(len(trs))
	return lag / n, calls / n
}

// intervals are those of the peers that have one.
var intervals = []fixed{{30, false}, {30, true}, {10, true}, {5, true}, {3, false}, {1, true}, {.5, false}}

// TestFixed compares the arithmetic with loops that look.
func TestFixed(t *testing.T) {
	w := others[0]
	for _, f := range intervals[:5] {
		r := Run(t, Plug("", "restated", FixedPoll(secs(f.every), !f.atOnce, 0)), w)
		if lag, calls := f.on(w.Draw()); math.Abs(lag-r.Mean) > 1e-6 || calls != r.Calls {
			t.Errorf("%+v: lag %v s, %v calls; and of the loop %v s, %v", f, lag, calls, r.Mean, r.Calls)
		}
	}
}

// against runs the library on a few samples, and returns how its product
// compares with that of the best interval of a peer, and its lag with that of
// the interval that looks at once and makes as many calls.
func against(t *testing.T, w Workload) (best, even float64) {
	t.Helper()
	const samples = 6
	var ours, theirs, lags, evenLags float64
	for i := range samples {
		w.Seed = 900 + 1000*uint64(i)
		r, trs := Run(t, changeover, w), w.Draw()
		least := math.Inf(1)
		for _, f := range intervals {
			lag, calls := f.on(trs)
			least = min(least, lag*calls)
		}
		lag, _ := asMany(trs, r.Calls).on(trs)
		ours, theirs = ours+r.Product, theirs+least
		lags, evenLags = lags+r.Mean, evenLags+lag
	}
	return ours / theirs, lags / evenLags
}

// asMany is the loop that looks at once and makes so many calls.
func asMany(trs []Transition, calls float64) fixed {
	lo, hi := .01, 1000.
	for range 50 {
		mid := math.Sqrt(lo * hi)
		if _, n := (fixed{mid, true}).on(trs); n > calls {
			lo = mid
		} else {
			hi = mid
		}
	}
	return fixed{hi, true}
}

func TestOtherDistributions(t *testing.T) {
	for _, w := range others {
		best, _ := against(t, w)
		t.Logf("%s: %.2f of the best interval's product", w.Name, best)
		if best > 1 {
			t.Errorf("%s: %.3f times the product of the best interval that a peer has", w.Name, best)
		}
	}
}

// TestSimpleDistributions: no schedule beats an interval with as many calls if
// durations have no memory. The library costs the same once it has learned
// that, and 5 % more for the first two hundred waits of a thousand. Beside the
// best of the peers it has to make up for the look at once as well, which those
// that sleep first leave out: one call of 11 where all is over in a minute, one
// of 16 where that is the mean, one of 75 where it is twenty minutes.
func TestSimpleDistributions(t *testing.T) {
	for _, w := range simple {
		best, even := against(t, w)
		t.Logf("%s: %.2f of the best interval's product, and %.2f of the lag of one with as many calls", w.Name, best, even)
		if even > 1.03 || best > 1.1 {
			t.Errorf("%s: %.3f times the lag of an interval with as many calls, and %.3f times the best product of one; want at most 1.03 and 1.1", w.Name, even, best)
		}
	}
}
