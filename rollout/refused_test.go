package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

func TestNoOp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fx := flushFixture()
		fx.target = rollout.ToRevision("a")
		r, err := fx.run(t.Context())
		if err != nil || r.Outcome != rollout.OutcomeNoOp || len(fx.writes()) > 0 {
			t.Errorf("Run = %v, %v; writes %v", r, err, fx.writes())
		}
	})
}

func TestRefusals(t *testing.T) {
	pair := func(a, b string) strategy.Strategy {
		return strategy.AlternatingTemplate{Templates: [2]string{a, b}}
	}
	for _, tt := range []struct {
		name     string
		min, max int
		strategy strategy.Strategy
		target   rollout.Target
		opts     []rollout.Option
		want     error
		text     string
	}{
		{"unknown template", 1, 3, strategy.FlushToZero{}, rollout.ToRevision("zz"), nil, endpoint.ErrNotFound, "zz"},
		{"no target", 1, 3, strategy.InPlace{}, rollout.Target{}, nil, endpoint.ErrInvalid, "target"},
		{"same artifact", 1, 3, strategy.InPlace{}, rollout.ToRevision("same"), nil, endpoint.ErrSameArtifact, "acme/sdxl:v1"},
		{"paused", 0, 0, strategy.FlushToZero{}, rollout.ToRevision("b"), nil, endpoint.ErrPaused, "workers.max"},
		{"alternating with one", 1, 3, pair("a", "a"), rollout.ToArtifact("acme/sdxl:v3"), nil, endpoint.ErrInvalid, "two different"},
		{"alternating, none live", 1, 3, pair("b", "same"), rollout.ToArtifact("acme/sdxl:v3"), nil, endpoint.ErrInvalid, "neither"},
		{"alternating to a revision", 1, 3, pair("a", "b"), rollout.ToRevision("b"), nil, endpoint.ErrInvalid, "artifact"},
		{"prescale without variants", 1, 3, strategy.ScaleProtectedSwap{Prescale: 2}, rollout.ToRevision("b"), nil, endpoint.ErrInvalid, "scale-protected"},
		{"negative prescale", 1, 3, strategy.ScaleProtectedSwap{Prescale: -1}, rollout.ToRevision("b"), nil, endpoint.ErrInvalid, "negative"},
		{"settle without end", 1, 3, strategy.InPlace{}, rollout.ToRevision("b"), []rollout.Option{rollout.WithSettle(math.MaxInt64)}, endpoint.ErrInvalid, "WithSettle"},
		{"bake without end", 1, 3, strategy.InPlace{}, rollout.ToRevision("b"), []rollout.Option{rollout.WithBake(math.MaxInt64)}, endpoint.ErrInvalid, "WithBake"},
		{"negative settle", 1, 3, strategy.InPlace{}, rollout.ToRevision("b"), []rollout.Option{rollout.WithSettle(-1)}, endpoint.ErrInvalid, "WithSettle"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
					Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2", "same": "acme/sdxl:v1"},
					Live:      "a", Min: tt.min, Max: tt.max,
				})
				store := journal.NewMemory()
				r, err := rollout.Run(t.Context(), store, ep, tt.strategy, tt.target, tt.opts...)
				if r == nil || r.Outcome != rollout.OutcomeRefused || !errors.Is(err, rollout.ErrRefused) {
					t.Errorf("Run = %+v, %v; want a report of a refusal", r, err)
				}
				if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("Run = %v\nwant it to be %v and to name %q", err, tt.want, tt.text)
				}
				for _, c := range ep.Calls() {
					if c.Write > 0 {
						t.Errorf("it wrote %s", c.Name)
					}
				}
				if _, err := rollout.Preview(t.Context(), ep, tt.strategy, tt.target, tt.opts...); !errors.Is(err, tt.want) {
					t.Errorf("Preview = %v, want %v", err, tt.want)
				}
				if records, err := store.Load(t.Context(), ep.Name()); err != nil || len(records) > 0 {
					t.Errorf("the journal holds %v (%v)", records, err)
				}
			})
		})
	}
}

type bare struct{ w *endpointtest.Workers }

func (b bare) Name() string { return b.w.Name() }

func (b bare) Status(ctx context.Context) (endpoint.Status, error) { return b.w.Status(ctx) }

func (b bare) Update(ctx context.Context, c endpoint.Change) error { return b.w.Update(ctx, c) }

func (b bare) Resolve(ctx context.Context, r endpoint.Revision) (endpoint.Revision, error) {
	return b.w.Resolve(ctx, r)
}

func TestMissingAbilityIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		if _, err := rollout.Preview(t.Context(), bare{fx.Workers}, fx.strategy, fx.target); err == nil {
			t.Error("Preview shows a plan that cannot be carried out")
		}
		_, err := rollout.Run(t.Context(), journal.NewMemory(), bare{fx.Workers}, fx.strategy, fx.target)
		if !errors.Is(err, rollout.ErrRefused) || !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Run = %v, want it refused", err)
		}
	})
}

func TestPausedWithConsent(t *testing.T) {
	for _, proof := range []strategy.Proof{strategy.ProofConfiguration, strategy.ProofWorkers} {
		for _, s := range []strategy.Strategy{strategy.InPlace{}, strategy.FlushToZero{}} {
			t.Run(fmt.Sprintf("%s/%s", s, proof), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
						Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a",
					})
					before := ep.Protective()
					r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, s, rollout.ToRevision("b"),
						rollout.AllowPaused(), rollout.WithProof(proof))
					if err != nil {
						t.Fatal(err)
					}
					if r.Proof != proof || ep.Truth().Live != "b" {
						t.Errorf("proof %q, live %s", r.Proof, ep.Truth().Live)
					}
					if diff := cmp.Diff(before, ep.Protective()); diff != "" {
						t.Errorf("protective values (-before +after):\n%s", diff)
					}
				})
			})
		}
	}
}

func TestDeadEndpointIsNoNoOp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture() // min 1
		fx.Foreign(func(s *endpointtest.WorkersState) { s.Live = "b"; s.Workers = nil })
		fx.StallOn(fx.goal)
		// No worker at all: the service has none to give.
		ep := starved{fx.Workers}
		r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, fx.strategy, fx.target)
		if err == nil {
			t.Errorf("%s, nil error: min is %d and %d workers live, phase %s", r.Outcome, r.Status.Settings[endpoint.WorkersMin], r.Status.Live(), r.Status.Phase)
		}
	})
}

// A rollout that has ended is not named as the holder.
func TestEndedRolloutIsNoHolder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		store := journal.NewMemory()
		if _, err := rollout.Run(t.Context(), store, fx, strategy.InPlace{}, fx.target, rollout.WithOwner("alice")); err != nil {
			t.Fatal(err)
		}
		go func() {
			if _, err := rollout.Run(t.Context(), store, fx, strategy.InPlace{}, rollout.ToRevision("a"), rollout.WithOwner("bob")); err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(time.Second) // bob reads before he plans
		_, err := rollout.Run(t.Context(), store, fx, strategy.InPlace{}, rollout.ToRevision("a"), rollout.WithOwner("carol"))
		if !errors.Is(err, endpoint.ErrBusy) || strings.Contains(err.Error(), "alice") {
			t.Errorf("bob holds it: %v", err)
		}
		time.Sleep(time.Hour)
	})
}
