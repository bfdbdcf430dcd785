package strategy_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/strategy"
)

// However much or little time is asked for, there is time for the way back.
func TestExtremeTimesLeaveTheWayBack(t *testing.T) {
	const forever = time.Duration(math.MaxInt64)
	for name, opts := range map[string][]strategy.Option{
		"patience of a century":   {strategy.WithPatience(100 * 365 * 24 * time.Hour)},
		"patience without end":    {strategy.WithPatience(forever)},
		"capacity without end":    {strategy.WithCapacity(forever)},
		"capacity less than none": {strategy.WithCapacity(-100 * time.Hour)},
		"settle at once":          {strategy.WithSettle(0)},
		"bake less than none":     {strategy.WithBake(-time.Hour)},
		"bake beyond patience":    {strategy.WithPatience(10 * time.Minute), strategy.WithBake(time.Hour)},
		"interval less than none": {strategy.WithInterval(-time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, fx *fixture) {
				fx.FailOn(fx.goal, "image pull backoff")
				_, err := fx.run(t.Context(), append(opts, strategy.WithTimeout(10*time.Minute))...)
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
		_, err := fx.run(t.Context(), strategy.WithTimeout(1))
		if !errors.Is(err, endpoint.ErrRolledBack) {
			t.Error(err)
		}
		fx.wantAsBefore(t)
	})
}
