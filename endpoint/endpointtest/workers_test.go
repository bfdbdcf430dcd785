package endpointtest_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
)

const (
	v1 = "acme/sdxl:v1"
	v2 = "acme/sdxl:v2"
)

func newWorkers(lo, hi int) *endpointtest.Workers {
	return endpointtest.NewWorkers(endpointtest.WorkersConfig{
		Name: "fake/w", Templates: map[string]string{"a": v1, "b": v2}, Live: "a", Min: lo, Max: hi,
	})
}

func resolve(t *testing.T, r endpoint.Resolver, id string) endpoint.Revision {
	t.Helper()
	full, err := r.Resolve(t.Context(), endpoint.Revision{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	return full
}

func status(t *testing.T, u endpoint.Updater) endpoint.Status {
	t.Helper()
	s, err := u.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// look is what a test wants to know of a workers status.
type look struct {
	Phase            endpoint.Phase
	Desired, Serving string
	Mixed            bool
	Pool             endpoint.Pool
	Generation       string
}

func glance(t *testing.T, w *endpointtest.Workers) look {
	t.Helper()
	s := status(t, w)
	p := s.Pools[0]
	p.Name = ""
	return look{s.Phase, s.Desired.ID, s.Serving.ID, s.Mixed, p, s.Generation}
}

func TestWorkersRollOnePerTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(3, 3)
		if d := cmp.Diff(look{endpoint.PhaseReady, "a", "a", false, endpoint.Pool{Ready: 3}, "1"}, glance(t, w)); d != "" {
			t.Errorf("at rest (-want +got):\n%s", d)
		}
		do(t, w.Update(t.Context(), endpoint.Change{To: resolve(t, w, "b")}))
		up, sc, re := endpoint.PhaseUpdating, endpoint.PhaseScaling, endpoint.PhaseReady
		for _, tt := range []struct {
			after time.Duration
			want  look
		}{
			{0, look{up, "b", "", false, endpoint.Pool{Stale: 3}, "2"}},
			{29 * time.Second, look{up, "b", "", false, endpoint.Pool{Stale: 3}, "2"}},
			{time.Second, look{up, "b", "", true, endpoint.Pool{Stale: 2, Starting: 1}, "2"}},
			{30 * time.Second, look{up, "b", "", true, endpoint.Pool{Stale: 1, Starting: 2}, "2"}},
			{30 * time.Second, look{sc, "b", "b", false, endpoint.Pool{Ready: 1, Starting: 2}, "2"}},
			{30 * time.Second, look{sc, "b", "b", false, endpoint.Pool{Ready: 2, Starting: 1}, "2"}},
			{30*time.Second - 1, look{sc, "b", "b", false, endpoint.Pool{Ready: 2, Starting: 1}, "2"}},
			{1, look{re, "b", "b", false, endpoint.Pool{Ready: 3}, "2"}},
			{72 * time.Hour, look{re, "b", "b", false, endpoint.Pool{Ready: 3}, "2"}},
		} {
			time.Sleep(tt.after)
			if d := cmp.Diff(tt.want, glance(t, w)); d != "" {
				t.Errorf("%v later (-want +got):\n%s", tt.after, d)
			}
		}
	})
}

func TestWorkersThereAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ctx := newWorkers(1, 1), t.Context()
		a := resolve(t, w, "a")
		do(t, w.Update(ctx, endpoint.Change{To: resolve(t, w, "b")}))
		do(t, w.Update(ctx, endpoint.Change{To: a}))
		do(t, w.Update(ctx, endpoint.Change{To: a})) // there already
		for _, tt := range []struct {
			after time.Duration
			want  look
		}{
			{0, look{endpoint.PhaseUpdating, "a", "", false, endpoint.Pool{Stale: 1}, "3"}},
			{30 * time.Second, look{endpoint.PhaseScaling, "a", "", false, endpoint.Pool{Starting: 1}, "3"}},
			{time.Minute, look{endpoint.PhaseReady, "a", "a", false, endpoint.Pool{Ready: 1}, "3"}},
		} {
			time.Sleep(tt.after)
			if d := cmp.Diff(tt.want, glance(t, w)); d != "" {
				t.Errorf("%v later (-want +got):\n%s", tt.after, d)
			}
		}
	})
}

