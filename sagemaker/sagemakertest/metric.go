package sagemakertest

import (
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// datum is one measured value.
type datum struct {
	at    time.Time
	value float64
}

// Measure adds values that were measured at a time to a metric of CloudWatch, as
// AWS's own services do, whose namespaces PutMetricData refuses.
func (s *Server) Measure(at time.Time, namespace, name string, dimensions map[string]string, values ...float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := metricKey(namespace, name, dimensions)
	for _, v := range values {
		s.account.metrics[key] = append(s.account.metrics[key], datum{at, v})
	}
}

// metricKey is what makes a metric: its name and all of its dimensions.
func metricKey(namespace, name string, dimensions map[string]string) string {
	var key strings.Builder
	key.WriteString(strconv.Quote(namespace) + strconv.Quote(name))
	for _, d := range slices.Sorted(maps.Keys(dimensions)) {
		key.WriteString(strconv.Quote(d) + strconv.Quote(dimensions[d]))
	}
	return key.String()
}

var (
	queryID    = regexp.MustCompile(`^[a-z][a-zA-Z0-9_]*$`)
	percentile = regexp.MustCompile(`^p\d{1,2}(\.\d{1,10})?$|^p100$`)
)

func (a *account) getMetricData(in *cloudwatch.GetMetricDataInput) (*cloudwatch.GetMetricDataOutput, error) {
	if !in.StartTime.Before(*in.EndTime) {
		return nil, refuse("ValidationError", "The parameter StartTime must be less than the parameter EndTime.")
	}
	if in.NextToken != nil {
		return nil, refuse("InvalidNextToken", "The next token is invalid")
	}
	out := &cloudwatch.GetMetricDataOutput{Messages: []types.MessageData{}, MetricDataResults: []types.MetricDataResult{}}
	seen := map[string]bool{}
	for i := range in.MetricDataQueries {
		q := &in.MetricDataQueries[i]
		if err := checkQuery(q, seen); err != nil {
			return nil, err
		}
		if q.ReturnData != nil && !*q.ReturnData {
			continue
		}
		r := a.measured(q.MetricStat, *in.StartTime, *in.EndTime)
		if in.ScanBy == types.ScanByTimestampAscending {
			slices.Reverse(r.Timestamps)
			slices.Reverse(r.Values)
		}
		r.Id, r.Label, r.StatusCode = q.Id, q.Label, types.StatusCodeComplete
		if r.Label == nil {
			r.Label = q.MetricStat.Metric.MetricName
		}
		out.MetricDataResults = append(out.MetricDataResults, r)
	}
	return out, nil
}

// checkQuery holds the rules of one query. Expressions are not evaluated here.
func checkQuery(q *types.MetricDataQuery, seen map[string]bool) error {
	bad := func(format string, args ...any) error { return refuse("ValidationError", format, args...) }
	st := q.MetricStat
	switch {
	case !queryID.MatchString(*q.Id) || seen[*q.Id]:
		return bad("The value %s for parameter MetricDataQueries.member.Id must be unique and match %s.", *q.Id, queryID)
	case st == nil || q.Expression != nil:
		return bad("sagemakertest evaluates no expressions: MetricStat is required.")
	case st.Metric.Namespace == nil || st.Metric.MetricName == nil:
		return bad("Metric requires Namespace and MetricName.")
	case *st.Period%60 != 0 && !slices.Contains([]int32{1, 5, 10, 20, 30}, *st.Period):
		return bad("Period must be 1, 5, 10, 20, 30 or a multiple of 60.")
	case !slices.Contains([]string{"SampleCount", "Average", "Sum", "Minimum", "Maximum"}, *st.Stat) && !percentile.MatchString(*st.Stat):
		return bad("The value %s for parameter Stat is not a valid statistic.", *st.Stat)
	}
	seen[*q.Id] = true
	return nil
}

// measured has a data point for each period in which there are values, the
// newest first, at the period's beginning.
func (a *account) measured(st *types.MetricStat, from, to time.Time) types.MetricDataResult {
	dimensions := map[string]string{}
	for _, d := range st.Metric.Dimensions {
		dimensions[*d.Name] = *d.Value
	}
	period := seconds(st.Period)
	points := map[time.Time][]float64{}
	for _, d := range a.metrics[metricKey(*st.Metric.Namespace, *st.Metric.MetricName, dimensions)] {
		at := d.at.UTC().Truncate(period)
		if !at.Before(from.Truncate(time.Minute)) && at.Before(to) && !d.at.After(a.now) {
			points[at] = append(points[at], d.value)
		}
	}
	r := types.MetricDataResult{Timestamps: []time.Time{}, Values: []float64{}}
	for _, at := range slices.SortedFunc(maps.Keys(points), func(x, y time.Time) int { return y.Compare(x) }) {
		r.Timestamps = append(r.Timestamps, at)
		r.Values = append(r.Values, statistic(*st.Stat, points[at]))
	}
	return r
}

func statistic(name string, values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	switch name {
	case "SampleCount":
		return float64(len(values))
	case "Sum":
		return sum
	case "Average":
		return sum / float64(len(values))
	case "Minimum":
		return slices.Min(values)
	case "Maximum":
		return slices.Max(values)
	}
	p, _ := strconv.ParseFloat(strings.TrimPrefix(name, "p"), 64)
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, int(math.Ceil(p/100*float64(len(sorted))))-1)]
}
