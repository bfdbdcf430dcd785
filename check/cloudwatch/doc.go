// Package cloudwatch has checks by the metrics and alarms of Amazon CloudWatch.
//
//	latency := cloudwatch.Variant("sdxl", "", "ModelLatency", "p95") // microseconds
//	slow, err := cloudwatch.Ratio(client, latency, 1.2)
//	…
//	rollout.WithCheck(strategy.Check{Name: "p95", Interval: time.Minute}, slow)
//
// A check judges the newest data point of a whole period: the statistic over the
// minutes of [Metric.Period]. Data points of the time before the target had
// traffic, and those of more than five periods ago, do not count. Without one the
// check cannot tell ([rollout.ResultUnknown]), unless [Metric.Missing] says
// otherwise; so it is when CloudWatch has only a part of the data. A failed call
// is an error, which means the same.
//
// The client needs the permissions cloudwatch:GetMetricData for metrics, which
// costs a little for each metric, and cloudwatch:DescribeAlarms for alarms.
package cloudwatch
