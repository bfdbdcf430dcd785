package strategy_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/internal/sampled"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/rollout/rollouttest"
	"github.com/changeover-dev/changeover/strategy"
)

// doubling is a strategy of one's own: the target's share of the traffic doubles
// until it has half of it, and the checks have to pass at each share.
type doubling struct {
	First int           // percent
	Soak  time.Duration // at each share
}

func (doubling) String() string { return "doubling" }

// SplitsTraffic asks for what serves source and target side by side: Facts.Canary.
func (doubling) SplitsTraffic() {}

func (d doubling) Check() error {
	if d.First < 1 || d.First > 50 || d.Soak < 0 {
		return fmt.Errorf("doubling: %d%% for %v: begin with 1 to 50 percent", d.First, d.Soak)
	}
	return nil
}

func (d doubling) Plan(f strategy.Facts) (strategy.Plan, error) {
	var forward []strategy.Step
	if f.Draft != nil {
		forward = append(forward, f.Stage())
	}
	forward = append(forward, f.StageCanary(), f.UpdateCanary(), f.Await(strategy.UntilSplit))
	for share := d.First; share <= 50; share *= 2 {
		forward = append(forward, f.Shift(share), f.Watch(fmt.Sprintf("watch at %d%%", share), d.Soak))
	}
	forward = append(forward, f.Update(), f.AwaitTarget())
	return strategy.Plan{
		Forward:  slices.Concat(forward, f.Commit(), []strategy.Step{f.Verify()}),
		Rollback: slices.Concat([]strategy.Step{f.Shift(0), f.Update(), f.AwaitSource()}, f.Unstage(), []strategy.Step{f.Verify()}),
		Notes:    []string{"extra capacity: both revisions run side by side until the target has all of the traffic"},
	}, nil
}

func models() *endpointtest.Variants {
	return endpointtest.NewVariants(endpointtest.VariantsConfig{
		Revisions: map[string]string{"c1": "model-1", "c2": "model-2"}, Live: "c1", Counts: map[string]int{"main": 2},
	})
}

// slower is a check that fails once the target has a fifth of the traffic.
type slower struct{}

func (slower) Check(_ context.Context, s rollout.Sample) (rollout.Verdict, error) {
	return rollout.Measured(float64(300+10*s.Share), 500, s.Share < 20), nil
}

// A strategy of one's own moves the traffic in steps of its own, with a check
// between them.
func ExampleStrategy() {
	plan, err := rollout.Preview(context.Background(), models(), doubling{First: 5, Soak: time.Minute}, rollout.ToRevision("c2"),
		rollout.WithCheck(strategy.Check{Name: "p95", Interval: 20 * time.Second}, slower{}), rollout.WithInterval(time.Millisecond))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range plan.Forward {
		fmt.Println(s.Name)
	}
	// Output:
	// stage both
	// update to both
	// await split
	// shift to 5%
	// watch at 5%
	// shift to 10%
	// watch at 10%
	// shift to 20%
	// watch at 20%
	// shift to 40%
	// watch at 40%
	// update
	// await serving
	// bake
	// commit
	// verify
}

// The check stops it at the first share that is too much, and the traffic goes back.
func TestDoublingIsJudgedBetweenSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep := models()
		before := ep.Protective()
		r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, doubling{First: 5, Soak: time.Minute}, rollout.ToRevision("c2"),
			rollout.WithCheck(strategy.Check{Name: "p95", Interval: 20 * time.Second}, slower{}))
		if r.Outcome != rollout.OutcomeRolledBack {
			t.Errorf("Run = %v, %v", r, err)
		}
		var writes []string
		for _, c := range ep.Calls() {
			if c.Write > 0 {
				writes = append(writes, c.Name)
			}
		}
		want := []string{"stage canary-1", "update canary-1", "shift to 5%", "shift to 10%", "shift to 20%", "shift to 0%", "update c1"}
		if !slices.Equal(writes, want) {
			t.Errorf("writes %q, want %q", writes, want)
		}
		if after := ep.Protective(); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("guarded values %v, were %v", after, before)
		}
	})
}

// Every state that it can reach with one fault keeps the guarantees.
func TestDoublingIsExplored(t *testing.T) {
	x := rollouttest.Explore(t, rollouttest.Exploration{
		Strategy: doubling{First: 25, Soak: 2 * time.Second}, Split: true, Faults: 1,
		Options: []rollout.Option{rollout.WithCheck(strategy.Check{Name: "p95", Interval: 10 * time.Second}, slower{})},
	})
	t.Logf("explored %s", x)
}

// So does every run over a provider, with each kind of fault, at one call in eight
// when everything is swept.
func TestDoublingIsSwept(t *testing.T) {
	n := rollouttest.Sweep{
		New: func(testing.TB) rollouttest.Environment {
			ep := models()
			return rollouttest.Environment{
				Updater: ep, Guarded: func() any { return ep.Protective() },
				Live: func() string { s := ep.Truth(); return s.Revisions[s.Live] },
				OnWrite: func(hook func(string) endpointtest.Fault) {
					ep.OnMutation(func(_ int, name string) endpointtest.Fault { return hook(name) })
				},
				OnRead: func(hook func()) {
					ep.OnRead(func(int, string) endpointtest.Fault { hook(); return endpointtest.Fault{} })
				},
			}
		},
		Strategy: doubling{First: 10, Soak: time.Minute}, Target: rollout.ToRevision("c2"), Goal: "model-2", OneIn: 8 * sampled.OneIn(8),
	}.Run(t)
	t.Logf("swept %d points", n)
}
