package runpod

import (
	"slices"
	"sync"
	"time"
)

// A worker whose container starts and dies and starts again is shown as
// running all the while; only the note of its last change keeps moving. One
// move is a start. This many are a loop.
const (
	loopMoves = 2
	// loopWindow is how long moves are remembered after the latest: workers of
	// an endpoint that scales to zero stop and start now and then, by right.
	loopWindow = 10 * time.Minute
	// loopNotes is how many notes are remembered, to know an old read by.
	loopNotes = 8
)

// restarts remembers how often each worker's last change moved, and since when it
// does what it does. It holds nothing of workers that the latest poll did not
// show. The zero value is ready to use, by many goroutines.
type restarts struct {
	mu   sync.Mutex
	pods map[string]*history
	// total counts start times that moved, of workers on the present revision.
	total   int
	version int
	image   string
}

type history struct {
	version int
	image   string
	seen    []string // the latest distinct notes, at most loopNotes
	moves   int
	moved   time.Time
	started time.Time
	// again is how often it started again, each time within loopWindow of the time
	// before, from first to last.
	again       int
	first, last time.Time
	status      string
	since       time.Time
}

// restarted takes note of one more start.
func (h *history) restarted(now time.Time) {
	if now.Sub(h.last) > loopWindow {
		h.again, h.first = 0, now
	}
	h.again, h.last = h.again+1, now
}

// loopsSince is since when the worker starts again and again, whatever it is shown
// as in between; zero if it does not.
func (h *history) loopsSince(now time.Time) time.Time {
	if h.again < loopMoves || now.Sub(h.last) > loopWindow {
		return time.Time{}
	}
	return h.first
}

// observe takes note of the workers that are live on the endpoint's present
// version, and names those that restart again and again. A move counts only if
// counting is true: a worker may have better reasons for one. It fills in since
// when each worker was seen in its status.
func (r *restarts) observe(live []*pod, counting bool, now time.Time) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := make(map[string]*history, len(live))
	var loops []string
	for _, p := range live {
		if p.version > r.version || p.image != "" && p.image != r.image {
			r.total, r.version, r.image = 0, max(p.version, r.version), p.image
		}
		h := r.pods[p.id]
		if h == nil || h.version != p.version || h.image != p.image {
			h = &history{version: p.version, image: p.image, moved: now}
		} else if now.Sub(h.moved) > loopWindow {
			h.seen, h.moves, h.moved = nil, 0, now
		}
		next[p.id] = h
		r.note(h, p, counting, now)
		if h.moves >= loopMoves {
			loops = append(loops, p.id)
		}
	}
	r.pods = next
	return loops
}

// note takes in what one worker shows. A note that was seen before, or an earlier
// start, is an old read and no move.
func (r *restarts) note(h *history, p *pod, counting bool, now time.Time) {
	if p.changed != "" && !slices.Contains(h.seen, p.changed) {
		if len(h.seen) > 0 && counting {
			h.moves++
		}
		h.seen = append(h.seen[max(0, len(h.seen)-loopNotes+1):], p.changed)
		h.moved = now
	}
	if p.started.After(h.started) {
		if !h.started.IsZero() {
			r.total++
			h.restarted(now)
		}
		h.started = p.started
	}
	p.loopsSince = h.loopsSince(now)
	if h.status != p.status {
		h.status, h.since = p.status, now
	}
	p.since = h.since
}

// count is how many restarts were seen of the present revision.
func (r *restarts) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}
