package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// canaryByWeight serves both models side by side and gives the new one a tenth of
// the traffic, then half of it.
var canaryByWeight = strategy.CanaryByWeight{Steps: []strategy.TrafficStep{
	{Percent: 10, Soak: 600 * time.Millisecond}, {Percent: 50, Soak: 600 * time.Millisecond},
}}

// fails lets a check find that the new model is too slow at a tenth of the
// traffic, and expects it never to have got more.
func (c *cloud) fails(ctx context.Context, model, from string) error {
	most := 0
	slow := rollout.CheckFunc(func(_ context.Context, s rollout.Sample) (rollout.Verdict, error) {
		most = max(most, s.Share)
		const limit = 1.2 // seconds
		p95 := 0.8
		if s.Share >= 10 {
			p95 *= 2.37
		}
		return rollout.Measured(p95, limit, p95 <= limit), nil
	})
	_, err := rollOut(ctx, journal.NewMemory(), c.ep, canaryByWeight, rollout.ToArtifact(model),
		rollout.WithCheck(strategy.Check{Name: "p95"}, slow))
	switch {
	case !errors.Is(err, rollout.ErrRolledBack):
		return fmt.Errorf("want a rollback: %w", err)
	case most > 10:
		return fmt.Errorf("the target had %d%% of the traffic, want 10", most)
	}
	return c.is(from)
}

// approved has the rollout wait for a person, who is in another process: here, a
// goroutine that has nothing but the same journal.
func (c *cloud) approved(ctx context.Context, model string) error {
	store := journal.NewMemory()
	decided := make(chan error, 1)
	person := rollout.WithObserver(func(_ context.Context, e rollout.Event) {
		if e.Kind == rollout.EventHold {
			time.AfterFunc(500*time.Millisecond, func() {
				decided <- rollout.Decide(ctx, store, c.ep.Name(), rollout.Decision{Verb: rollout.Approve, Approval: "go", By: "alice", Reason: "looks good"})
			})
		}
	})
	_, err := rollOut(ctx, store, c.ep, strategy.InPlace{}, rollout.ToArtifact(model),
		rollout.WithApproval(strategy.Approval{Name: "go", Expires: time.Minute}), person)
	if err != nil {
		return err
	}
	if err := <-decided; err != nil {
		return err
	}
	return c.is(model)
}

// is looks past the library whether the endpoint serves a model, with autoscaling
// as it was.
func (c *cloud) is(model string) error {
	e := c.srv.Endpoint(llm)
	for name, v := range e.Variants {
		if e.Status != types.EndpointStatusInService || v.Model != model || v.Current != 2 {
			return fmt.Errorf("the endpoint is %s with %d instances of variant %s on %s, want 2 on %s", e.Status, v.Current, name, v.Model, model)
		}
	}
	if after := c.srv.Guarded(); !maps.Equal(c.before, after) {
		return fmt.Errorf("autoscaling was %v and is %v", c.before, after)
	}
	fmt.Printf("  checked on the fake: 2 instances on %s; autoscaling is as it was\n", model)
	return nil
}
