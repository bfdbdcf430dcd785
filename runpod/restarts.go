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

// restarts remembers how often each worker's last change moved. It holds
// nothing of workers that the latest look did not show. The zero value is
// ready to use, by many goroutines.
type restarts struct {
	mu   sync.Mutex
	pods map[string]*history
}

type history struct {
	version int
	image   string
	seen    []string // the latest distinct notes, at most loopNotes
	moves   int
	moved   time.Time
}

// observe takes note of the workers that are live on the endpoint's present
// version, and names those that restart again and again. A move counts only if
// counting is true: a worker may have better reasons for one.
func (r *restarts) observe(live []*pod, counting bool, now time.Time) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := make(map[string]*history, len(live))
	var loops []string
	for _, p := range live {
		h := r.pods[p.id]
		if h == nil || h.version != p.version || h.image != p.image || now.Sub(h.moved) > loopWindow {
			h = &history{version: p.version, image: p.image, moved: now}
		}
		next[p.id] = h
		// A note that was seen before is an old read, not a move.
		if p.changed != "" && !slices.Contains(h.seen, p.changed) {
			if len(h.seen) > 0 && counting {
				h.moves++
			}
			h.seen = append(h.seen[max(0, len(h.seen)-loopNotes+1):], p.changed)
			h.moved = now
		}
		if h.moves >= loopMoves {
			loops = append(loops, p.id)
		}
	}
	r.pods = next
	return loops
}
