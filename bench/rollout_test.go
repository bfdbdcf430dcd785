package bench

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// fake is an endpoint in memory that counts what is sent to it.
type fake interface {
	endpoint.Updater
	Calls() []endpointtest.Call
}

// serverless is in the shape of RunPod: three revisions, of which a is live.
func serverless() fake {
	return endpointtest.NewWorkers(endpointtest.WorkersConfig{
		Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3, Start: 4 * time.Minute,
	})
}

// variants is in the shape of SageMaker, with autoscaling.
func variants() fake {
	return endpointtest.NewVariants(endpointtest.VariantsConfig{
		Revisions: map[string]string{"a": "model-1", "b": "model-2"}, Live: "a", Counts: map[string]int{"AllTraffic": 2},
		Targets: map[string]endpointtest.Target{"AllTraffic": {Min: 1, Max: 6, Policies: []endpointtest.Policy{{Name: "track", Config: "70"}}}},
		Bake:    10 * time.Minute,
	})
}

// rollouts are one of each strategy, with the fewest writes that it can make.
var rollouts = []struct {
	strategy strategy.Strategy
	target   rollout.Target
	endpoint func() fake
	least    int
}{
	{strategy.InPlace{}, rollout.ToRevision("b"), serverless, 1},                                                      // update
	{strategy.FlushToZero{}, rollout.ToRevision("b"), serverless, 5},                                                  // min, max, update, max, min
	{strategy.AlternatingTemplate{Templates: [2]string{"a", "b"}}, rollout.ToArtifact("acme/sdxl:v3"), serverless, 2}, // stage, update
	{strategy.ScaleProtectedSwap{}, rollout.ToRevision("b"), variants, 3},                                             // protect, update, restore
	{strategy.ScaleProtectedSwap{Prescale: 4}, rollout.ToArtifact("model-3"), variants, 6},                            // stage, protect, up, update, down, restore
}

// rolled is what a whole rollout sent, and how long it took.
type rolled struct {
	writes, looks int
	took          time.Duration
}

// roll runs one rollout, to be called in a bubble.
func roll(t *testing.T, i int, opts ...rollout.Option) (r rolled) {
	t.Helper()
	tt := rollouts[i]
	ep := tt.endpoint()
	time.Sleep(10 * time.Minute)
	start, before := time.Now(), len(ep.Calls())
	if _, err := rollout.Run(t.Context(), journal.NewMemory(), ep, tt.strategy, tt.target, opts...); err != nil {
		t.Fatal(err)
	}
	for _, c := range ep.Calls()[before:] {
		if c.Write > 0 {
			r.writes++
		} else {
			r.looks++
		}
	}
	r.took = time.Since(start)
	return r
}

// fewest is what the same rollout sends by a schedule that sleeps for an hour
// at a time: as few looks as can be, however late.
func fewest(t *testing.T, i int) rolled {
	t.Helper()
	return roll(t, i, rollout.WithSchedule(waiter.Every(time.Hour)), rollout.WithStepTimeout(24*time.Hour))
}

// learn returns the history of a few rollouts.
func learn(t *testing.T, i int) *waiter.History {
	t.Helper()
	h := new(waiter.History)
	for range 4 {
		roll(t, i, rollout.WithHistory(h))
	}
	return h
}

// TestRolloutCalls counts what whole rollouts send, in virtual time. The
// writes are the fewest possible; with a history the looks are within three
// times the fewest.
func TestRolloutCalls(t *testing.T) {
	for i, tt := range rollouts {
		t.Run(fmt.Sprint(i, " ", tt.strategy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				least, cold := fewest(t, i), roll(t, i)
				known := roll(t, i, rollout.WithHistory(learn(t, i)))
				t.Logf("%d writes; looks: %d in %v, %d in %v with a history; the fewest: %d in %v", cold.writes,
					cold.looks, cold.took.Round(time.Second), known.looks, known.took.Round(time.Second), least.looks, least.took.Round(time.Second))
				for _, r := range []rolled{least, cold, known} {
					if r.writes != tt.least {
						t.Errorf("%d writes, want %d", r.writes, tt.least)
					}
				}
				if known.looks >= cold.looks || known.looks > 3*least.looks {
					t.Errorf("%d looks with a history, want fewer than %d and at most three times %d", known.looks, cold.looks, least.looks)
				}
			})
		})
	}
}

// BenchmarkRollout is what a whole rollout with a history costs: its calls,
// beside the fewest possible, and this process's time for it.
func BenchmarkRollout(b *testing.B) {
	for i, tt := range rollouts {
		b.Run(fmt.Sprint(i, " ", tt.strategy), func(b *testing.B) {
			var least, known rolled
			var h *waiter.History
			bubble(b, func(t *testing.T) { least, h = fewest(t, i), learn(t, i) })
			b.ReportAllocs()
			b.ResetTimer()
			bubble(b, func(t *testing.T) {
				for range b.N {
					known = roll(t, i, rollout.WithHistory(h))
				}
			})
			b.ReportMetric(float64(known.writes), "writes/op")
			b.ReportMetric(float64(tt.least), "least-writes")
			b.ReportMetric(float64(known.looks), "looks/op")
			b.ReportMetric(float64(least.looks), "least-looks")
		})
	}
}

// bubble runs f in virtual time, which only a test can.
func bubble(b *testing.B, f func(t *testing.T)) {
	b.Helper()
	every := func(string, string) (bool, error) { return true, nil }
	test := testing.InternalTest{Name: b.Name(), F: func(t *testing.T) { synctest.Test(t, f) }}
	if !testing.RunTests(every, []testing.InternalTest{test}) {
		b.FailNow()
	}
}