func TestWorkersUpdateByArtifact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ctx := newWorkers(1, 1), t.Context()
		to, err := w.Resolve(ctx, endpoint.Revision{Artifact: v2})
		do(t, err)
		do(t, w.Update(ctx, endpoint.Change{To: to}))
		if s := status(t, w); to.ID != "a" || s.Desired != to || s.Generation != "2" || s.Phase != endpoint.PhaseUpdating {
			t.Errorf("after the update to %s: %+v", to, s)
		}
		time.Sleep(90 * time.Second)
		if s := status(t, w); s.Serving != to {
			t.Errorf("in the end: %+v", s)
		}
	})
}

func TestWorkersFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ctx := newWorkers(2, 4), t.Context()
		do(t, w.Enqueue(1, 100*time.Second))
		do(t, w.Set(ctx, "workers.min", 0))
		time.Sleep(90 * time.Second)
		if got := glance(t, w); got.Pool.Ready != 2 {
			t.Errorf("min 0 alone stopped workers: %+v", got)
		}
		do(t, w.Set(ctx, "workers.max", 0))
		for _, tt := range []struct {
			after time.Duration
			want  look
		}{
			{0, look{endpoint.PhasePaused, "a", "a", false, endpoint.Pool{Ready: 2}, "1"}},
			{10*time.Second - 1, look{endpoint.PhasePaused, "a", "a", false, endpoint.Pool{Ready: 2}, "1"}},
			{1, look{endpoint.PhasePaused, "a", "a", false, endpoint.Pool{Ready: 2}, "1"}},
			{20 * time.Second, look{endpoint.PhasePaused, "a", "", false, endpoint.Pool{}, "1"}},
		} {
			time.Sleep(tt.after)
			if d := cmp.Diff(tt.want, glance(t, w)); d != "" {
				t.Errorf("%v later (-want +got):\n%s", tt.after, d)
			}
		}
		if err := w.Enqueue(1, time.Second); !errors.Is(err, endpoint.ErrPaused) {
			t.Errorf("Enqueue at max 0: %v", err)
		}
		do(t, w.Update(ctx, endpoint.Change{To: resolve(t, w, "b")}))
		do(t, w.Set(ctx, "workers.max", 4))
		if got := glance(t, w); got.Phase != endpoint.PhaseReady || got.Serving != "" {
			t.Errorf("without a worker: %+v", got)
		}
		do(t, w.Set(ctx, "workers.min", 2))
		time.Sleep(90 * time.Second)
		if d := cmp.Diff(look{endpoint.PhaseReady, "b", "b", false, endpoint.Pool{Ready: 2}, "2"}, glance(t, w)); d != "" {
			t.Errorf("refilled (-want +got):\n%s", d)
		}
	})
}

func TestWorkersBusyAndStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ctx := newWorkers(2, 2), t.Context()
		do(t, w.Enqueue(1, endpointtest.Forever))
		do(t, w.Update(ctx, endpoint.Change{To: resolve(t, w, "b")}))
		time.Sleep(24 * time.Hour)
		if d := cmp.Diff(look{endpoint.PhaseUpdating, "b", "", true, endpoint.Pool{Ready: 1, Stale: 1}, "2"}, glance(t, w)); d != "" {
			t.Errorf("with a worker that never drains (-want +got):\n%s", d)
		}
		if j, err := w.Jobs(ctx); err != nil || j != (endpoint.Jobs{InFlight: 1}) {
			t.Errorf("Jobs = %+v, %v", j, err)
		}
		w.Foreign(func(s *endpointtest.WorkersState) { s.Workers[0].Busy, s.Workers[0].Stuck = time.Time{}, true })
		do(t, w.Set(ctx, "workers.min", 0))
		do(t, w.Set(ctx, "workers.max", 0))
		time.Sleep(24 * time.Hour)
		if got := w.Truth().Workers; len(got) != 1 || !got[0].Stuck {
			t.Errorf("workers left: %+v", got)
		}
	})
}

func TestWorkersScaleWithJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(0, 2)
		do(t, w.Enqueue(3, 30*time.Second))
		time.Sleep(90 * time.Second) // a tick, and a start
		if j, _ := w.Jobs(t.Context()); j != (endpoint.Jobs{InFlight: 2, Queued: 1}) {
			t.Errorf("Jobs = %+v", j)
		}
		time.Sleep(30*time.Second + 5*time.Minute)
		if n := len(w.Truth().Workers); n != 1 {
			t.Errorf("%d workers after the idle time, want 1: the other had a job longer", n)
		}
		time.Sleep(30 * time.Second)
		if n := len(w.Truth().Workers); n != 0 {
			t.Errorf("%d workers after the idle time, want none", n)
		}
	})
}

func TestWorkersIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ctx := newWorkers(1, 2), t.Context()
		do(t, w.Set(ctx, "workers.min", 2))
		time.Sleep(time.Hour)
		do(t, w.Set(ctx, "workers.min", 1))
		time.Sleep(5*time.Minute - 1)
		if n := len(w.Truth().Workers); n != 2 {
			t.Errorf("%d workers before the idle time since min was lowered", n)
		}
		time.Sleep(time.Nanosecond)
		if n := len(w.Truth().Workers); n != 1 {
			t.Errorf("%d workers after it", n)
		}
		do(t, w.Enqueue(2, 10*time.Second))
		time.Sleep(15 * time.Second) // the first worker has done both, the second is being started
		if n := len(w.Truth().Workers); n != 1 {
			t.Errorf("%d workers although the work was done before a tick", n)
		}
		do(t, w.Enqueue(1, endpointtest.Forever))
		do(t, w.Enqueue(1, 10*time.Second))
		time.Sleep(15*time.Second + time.Minute + 10*time.Second) // a tick, a start, a job
		if n := len(w.Truth().Workers); n != 2 {
			t.Errorf("%d workers, want one for each job", n)
		}
		time.Sleep(5*time.Minute - 1)
		if n := len(w.Truth().Workers); n != 2 {
			t.Errorf("%d workers, before one of them has idled long enough", n)
		}
		time.Sleep(30 * time.Second)
		if n := len(w.Truth().Workers); n != 1 {
			t.Errorf("%d workers, after one of them has idled long enough", n)
		}
	})
}

// The work may be done by the time the worker that was started for it is up.
func TestWorkersIdleFromWhenTheyAreUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(1, 2)
		w.Foreign(func(s *endpointtest.WorkersState) { s.Workers[0].Stuck = true }) // it cannot be the one that goes
		time.Sleep(10 * time.Minute)
		do(t, w.Enqueue(3, 20*time.Second))
		time.Sleep(30*time.Second + time.Minute + 5*time.Minute - 1) // a tick, a start, idling
		if n := len(w.Truth().Workers); n != 2 {
			t.Errorf("%d workers before the second has idled long enough", n)
		}
		time.Sleep(time.Nanosecond)
		if n := len(w.Truth().Workers); n != 1 {
			t.Errorf("%d workers after it", n)
		}
	})
}

func TestJobsGoToNewWorkersFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(2, 2)
		do(t, w.Enqueue(1, 200*time.Second)) // keeps one of the old ones
		do(t, w.Update(t.Context(), endpoint.Change{To: resolve(t, w, "b")}))
		time.Sleep(2 * time.Minute)
		w.Foreign(func(s *endpointtest.WorkersState) { s.Workers[0].Busy, s.Workers[0].Leaving = time.Time{}, false })
		do(t, w.Enqueue(1, time.Second))
		for _, wk := range w.Truth().Workers {
			if wk.Runs.ID == "b" != !wk.Busy.IsZero() {
				t.Errorf("worker %+v", wk)
			}
		}
	})
}

