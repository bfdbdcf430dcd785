package otel

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/rollout"
)

// Rollout is the trace of one rollout in this process. It is safe for concurrent
// use.
type Rollout struct {
	telemetry *Telemetry
	inner     endpoint.Updater
	ctx       context.Context //nolint:containedctx // which has the span of the rollout
	span      trace.Span

	mu      sync.Mutex
	step    trace.Span      // of the step in progress, nil between two
	stepCtx context.Context //nolint:containedctx // which has the span of the step
	began   time.Time
	ended   bool
	downAt  time.Time // since when nothing is ready; zero while something is
	down    time.Duration
	plan    string // the strategy
}

// Context is that of the rollout: pass it to [rollout.Run] or [rollout.Resume].
func (r *Rollout) Context() context.Context { return r.ctx }

// Options make the rollout keep where its trace begins, and tell of its events:
// pass them to [rollout.Run] or [rollout.Resume], beside others.
func (r *Rollout) Options() []rollout.Option {
	carrier := propagation.MapCarrier{}
	w3c.Inject(r.ctx, carrier)
	return []rollout.Option{
		rollout.WithTrace(carrier["traceparent"]),
		rollout.WithObserver(func(_ context.Context, e rollout.Event) { r.Observe(e) }),
	}
}

// Observe takes in an event of the rollout. It is called by the observer of
// [Rollout.Options].
func (r *Rollout) Observe(e rollout.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := trace.WithTimestamp(e.Time)
	switch e.Kind {
	case rollout.EventPlan, rollout.EventResume:
		r.describe(&e)
	case rollout.EventStep:
		r.endStep(at)
		r.stepCtx, r.step = r.telemetry.tracer.Start(r.ctx, "step "+e.Step, at, trace.WithAttributes(
			attribute.String("changeover.step", e.Step), attribute.Int("changeover.step.number", e.N), attribute.Bool("changeover.rollback", e.Rollback)))
	case rollout.EventDone:
		r.current().AddEvent("done", at, text(&e))
		r.endStep(at)
	case rollout.EventFail:
		r.current().SetStatus(codes.Error, e.Text)
		r.endStep(at)
	case rollout.EventPoll:
		r.polled(&e)
	case rollout.EventCheck:
		r.current().AddEvent("check", at, trace.WithAttributes(checkAttributes(&e)...))
	case rollout.EventRollback, rollout.EventCommit, rollout.EventDrift:
		r.span.AddEvent(string(e.Kind), at, text(&e))
	case rollout.EventWrite, rollout.EventRetry, rollout.EventHold, rollout.EventDecision:
		r.current().AddEvent(string(e.Kind), at, text(&e))
	case rollout.EventEnd:
		r.endStep(at)
	}
}

func text(e *rollout.Event) trace.EventOption {
	return trace.WithAttributes(attribute.String("changeover.text", e.Text))
}

func checkAttributes(e *rollout.Event) []attribute.KeyValue {
	if e.Verdict == nil {
		return []attribute.KeyValue{attribute.String("changeover.text", e.Text)}
	}
	v := e.Verdict
	attrs := []attribute.KeyValue{
		attribute.String("changeover.check", v.Check), attribute.String("changeover.check.result", v.Result), attribute.String("changeover.check.reason", v.Reason),
	}
	if v.Value != nil && v.Limit != nil {
		attrs = append(attrs, attribute.Float64("changeover.check.value", *v.Value), attribute.Float64("changeover.check.limit", *v.Limit))
	}
	return attrs
}

// describe says which rollout it is, once that is known.
func (r *Rollout) describe(e *rollout.Event) {
	if e.Plan == nil {
		return
	}
	r.plan = e.Plan.Strategy
	if r.began.IsZero() {
		r.began = e.Time
	}
	r.span.SetAttributes(
		semconv.DeploymentID(e.Plan.Rollout), attribute.String("changeover.strategy", e.Plan.Strategy),
		attribute.String("changeover.source", e.Plan.Source.String()), attribute.String("changeover.target", e.Plan.Target.String()))
}

// polled counts a poll, and for how long nothing is ready.
func (r *Rollout) polled(e *rollout.Event) {
	r.telemetry.polls.Add(r.ctx, 1, metric.WithAttributes(semconv.DeploymentName(e.Endpoint)))
	if e.Status == nil {
		return
	}
	ready := 0
	for _, p := range e.Status.Pools {
		ready += p.Ready + p.Stale
	}
	switch {
	case ready == 0 && r.downAt.IsZero():
		r.downAt = e.Time
	case ready > 0 && !r.downAt.IsZero():
		r.down += e.Time.Sub(r.downAt)
		r.downAt = time.Time{}
	}
}

// current is the span of what is going on.
func (r *Rollout) current() trace.Span {
	if r.step != nil {
		return r.step
	}
	return r.span
}

func (r *Rollout) endStep(at trace.SpanEndOption) {
	if r.step != nil {
		r.step.End(at)
		r.step, r.stepCtx = nil, nil
	}
}

// End ends the trace with what [rollout.Run] or [rollout.Resume] returned. A
// second call does nothing.
func (r *Rollout) End(report *rollout.Report, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	r.ended = true
	now := time.Now()
	r.endStep(trace.WithTimestamp(now))
	outcome, status := "refused", semconv.DeploymentStatusFailed
	if report != nil {
		outcome = string(report.Outcome)
		if !report.Began.IsZero() {
			r.began = report.Began
		}
	}
	if err == nil {
		status = semconv.DeploymentStatusSucceeded
	} else {
		r.span.SetStatus(codes.Error, err.Error())
	}
	r.span.SetAttributes(status, attribute.String("changeover.outcome", outcome))
	r.span.End(trace.WithTimestamp(now))
	by := metric.WithAttributes(attribute.String("changeover.outcome", outcome), attribute.String("changeover.strategy", r.plan))
	r.telemetry.rollouts.Add(r.ctx, 1, by)
	if r.began.IsZero() {
		return
	}
	if !r.downAt.IsZero() {
		r.down += now.Sub(r.downAt)
	}
	r.telemetry.duration.Record(r.ctx, now.Sub(r.began).Seconds(), by)
	r.telemetry.unready.Record(r.ctx, r.down.Seconds(), by)
}
