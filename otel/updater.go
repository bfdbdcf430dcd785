package otel

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/changeover-dev/changeover/endpoint"
)

// Updater is the endpoint, whose calls are traced: pass it to [rollout.Run] or
// [rollout.Resume]. It has the abilities of the endpoint.
func (r *Rollout) Updater() endpoint.Updater {
	var u endpoint.Updater = &updater{r}
	u = scaling(r, u)
	return reading(r, u)
}

// call makes a call of the provider under the span of the step in progress.
func call[T any](r *Rollout, ctx context.Context, method string, f func(context.Context) (T, error)) (T, error) {
	r.mu.Lock()
	span := trace.SpanFromContext(r.ctx)
	if r.step != nil {
		span = r.step
	}
	r.mu.Unlock()
	name := attribute.String("changeover.method", method)
	ctx, s := r.telemetry.tracer.Start(trace.ContextWithSpan(ctx, span), method, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(name, semconv.DeploymentName(r.inner.Name())))
	defer s.End()
	began := time.Now()
	got, err := f(ctx)
	attrs := []attribute.KeyValue{name}
	if err != nil {
		kind := semconv.ErrorTypeKey.String(class(err))
		attrs = append(attrs, kind)
		s.SetAttributes(kind)
		s.SetStatus(codes.Error, err.Error())
	}
	by := metric.WithAttributes(attrs...)
	r.telemetry.calls.Add(ctx, 1, by)
	r.telemetry.callDuration.Record(ctx, time.Since(began).Seconds(), by)
	return got, err
}

// do is [call] for what returns only an error.
func do(r *Rollout, ctx context.Context, method string, f func(context.Context) error) error {
	_, err := call(r, ctx, method, func(ctx context.Context) (struct{}, error) { return struct{}{}, f(ctx) })
	return err
}

// class is the kind of an error, of which there are few.
func class(err error) string {
	for _, known := range []struct {
		err  error
		name string
	}{
		{context.Canceled, "canceled"},
		{context.DeadlineExceeded, "deadline_exceeded"},
		{endpoint.ErrThrottled, "throttled"},
		{endpoint.ErrBusy, "busy"},
		{endpoint.ErrQuota, "quota"},
		{endpoint.ErrNotFound, "not_found"},
		{endpoint.ErrInvalid, "invalid"},
		{endpoint.ErrUnavailable, "unavailable"},
		{errors.ErrUnsupported, "unsupported"},
	} {
		if errors.Is(err, known.err) {
			return known.name
		}
	}
	return "other"
}

// updater traces what every endpoint has. Each ability is a wrapper of its own,
// so that none is shown that the endpoint lacks.
type updater struct{ r *Rollout }

// Unwrap shows the abilities that have no wrapper.
func (u *updater) Unwrap() endpoint.Updater { return u.r.inner }

func (u *updater) Name() string { return u.r.inner.Name() }

func (u *updater) Status(ctx context.Context) (endpoint.Status, error) {
	return call(u.r, ctx, "Status", u.r.inner.Status)
}

func (u *updater) Update(ctx context.Context, c endpoint.Change) error {
	return do(u.r, ctx, "Update", func(ctx context.Context) error { return u.r.inner.Update(ctx, c) })
}

// next is the wrapper beneath.
type next struct{ endpoint.Updater }

func (n next) Unwrap() endpoint.Updater { return n.Updater }
