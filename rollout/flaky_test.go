package rollout_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// everyOther answers every other look with an error, as behind a balancer of
// which one of two backends is broken.
type everyOther struct {
	*endpointtest.Workers

	n *int
}

func (e everyOther) Status(ctx context.Context) (endpoint.Status, error) {
	if *e.n++; *e.n%2 == 0 {
		return endpoint.Status{}, &endpoint.Error{Op: "status", Endpoint: e.Name(), Err: endpoint.ErrUnavailable}
	}
	return e.Workers.Status(ctx)
}

func TestEveryOtherLookFails(t *testing.T) {
	for n := range 2 {
		eachWay(t, func(t *testing.T, fx *fixture) {
			n := n
			_, err := rollout.Run(t.Context(), journal.NewMemory(), everyOther{fx.Workers, &n}, fx.strategy, fx.target)
			if err != nil || fx.artifact() != fx.goal {
				t.Errorf("%v, serving %s", err, fx.artifact())
			}
			if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
				t.Errorf("protective values (-before +after):\n%s", diff)
			}
		})
	}
}
