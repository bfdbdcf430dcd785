package runpod

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// Endpoint is one RunPod Serverless endpoint, safe for concurrent use. Get it
// from [Client.Endpoint].
//
// Every error is an [*endpoint.Error]; what RunPod answered is in it as an
// [*APIError]. A request whose answer does not come, or does not tell what
// happened, is [endpoint.ErrUnavailable] and is never sent again by itself.
type Endpoint struct {
	id       string
	ops      operations
	jobPlane *jobPlane
	secrets  secrets

	allowMutable bool
	allowShared  bool
	allowCopy    bool

	restarts  restarts
	diagnoses diagnoses

	mu sync.Mutex
	// acknowledged is what the last write of a worker bound through this
	// Endpoint was answered with; nil before that.
	acknowledged *bounds
	// written is when.
	written time.Time
	// queue is true once a read has shown an endpoint that has one.
	queue bool
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
	if err := httpx.ContextError(ctx); err != nil {
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

// wrap is the border: an answer that this package says something about may be
// quoted in it, secrets and all.
func (e *Endpoint) wrap(op string, err error) error {
	return endpoint.Wrap(op, e.Name(), e.secrets.hideIn(err))
}

// Update asks RunPod for the revision c.To, by as small a write as there is.
// RunPod then replaces the workers one by one.
//
// Over REST it sends the image alone, and leaves every other setting as it is,
// unless c.To has a digest that tells that more has to change and
// [AllowTemplateCopy] is set. Then it copies
// the template that holds just that, or takes the old values from RunPod's own
// history of releases, which is how a copy is rolled back. If neither is to be
// had that is [endpoint.ErrDrift], and nothing is written.
//
// Over GraphQL it links the endpoint to the template c.To. If it is linked to
// that one already, and c.To names another image, the image of the template is
// replaced instead and the rest of it is written back as it is: the first of
// the two methods on RunPod's page. If c.To has a digest, a template that was
// edited since is not written: that is [endpoint.ErrDrift]. Replacing an
// image may take some seconds, until reads catch up.
//
// It reads first and writes once; over REST a second write follows if the
// answer to the first shows that the read was old. RunPod takes no options:
// c.Options must be empty.
func (e *Endpoint) Update(ctx context.Context, c endpoint.Change) error {
	const op = "update"
	if err := e.begin(ctx, op); err != nil {
		return err
	}
	return e.wrap(op, e.ops.update(ctx, c))
}

// Resolve completes a revision.
//
// Over REST an image (kind "image" or none) becomes the endpoint's present
// settings with that image. A template's id is [errors.ErrUnsupported], as REST
// has no links to templates, unless [AllowTemplateCopy] is set: then it becomes
// what the endpoint's settings are once the template was copied into them.
//
// Over GraphQL a template's id (kind "template" or none) gets its image and
// digest. An image alone (kind "image" or none) becomes the endpoint's own live
// template with that image: moving to it replaces the template's image. A
// template's id with an image other than its own is [errors.ErrUnsupported],
// unless it is the live one: that has to be staged.
//
// Refused are, as [endpoint.ErrNotFound], a template that does not exist and,
// as [endpoint.ErrInvalid], one for pods, one of another account, and an image
// reference that cannot be read. A digest that the template does not have is
// [endpoint.ErrDrift].
func (e *Endpoint) Resolve(ctx context.Context, r endpoint.Revision) (endpoint.Revision, error) {
	const op = "resolve"
	if err := e.begin(ctx, op); err != nil {
		return endpoint.Revision{}, err
	}
	full, err := e.ops.resolve(ctx, r)
	return full, e.wrap(op, err)
}

func hasOptions(c endpoint.Change) bool {
	options := bytes.TrimSpace(c.Options)
	return len(options) > 0 && !bytes.Equal(options, []byte("null"))
}

// noteQueue remembers that the endpoint has a queue: it keeps its type for life.
func (e *Endpoint) noteQueue(s *state) {
	if s.loadBalancer() {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queue = true
}
