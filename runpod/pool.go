package runpod

import (
	"slices"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
)

// count puts each live worker into one field of a pool.
func count(s *state, v view, h *healthWorkers, loops []string) endpoint.Pool {
	if s.list != nil {
		return listedPool(v, h, loops)
	}
	return pool(v, h, len(loops))
}

// listedPool takes each worker's own word for what it does. The job plane
// bounds how many are ready, and where the list has lost sight of the queue it
// tells of unhealthy ones.
func listedPool(v view, h *healthWorkers, loops []string) endpoint.Pool {
	p := endpoint.Pool{Stale: len(v.stale), Starting: len(v.unknown)}
	degraded := false
	for _, w := range v.current {
		degraded = degraded || w.version == 0
		switch status := strings.ToUpper(w.status); {
		case slices.Contains(loops, w.id), status == "UNHEALTHY":
			p.Unhealthy++
		case status == "THROTTLED":
			p.Throttled++
		case status == "IDLE", status == "RUNNING":
			p.Ready++
		default: // INITIALIZING, and whatever else there may be one day
			p.Starting++
		}
	}
	if h == nil {
		return p
	}
	if degraded {
		moved := min(p.Ready, max(0, h.Unhealthy-p.Stale-p.Unhealthy))
		p.Ready, p.Unhealthy = p.Ready-moved, p.Unhealthy+moved
	}
	unseen := max(0, p.Ready-max(h.Idle, h.Ready)-h.Running)
	p.Ready, p.Starting = p.Ready-unseen, p.Starting+unseen
	return p
}

// pool shares the job plane's counts out over the workers that are live. Each
// worker is counted once.
func pool(v view, h *healthWorkers, loops int) endpoint.Pool {
	p := endpoint.Pool{Stale: len(v.stale)}
	current := len(v.current)
	if h == nil {
		p.Unhealthy = min(loops, current)
		up := 0
		for _, pod := range v.current {
			if running(pod.status) {
				up++
			}
		}
		p.Ready = min(up, current-p.Unhealthy)
		p.Starting = current - p.Unhealthy - p.Ready + len(v.unknown)
		return p
	}
	rest := current
	take := func(n int) int {
		n = min(max(n, 0), rest)
		rest -= n
		return n
	}
	// A broken old revision must not count against the new one.
	staleUnhealthy := min(h.Unhealthy, p.Stale)
	p.Unhealthy = take(max(h.Unhealthy-staleUnhealthy, loops))
	p.Throttled = take(h.Throttled)
	p.Starting = take(h.Initializing)
	// Idle and ready are the same workers twice. Those that may be stale count as stale.
	capable := max(h.Idle, h.Ready) + h.Running
	p.Ready = take(capable - (p.Stale - staleUnhealthy))
	p.Starting += rest + len(v.unknown)
	return p
}

// mixed reports whether the live workers run more than one thing, as far as
// RunPod says what.
func mixed(v view) bool {
	var image string
	var version int
	for _, pods := range [][]*pod{v.current, v.stale, v.unknown} {
		for _, p := range pods {
			if p.version != 0 && version != 0 && p.version != version ||
				p.image != "" && image != "" && !samePodImage(p.image, image) {
				return true
			}
			if p.version != 0 {
				version = p.version
			}
			if p.image != "" {
				image = p.image
			}
		}
	}
	return false
}

func phase(w bounds, p endpoint.Pool) endpoint.Phase {
	live := p.Live()
	enough := min(w.min, w.max)
	if live > 0 {
		enough = max(enough, 1)
	}
	switch {
	case w.max == 0 && live == 0:
		return endpoint.PhasePaused
	case w.max == 0, p.Stale > 0:
		return endpoint.PhaseUpdating
	case p.Unhealthy > 0:
		return endpoint.PhaseDegraded
	case p.Ready >= enough:
		return endpoint.PhaseReady
	}
	return endpoint.PhaseScaling
}
