package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/internal/sampled"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/rollout/rollouttest"
	"github.com/changeover-dev/changeover/strategy"
)

// building is an endpoint whose revisions take ten minutes to be made, and cost
// money until they are taken back.
type building struct{ endpointtest.Builder }

func newBuilding() building {
	return building{endpointtest.Builder{Variants: newVariants(func(c *endpointtest.VariantsConfig) { c.Build = 10 * time.Minute })}}
}

// Protective counts what was staged and is not served, too.
func (b building) Protective() map[string]string {
	all, s := b.Builder.Protective(), b.Truth()
	n := 0
	for id := range s.Revisions {
		if id != "c1" && id != "c2" && id != s.Live {
			n++
		}
	}
	all["staged and not served"] = strconv.Itoa(n)
	return all
}

// A staging that takes minutes, and that is taken back by a rollout that goes back:
// with every fault, and nothing is left that costs money.
func TestStagingSweep(t *testing.T) {
	for name, bad := range map[string]bool{"model comes up": false, "model fails": true} {
		t.Run(name, func(t *testing.T) {
			sweep := rollouttest.Sweep{
				New: func(testing.TB) rollouttest.Environment {
					ep := newBuilding()
					if bad {
						ep.FailOn("model-3", "")
					}
					return rollouttest.Environment{
						Updater: ep, Guarded: func() any { return ep.Protective() },
						Live: func() string { s := ep.Truth(); return s.Revisions[s.Live] },
						OnWrite: func(hook func(string) endpointtest.Fault) {
							ep.OnMutation(func(_ int, name string) endpointtest.Fault { return hook(name) })
						},
						Applied: func(n int) bool {
							return slices.ContainsFunc(ep.Calls(), func(c endpointtest.Call) bool { return c.Write == n && c.Applied })
						},
						OnRead: func(hook func()) {
							ep.OnRead(func(int, string) endpointtest.Fault { hook(); return endpointtest.Fault{} })
						},
					}
				},
				Strategy: strategy.InPlace{}, Target: rollout.ToArtifact("model-3"), Goal: "model-3", OneIn: 8 * sampled.OneIn(8),
			}
			if bad {
				sweep.Goal = ""
			}
			t.Logf("swept %d points of a staging that takes minutes, and nothing was left", sweep.Run(t))
		})
	}
}

// A revision that takes ten minutes to be made is asked for once, and waited for.
func TestStagingTakesMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep := newBuilding()
		var said []string
		var updated time.Duration
		start := time.Now()
		r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.InPlace{}, rollout.ToArtifact("model-3"),
			rollout.WithInterval(time.Minute), rollout.WithObserver(func(_ context.Context, e rollout.Event) {
				if strings.Contains(e.Text, "is being made") {
					said = append(said, e.Text)
				}
				if e.Kind == rollout.EventWrite && e.Step == "update" {
					updated = time.Since(start)
				}
			}))
		if err != nil || r.Outcome != rollout.OutcomeSucceeded {
			t.Fatalf("Run = %v, %v", r, err)
		}
		if diff := cmp.Diff([]string{"stage c1-1", "update c1-1"}, writesOf(ep.Variants)); diff != "" {
			t.Errorf("writes (-want +got):\n%s", diff)
		}
		if updated < 10*time.Minute || updated > 11*time.Minute || len(said) == 0 {
			t.Errorf("updated after %v, want it within a minute of the ten; it said %q", updated, said)
		}
	})
}

// A rollout that is called off while its revision is made does not wait for it, and
// takes it back.
func TestCalledOffWhileStaging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep := newBuilding()
		before := ep.Protective()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		time.AfterFunc(3*time.Minute, cancel)
		start := time.Now()
		r, err := rollout.Run(ctx, journal.NewMemory(), ep, strategy.InPlace{}, rollout.ToArtifact("model-3"))
		if !errors.Is(err, rollout.ErrRolledBack) || len(r.Leftovers) > 0 {
			t.Errorf("Run = %v, %v", r, err)
		}
		if diff := cmp.Diff([]string{"stage c1-1", "unstage c1-1"}, writesOf(ep.Variants)); diff != "" {
			t.Errorf("writes (-want +got):\n%s", diff)
		}
		if took := time.Since(start); took > 4*time.Minute+30*time.Second {
			t.Errorf("it took %v, want it not to wait for what is being made", took)
		}
		if diff := cmp.Diff(before, ep.Protective()); diff != "" {
			t.Errorf("left (-before +after):\n%s", diff)
		}
	})
}

// What cannot be taken back is named, with what to do, and a resume tries again.
func TestUnstageRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep := newBuilding()
		ep.FailOn("model-3", "")
		ep.OnMutation(func(_ int, name string) endpointtest.Fault {
			if strings.HasPrefix(name, "unstage") {
				return endpointtest.Refuse(fmt.Errorf("denied: %w", endpoint.ErrUnauthorized))
			}
			return endpointtest.Fault{}
		})
		store := journal.NewMemory()
		r, err := rollout.Run(t.Context(), store, ep, strategy.InPlace{}, rollout.ToArtifact("model-3"))
		named := slices.ContainsFunc(r.Residue, func(x rollout.Remainder) bool { return strings.Contains(x.Remedy, "delete endpoint-config c1-1") })
		if !errors.Is(err, rollout.ErrIncomplete) || !named {
			t.Fatalf("Run = %v, residue %v", err, r.Residue)
		}
		ep.OnMutation(nil)
		if _, err := rollout.Resume(t.Context(), store, ep); !errors.Is(err, rollout.ErrRolledBack) || ep.Protective()["staged and not served"] != "0" {
			t.Errorf("Resume = %v, %s staged", err, ep.Protective()["staged and not served"])
		}
	})
}

