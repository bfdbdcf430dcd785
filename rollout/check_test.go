package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// scripted is a check that answers by the time since the first call.
func scripted(name string, rule strategy.Check, f func(since time.Duration, s rollout.Sample) (rollout.Verdict, error)) rollout.Option {
	var first time.Time
	rule.Name = name
	return rollout.WithCheck(rule, rollout.CheckFunc(func(_ context.Context, s rollout.Sample) (rollout.Verdict, error) {
		if first.IsZero() {
			first = time.Now()
		}
		return f(time.Since(first), s)
	}))
}

var (
	pass    = rollout.Verdict{Result: rollout.ResultPass}
	unknown = rollout.Verdict{}
)

func TestCheckFails(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		calls := 0
		_, err := fx.run(t.Context(), rollout.WithBake(5*time.Minute), gate("latency", func(context.Context, endpoint.Status) error {
			if calls++; calls > 10 {
				return errors.New("p99 latency 900ms over 500ms")
			}
			return nil
		}))
		fx.wantRolledBack(t, err, rollout.ErrCheck)
		if !strings.Contains(err.Error(), "latency: fail: p99 latency 900ms over 500ms") || calls != 11 {
			t.Errorf("after %d calls: %v", calls, err)
		}
	})
}

// A check is asked only while the target has traffic, and knows what it judges.
func TestCheckIsAskedAboutTheTarget(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		calls := 0
		_, err := fx.run(t.Context(), rollout.WithBake(time.Minute), scripted("sees", strategy.Check{}, func(_ time.Duration, s rollout.Sample) (rollout.Verdict, error) {
			calls++
			if s.Target.Artifact != fx.goal || s.Source.ID != "a" || s.Share != 100 && !s.Status.Serving.IsZero() && s.Status.Serving.ID != "a" || s.Elapsed < 0 || s.Rollout == "" || s.Endpoint != fx.Name() || s.Step == "" {
				t.Errorf("sample %+v", s)
			}
			if !s.Status.Mixed && s.Status.Serving.Artifact != fx.goal {
				t.Errorf("asked while %s is served", s.Status.Serving)
			}
			return pass, nil
		}))
		if err != nil || calls < 2 {
			t.Errorf("%v after %d calls", err, calls)
		}
	})
}

// Failures are tolerated as far as the plan says, passes are required as far
// as it says, and the interval is kept.
func TestCheckRules(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		var at []time.Duration
		r, err := fx.run(t.Context(), rollout.WithBake(time.Minute), rollout.WithInterval(time.Second), scripted("errors",
			strategy.Check{Interval: 20 * time.Second, Failures: 2, Passes: 6}, func(since time.Duration, _ rollout.Sample) (rollout.Verdict, error) {
				at = append(at, since)
				if len(at) == 2 || len(at) == 4 {
					return rollout.Measured(0.2, 0.1, false), nil
				}
				return rollout.Measured(0.01, 0.1, true), nil
			}))
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i < len(at); i++ {
			if gap := at[i] - at[i-1]; gap < 20*time.Second || gap > 25*time.Second {
				t.Errorf("call %d came %v after the one before", i, gap)
			}
		}
		if len(at) != 8 || r.Plan.Checks[0].Passes != 6 {
			t.Errorf("asked %d times, want 8: 6 passes and 2 tolerated failures", len(at))
		}
	})
}

func TestThirdFailureIsNotTolerated(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		calls := 0
		_, err := fx.run(t.Context(), rollout.WithBake(time.Hour), scripted("errors", strategy.Check{Failures: 2}, func(time.Duration, rollout.Sample) (rollout.Verdict, error) {
			calls++
			return rollout.Measured(0.2, 0.1, false), nil
		}))
		fx.wantRolledBack(t, err, rollout.ErrCheck)
		if calls != 3 || !strings.Contains(err.Error(), "0.2 against 0.1 (failed 3 times, 2 are tolerated)") {
			t.Errorf("%d calls: %v", calls, err)
		}
	})
}

// A check that cannot tell holds the rollout, and rolls nothing back.
func TestUnknownHolds(t *testing.T) {
	away := fmt.Errorf("prometheus: %w", endpoint.ErrUnavailable)
	for name, tt := range map[string]struct {
		rule  strategy.Check
		good  time.Duration // from when on it passes
		panic bool
		err   error
		text  string
		took  time.Duration // at least, from the first call
	}{
		"away for nine of ten minutes":  {rule: strategy.Check{UnknownLimit: 10 * time.Minute}, good: 9 * time.Minute, took: 9 * time.Minute},
		"away for good":                 {rule: strategy.Check{UnknownLimit: 10 * time.Minute}, good: time.Hour, err: rollout.ErrCheck, text: "could not tell for 10m", took: 10 * time.Minute},
		"away for good, by the default": {good: 2 * time.Hour, err: rollout.ErrCheck, text: "could not tell for 15m", took: 15 * time.Minute},
		"unknown means to go on":        {rule: strategy.Check{Unknown: strategy.UnknownContinue}, good: time.Hour},
		"unknown means to go back":      {rule: strategy.Check{Unknown: strategy.UnknownRollback}, good: time.Hour, err: rollout.ErrCheck, text: "prometheus"},
	} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, fx *fixture) {
				var first time.Time
				_, err := fx.run(t.Context(), rollout.WithBake(time.Minute), scripted("p95", tt.rule, func(since time.Duration, _ rollout.Sample) (rollout.Verdict, error) {
					if first.IsZero() {
						first = time.Now()
					}
					if since < tt.good {
						return unknown, away
					}
					return pass, nil
				}))
				if tt.err == nil {
					if err != nil || fx.artifact() != fx.goal {
						t.Fatalf("%v, serves %s", err, fx.artifact())
					}
				} else {
					fx.wantRolledBack(t, err, tt.err)
					if !strings.Contains(err.Error(), tt.text) {
						t.Errorf("error %q does not say %q", err, tt.text)
					}
				}
				if took := time.Since(first); took < tt.took {
					t.Errorf("it took %v, want at least %v", took, tt.took)
				}
			})
		})
	}
}

