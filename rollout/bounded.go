package rollout

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// How long one look may take to be answered, so that one that never is costs no
// more than that of the wait that it is part of. A look at autoscaling is many
// calls in one.
const (
	lookTime    = time.Minute
	inspectTime = 2 * time.Minute
)

// plus is the sum of two times, of which a caller may have meant one to be
// without end: it is never less than the first.
func plus(a, b time.Duration) time.Duration {
	b = max(0, b)
	return a + min(b, math.MaxInt64-a)
}

// answered is a call that ends in time. One that was not answered says nothing.
func answered[T any](ctx context.Context, within time.Duration, call func(context.Context) (T, error)) (T, error) {
	lctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	seen, err := call(lctx)
	if err != nil && lctx.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: it was not answered for %v: %w", endpoint.ErrUnavailable, within, err)
	}
	return seen, err
}

// bound returns u with each look at its status and its jobs answered in time.
func bound(u endpoint.Updater) endpoint.Updater {
	if d, ok := endpoint.As[endpoint.Drainer](u); ok {
		return counted{bounded{u}, d}
	}
	return bounded{u}
}

type bounded struct{ endpoint.Updater }

// Unwrap shows the abilities of the endpoint.
func (b bounded) Unwrap() endpoint.Updater { return b.Updater }

// Status implements [endpoint.Updater].
func (b bounded) Status(ctx context.Context) (endpoint.Status, error) {
	return answered(ctx, lookTime, b.Updater.Status)
}

type counted struct {
	bounded

	jobs endpoint.Drainer
}

// Jobs implements [endpoint.Drainer].
func (c counted) Jobs(ctx context.Context) (endpoint.Jobs, error) {
	return answered(ctx, lookTime, c.jobs.Jobs)
}

// inspect compares autoscaling with a snapshot.
func inspect(ctx context.Context, u endpoint.Updater, snapshot *endpoint.AutoscalingSnapshot) (is endpoint.AutoscalingState, err error) {
	p, err := endpoint.Need[endpoint.AutoscalingSuspender](u)
	if err != nil {
		return is, err
	}
	return answered(ctx, inspectTime, func(ctx context.Context) (endpoint.AutoscalingState, error) {
		return p.InspectAutoscaling(ctx, *snapshot)
	})
}
