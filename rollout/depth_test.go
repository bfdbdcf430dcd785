package rollout_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/internal/sampled"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// How many frames there may be from Run to the endpoint's methods, both included.
const (
	maxDepth      = 12 // to Status
	maxWriteDepth = 14 // to Update
)

// deep notes the depth of each call below Run.
type deep struct {
	*endpointtest.Workers

	status, write int // the deepest
	trace         string
}

func (d *deep) Status(ctx context.Context) (endpoint.Status, error) {
	d.status = max(d.status, d.depth())
	return d.Workers.Status(ctx)
}

func (d *deep) Update(ctx context.Context, c endpoint.Change) error {
	d.write = max(d.write, d.depth())
	return d.Workers.Update(ctx, c)
}

// depth counts the frames from Run to the endpoint's method. The call is made
// on a goroutine of its own, so that one that hangs can be abandoned: the frames
// of both goroutines count.
func (d *deep) depth() int {
	stacks := make([]byte, 1<<20)
	own, all := 0, strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n")
	for i, stack := range all {
		var names []string
		run := false
		for _, line := range strings.Split(stack, "\n")[1:] {
			if strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "created by ") {
				continue
			}
			names = append(names, line)
			if run = strings.Contains(line, "/rollout.Run("); run {
				break
			}
		}
		if i == 0 { // this one, from depth up
			own, d.trace = len(names)-1, strings.Join(names, "\n")
		}
		if run {
			depth := len(names) + own
			if i == 0 {
				return own
			}
			d.trace += "\n" + strings.Join(names, "\n")
			return depth
		}
	}
	return 0
}

func TestDepth(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &deep{Workers: flushFixture().Workers}
		if _, err := rollout.Run(t.Context(), journal.NewMemory(), d, strategy.InPlace{}, rollout.ToRevision("b")); err != nil {
			t.Fatal(err)
		}
		if d.status == 0 || d.status > maxDepth || d.write == 0 || d.write > maxWriteDepth {
			t.Errorf("from Run to Status there are %d frames, to Update %d, want at most %d:\n%s", d.status, d.write, maxDepth, d.trace)
		}
		t.Logf("from Run to Status %d frames, to Update %d", d.status, d.write)
	})
}

// resting is an endpoint whose target never comes up, and that costs nothing.
type resting struct {
	name string
	live endpoint.Revision
}

func (r *resting) Name() string { return r.name }

var (
	restingA = endpoint.Revision{Kind: "template", ID: "a", Artifact: "acme/sdxl:v1"}
	restingB = endpoint.Revision{Kind: "template", ID: "b", Artifact: "acme/sdxl:v2"}
)

func (r *resting) Status(context.Context) (endpoint.Status, error) {
	s := endpoint.Status{Phase: endpoint.PhaseReady, Desired: r.live, Serving: r.live, Settings: settingsAtRest}
	if r.live == restingB {
		s.Phase, s.Serving, s.Pools = endpoint.PhaseUpdating, endpoint.Revision{}, poolsAtRest
	} else {
		s.Pools = readyAtRest
	}
	return s, nil
}

var (
	settingsAtRest = endpoint.Settings{endpoint.WorkersMin: 1, endpoint.WorkersMax: 3}
	poolsAtRest    = []endpoint.Pool{{Stale: 1}}
	readyAtRest    = []endpoint.Pool{{Ready: 1}}
)

func (r *resting) Update(_ context.Context, c endpoint.Change) error {
	r.live = c.To
	return nil
}

func (r *resting) Resolve(_ context.Context, rev endpoint.Revision) (endpoint.Revision, error) {
	if rev.ID == "b" {
		return restingB, nil
	}
	return restingA, nil
}

// atRest returns rollouts that wait for their targets. It is called in a bubble.
func atRest(t testing.TB, n int) []*rollout.Rollout {
	t.Helper()
	store := forgetful{}
	rollouts := make([]*rollout.Rollout, n)
	opts := []rollout.Option{rollout.WithInterval(time.Second), rollout.WithSettle(time.Second), rollout.WithOwner("bench")}
	for i := range rollouts {
		u := &resting{name: "fake/resting", live: restingA}
		r, err := rollout.Begin(t.Context(), store, u, strategy.InPlace{}, rollout.ToRevision("b"), opts...)
		if err != nil {
			t.Fatal(err)
		}
		for u.live == restingA {
			advance(t, r)
		}
		for range 8 { // until it waits
			advance(t, r)
		}
		rollouts[i] = r
	}
	return rollouts
}

func advance(t testing.TB, r *rollout.Rollout) {
	t.Helper()
	next, report, err := r.Advance(t.Context())
	if report != nil || err != nil {
		t.Fatal(report, err)
	}
	time.Sleep(time.Until(next))
}

// forgetful is a store that keeps nothing, so that only the rollouts are measured.
type forgetful struct{}

func (forgetful) Load(context.Context, string) ([]journal.Record, error) { return nil, nil }

func (forgetful) Append(context.Context, string, journal.Record) error { return nil }

// A rollout at rest is a value: no goroutine, and a few kilobytes with its plan.
func TestAtRest(t *testing.T) { bubble(t, testAtRest) }

func testAtRest(t *testing.T) {
	n, most := 10_000/sampled.OneIn(10), 4096
	var before, after runtime.MemStats
	goroutines := runtime.NumGoroutine()
	runtime.GC()
	runtime.ReadMemStats(&before)
	rollouts := atRest(t, n)
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := int(after.HeapAlloc-before.HeapAlloc) / n
	more := runtime.NumGoroutine() - goroutines
	runtime.KeepAlive(rollouts)
	t.Logf("%d rollouts at rest: %d bytes each with their plans, %d goroutines", n, each, more)
	if more > 2 {
		t.Errorf("%d rollouts at rest have %d goroutines", n, more)
	}
	plan := planSize(t)
	if each-plan > most {
		t.Errorf("a rollout at rest takes %d bytes beyond its plan of %d, want at most %d", each-plan, plan, most)
	}
	t.Logf("the plan of one takes %d bytes", plan)
}

// planSize is what the plan of a rollout at rest takes.
func planSize(t *testing.T) int {
	t.Helper()
	const n = 2000
	plans := make([]*strategy.Plan, n)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range plans {
		p, err := rollout.Preview(t.Context(), &resting{name: "fake/resting", live: restingA}, strategy.InPlace{}, rollout.ToRevision("b"),
			rollout.WithInterval(time.Nanosecond), rollout.WithSettle(time.Nanosecond))
		if err != nil {
			t.Fatal(err)
		}
		plans[i] = p
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(plans)
	return int(after.HeapAlloc-before.HeapAlloc) / n
}
