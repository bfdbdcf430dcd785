package runpod_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/strategy"
)

// The sweep: a rollout is run again and again, and each time another one of its
// writes meets another misfortune. However it goes, the endpoint has to end
// whole, at the target or at the source, and the error has to say which.

// crash is what a process that dies panics with.
type crash struct{}

type misfortune struct {
	name  string
	fault func(cancel context.CancelFunc) runpodtest.Fault
	dies  bool
}

func misfortunes() []misfortune {
	plain := func(f runpodtest.Fault) func(context.CancelFunc) runpodtest.Fault {
		return func(context.CancelFunc) runpodtest.Fault { return f }
	}
	die := func() { panic(crash{}) }
	return []misfortune{
		{"crash before", func(context.CancelFunc) runpodtest.Fault { panic(crash{}) }, true},
		{"crash after", plain(runpodtest.Fault{Then: die}), true},
		{"lost before", plain(runpodtest.Dropped(false)), false},
		{"lost after", plain(runpodtest.Dropped(true)), false},
		{"late", plain(runpodtest.Fault{LandsAfter: 7 * time.Second}), false},
		{"refused", plain(runpodtest.Refused("this may not be")), false},
		{"throttled", plain(runpodtest.RateLimited(40 * time.Second)), false},
		{"cancelled before", func(cancel context.CancelFunc) runpodtest.Fault {
			return runpodtest.Fault{Drop: true, Then: cancel}
		}, false},
		{"cancelled after", func(cancel context.CancelFunc) runpodtest.Fault { return runpodtest.Fault{Then: cancel} }, false},
	}
}

// resume is how a rollout that died is picked up: by a new process, after a
// while, that may die too.
type resume struct {
	name    string
	delay   time.Duration
	crashAt int
	opts    []strategy.Option
}

func resumes(m misfortune, flickers bool) []resume {
	switch {
	case !m.dies:
		return []resume{{}}
	case flickers:
		return []resume{{name: ", resumed at once"}, {name: ", dying again", delay: time.Second, crashAt: 1}}
	}
	return []resume{
		{name: ", resumed a day later", delay: 24 * time.Hour},
		{name: ", resumed forward", opts: []strategy.Option{strategy.WithForward()}},
	}
}

type scenario struct {
	route
	strategy strategy.Strategy
	fails    bool // the goal does not come up
	idle     bool // scales to zero, and one worker is booted as proof
	flickers bool // every second read lags, and bounds make releases
}

// scenarios leave out what the sweep of package strategy, over a fake of its
// own, has in full: here it is about the transports.
func scenarios() []scenario {
	var all []scenario
	for n, r := range routes() {
		for _, s := range strategies {
			all = append(all, scenario{r, s, false, false, true}, scenario{r, s, true, false, false})
			if n == 0 {
				all = append(all, scenario{r, s, false, false, false}, scenario{r, s, true, false, true})
			}
		}
	}
	return append(all, scenario{routes()[0], strategy.FlushToZero{}, false, true, true}, scenario{routes()[1], strategy.InPlace{}, true, true, false})
}

func TestSweep(t *testing.T) {
	points := 0
	for _, sc := range scenarios() {
		t.Run(fmt.Sprintf("%s/%s/fails=%t,idle=%t,flickers=%t", sc.name, sc.strategy, sc.fails, sc.idle, sc.flickers), func(t *testing.T) {
			points += sc.sweep(t)
		})
	}
	t.Logf("swept %d points, none of them lost anything", points)
}

func (sc scenario) sweep(t *testing.T) (points int) {
	t.Helper()
	for _, m := range misfortunes() {
		for at, reached := 1, true; reached; at++ {
			for _, res := range resumes(m, sc.flickers) {
				ok := t.Run(fmt.Sprintf("%s at write %d%s", m.name, at, res.name), func(t *testing.T) {
					reached = sc.play(t, m, at, res)
				})
				if !ok {
					return points
				}
				if !reached {
					break
				}
				points++
			}
		}
	}
	return points
}

// play runs the scenario with the misfortune at one write, and reports whether
// the rollout got there.
func (sc scenario) play(t *testing.T, m misfortune, at int, res resume) (reached bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var b runpodtest.Behaviour
		if sc.flickers {
			b = runpodtest.Behaviour{ReadLag: 20 * time.Second, ReadFlaps: true, ScalingReleases: true}
		}
		w := newWorld(t, sc.route, runpodtest.WithBehaviour(b))
		opts := []strategy.Option{strategy.WithInterval(10 * time.Second)} // half the looks, and the same writes
		if sc.idle {
			w.Do(func(st *runpodtest.State) {
				st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.WorkersMin = 0 })
			})
			time.Sleep(time.Hour)
			w.before = w.truth()
			opts = append(opts, strategy.WithProof(strategy.ProveBoot))
		}
		if sc.fails {
			w.AddImage(runpodtest.Image{Ref: w.goal, Fault: runpodtest.TurnsUnhealthy})
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w.OnMutation(func(n int, _ string) runpodtest.Fault {
			if n != at {
				return runpodtest.Fault{}
			}
			reached = true
			return m.fault(cancel)
		})
		report, crashed, err := survive(func() (*strategy.Report, error) {
			return w.run(ctx, sc.strategy, opts...)
		})
		if crashed {
			time.Sleep(res.delay)
			report, err = sc.resume(t, w, res, opts)
		}
		time.Sleep(time.Hour) // whatever is still under way lands
		sc.check(t, w, report, err)
	})
	return reached
}

// resume picks the rollout up, by new processes, until it ends.
func (sc scenario) resume(t *testing.T, w *world, res resume, opts []strategy.Option) (*strategy.Report, error) {
	t.Helper()
	count := 0
	w.OnMutation(func(int, string) runpodtest.Fault {
		if count++; count == res.crashAt {
			return runpodtest.Fault{Then: func() { panic(crash{}) }}
		}
		return runpodtest.Fault{}
	})
	for range 3 {
		ep := w.endpoint(t)
		report, crashed, err := survive(func() (*strategy.Report, error) {
			return strategy.Resume(t.Context(), w.store, ep, append(opts, res.opts...)...)
		})
		if !crashed {
			return report, err
		}
	}
	t.Fatal("the rollout does not end")
	return nil, nil
}

// survive calls f and reports whether it died on the way.
func survive(f func() (*strategy.Report, error)) (report *strategy.Report, crashed bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(crash); !ok {
				panic(r)
			}
			crashed = true
		}
	}()
	report, err = f()
	return report, false, err
}

func (sc scenario) check(t *testing.T, w *world, report *strategy.Report, err error) {
	t.Helper()
	if report == nil {
		t.Fatalf("no report, error: %v", err)
	}
	switch {
	case err == nil && report.Outcome == strategy.Succeeded:
		if sc.fails {
			t.Errorf("succeeded with an image that does not come up")
		}
		after := w.truth()
		if after.Min != w.before.Min || after.Max != w.before.Max || after.Image != w.goal {
			t.Errorf("succeeded, with %+v", after)
		}
	case report.Outcome == strategy.RolledBack && errors.Is(err, endpoint.ErrRolledBack):
		if diff := cmp.Diff(w.before, w.truth()); diff != "" {
			t.Errorf("endpoint (-before +after):\n%s", diff)
		}
	default:
		t.Errorf("outcome %s, error %v: want succeeded or rolled back", report.Outcome, err)
	}
	if len(report.Drift) > 0 {
		t.Errorf("drift %v, and nobody else was there", report.Drift)
	}
}