// A check that does not return in time is unknown, and the endpoint is watched.
func TestCheckThatHangs(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		_, err := fx.run(t.Context(), rollout.WithBake(time.Minute), rollout.WithCheck(
			strategy.Check{Name: "hangs", Timeout: 10 * time.Second, UnknownLimit: 5 * time.Minute},
			rollout.CheckFunc(func(ctx context.Context, _ rollout.Sample) (rollout.Verdict, error) {
				<-ctx.Done()
				return pass, nil
			})))
		fx.wantRolledBack(t, err, rollout.ErrCheck)
		if !strings.Contains(err.Error(), "could not tell for 5m") || !strings.Contains(err.Error(), "not answered for 10s") {
			t.Errorf("error %v", err)
		}
	})
}

func TestCheckMissingOnResume(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		ctx, cancel := context.WithCancel(t.Context())
		store := journal.NewMemory()
		_, err := rollout.Run(ctx, store, fx, fx.strategy, fx.target, rollout.WithDetach(),
			rollout.WithBake(time.Minute), gate("latency", func(context.Context, endpoint.Status) error {
				cancel()
				return nil
			}))
		if !errors.Is(err, rollout.ErrDetached) {
			t.Fatal(err)
		}
		_, err = rollout.Resume(t.Context(), store, fx, rollout.WithForward())
		fx.wantRolledBack(t, err, rollout.ErrCheck)
	})
}

// A resume goes on counting, and does not begin the bake again.
func TestResumeGoesOnCounting(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := journal.NewMemory()
		calls := 0
		ctx, cancel := context.WithCancel(t.Context())
		rule := strategy.Check{Interval: time.Minute, Failures: 1, Passes: 1}
		check := func() rollout.Option {
			return scripted("errors", rule, func(time.Duration, rollout.Sample) (rollout.Verdict, error) {
				if calls++; calls == 3 { // this one is cut short
					cancel()
				}
				if calls > 1 {
					return rollout.Measured(1, 0, false), nil
				}
				return rollout.Measured(0, 0, true), nil
			})
		}
		began := time.Now()
		if _, err := rollout.Run(ctx, store, fx, fx.strategy, fx.target, rollout.WithDetach(), rollout.WithBake(time.Hour), check()); !errors.Is(err, rollout.ErrDetached) {
			t.Fatal(err)
		}
		_, err := rollout.Resume(t.Context(), store, fx, rollout.WithForward(), check())
		fx.wantRolledBack(t, err, rollout.ErrCheck)
		if calls != 4 || time.Since(began) > 30*time.Minute {
			t.Errorf("%d calls in %v: %v", calls, time.Since(began), err)
		}
	})
}

// Every verdict that counts is an event and a record, with its numbers.
func TestVerdictsAreOnRecord(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		store := journal.NewMemory()
		calls := 0
		_, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, rollout.WithBake(time.Minute), rollout.WithInterval(10*time.Second),
			scripted("p95", strategy.Check{Failures: 1}, func(time.Duration, rollout.Sample) (rollout.Verdict, error) {
				if calls++; calls == 2 {
					return rollout.Measured(900, 500, false), nil
				}
				return rollout.Measured(400, 500, true), nil
			}))
		if err != nil {
			t.Fatal(err)
		}
		records, err := store.Load(t.Context(), fx.Name())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range records {
			if r.Kind == journal.KindCheck {
				got = append(got, r.Verdict.String())
			}
		}
		want := []string{"p95: pass, 400 against 500", "p95: fail, 900 against 500", "p95: pass, 400 against 500"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
	})
}

// A value that JSON has no number for is no verdict, and never an error of the store.
func TestVerdictWithoutANumberIsUnknown(t *testing.T) {
	nan := math.NaN()
	for name, v := range map[string]rollout.Verdict{
		"NaN":      rollout.Measured(math.NaN(), 1, false),
		"infinite": rollout.Measured(math.Inf(1), 1, false),
		"limit":    rollout.Measured(1, math.Inf(1), true),
		"by hand":  {Result: rollout.ResultFail, Value: &nan},
	} {
		synctest.Test(t, func(t *testing.T) {
			ep := newVariants()
			r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, inSteps, rollout.ToRevision("c2"),
				scripted("p95", strategy.Check{Interval: time.Minute, UnknownLimit: 3 * time.Minute}, func(time.Duration, rollout.Sample) (rollout.Verdict, error) { return v, nil }))
			if r == nil || r.Outcome != rollout.OutcomeRolledBack || !errors.Is(err, rollout.ErrCheck) || !strings.Contains(err.Error(), "could not tell") {
				t.Errorf("%s: Run = %v, %v", name, r, err)
			}
		})
	}
}
