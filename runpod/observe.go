package runpod

import (
	"context"

	"github.com/changeover-dev/changeover/endpoint"
)

// observe reads what the workers do, and which release they should be on. Over
// GraphQL that is more than is needed, and is done without where the key may not
// look: for good, as a rollout is to be judged by one measure from its begin.
func (e *Endpoint) observe(ctx context.Context, s *state) error {
	if !e.sees() {
		return nil
	}
	err := e.watched(ctx, s)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.links != nil && !e.sighted && err != nil && endpoint.Unapplied(err) && !endpoint.Transient(err) {
		s.list, e.blind, err = nil, err, nil
	}
	e.sighted = e.sighted || s.list != nil && err == nil
	return err
}

// sees reports whether REST is asked for the workers.
func (e *Endpoint) sees() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.watch != nil && e.blind == nil
}

func (e *Endpoint) watched(ctx context.Context, s *state) error {
	list, err := e.watch.workers(ctx, e.id)
	if err != nil {
		return err
	}
	if s.list = list; e.patches != nil {
		s.version = list.version
	}
	known := targetOf{version: list.version, revision: s.revision()}
	e.mu.Lock()
	last, sighted := e.target, e.sighted
	e.mu.Unlock()
	if len(list.pods) == 0 && sighted && s.own == nil {
		return nil // nobody has to be on anything
	}
	// Without a version the view is degraded, and what it was before still holds.
	if last.revision == known.revision && (last.version == known.version || known.version == 0) && last.version != 0 {
		s.place(last)
		return nil
	}
	history, err := e.watch.releases(ctx, e.id)
	if err != nil {
		return err
	}
	known.target, known.unseen = history.target(s.image()), history.unseen()
	s.place(known)
	s.late = history.version != 0 && history.version < list.version
	if known.version == 0 || history.version < known.version {
		return nil // this view is older, or of no known age: look again the next time
	}
	known.version = history.version
	e.mu.Lock()
	e.target = known
	e.mu.Unlock()
	return nil
}

// place takes in what the history says.
func (s *state) place(t targetOf) {
	if s.target = t.target; s.own != nil {
		s.own.unseen = t.unseen
	}
}

// lookWhole looks at the endpoint and, over REST, at what its settings do not
// show, as far as it can be told.
func (e *Endpoint) lookWhole(ctx context.Context) (*state, error) {
	s, err := e.look(ctx)
	if err != nil || s.own == nil {
		return s, err
	}
	history, err := e.watch.releases(ctx, e.id)
	if err != nil {
		return nil, err
	}
	s.own.unseen = history.unseen()
	return s, nil
}

// targetOf is the release that a revision came with, as of a version of the
// endpoint.
type targetOf struct {
	version, target int
	revision        endpoint.Revision // but for what is unseen
	unseen          int
}

// poll waits for its turn if polling has used up its share of what may be asked.
func (e *Endpoint) poll(ctx context.Context) (context.Context, error) {
	if !e.sees() {
		return ctx, nil
	}
	for wait := e.watch.turn(); wait > 0; wait = e.watch.turn() {
		if err := pause(ctx, wait); err != nil {
			return ctx, err
		}
	}
	return context.WithValue(ctx, polling{}, true), nil
}
