package otel

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

const scope = "github.com/changeover-dev/changeover/otel"

// Telemetry traces and measures the rollouts of a program. It is safe for
// concurrent use.
type Telemetry struct {
	tracer                          trace.Tracer
	rollouts, polls, calls          metric.Int64Counter
	duration, unready, callDuration metric.Float64Histogram
}

// Option changes where telemetry goes.
type Option func(*providers)

type providers struct {
	tracers trace.TracerProvider
	meters  metric.MeterProvider
}

// WithTracerProvider sends spans elsewhere than to the global provider.
func WithTracerProvider(p trace.TracerProvider) Option { return func(o *providers) { o.tracers = p } }

// WithMeterProvider sends metrics elsewhere than to the global provider.
func WithMeterProvider(p metric.MeterProvider) Option { return func(o *providers) { o.meters = p } }

// New returns the telemetry of a program. Its error is that of an instrument
// that the meter provider refuses.
func New(opts ...Option) (*Telemetry, error) {
	o := providers{tracers: otel.GetTracerProvider(), meters: otel.GetMeterProvider()}
	for _, f := range opts {
		f(&o)
	}
	m := o.meters.Meter(scope)
	t := &Telemetry{tracer: o.tracers.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL))}
	counter := func(name, unit, what string) (metric.Int64Counter, error) {
		return m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(what))
	}
	seconds := func(name, what string) (metric.Float64Histogram, error) {
		return m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(what),
			metric.WithExplicitBucketBoundaries(0.1, 0.5, 1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 21600))
	}
	var errs [6]error
	t.rollouts, errs[0] = counter("changeover.rollouts", "{rollout}", "Rollouts that this process ended, by outcome.")
	t.polls, errs[1] = counter("changeover.polls", "{poll}", "Polls of endpoints while a step waited.")
	t.calls, errs[2] = counter("changeover.calls", "{call}", "Calls of a provider.")
	t.duration, errs[3] = seconds("changeover.rollout.duration", "From the plan of a rollout to its end.")
	t.unready, errs[4] = seconds("changeover.rollout.unready.duration", "For how long no capacity was ready, by the polls.")
	t.callDuration, errs[5] = seconds("changeover.call.duration", "The time of one call of a provider.")
	return t, errors.Join(errs[:]...)
}

var w3c propagation.TraceContext

// Start begins to trace a rollout that this process is about to run, or to
// resume. It reads the journal: a rollout that is unfinished there, and was
// traced, goes on in its trace, with a link to the span in ctx. Otherwise the
// span in ctx is the parent. A journal that cannot be read is left to the rollout
// to complain of.
func (t *Telemetry) Start(ctx context.Context, store journal.Store, u endpoint.Updater) *Rollout {
	parent, opts := ctx, []trace.SpanStartOption{trace.WithAttributes(semconv.DeploymentName(u.Name()))}
	if remote := traced(ctx, store, u.Name()); remote != "" {
		parent = w3c.Extract(ctx, propagation.MapCarrier{"traceparent": remote})
		opts = append(opts, trace.WithAttributes(attribute.Bool("changeover.resumed", true)))
		if here := trace.SpanContextFromContext(ctx); here.IsValid() {
			opts = append(opts, trace.WithLinks(trace.Link{SpanContext: here}))
		}
	}
	r := &Rollout{telemetry: t, inner: u}
	r.ctx, r.span = t.tracer.Start(parent, "rollout", opts...)
	return r
}

// traced is where the trace of an endpoint's unfinished rollout begins, "" if
// there is none.
func traced(ctx context.Context, store journal.Store, name string) string {
	records, err := journal.Load(ctx, store, name)
	if err != nil || len(records) == 0 || records[len(records)-1].Kind == journal.KindEnd {
		return ""
	}
	for i := len(records) - 1; i >= 0; i-- {
		if p := records[i].Plan; p != nil {
			return p.Trace
		}
	}
	return ""
}
