package strategy_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/strategy"
)

// The sweep: a rollout is run again and again, and each time another one of
// its writes meets another misfortune. However it goes, the endpoint has to
// end whole: at the target or at the source, with every protective value as it
// was, and the error has to say which.

// world is an endpoint that a rollout is swept over.
type world struct {
	ep interface {
		endpoint.Updater
		OnMutation(hook func(n int, name string) endpointtest.Fault)
		StaleReads(d time.Duration)
		FlickerReads(d time.Duration)
		Protective() map[string]string
	}
	live func() string // the artifact that is served, or pending
}

// scenario is a rollout to sweep.
type scenario struct {
	name     string
	world    func() world
	strategy strategy.Strategy
	target   strategy.Target
	source   string // artifacts
	goal     string
	fails    bool // the goal does not come up
	opts     []strategy.Option
}

func workersWorld(bad bool, c endpointtest.WorkersConfig) func() world {
	return func() world {
		c.Templates = map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}
		c.Live = "a"
		ep := endpointtest.NewWorkers(c)
		if bad {
			ep.FailOn("acme/sdxl:v2", "image pull backoff")
			ep.FailOn("acme/sdxl:v3", "image pull backoff")
		}
		return world{ep, func() string { s := ep.Truth(); return s.Templates[s.Live] }}
	}
}

func scenarios() []scenario {
	var all []scenario
	for _, bad := range []bool{false, true} {
		suffix := ""
		if bad {
			suffix = ", image fails"
		}
		active := workersWorld(bad, endpointtest.WorkersConfig{Min: 1, Max: 3})
		idle := workersWorld(bad, endpointtest.WorkersConfig{Min: 0, Max: 2})
		pair := strategy.AlternatingTemplate{Templates: [2]string{"a", "b"}}
		all = append(all,
			scenario{"in-place" + suffix, active, strategy.InPlace{}, strategy.ToRevision("b"), "acme/sdxl:v1", "acme/sdxl:v2", bad, nil},
			scenario{"in-place by image" + suffix, active, strategy.InPlace{}, strategy.ToArtifact("acme/sdxl:v3"), "acme/sdxl:v1", "acme/sdxl:v3", bad, nil},
			scenario{"in-place, boot" + suffix, idle, strategy.InPlace{}, strategy.ToRevision("b"), "acme/sdxl:v1", "acme/sdxl:v2", bad, []strategy.Option{strategy.WithProof(strategy.ProveBoot)}},
			scenario{"flush-to-zero" + suffix, active, strategy.FlushToZero{}, strategy.ToRevision("b"), "acme/sdxl:v1", "acme/sdxl:v2", bad, nil},
			scenario{"flush-to-zero, boot" + suffix, idle, strategy.FlushToZero{Drain: time.Hour}, strategy.ToRevision("b"), "acme/sdxl:v1", "acme/sdxl:v2", bad, []strategy.Option{strategy.WithProof(strategy.ProveBoot)}},
			scenario{"alternating-template" + suffix, active, pair, strategy.ToArtifact("acme/sdxl:v3"), "acme/sdxl:v1", "acme/sdxl:v3", bad, []strategy.Option{strategy.WithBake(time.Minute)}},
		)
	}
	return append(all, variantScenarios()...)
}

// misfortune befalls one write.
type misfortune struct {
	name  string
	fault func(r *run) endpointtest.Fault
}

// run is one run of a scenario: what a misfortune may reach for.
type run struct {
	cancel context.CancelFunc
}

// crash is what a process that dies panics with.
type crash struct{}

func misfortunes() []misfortune {
	plain := func(f endpointtest.Fault) func(*run) endpointtest.Fault {
		return func(*run) endpointtest.Fault { return f }
	}
	die := func() { panic(crash{}) }
	return []misfortune{
		{"crash before", plain(endpointtest.Run(die))},
		{"crash after", plain(endpointtest.RunAfter(die))},
		{"lost before", plain(endpointtest.LostBefore())},
		{"lost after", plain(endpointtest.LostAfter())},
		{"late", plain(endpointtest.Delayed(7 * time.Second))},
		{"refused", plain(endpointtest.Refuse(endpoint.ErrInvalid))},
		{"throttled", plain(endpointtest.Throttle(40 * time.Second))},
		{"cancelled before", func(r *run) endpointtest.Fault { return endpointtest.Run(r.cancel) }},
		{"cancelled after", func(r *run) endpointtest.Fault { return endpointtest.RunAfter(r.cancel) }},
	}
}

