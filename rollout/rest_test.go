package rollout_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/rollout"
)

// A server that wants to be left alone for a day is asked again in time: no
// endpoint stays without workers for it, whichever call it answers so.
func TestDayOfRestIsNotWaitedFor(t *testing.T) {
	day := func(which func(n int) bool) func(int, string) endpointtest.Fault {
		return func(n int, _ string) endpointtest.Fault {
			if which(n) {
				return endpointtest.Throttle(24 * time.Hour)
			}
			return endpointtest.Fault{}
		}
	}
	for name, arm := range map[string]func(*fixture){
		"each second write": func(fx *fixture) { fx.OnMutation(day(func(n int) bool { return n%2 == 1 })) },
		"each fifth read": func(fx *fixture) {
			fx.OnRead(day(func(n int) bool { return n%5 == 0 && n > 6 })) // after the plan
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				fx := flushFixture()
				arm(fx)
				began := time.Now()
				_, err := fx.run(t.Context())
				if took := time.Since(began); err != nil || took > 45*time.Minute {
					t.Errorf("Run = %v after %v", err, took)
				}
				if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
					t.Errorf("guarded values (-before +after):\n%s", diff)
				}
				said := false
				for _, e := range fx.events {
					said = said || e.Kind == rollout.EventRetry && strings.Contains(e.Text, "wants to be left alone for 24h0m0s, until 2000-01-02T")
				}
				if !said {
					t.Error("no event says until when the server wants to be left alone")
				}
			})
		})
	}
	// At most a minute passes with no workers for each refusal.
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		var last time.Time
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			if fx.Truth().Max == 0 {
				if gap := time.Since(last); !last.IsZero() && gap > 3*time.Minute {
					t.Errorf("%s came %v after the write before, without workers", name, gap)
				}
				last = time.Now()
				if len(fx.writes())%2 == 1 {
					return endpointtest.Throttle(24 * time.Hour)
				}
			}
			return endpointtest.Fault{}
		})
		if _, err := fx.run(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
