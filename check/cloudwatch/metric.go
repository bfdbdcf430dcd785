package cloudwatch

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/changeover-dev/changeover/endpoint"
)

// Metric is a metric with the statistic that is judged. [Variant] and [Component]
// make those of SageMaker.
type Metric struct {
	// Namespace is for example "AWS/SageMaker".
	Namespace string
	Name      string
	// Dimensions are all that the metric has: CloudWatch does not aggregate.
	Dimensions map[string]string
	// Statistic is "Average", "Sum", "Minimum", "Maximum", "SampleCount" or a
	// percentile such as "p95" or "p99.9".
	Statistic string
	// Period is what one data point covers, in whole minutes; zero is one minute.
	Period time.Duration
	// Missing says what it means that there is no data point.
	Missing Missing

	variants bool // VariantName comes from the sample
}

// Missing says what it means that there is no data point, in the words that alarms
// have for it. An alarm can also ignore it, which a check has no use for.
type Missing string

// What it can mean.
const (
	MissingUnknown Missing = "missing"      // the check cannot tell; also ""
	MissingPass    Missing = "notBreaching" // as for errors that are counted only if there are some
	MissingFail    Missing = "breaching"
)

// Variant is an invocation metric of an endpoint's variant, such as ModelLatency in
// microseconds, Invocation5XXErrors or InvocationModelErrors. Without a
// variant it is each of those that run the target ([rollout.Sample.TargetNames]):
// all have to pass.
func Variant(endpoint, variant, metric, statistic string) Metric {
	m := Metric{
		Namespace: "AWS/SageMaker", Name: metric, Statistic: statistic,
		Dimensions: map[string]string{"EndpointName": endpoint}, variants: variant == "",
	}
	if variant != "" {
		m.Dimensions["VariantName"] = variant
	}
	return m
}

// Component is an invocation metric of an inference component.
func Component(component, metric, statistic string) Metric {
	return Metric{
		Namespace: "AWS/SageMaker", Name: metric, Statistic: statistic,
		Dimensions: map[string]string{"InferenceComponentName": component},
	}
}

var statistics = regexp.MustCompile(`^(SampleCount|Average|Sum|Minimum|Maximum|p\d{1,2}(\.\d{1,10})?|p100)$`)

const longestPeriod = 24 * time.Hour

// valid returns m with its defaults, or an error.
func (m Metric) valid() (Metric, error) {
	bad := func(format string, args ...any) (Metric, error) {
		return m, fmt.Errorf("metric %q: %w: %s", m.Name, endpoint.ErrInvalid, fmt.Sprintf(format, args...))
	}
	if m.Period == 0 {
		m.Period = time.Minute
	}
	switch {
	case m.Name == "" || m.Namespace == "":
		return bad("Name and Namespace are required, the namespace is %q", m.Namespace)
	case len(m.Dimensions) > 30:
		return bad("%d dimensions, want at most 30", len(m.Dimensions))
	case !statistics.MatchString(m.Statistic):
		return bad("the statistic %q is not one of Average, Sum, Minimum, Maximum, SampleCount and p0 to p100", m.Statistic)
	case m.Period < time.Minute || m.Period%time.Minute != 0 || m.Period > longestPeriod:
		return bad("the period %v is not one of whole minutes up to %v", m.Period, longestPeriod)
	}
	for name, value := range m.Dimensions {
		if name == "" || value == "" {
			return bad("dimension %q has the value %q", name, value)
		}
	}
	switch m.Missing {
	case "", MissingUnknown, MissingPass, MissingFail:
		return m, nil
	}
	return bad("Missing is %q, want %s, %s or %s", m.Missing, MissingUnknown, MissingPass, MissingFail)
}

// of is the metric of a variant.
func (m Metric) of(variant string) Metric {
	m.Dimensions = maps.Clone(m.Dimensions)
	m.Dimensions["VariantName"] = variant
	return m
}

func (m Metric) query(id string) types.MetricDataQuery {
	var dimensions []types.Dimension
	for _, name := range slices.Sorted(maps.Keys(m.Dimensions)) {
		dimensions = append(dimensions, types.Dimension{Name: &name, Value: aws.String(m.Dimensions[name])})
	}
	return types.MetricDataQuery{Id: &id, MetricStat: &types.MetricStat{
		Metric: &types.Metric{Namespace: &m.Namespace, MetricName: &m.Name, Dimensions: dimensions},
		Period: aws.Int32(int32(m.Period / time.Second)), Stat: &m.Statistic,
	}}
}

// String is the statistic and the metric, with the variant if it has one.
func (m Metric) String() string {
	text := m.Statistic + " of " + m.Name
	if v := m.Dimensions["VariantName"]; v != "" {
		text += " of " + v
	}
	return text
}
