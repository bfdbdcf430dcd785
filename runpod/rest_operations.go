package runpod

import (
	"context"
	"sync"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// restOperations are the operations over REST, where an endpoint's settings are
// its own, and a template can only be copied into them.
type restOperations struct {
	*Endpoint
	api  *rest
	view *workerView
	// links shows which endpoints are linked to which template, as REST does not;
	// nil if it may not be asked.
	links func(context.Context) (*account, error)
	// instead ends what says that REST cannot do something.
	instead string

	patching sync.Mutex
	// patched is when the settings were last written.
	patched time.Time
}

var _ operations = (*restOperations)(nil)

func (o *restOperations) read(ctx context.Context) (*state, error) {
	s, err := o.api.endpoint(ctx, o.id)
	if err != nil {
		return nil, err
	}
	if s.id != o.id {
		return nil, unclear("answer for endpoint %q", s.id)
	}
	s.digested = o.allowCopy
	o.noteQueue(s)
	return s, nil
}

func (o *restOperations) readWorkers(ctx context.Context) (*state, error) {
	ctx, err := o.view.poll(ctx)
	if err != nil {
		return nil, err
	}
	s, err := o.read(ctx)
	if err == nil {
		err = o.view.add(ctx, s, true)
	}
	return s, err
}

func (o *restOperations) setWorkers(ctx context.Context, b bound, n int) (bounds, error) {
	return o.api.setWorkers(ctx, o.id, b, n)
}

func (o *restOperations) workerLog(ctx context.Context, worker string) ([]logEntry, error) {
	return o.api.workerLog(ctx, o.id, worker)
}

func (o *restOperations) draft(context.Context, endpoint.Revision, string) (endpoint.Draft, error) {
	return endpoint.Draft{}, o.noStaging()
}

func (o *restOperations) stage(context.Context, endpoint.Draft) error  { return o.noStaging() }
func (o *restOperations) staged(context.Context, endpoint.Draft) error { return o.noStaging() }

// patchNow notes that the settings are being written: what was found out about
// releases is old from here on.
func (o *restOperations) patchNow(ctx context.Context, p patch) (*state, error) {
	o.patching.Lock()
	o.patched = time.Now()
	o.patching.Unlock()
	o.view.forget()
	s, err := o.api.patch(ctx, o.id, p)
	if s != nil {
		s.digested = o.allowCopy
	}
	return s, err
}

func (o *restOperations) justPatched() bool {
	o.patching.Lock()
	defer o.patching.Unlock()
	return !o.patched.IsZero() && time.Since(o.patched) < readLag
}

// readSettled reads the endpoint's settings until two reads in a row agree: a
// digest of an old read means nothing.
func (o *restOperations) readSettled(ctx context.Context) (*state, error) {
	var last *state
	for _, gap := range readGaps {
		if err := pause(ctx, gap); err != nil {
			return nil, err
		}
		s, err := o.read(ctx)
		if err != nil {
			return nil, err
		}
		if last != nil && last.own.digest() == s.own.digest() && last.hardware == s.hardware {
			return s, nil
		}
		last = s
	}
	return nil, unclear("the endpoint reads differently each time")
}
