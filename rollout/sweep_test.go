package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/internal/sampled"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/rollout/rollouttest"
	"github.com/changeover-dev/changeover/strategy"
)

// What the sweeps run over: every strategy, on endpoints of the shapes that it
// is for, with targets that come up and targets that do not.

// world is an endpoint that a rollout is swept over.
type world struct {
	ep interface {
		endpoint.Updater
		OnMutation(hook func(n int, name string) endpointtest.Fault)
		OnRead(hook func(n int, name string) endpointtest.Fault)
		StaleReads(d time.Duration)
		FlickerReads(d time.Duration)
		Protective() map[string]string
		Calls() []endpointtest.Call
	}
	live    func() string // the artifact that is served, or pending
	foreign []rollouttest.Foreign
}

// scenario is a rollout to sweep.
type scenario struct {
	name     string
	world    func() world
	strategy strategy.Strategy
	target   rollout.Target
	source   string // artifacts
	goal     string
	fails    bool // the goal does not come up
	opts     []rollout.Option
}

func workersWorld(bad bool, c endpointtest.WorkersConfig) func() world {
	return func() world {
		c.Templates = map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}
		c.Live = "a"
		ep := endpointtest.NewWorkers(c)
		if bad {
			ep.FailOn("acme/sdxl:v2", "image pull backoff")
			ep.FailOn("acme/sdxl:v3", "image pull backoff")
		}
		return world{
			ep, func() string { s := ep.Truth(); return s.Templates[s.Live] },
			foreignWorkers(ep),
		}
	}
}

// foreignWorkers are the changes that somebody else may make to an endpoint in
// RunPod's shape.
func foreignWorkers(ep *endpointtest.Workers) []rollouttest.Foreign {
	edit := func(f func(s *endpointtest.WorkersState) bool) func() bool {
		return func() (done bool) {
			ep.Foreign(func(s *endpointtest.WorkersState) { done = f(s) })
			return done
		}
	}
	return []rollouttest.Foreign{
		{Name: "workers.max", Do: edit(func(s *endpointtest.WorkersState) bool { s.Max = 9; return true })},
		{Name: "workers.min", Do: edit(func(s *endpointtest.WorkersState) bool {
			if s.Max < 2 { // which the provider refuses
				return false
			}
			s.Min = 2
			return true
		})},
		{Name: "revision", Serves: "acme/sdxl:v9", Do: edit(func(s *endpointtest.WorkersState) bool {
			s.Templates["c"], s.Live = "acme/sdxl:v9", "c"
			return true
		})},
		{Name: "back to the source", Serves: "acme/sdxl:v1", Do: edit(func(s *endpointtest.WorkersState) bool {
			was := s.Live
			s.Live = "a"
			return was != "a"
		})},
	}
}

func scenarios() []scenario {
	var all []scenario
	for _, bad := range []bool{false, true} {
		suffix := ""
		if bad {
			suffix = ", image fails"
		}
		active := workersWorld(bad, endpointtest.WorkersConfig{Min: 1, Max: 3})
		idle := workersWorld(bad, endpointtest.WorkersConfig{Min: 0, Max: 2})
		paused := workersWorld(bad, endpointtest.WorkersConfig{})
		var probed *endpointtest.Workers // the latest
		probing := func() world {
			w := idle()
			probed = w.ep.(*endpointtest.Workers)
			return w
		}
		probe := rollout.WithProbe("one picture", job(func() *endpointtest.Workers { return probed }))
		pair := strategy.AlternatingTemplate{Templates: [2]string{"a", "b"}}
		all = append(all,
			scenario{"in-place" + suffix, active, strategy.InPlace{}, rollout.ToRevision("b"), "acme/sdxl:v1", "acme/sdxl:v2", bad, nil},
			scenario{"in-place by image" + suffix, active, strategy.InPlace{}, rollout.ToArtifact("acme/sdxl:v3"), "acme/sdxl:v1", "acme/sdxl:v3", bad, nil},
			scenario{"in-place, boot" + suffix, idle, strategy.InPlace{}, rollout.ToRevision("b"), "acme/sdxl:v1", "acme/sdxl:v2", bad, []rollout.Option{rollout.WithProof(strategy.ProofWorkers)}},
			scenario{"in-place, boot, paused" + suffix, paused, strategy.InPlace{}, rollout.ToRevision("b"), "acme/sdxl:v1", "acme/sdxl:v2", bad, []rollout.Option{rollout.WithProof(strategy.ProofWorkers), rollout.AllowPaused()}},
			scenario{"in-place, probe" + suffix, probing, strategy.InPlace{}, rollout.ToRevision("b"), "acme/sdxl:v1", "acme/sdxl:v2", bad, []rollout.Option{probe}},
			scenario{"flush-to-zero" + suffix, active, strategy.FlushToZero{}, rollout.ToRevision("b"), "acme/sdxl:v1", "acme/sdxl:v2", bad, nil},
			scenario{"flush-to-zero, boot" + suffix, idle, strategy.FlushToZero{Drain: time.Hour}, rollout.ToRevision("b"), "acme/sdxl:v1", "acme/sdxl:v2", bad, []rollout.Option{rollout.WithProof(strategy.ProofWorkers)}},
			scenario{"alternating-template" + suffix, active, pair, rollout.ToArtifact("acme/sdxl:v3"), "acme/sdxl:v1", "acme/sdxl:v3", bad, []rollout.Option{rollout.WithBake(time.Minute)}},
		)
	}
	return append(all, variantScenarios()...)
}

