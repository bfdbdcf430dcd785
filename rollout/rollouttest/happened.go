package rollouttest

import (
	"context"
	"testing"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
)

// A point whose fault did not happen shows nothing. So each fault that the
// environment is asked for is watched: it has to call the fault's Then, the
// write takes effect only if the fault lets it, and the caller hears of it.

// asked is one fault that the environment was asked for.
type asked struct {
	endpointtest.Fault
	n    int // the write, for Environment.Applied
	what string
	done bool // Then was called
}

// ask hands a fault to the environment, and watches it.
func (r *run) ask(t *testing.T, what string, f endpointtest.Fault) endpointtest.Fault {
	t.Helper()
	a := &asked{Fault: f, n: r.writes, what: what}
	r.mu.Lock()
	r.asked, r.answer = append(r.asked, a), f.Kind
	r.mu.Unlock()
	f.Then = func() {
		r.mu.Lock()
		a.done = true
		r.mu.Unlock()
		if r.Applied != nil && !f.Kind.Applies() && r.Applied(a.n) {
			t.Errorf("write %d, %q, took effect, although its fault was %q", a.n, what, f.Kind)
		}
		if a.Then != nil {
			a.Then()
		}
	}
	return f
}

// unanswered begins another write, whose answer is not known yet.
func (r *run) unanswered() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = endpointtest.FaultNone
}

// happened fails a point one of whose faults did not happen.
func (r *run) happened(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.asked {
		applied := r.Applied != nil && r.Applied(a.n)
		switch {
		case !a.done:
			t.Errorf("write %d, %q: the environment was asked for the fault %q, and did not call its Then: it did not happen", a.n, a.what, a.Kind)
		case applied && !a.Kind.Applies() && a.Kind != endpointtest.FaultLate:
			t.Errorf("write %d, %q, took effect, although its fault was %q", a.n, a.what, a.Kind)
		}
	}
}

// heard fails the point if a call returned no error although the answer to its
// last write was a fault.
func (r *run) heard(t *testing.T, call string, err error) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch r.answer { //nolint:exhaustive // of the others the caller hears success
	case endpointtest.FaultRefused, endpointtest.FaultThrottled, endpointtest.FaultLostBefore, endpointtest.FaultLostAfter, endpointtest.FaultLate:
		if err == nil {
			t.Errorf("%s returned no error, although the fault of its write was %q: it did not happen, or the updater hides it", call, r.answer)
		}
	}
	r.answer = endpointtest.FaultNone
}

// hear returns the environment's updater, of which the point hears each answer
// to a write.
func (r *run) hear(t *testing.T, u endpoint.Updater) endpoint.Updater {
	h := hearing{u, t, r}
	if s, ok := endpoint.As[endpoint.Scaler](u); ok {
		return setting{h, s}
	}
	return h
}

type hearing struct {
	endpoint.Updater

	t *testing.T
	r *run
}

// Unwrap shows the abilities of the updater.
func (h hearing) Unwrap() endpoint.Updater { return h.Updater }

// Update implements [endpoint.Updater].
func (h hearing) Update(ctx context.Context, c endpoint.Change) error {
	h.t.Helper()
	err := h.Updater.Update(ctx, c)
	h.r.heard(h.t, "Update", err)
	return err
}

type setting struct {
	hearing

	scaler endpoint.Scaler
}

// Set implements [endpoint.Scaler].
func (s setting) Set(ctx context.Context, key string, value int) error {
	s.t.Helper()
	err := s.scaler.Set(ctx, key, value)
	s.r.heard(s.t, "Set", err)
	return err
}
