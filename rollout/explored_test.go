package rollout_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// Defects that rollouttest.Explore found, each on the endpoint of the kit.

// A second signal after the last step leaves nothing to stop.
func TestHardStopAfterTheLastStep(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		stop := make(chan struct{})
		_, err := rollout.Run(t.Context(), journal.NewMemory(), fx, fx.strategy, fx.target, rollout.WithHardStop(stop),
			rollout.WithHook(func(e rollout.Event) {
				if e.Kind == rollout.EventDone && e.Step == "verify" {
					close(stop)
				}
			}))
		if err != nil {
			t.Errorf("stopped when everything was done: %v", err)
		}
	})
}

// A third party changes a setting while what the provider did to it is undone:
// that is drift of the setting, and none of the revision.
func TestForeignChangeOfOverriddenSetting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fx := scaledDown(ways()[0], 45*time.Second)
		changed := false
		fx.OnRead(func(int, string) endpointtest.Fault {
			writes := fx.writes()
			if changed || !strings.Contains(strings.Join(writes, " "), endpoint.WorkersMin) {
				return endpointtest.Fault{}
			}
			changed = true
			return endpointtest.RunBefore(func() { fx.Foreign(func(s *endpointtest.WorkersState) { s.Min = 2 }) })
		})
		report, err := fx.run(t.Context())
		if !changed {
			t.Fatalf("the provider's value was not undone: %v", fx.writes())
		}
		if report.Outcome != rollout.OutcomeRolledBack || !errors.Is(err, rollout.ErrRolledBack) || fx.Truth().Live != "a" || fx.Truth().Min != 2 {
			t.Errorf("outcome %s, live %s, min %d, error %v: want it rolled back, and the third party's minimum kept",
				report.Outcome, fx.Truth().Live, fx.Truth().Min, err)
		}
		if len(report.Drift) != 1 || report.Drift[0].Thing != endpoint.WorkersMin {
			t.Errorf("drift is %v, want that of %s alone", report.Drift, endpoint.WorkersMin)
		}
	})
}
