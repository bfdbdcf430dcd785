package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

func TestGates(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		calls := 0
		slow := errors.New("p99 latency 900ms over 500ms")
		_, err := fx.run(t.Context(), rollout.WithBake(5*time.Minute), rollout.WithGate("latency", func(_ context.Context, s endpoint.Status) error {
			if s.Serving.Artifact != fx.goal {
				return fmt.Errorf("called on %s", s.Serving)
			}
			if calls++; calls > 10 {
				return slow
			}
			return nil
		}))
		fx.wantRolledBack(t, err, rollout.ErrGate)
		if !errors.Is(err, slow) || calls != 11 {
			t.Errorf("after %d calls: %v", calls, err)
		}
	})
}

func TestGateMissingOnResume(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		ctx, cancel := context.WithCancel(t.Context())
		store := journal.NewMemory()
		_, err := rollout.Run(ctx, store, fx, fx.strategy, fx.target, rollout.WithDetach(),
			rollout.WithBake(time.Minute), rollout.WithGate("latency", func(context.Context, endpoint.Status) error {
				cancel()
				return nil
			}))
		if !errors.Is(err, rollout.ErrDetached) {
			t.Fatal(err)
		}
		_, err = rollout.Resume(t.Context(), store, fx, rollout.WithForward())
		fx.wantRolledBack(t, err, rollout.ErrGate)
	})
}

// A gate's error turns the rollout back, whatever its class.
func TestGateErrorIsNotWaitedOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		calls := 0
		_, err := fx.run(t.Context(), rollout.WithBake(time.Minute), rollout.WithGate("errors", func(context.Context, endpoint.Status) error {
			if calls++; calls <= 3 {
				return fmt.Errorf("error rate 80%%: model answers %w", endpoint.ErrUnavailable)
			}
			return nil
		}))
		if err == nil {
			t.Errorf("committed although the gate failed three times (%d calls)", calls)
		}
	})
}