func TestWorkersFail(t *testing.T) {
	tests := map[string]struct {
		spoil func(*endpointtest.Workers)
		want  endpoint.Pool
		phase endpoint.Phase
		say   string
	}{
		"unhealthy": {
			func(w *endpointtest.Workers) { w.FailOn(v2, "image pull backoff") },
			endpoint.Pool{Unhealthy: 2},
			endpoint.PhaseDegraded, "image pull backoff",
		},
		"never starts": {
			func(w *endpointtest.Workers) { w.StallOn(v2) },
			endpoint.Pool{Starting: 2},
			endpoint.PhaseScaling, "",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorkers(2, 2)
				tt.spoil(w)
				do(t, w.Update(t.Context(), endpoint.Change{To: resolve(t, w, "b")}))
				time.Sleep(time.Hour)
				got := glance(t, w)
				if d := cmp.Diff(look{tt.phase, "b", "", false, tt.want, "2"}, got); d != "" {
					t.Errorf("(-want +got):\n%s", d)
				}
				if s := status(t, w); s.Reason != tt.say {
					t.Errorf("Reason = %q, want %q", s.Reason, tt.say)
				}
				do(t, w.Update(t.Context(), endpoint.Change{To: resolve(t, w, "a")}))
				time.Sleep(2 * time.Minute)
				if got := glance(t, w); got.Phase != endpoint.PhaseReady || got.Serving != "a" {
					t.Errorf("after going back: %+v", got)
				}
				w.SucceedOn(v2)
				do(t, w.Update(t.Context(), endpoint.Change{To: resolve(t, w, "b")}))
				time.Sleep(2 * time.Minute)
				if got := glance(t, w); got.Phase != endpoint.PhaseReady || got.Serving != "b" {
					t.Errorf("once the artifact is mended: %+v", got)
				}
			})
		})
	}
}

// Workers that are to start wait until there is capacity, and then take as long
// as ever.
func TestWorkersWaitForCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(2, 2)
		w.Foreign(func(s *endpointtest.WorkersState) { s.NoCapacity = time.Now().Add(10 * time.Minute) })
		do(t, w.Update(t.Context(), endpoint.Change{To: resolve(t, w, "b")}))
		time.Sleep(10*time.Minute - time.Second)
		if d := cmp.Diff(look{endpoint.PhaseScaling, "b", "", false, endpoint.Pool{Throttled: 2}, "2"}, glance(t, w)); d != "" {
			t.Errorf("without capacity (-want +got):\n%s", d)
		}
		time.Sleep(time.Second)
		if d := cmp.Diff(endpoint.Pool{Starting: 2}, glance(t, w).Pool); d != "" {
			t.Errorf("once there is some (-want +got):\n%s", d)
		}
		time.Sleep(time.Minute)
		if d := cmp.Diff(look{endpoint.PhaseReady, "b", "b", false, endpoint.Pool{Ready: 2}, "2"}, glance(t, w)); d != "" {
			t.Errorf("a minute later (-want +got):\n%s", d)
		}
	})
}

// What does nothing but fail is scaled down, which the status tells of before
// and not after.
func TestWorkersScaledDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := endpointtest.NewWorkers(endpointtest.WorkersConfig{
			Templates: map[string]string{"a": v1, "b": v2}, Live: "a", Min: 1, Max: 3, ScaleDown: 5 * time.Minute,
		})
		w.FailOn(v2, "image pull backoff")
		do(t, w.Update(t.Context(), endpoint.Change{To: resolve(t, w, "b")}))
		bounds := func(lo, hi int) endpoint.Settings {
			return endpoint.Settings{endpoint.WorkersMin: lo, endpoint.WorkersMax: hi}
		}
		want := func(when string, settings, imposed endpoint.Settings) {
			t.Helper()
			s := status(t, w)
			if d := cmp.Diff(settings, s.Settings); d != "" {
				t.Errorf("%s: settings (-want +got):\n%s", when, d)
			}
			if d := cmp.Diff(imposed, s.ProviderOverrides); d != "" {
				t.Errorf("%s: imposed (-want +got):\n%s", when, d)
			}
		}
		time.Sleep(30*time.Second + time.Minute - time.Second) // the tick that starts it, and its start
		want("starting", bounds(1, 3), nil)
		time.Sleep(time.Second)
		want("failing", bounds(1, 3), bounds(0, 0))
		time.Sleep(5*time.Minute - time.Second)
		want("to the last", bounds(1, 3), bounds(0, 0))
		time.Sleep(time.Second)
		want("scaled down", bounds(0, 0), nil)
		time.Sleep(time.Hour)
		if got := glance(t, w); got.Phase != endpoint.PhasePaused || got.Pool.Live() > 0 {
			t.Errorf("an hour later: %+v", got)
		}
		do(t, w.Update(t.Context(), endpoint.Change{To: resolve(t, w, "a")}))
		do(t, w.Set(t.Context(), endpoint.WorkersMax, 3))
		do(t, w.Set(t.Context(), endpoint.WorkersMin, 1))
		time.Sleep(time.Hour)
		want("on what works", bounds(1, 3), nil)
	})
}
