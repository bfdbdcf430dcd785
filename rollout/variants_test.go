package rollout_test

import (
	"errors"
	"runtime"
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
	"github.com/changeover-dev/changeover/rollout/rollouttest"
	"github.com/changeover-dev/changeover/strategy"
)

// newVariants is an endpoint in SageMaker's shape: two variants, of which one
// is scaled by the provider, which moves it whenever it may.
func newVariants(edit ...func(*endpointtest.VariantsConfig)) *endpointtest.Variants {
	c := endpointtest.VariantsConfig{
		Revisions: map[string]string{"c1": "model-1", "c2": "model-2"},
		Live:      "c1",
		Counts:    map[string]int{"main": 2, "shadow": 1},
		Targets: map[string]endpointtest.Target{"main": {
			Min: 1, Max: 6, Suspended: endpointtest.Suspended{Scheduled: true},
			Policies:  []endpointtest.Policy{{Name: "track", Config: "70"}, {Name: "step", Config: "+2"}},
			Schedules: []endpointtest.Schedule{{Name: "night", Expression: "cron(0 22 * * ? *)", Min: 1, Max: 2}},
		}},
		Bake:      10 * time.Minute,
		Autoscale: 7 * time.Minute,
	}
	for _, f := range edit {
		f(&c)
	}
	return endpointtest.NewVariants(c)
}

func variantsWorld(bad bool, edit ...func(*endpointtest.VariantsConfig)) func() world {
	return func() world {
		ep := newVariants(edit...)
		if bad {
			ep.FailOn("model-2", "The primary container did not pass the ping health check.")
			ep.FailOn("model-3", "")
		}
		return world{ep, func() string { s := ep.Truth(); return s.Revisions[s.Live] }, foreignVariants(ep)}
	}
}

// foreignVariants are the changes that somebody else may make to an endpoint in
// SageMaker's shape.
func foreignVariants(ep *endpointtest.Variants) []rollouttest.Foreign {
	edit := func(name string, f func(s *endpointtest.VariantsState) bool) rollouttest.Foreign {
		return rollouttest.Foreign{Name: name, Do: func() (done bool) {
			ep.Foreign(func(s *endpointtest.VariantsState) { done = f(s) })
			return done
		}}
	}
	// A change of what belongs to a target needs one.
	target := func(name string, f func(t *endpointtest.Target)) rollouttest.Foreign {
		return edit(name, func(s *endpointtest.VariantsState) bool {
			t, ok := s.Targets["main"]
			if !ok {
				return false
			}
			f(&t)
			s.Targets["main"] = t
			return true
		})
	}
	policy := func(name string) func(endpointtest.Policy) bool {
		return func(p endpointtest.Policy) bool { return p.Name == name }
	}
	revision := edit("revision", func(s *endpointtest.VariantsState) bool {
		s.Revisions["c9"], s.Pending, s.Live = "model-9", "", "c9"
		return true
	})
	revision.Serves = "model-9"
	back := edit("back to the source", func(s *endpointtest.VariantsState) bool {
		if s.Live == "c1" || s.Pending != "" {
			return false
		}
		s.Live = "c1"
		return true
	})
	back.Serves = "model-1"
	return []rollouttest.Foreign{
		target("maximum capacity", func(t *endpointtest.Target) { t.Max = 9 }),
		target("minimum capacity", func(t *endpointtest.Target) { t.Min = 2 }),
		target("suspended flags", func(t *endpointtest.Target) { t.Suspended = endpointtest.Suspended{Out: true} }),
		target("policy changed", func(t *endpointtest.Target) {
			if i := slices.IndexFunc(t.Policies, policy("track")); i >= 0 {
				t.Policies[i].Config = "50"
			} else {
				t.Policies = append(t.Policies, endpointtest.Policy{Name: "track", ARN: "theirs", Config: "50"})
			}
		}),
		target("policy added", func(t *endpointtest.Target) {
			t.Policies = append(t.Policies, endpointtest.Policy{Name: "theirs", ARN: "theirs", Config: "20"})
		}),
		target("scheduled action added", func(t *endpointtest.Target) {
			t.Schedules = append(t.Schedules, endpointtest.Schedule{Name: "noon", Expression: "cron(0 12 * * ? *)", Min: 2, Max: 3})
		}),
		edit("instances", func(s *endpointtest.VariantsState) bool { s.Counts["shadow"] = 3; return true }),
		revision,
		back,
	}
}

