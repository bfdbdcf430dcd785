package runpodtest_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

// Looking must not change what is looked at: the same things happen at the
// same times whether the clock moves in one step or in many. And whatever
// happens, some things are true of an endpoint.
func TestLooksChangeNothing(t *testing.T) {
	for seed := range uint64(40) {
		var ends [2][]runpodtest.Worker
		var jobs [2]runpodtest.JobCounts
		for i, looks := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				a := chaos(t, seed, looks)
				ends[i], jobs[i] = a.Workers(a.id), a.Jobs(a.id)
			})
		}
		if diff := cmp.Diff(ends[0], ends[1]) + cmp.Diff(jobs[0], jobs[1]); diff != "" {
			t.Errorf("seed %d: looking changed the account (-without +with):\n%s", seed, diff)
		}
	}
}

// chaos lets many things happen to an endpoint for some hours.
func chaos(t *testing.T, seed uint64, looks bool) account {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, seed))
	a := newAccount(t, runpodtest.Endpoint{WorkersMin: r.IntN(3), WorkersMax: 3}, runpodtest.WithQuota(30), runpodtest.WithBehaviour(runpodtest.Behaviour{
		StuckActive: r.IntN(4) == 0, NoStandby: r.IntN(2) == 0, ShowGone: time.Duration(r.IntN(2)) * time.Minute,
		CrashScaleDown: time.Duration(r.IntN(2)) * time.Hour, AllowMinAboveMax: r.IntN(2) == 0,
	}))
	a.AddImage(runpodtest.Image{Ref: "acme/sdxl:v2", Fault: runpodtest.ImageFault(r.IntN(5)), After: time.Duration(r.IntN(2)) * time.Minute})
	for range 60 {
		switch n := r.IntN(12); n {
		case 0, 1:
			a.link([]string{a.v1, a.v2}[n])
		case 2:
			a.setMin([]string{"0", "1", "2"}[r.IntN(3)])
		case 3:
			a.setMax([]string{"0", "1", "3", "20"}[r.IntN(4)])
		case 4:
			a.Do(func(st *runpodtest.State) { st.Throttle(a.id, time.Duration(r.IntN(300))*time.Second) })
		case 5, 6, 7:
			a.AddJobs(a.id, time.Duration(r.IntN(120))*time.Second, time.Duration(r.IntN(10))*time.Second)
		}
		pause := time.Duration(r.IntN(120)) * time.Second
		if looks {
			for range 7 {
				wait(pause / 7)
				a.check()
			}
			pause -= pause / 7 * 7
		}
		wait(pause)
		a.check()
	}
	return a
}

// check tests what is always true.
func (a account) check() {
	a.t.Helper()
	e, jobs := a.Endpoint(a.id), a.Jobs(a.id)
	running, idle := 0, 0
	for _, w := range a.Workers(a.id) {
		switch w.State {
		case runpodtest.Running:
			running++
		case runpodtest.Idle:
			idle++
		case runpodtest.Throttled, runpodtest.Initializing, runpodtest.Unhealthy, runpodtest.Crashing,
			runpodtest.Stopping, runpodtest.Standby, runpodtest.Gone:
		}
		if (w.State == runpodtest.Running) != (w.Job != "") {
			a.t.Errorf("worker %+v", w)
		}
		if w.Version > e.Version || w.Since.After(time.Now()) {
			a.t.Errorf("worker %+v of version %d at %v", w, e.Version, time.Now())
		}
	}
	if running != jobs.InProgress || idle > 0 && jobs.InQueue > 0 || e.WorkersMax == 0 && idle > 0 {
		a.t.Errorf("%d running and %d idle workers of at most %d, jobs %+v", running, idle, e.WorkersMax, jobs)
	}
}