// staleness is how far reads lag. It is less than the settle time.
var staleness = map[string]func(w world){
	"fresh":   func(world) {},
	"stale":   func(w world) { w.ep.StaleReads(20 * time.Second) },
	"flicker": func(w world) { w.ep.FlickerReads(20 * time.Second) },
}

func TestSweep(t *testing.T) {
	points := 0
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			n := sc.sweep(t)
			t.Logf("swept %d points of %s", n, sc.name)
			points += n
		})
	}
	t.Logf("swept %d points, none of them lost anything", points)
}

// sweep puts each misfortune on each write.
func (sc scenario) sweep(t *testing.T) (points int) {
	for stale := range maps.Keys(staleness) {
		for _, m := range misfortunes() {
			for at := 1; ; at++ {
				reached := false
				for _, resume := range resumes(m.name) {
					points++
					ok := t.Run(fmt.Sprintf("%s/%s at write %d%s", stale, m.name, at, resume.name), func(t *testing.T) {
						reached = sc.play(t, stale, m, at, resume)
					})
					if !ok {
						return points
					}
					if !reached {
						points--
						break
					}
				}
				if !reached {
					break
				}
			}
		}
	}
	return points
}

// resume is how a rollout that died is picked up.
type resume struct {
	name  string
	delay time.Duration
	// crashAt is the write of the resume, counted from its beginning, at which
	// it dies too; 0 for none.
	crashAt int
	opts    []strategy.Option
}

func resumes(misfortune string) []resume {
	if misfortune != "crash before" && misfortune != "crash after" {
		return []resume{{}}
	}
	var all []resume
	for _, d := range []time.Duration{0, 10 * time.Minute, 24 * time.Hour} {
		all = append(all, resume{fmt.Sprintf(", resumed after %v", d), d, 0, nil})
	}
	return append(all,
		resume{", resumed forward", 0, 0, []strategy.Option{strategy.WithForward()}},
		resume{", dying again at its write 1", time.Second, 1, nil},
		resume{", dying again at its write 2", time.Second, 2, nil},
		resume{", dying again at its write 3", time.Second, 3, nil},
	)
}

// play runs the scenario with the misfortune at one write, and reports whether
// the rollout got there.
func (sc scenario) play(t *testing.T, stale string, m misfortune, at int, res resume) (reached bool) {
	synctest.Test(t, func(t *testing.T) {
		w := sc.world()
		before := w.ep.Protective()
		staleness[stale](w)
		store := strategy.NewMemory()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := &run{cancel: cancel}
		w.ep.OnMutation(func(n int, _ string) endpointtest.Fault {
			if n != at {
				return endpointtest.Fault{}
			}
			reached = true
			return m.fault(r)
		})
		report, crashed, err := survive(func() (*strategy.Report, error) {
			return strategy.Run(ctx, store, w.ep, sc.strategy, sc.target, sc.opts...)
		})
		if crashed {
			time.Sleep(res.delay)
			report, err = sc.resume(t, store, w, res)
		}
		time.Sleep(time.Hour) // whatever is still under way lands
		sc.check(t, w, before, report, err)
	})
	return reached
}

// resume picks the rollout up until it ends.
func (sc scenario) resume(t *testing.T, store strategy.Store, w world, res resume) (*strategy.Report, error) {
	count := 0
	w.ep.OnMutation(func(int, string) endpointtest.Fault {
		if count++; count == res.crashAt {
			return endpointtest.RunAfter(func() { panic(crash{}) })
		}
		return endpointtest.Fault{}
	})
	for range 3 {
		report, crashed, err := survive(func() (*strategy.Report, error) {
			return strategy.Resume(t.Context(), store, w.ep, append(sc.opts, res.opts...)...)
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

// check holds the end of a run to what was promised.
func (sc scenario) check(t *testing.T, w world, before map[string]string, report *strategy.Report, err error) {
	t.Helper()
	if report == nil {
		t.Fatalf("no report, error: %v", err)
	}
	if diff := cmp.Diff(before, w.ep.Protective()); diff != "" {
		t.Errorf("protective values (-before +after):\n%s", diff)
	}
	want := sc.source
	switch {
	case err == nil && report.Outcome == strategy.Succeeded:
		want = sc.goal
		if sc.fails {
			t.Errorf("succeeded with an artifact that does not come up")
		}
	case report.Outcome == strategy.RolledBack && errors.Is(err, endpoint.ErrRolledBack):
	default:
		t.Errorf("outcome %s, error %v: want succeeded or rolled back", report.Outcome, err)
	}
	if live := w.live(); live != want {
		t.Errorf("%s, but the endpoint serves %s", report.Outcome, live)
	}
}
