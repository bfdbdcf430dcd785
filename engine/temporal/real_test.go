package temporal_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	enums "go.temporal.io/api/enums/v1"
	history "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/engine/temporal"
	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// secret is what the workers' options have: a workflow names them only.
const secret = "sk-very-secret"

// works starts a worker on a machine. Its task queue has the name of the first unit.
func works(t *testing.T, c client.Client, m *machine) worker.Worker {
	t.Helper()
	w := worker.New(c, m.units[0].Name(), worker.Options{WorkerStopTimeout: time.Second, Identity: "worker"})
	opts := []rollout.Option{
		rollout.WithInterval(100 * time.Millisecond), rollout.WithSettle(200 * time.Millisecond),
		rollout.WithChangeOptions(json.RawMessage(`{"token":"` + secret + `"}`)),
	}
	approval := strategy.Approval{Name: "lead", Expires: time.Hour}
	reg := temporal.Worker{
		Store: m, Endpoints: map[string]endpoint.Updater{}, Strategies: map[string]strategy.Strategy{"in-place": strategy.InPlace{}},
		Options: map[string][]rollout.Option{"fast": opts, "approved": append(slices.Clip(opts), rollout.WithApproval(approval))},
		Fleets:  map[string]fleet.Fleet{"plain": fleetOf(m, opts), "approved": fleetOf(m, opts)},
	}
	reg.Fleets["approved"].Waves[0].Approval = &approval
	for _, u := range m.units {
		reg.Endpoints[u.Name()] = remote{u, m}
	}
	if err := reg.Register(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	return w
}

func begin(t *testing.T, c client.Client, name, options string) client.WorkflowRun {
	t.Helper()
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: temporal.WorkflowID(name), TaskQueue: name},
		temporal.RolloutWorkflowName, temporal.Request{Endpoint: name, Strategy: "in-place", Options: options, Revision: "b"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func result(t *testing.T, run client.WorkflowRun) temporal.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var r temporal.Result
	if err := run.Get(ctx, &r); err != nil {
		t.Fatalf("the workflow: %v", err)
	}
	return r
}

func progress(t *testing.T, c client.Client, run client.WorkflowRun) (p temporal.Progress) {
	t.Helper()
	v, err := c.QueryWorkflow(t.Context(), run.GetID(), run.GetRunID(), temporal.QueryProgress)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Get(&p); err != nil {
		t.Fatal(err)
	}
	return p
}

// until polls for something that happens soon.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s does not happen", what)
		}
	}
}

// ended holds the end of a rollout to what was promised, in the world and on record.
func ended(t *testing.T, u *unit, store *journal.Memory, r temporal.Result, want rollout.Outcome, serves string) {
	t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	if r.Outcome != want || u.to != rev(serves) {
		t.Errorf("result %+v, serves %v: want %s on %s", r, u.to, want, serves)
	}
	records, err := store.Load(t.Context(), u.Name())
	if err != nil || len(records) == 0 || records[len(records)-1].Kind != journal.KindEnd {
		t.Errorf("the journal has %d records and no end: %v", len(records), err)
	}
}

// TestRealServer drives rollouts by a Temporal server in a process of its own.
func TestRealServer(t *testing.T) {
	t.Parallel()
	temporal.Hasten()
	c := newServer(t).dial(t)
	for name, f := range map[string]func(t *testing.T, c client.Client, u *unit, store *journal.Memory){
		"two workers, from start to end": startToEnd, "cancelled": cancelled, "approved by a signal": approved,
	} {
		alongside(t, name, func(t *testing.T, u *unit, store *journal.Memory) { f(t, c, u, store) })
	}
	for _, at := range []string{
		"before load", "after load", "before status", "after status", "before append plan", "after append plan", "before append claim", "after append claim",
		"before append intent", "after append intent", "before update", "after update", "before append done", "after append done",
		"before append commit", "after append commit", "before append end", "after append end",
	} {
		alongside(t, "the worker's machine is cut off "+at, func(t *testing.T, u *unit, store *journal.Memory) { cutOff(t, c, u, store, at) })
	}
}

// alongside runs a test beside the others, with an endpoint of its own.
func alongside(t *testing.T, name string, f func(t *testing.T, u *unit, store *journal.Memory)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		f(t, &unit{name: "fab/" + strings.ReplaceAll(name, " ", "-"), to: rev("a")}, journal.NewMemory())
	})
}

func startToEnd(t *testing.T, c client.Client, u *unit, store *journal.Memory) {
	for range 2 {
		defer works(t, c, newMachine(store, "", u)).Stop()
	}
	run := begin(t, c, u.Name(), "fast")
	_, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: temporal.WorkflowID(u.Name()), TaskQueue: u.Name(), WorkflowExecutionErrorWhenAlreadyStarted: true,
	}, temporal.RolloutWorkflowName, temporal.Request{Endpoint: u.Name()}, nil)
	if !errors.As(err, new(*serviceerror.WorkflowExecutionAlreadyStarted)) {
		t.Errorf("a second workflow for the endpoint: %v", err)
	}
	ended(t, u, store, result(t, run), rollout.OutcomeSucceeded, "b")
	p := progress(t, c, run)
	if p.Activities < 3 || p.Activities > u.polls+u.writes+2 || u.writes != 1 {
		t.Errorf("%d activities for %d polls and %d writes", p.Activities, u.polls, u.writes)
	}
	t.Logf("%d activities for %d polls and %d writes", p.Activities, u.polls, u.writes)
	keep(t, c, run, "succeeded")
}

