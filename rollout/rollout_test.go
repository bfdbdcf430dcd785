package rollout_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

func TestSuccess(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		r, err := fx.run(t.Context())
		if err != nil || r.Outcome != rollout.OutcomeSucceeded || r.Proof != "workers" {
			t.Fatalf("Run = %s (proof %q), %v", r.Outcome, r.Proof, err)
		}
		if got := fx.artifact(); got != fx.goal {
			t.Errorf("serves %s, want %s", got, fx.goal)
		}
		if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
			t.Errorf("protective values (-before +after):\n%s", diff)
		}
		want := map[string][]string{
			"in-place":             {"update b"},
			"flush-to-zero":        {"set workers.min=0", "set workers.max=0", "update b", "set workers.max=3", "set workers.min=1"},
			"alternating-template": {"stage b", "update b"},
		}[fx.strategy.String()]
		if diff := cmp.Diff(want, fx.writes()); diff != "" {
			t.Errorf("writes (-want +got):\n%s", diff)
		}
	})
}

func TestUnhealthyImageIsRolledBack(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		fx.FailOn(fx.goal, "image pull backoff")
		r, err := fx.run(t.Context())
		fx.wantRolledBack(t, err, endpoint.ErrUnhealthy)
		if r.Outcome != rollout.OutcomeRolledBack || !strings.Contains(err.Error(), "image pull backoff") {
			t.Errorf("outcome %s, error %q: want the provider's own words", r.Outcome, err)
		}
		var re *rollout.Error
		if !errors.As(err, &re) || re.Step != "await serving" || re.Endpoint != "fake/workers" {
			t.Errorf("error %#v does not say which step failed on which endpoint", re)
		}
	})
}

func TestStuckImageIsRolledBackAtTheTimeout(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		fx.StallOn(fx.goal)
		start := time.Now()
		_, err := fx.run(t.Context(), rollout.WithTimeout(10*time.Minute))
		fx.wantRolledBack(t, err, rollout.ErrTimeout)
		if took := time.Since(start); took < 10*time.Minute || took > 15*time.Minute {
			t.Errorf("took %v, want ten minutes and the way back", took)
		}
	})
}

func TestStepTimeoutIsNamed(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		fx.StallOn(fx.goal)
		_, err := fx.run(t.Context(), rollout.WithStepTimeout(7*time.Minute))
		fx.wantRolledBack(t, err, rollout.ErrStepTimeout)
		if !strings.Contains(err.Error(), "longer than 7m0s") {
			t.Errorf("error %q does not say which deadline it was", err)
		}
	})
}

func TestWorkerThatNeverDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fx := flushFixture()
		if err := fx.Enqueue(1, endpointtest.Forever); err != nil {
			t.Fatal(err)
		}
		_, err := fx.run(t.Context(), rollout.WithStepTimeout(20*time.Minute))
		fx.wantRolledBack(t, err, rollout.ErrStepTimeout)
		if !strings.Contains(err.Error(), "await empty") || !strings.Contains(err.Error(), "1 worker left") {
			t.Errorf("error %q does not say what was waited for", err)
		}
	})
}

func TestDrainFirst(t *testing.T) {
	t.Run("drained", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			fx := flushFixture()
			fx.strategy = strategy.FlushToZero{Drain: time.Hour}
			if err := fx.Enqueue(5, 2*time.Minute); err != nil {
				t.Fatal(err)
			}
			_, err := fx.run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range fx.Calls() {
				if c.Write == 1 && time.Until(c.At) > 0 {
					t.Errorf("wrote before the jobs were done")
				}
			}
		})
	})
	t.Run("never drained", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			fx := flushFixture()
			fx.strategy = strategy.FlushToZero{Drain: 10 * time.Minute}
			if err := fx.Enqueue(1, endpointtest.Forever); err != nil {
				t.Fatal(err)
			}
			_, err := fx.run(t.Context())
			fx.wantRolledBack(t, err, rollout.ErrStepTimeout)
			if w := fx.writes(); len(w) > 0 {
				t.Errorf("it wrote %v", w)
			}
		})
	})
}
