package rollout_test

import (
	"context"
	"errors"
	"fmt"
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

// clamping is an endpoint that accepts every value, sets one within its limits, and
// answers which.
type clamping struct {
	*endpointtest.Workers
	key         string
	least, most int
}

func (c *clamping) Set(ctx context.Context, key string, value int) error {
	set := value
	if key == c.key {
		set = min(max(value, c.least), c.most)
	}
	if err := c.Workers.Set(ctx, key, set); err != nil || set == value {
		return err
	}
	return fmt.Errorf("%s is %d: %w", key, set, endpoint.ErrClamped)
}

// A provider that makes another value of a write is no third party: a restored
// value that it limits is no success, on the way forward or back, and the error
// names it. Once it is not limited any more, a resume restores it.
func TestClampedRestoreIsIncomplete(t *testing.T) {
	for name, fails := range map[string]bool{"forward": false, "rollback": true} {
		for _, most := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s/most %d", name, most), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					fx, store := flushFixture(), journal.NewMemory()
					ep := &clamping{Workers: fx.Workers, key: endpoint.WorkersMax, most: most}
					if fails {
						fx.FailOn(fx.goal, "image pull backoff")
					}
					r, err := rollout.Run(t.Context(), store, ep, fx.strategy, fx.target)
					found := fmt.Sprintf("workers.max was to be 3 and is %d", most)
					if !errors.Is(err, rollout.ErrIncomplete) || !errors.Is(err, endpoint.ErrClamped) || len(r.Drift) > 0 ||
						!strings.Contains(fmt.Sprint(r.Residue), found) || !strings.Contains(err.Error(), found) {
						t.Fatalf("Run = %v, drift %v\nwant it incomplete, with %q among what remains", err, r.Drift, found)
					}
					if got := fx.Truth().Max; got != most {
						t.Errorf("max is %d, want %d", got, most)
					}
					ep.most = 3
					_, err = rollout.Resume(t.Context(), store, ep)
					fx.wantRolledBack(t, err, rollout.ErrRolledBack)
				})
			})
		}
	}
}

// A value that the provider limits on the way forward turns the rollout back.
func TestClampedForwardRollsBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		ep := &clamping{Workers: fx.Workers, key: endpoint.WorkersMax, least: 1, most: 3}
		_, err := rollout.Run(t.Context(), journal.NewMemory(), ep, fx.strategy, fx.target)
		fx.wantRolledBack(t, err, endpoint.ErrClamped)
		if !strings.Contains(err.Error(), "workers.max was to be 0 and is 1") {
			t.Errorf("error %q does not name the value", err)
		}
	})
}

// stingy is an endpoint that gives a variant fewer instances than it accepts.
type stingy struct{ *endpointtest.Variants }

func (l stingy) Set(ctx context.Context, key string, value int) error {
	if err := l.Variants.Set(ctx, key, min(value, 3)); err != nil || value <= 3 {
		return err
	}
	return fmt.Errorf("%s is 3: %w", key, endpoint.ErrClamped)
}

// So it is with instances.
func TestClampedInstancesRollBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := endpointtest.NewVariants(endpointtest.VariantsConfig{
			Revisions: map[string]string{"c1": "v1", "c2": "v2"}, Live: "c1", Counts: map[string]int{"main": 2},
		})
		before := ep.Protective()
		_, err := rollout.Run(t.Context(), journal.NewMemory(), stingy{ep}, strategy.ScaleProtectedSwap{Prescale: 5}, rollout.ToRevision("c2"))
		if !errors.Is(err, rollout.ErrRolledBack) || !errors.Is(err, endpoint.ErrClamped) ||
			!strings.Contains(err.Error(), "variant/main/instances was to be 5 and is 3") {
			t.Errorf("Run = %v", err)
		}
		if diff := cmp.Diff(before, ep.Protective()); diff != "" || ep.Truth().Live != "c1" {
			t.Errorf("guarded values (-before +after):\n%s", diff)
		}
	})
}

// A third party that sets such a value after the rollout's own was seen is one.
func TestValueInBetweenIsDriftOnceOursWasSeen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		r, err := rollout.Run(t.Context(), journal.NewMemory(), fx, fx.strategy, fx.target, rollout.WithBake(time.Minute), rollout.WithHook(func(e rollout.Event) {
			if e.Kind == rollout.EventStep && e.Step == "bake" {
				fx.Foreign(func(s *endpointtest.WorkersState) { s.Max = 2 })
			}
		}))
		if err != nil || len(r.Drift) != 1 || r.Drift[0] != (journal.Drift{Thing: "workers.max", Want: "3", Found: "2"}) {
			t.Errorf("Run = %v, drift %v; want success, and their value kept", err, r.Drift)
		}
	})
}
