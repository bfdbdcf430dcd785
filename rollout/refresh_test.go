package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// renewable is an endpoint that can move what it serves to new capacity, and shows
// some of it as old for a while.
type renewable struct {
	*endpointtest.Variants
	old   time.Duration // for how long
	since time.Time     // when the rollout wrote first
	ready time.Time
}

func (r *renewable) DraftRefresh(ctx context.Context, base endpoint.Revision, reason string) (endpoint.Draft, error) {
	d, err := r.Variants.Draft(ctx, base, base.Artifact)
	d.Refresh = reason
	return d, err
}

func (r *renewable) Preflight(ctx context.Context, c endpoint.Change, v endpoint.Settings) ([]string, error) {
	if c.Draft != nil && c.Draft.Refresh != "" {
		return nil, nil
	}
	return r.Variants.Preflight(ctx, c, v)
}

func (r *renewable) Refreshed(_ context.Context, _ endpoint.Draft, since time.Time) error {
	if r.since = since; r.ready.IsZero() {
		r.ready = time.Now()
	}
	if time.Since(r.ready) < r.old {
		return fmt.Errorf("an instance is older: %w", endpoint.ErrDrift)
	}
	return nil
}

// A refresh serves the same artifact on new capacity: the reason is in the plan and
// the journal, and it is proven by the age of all capacity.
func TestRefresh(t *testing.T) {
	for _, old := range []time.Duration{0, 3 * time.Minute, 3 * time.Hour} {
		bubble(t, func(t *testing.T) {
			ep, store := &renewable{Variants: newVariants(), old: old}, journal.NewMemory()
			before, began := ep.Protective(), time.Now()
			r, err := rollout.Run(t.Context(), store, ep, strategy.ScaleProtectedSwap{}, rollout.Target{}, rollout.WithRefresh("AWS Health: patch 5"))
			if diff := cmp.Diff(before, ep.Protective()); diff != "" {
				t.Errorf("guarded values (-before +after):\n%s", diff)
			}
			if old > time.Hour {
				if !errors.Is(err, rollout.ErrRolledBack) || ep.Truth().Live != "c1" {
					t.Errorf("with old capacity: %v, serving %s", err, ep.Truth().Live)
				}
				return
			}
			if err != nil || r.Outcome != rollout.OutcomeSucceeded || ep.Truth().Live == "c1" || r.Plan.Source.Artifact != r.Plan.Target.Artifact {
				t.Fatalf("Run = %v, serving %s", err, ep.Truth().Live)
			}
			if ep.since.Before(began) || ep.since.After(began.Add(5*time.Minute)) {
				t.Errorf("it was asked about %v, began %v", ep.since, began)
			}
			if !strings.Contains(r.Plan.String(), "AWS Health: patch 5") {
				t.Errorf("the plan does not say why:\n%s", r.Plan)
			}
			records, err := store.Load(t.Context(), ep.Name())
			if err != nil || records[0].Plan.Refresh != "AWS Health: patch 5" {
				t.Errorf("the journal does not say why: %v", err)
			}
		})
	}
}

// Where nothing else refreshes an endpoint, a flush does: no worker stays.
func TestRefreshByFlush(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		fx.before = fx.Protective()
		old := fx.Truth().Workers
		r, err := rollout.Run(t.Context(), journal.NewMemory(), fx, strategy.FlushToZero{}, rollout.Target{}, rollout.WithRefresh("a new driver"))
		if err != nil || r.Outcome != rollout.OutcomeSucceeded {
			t.Fatalf("Run = %v", err)
		}
		fx.wantAsBefore(t)
		for _, w := range fx.Truth().Workers {
			if slices.ContainsFunc(old, func(o endpointtest.Worker) bool { return o.ID == w.ID }) {
				t.Errorf("worker %s stayed", w.ID)
			}
		}
	})
}

// A refresh that is none is refused before anything is written.
func TestRefreshRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		s      strategy.Strategy
		target rollout.Target
		reason string
		says   string
	}{
		"no reason":       {strategy.FlushToZero{}, rollout.Target{}, "", "reason is empty"},
		"another target":  {strategy.FlushToZero{}, rollout.ToRevision("b"), "x", "a refresh moves that"},
		"no way to do it": {strategy.InPlace{}, rollout.Target{}, "x", "flush-to-zero"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				fx := flushFixture()
				_, err := rollout.Run(t.Context(), journal.NewMemory(), fx, tt.s, tt.target, rollout.WithRefresh(tt.reason))
				if !errors.Is(err, endpoint.ErrInvalid) || !strings.Contains(err.Error(), tt.says) || len(fx.writes()) > 0 {
					t.Errorf("Run = %v, writes %v", err, fx.writes())
				}
			})
		})
	}
}
