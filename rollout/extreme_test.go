package rollout_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/rollout"
)

// However much or little time is asked for, there is time for the way back.
func TestExtremeTimesLeaveTheWayBack(t *testing.T) {
	const forever = time.Duration(math.MaxInt64)
	for name, opts := range map[string][]rollout.Option{
		"patience of a century": {rollout.WithStepTimeout(100 * 365 * 24 * time.Hour)},
		"patience without end":  {rollout.WithStepTimeout(forever)},
		"capacity without end":  {rollout.WithCapacityTimeout(forever)},
		"settle at once":        {rollout.WithSettle(0)},
		"bake beyond patience":  {rollout.WithStepTimeout(10 * time.Minute), rollout.WithBake(time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, fx *fixture) {
				fx.FailOn(fx.goal, "image pull backoff")
				_, err := fx.run(t.Context(), append(opts, rollout.WithTimeout(10*time.Minute))...)
				fx.wantRolledBack(t, err, endpoint.ErrUnhealthy)
			})
			eachWay(t, func(t *testing.T, fx *fixture) {
				if _, err := fx.run(t.Context(), opts...); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestTinyTimeout(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		_, err := fx.run(t.Context(), rollout.WithTimeout(1))
		if !errors.Is(err, rollout.ErrRolledBack) {
			t.Error(err)
		}
		fx.wantAsBefore(t)
	})
}