// What somebody else serves by then is left there.
func TestUnstageLeavesWhatIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep := newBuilding()
		broken := gate("broken", func(context.Context, endpoint.Status) error { return errors.New("wrong pictures") })
		store := journal.NewMemory()
		r, err := rollout.Run(t.Context(), store, ep, strategy.InPlace{}, rollout.ToArtifact("model-3"), broken, rollout.WithObserver(func(_ context.Context, e rollout.Event) {
			if e.Kind == rollout.EventDone && e.Rollback && e.Step == "await serving" {
				ep.Foreign(func(s *endpointtest.VariantsState) { s.Pending = "c1-1" })
			}
		}))
		if !errors.Is(err, rollout.ErrRolledBack) && !errors.Is(err, rollout.ErrIncomplete) {
			t.Errorf("Run = %v, %v", r, err)
		}
		if _, there := ep.Truth().Revisions["c1-1"]; !there || unstaged(ep) {
			t.Errorf("it was tried to take back what is served: %v", writesOf(ep.Variants))
		}
	})
}

// So is what a canary serves a part of the traffic with.
func TestUnstageLeavesWhatACanaryServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep := newBuilding()
		broken := gate("broken", func(context.Context, endpoint.Status) error { return errors.New("wrong pictures") })
		canary := strategy.CanaryByWeight{Steps: []strategy.TrafficStep{{Percent: 10, Soak: time.Minute}}}
		var plan *strategy.Plan
		r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, canary, rollout.ToArtifact("model-3"), broken, rollout.WithHook(func(e rollout.Event) {
			if e.Plan != nil {
				plan = e.Plan
			}
			if e.Kind == rollout.EventDone && e.Rollback && e.Step == "await serving" {
				ep.Foreign(func(s *endpointtest.VariantsState) { s.Live = plan.Canary.Revision.ID })
			}
		}))
		if plan == nil || ep.Truth().Live != plan.Canary.Revision.ID {
			t.Fatalf("Run = %v, %v; the canary was not put back", r, err)
		}
		if _, there := ep.Truth().Revisions["c1-1"]; !there || unstaged(ep) {
			t.Errorf("it was tried to take back what is served: %v; %v", writesOf(ep.Variants), err)
		}
	})
}

// unstaged reports whether it was tried to take a draft back, also in vain.
func unstaged(ep building) bool {
	return slices.ContainsFunc(ep.Calls(), func(c endpointtest.Call) bool { return strings.HasPrefix(c.Name, "unstage") })
}

// What the rollout did not get to make is not taken back: it may be somebody else's.
func TestUnstageLeavesWhatItDidNotMake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep := newBuilding()
		ep.FailOn("model-3", "")
		r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.InPlace{}, rollout.ToArtifact("model-3"), rollout.WithHook(func(e rollout.Event) {
			if e.Kind == rollout.EventStep && e.Step == "stage" {
				ep.Foreign(func(s *endpointtest.VariantsState) { s.Revisions["c1-1"] = "model-3" }) // as it was going to
			}
		}))
		if !errors.Is(err, rollout.ErrRolledBack) || ep.Truth().Revisions["c1-1"] != "model-3" || unstaged(ep) {
			t.Errorf("Run = %v, %v; %v", r, err, writesOf(ep.Variants))
		}
	})
}

// unmakeable is a provider that cannot make the revision, and says so after a while.
type unmakeable struct{ building }

func (f unmakeable) Staged(ctx context.Context, d endpoint.Draft) error {
	err := f.building.Staged(ctx, d)
	if errors.Is(err, endpoint.ErrPending) && time.Now().Minute() >= 5 {
		return fmt.Errorf("out of disk: %w", endpoint.ErrFailed)
	}
	return err
}

// A revision that cannot be made is no longer waited for.
func TestStagingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep := newBuilding()
		start := time.Now()
		r, err := rollout.Run(t.Context(), journal.NewMemory(), unmakeable{ep}, strategy.InPlace{}, rollout.ToArtifact("model-3"))
		if r.Outcome == rollout.OutcomeSucceeded || !strings.Contains(fmt.Sprint(err), "out of disk") {
			t.Errorf("Run = %v, %v", r, err)
		}
		if took := time.Since(start); took > 10*time.Minute {
			t.Errorf("it took %v after a failure at five minutes: %v", took, err)
		}
	})
}

// One that never is made is waited for as long as the step has.
func TestStagingNeverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep := building{endpointtest.Builder{Variants: newVariants(func(c *endpointtest.VariantsConfig) { c.Build = 24 * time.Hour })}}
		start := time.Now()
		_, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.InPlace{}, rollout.ToArtifact("model-3"), rollout.WithStepTimeout(20*time.Minute))
		if !errors.Is(err, rollout.ErrRolledBack) || !errors.Is(err, rollout.ErrStepTimeout) || ep.Protective()["staged and not served"] != "0" {
			t.Errorf("Run = %v", err)
		}
		if took := time.Since(start); took < 23*time.Minute || took > 30*time.Minute {
			t.Errorf("it took %v, want the step's 23 minutes and the way back", took)
		}
	})
}
