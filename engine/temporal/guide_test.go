package temporal_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/engine/temporal"
	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// What docs/fleets.md shows of Temporal is the code here, which is run on a real server.

func guideWorker(c client.Client, store journal.Store, endpoints map[string]endpoint.Updater, nightly fleet.Fleet) (worker.Worker, error) {
	w := worker.New(c, "changeover-eu", worker.Options{TaskQueueActivitiesPerSecond: 5})
	changes := temporal.Worker{
		Store:      store,
		Endpoints:  endpoints, // by name
		Strategies: map[string]strategy.Strategy{"in-place": strategy.InPlace{}},
		Fleets:     map[string]fleet.Fleet{"nightly": nightly}, // members, waves, checks, budget
	}
	if err := changes.Register(w); err != nil {
		return nil, err
	}
	return w, w.Start()
}

func guideRollout(ctx context.Context, c client.Client) (client.WorkflowRun, error) {
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: temporal.WorkflowID("runpod/abc"), TaskQueue: "changeover-eu",
	}, temporal.RolloutWorkflowName, temporal.Request{
		Endpoint: "runpod/abc", Strategy: "in-place", Artifact: "acme/sdxl:v2",
	}, nil)
	return run, err
}

func guideFleet(ctx context.Context, c client.Client) (client.WorkflowRun, error) {
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: temporal.FleetWorkflowID("sdxl-v2"), TaskQueue: "changeover-eu",
	}, temporal.FleetWorkflowName, temporal.FleetRequest{
		Fleet: "nightly", ID: "sdxl-v2", Artifact: "acme/sdxl:v2",
	}, nil)
	return run, err
}

func guideSteer(ctx context.Context, c client.Client) (temporal.FleetProgress, error) {
	var progress temporal.FleetProgress
	id := temporal.FleetWorkflowID("sdxl-v2") // or WorkflowID("runpod/abc")
	approval := rollout.Decision{Verb: rollout.Approve, Approval: "lead", By: "dana"}
	if err := c.SignalWorkflow(ctx, id, "", temporal.SignalDecide, approval); err != nil {
		return progress, err
	}
	answer, err := c.QueryWorkflow(ctx, id, "", temporal.QueryProgress)
	if err != nil {
		return progress, err
	}
	err = answer.Get(&progress)
	return progress, err
}

func TestGuideOnRealServer(t *testing.T) {
	t.Parallel()
	temporal.Hasten()
	c := newServer(t).dial(t)
	store := journal.NewMemory()
	m := newMachine(store, "", &unit{name: "runpod/abc", to: rev("v1")}, &unit{name: "runpod/def", to: rev("v1")})
	nightly := fleetOf(m, []rollout.Option{rollout.WithInterval(100 * time.Millisecond), rollout.WithSettle(200 * time.Millisecond)})
	nightly.Waves[0].Approval = &strategy.Approval{Name: "lead", Expires: time.Hour}
	w, err := guideWorker(c, m, map[string]endpoint.Updater{"runpod/abc": remote{m.units[0], m}}, nightly)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	fleetRun, err := guideFleet(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	p := &park{id: "sdxl-v2", units: m.units, store: store}
	until(t, "the approval", func() bool { return p.holds(t) })
	if _, err := guideSteer(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	p.ended(t, fleetRun, fleet.Succeeded, "v2v2")
	run, err := guideRollout(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ended(t, m.units[0], store, result(t, run), rollout.OutcomeNoOp, "v2") // it serves that already
}

// The page shows the code above.
func TestGuideShowsTheTestedCode(t *testing.T) {
	code, page := trimmed(t, "guide_test.go"), trimmed(t, "../../docs/fleets.md")
	_, page, _ = strings.Cut(page, "\n## On Temporal\n")
	blocks := strings.Split(page, "\n```go\n")[1:]
	if len(blocks) != 4 {
		t.Errorf("the page has %d blocks of code, want 4", len(blocks))
	}
	for _, b := range blocks {
		if b, _, _ = strings.Cut(b, "\n```\n"); !strings.Contains(code, "\n"+b+"\n") {
			t.Errorf("not in guide_test.go:\n%s", b)
		}
	}
}

// trimmed is a file without what its lines are indented by.
func trimmed(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}
