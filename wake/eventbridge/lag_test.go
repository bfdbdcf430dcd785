package eventbridge_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/waiter"
)

// lasting draws durations from a log-normal distribution.
func lasting(r *rand.Rand, median, p99 float64) time.Duration {
	const z99 = 2.3263478740408408
	return time.Duration(median * math.Exp(math.Log(p99/median)/z99*r.NormFloat64()) * float64(time.Second))
}

// A thousand updates and a thousand changes of capacity, by the model that the
// benchmarks have of them, up to half an hour long; events that take a second,
// one in a hundred of them eight, of which one in a thousand is lost. The model
// is an assumption: nobody measured AWS.
func TestLagAndCalls(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 200
	}
	for _, tt := range []struct {
		name        string
		median, p99 float64 // seconds
	}{
		{"updates", 420, 1800},
		{"changes of capacity", 300, 900},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, looks := range []int{1, 2} { // in a row
				synctest.Test(t, func(t *testing.T) {
					r := rand.New(rand.NewPCG(uint64(len(tt.name)), 7))
					s := newService()
					q := s.queue(t)
					start := time.Now()
					lags, calls := make([]time.Duration, n), make([]int, n)
					var wg sync.WaitGroup
					for i := range n {
						e := newRemote(fmt.Sprintf("ep-%d", i), min(lasting(r, tt.median, tt.p99), 30*time.Minute))
						delay := lasting(r, 1, 8)
						if r.Float64() > 0.001 {
							s.send(e.ready+delay, stateChange(e.name, "IN_SERVICE"))
						}
						s.send(delay, stateChange(e.name, "UPDATING"))
						wg.Go(func() {
							lags[i] = e.await(t, q, waiter.WithConsecutive(looks))
							calls[i] = len(e.looks)
						})
					}
					wg.Wait()
					var lag, looked float64
					for i := range n {
						lag, looked = lag+lags[i].Seconds()/float64(n), looked+float64(calls[i])/float64(n)
					}
					received := len(s.receives(start))
					t.Logf("%d in a row: lag %.2f s (longest %.1f s), %.2f calls, and %d requests to the queue by all together",
						looks, lag, slices.Max(lags).Seconds(), looked, received)
					// What a second look costs is that look, and two seconds.
					if lag > 2+2*float64(looks-1) || looked > 4+float64(looks-1) {
						t.Errorf("%d in a row: lag %.2f s, %.2f calls, want at most 2 s and 4 calls", looks, lag, looked)
					}
				})
			}
		})
	}
}
