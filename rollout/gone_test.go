package rollout_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// discreet is an endpoint that shows no settings for some time after it has
// left template a.
type discreet struct {
	*endpointtest.Workers

	hidden time.Duration
	left   time.Time
}

func (d *discreet) Status(ctx context.Context) (endpoint.Status, error) {
	s, err := d.Workers.Status(ctx)
	if d.left.IsZero() && err == nil && s.Desired.ID != "a" {
		d.left = time.Now()
	}
	if !d.left.IsZero() && time.Since(d.left) < d.hidden {
		s.Settings = nil
	}
	return s, err
}

// Capacity that the rollout took away is not gone with the update because it
// does not show: there is no success without it.
func TestCapacityIsNotGoneWhereItDoesNotShow(t *testing.T) {
	for _, hidden := range []time.Duration{10 * time.Second, time.Minute, time.Hour} {
		eachIdle(t, func(t *testing.T, fx *fixture) {
			store := journal.NewMemory()
			ep := &discreet{Workers: fx.Workers, hidden: hidden}
			_, err := rollout.Run(t.Context(), store, ep, fx.strategy, fx.target)
			diff := cmp.Diff(fx.before, fx.Protective())
			if err == nil && diff != "" {
				t.Errorf("hidden for %v: success, and protective values (-before +after):\n%s", hidden, diff)
			}
			time.Sleep(hidden)
			_, rerr := rollout.Resume(t.Context(), store, ep)
			if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
				t.Errorf("hidden for %v: %v; and resumed: %v; protective values (-before +after):\n%s", hidden, err, rerr, diff)
			}
		})
	}
}
