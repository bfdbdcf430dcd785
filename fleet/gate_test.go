package fleet_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

func check(name string, ask func(s fleet.Sample) rollout.Verdict) fleet.Check {
	return fleet.Check{Name: name, Ask: func(_ context.Context, s fleet.Sample) (rollout.Verdict, error) { return ask(s), nil }}
}

// A wave that fails its check during the soak is rolled back; the next never begins.
func TestFailedCheckIsABreach(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPark(4)
		asked := 0
		report, err := fleet.Run(t.Context(), journal.NewMemory(), p.fleet(2, func(f *fleet.Fleet) {
			f.Waves[0].Soak = time.Hour
			f.Waves[0].Checks = []fleet.Check{check("errors", func(s fleet.Sample) rollout.Verdict {
				asked++
				if len(s.Moved) != 2 {
					t.Errorf("the check was told of %v", s.Moved)
				}
				return rollout.Measured(s.Elapsed.Minutes(), 10, s.Elapsed < 10*time.Minute)
			})}
		}))
		if !errors.Is(err, fleet.ErrBreached) {
			t.Fatalf("error is %v", err)
		}
		if p.want(t, "aaaa"); asked != 11 {
			t.Errorf("asked %d times, want 11: once a minute until it failed", asked)
		}
		wantOutcomes(t, report, fleet.Undone, fleet.Undone, fleet.Pending, fleet.Pending)
	})
}

// A check that cannot tell holds the fleet, and breaches it at its limit.
func TestUnknownCheckHolds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPark(2)
		began := time.Now()
		_, err := fleet.Run(t.Context(), journal.NewMemory(), p.fleet(1, func(f *fleet.Fleet) {
			f.OnBreach = fleet.BreachStop
			f.Waves[0].Checks = []fleet.Check{
				check("hiccup", func(s fleet.Sample) rollout.Verdict {
					if s.Elapsed < 5*time.Minute {
						panic("no answer")
					}
					return rollout.Verdict{Result: rollout.ResultPass}
				}),
				check("mute", func(fleet.Sample) rollout.Verdict { return rollout.Verdict{} }),
			}
		}))
		if took := time.Since(began); !errors.Is(err, fleet.ErrBreached) || took < 15*time.Minute || took > 25*time.Minute {
			t.Errorf("after %v: %v", took, err)
		}
		p.want(t, "ba")
	})
}

func TestApproval(t *testing.T) {
	for name, c := range map[string]struct {
		verb rollout.Verb
		live string
	}{"approved": {rollout.Approve, "bb"}, "rejected": {rollout.Reject, "aa"}, "aborted": {rollout.Abort, "aa"}, "expired": {"", "aa"}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p, store := newPark(2), journal.NewMemory()
				if c.verb != "" {
					go func() {
						time.Sleep(30 * time.Minute)
						if err := fleet.Decide(t.Context(), store, "night", rollout.Decision{Verb: c.verb, By: "ann"}); err != nil {
							t.Error(err)
						}
					}()
				}
				_, err := fleet.Run(t.Context(), store, p.fleet(1, func(f *fleet.Fleet) {
					f.Waves[0].Approval = &strategy.Approval{Name: "go on", Expires: time.Hour}
				}))
				if p.want(t, c.live); (err == nil) != (c.live == "bb") {
					t.Errorf("error is %v", err)
				}
				synctest.Wait()
				if err := fleet.Decide(t.Context(), store, "night", rollout.Decision{Verb: rollout.Approve, By: "ann"}); !errors.Is(err, rollout.ErrNothingToDecide) {
					t.Errorf("a decision at the end: %v", err)
				}
			})
		})
	}
}
