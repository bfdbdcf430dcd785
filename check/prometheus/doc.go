// Package prometheus has checks that ask a Prometheus server, or one that
// answers like it, such as Thanos, Mimir or VictoriaMetrics.
//
//	server, err := prometheus.New("https://prometheus.example.com")
//	…
//	slow, err := server.Check(prometheus.Below(
//		`histogram_quantile(0.95, sum by (le) (rate(latency_seconds_bucket{variant=~"{{.TargetNames}}"}[2m])))`, 0.8))
//	…
//	rollout.Run(ctx, store, ep, strategy, to, rollout.WithCheck(strategy.Check{Name: "p95"}, slow))
//
// A check asks for the value of a query at the time of asking, which has to be
// one number. Without one it cannot tell ([rollout.ResultUnknown]): no data, not
// a number or an infinity (such as by a division by a rate of zero), more than one
// time series, a warning that the result may be incomplete, a refusal, no answer.
// The verdict's reason or the error says which. Neither has the server's
// address or a credential in it.
//
// # Queries
//
// A query is a [text/template] with these fields and functions:
//
//	{{.Endpoint}} {{.Rollout}} {{.Step}}   as in rollout.Sample
//	{{.Share}}                             the target's share in percent
//	{{.Elapsed}}                           for how long the target has traffic, as a PromQL duration, at least 1s
//	{{.Source}} {{.Target}}                the identifiers of the revisions
//	{{.SourceArtifact}} {{.TargetArtifact}}  what they run
//	{{.SourceNames}} {{.TargetNames}}      the names of the parts of the endpoint that run each, as a regular expression
//	{{regexp .Target}}                     a value as a regular expression that matches it and nothing else
//
// Values are escaped for a place between double or single quotes, so that none can
// end the string that it is in: a query says {version="{{.Target}}"}. A value that
// is empty for the sample, such as the names where source and target are not
// served side by side, makes the check unknown, since a selector would match what
// it is not meant to.
package prometheus
