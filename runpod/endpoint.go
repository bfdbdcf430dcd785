package runpod

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// Endpoint is one RunPod Serverless endpoint, safe for concurrent use. Get it
// from [Client.Endpoint].
//
// Every error is an [*endpoint.Error]; what RunPod answered is in it as an
// [*APIError]. A request whose answer does not come, or does not tell what
// happened, is [endpoint.ErrUnavailable] and is never sent again by itself.
type Endpoint struct {
	id           string
	control      control
	links        linker  // nil over REST
	patches      patcher // nil over GraphQL
	watch        watcher // nil if REST may not be asked
	peers        control // shows links between endpoints and templates; nil if nothing may
	jobPlane     *jobPlane
	allowMutable bool
	allowShared  bool
	allowCopy    bool

	restarts restarts

	mu sync.Mutex
	// acknowledged is what the last write of a worker bound through this
	// Endpoint was answered with; nil before that.
	acknowledged *bounds
	// written is when.
	written time.Time
	// queue is true once a read has shown an endpoint that has one.
	queue bool
	// target is the release that the workers should be on, as last found out.
	target targetOf
	// sighted is true once REST has shown the workers. Over GraphQL, blind is why
	// it does not show them, as it was found out at the first look; nil if it does.
	sighted bool
	blind   error
	// patched is when the settings were last written.
	patched time.Time
}

var (
	_ endpoint.Updater         = (*Endpoint)(nil)
	_ endpoint.Scaler          = (*Endpoint)(nil)
	_ endpoint.Stager          = (*Endpoint)(nil)
	_ endpoint.Drainer         = (*Endpoint)(nil)
	_ endpoint.WorkerInspector = (*Endpoint)(nil)
	_ endpoint.Resolver        = (*Endpoint)(nil)
	_ endpoint.Preflighter     = (*Endpoint)(nil)
)

// Name is "runpod/<id>".
func (e *Endpoint) Name() string { return "runpod/" + e.id }

// String is Name.
func (e *Endpoint) String() string { return e.Name() }

// GoString is Name.
func (e *Endpoint) GoString() string { return e.Name() }

// begin refuses to send anything with a done context or an impossible id.
func (e *Endpoint) begin(ctx context.Context, op string) error {
	if err := contextError(ctx); err != nil {
		return e.wrap(op, err)
	}
	if e.id == "" {
		return e.wrap(op, fmt.Errorf("empty endpoint id: %w", endpoint.ErrInvalid))
	}
	if !plainID(e.id) {
		return e.wrap(op, fmt.Errorf("an endpoint id has letters, digits, - and _ only: %w", endpoint.ErrInvalid))
	}
	return nil
}

// plainID keeps ids from becoming other paths on the job plane.
func plainID(id string) bool {
	return id != "" && !strings.ContainsFunc(id, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
	})
}

func (e *Endpoint) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &endpoint.Error{Op: op, Endpoint: e.Name(), Err: err}
}

// Update asks RunPod for the revision c.To, by as small a write as there is.
// RunPod then replaces the workers one by one.
//
// Over REST it sends the image alone, and leaves every other setting as it is,
// unless c.To has a digest that tells that more has to change. Then it copies
// the template that holds just that, or takes the old values from RunPod's own
// history of releases, which is how a copy is rolled back. If neither is to be
// had that is [endpoint.ErrDrift], and nothing is written.
//
// Over GraphQL it links the endpoint to the template c.To. If it is linked to
// that one already, and c.To names another image, the image of the template is
// replaced instead and the rest of it is written back as it is: the first of
// the two methods on RunPod's page. If c.To has a digest, a template that was
// edited meanwhile is not written: that is [endpoint.ErrDrift]. Replacing an
// image may take some seconds, until what is read can be believed.
//
// It reads first and writes once; over REST a second write follows if the
// answer to the first shows that the read was old. RunPod takes no options:
// c.Options must be empty.
func (e *Endpoint) Update(ctx context.Context, c endpoint.Change) error {
	const op = "update"
	if err := e.begin(ctx, op); err != nil {
		return err
	}
	return e.wrap(op, e.update(ctx, c))
}

func (e *Endpoint) update(ctx context.Context, c endpoint.Change) error {
	if e.patches != nil {
		if err := checkImageChange(c); err != nil {
			return err
		}
		return e.patchTo(ctx, c.To)
	}
	if err := checkChange(c); err != nil {
		return err
	}
	s, err := e.lookPast(ctx, c.To)
	if err != nil {
		return err
	}
	if rewrites(s, c.To) {
		return e.rewrite(ctx, c.To.ID, c.To.Artifact, c.To.Digest)
	}
	return e.links.link(ctx, e.id, c.To.ID)
}

// lookPast looks until it sees another revision than the one that is to be
// written. Whoever asks for it has seen another one: a read that shows it
// already is likely an old one, from before it was left, and what is in the way
// now would be taken for less than it is. In the end the last look has to do.
func (e *Endpoint) lookPast(ctx context.Context, to endpoint.Revision) (s *state, err error) {
	for _, gap := range lookGaps {
		if err := pause(ctx, gap); err != nil {
			return nil, err
		}
		if s, err = e.lookWhole(ctx); err != nil || !s.revision().Same(to) {
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
		return fmt.Errorf("revision of kind %q, want %q with an id: resolve it first: %w", clip(c.To.Kind), KindTemplate, endpoint.ErrInvalid)
	case !plainID(c.To.ID):
		return fmt.Errorf("template id %q: %w", clip(c.To.ID), endpoint.ErrInvalid)
	case hasOptions(c):
		return fmt.Errorf("RunPod takes no options with an update: %w", endpoint.ErrInvalid)
	}
	if c.To.Artifact == "" {
		return nil
	}
	_, err := parseImage(c.To.Artifact)
	return err
}

func hasOptions(c endpoint.Change) bool {
	options := bytes.TrimSpace(c.Options)
	return len(options) > 0 && !bytes.Equal(options, []byte("null"))
}

// look reads the endpoint, and by a second read its template if the first left
// that out.
func (e *Endpoint) look(ctx context.Context) (*state, error) {
	s, err := e.control.endpoint(ctx, e.id)
	if err != nil {
		return nil, err
	}
	if s.id != e.id {
		return nil, unclear("answer for endpoint %q", s.id)
	}
	if s.template != nil && s.template.ID != s.templateID {
		s.template = nil // two moments in one answer
	}
	if s.template == nil && s.templateID != "" {
		t, err := e.control.template(ctx, s.templateID)
		switch {
		case err == nil:
			s.template = &t.content
		case !errors.Is(err, endpoint.ErrNotFound):
			return nil, err
		}
		// The endpoint is there, even if nobody shows what it runs: versions
		// still tell which workers are stale.
	}
	if !s.loadBalancer() {
		e.mu.Lock()
		e.queue = true
		e.mu.Unlock()
	}
	return s, nil
}
