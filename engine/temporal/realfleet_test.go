package temporal_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/changeover-dev/changeover/engine/temporal"
	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// fleetOf are the units that a machine reaches, in two waves, or in one.
func fleetOf(m *machine, opts []rollout.Option) fleet.Fleet {
	var f fleet.Fleet
	var names []string
	for _, u := range m.units {
		f.Members = append(f.Members, fleet.Member{Endpoint: remote{u, m}, Strategy: strategy.InPlace{}, Options: opts})
		names = append(names, u.Name())
	}
	half := (len(names) + 1) / 2
	f.Waves = []fleet.Wave{{Name: "first", Members: names[:half]}, {Name: "second", Members: names[half:]}}
	if len(names) == 1 {
		f.Waves = f.Waves[:1]
	}
	return f
}

// park is some units, and the store that their journals are in.
type park struct {
	id    string
	units []*unit
	store *journal.Memory
}

// parkAlongside runs a test beside the others, with four units of its own.
func parkAlongside(t *testing.T, name string, f func(t *testing.T, p *park)) {
	t.Helper()
	t.Run("fleet, "+name, func(t *testing.T) {
		t.Parallel()
		p := &park{id: strings.ReplaceAll(name, " ", "-"), store: journal.NewMemory()}
		for i := range 4 {
			p.units = append(p.units, &unit{name: fmt.Sprintf("fab/%s-%d", p.id, i), to: rev("a")})
		}
		f(t, p)
	})
}

func (p *park) machine(at string) *machine { return newMachine(p.store, at, p.units...) }

func (p *park) begin(t *testing.T, c client.Client, name string) client.WorkflowRun {
	t.Helper()
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: temporal.FleetWorkflowID(p.id), TaskQueue: p.units[0].Name()},
		temporal.FleetWorkflowName, temporal.FleetRequest{Fleet: name, ID: p.id, Revision: "b"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// ended holds the end of a fleet to what was promised, in the world and on record.
func (p *park) ended(t *testing.T, run client.WorkflowRun, want fleet.Outcome, live string) (r temporal.FleetResult) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := run.Get(ctx, &r); err != nil {
		t.Fatalf("the workflow: %v", err)
	}
	if got := p.live(); r.Outcome != want || got != live {
		t.Errorf("result %+v, serving %s: want %s, serving %s", r, got, want, live)
	}
	if s, err := fleet.Inspect(t.Context(), p.store, p.id); err != nil || s.Outcome != want && want != fleet.Cancelled {
		t.Errorf("on record: %v, %v", s, err)
	}
	return r
}

func (p *park) live() string {
	var all strings.Builder
	for _, u := range p.units {
		u.mu.Lock()
		all.WriteString(u.to.ID)
		u.mu.Unlock()
	}
	return all.String()
}

// wroteOnce holds each unit to one write.
func (p *park) wroteOnce(t *testing.T) {
	t.Helper()
	for _, u := range p.units {
		if u.writes != 1 {
			t.Errorf("%s was written %d times", u.Name(), u.writes)
		}
	}
}

// cut counts the members that the journal has as rolled back because of a cancel.
func (p *park) cut(t *testing.T) (n int) {
	t.Helper()
	records, err := p.store.Load(t.Context(), fleet.JournalPrefix+p.id)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if r.Kind == "member" && r.Outcome == string(fleet.Pending) {
			n++
		}
	}
	return n
}

// holds reports whether the fleet waits for a person.
func (p *park) holds(t *testing.T) bool {
	t.Helper()
	s, err := fleet.Inspect(t.Context(), p.store, p.id)
	return err == nil && s.Waves[0].Phase == fleet.WaveHeld
}

func fleetFromStartToEnd(t *testing.T, c client.Client, p *park) {
	for range 2 {
		defer works(t, c, p.machine("")).Stop()
	}
	run := p.begin(t, c, "plain")
	_, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: temporal.FleetWorkflowID(p.id), TaskQueue: p.units[0].Name(), WorkflowExecutionErrorWhenAlreadyStarted: true,
	}, temporal.FleetWorkflowName, temporal.FleetRequest{Fleet: "plain", ID: p.id, Revision: "b"}, nil)
	if !errors.As(err, new(*serviceerror.WorkflowExecutionAlreadyStarted)) {
		t.Errorf("a second workflow for the fleet: %v", err)
	}
	r := p.ended(t, run, fleet.Succeeded, "bbbb")
	p.wroteOnce(t)
	if r.Members.Moved != 4 || r.Members.Total != 4 {
		t.Errorf("result %+v, want 4 of 4 moved", r)
	}
	var progress temporal.FleetProgress
	var state fleet.State
	query(t, c, run, temporal.QueryProgress, &progress)
	query(t, c, run, temporal.QueryInspect, &state)
	if progress.Activities < 3 || progress.Activities > 2+2*4 || len(progress.Events) == 0 || state.Outcome != fleet.Succeeded || len(state.Waves) != 2 {
		t.Errorf("progress %+v, state %+v", progress, state)
	}
	t.Logf("%d activities of the fleet's own for 4 members in 2 waves", progress.Activities)
	var lines []string
	member := c.GetWorkflow(t.Context(), temporal.WorkflowID(p.units[0].Name()), "")
	query(t, c, member, temporal.QueryTimeline, &lines)
	if n := len(lines); n < 4 || !strings.Contains(lines[0], "planned") {
		t.Errorf("the timeline of a member: %q", lines)
	}
	keep(t, c, run, "fleet-succeeded")
	keep(t, c, member, "member-succeeded")
}

