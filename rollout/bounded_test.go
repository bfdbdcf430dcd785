package rollout_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// speechless is an endpoint of which one look is never answered.
type speechless struct {
	*endpointtest.Workers
	at, n int
}

func (s *speechless) Status(ctx context.Context) (endpoint.Status, error) {
	if s.n++; s.n == s.at {
		<-ctx.Done()
		return endpoint.Status{}, ctx.Err()
	}
	return s.Workers.Status(ctx)
}

// One look that is never answered costs a minute: no rollout fails for it, or
// stands still with the endpoint half-way.
func TestLookThatIsNeverAnswered(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		began := time.Now()
		if _, err := rollout.Run(t.Context(), journal.NewMemory(), fx, fx.strategy, fx.target); err != nil {
			t.Fatal(err)
		}
		most := time.Since(began) + 90*time.Second // a minute, and what comes of it until the provider's next tick
		at, reached := 1, true
		for ; reached; at++ {
			ep := &speechless{Workers: flushFixture().Workers, at: at}
			began := time.Now()
			r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, fx.strategy, fx.target)
			if took := time.Since(began); err != nil || r.Outcome != rollout.OutcomeSucceeded || took > most {
				t.Errorf("look %d: %v after %v, want success within %v", at, err, took, most)
			}
			reached = ep.n >= at
		}
		if at < 10 {
			t.Errorf("only %d looks were swept", at)
		}
	})
	eachWay(t, func(t *testing.T, fx *fixture) { // before a rollout is taken over
		store := journal.NewMemory()
		fx.crashAt(t, store, 1)
		began := time.Now()
		_, err := rollout.Resume(t.Context(), store, &speechless{Workers: fx.Workers, at: 1})
		if took := time.Since(began); !errors.Is(err, rollout.ErrRolledBack) || took > 10*time.Minute {
			t.Errorf("Resume = %v after %v", err, took)
		}
		fx.wantAsBefore(t)
	})
}

// unseen is an endpoint of whose autoscaling one look is never answered.
type unseen struct {
	*endpointtest.Variants
	at, n int
}

func (u *unseen) InspectAutoscaling(ctx context.Context, p endpoint.AutoscalingSnapshot) (endpoint.AutoscalingState, error) {
	if u.n++; u.n == u.at {
		<-ctx.Done()
		return endpoint.AutoscalingState{}, ctx.Err()
	}
	return u.Variants.InspectAutoscaling(ctx, p)
}

// Nor does a rollout fail, or leave autoscaling frozen, for a look at that.
func TestInspectionThatIsNeverAnswered(t *testing.T) {
	for at, reached := 1, true; reached; at++ {
		bubble(t, func(t *testing.T) {
			ep := &unseen{Variants: newVariants(), at: at}
			before := ep.Protective()
			r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"))
			if err != nil || r.Outcome != rollout.OutcomeSucceeded {
				t.Errorf("inspection %d: %v", at, err)
			}
			if diff := cmp.Diff(before, ep.Protective()); diff != "" {
				t.Errorf("inspection %d (-before +after):\n%s", at, diff)
			}
			if reached = ep.n >= at; !reached && at < 5 {
				t.Errorf("only %d inspections were swept", at)
			}
		})
	}
}

// uncounted is an endpoint of whose jobs one count is never answered.
type uncounted struct {
	*endpointtest.Workers

	at, n int
}

func (u *uncounted) Jobs(ctx context.Context) (endpoint.Jobs, error) {
	if u.n++; u.n == u.at {
		<-ctx.Done()
		return endpoint.Jobs{}, ctx.Err()
	}
	return u.Workers.Jobs(ctx)
}

// Nor does an endpoint stay at zero workers for a count of its jobs.
func TestCountOfJobsThatIsNeverAnswered(t *testing.T) {
	for at, reached := 1, true; reached; at++ {
		bubble(t, func(t *testing.T) {
			fx := flushFixture()
			ep := &uncounted{Workers: fx.Workers, at: at}
			began := time.Now()
			_, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.FlushToZero{Drain: 5 * time.Minute}, fx.target)
			if took := time.Since(began); err != nil || took > 10*time.Minute {
				t.Errorf("count %d: %v after %v", at, err, took)
			}
			if reached = ep.n >= at; !reached && at < 3 {
				t.Errorf("only %d counts were swept", at)
			}
		})
	}
}

// untaken is an endpoint of whose autoscaling one snapshot is never answered,
// or refused for now.
type untaken struct {
	*endpointtest.Variants

	n      int
	silent bool
}

func (u *untaken) SnapshotAutoscaling(ctx context.Context, c endpoint.Change) (endpoint.AutoscalingSnapshot, error) {
	u.n++
	switch {
	case u.n != 2: // the first is the plan's
		return u.Variants.SnapshotAutoscaling(ctx, c)
	case u.silent:
		<-ctx.Done()
		return endpoint.AutoscalingSnapshot{}, ctx.Err()
	}
	return endpoint.AutoscalingSnapshot{}, endpoint.ErrThrottled
}

func TestSnapshotThatFailsForNow(t *testing.T) {
	for _, silent := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			ep := &untaken{Variants: newVariants(), silent: silent}
			_, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"))
			if err != nil || ep.n < 3 {
				t.Errorf("silent %t: %v after %d snapshots", silent, err, ep.n)
			}
		})
	}
}

// untraced is an endpoint that never answers what a worker runs the first time.
type untraced struct {
	*endpointtest.Workers

	n int
}

func (u *untraced) InspectWorker(ctx context.Context, worker string, r endpoint.Revision) error {
	if u.n++; u.n == 1 {
		<-ctx.Done()
		return ctx.Err()
	}
	return u.Workers.InspectWorker(ctx, worker, r)
}

func TestTraceThatIsNeverAnswered(t *testing.T) {
	eachIdle(t, func(t *testing.T, fx *fixture) {
		ep, began := &untraced{Workers: fx.Workers}, time.Now()
		_, err := rollout.Run(t.Context(), journal.NewMemory(), ep, fx.strategy, fx.target,
			rollout.WithProbe("hello", job(func() *endpointtest.Workers { return fx.Workers })))
		if took := time.Since(began); ep.n < 2 || took > 10*time.Minute {
			t.Errorf("%d traces, %v after %v", ep.n, err, took)
		}
	})
}
