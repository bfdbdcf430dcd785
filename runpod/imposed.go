package runpod

import (
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// RunPod scales an endpoint down to 0 whose workers do nothing but fail. To the
// API that is a change of bounds like anybody's. Left alone as somebody else's,
// it would leave a rolled-back endpoint paused; so it is told apart by what came
// before: workers of the present revision that failed while none served, and
// bounds that were higher, and that this Endpoint did not lower.

// failingFor is how long failing workers are remembered after the last look
// that saw them, and what RunPod did about them: it takes its time.
const failingFor = 15 * time.Minute

// failing is what was seen of a revision whose workers do nothing but fail.
type failing struct {
	revision endpoint.Revision
	last     time.Time // zero: none do
	reason   string
	// down is when RunPod was last seen to have scaled the endpoint down for it.
	// A later read may be an old one, so nothing but time or a write of this
	// Endpoint's own ends that.
	down time.Time
}

// impose fills in what RunPod itself has set, and that it has given up.
func (e *Endpoint) impose(s *state, out *endpoint.Status) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	f := &e.failing
	p := out.Pools[0]
	ours := e.acknowledged != nil && e.acknowledged.max == 0
	switch {
	case s.workers.max > 0 && p.Unhealthy > 0 && p.Ready == 0:
		f.revision, f.last, f.reason = out.Desired, now, out.Reason
	case s.workers.max == 0 && !ours && now.Sub(f.last) < failingFor:
		f.down = now
	}
	if now.Sub(f.down) >= failingFor {
		return
	}
	imposed := endpoint.Settings{}
	if s.workers.max == 0 && !ours {
		imposed[endpoint.WorkersMax] = 0
		if out.Desired.Same(f.revision) {
			out.Phase = endpoint.PhaseFailed
			out.Reason = clip("RunPod scaled the endpoint down to 0 because its workers kept failing: " + f.reason)
		}
	}
	// The minimum went with the maximum, and comes back after it.
	if s.workers.min == 0 && !(ours || e.minWritten.After(f.down)) {
		imposed[endpoint.WorkersMin] = 0
	}
	if len(imposed) > 0 {
		out.Imposed = imposed
	}
}