// Cancelled, it goes back, in a context that is not.
func cancelled(t *testing.T, c client.Client, u *unit, store *journal.Memory) {
	defer works(t, c, newMachine(store, "", u)).Stop()
	run := begin(t, c, u.Name(), "approved")
	until(t, "the approval", func() bool { return holds(t, store, u.Name()) })
	if err := c.CancelWorkflow(t.Context(), run.GetID(), run.GetRunID()); err != nil {
		t.Fatal(err)
	}
	ended(t, u, store, result(t, run), rollout.OutcomeRolledBack, "a")
	keep(t, c, run, "cancelled")
}

func approved(t *testing.T, c client.Client, u *unit, store *journal.Memory) {
	defer works(t, c, newMachine(store, "", u)).Stop()
	run := begin(t, c, u.Name(), "approved")
	until(t, "the approval", func() bool { return holds(t, store, u.Name()) })
	approve(t, c, run)
	ended(t, u, store, result(t, run), rollout.OutcomeSucceeded, "b")
	keep(t, c, run, "approved")
}

func approve(t *testing.T, c client.Client, run client.WorkflowRun) {
	t.Helper()
	d := rollout.Decision{Verb: rollout.Approve, Approval: "lead", By: "dana", Reason: "looks fine"}
	if err := c.SignalWorkflow(t.Context(), run.GetID(), run.GetRunID(), temporal.SignalDecide, d); err != nil {
		t.Fatal(err)
	}
}

// Whatever the worker was at, another one finishes it, and writes nothing twice.
func cutOff(t *testing.T, c client.Client, u *unit, store *journal.Memory, at string) {
	t.Helper()
	lost := newMachine(store, at, u)
	w := works(t, c, lost)
	run := begin(t, c, u.Name(), "fast")
	lost.wait(t)
	w.Stop()
	defer works(t, c, newMachine(store, "", u)).Stop()
	ended(t, u, store, result(t, run), rollout.OutcomeSucceeded, "b")
	if u.writes != 1 {
		t.Errorf("it was written %d times", u.writes)
	}
}

// TestServerIsKilled: the server comes back where it was, or never does.
func TestServerIsKilled(t *testing.T) {
	t.Parallel()
	temporal.Hasten()
	s := newServer(t)
	c := s.dial(t)
	back, gone := &unit{name: "fab/back", to: rev("a")}, &unit{name: "fab/gone", to: rev("a")}
	backStore, goneStore := journal.NewMemory(), journal.NewMemory()
	defer works(t, c, newMachine(backStore, "", back)).Stop()
	m := newMachine(goneStore, "", gone)
	w := works(t, c, m)
	run := begin(t, c, back.Name(), "approved")
	begin(t, c, gone.Name(), "approved")
	until(t, "the approvals", func() bool { return holds(t, backStore, back.Name()) && holds(t, goneStore, gone.Name()) })
	s.kill()

	// Without Temporal any process can finish from the store.
	w.Stop()
	if err := rollout.Decide(t.Context(), goneStore, gone.Name(), rollout.Decision{Verb: rollout.Approve, Approval: "lead", By: "dana"}); err != nil {
		t.Fatal(err)
	}
	r, err := rollout.Resume(t.Context(), goneStore, gone, rollout.WithForward(), rollout.WithInterval(10*time.Millisecond))
	if err != nil || r.Outcome != rollout.OutcomeSucceeded {
		t.Errorf("Resume without Temporal = %v, %v", r, err)
	}

	s.start(t)
	again := s.dial(t)
	approve(t, again, run)
	ended(t, back, backStore, result(t, again.GetWorkflow(t.Context(), run.GetID(), run.GetRunID())), rollout.OutcomeSucceeded, "b")
}

// holds reports whether the rollout waits for a person.
func holds(t *testing.T, store journal.Store, name string) bool {
	t.Helper()
	records, err := store.Load(t.Context(), name)
	return err == nil && slices.ContainsFunc(records, func(r journal.Record) bool { return r.Kind == journal.KindHold })
}

// keep holds the history of a workflow to having no secret, and to being what
// testdata has been replayed from since; UPDATE=1 records it.
func keep(t *testing.T, c client.Client, run client.WorkflowRun, name string) {
	t.Helper()
	h := &history.History{}
	for events := c.GetWorkflowHistory(t.Context(), run.GetID(), run.GetRunID(), false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); events.HasNext(); {
		e, err := events.Next()
		if err != nil {
			t.Fatal(err)
		}
		h.Events = append(h.Events, e)
	}
	b, err := protojson.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	text := h.String() // which shows what payloads hold
	if strings.Contains(text, secret) || !strings.Contains(text, "fab/") {
		t.Errorf("the history of %s has a secret, or nothing: %.200s", name, text)
	}
	if os.Getenv("UPDATE") == "1" {
		if err := os.WriteFile(filepath.Join("testdata", "history-"+name+".json"), append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
