package rollout_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// planned makes a plan, and takes it through JSON as another process would.
func (fx *fixture) planned(t *testing.T) *strategy.Plan {
	t.Helper()
	p, err := rollout.Preview(t.Context(), fx, fx.strategy, fx.target)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = strategy.DecodePlan(raw); err != nil {
		t.Fatal(err)
	}
	return p
}

// The plan that was previewed is the plan that runs, minted names included, and
// it runs once.
func TestApply(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		p, store := fx.planned(t), journal.NewMemory()
		r, err := rollout.Apply(t.Context(), store, fx, p)
		if err != nil || fx.artifact() != fx.goal {
			t.Fatalf("Apply = %v, serves %s", err, fx.artifact())
		}
		if diff := cmp.Diff(p, r.Plan); diff != "" {
			t.Errorf("carried out (-previewed +carried out):\n%s", diff)
		}
		n := len(fx.writes())
		if _, err := rollout.Apply(t.Context(), store, fx, p); !errors.Is(err, rollout.ErrStale) || !errors.Is(err, rollout.ErrRefused) || len(fx.writes()) > n {
			t.Errorf("applied again: %v", err)
		}
	})
}

// What the plan was based on has moved: refused, with each value, old and new.
func TestStalePlan(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(s *endpointtest.WorkersState)
		want   []rollout.Moved
	}{
		"bounds": {func(s *endpointtest.WorkersState) { s.Min, s.Max = 2, 5 }, []rollout.Moved{
			{Thing: endpoint.WorkersMax, Planned: "3", Found: "5"}, {Thing: endpoint.WorkersMin, Planned: "1", Found: "2"},
		}},
		"revision": {func(s *endpointtest.WorkersState) { s.Templates["z"] = "acme/sdxl:v9"; s.Live = "z"; s.Workers = nil }, []rollout.Moved{
			{Thing: "revision", Planned: "template a (acme/sdxl:v1)", Found: "template z (acme/sdxl:v9)"},
		}},
		"the source's content": {func(s *endpointtest.WorkersState) { s.Templates["a"] = "acme/sdxl:v0" }, []rollout.Moved{
			{Thing: "revision", Planned: "template a (acme/sdxl:v1)", Found: "template a (acme/sdxl:v0)"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, fx *fixture) {
				p, store := fx.planned(t), journal.NewMemory()
				fx.Foreign(tt.change)
				r, err := rollout.Apply(t.Context(), store, fx, p)
				var stale *rollout.StaleError
				if !errors.As(err, &stale) || !errors.Is(err, rollout.ErrStale) || r.Outcome != rollout.OutcomeRefused {
					t.Fatalf("Apply = %+v, %v; want it refused as stale", r, err)
				}
				if diff := cmp.Diff(tt.want, stale.Moved); diff != "" {
					t.Errorf("moved (-want +got):\n%s", diff)
				}
				if records, _ := store.Load(t.Context(), fx.Name()); len(fx.writes()) > 0 || len(records) > 0 {
					t.Errorf("it wrote %v and %d records", fx.writes(), len(records))
				}
			})
		})
	}
}

func TestApplyRefusesWhatThePlanHasNot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		p := fx.planned(t)
		n := len(fx.Calls())
		other := *p
		other.Endpoint = "fake/other"
		gated := *p
		gated.Checks = []strategy.Check{strategy.Check{Name: "smoke"}.WithDefaults()}
		for name, tt := range map[string]struct {
			plan *strategy.Plan
			opts []rollout.Option
		}{
			"another endpoint's": {&other, nil},
			"a check is missing": {&gated, nil},
			"a bake":             {p, []rollout.Option{rollout.WithBake(1)}},
			"another settle":     {p, []rollout.Option{rollout.WithSettle(1)}},
		} {
			if _, err := rollout.Apply(t.Context(), journal.NewMemory(), fx, tt.plan, tt.opts...); !errors.Is(err, endpoint.ErrInvalid) {
				t.Errorf("%s: %v, want it invalid", name, err)
			}
		}
		if len(fx.Calls()) > n {
			t.Errorf("it called %v", fx.Calls()[n:])
		}
	})
}

// One call deals with what is unfinished, and then rolls out.
func TestResumeFirst(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := journal.NewMemory()
		r, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, rollout.WithResumeFirst())
		if err != nil || r.Resumed != nil || fx.artifact() != fx.goal {
			t.Fatalf("with nothing to resume: %+v, %v", r, err)
		}
	})
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := journal.NewMemory()
		fx.crashAt(t, store, 1)
		r, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, rollout.WithResumeFirst())
		if err != nil || fx.artifact() != fx.goal {
			t.Fatalf("Run = %v, serves %s", err, fx.artifact())
		}
		if r.Resumed == nil || r.Resumed.Outcome != rollout.OutcomeRolledBack || r.Resumed.Plan.Rollout == r.Plan.Rollout {
			t.Errorf("resumed %+v", r.Resumed)
		}
	})
	bubble(t, func(t *testing.T) {
		fx, store := flushFixture(), journal.NewMemory()
		fx.crashAt(t, store, 1)
		fx.OnMutation(func(int, string) endpointtest.Fault { return endpointtest.Refuse(endpoint.ErrUnauthorized) })
		r, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, rollout.WithResumeFirst())
		if !errors.Is(err, rollout.ErrIncomplete) || r.Outcome != rollout.OutcomeIncomplete {
			t.Fatalf("Run = %s, %v; want what is unfinished to be incomplete", r.Outcome, err)
		}
		if s, err := rollout.Inspect(t.Context(), store, fx.Name()); err != nil || !s.Unfinished {
			t.Errorf("another rollout was begun: %+v, %v", s, err)
		}
	})
}
