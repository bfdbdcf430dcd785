package rollout_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// own is a strategy of somebody else's: an in-place one, edited.
type own func(f strategy.Facts, p *strategy.Plan)

func (own) String() string { return "own" }

func (o own) Plan(f strategy.Facts) (strategy.Plan, error) {
	p, err := strategy.InPlace{}.Plan(f)
	if err == nil {
		o(f, &p)
	}
	return p, err
}

// first puts steps before those of the way forward.
func first(steps func(f strategy.Facts) strategy.Step) own {
	return func(f strategy.Facts, p *strategy.Plan) { p.Forward = slices.Insert(p.Forward, 0, steps(f)) }
}

// A plan that the endpoint cannot carry out is refused when it is made, and by
// name, whoever wrote the strategy: nothing is written, and nothing is put on record.
func TestPlanThatDoesNotFitIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		strategy own
		says     string
	}{
		"set":   {first(func(f strategy.Facts) strategy.Step { return f.Set("worker.max", 2) }), `"worker.max"`},
		"raise": {first(func(f strategy.Facts) strategy.Step { return f.Raise("variant/main/instances", 2) }), `"variant/main/instances"`},
		"restore, in the rollback": {func(f strategy.Facts, p *strategy.Plan) {
			p.Rollback = slices.Insert(p.Rollback, 0, f.RestoreSetting("concurrency"))
		}, `"concurrency"`},
		"reset":                             {func(_ strategy.Facts, p *strategy.Plan) { p.ResetTo = map[string][]int{"timeout": {1}} }, `"timeout"`},
		"condition":                         {first(func(f strategy.Facts) strategy.Step { return f.Await("quiet") }), `"quiet"`},
		"split, of a plan without a canary": {first(func(f strategy.Facts) strategy.Step { return f.Await(strategy.UntilSplit) }), "await split"},
		"condition of a bake": {first(func(f strategy.Facts) strategy.Step {
			s := f.Watch("watch", time.Minute)
			s.Until = strategy.UntilEmpty
			return s
		}), `"empty"`},
		"condition of a write": {first(func(f strategy.Facts) strategy.Step {
			s := f.Update()
			s.Until = strategy.UntilServing
			return s
		}), `"serving"`},
		"action": {first(func(f strategy.Facts) strategy.Step {
			s := f.Verify().Named("warm up")
			s.Do = "warm up"
			return s
		}), `"warm up"`},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				fx := flushFixture()
				fx.strategy = tt.strategy
				store := journal.NewMemory()
				_, err := rollout.Run(t.Context(), store, fx, tt.strategy, fx.target)
				if !errors.Is(err, rollout.ErrRefused) || !errors.Is(err, endpoint.ErrInvalid) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("Run = %v, want it refused, with %s in it", err, tt.says)
				}
				if records, _ := store.Load(t.Context(), fx.Name()); len(fx.writes()) > 0 || len(records) > 0 {
					t.Errorf("written %v, recorded %v", fx.writes(), records)
				}
			})
		})
	}
}

// A plan that was edited since it was previewed is held to the endpoint when it
// is applied.
func TestEditedPlanThatDoesNotFitIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		p := fx.planned(t)
		for i := range p.Forward {
			if p.Forward[i].Key == endpoint.WorkersMax {
				p.Forward[i].Key = "worker.max"
			}
		}
		_, err := rollout.Apply(t.Context(), journal.NewMemory(), fx, p)
		if !errors.Is(err, rollout.ErrRefused) || !errors.Is(err, endpoint.ErrInvalid) || !strings.Contains(err.Error(), `"worker.max"`) {
			t.Errorf("Apply = %v, want it refused by name", err)
		}
		if len(fx.writes()) > 0 {
			t.Errorf("written %v", fx.writes())
		}
	})
}
