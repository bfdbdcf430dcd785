package rollout_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// way is a strategy on an endpoint in RunPod's shape that serves template a.
type way struct {
	strategy strategy.Strategy
	target   rollout.Target
	goal     string // the artifact it goes to
}

func ways() []way {
	return []way{
		{strategy.InPlace{}, rollout.ToRevision("b"), "acme/sdxl:v2"},
		{strategy.FlushToZero{}, rollout.ToRevision("b"), "acme/sdxl:v2"},
		{strategy.AlternatingTemplate{Templates: [2]string{"b", "a"}}, rollout.ToArtifact("acme/sdxl:v3"), "acme/sdxl:v3"},
	}
}

// fixture is one endpoint with what a test wants to know of it.
type fixture struct {
	*endpointtest.Workers
	way
	before map[string]string
	events []rollout.Event
}

// eachWay runs f for every strategy in a bubble of its own.
func eachWay(t *testing.T, f func(t *testing.T, fx *fixture)) {
	t.Helper()
	for _, w := range ways() {
		t.Run(w.strategy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
					Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3, Quota: 10,
				})
				fx := &fixture{Workers: ep, way: w, before: ep.Protective()}
				f(t, fx)
			})
		})
	}
}

func bubble(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

func (fx *fixture) run(ctx context.Context, opts ...rollout.Option) (*rollout.Report, error) {
	opts = append(opts, rollout.WithObserver(func(_ context.Context, e rollout.Event) { fx.events = append(fx.events, e) }))
	return rollout.Run(ctx, journal.NewMemory(), fx, fx.strategy, fx.target, opts...)
}

func (fx *fixture) artifact() string { s := fx.Truth(); return s.Templates[s.Live] }

// wantRolledBack fails unless the endpoint is as it was and err says so.
func (fx *fixture) wantRolledBack(t *testing.T, err, cause error) {
	t.Helper()
	if !errors.Is(err, rollout.ErrRolledBack) || !errors.Is(err, cause) {
		t.Errorf("error is %v\nwant it to be %q and %q", err, rollout.ErrRolledBack, cause)
	}
	fx.wantAsBefore(t)
}

func (fx *fixture) wantAsBefore(t *testing.T) {
	t.Helper()
	if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
		t.Errorf("protective values (-before +after):\n%s", diff)
	}
	if got := fx.Truth().Live; got != "a" {
		t.Errorf("serves template %s, want a", got)
	}
}

// writes are the remote writes that reached the endpoint, in order.
func (fx *fixture) writes() []string {
	var names []string
	for _, c := range fx.Calls() {
		if c.Write > 0 {
			names = append(names, c.Name)
		}
	}
	return names
}

func flushFixture() *fixture {
	ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
		Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3, Quota: 10,
	})
	return &fixture{Workers: ep, way: ways()[1], before: ep.Protective()}
}

// gate is a check that fails whenever f returns an error.
func gate(name string, f func(context.Context, endpoint.Status) error) rollout.Option {
	return rollout.WithCheck(strategy.Check{Name: name}, rollout.CheckFunc(func(ctx context.Context, s rollout.Sample) (rollout.Verdict, error) {
		if err := f(ctx, s.Status); err != nil {
			return rollout.Verdict{Result: rollout.ResultFail, Reason: err.Error()}, nil //nolint:nilerr // the check's own verdict
		}
		return rollout.Verdict{Result: rollout.ResultPass}, nil
	}))
}