func variantScenarios() []scenario {
	var all []scenario
	canary := strategy.CanaryByWeight{Steps: []strategy.TrafficStep{{Percent: 10, Soak: time.Minute}, {Percent: 50}}}
	deregister := func(c *endpointtest.VariantsConfig) { c.Deregister = true }
	for _, bad := range []bool{false, true} {
		suffix := ""
		if bad {
			suffix = ", model fails"
		}
		all = append(all,
			scenario{"scale-protected" + suffix, variantsWorld(bad), strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"), "model-1", "model-2", bad, nil},
			scenario{"scale-protected, staged" + suffix, variantsWorld(bad), strategy.ScaleProtectedSwap{Prescale: 4}, rollout.ToArtifact("model-3"), "model-1", "model-3", bad, nil},
			scenario{"scale-protected, deregistered" + suffix, variantsWorld(bad, deregister), strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"), "model-1", "model-2", bad, nil},
			scenario{"canary-by-weight" + suffix, variantsWorld(bad), canary, rollout.ToRevision("c2"), "model-1", "model-2", bad, nil},
		)
	}
	return all
}

func TestSilentRollbackIsNoSuccess(t *testing.T) {
	for name, reason := range map[string]string{"with a reason": "InternalServerError: capacity", "without": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ep := newVariants()
				ep.FailOn("model-2", reason)
				before := ep.Protective()
				r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"))
				if r == nil || r.Outcome != rollout.OutcomeRolledBack || !errors.Is(err, rollout.ErrRolledBack) || !strings.Contains(err.Error(), reason) {
					t.Errorf("Run = %v, %v", r, err)
				}
				if diff := cmp.Diff(before, ep.Protective()); diff != "" {
					t.Errorf("protective values (-before +after):\n%s", diff)
				}
			})
		})
	}
}

// An endpoint that ended failed cannot be brought back, but its autoscaling can.
func TestTerminalFailureRestoresAutoscaling(t *testing.T) {
	for name, fail := range map[string]func(*endpointtest.Variants){
		"failed":          func(v *endpointtest.Variants) { v.BreakOn("model-2", "unrecoverable") },
		"rollback failed": func(v *endpointtest.Variants) { v.MixOn("model-2", "no capacity for the rollback") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ep := newVariants()
				fail(ep)
				before := ep.Protective()
				r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"))
				if r.Outcome != rollout.OutcomeIncomplete || !errors.Is(err, rollout.ErrIncomplete) || !errors.Is(err, endpoint.ErrFailed) {
					t.Errorf("Run = %s, %v; want it incomplete", r.Outcome, err)
				}
				if diff := cmp.Diff(before, ep.Protective()); diff != "" {
					t.Errorf("protective values (-before +after):\n%s", diff)
				}
			})
		})
	}
}

// A way back that put autoscaling back, but was refused its update for long,
// needs autoscaling frozen again once it is let.
func TestWayBackProtectsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep := newVariants(func(c *endpointtest.VariantsConfig) { c.Deregister = true })
		before := ep.Protective()
		store := journal.NewMemory()
		ep.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name == "update c2" {
				return endpointtest.RunAfter(runtime.Goexit)
			}
			return endpointtest.Fault{}
		})
		if _, crashed, err := survive(func() (*rollout.Report, error) {
			return rollout.Run(t.Context(), store, ep, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"))
		}); !crashed {
			t.Fatalf("the rollout did not crash: %v", err)
		}
		ep.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name == "update c1" {
				return endpointtest.Refuse(endpoint.ErrQuota)
			}
			return endpointtest.Fault{}
		})
		_, err := rollout.Resume(t.Context(), store, ep)
		if diff := cmp.Diff(before, ep.Protective()); !errors.Is(err, rollout.ErrIncomplete) || diff != "" {
			t.Fatalf("Resume = %v; want it incomplete with autoscaling as before:\n%s", err, diff)
		}
		ep.OnMutation(nil)
		r, err := rollout.Resume(t.Context(), store, ep)
		if !errors.Is(err, rollout.ErrRolledBack) {
			t.Fatalf("Resume once it is let = %v, %v", r.Outcome, err)
		}
		if diff := cmp.Diff(before, ep.Protective()); ep.Truth().Live != "c1" || diff != "" {
			t.Errorf("serves %s, protective values (-before +after):\n%s", ep.Truth().Live, diff)
		}
	})
}

func TestForeignPolicyIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep := newVariants()
		ep.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name != "update c2" {
				return endpointtest.Fault{}
			}
			return endpointtest.RunAfter(func() {
				ep.Foreign(func(s *endpointtest.VariantsState) {
					target := s.Targets["main"]
					target.Max = 9
					s.Targets["main"] = target
				})
			})
		})
		r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"))
		if err != nil || r.Outcome != rollout.OutcomeSucceeded || len(r.Drift) != 1 || r.Drift[0].Thing != "autoscaling" {
			t.Errorf("Run = %s, %v, drift %v", r.Outcome, err, r.Drift)
		}
		s := ep.Truth()
		if got := s.Targets["main"]; got.Max != 9 || got.Suspended != (endpointtest.Suspended{Scheduled: true}) {
			t.Errorf("target is %+v: want the other party's maximum and our flags restored", got)
		}
	})
}

// What is restored is what the protect step found, not what the plan was made
// from: somebody may have changed autoscaling in between.
func TestSnapshotIsTakenWhenProtecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep := newVariants()
		var before map[string]string
		r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"),
			rollout.WithHook(func(e rollout.Event) {
				if e.Kind == rollout.EventPlan {
					ep.Foreign(func(s *endpointtest.VariantsState) {
						target := s.Targets["main"]
						target.Max = 9
						s.Targets["main"] = target
					})
					before = ep.Protective()
				}
			}))
		if err != nil || r.Outcome != rollout.OutcomeSucceeded || len(r.Drift) > 0 {
			t.Errorf("Run = %+v, %v", r, err)
		}
		if diff := cmp.Diff(before, ep.Protective()); diff != "" {
			t.Errorf("protective values (-before the protect step +after):\n%s", diff)
		}
	})
}

// A variant that has more instances than it is to be raised to keeps them,
// whether autoscaling moves it or nobody does.
func TestRaiseNeverLowers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := newVariants(func(c *endpointtest.VariantsConfig) { c.Counts = map[string]int{"main": 5, "shadow": 6} })
		before := ep.Protective()
		if _, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.ScaleProtectedSwap{Prescale: 4}, rollout.ToRevision("c2")); err != nil {
			t.Fatal(err)
		}
		for _, c := range ep.Calls() {
			if strings.HasPrefix(c.Name, "set ") {
				t.Errorf("%s was sent", c.Name)
			}
		}
		if diff := cmp.Diff(before, ep.Protective()); diff != "" {
			t.Errorf("protective values (-before +after):\n%s", diff)
		}
	})
}

// What autoscaling moved since the plan was made is raised all the same, and
// returned to where autoscaling had it.
func TestRaiseWhatAutoscalingMoved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := newVariants(func(c *endpointtest.VariantsConfig) { c.Autoscale = 0 })
		r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.ScaleProtectedSwap{Prescale: 4}, rollout.ToRevision("c2"),
			rollout.WithHook(func(e rollout.Event) {
				if e.Kind == rollout.EventStep && e.Step == "suspend autoscaling" {
					ep.Foreign(func(s *endpointtest.VariantsState) { s.Counts["main"] = 3 })
				}
			}))
		if err != nil || len(r.Drift) > 0 {
			t.Errorf("Run = %v, drift %v", err, r.Drift)
		}
		var sets []string
		for _, c := range ep.Calls() {
			if c.Applied && strings.HasPrefix(c.Name, "set variant/main") {
				sets = append(sets, c.Name)
			}
		}
		if diff := cmp.Diff([]string{"set variant/main/instances=4", "set variant/main/instances=3"}, sets); diff != "" {
			t.Errorf("writes to main (-want +got):\n%s", diff)
		}
	})
}

// What the provider's autoscaling moves meanwhile is nobody's change, whether a
// strategy protects it or not.
func TestAutoscalingIsNoDrift(t *testing.T) {
	for _, s := range []strategy.Strategy{strategy.InPlace{}, strategy.ScaleProtectedSwap{}} {
		t.Run(s.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ep := newVariants()
				r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, s, rollout.ToRevision("c2"), rollout.WithBake(time.Hour))
				if err != nil || len(r.Drift) > 0 {
					t.Errorf("Run = %v, %v, want no drift", r.Drift, err)
				}
				if _, protects := s.(strategy.ScaleProtectedSwap); !protects && ep.Truth().Counts["main"] == 2 {
					t.Error("autoscaling moved nothing, so this shows nothing")
				}
			})
		})
	}
}
