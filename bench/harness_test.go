package bench

import (
	"context"
	"fmt"
	mrand "math/rand"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	smithyrand "github.com/aws/smithy-go/rand"
)

// ProbeLatency is the virtual duration of one status call; the service reads
// its state halfway, so no poller can have a lag below ProbeLatency/2.
const ProbeLatency = 100 * time.Millisecond

// Probe is one status call.
type Probe func(ctx context.Context) (done bool, err error)

// Waiter is what a library plugs in: return nil as soon as probe says done.
type Waiter func(ctx context.Context, probe Probe) error

// Observation is the full answer of one status call.
type Observation struct {
	Done       bool
	Phase      Phase
	PhaseStart time.Time
}

// Target is the remote object of one wait.
type Target struct {
	Endpoint int
	Started  time.Time // when the change was asked for
	Calls    int       // status calls so far
	probe    Probe     // overrides the simulated service (scale test)
	tr       Transition
	event    time.Duration // push delivery delay after the terminal state; <0: lost
}

// Observe makes one status call.
func (t *Target) Observe(ctx context.Context) (Observation, error) {
	t.Calls++
	now := time.Since(t.Started) + ProbeLatency/2 // the service reads its state halfway
	o := Observation{Done: now >= t.tr.D}
	for _, p := range t.tr.Phases {
		if p.Start <= now {
			o.Phase, o.PhaseStart = p, t.Started.Add(p.Start)
		}
	}
	time.Sleep(ProbeLatency)
	return o, ctx.Err()
}

// Probe is Observe reduced to the common denominator.
func (t *Target) Probe(ctx context.Context) (bool, error) {
	if t.probe != nil {
		return t.probe(ctx)
	}
	o, err := t.Observe(ctx)
	return o.Done, err
}

// Event is a wake-up pushed by the service (EventBridge -> SQS); nil if lost.
func (t *Target) Event() <-chan time.Time {
	if t.event < 0 {
		return nil
	}
	return time.After(time.Until(t.Started.Add(t.tr.D + t.event)))
}

// TargetWaiter sees the whole target: observations, phases, pushed events.
type TargetWaiter func(ctx context.Context, t *Target) error

// Peer is a row of the table.
type Peer struct {
	Name string
	Kind string // real: the peer's own code; restated; ours: candidate schedule; bound
	// New makes a fresh waiter for one workload; it may keep state between the
	// waits (learning), which come in order.
	New func(w Workload) TargetWaiter
	// Skip leaves the peer out of a workload.
	Skip func(w Workload) bool
	// Heavy: so many polls that the long workload runs on every 5th transition.
	Heavy bool
}

// Plug turns a plain Waiter into a Peer row.
func Plug(name, kind string, w Waiter) Peer {
	return Peer{Name: name, Kind: kind, New: func(Workload) TargetWaiter {
		return func(ctx context.Context, t *Target) error { return w(ctx, t.Probe) }
	}}
}

// Result is one table cell.
type Result struct {
	Peer, Kind, Workload        string
	N, GaveUp                   int
	Mean, Median, P95, P99, Max float64 // lag, seconds
	Share                       float64 // mean lag / mean duration
	Calls                       float64 // mean status calls per wait
	Product                     float64 // mean lag x mean calls
	MeanDur                     float64
	lags                        []float64
}

// Run drives one peer through one workload in one synctest bubble.
func Run(t *testing.T, p Peer, w Workload) Result {
	res := Result{Peer: p.Name, Kind: p.Kind, Workload: w.Name}
	trs := w.Draw()
	if p.Heavy && w.Horizon >= time.Hour {
		trs = trs[:len(trs)/5]
	}
	seedGlobals(w.Seed)
	ev := rand.New(rand.NewPCG(w.Seed, 0xe7e7))
	synctest.Test(t, func(t *testing.T) {
		wait := p.New(w)
		var calls, dur float64
		for _, tr := range trs {
			tg := &Target{Endpoint: tr.Endpoint, Started: time.Now(), tr: tr, event: eventDelay(ev)}
			err := wait(t.Context(), tg)
			lag := time.Since(tg.Started) - tr.D
			calls += float64(tg.Calls)
			dur += tr.D.Seconds()
			res.N++
			if err != nil {
				res.GaveUp++
				continue
			}
			if lag < 0 {
				t.Fatalf("%s/%s returned %v before the change", p.Name, w.Name, -lag)
			}
			res.lags = append(res.lags, lag.Seconds())
		}
		res.Calls, res.MeanDur = calls/float64(res.N), dur/float64(res.N)
	})
	slices.Sort(res.lags)
	if n := len(res.lags); n > 0 {
		var sum float64
		for _, l := range res.lags {
			sum += l
		}
		q := func(p float64) float64 { return res.lags[min(n-1, int(p*float64(n)))] }
		res.Mean, res.Median, res.P95, res.P99, res.Max = sum/float64(n), q(.5), q(.95), q(.99), res.lags[n-1]
		res.Share, res.Product = res.Mean/res.MeanDur, res.Mean*res.Calls
	}
	return res
}

// seedGlobals pins the two random sources peers reach for behind our back:
// smithy-go's waiter jitter and math/rand's top-level functions
// (go.mod sets godebug randseednop=0 so that Seed works).
func seedGlobals(seed uint64) {
	var k [32]byte
	copy(k[:], fmt.Sprint("waitbench", seed))
	smithyrand.Reader = rand.NewChaCha8(k)
	mrand.Seed(int64(seed)) //nolint:staticcheck
}

// eventDelay: SageMaker emission + EventBridge + SQS long poll, assumed
// LN(median 1 s, p99 8 s), one event in 1,000 lost.
func eventDelay(r *rand.Rand) time.Duration {
	lost := r.Float64() < .001
	d := secs(ln(r, 1, sigma99(1, 8)))
	if lost {
		return -1
	}
	return d
}

func sleep(ctx context.Context, d time.Duration) error {
	tm := time.NewTimer(d)
	defer tm.Stop()
	select {
	case <-tm.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
