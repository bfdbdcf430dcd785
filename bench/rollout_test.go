package bench

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/strategy"
)

// TestRolloutCalls counts what whole rollouts send, in virtual time: writes
// against the fewest that the strategy could make, and reads.
func TestRolloutCalls(t *testing.T) {
	for _, tt := range []struct {
		s      strategy.Strategy
		target strategy.Target
		least  int // writes
	}{
		{strategy.InPlace{}, strategy.ToRevision("b"), 1},
		{strategy.FlushToZero{}, strategy.ToRevision("b"), 5},
	} {
		synctest.Test(t, func(t *testing.T) {
			ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
				Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3, Start: 4 * time.Minute,
			})
			time.Sleep(10 * time.Minute)
			reads, writes := 0, 0
			ep.OnRead(func(int, string) endpointtest.Fault { reads++; return endpointtest.Fault{} })
			ep.OnMutation(func(int, string) endpointtest.Fault { writes++; return endpointtest.Fault{} })
			start := time.Now()
			if _, err := strategy.Run(t.Context(), strategy.NewMemory(), ep, tt.s, tt.target); err != nil {
				t.Fatal(err)
			}
			t.Logf("%s: %d writes (at least %d), %d reads in %v", tt.s, writes, tt.least, reads, time.Since(start).Round(time.Second))
			if writes != tt.least {
				t.Errorf("%s: %d writes, want %d", tt.s, writes, tt.least)
			}
		})
	}
}
