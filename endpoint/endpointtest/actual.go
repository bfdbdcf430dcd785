package endpointtest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// Actual is what an endpoint really is, past all reads.
type Actual struct {
	// Desired is what the provider has accepted to serve.
	Desired endpoint.Revision
	// Units are the workers or instances that there are.
	Units []Unit
	// Updating: the provider is carrying out a change, of which Units alone do
	// not tell.
	Updating bool
	// Paused: the settings ask for no capacity, so that requests are refused.
	Paused bool
	// Failed: it is in a state that it does not leave by itself.
	Failed bool
	// Reason is a part of the provider's own explanation of what failed last,
	// which Status.Reason has to contain; "" if it gives none.
	Reason string
}

// Unit is one worker or instance. One that is neither up nor failed starts.
type Unit struct {
	Runs   endpoint.Revision
	Up     bool // it has come up
	Serves bool // it takes requests, which only one that is up does
	Failed bool // it failed to come up, or is failing
}

// count counts the units that are as f says.
func (a Actual) count(f func(Unit) bool) (n int) {
	for _, u := range a.Units {
		if f(u) {
			n++
		}
	}
	return n
}

// revisions counts the revisions of the units that are as f says.
func (a Actual) revisions(f func(Unit) bool) int {
	var all []endpoint.Revision
	a.count(func(u Unit) bool {
		for _, r := range all {
			if r.Same(u.Runs) {
				return false
			}
		}
		if f(u) {
			all = append(all, u.Runs)
		}
		return false
	})
	return len(all)
}

// stale counts the units that do not run r, and failed those that run it and fail.
func (a Actual) stale(r endpoint.Revision) int {
	return a.count(func(u Unit) bool { return !u.Runs.Same(r) })
}

func (a Actual) failed(r endpoint.Revision) int {
	return a.count(func(u Unit) bool { return u.Failed && u.Runs.Same(r) })
}

func (a Actual) ready(r endpoint.Revision) int {
	return a.count(func(u Unit) bool { return u.Up && !u.Failed && u.Runs.Same(r) })
}

func (a Actual) equal(o Actual) bool {
	return a.Desired == o.Desired && a.Updating == o.Updating && a.Paused == o.Paused && a.Failed == o.Failed && a.Reason == o.Reason &&
		slices.Equal(a.Units, o.Units)
}

func serves(u Unit) bool { return u.Serves }

// pools is the sum of all pools.
func pools(s endpoint.Status) (all endpoint.Pool) {
	for _, p := range s.Pools {
		all.Ready += p.Ready
		all.Starting += p.Starting
		all.Throttled += p.Throttled
		all.Unhealthy += p.Unhealthy
		all.Stale += p.Stale
	}
	return all
}

// claims are what a status says, each of which has to be true of the endpoint
// as it was at some time within the settle time: the parts of a status may come
// from reads that lag by different times.
var claims = []struct {
	name  string
	holds func(s endpoint.Status, a Actual) bool
}{
	{"what is desired", func(s endpoint.Status, a Actual) bool { return s.Desired.Same(a.Desired) }},
	{"what is serving", func(s endpoint.Status, a Actual) bool {
		all := a.count(serves)
		return s.Serving.IsZero() || all > 0 && all == a.count(func(u Unit) bool { return u.Serves && u.Runs.Same(s.Serving) })
	}},
	{"whether revisions are mixed", func(s endpoint.Status, a Actual) bool {
		if s.Mixed {
			return a.revisions(func(Unit) bool { return true }) > 1
		}
		return a.revisions(serves) <= 1
	}},
	{"how many are ready", func(s endpoint.Status, a Actual) bool { return pools(s).Ready <= a.ready(s.Desired) }},
	{"that none is stale", func(s endpoint.Status, a Actual) bool { return pools(s).Stale > 0 || a.stale(s.Desired) == 0 }},
	{"whether any is unhealthy", func(s endpoint.Status, a Actual) bool {
		if pools(s).Unhealthy > 0 || s.Phase == endpoint.PhaseFailed {
			return a.Failed || a.failed(s.Desired) > 0
		}
		return !a.Failed && a.failed(s.Desired) == 0
	}},
	{"the phase", phaseHolds},
	{"the reason", func(s endpoint.Status, a Actual) bool { return strings.Contains(s.Reason, a.Reason) }},
}

func phaseHolds(s endpoint.Status, a Actual) bool {
	nothing := len(a.Units) == 0
	switch {
	case a.Failed:
		return s.Phase == endpoint.PhaseFailed
	case a.Paused && nothing:
		return s.Phase == endpoint.PhasePaused
	}
	switch s.Phase {
	case endpoint.PhaseReady:
		return !a.Updating && !a.Paused && a.stale(s.Desired) == 0 && a.failed(s.Desired) == 0 && (nothing || a.ready(s.Desired) > 0)
	case endpoint.PhaseScaling:
		return !a.Paused
	case endpoint.PhaseUpdating:
		return a.Updating || a.stale(s.Desired) > 0 || a.stale(a.Desired) > 0 || a.Paused
	case endpoint.PhasePaused:
		return a.Paused
	case endpoint.PhaseDegraded:
		return a.count(func(u Unit) bool { return u.Failed }) > 0
	case endpoint.PhaseFailed:
		return a.Failed
	case endpoint.PhaseUnknown:
	}
	return true
}

// watcher polls a subject and holds each status against what the endpoint was.
type watcher struct {
	Subject
	was   []moment
	every time.Duration // how often it polls in the first five minutes
}

// moment is what the endpoint was from a time on, until the next moment.
type moment struct {
	at time.Time
	Actual
}

// watch polls for at most d, until done is true: in the first five minutes every
// second, or as it was told, and then every fifteen. It fails at the first claim of each kind that
// was not true within the settle time.
func (w *watcher) watch(t testing.TB, d time.Duration, done func(endpoint.Status) bool) {
	t.Helper()
	told := map[string]bool{}
	due := time.Time{}
	for begin := time.Now(); time.Since(begin) <= d; pause(time.Second) {
		w.remember()
		if time.Now().Before(due) {
			continue
		}
		every := w.every
		if time.Since(begin) > 5*time.Minute {
			every = 15 * time.Second
		}
		due = time.Now().Add(every)
		st := w.status(t)
		w.remember()
		for _, c := range claims {
			if !told[c.name] && !w.held(st, c.holds) {
				told[c.name] = true
				t.Errorf("%s is not so, and was not within %v; the status: %s; the endpoint: %s", c.name, w.Settle, describe(st), w.was[len(w.was)-1])
			}
		}
		if done(st) {
			return
		}
	}
}

func (w *watcher) remember() {
	now := time.Now()
	for len(w.was) > 1 && now.Sub(w.was[1].at) >= w.Settle { // the one before it was so until then
		w.was = w.was[1:]
	}
	a := w.Actual()
	if n := len(w.was); n > 0 && w.was[n-1].equal(a) {
		return // it still is so
	}
	w.was = append(w.was, moment{now, a})
}

func (w *watcher) held(st endpoint.Status, holds func(endpoint.Status, Actual) bool) bool {
	for _, m := range w.was {
		if holds(st, m.Actual) {
			return true
		}
	}
	return false
}
