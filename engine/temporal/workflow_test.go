package temporal_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/engine/temporal"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// unit is a small endpoint whose updates take some milliseconds.
type unit struct {
	name   string // "fab/one" if empty
	mu     sync.Mutex
	to     endpoint.Revision
	until  time.Time
	polls  int
	writes int
	onPoll func(n int)
	bad    string // a revision that is refused
	held   bool   // what it is updated to does not come up
}

func rev(id string) endpoint.Revision {
	return endpoint.Revision{Kind: "template", ID: id, Artifact: "acme/sdxl:" + id}
}

func (u *unit) Name() string { return cmp.Or(u.name, "fab/one") }

func (u *unit) Status(context.Context) (endpoint.Status, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.polls++; u.onPoll != nil {
		u.onPoll(u.polls)
	}
	s := endpoint.Status{Phase: endpoint.PhaseReady, Desired: u.to, Serving: u.to, Pools: []endpoint.Pool{{Ready: 2}}}
	if u.held && u.to.ID == "b" || time.Now().Before(u.until) {
		s.Phase, s.Serving, s.Mixed, s.Pools = endpoint.PhaseUpdating, endpoint.Revision{}, true, []endpoint.Pool{{Ready: 1, Stale: 1}}
	}
	return s, nil
}

func (u *unit) Update(_ context.Context, c endpoint.Change) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if c.To.ID == u.bad {
		return fmt.Errorf("%s cannot be pulled: %w", c.To, endpoint.ErrInvalid)
	}
	u.writes++
	u.to, u.until = c.To, time.Now().Add(50*time.Millisecond)
	return nil
}

// hold has updates not come up until they are released.
func (u *unit) hold(t *testing.T) {
	t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.held = true
}

// release lets an update come up, if it is to the revision. It reports whether it is.
func (u *unit) release(id string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.to.ID == id {
		u.held = false
	}
	return u.to.ID == id
}

func (u *unit) Resolve(_ context.Context, r endpoint.Revision) (endpoint.Revision, error) {
	return rev(cmp.Or(r.ID, strings.TrimPrefix(r.Artifact, "acme/sdxl:"))), nil
}

// racingStore has another activity of the same workflow write the first record of a
// kind, at the moment at which this one does.
type racingStore struct {
	*journal.Memory

	kind  journal.RecordKind
	owner string // whose the claim is that it writes instead; "" for none
}

func (s *racingStore) Append(ctx context.Context, name string, r journal.Record) error {
	if r.Kind != s.kind {
		return s.Memory.Append(ctx, name, r)
	}
	s.kind = ""
	records, err := s.Memory.Load(ctx, name)
	if err != nil {
		return err
	}
	theirs := r
	if theirs.Time = r.Time.Add(time.Millisecond); s.owner != "" {
		theirs = journal.Record{Version: r.Version, Seq: r.Seq, Rollout: r.Rollout, Time: r.Time, Kind: journal.KindClaim, Owner: s.owner}
	}
	if err := errors.Join(theirs.Seal(records[len(records)-1].Sum), s.Memory.Append(ctx, name, theirs)); err != nil {
		return err
	}
	return s.Memory.Append(ctx, name, r)
}

// An activity that was given up, and goes on all the same, is no other runner. Another
// one is.
func TestActivityBesideItself(t *testing.T) {
	for owner, want := range map[string]rollout.Outcome{"": rollout.OutcomeSucceeded, "somebody else": rollout.OutcomeDetached} {
		t.Run("owner "+owner, func(t *testing.T) {
			fx := newFixture(t)
			fx.racing.kind, fx.racing.owner = journal.KindDone, owner
			if r := fx.run(t); r.Outcome != want || fx.racing.kind != "" {
				t.Errorf("result %+v, want %s", r, want)
			}
		})
	}
}

type fixture struct {
	*testsuite.TestWorkflowEnvironment

	u     *unit
	store *journal.Memory

	racing *racingStore // around it
}

func newFixture(t *testing.T, opts ...rollout.Option) *fixture {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	fx := &fixture{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), u: &unit{to: rev("a")}, store: journal.NewMemory()}
	fx.racing = &racingStore{Memory: fx.store}
	w := temporal.Worker{
		Store: struct{ journal.Store }{fx.racing}, Endpoints: map[string]endpoint.Updater{fx.u.Name(): fx.u}, Strategies: map[string]strategy.Strategy{"in-place": strategy.InPlace{}},
		Options: map[string][]rollout.Option{"fast": append(opts, rollout.WithInterval(5*time.Millisecond), rollout.WithSettle(20*time.Millisecond))},
	}
	if err := w.Register(fx); err != nil {
		t.Fatal(err)
	}
	fx.SetTestTimeout(time.Minute)
	return fx
}

func (fx *fixture) run(t *testing.T, edit ...func(*temporal.Request)) temporal.Result {
	t.Helper()
	q := temporal.Request{Endpoint: fx.u.Name(), Strategy: "in-place", Options: "fast", Revision: "b"}
	for _, e := range edit {
		e(&q)
	}
	fx.ExecuteWorkflow(temporal.RolloutWorkflowName, q, nil)
	if err := fx.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	var r temporal.Result
	if err := fx.GetWorkflowResult(&r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRollout(t *testing.T) {
	fx := newFixture(t)
	r := fx.run(t)
	if r.Outcome != rollout.OutcomeSucceeded || fx.u.to != rev("b") {
		t.Errorf("result %+v, serves %v", r, fx.u.to)
	}
	value, err := fx.QueryWorkflow(temporal.QueryProgress)
	var p temporal.Progress
	if err != nil || value.Get(&p) != nil {
		t.Fatal(err)
	}
	if p.Activities == 0 || p.Activities > fx.u.polls+fx.u.writes+2 || len(p.Events) == 0 {
		t.Errorf("%d activities for %d polls and %d writes, events %q", p.Activities, fx.u.polls, fx.u.writes, p.Events)
	}
}

func TestUnknownNames(t *testing.T) {
	for name, edit := range map[string]func(*temporal.Request){
		"endpoint": func(q *temporal.Request) { q.Endpoint = "fab/none" },
		"strategy": func(q *temporal.Request) { q.Strategy = "none" },
		"options":  func(q *temporal.Request) { q.Options = "none" },
		"target":   func(q *temporal.Request) { q.Revision = "" },
	} {
		t.Run(name, func(t *testing.T) {
			fx := newFixture(t)
			q := temporal.Request{Endpoint: fx.u.Name(), Strategy: "in-place", Options: "fast", Revision: "b"}
			edit(&q)
			fx.ExecuteWorkflow(temporal.RolloutWorkflowName, q, nil)
			if err := fx.GetWorkflowError(); err == nil || !strings.Contains(err.Error(), "request") || fx.u.polls > 0 {
				t.Errorf("error is %v after %d polls", err, fx.u.polls)
			}
		})
	}
}