// sweep is the scenario with reads that lag as told.
func (sc scenario) sweep(lag func(world)) rollouttest.Sweep {
	goal := sc.goal
	if sc.fails {
		goal = ""
	}
	return rollouttest.Sweep{
		New: func(testing.TB) rollouttest.Environment {
			w := sc.world()
			lag(w)
			e := rollouttest.Environment{
				Updater: w.ep, Live: w.live, Guarded: func() any { return w.ep.Protective() },
				OnWrite: func(hook func(string) endpointtest.Fault) {
					w.ep.OnMutation(func(_ int, name string) endpointtest.Fault { return hook(name) })
				},
				Applied: func(n int) bool {
					return slices.ContainsFunc(w.ep.Calls(), func(c endpointtest.Call) bool { return c.Write == n && c.Applied })
				},
				Foreign: w.foreign,
				OnRead: func(hook func()) {
					w.ep.OnRead(func(int, string) endpointtest.Fault { hook(); return endpointtest.Fault{} })
				},
			}
			if ep, ok := w.ep.(*endpointtest.Workers); ok {
				c := &changeable{Workers: ep, identity: "made on Monday"}
				e.Updater, e.Clamp = c, func(on bool) { c.clamps = on }
				e.Delete = func() bool { c.identity = "made on Tuesday"; return true }
			}
			return e
		},
		Strategy: sc.strategy, Target: sc.target, Options: sc.opts, Goal: goal, OneIn: sampled.OneIn(64),
	}
}

// changeable is an endpoint whose provider may allow one worker less than it is asked
// for, and that may be deleted and made again as it is.
type changeable struct {
	*endpointtest.Workers
	clamps   bool
	identity string
}

func (c *changeable) Status(ctx context.Context) (endpoint.Status, error) {
	s, err := c.Workers.Status(ctx)
	s.Identity = c.identity
	return s, err
}

func (c *changeable) Set(ctx context.Context, key string, value int) error {
	set := value
	if c.clamps && key == endpoint.WorkersMax && value > 1 {
		set--
	}
	if err := c.Workers.Set(ctx, key, set); err != nil || set == value {
		return err
	}
	return fmt.Errorf("%s is %d: %w", key, set, endpoint.ErrClamped)
}

// How far reads lag. It is less than the settle time.
var lags = map[string]func(w world){
	"fresh":   func(world) {},
	"stale":   func(w world) { w.ep.StaleReads(20 * time.Second) },
	"flicker": func(w world) { w.ep.FlickerReads(20 * time.Second) },
}

// Each misfortune on each write, and a death at each read.
func TestSweep(t *testing.T) {
	eachSweep(t, func(t *testing.T, lag string, s rollouttest.Sweep) int {
		if lag != "fresh" { // where the deaths at reads are swept
			s.Only = []rollouttest.FaultCase{
				rollouttest.DiesBefore, rollouttest.DiesAfter, rollouttest.LostBefore, rollouttest.LostAfter,
				rollouttest.Late, rollouttest.DiesSending, rollouttest.HangsSending, rollouttest.RefusedOnce, rollouttest.CancelledAfter,
			}
		}
		return s.Run(t)
	})
}

// Each pair of misfortunes on each pair of writes: all of them with
// SWEEP=pairs, else a sample.
func TestSweepPairs(t *testing.T) {
	oneIn := 400
	if sampled.Pairs() {
		oneIn = 1
	}
	eachSweep(t, func(t *testing.T, _ string, s rollouttest.Sweep) int { return s.Pairs(t, oneIn) })
}

func eachSweep(t *testing.T, run func(t *testing.T, lag string, s rollouttest.Sweep) int) {
	t.Helper()
	points := map[string]int{}
	for _, sc := range scenarios() {
		for lag, set := range lags {
			t.Run(sc.name+"/"+lag, func(t *testing.T) { points[sc.strategy.String()] += run(t, lag, sc.sweep(set)) })
		}
	}
	for _, name := range slices.Sorted(maps.Keys(points)) {
		t.Logf("swept %d points of %s, none of them lost anything", points[name], name)
	}
}

// check holds the end of a run to what was promised.
func (sc scenario) check(t *testing.T, w world, before map[string]string, report *rollout.Report, err error) {
	t.Helper()
	if report.Outcome == rollout.OutcomeRefused {
		t.Fatalf("no report, error: %v", err)
	}
	if diff := cmp.Diff(before, w.ep.Protective()); diff != "" {
		t.Errorf("protective values (-before +after):\n%s", diff)
	}
	want := sc.source
	switch {
	case err == nil && report.Outcome == rollout.OutcomeSucceeded:
		want = sc.goal
		if sc.fails {
			t.Errorf("succeeded with an artifact that does not come up")
		}
	case report.Outcome == rollout.OutcomeRolledBack && errors.Is(err, rollout.ErrRolledBack):
	default:
		t.Errorf("outcome %s, error %v: want succeeded or rolled back", report.Outcome, err)
	}
	if live := w.live(); live != want {
		t.Errorf("%s, but the endpoint serves %s", report.Outcome, live)
	}
}
