package endpointtest_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
)

func deregistering(c *endpointtest.VariantsConfig) { c.Deregister = true }

// writes returns the names of the writes that were numbered from n on.
func writes(v *endpointtest.Variants, n int) (names []string) {
	for _, c := range v.Calls() {
		if c.Write >= n {
			names = append(names, c.Name)
		}
	}
	return names
}

func inspect(t *testing.T, v *endpointtest.Variants, p endpoint.AutoscalingSnapshot) (endpoint.AutoscalingState, []string) {
	t.Helper()
	is, err := v.InspectAutoscaling(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return is, is.Differences
}

func TestProtectAndRestore(t *testing.T) {
	for name, tt := range map[string]struct {
		edit                func(*endpointtest.VariantsConfig)
		summary             string
		differences, writes []string
	}{
		"suspend": {
			nil, "suspend A",
			[]string{"target/A/suspended is in out scheduled, was scheduled"},
			[]string{"protect A", "restore A"},
		},
		"deregister": {
			deregistering, "deregister and restore A",
			[]string{
				"alarm/backlog is arn:sns/pager, was A/step arn:sns/pager",
				"target/A/bounds is missing, was 1..4",
				"target/A/policy/page is missing, was track 70",
				"target/A/policy/step is missing, was step +2",
				"target/A/schedule/night is missing, was cron(0 22 * * ? *) 1..2",
				"target/A/suspended is missing, was scheduled",
			},
			[]string{
				"protect A", "register A", "put policy A/page", "put policy A/step",
				"put schedule A/night", "repair alarm backlog", "resume A",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v, ctx := newVariants(tt.edit), t.Context()
				before := v.Protective()
				p, err := v.SnapshotAutoscaling(ctx, endpoint.Change{})
				do(t, err)
				if p.Summary != tt.summary || !slices.Equal(p.Autoscaled, []string{"variant/A/instances"}) || p.Max["variant/A/instances"] != 4 {
					t.Errorf("snapshot: %q, moved %v, at most %v", p.Summary, p.Autoscaled, p.Max)
				}
				if is, d := inspect(t, v, p); !is.Restored || len(d) > 0 {
					t.Errorf("before: %v %q", is, d)
				}
				do(t, v.SuspendAutoscaling(ctx, p))
				is, d := inspect(t, v, p)
				if d := cmp.Diff(tt.differences, d); !is.Suspended || d != "" {
					t.Errorf("protected: %v, differences (-want +got):\n%s", is, d)
				}
				do(t, v.RestoreAutoscaling(ctx, p))
				if is, d := inspect(t, v, p); !is.Restored || len(d) > 0 {
					t.Errorf("restored: %v %q", is, d)
				}
				if d := cmp.Diff(tt.writes, writes(v, 1)); d != "" {
					t.Errorf("writes (-want +got):\n%s", d)
				}
				if d := cmp.Diff(before, v.Protective()); d != "" {
					t.Errorf("guarded values (-before +after):\n%s", d)
				}
			})
		})
	}
}

// Whatever becomes of any write, the rest is brought about by doing it again.
func TestRestoreFromAnywhere(t *testing.T) {
	for name, edit := range map[string]func(*endpointtest.VariantsConfig){"suspend": nil, "deregister": deregistering} {
		for _, fault := range []endpointtest.Fault{
			endpointtest.LostBefore(), endpointtest.LostAfter(), endpointtest.Throttle(time.Second),
			endpointtest.Refuse(endpoint.ErrInvalid),
		} {
			for at := 1; ; at++ {
				last := false
				synctest.Test(t, func(t *testing.T) {
					v, ctx := newVariants(edit), t.Context()
					before := v.Protective()
					met := false
					v.OnMutation(func(n int, _ string) endpointtest.Fault {
						if n == at {
							met = true
							return fault
						}
						return endpointtest.Fault{}
					})
					p, err := v.SnapshotAutoscaling(ctx, endpoint.Change{})
					do(t, err)
					failed := v.SuspendAutoscaling(ctx, p) != nil
					if is, _ := inspect(t, v, p); failed && !is.Suspended && !is.Restored {
						t.Errorf("%s, fault at %d: one write left a mix", name, at)
					}
					if v.RestoreAutoscaling(ctx, p) != nil {
						failed = true
						do(t, v.RestoreAutoscaling(ctx, p))
					}
					if failed != met {
						t.Errorf("%s, fault at %d: met %t, heard of %t", name, at, met, failed)
					}
					if d := cmp.Diff(before, v.Protective()); d != "" {
						t.Errorf("%s, fault at %d (-before +after):\n%s", name, at, d)
					}
					last = !met
				})
				if last {
					break
				}
			}
		}
	}
}

func TestProtectLeavesForeignChangesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wider := func(s *endpointtest.VariantsState) {
			a := s.Targets["A"]
			a.Max = 9
			s.Targets["A"] = a
		}
		v, ctx := newVariants(deregistering), t.Context()
		p, err := v.SnapshotAutoscaling(ctx, endpoint.Change{})
		do(t, err)
		v.Foreign(wider)
		if err := v.SuspendAutoscaling(ctx, p); !errors.Is(err, endpoint.ErrDrift) {
			t.Errorf("Protect over a third party's change: %v", err)
		}
		before := v.Protective()
		do(t, v.RestoreAutoscaling(ctx, p))
		if d := cmp.Diff(before, v.Protective()); d != "" {
			t.Errorf("Restore over a third party's change (-before +after):\n%s", d)
		}
		want := []string{"target/A/bounds is 1..9, was 1..4"}
		if is, d := inspect(t, v, p); (is.Suspended || is.Restored) || !slices.Equal(d, want) {
			t.Errorf("Inspect = %v %q, want %q", is, d, want)
		}
	})
}

// A half-restored set of policies must not act, and nothing reaches a policy
// by the ARN that it had before.
func TestRestoreOfDeregisteredTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, ctx := newVariants(deregistering), t.Context()
		p, err := v.SnapshotAutoscaling(ctx, endpoint.Change{})
		do(t, err)
		do(t, v.SuspendAutoscaling(ctx, p))
		v.OnMutation(func(_ int, name string) endpointtest.Fault {
			a, ok := v.Truth().Targets["A"]
			if ok && a.Suspended != (endpointtest.Suspended{In: true, Out: true, Scheduled: true}) {
				t.Errorf("before %q the target is suspended in %v", name, a.Suspended)
			}
			return endpointtest.Fault{}
		})
		do(t, v.RestoreAutoscaling(ctx, p))
		s := v.Truth()
		arn := s.Targets["A"].Policies[1].ARN
		if arn == stepARN || !slices.Equal(s.Alarms["backlog"], []string{"arn:sns/pager", arn}) {
			t.Errorf("policy %s, alarm %q", arn, s.Alarms["backlog"])
		}
	})
}

func TestRestoreGoesOnWithTheOtherTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, ctx := newVariants(func(c *endpointtest.VariantsConfig) {
			c.Targets["B"] = endpointtest.Target{Min: 1, Max: 2}
		}), t.Context()
		p, err := v.SnapshotAutoscaling(ctx, endpoint.Change{})
		do(t, err)
		do(t, v.SuspendAutoscaling(ctx, p))
		v.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name == "restore A" {
				return endpointtest.Refuse(endpoint.ErrInvalid)
			}
			return endpointtest.Fault{}
		})
		if err := v.RestoreAutoscaling(ctx, p); !errors.Is(err, endpoint.ErrInvalid) {
			t.Errorf("Restore: %v", err)
		}
		if _, d := inspect(t, v, p); !slices.Equal(d, []string{"target/A/suspended is in out scheduled, was scheduled"}) {
			t.Errorf("left: %q", d)
		}
		if is, _ := inspect(t, v, p); is.Suspended || is.Restored {
			t.Errorf("half restored is %v", is)
		}
	})
}

