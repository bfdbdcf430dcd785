package sagemaker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/strategy"
)

// The sweep: one rollout again and again, and each time another one of its
// requests that change something meets another misfortune. However it goes,
// the endpoint has to end at one of the two models, with everything protective
// as it was, and the error has to say which.

type misfortune struct {
	name    string
	fault   func(cancel func()) sagemakertest.Fault
	crashes bool
}

// crash is what a process that dies panics with.
type crash struct{}

func misfortunes() []misfortune {
	die := func() { panic(crash{}) }
	plain := func(f sagemakertest.Fault) func(func()) sagemakertest.Fault {
		return func(func()) sagemakertest.Fault { return f }
	}
	return []misfortune{
		{"crash before", plain(sagemakertest.Fault{Drop: true, Then: die}), true},
		{"crash after", plain(sagemakertest.Fault{Then: die}), true},
		{"lost before", plain(sagemakertest.Dropped(false)), false},
		{"lost after", plain(sagemakertest.Dropped(true)), false},
		{"late", plain(sagemakertest.Fault{LandsAfter: 7 * time.Second}), false},
		{"server fault", plain(sagemakertest.HTTPStatus(503)), false},
		{"refused", plain(sagemakertest.Refused("ValidationException", "One or more endpoint features are not supported using this configuration.")), false},
		{"not found", plain(sagemakertest.Refused("ObjectNotFoundException", "No scalable target found.")), false},
		{"concurrent", plain(sagemakertest.Refused("ConcurrentUpdateException", "You already have a pending update.")), false},
		{"in progress", plain(sagemakertest.Refused("ValidationException", `Cannot update in-progress endpoint "arn".`)), false},
		{"throttled", plain(sagemakertest.Throttled()), false},
		{"cancelled before", func(cancel func()) sagemakertest.Fault { return sagemakertest.Fault{Drop: true, Then: cancel} }, false},
		{"cancelled after", func(cancel func()) sagemakertest.Fault { return sagemakertest.Fault{Then: cancel} }, false},
	}
}

// sweep is a rollout to sweep.
type sweep struct {
	name  string
	level sagemaker.Level
	fails bool // the model does not come up
	lag   time.Duration
}

// account has one scaled variant and one that is not, to keep the sweep short.
func (sw sweep) account() *sagemakertest.Server {
	srv := account()
	scaled(srv, "main", 6)
	srv.Behave(func(b *sagemakertest.Behaviour) {
		b.Autoscale, b.ReadLag, b.ReadFlaps, b.TargetLag, b.ConfigLag = 7*time.Minute, sw.lag, sw.lag > 0, sw.lag/4, sw.lag/2
	})
	if sw.fails {
		srv.SetOutcome("model-3", sagemakertest.RollsBack, "the container does not start")
	}
	return srv
}

func TestSweep(t *testing.T) {
	sweeps := []sweep{
		{"deregister", sagemaker.LevelDeregister, false, 0},
		{"deregister, lagging, model fails", sagemaker.LevelDeregister, true, 20 * time.Second},
		{"suspend, lagging", sagemaker.LevelSuspend, false, 20 * time.Second},
		{"suspend, model fails", sagemaker.LevelSuspend, true, 0},
	}
	step := 1
	if raced || testing.Short() {
		sweeps, step = sweeps[1:3], 4
	}
	for _, sw := range sweeps {
		t.Run(sw.name, func(t *testing.T) {
			points := 0
			for i, m := range misfortunes() {
				for at := 1 + i%step; ; at += step {
					reached := sw.play(t, m, at)
					if !reached {
						break
					}
					points++
				}
			}
			t.Logf("swept %d points", points)
		})
	}
}

// play runs the rollout with the misfortune at one write, and reports whether
// the rollout got there.
func (sw sweep) play(t *testing.T, m misfortune, at int) (reached bool) {
	t.Helper()
	t.Run(fmt.Sprintf("%s at write %d", m.name, at), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := sw.account()
			e := open(t, srv, sagemaker.WithLevel(sw.level))
			before := srv.Protective()
			store := strategy.NewMemory()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			srv.OnMutation(func(n int, _ string) sagemakertest.Fault {
				if n != at || reached {
					return sagemakertest.Fault{}
				}
				reached = true
				return m.fault(cancel)
			})
			opts := []strategy.Option{strategy.WithInterval(time.Minute), strategy.WithSettle(time.Minute)}
			report, err, crashed := survive(func() (*strategy.Report, error) {
				return strategy.Run(ctx, store, e, strategy.ScaleProtectedSwap{Prescale: 4}, strategy.ToArtifact("model-3"), opts...)
			})
			if crashed {
				time.Sleep([]time.Duration{0, 10 * time.Minute, 24 * time.Hour}[at%3])
				if at%2 == 0 {
					opts = append(opts, strategy.WithForward())
				}
				// Another process knows nothing but the journal.
				e = open(t, srv, sagemaker.WithLevel(sw.level))
				report, err = strategy.Resume(t.Context(), store, e, opts...)
			}
			time.Sleep(time.Hour) // whatever is still under way lands
			sw.check(t, srv, before, report, err)
			if t.Failed() {
				for _, r := range srv.Mutations() {
					t.Log(r.At.Format(time.TimeOnly), r.Action(), r.Applied, r.Code, r.Message)
				}
			}
		})
	})
	return reached
}

// survive calls f and reports whether it died on the way.
func survive(f func() (*strategy.Report, error)) (report *strategy.Report, err error, crashed bool) { //nolint:revive // the error is one of the call that was survived
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(crash); !ok {
				panic(r)
			}
			crashed = true
		}
	}()
	report, err = f()
	return report, err, false
}

// check holds the end of a run to what was promised.
func (sw sweep) check(t *testing.T, srv *sagemakertest.Server, before map[string]string, report *strategy.Report, err error) {
	t.Helper()
	if report == nil {
		t.Fatalf("no report, error: %v", err)
	}
	asBefore(t, srv, before)
	want := "model-1"
	switch {
	case err == nil && report.Outcome == strategy.Succeeded:
		want = "model-3"
		if sw.fails {
			t.Errorf("succeeded with a model that does not come up")
		}
	case report.Outcome == strategy.RolledBack && errors.Is(err, endpoint.ErrRolledBack):
	default:
		t.Errorf("outcome %s, error %v: want succeeded or rolled back", report.Outcome, err)
	}
	if len(report.Drift) > 0 {
		t.Errorf("drift where nobody else changed anything: %v", report.Drift)
	}
	for _, v := range []string{"main", "side"} {
		if got := srv.Endpoint(name).Variants[v].Model; got != want {
			t.Errorf("%s, but %s serves %s", report.Outcome, v, got)
		}
	}
}
