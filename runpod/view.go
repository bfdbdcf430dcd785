package runpod

import (
	"context"
	"strconv"
	"sync"

	"github.com/changeover-dev/changeover/endpoint"
)

// pollRequests is how many requests one Status makes at most.
const pollRequests = 3

// workerView is what REST shows, whichever way an endpoint is changed: workers
// that say which release they run, and a history of those. It is safe for
// concurrent use.
type workerView struct {
	rest *rest
	id   string

	mu sync.Mutex
	// target is the release that the workers should be on, as last found out.
	target targetOf
	// seen is true once the workers were shown.
	seen bool
}

// targetOf is the release that a revision came with, as of a version of the
// endpoint.
type targetOf struct {
	version, target int
	revision        endpoint.Revision
	unseen          int
	build           string
}

// poll waits until polling may spend what a Status costs.
func (v *workerView) poll(ctx context.Context) (context.Context, error) {
	return v.rest.api.Polling(ctx, pollRequests)
}

// add reads what the workers do, and which release they should be on. own says
// that the state is REST's as well.
func (v *workerView) add(ctx context.Context, s *state, own bool) error {
	list, err := v.rest.workers(ctx, v.id)
	if err != nil {
		return err
	}
	if s.list = list; own {
		s.version = list.version
	}
	known := targetOf{version: list.version, revision: s.revision()}
	v.mu.Lock()
	last, seen := v.target, v.seen
	v.seen = true
	v.mu.Unlock()
	if len(list.pods) == 0 && seen && !own {
		return nil // there is no worker that has to be on anything
	}
	// Without a version the view is degraded, and what it was before still holds.
	if last.revision == known.revision && (last.version == known.version || known.version == 0) && last.version != 0 {
		s.place(last)
		return nil
	}
	history, err := v.rest.releases(ctx, v.id)
	if err != nil {
		return err
	}
	known.target, known.unseen = history.target(s.image()), history.unseen()
	known.build = history.built(1)
	s.place(known)
	s.late = history.version != 0 && history.version < list.version
	if known.version == 0 || history.version < known.version {
		return nil // this view is older, or of no known age: read it again the next time
	}
	known.version = history.version
	v.mu.Lock()
	v.target = known
	v.mu.Unlock()
	return nil
}

// forget drops what was found out, before a write that makes a release.
func (v *workerView) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.target = targetOf{}
}

// place takes in what the history says.
func (s *state) place(t targetOf) {
	s.target = t.target
	if s.fields == nil {
		return
	}
	if t.unseen > 0 {
		s.fields["release of other settings"] = "release " + strconv.Itoa(t.unseen)
	}
	if t.build != "" {
		s.fields["build"] = t.build
	}
}
