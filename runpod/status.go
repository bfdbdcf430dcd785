package runpod

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// Status looks at the endpoint, its template and its workers, and at the
// health of the workers on the job plane.
//
// A worker is live while RunPod wants it to run. It is stale if its image is
// not the template's, or its version not the endpoint's. Serving is the
// template if at least one worker is live and ready and none is stale. The job
// plane counts workers without naming them, so its counts are shared out with
// care: unhealthy ones go to stale workers first, starting and throttled ones
// to the others first, and there are never more ready ones than it knows of.
// Behind a load balancer it knows nothing: there a running worker is ready.
//
// A worker that was seen to restart twice, less than ten minutes apart, while no
// worker of the template was ready, counts as unhealthy until one is or it has
// been quiet for as long. That is remembered by the Endpoint: keep one for the
// whole rollout.
//
// The phase is [endpoint.PhasePaused] with a maximum of 0 and no live worker,
// and PhaseUpdating while stale workers are live or, with a maximum of 0, any.
// It is PhaseReady with no live worker too if the minimum is 0, but then
// nothing is serving and nothing is proven.
//
// A job plane that cannot be read is an error, except for a paused endpoint
// with no live worker, about which it has nothing to say. That it does not
// know the endpoint is [endpoint.ErrUnavailable]: it is late for new ones.
func (e *Endpoint) Status(ctx context.Context) (endpoint.Status, error) {
	const op = "status"
	if err := e.begin(ctx, op); err != nil {
		return endpoint.Status{}, err
	}
	s, err := e.look(ctx)
	if err != nil {
		return endpoint.Status{}, e.wrap(op, err)
	}
	v := sortPods(s)
	var h *healthWorkers
	if !s.loadBalancer() && (s.workers.max > 0 || v.live() > 0) {
		read, err := e.jobPlane.health(ctx, e.id)
		if err != nil {
			return endpoint.Status{}, e.wrap(op, err)
		}
		h = &read.Workers
	}
	return derive(s, v, h, e.loops(v, h)), nil
}

// loops names the workers that restart again and again. Where the job plane
// vouches for a worker on the present version, there is none: it cannot say
// for which.
func (e *Endpoint) loops(v view, h *healthWorkers) []string {
	vouched := h != nil && pool(v, h, 0).Ready > 0
	waiting := h != nil && h.Throttled > 0
	loops := e.restarts.observe(v.current, !vouched && !waiting, time.Now())
	if vouched {
		return nil
	}
	return loops
}

// view is the live workers of a state by what they run.
type view struct {
	current []pod // on the wanted image and version
	stale   []pod
	unknown []pod // RunPod does not say what they run
}

func (v view) live() int { return len(v.current) + len(v.stale) + len(v.unknown) }

func sortPods(s *state) view {
	var v view
	wanted := ""
	if s.template != nil {
		wanted = s.template.ImageName
	}
	for _, p := range s.pods {
		if !live(p.status) {
			continue
		}
		otherVersion := p.version != 0 && s.version != 0 && p.version != s.version
		sameVersion := p.version != 0 && p.version == s.version
		switch {
		case otherVersion, p.image != "" && wanted != "" && !samePodImage(p.image, wanted):
			v.stale = append(v.stale, p)
		case sameVersion, p.image != "" && wanted != "":
			v.current = append(v.current, p)
		default:
			v.unknown = append(v.unknown, p)
		}
	}
	return v
}

// live takes a status that it does not know for a running worker's: to wait
// for one that is gone is better than to overlook one that is there.
func live(status string) bool {
	switch strings.ToUpper(status) {
	case "EXITED", "PAUSED", "DEAD", "TERMINATED":
		return false
	}
	return true
}

func running(status string) bool { return strings.EqualFold(status, "RUNNING") }

// derive puts what was read into the words of package endpoint. h is nil if
// the job plane has no view of the endpoint.
func derive(s *state, v view, h *healthWorkers, loops []string) endpoint.Status {
	p := pool(v, h, len(loops))
	out := endpoint.Status{
		Mixed:    mixed(v),
		Settings: endpoint.Settings{endpoint.WorkersMin: s.workers.min, endpoint.WorkersMax: s.workers.max},
		Pools:    []endpoint.Pool{p},
		Reason:   reason(v, p, h, loops),
		Phase:    phase(s.workers, p),
	}
	if s.template != nil {
		out.Desired = s.template.revision()
	} else if s.templateID != "" {
		out.Desired = endpoint.Revision{Kind: KindTemplate, ID: s.templateID}
	}
	if s.version != 0 {
		out.Generation = strconv.Itoa(s.version)
	}
	if p.Ready > 0 && len(v.stale) == 0 && len(v.unknown) == 0 {
		out.Serving = out.Desired
	}
	return out
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
	// Idle and ready are the same workers twice. Whoever of them may be stale is.
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
	for _, pods := range [][]pod{v.current, v.stale, v.unknown} {
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

// reason says what is wrong, in RunPod's words where it has some.
func reason(v view, p endpoint.Pool, h *healthWorkers, loops []string) string {
	var parts []string
	if len(loops) > 0 {
		parts = append(parts, fmt.Sprintf("workers restart again and again: %s", strings.Join(loops, ", ")))
	}
	if h != nil && h.Unhealthy > 0 {
		on := ""
		if p.Unhealthy == 0 && p.Stale > 0 {
			on = ", taken for stale ones"
		}
		parts = append(parts, fmt.Sprintf("RunPod reports unhealthy workers: %d%s", h.Unhealthy, on))
	}
	if h != nil && h.Throttled > 0 {
		parts = append(parts, fmt.Sprintf("RunPod reports throttled workers, for which it has no GPU: %d", h.Throttled))
	}
	if n := len(v.unknown); n > 0 {
		parts = append(parts, fmt.Sprintf("RunPod does not say what %d workers run", n))
	}
	return clip(strings.Join(parts, "; "))
}
