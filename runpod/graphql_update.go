package runpod

import (
	"context"
	"errors"
	"fmt"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// graphQLOperations are the operations over GraphQL, which links an endpoint to a
// template. Which worker runs what is read over REST, where that may be asked.
type graphQLOperations struct {
	*Endpoint
	api *graphQL
	// view is nil if REST may not be asked.
	view *workerView
	// unseen is why REST does not show the workers, as it was found out at the
	// first read; nil if it does.
	unseen error
	// shown is true once it did.
	shown bool
}

var _ operations = (*graphQLOperations)(nil)

func (o *graphQLOperations) setWorkers(ctx context.Context, b bound, n int) (bounds, error) {
	return o.api.setWorkers(ctx, o.id, b, n)
}

func (o *graphQLOperations) update(ctx context.Context, c endpoint.Change) error {
	if err := checkChange(c); err != nil {
		return err
	}
	s, err := o.readUntilChanged(ctx, c.To)
	if err != nil {
		return err
	}
	if rewrites(s, c.To) {
		return o.rewrite(ctx, c.To.ID, c.To.Artifact, c.To.Digest)
	}
	return o.api.link(ctx, o.id, c.To.ID)
}

// readUntilChanged reads until it sees another revision than the one that is to
// be written. The caller has seen another one: a read that shows it already is
// likely an old one, from before it was left, and what is in the way now would be
// taken for less than it is. In the end the last read has to do.
func (o *graphQLOperations) readUntilChanged(ctx context.Context, to endpoint.Revision) (s *state, err error) {
	for _, gap := range readGaps {
		if err := pause(ctx, gap); err != nil {
			return nil, err
		}
		if s, err = o.read(ctx); err != nil || !s.revision().Same(to) {
			return s, err
		}
	}
	return s, nil
}

// rewrites reports whether moving to the revision changes the template that is
// live rather than the link to it.
func rewrites(s *state, to endpoint.Revision) bool {
	return s.templateID == to.ID && to.Artifact != "" && s.template != nil && s.template.ImageName != to.Artifact
}

func checkChange(c endpoint.Change) error {
	switch {
	case c.To.Kind != KindTemplate:
		return fmt.Errorf("revision of kind %q, want %q with an id: resolve it first: %w", httpx.Clip(c.To.Kind), KindTemplate, endpoint.ErrInvalid)
	case !plainID(c.To.ID):
		return fmt.Errorf("template id %q: %w", httpx.Clip(c.To.ID), endpoint.ErrInvalid)
	case hasOptions(c):
		return fmt.Errorf("RunPod takes no options with an update: %w", endpoint.ErrInvalid)
	}
	if c.To.Artifact == "" {
		return nil
	}
	_, err := parseImage(c.To.Artifact)
	return err
}

// read reads the endpoint, and by a second read its template if the first left
// that out.
func (o *graphQLOperations) read(ctx context.Context) (*state, error) {
	s, err := o.api.endpoint(ctx, o.id)
	if err != nil {
		return nil, err
	}
	if s.id != o.id {
		return nil, unclear("answer for endpoint %q", s.id)
	}
	if s.template != nil && s.template.ID != s.templateID {
		s.template = nil // two moments in one answer
	}
	if s.template == nil && s.templateID != "" {
		t, err := o.api.template(ctx, s.templateID)
		switch {
		case err == nil:
			s.template = &t.content
		case !errors.Is(err, endpoint.ErrNotFound):
			return nil, err
		}
		// The endpoint is there, even if what it runs is not shown: versions
		// still tell which workers are stale.
	}
	o.noteQueue(s)
	return s, nil
}

// readWorkers reads REST's list of workers too. That is more than is needed, and
// is done without where the key may not read it: for good, as a rollout is to be
// judged by one measure from its begin.
func (o *graphQLOperations) readWorkers(ctx context.Context) (*state, error) {
	view := o.workerView()
	if view != nil {
		var err error
		if ctx, err = view.poll(ctx); err != nil {
			return nil, err
		}
	}
	s, err := o.read(ctx)
	if err != nil || view == nil {
		return s, err
	}
	return s, o.addWorkers(ctx, s, view)
}

func (o *graphQLOperations) addWorkers(ctx context.Context, s *state, view *workerView) error {
	err := view.add(ctx, s, false)
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.shown && err != nil && endpoint.Unapplied(err) && !endpoint.Transient(err) {
		s.list, o.unseen, err = nil, err, nil
	}
	o.shown = o.shown || s.list != nil && err == nil
	return err
}

// workerView is nil if REST is not asked for the workers.
func (o *graphQLOperations) workerView() *workerView {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.unseen != nil {
		return nil
	}
	return o.view
}

func (o *graphQLOperations) workerLog(ctx context.Context, worker string) ([]logEntry, error) {
	view := o.workerView()
	if view == nil {
		return nil, errors.ErrUnsupported
	}
	return view.rest.workerLog(ctx, o.id, worker)
}