func TestRestoreIsNotATimeMachine(t *testing.T) {
	for name, tt := range map[string]struct {
		foreign func(*endpointtest.VariantsState)
		left    []string
	}{
		"an alarm was deleted": {
			func(s *endpointtest.VariantsState) { delete(s.Alarms, "backlog") },
			[]string{"alarm/backlog is missing, was A/step arn:sns/pager"},
		},
		"the target was registered with other bounds": {
			func(s *endpointtest.VariantsState) { s.Targets["A"] = endpointtest.Target{Min: 2, Max: 3} },
			[]string{"target/A/bounds is 2..3, was 1..4", "target/A/suspended is nothing, was scheduled"},
		},
		"another target was registered": {
			func(s *endpointtest.VariantsState) { s.Targets["B"] = endpointtest.Target{Min: 1, Max: 2} },
			[]string{"target/B/bounds was added: 1..2", "target/B/suspended was added: nothing"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v, ctx := newVariants(deregistering), t.Context()
				p, err := v.SnapshotAutoscaling(ctx, endpoint.Change{})
				do(t, err)
				do(t, v.SuspendAutoscaling(ctx, p))
				v.Foreign(tt.foreign)
				do(t, v.RestoreAutoscaling(ctx, p))
				is, left := inspect(t, v, p)
				if d := cmp.Diff(tt.left, left); (is.Suspended || is.Restored) || d != "" {
					t.Errorf("%v, differences (-want +got):\n%s", is, d)
				}
			})
		})
	}
}

func TestNothingToProtect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVariants(func(c *endpointtest.VariantsConfig) { c.Targets, c.Alarms = nil, nil })
		p, err := v.SnapshotAutoscaling(t.Context(), endpoint.Change{})
		do(t, err)
		do(t, v.SuspendAutoscaling(t.Context(), p))
		if is, d := inspect(t, v, p); p.Summary != "nothing to protect" || !is.Restored || len(d) > 0 {
			t.Errorf("%q: %v %q", p.Summary, is, d)
		}
	})
}

func TestAutoscaler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, ctx := newVariants(func(c *endpointtest.VariantsConfig) { c.Autoscale = 10 * time.Minute }), t.Context()
		count := func() int { return status(t, v).Settings["variant/A/instances"] }
		for i, want := range []int{2, 3, 4, 1, 2} {
			if i > 0 {
				time.Sleep(10 * time.Minute)
				if s := view(t, v); s.Phase != endpoint.PhaseUpdating || s.Stage != "Updating" {
					t.Errorf("while the autoscaler moves: %+v", s)
				}
			}
			if got := count(); got != want {
				t.Errorf("%d instances after %d moves, want %d", got, i, want)
			}
		}
		p, err := v.SnapshotAutoscaling(ctx, endpoint.Change{})
		do(t, err)
		do(t, v.SuspendAutoscaling(ctx, p))
		time.Sleep(24 * time.Hour)
		if got := count(); got != 2 {
			t.Errorf("%d instances while suspended, want 2", got)
		}
		do(t, v.Set(ctx, "variant/A/instances", 6))
		time.Sleep(time.Hour)
		do(t, v.RestoreAutoscaling(ctx, p))
		if got := count(); got != 4 {
			t.Errorf("%d instances after the registration clamped them, want 4", got)
		}
		if s := view(t, v); s.Phase != endpoint.PhaseUpdating {
			t.Errorf("while it clamps: %+v", s)
		}
	})
}

func TestAutoscalerNeedsAPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVariants(func(c *endpointtest.VariantsConfig) {
			c.Autoscale, c.Targets = time.Minute, map[string]endpointtest.Target{"A": {Min: 1, Max: 4}}
		})
		time.Sleep(time.Hour)
		if s := status(t, v); s.Settings["variant/A/instances"] != 2 {
			t.Errorf("moved without a policy: %+v", s)
		}
		if got := v.Protective()["variant/A/instances"]; got != "2" {
			t.Errorf("a count that nothing moves is %q among the guarded values", got)
		}
	})
}

func TestAutoscalerKeepsOutOfAnUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVariants(func(c *endpointtest.VariantsConfig) { c.Autoscale = time.Minute })
		do(t, v.Update(t.Context(), endpoint.Change{To: resolve(t, v, "c2")}))
		time.Sleep(6*time.Minute - 1)
		if s := status(t, v); s.Settings["variant/A/instances"] != 2 || s.Serving.ID != "c1" {
			t.Errorf("in an update: %+v", s)
		}
		time.Sleep(time.Nanosecond) // the moment the update is done, it moves
		if s := status(t, v); s.Settings["variant/A/instances"] != 3 || s.Serving.ID != "c2" || s.Phase != endpoint.PhaseUpdating {
			t.Errorf("after it: %+v", s)
		}
	})
}
