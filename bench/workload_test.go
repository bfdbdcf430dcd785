// The workloads: how late a waiter notices a remote state change (terminal state
// → return) against the number of status calls.
//
// Everything runs in virtual time (testing/synctest), so hours take
// milliseconds and a seed fixes the result.

package bench

import (
	"math"
	"math/rand/v2"
	"time"
)

// Transition is one remote state change, as the simulated service lives it.
type Transition struct {
	Endpoint int           // which endpoint (durations of one endpoint are correlated)
	D        time.Duration // start of the wait -> terminal state
	Phases   []Phase       // what a status call can see on the way (may be empty)
}

// Phase is a visible intermediate state (SageMaker: VariantStatus + StartTime
// in PendingDeploymentSummary). Known is the length the caller configured
// itself (WaitIntervalInSeconds, TerminationWaitInSeconds), 0 if it is unknown.
type Phase struct {
	Name  string
	Start time.Duration
	Known time.Duration
	Last  bool // the terminal state follows this phase
}

// Workload is a family of transitions.
type Workload struct {
	Name    string
	Note    string
	Horizon time.Duration // no transition is longer
	Seed    uint64
	// endpoint draws the per-endpoint effect, draw one transition given it.
	endpoint func(r *rand.Rand) any
	draw     func(r *rand.Rand, ep any) Transition
}

const (
	endpoints          = 100 // distinct endpoints per workload
	updatesPerEndpoint = 10  // transitions per endpoint -> 1,000 per workload
	z99                = 2.3263478740408408
	within             = 0.5 // share of the log-variance inside one endpoint
)

// sigma99 is the log-normal sigma for a given median and p99.
func sigma99(median, p99 float64) float64 { return math.Log(p99/median) / z99 }

func secs(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func ln(r *rand.Rand, median, sigma float64) float64 {
	return median * math.Exp(sigma*r.NormFloat64())
}

// logNormal: D ~ LogNormal(median, sigma), the log-variance split between the
// endpoint and the single update.
func logNormal(name, note string, seed uint64, median, p99, lo, hi float64) Workload {
	s := sigma99(median, p99)
	sb, sw := s*math.Sqrt(1-within), s*math.Sqrt(within)
	return Workload{
		Name: name, Note: note, Seed: seed, Horizon: secs(hi),
		endpoint: func(r *rand.Rand) any { return sb * r.NormFloat64() },
		draw: func(r *rand.Rand, ep any) Transition {
			d := median * math.Exp(ep.(float64)+sw*r.NormFloat64())
			return Transition{D: secs(min(max(d, lo), hi))}
		},
	}
}

// runpodReady: 80% small/cached images, 20% large ones (a property of the endpoint).
func runpodReady(seed uint64) Workload {
	type eff struct{ median, sb, sw float64 }
	return Workload{
		Name: "rp-ready", Seed: seed, Horizon: 30 * time.Minute,
		Note: "RunPod new worker ready: 80% LN(50 s, s=.6) + 20% LN(300 s, s=.5)",
		endpoint: func(r *rand.Rand) any {
			e := eff{median: 50, sb: .6 * math.Sqrt(1-within), sw: .6 * math.Sqrt(within)}
			if r.Float64() < .2 {
				e = eff{median: 300, sb: .5 * math.Sqrt(1-within), sw: .5 * math.Sqrt(within)}
			}
			e.median *= math.Exp(e.sb * r.NormFloat64())
			return e
		},
		draw: func(r *rand.Rand, ep any) Transition {
			e := ep.(eff)
			return Transition{D: secs(min(max(ln(r, e.median, e.sw), 3), 1800))}
		},
	}
}

// canary: provision, bake (configured), shift, termination wait (configured),
// delete. 30 to 120 minutes in all; the plan is a property of the endpoint.
func canary(seed uint64) Workload {
	type eff struct{ prov, bake, term float64 }
	prov := sigma99(480, 1500)
	one := func(r *rand.Rand, e eff) (Transition, float64) {
		p := ln(r, e.prov, prov*math.Sqrt(within))
		b := e.bake + ln(r, 8, .5)
		s := ln(r, 60, .5)
		w := e.term + ln(r, 8, .5)
		del := ln(r, 45, .5)
		t := Transition{D: secs(p + b + s + w + del), Phases: []Phase{
			{Name: "Creating"},
			{Name: "Baking", Start: secs(p), Known: secs(e.bake)},
			{Name: "ActivatingTraffic", Start: secs(p + b)},
			{Name: "Baking", Start: secs(p + b + s), Known: secs(e.term)},
			{Name: "Deleting", Start: secs(p + b + s + w), Last: true},
		}}
		return t, t.D.Minutes()
	}
	return Workload{
		Name: "sm-canary", Seed: seed, Horizon: 2 * time.Hour,
		Note: "SageMaker canary: LN(8 min, p99 25) + bake{10..60 min} + shift LN(60 s) + termination{5..30 min} + LN(45 s), 30-120 min",
		endpoint: func(r *rand.Rand) any {
			bakes := []float64{600, 900, 1200, 1800, 2700, 3600}
			terms := []float64{300, 600, 900, 1200, 1800}
			for {
				e := eff{ln(r, 480, prov*math.Sqrt(1-within)), bakes[r.IntN(len(bakes))], terms[r.IntN(len(terms))]}
				if m := (e.prov + e.bake + e.term + 113) / 60; m > 33 && m < 105 {
					return e
				}
			}
		},
		draw: func(r *rand.Rand, ep any) Transition {
			for {
				if t, m := one(r, ep.(eff)); m >= 30 && m <= 120 {
					return t
				}
			}
		},
	}
}

// Workloads is the fixed set; the distributions are assumptions, stated here.
var Workloads = []Workload{
	logNormal("sm-update", "SageMaker UpdateEndpoint: LN(median 7 min, p99 30 min)", 101, 420, 1800, 45, 7200),
	canary(102),
	logNormal("sm-scale", "SageMaker scale-up: LN(median 5 min, p99 15 min)", 103, 300, 900, 30, 3600),
	logNormal("rp-drain", "RunPod worker drain to zero: LN(median 20 s, p99 5 min)", 104, 20, 300, 1, 900),
	runpodReady(105),
}

// Draw returns the workload's 1,000 transitions, always the same. The endpoints
// are interleaved: update 0 of each, then update 1 of each, ...
func (w Workload) Draw() []Transition { return w.sample(w.Seed, endpoints, updatesPerEndpoint) }

func (w Workload) sample(seed uint64, eps, per int) []Transition {
	r := rand.New(rand.NewPCG(seed, 0x5eed))
	eff := make([]any, eps)
	for i := range eff {
		eff[i] = w.endpoint(r)
	}
	out := make([]Transition, 0, eps*per)
	for range per {
		for i, e := range eff {
			t := w.draw(r, e)
			t.Endpoint = i
			out = append(out, t)
		}
	}
	return out
}
