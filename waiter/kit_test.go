package waiter_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/waiter"
)

var (
	v1 = endpoint.Revision{Kind: "template", ID: "a", Artifact: "acme/sdxl:v1"}
	v2 = endpoint.Revision{Kind: "template", ID: "b", Artifact: "acme/sdxl:v2"}
	v3 = endpoint.Revision{Kind: "template", ID: "c", Artifact: "acme/llama:v9"} // nobody here asked for it
)

// look is what one look finds.
type look struct {
	note string
	done bool
	err  error
}

var (
	pending = look{note: "pending"}
	holds   = look{done: true}
	broken  = look{err: endpoint.ErrUnavailable}
	refused = look{err: endpoint.ErrUnauthorized}
)

// probe finds one look after the other, and the last one for ever. It writes
// down when it was asked.
type probe struct {
	looks []look
	start time.Time
	at    []time.Duration
}

func newProbe(looks ...look) *probe { return &probe{looks: looks, start: time.Now()} }

func (p *probe) look(context.Context) (waiter.Observation, bool, error) {
	l := p.looks[min(len(p.at), len(p.looks)-1)]
	p.at = append(p.at, time.Since(p.start))
	return waiter.Observation{Note: l.note}, l.done, l.err
}

// steady makes the moments of a wait plain to see.
var steady = waiter.WithSchedule(waiter.Every(5 * time.Second))

// steadily puts steady before the options of a case, which may say otherwise.
func steadily(opts []waiter.Option) []waiter.Option {
	return append([]waiter.Option{steady}, opts...)
}

// observe keeps what an observer is told, except for what is drawn by lot.
func observe(got *[]waiter.Progress) waiter.Option {
	return waiter.WithObserver(func(p waiter.Progress) {
		p.Jitter = 0
		*got = append(*got, p)
	})
}

// gaps is a schedule that is a plain function.
type gaps func(waiter.Progress) time.Duration

func (g gaps) Next(p waiter.Progress) time.Duration { return g(p) }

// throttled is an error that asks for a time of rest.
type throttled time.Duration

func (throttled) Error() string               { return "rate exceeded" }
func (throttled) Is(target error) bool        { return target == endpoint.ErrThrottled }
func (t throttled) RetryAfter() time.Duration { return time.Duration(t) }

// scene is what an endpoint shows from a moment on.
type scene struct {
	from   time.Duration
	status endpoint.Status
	jobs   int
	err    error // of Status
	jobErr error // of Jobs
}

// script is an endpoint that shows one scene after the other, by the clock.
// Nobody may change it.
type script struct {
	endpoint.Updater

	start  time.Time
	scenes []scene
	looks  int
}

func newScript(scenes ...scene) *script { return &script{start: time.Now(), scenes: scenes} }

func (s *script) now() scene {
	for _, sc := range slices.Backward(s.scenes) {
		if time.Since(s.start) >= sc.from {
			return sc
		}
	}
	panic("the script does not say how it begins")
}

func (s *script) Name() string { return "script/1" }

func (s *script) Status(context.Context) (endpoint.Status, error) {
	s.looks++
	return s.now().status, s.now().err
}

// queue is a script that can count jobs.
type queue struct{ *script }

func (q queue) Jobs(context.Context) (endpoint.Jobs, error) {
	return endpoint.Jobs{InFlight: q.now().jobs, Queued: 7}, q.now().jobErr
}

// wrapper is what a decorator of somebody else looks like.
type wrapper struct{ inner endpoint.Updater }

func (w wrapper) Name() string                                        { return w.inner.Name() }
func (w wrapper) Status(ctx context.Context) (endpoint.Status, error) { return w.inner.Status(ctx) }
func (w wrapper) Update(ctx context.Context, c endpoint.Change) error { return w.inner.Update(ctx, c) }
func (w wrapper) Unwrap() endpoint.Updater                            { return w.inner }

// status is a status with one worker in service, unless serving is zero: then
// it has that many workers that start.
func status(p endpoint.Phase, desired, serving endpoint.Revision, starting int) endpoint.Status {
	s := endpoint.Status{Phase: p, Desired: desired, Serving: serving}
	pool := endpoint.Pool{Starting: starting}
	if !serving.IsZero() {
		pool.Ready = 1
	}
	if pool.Live() > 0 {
		s.Pools = []endpoint.Pool{pool}
	}
	return s
}

// ended returns what the wait says about its end. Every error of a wait says it.
func ended(t *testing.T, err error) *waiter.Error {
	t.Helper()
	var e *waiter.Error
	if !errors.As(err, &e) {
		t.Fatalf("the wait ended with %v, want a *waiter.Error", err)
	}
	return e
}

func wantErr(t *testing.T, got, want error) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateErrors()); diff != "" {
		t.Errorf("error %v (-want +got):\n%s", got, diff)
	}
}

func wantDiff[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateErrors()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func notErr(t *testing.T, got, not error) {
	t.Helper()
	if errors.Is(got, not) {
		t.Errorf("error %v, which must not be %v", got, not)
	}
}
