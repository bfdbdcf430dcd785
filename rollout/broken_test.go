package rollout_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/internal/sampled"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// A source whose workers fail already is moved away from, and gone back to, like
// any other: nothing waits for it to be healthy, and with every fault the endpoint
// ends on one revision or the other, with its bounds as they were.
func TestBrokenSourceSweep(t *testing.T) {
	for name, s := range map[string]struct {
		strategy strategy.Strategy
		target   rollout.Target
		goal     string
	}{
		"in-place":             {strategy.InPlace{}, rollout.ToRevision("b"), "acme/sdxl:v2"},
		"flush-to-zero":        {strategy.FlushToZero{}, rollout.ToRevision("b"), "acme/sdxl:v2"},
		"alternating-template": {strategy.AlternatingTemplate{Templates: [2]string{"a", "b"}}, rollout.ToArtifact("acme/sdxl:v3"), "acme/sdxl:v3"},
	} {
		for _, bad := range []bool{false, true} {
			if bad {
				name += ", image fails"
			}
			t.Run(name, func(t *testing.T) {
				world := workersWorld(bad, endpointtest.WorkersConfig{Min: 1, Max: 3})
				sc := scenario{name, world, s.strategy, s.target, "acme/sdxl:bad", s.goal, bad, nil}
				n := sc.sweep(breaks).Run(t)
				t.Logf("swept %d points from a source that is broken", n)
			})
		}
	}
}

// Somebody who deploys in the middle, from a source that is broken, keeps what they
// deployed, and the way back does not wait for the source.
func TestDeployedFromABrokenSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := workersWorld(true, endpointtest.WorkersConfig{Min: 1, Max: 3})()
		ep := w.ep.(*endpointtest.Workers)
		breaks(w)
		before := ep.Protective()
		var deployed time.Time
		r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.FlushToZero{}, rollout.ToRevision("b"), rollout.WithHook(func(e rollout.Event) {
			if e.Kind == rollout.EventDone && e.Rollback && e.Step == "restore workers.min" && deployed.IsZero() {
				deployed = time.Now()
				ep.Foreign(func(s *endpointtest.WorkersState) { s.Templates["c"], s.Live = "acme/sdxl:v9", "c" })
			}
		}))
		if !errors.Is(err, rollout.ErrSuperseded) || ep.Truth().Live != "c" || deployed.IsZero() {
			t.Fatalf("Run = %v, %v, serving %s", r, err, ep.Truth().Live)
		}
		if took := time.Since(deployed); took > 10*time.Minute {
			t.Errorf("it ended %v after that, as if it waited for the source", took)
		}
		if diff := cmp.Diff(before, ep.Protective()); diff != "" {
			t.Errorf("left (-before +after):\n%s", diff)
		}
	})
}

// breaks makes the source fail, for an hour.
func breaks(w world) {
	ep := w.ep.(*endpointtest.Workers)
	ep.Foreign(func(s *endpointtest.WorkersState) { s.Templates["a"] = "acme/sdxl:bad" })
	ep.FailOn("acme/sdxl:bad", "crash loop")
	for i := range w.foreign {
		if w.foreign[i].Serves == "acme/sdxl:v1" {
			w.foreign[i].Serves = "acme/sdxl:bad"
		}
	}
	time.Sleep(time.Hour)
}

// ailing is an endpoint whose source fails its health checks.
type ailing struct{ *endpointtest.Variants }

func (a ailing) Status(ctx context.Context) (endpoint.Status, error) {
	s, err := a.Variants.Status(ctx)
	if err == nil && s.Desired.ID == "c1" && s.Phase == endpoint.PhaseReady {
		s.Phase, s.Serving, s.Reason = endpoint.PhaseDegraded, endpoint.Revision{}, "1 of 3 instances fails its health check"
		s.Pools = []endpoint.Pool{{Ready: 2, Unhealthy: 1}}
	}
	return s, err
}

// So is one that has variants, autoscaling and a share of the traffic.
func TestAilingSourceSweep(t *testing.T) {
	canary := strategy.CanaryByWeight{Steps: []strategy.TrafficStep{{Percent: 10, Soak: time.Minute}}}
	for name, s := range map[string]strategy.Strategy{"in-place": strategy.InPlace{}, "scale-protected": strategy.ScaleProtectedSwap{}, "canary-by-weight": canary} {
		for _, bad := range []bool{false, true} {
			if bad {
				name += ", model fails"
			}
			t.Run(name, func(t *testing.T) {
				world := func() world {
					w := variantsWorld(bad)()
					w.ep = ailing{w.ep.(*endpointtest.Variants)}
					return w
				}
				sc := scenario{name, world, s, rollout.ToRevision("c2"), "model-1", "model-2", bad, nil}
				sweep := sc.sweep(lags["fresh"])
				sweep.OneIn = 4 * sampled.OneIn(16)
				t.Logf("swept %d points from a source that is ailing", sweep.Run(t))
			})
		}
	}
}
