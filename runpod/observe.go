package runpod

import (
	"context"

	"github.com/changeover-dev/changeover/endpoint"
)

// observe reads what the workers do, and which release they should be on.
func (e *Endpoint) observe(ctx context.Context, s *state) error {
	list, err := e.patches.workers(ctx, e.id)
	if err != nil {
		return err
	}
	s.pods, s.version, s.listed = list.pods, list.version, true
	if len(s.pods) == 0 {
		return nil // nobody has to be on anything
	}
	known := targetOf{version: s.version, revision: s.revision()}
	e.mu.Lock()
	last := e.target
	e.mu.Unlock()
	// Without a version the view is degraded, and what it was before still holds.
	if last.revision == known.revision && (last.version == known.version || known.version == 0) && last.version != 0 {
		s.target = last.target
		return nil
	}
	history, err := e.patches.releases(ctx, e.id)
	if err != nil {
		return err
	}
	s.target = history.target(s.image())
	if known.version == 0 || history.version < known.version {
		return nil // this view is older, or of no known age: look again the next time
	}
	known.version, known.target = history.version, s.target
	e.mu.Lock()
	e.target = known
	e.mu.Unlock()
	return nil
}

// targetOf is the release that a revision came with, as of a version of the
// endpoint.
type targetOf struct {
	version, target int
	revision        endpoint.Revision
}

// poll waits for its turn if polling has used up its share of what may be asked.
func (e *Endpoint) poll(ctx context.Context) (context.Context, error) {
	if e.patches == nil {
		return ctx, nil
	}
	for wait := e.patches.turn(); wait > 0; wait = e.patches.turn() {
		if err := pause(ctx, wait); err != nil {
			return ctx, err
		}
	}
	return context.WithValue(ctx, polling{}, true), nil
}