// One that fails is a breach: what was done is undone.
func fleetBreached(t *testing.T, c client.Client, p *park) {
	defer works(t, c, p.machine("")).Stop()
	p.units[2].bad = "b"
	run := p.begin(t, c, "plain")
	r := p.ended(t, run, fleet.RolledBack, "aaaa")
	if !strings.Contains(r.Breach, "1 of 4 members failed") || len(r.Reasons) == 0 || !strings.Contains(r.Reasons[0].Text, "cannot be pulled") {
		t.Errorf("result %+v", r)
	}
	keep(t, c, run, "fleet-breached")
}

func fleetApproved(t *testing.T, c client.Client, p *park) {
	defer works(t, c, p.machine("")).Stop()
	run := p.begin(t, c, "approved")
	until(t, "the approval", func() bool { return p.holds(t) })
	if live := p.live(); live != "bbaa" {
		t.Errorf("while it waits the units serve %s", live)
	}
	approve(t, c, run)
	p.ended(t, run, fleet.Succeeded, "bbbb")
	p.wroteOnce(t)
}

// A fleet that is cancelled in the middle of a wave rolls that wave's members back.
// Begun again under its ID, it goes on.
func fleetCancelled(t *testing.T, c client.Client, p *park) {
	m := p.machine("")
	defer works(t, c, m).Stop()
	p.units[2].hold(t) // their updates do not come to an end
	p.units[3].hold(t)
	run := p.begin(t, c, "plain")
	until(t, "the second wave", func() bool { return p.live() == "bbbb" })
	if err := c.CancelWorkflow(t.Context(), run.GetID(), run.GetRunID()); err != nil {
		t.Fatal(err)
	}
	until(t, "the way back", func() bool { return p.units[2].release("a") && p.units[3].release("a") })
	r := p.ended(t, run, fleet.Cancelled, "bbaa")
	if !strings.Contains(r.Cause, "cancelled") {
		t.Errorf("result %+v", r)
	}
	if n := p.cut(t); n != 2 { // the fleet has waited for them
		t.Errorf("%d members are on record as rolled back since it was cancelled, want 2", n)
	}
	keep(t, c, run, "fleet-cancelled")
	p.ended(t, p.begin(t, c, "plain"), fleet.Succeeded, "bbbb")
}

// A member that another workflow moves is waited for.
func fleetWaits(t *testing.T, c client.Client, p *park) {
	defer works(t, c, p.machine("")).Stop()
	busy, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: temporal.WorkflowID(p.units[0].Name()), TaskQueue: p.units[0].Name()},
		temporal.RolloutWorkflowName, temporal.Request{Endpoint: p.units[0].Name(), Strategy: "in-place", Options: "approved", Revision: "b"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the rollout's approval", func() bool { return holds(t, p.store, p.units[0].Name()) })
	run := p.begin(t, c, "plain")
	until(t, "the other member's end", func() bool { return strings.HasPrefix(p.live(), "bb") })
	approve(t, c, busy)
	p.ended(t, run, fleet.Succeeded, "bbbb")
	p.wroteOnce(t)
}

// Whatever a worker was at, another one finishes the fleet, and writes nothing twice.
func fleetCutOff(t *testing.T, c client.Client, p *park, at string) {
	t.Helper()
	lost := p.machine(at)
	w := works(t, c, lost)
	run := p.begin(t, c, "plain")
	lost.wait(t)
	w.Stop()
	defer works(t, c, p.machine("")).Stop()
	p.ended(t, run, fleet.Succeeded, "bbbb")
	p.wroteOnce(t)
}

