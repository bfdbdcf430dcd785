// Package otel traces and measures rollouts with OpenTelemetry. It is a module of
// its own because of what it depends on.
//
//	tel, err := otel.New() // by the global providers
//	run := tel.Start(ctx, store, endpoint)
//	report, err := rollout.Run(run.Context(), store, run.Updater(), s, target, run.Options()...)
//	run.End(report, err)
//
// A rollout is one span, "rollout", with a span for each step beneath it, and
// the calls of the provider beneath those. Checks, holds, decisions, drift and
// the rollback are events of the span that they belong to. The plan, and with it
// the journal, says where the trace begins: a runner that takes over adds its own
// "rollout" span to the same trace.
//
// Attributes are those of the semantic conventions for deployments
// (deployment.id, deployment.name, deployment.status), and changeover.* for what
// they have no word for. No span, and no attribute, holds a secret.
//
// The metrics are changeover.rollouts, by outcome and strategy,
// changeover.rollout.duration and changeover.rollout.unready.duration (for how
// long no capacity was ready, by the polls) in seconds, changeover.polls,
// changeover.calls and changeover.call.duration, by method and error.
package otel
