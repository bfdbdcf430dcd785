package rollouttest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/rollout"
)

// exploreSettle is the settle time of an exploration, in seconds.
const exploreSettle = 2

// scenes are the worlds that an exploration begins with: with and without a
// lock, and what a cancelled rollout does.
func scenes(t testing.TB, e Exploration) []*world {
	t.Helper()
	s := &shape{
		workers: true, settings: []string{endpoint.WorkersMin, endpoint.WorkersMax}, before: []int{1, 3}, foreign: []int{2, 7},
		name: "explored", settle: exploreSettle,
	}
	if e.Scaled || e.Split {
		s.workers, s.settings, s.before, s.foreign = false, []string{"variant/all/instances"}, []int{1}, []int{-1}
	}
	for i, id := range []string{"a", "b", "c"} {
		s.revisions[i] = endpoint.Revision{Kind: "template", ID: id, Artifact: fmt.Sprintf("acme/sdxl:v%d", i+1)}
	}
	ep := &abstract{model: newModel(s), scaled: e.Scaled}
	if e.Target == (rollout.Target{}) {
		e.Target = rollout.ToRevision("b")
	}
	opts := append([]rollout.Option{
		rollout.WithInterval(time.Millisecond), rollout.WithSettle(exploreSettle * time.Second), rollout.WithStepTimeout(130 * time.Second),
		rollout.WithCapacityTimeout(0),
	}, e.Options...)
	var u endpoint.Updater = ep
	switch {
	case e.Scaled && e.Split:
		t.Fatal("Exploration: Scaled and Split exclude each other")
	case e.Scaled:
		u = scaledAbstract{ep}
	case e.Split:
		u = splitAbstract{ep}
	}
	plan, err := rollout.Preview(t.Context(), u, e.Strategy, e.Target, opts...)
	if err != nil {
		t.Fatal(err)
	}
	if s.revisions[target] = plan.Target; plan.Canary != nil {
		s.revisions[canaryRevision] = plan.Canary.Revision
	}
	if e.Faults == 0 {
		e.Faults = 2
	}
	var all []*world
	for _, kind := range []sceneKind{unlockedScene, lockedScene, detachedScene} {
		w := &world{
			scene: &scene{plan: plan, own: kind, epoch: time.Unix(1<<30, 0).UTC(), snapshot: ep.snapshot()},
			ep:    newModel(s), store: &core.Ledger{Endpoint: s.name}, left: e.Faults, refused: -1,
		}
		w.begin(false)
		all = append(all, w)
	}
	return all
}

// abstract shows a model to the planning of a rollout.
type abstract struct {
	mu     sync.Mutex
	model  model
	scaled bool
}

func (a *abstract) Name() string { return a.model.name }

func (a *abstract) Status(context.Context) (endpoint.Status, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.model.status(0, false), nil
}

func (a *abstract) Update(context.Context, endpoint.Change) error { return a.planOnly() }

func (a *abstract) Set(context.Context, string, int) error { return a.planOnly() }

func (a *abstract) Resolve(_ context.Context, r endpoint.Revision) (endpoint.Revision, error) {
	for _, known := range a.model.revisions[:foreignRevision] {
		if r.ID == known.ID {
			return known, nil
		}
	}
	return r, fmt.Errorf("revision %s: %w", r, endpoint.ErrNotFound)
}

func (a *abstract) Draft(_ context.Context, base endpoint.Revision, artifact string) (endpoint.Draft, error) {
	id := base.ID
	if id == a.model.revisions[source].ID {
		id = a.model.revisions[target].ID
	}
	return endpoint.Draft{Revision: endpoint.Revision{Kind: base.Kind, ID: id, Artifact: artifact, Digest: drafted}, Base: base}, nil
}

func (a *abstract) Stage(context.Context, endpoint.Draft) error { return a.planOnly() }

func (a *abstract) Staged(context.Context, endpoint.Draft) error { return endpoint.ErrNotFound }

func (a *abstract) Jobs(context.Context) (endpoint.Jobs, error) { return endpoint.Jobs{}, nil }

func (a *abstract) planOnly() error {
	return fmt.Errorf("%s: planning changes nothing: %w", a.model.name, endpoint.ErrInvalid)
}

// snapshot is what suspending autoscaling would touch.
func (a *abstract) snapshot() endpoint.AutoscalingSnapshot {
	if !a.scaled {
		return endpoint.AutoscalingSnapshot{}
	}
	keys := a.model.settings
	return endpoint.AutoscalingSnapshot{Summary: "suspended", Autoscaled: keys, Max: endpoint.Settings{keys[0]: 3}, Data: []byte("{}")}
}

// scaledAbstract adds autoscaling.
type scaledAbstract struct{ *abstract }

func (a scaledAbstract) SnapshotAutoscaling(context.Context, endpoint.Change) (endpoint.AutoscalingSnapshot, error) {
	return a.snapshot(), nil
}

func (a scaledAbstract) SuspendAutoscaling(context.Context, endpoint.AutoscalingSnapshot) error {
	return a.planOnly()
}

func (a scaledAbstract) RestoreAutoscaling(context.Context, endpoint.AutoscalingSnapshot) error {
	return a.planOnly()
}

func (a scaledAbstract) InspectAutoscaling(context.Context, endpoint.AutoscalingSnapshot) (endpoint.AutoscalingState, error) {
	return endpoint.AutoscalingState{Restored: true}, nil
}

// splitAbstract adds traffic that can be split.
type splitAbstract struct{ *abstract }

func (a splitAbstract) DraftCanary(_ context.Context, source, target endpoint.Revision, _ *endpoint.Draft) (endpoint.Canary, error) {
	both := endpoint.Revision{Kind: source.Kind, ID: "both", Artifact: source.Artifact + " and " + target.Artifact}
	return endpoint.Canary{
		Draft: endpoint.Draft{Revision: both, Base: source}, Source: []string{"all"}, Target: []string{"all-canary"},
	}, nil
}

func (a splitAbstract) Shift(context.Context, endpoint.Canary, int) error { return a.planOnly() }

var (
	_ endpoint.Shifter              = splitAbstract{}
	_ endpoint.Scaler               = (*abstract)(nil)
	_ endpoint.Resolver             = (*abstract)(nil)
	_ endpoint.Stager               = (*abstract)(nil)
	_ endpoint.Drainer              = (*abstract)(nil)
	_ endpoint.AutoscalingSuspender = scaledAbstract{}
)