// Without Temporal any process can finish a fleet from the store.
func fleetWithoutTemporal(t *testing.T, c client.Client, p *park) {
	m := p.machine("")
	w := works(t, c, m)
	run := p.begin(t, c, "approved")
	until(t, "the approval", func() bool { return p.holds(t) })
	if err := c.TerminateWorkflow(t.Context(), run.GetID(), run.GetRunID(), "for the test"); err != nil {
		t.Fatal(err)
	}
	w.Stop()
	if err := fleet.Decide(t.Context(), p.store, p.id, rollout.Decision{Verb: rollout.Approve, By: "dana"}); err != nil {
		t.Fatal(err)
	}
	f := fleetOf(m, []rollout.Option{rollout.WithInterval(10 * time.Millisecond), rollout.WithSettle(100 * time.Millisecond)})
	f.ID, f.Waves[0].Approval = p.id, &strategy.Approval{Name: "lead", Expires: time.Hour}
	for i := range f.Members {
		f.Members[i].Target = rollout.ToRevision("b")
	}
	report, err := fleet.Run(t.Context(), p.store, f)
	if err != nil || p.live() != "bbbb" {
		t.Errorf("Run without Temporal: %v, %v, serving %s", report, err, p.live())
	}
	p.wroteOnce(t)
}

// TestFleetOnRealServer drives fleets by a Temporal server in a process of its own.
func TestFleetOnRealServer(t *testing.T) {
	t.Parallel()
	temporal.Hasten()
	c := newServer(t).dial(t)
	for name, f := range map[string]func(t *testing.T, c client.Client, p *park){
		"two workers from start to end": fleetFromStartToEnd, "breached": fleetBreached, "approved by a signal": fleetApproved,
		"cancelled and gone on with": fleetCancelled, "a member is busy": fleetWaits, "finished without Temporal": fleetWithoutTemporal,
	} {
		parkAlongside(t, name, func(t *testing.T, p *park) { f(t, c, p) })
	}
	for _, at := range []string{
		"before append fleet", "after append fleet", "after append claim", "after append plan", "before append intent", "after update",
		"before append member", "after append member", "before append wave", "after append wave", "after append end",
	} {
		parkAlongside(t, "cut off "+at, func(t *testing.T, p *park) { fleetCutOff(t, c, p, at) })
	}
}

// TestLongHistories: a server that has workflows continue as new after some events
// sees every one of them through.
func TestLongHistories(t *testing.T) {
	t.Parallel()
	temporal.Hasten()
	c := newServer(t, "-suggest", "20").dial(t)
	continued := func(t *testing.T, run client.WorkflowRun, first string) {
		t.Helper()
		now, err := c.DescribeWorkflow(t.Context(), run.GetID(), "")
		if err != nil {
			t.Fatal(err)
		}
		if id := now.WorkflowExecution.RunID; id == "" || id == first {
			t.Error("it did not continue as new")
		}
	}
	alongside(t, "approved after a while", func(t *testing.T, u *unit, store *journal.Memory) {
		defer works(t, c, newMachine(store, "", u)).Stop()
		run := begin(t, c, u.Name(), "approved")
		until(t, "the approval", func() bool { return holds(t, store, u.Name()) })
		continued(t, run, run.GetRunID())
		again := c.GetWorkflow(t.Context(), run.GetID(), "")
		approve(t, c, again)
		ended(t, u, store, result(t, again), rollout.OutcomeSucceeded, "b")
		var lines []string
		query(t, c, c.GetWorkflow(t.Context(), run.GetID(), ""), temporal.QueryTimeline, &lines)
		if len(lines) == 0 || !strings.Contains(lines[0], "planned") {
			t.Errorf("the timeline begins with %q", lines)
		}
	})
	alongside(t, "cancelled after a while", func(t *testing.T, u *unit, store *journal.Memory) {
		defer works(t, c, newMachine(store, "", u)).Stop()
		run := begin(t, c, u.Name(), "approved")
		until(t, "the approval", func() bool { return holds(t, store, u.Name()) })
		if err := c.CancelWorkflow(t.Context(), run.GetID(), ""); err != nil {
			t.Fatal(err)
		}
		ended(t, u, store, result(t, run), rollout.OutcomeRolledBack, "a")
	})
	parkAlongside(t, "with a long history", func(t *testing.T, p *park) {
		defer works(t, c, p.machine("")).Stop()
		run := p.begin(t, c, "approved")
		first := run.GetRunID()
		until(t, "the approval", func() bool { return p.holds(t) })
		approve(t, c, c.GetWorkflow(t.Context(), run.GetID(), ""))
		p.ended(t, run, fleet.Succeeded, "bbbb")
		p.wroteOnce(t)
		continued(t, run, first)
	})
}

func query(t *testing.T, c client.Client, run client.WorkflowRun, name string, into any) {
	t.Helper()
	v, err := c.QueryWorkflow(t.Context(), run.GetID(), run.GetRunID(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Get(into); err != nil {
		t.Fatal(err)
	}
}
