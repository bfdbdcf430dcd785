package endpoint_test

import (
	"context"
	"errors"
	"testing"

	"github.com/changeover-dev/changeover/endpoint"
)

// bare has no ability at all.
type bare struct{ name string }

func (b bare) Name() string                                  { return b.name }
func (bare) Status(context.Context) (endpoint.Status, error) { return endpoint.Status{}, nil }
func (bare) Update(context.Context, endpoint.Change) error   { return nil }

// scaling can be scaled.
type scaling struct {
	bare

	key string
}

func (s *scaling) Set(_ context.Context, key string, _ int) error {
	s.key = key
	return nil
}

// wrapper provides nothing by itself, and hides nothing.
type wrapper struct {
	bare

	inner endpoint.Updater
}

func (w wrapper) Unwrap() endpoint.Updater { return w.inner }

// counting is a wrapper with an ability of its own.
type counting struct{ wrapper }

func (counting) Jobs(context.Context) (endpoint.Jobs, error) { return endpoint.Jobs{InFlight: 1}, nil }

// opaque is a wrapper that does not say what it wraps.
type opaque struct{ endpoint.Updater }

func TestAs(t *testing.T) {
	inner := &scaling{bare: bare{"inner/1"}}
	outer := &scaling{bare: bare{"outer/1"}}
	for _, tt := range []struct {
		name string
		u    endpoint.Updater
		want endpoint.Scaler // nil if it has none
	}{
		{"nil", nil, nil},
		{"without", bare{"e/1"}, nil},
		{"with", inner, inner},
		{"through a wrapper", wrapper{inner: inner}, inner},
		{"through several", wrapper{inner: counting{wrapper{inner: wrapper{inner: inner}}}}, inner},
		{"the outermost one is asked", struct {
			endpoint.Updater
			endpoint.Scaler
		}{wrapper{inner: inner}, outer}, struct {
			endpoint.Updater
			endpoint.Scaler
		}{wrapper{inner: inner}, outer}},
		{"wrapper around one without", wrapper{inner: bare{"e/1"}}, nil},
		{"wrapper around nothing", wrapper{}, nil},
		{"wrapper that hides what it wraps", opaque{inner}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := endpoint.As[endpoint.Scaler](tt.u)
			if got != tt.want || ok != (tt.want != nil) {
				t.Errorf("As = %v, %t; want %v", got, ok, tt.want)
			}
		})
	}
}

func TestAsFindsEachAbilityWhereItIs(t *testing.T) {
	u := wrapper{inner: counting{wrapper{inner: &scaling{bare: bare{"inner/1"}}}}}
	if _, ok := endpoint.As[endpoint.Drainer](u); !ok {
		t.Error("the ability of a wrapper below was not found")
	}
	if _, ok := endpoint.As[endpoint.Scaler](u); !ok {
		t.Error("the ability of what is wrapped was not found")
	}
	if _, ok := endpoint.As[endpoint.AutoscalingSuspender](u); ok {
		t.Error("an ability was found that nobody has")
	}
}

func TestNeed(t *testing.T) {
	s := &scaling{bare: bare{"inner/1"}}
	got, err := endpoint.Need[endpoint.Scaler](wrapper{bare: bare{"outer/1"}, inner: s})
	if err != nil || got != endpoint.Scaler(s) {
		t.Errorf("Need = %v, %v; want what is wrapped", got, err)
	}
	if err := got.Set(t.Context(), endpoint.WorkersMin, 0); err != nil || s.key != endpoint.WorkersMin {
		t.Errorf("Set reached %q, %v; want %q", s.key, err, endpoint.WorkersMin)
	}
}

func TestNeedNames(t *testing.T) {
	for _, tt := range []struct {
		name string
		u    endpoint.Updater
		want string
	}{
		{"plain", bare{"runpod/abc"}, "use runpod/abc: no AutoscalingSuspender: unsupported operation"},
		{"wrapped", wrapper{bare: bare{"outer/1"}, inner: bare{"inner/1"}}, "use outer/1: no AutoscalingSuspender: unsupported operation"},
		{"wrapper around nothing", wrapper{bare: bare{"outer/1"}}, "use outer/1: no AutoscalingSuspender: unsupported operation"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := endpoint.Need[endpoint.AutoscalingSuspender](tt.u)
			if p != nil || !errors.Is(err, errors.ErrUnsupported) {
				t.Fatalf("Need = %v, %v; want none and %v", p, err, errors.ErrUnsupported)
			}
			if err.Error() != tt.want {
				t.Errorf("text %q, want %q", err, tt.want)
			}
			var e *endpoint.Error
			if !errors.As(err, &e) || e.Endpoint != tt.u.Name() {
				t.Errorf("error %v does not name the endpoint %s", err, tt.u.Name())
			}
			if !endpoint.Unapplied(err) {
				t.Error("a missing ability changed nothing, and is not said to be unapplied")
			}
		})
	}
}
