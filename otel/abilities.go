package otel

import (
	"context"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// wrap puts a wrapper around u if the endpoint has the ability T.
func wrap[T any](r *Rollout, u endpoint.Updater, with func(next, T) endpoint.Updater) endpoint.Updater {
	if t, ok := endpoint.As[T](r.inner); ok {
		return with(next{u}, t)
	}
	return u
}

// scaling traces the abilities that write.
func scaling(r *Rollout, u endpoint.Updater) endpoint.Updater {
	u = wrap(r, u, func(n next, t endpoint.Scaler) endpoint.Updater { return &scaler{n, r, t} })
	u = wrap(r, u, func(n next, t endpoint.Stager) endpoint.Updater { return &stager{n, r, t} })
	u = wrap(r, u, func(n next, t endpoint.Unstager) endpoint.Updater { return &unstager{n, r, t} })
	u = wrap(r, u, func(n next, t endpoint.Shifter) endpoint.Updater { return &shifter{n, r, t} })
	return wrap(r, u, func(n next, t endpoint.AutoscalingSuspender) endpoint.Updater { return &suspender{n, r, t} })
}

// reading traces the abilities that only read.
func reading(r *Rollout, u endpoint.Updater) endpoint.Updater {
	u = wrap(r, u, func(n next, t endpoint.Drainer) endpoint.Updater { return &drainer{n, r, t} })
	u = wrap(r, u, func(n next, t endpoint.WorkerInspector) endpoint.Updater { return &inspector{n, r, t} })
	u = wrap(r, u, func(n next, t endpoint.Resolver) endpoint.Updater { return &resolver{n, r, t} })
	u = wrap(r, u, func(n next, t endpoint.Preflighter) endpoint.Updater { return &preflighter{n, r, t} })
	return wrap(r, u, func(n next, t endpoint.DurationEstimator) endpoint.Updater { return &estimator{n, r, t} })
}

type scaler struct {
	next
	r *Rollout
	t endpoint.Scaler
}

func (s *scaler) Set(ctx context.Context, key string, value int) error {
	return do(s.r, ctx, "Set", func(ctx context.Context) error { return s.t.Set(ctx, key, value) })
}

type stager struct {
	next
	r *Rollout
	t endpoint.Stager
}

func (s *stager) Draft(ctx context.Context, base endpoint.Revision, artifact string) (endpoint.Draft, error) {
	return call(s.r, ctx, "Draft", func(ctx context.Context) (endpoint.Draft, error) { return s.t.Draft(ctx, base, artifact) })
}

func (s *stager) Stage(ctx context.Context, d endpoint.Draft) error {
	return do(s.r, ctx, "Stage", func(ctx context.Context) error { return s.t.Stage(ctx, d) })
}

func (s *stager) Staged(ctx context.Context, d endpoint.Draft) error {
	return do(s.r, ctx, "Staged", func(ctx context.Context) error { return s.t.Staged(ctx, d) })
}

type unstager struct {
	next
	r *Rollout
	t endpoint.Unstager
}

func (s *unstager) Unstage(ctx context.Context, d endpoint.Draft) error {
	return do(s.r, ctx, "Unstage", func(ctx context.Context) error { return s.t.Unstage(ctx, d) })
}

type shifter struct {
	next
	r *Rollout
	t endpoint.Shifter
}

func (s *shifter) DraftCanary(ctx context.Context, source, target endpoint.Revision, draft *endpoint.Draft) (endpoint.Canary, error) {
	return call(s.r, ctx, "DraftCanary", func(ctx context.Context) (endpoint.Canary, error) {
		return s.t.DraftCanary(ctx, source, target, draft)
	})
}

func (s *shifter) Shift(ctx context.Context, c endpoint.Canary, percent int) error {
	return do(s.r, ctx, "Shift", func(ctx context.Context) error { return s.t.Shift(ctx, c, percent) })
}

type suspender struct {
	next
	r *Rollout
	t endpoint.AutoscalingSuspender
}

func (s *suspender) SnapshotAutoscaling(ctx context.Context, c endpoint.Change) (endpoint.AutoscalingSnapshot, error) {
	return call(s.r, ctx, "SnapshotAutoscaling", func(ctx context.Context) (endpoint.AutoscalingSnapshot, error) {
		return s.t.SnapshotAutoscaling(ctx, c)
	})
}

func (s *suspender) SuspendAutoscaling(ctx context.Context, p endpoint.AutoscalingSnapshot) error {
	return do(s.r, ctx, "SuspendAutoscaling", func(ctx context.Context) error { return s.t.SuspendAutoscaling(ctx, p) })
}

func (s *suspender) RestoreAutoscaling(ctx context.Context, p endpoint.AutoscalingSnapshot) error {
	return do(s.r, ctx, "RestoreAutoscaling", func(ctx context.Context) error { return s.t.RestoreAutoscaling(ctx, p) })
}

func (s *suspender) InspectAutoscaling(ctx context.Context, p endpoint.AutoscalingSnapshot) (endpoint.AutoscalingState, error) {
	return call(s.r, ctx, "InspectAutoscaling", func(ctx context.Context) (endpoint.AutoscalingState, error) {
		return s.t.InspectAutoscaling(ctx, p)
	})
}

type drainer struct {
	next
	r *Rollout
	t endpoint.Drainer
}

func (d *drainer) Jobs(ctx context.Context) (endpoint.Jobs, error) {
	return call(d.r, ctx, "Jobs", d.t.Jobs)
}

type inspector struct {
	next
	r *Rollout
	t endpoint.WorkerInspector
}

func (i *inspector) InspectWorker(ctx context.Context, worker string, rev endpoint.Revision) error {
	return do(i.r, ctx, "InspectWorker", func(ctx context.Context) error { return i.t.InspectWorker(ctx, worker, rev) })
}

type resolver struct {
	next
	r *Rollout
	t endpoint.Resolver
}

func (s *resolver) Resolve(ctx context.Context, rev endpoint.Revision) (endpoint.Revision, error) {
	return call(s.r, ctx, "Resolve", func(ctx context.Context) (endpoint.Revision, error) { return s.t.Resolve(ctx, rev) })
}

type preflighter struct {
	next
	r *Rollout
	t endpoint.Preflighter
}

func (p *preflighter) Preflight(ctx context.Context, c endpoint.Change, settings endpoint.Settings) ([]string, error) {
	return call(p.r, ctx, "Preflight", func(ctx context.Context) ([]string, error) { return p.t.Preflight(ctx, c, settings) })
}

type estimator struct {
	next
	r *Rollout
	t endpoint.DurationEstimator
}

func (e *estimator) EstimateDuration(ctx context.Context, c endpoint.Change) (time.Duration, error) {
	return call(e.r, ctx, "EstimateDuration", func(ctx context.Context) (time.Duration, error) { return e.t.EstimateDuration(ctx, c) })
}
