package rollout_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

func writesOf(ep *endpointtest.Variants) []string {
	var names []string
	for _, c := range ep.Calls() {
		if c.Write > 0 && c.Applied {
			names = append(names, c.Name)
		}
	}
	return names
}

var inSteps = strategy.CanaryByWeight{Steps: []strategy.TrafficStep{
	{Percent: 5, Soak: 10 * time.Minute}, {Percent: 10, Soak: 10 * time.Minute}, {Percent: 50, Soak: 10 * time.Minute},
}}

func TestCanaryByWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep := newVariants()
		before := ep.Protective()
		shares := map[int]bool{}
		r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, inSteps, rollout.ToRevision("c2"), scripted("p95", strategy.Check{Interval: time.Minute},
			func(_ time.Duration, s rollout.Sample) (rollout.Verdict, error) {
				shares[s.Share] = true
				if s.Share < 100 && (s.Status.Serving.ID == "c2" || !slices.Equal(s.TargetNames, []string{"main-canary"})) {
					t.Errorf("a mix is called serving: %+v", s)
				}
				return rollout.Measured(300, 500, true), nil
			}))
		if err != nil || r.Outcome != rollout.OutcomeSucceeded {
			t.Fatalf("Run = %v, %v", r, err)
		}
		want := []string{"stage canary-1", "update canary-1", "shift to 5%", "shift to 10%", "shift to 50%", "update c2"}
		if diff := cmp.Diff(want, writesOf(ep)); diff != "" {
			t.Errorf("writes (-want +got):\n%s", diff)
		}
		if !shares[5] || !shares[10] || !shares[50] {
			t.Errorf("checked at shares %v", shares)
		}
		if l := r.Leftovers; len(l) != 1 || !strings.Contains(l[0].String(), "delete endpoint-config canary-1") {
			t.Errorf("leftovers %v, want what served both", l)
		}
		if diff := cmp.Diff(before, ep.Protective()); diff != "" {
			t.Errorf("guarded values (-before +after):\n%s", diff)
		}
	})
}

// A bad model is found at a tenth of the traffic, and never has half of it.
func TestCanaryIsJudgedBeforeItServesEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep := newVariants()
		before := ep.Protective()
		_, err := rollout.Run(t.Context(), journal.NewMemory(), ep, inSteps, rollout.ToRevision("c2"), scripted("p95", strategy.Check{Interval: time.Minute, Failures: 1},
			func(_ time.Duration, s rollout.Sample) (rollout.Verdict, error) {
				if s.Share >= 10 { // +137 %
					return rollout.Measured(711, 360, false), nil
				}
				return rollout.Measured(300, 360, true), nil
			}))
		if !errors.Is(err, rollout.ErrRolledBack) || !errors.Is(err, rollout.ErrCheck) || !strings.Contains(err.Error(), "711 against 360") {
			t.Errorf("Run = %v", err)
		}
		want := []string{"stage canary-1", "update canary-1", "shift to 5%", "shift to 10%", "shift to 0%", "update c1"}
		if diff := cmp.Diff(want, writesOf(ep)); diff != "" {
			t.Errorf("writes (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(before, ep.Protective()); diff != "" || ep.Truth().Live != "c1" {
			t.Errorf("serves %s, guarded values (-before +after):\n%s", ep.Truth().Live, diff)
		}
	})
}

// A share is moved by nobody else: it stays, and the rollout goes back around it.
func TestCanaryIsRefusedWhereTrafficCannotBeSplit(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		_, err := rollout.Run(t.Context(), journal.NewMemory(), fx, inSteps, rollout.ToRevision("b"))
		if !errors.Is(err, errors.ErrUnsupported) || len(fx.writes()) > 0 {
			t.Errorf("Run = %v, writes %v", err, fx.writes())
		}
	})
}

func TestCanaryStepsAreChecked(t *testing.T) {
	for name, steps := range map[string][]strategy.TrafficStep{
		"none":    nil,
		"falling": {{Percent: 50}, {Percent: 10}},
		"all":     {{Percent: 100}},
		"nothing": {{Percent: 0}},
		"soak":    {{Percent: 5, Soak: -1}},
		"person":  {{Percent: 5, Approval: strategy.Approval{Name: "go"}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			ep := newVariants()
			_, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.CanaryByWeight{Steps: steps}, rollout.ToRevision("c2"))
			if !errors.Is(err, endpoint.ErrInvalid) || len(writesOf(ep)) > 0 {
				t.Errorf("%s: Run = %v, writes %v", name, err, writesOf(ep))
			}
		})
	}
}

// A freeze window puts a shift off, not the rollback.
func TestFreezePutsAShiftOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep := newVariants()
		began := time.Now()
		from, until := began.Add(20*time.Minute), began.Add(10*time.Hour)
		_, err := rollout.Run(t.Context(), journal.NewMemory(), ep, inSteps, rollout.ToRevision("c2"),
			rollout.WithFreeze(func(now time.Time) (time.Time, string) {
				if now.Before(from) {
					return time.Time{}, ""
				}
				return until, "peak hours"
			}))
		if took := time.Since(began); err != nil || took < 10*time.Hour {
			t.Errorf("Run = %v after %v", err, took)
		}
		fmt.Fprintln(t.Output(), writesOf(ep))
	})
}
