package cloudwatch

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/changeover-dev/changeover/rollout"
)

// API is what a check calls of CloudWatch; the SDK's client has it.
type API interface {
	GetMetricData(context.Context, *cloudwatch.GetMetricDataInput, ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error)
	DescribeAlarms(context.Context, *cloudwatch.DescribeAlarmsInput, ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error)
}

const (
	lookback = 5  // periods in which a data point counts
	mostPage = 20 // pages of an answer

	noData = "there is no data"
)

// point is the newest data point of a metric, if it has one.
type point struct {
	metric  Metric
	value   *float64
	partial bool   // CloudWatch has more than it gave
	reason  string // why there is no value
}

// read gets the newest data points of metrics that have one period.
func read(ctx context.Context, api API, metrics []Metric, s rollout.Sample) ([]point, error) {
	now, period := time.Now().UTC(), metrics[0].Period
	end := now.Truncate(period)
	start := end.Add(-lookback * period)
	// A period in which the target did not have traffic yet says nothing of it.
	if since := now.Add(-s.Elapsed); since.After(start) {
		start = since.Add(period - 1).Truncate(period)
	}
	points := make([]point, len(metrics))
	in := &cloudwatch.GetMetricDataInput{StartTime: &start, EndTime: &end, ScanBy: types.ScanByTimestampDescending}
	byID := map[string]*point{}
	for i, m := range metrics {
		points[i] = point{metric: m, reason: noData}
		id := fmt.Sprintf("m%d", i)
		byID[id] = &points[i]
		in.MetricDataQueries = append(in.MetricDataQueries, m.query(id))
	}
	if !start.Before(end) {
		for i := range points {
			points[i].reason = fmt.Sprintf("the target has not had traffic for a whole period of %v yet", period)
		}
		return points, nil
	}
	for page := 0; ; page++ {
		out, err := api.GetMetricData(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("CloudWatch: %w", err)
		}
		for i := range out.MetricDataResults {
			r := &out.MetricDataResults[i]
			if p := byID[aws.ToString(r.Id)]; p != nil {
				p.take(r, start, end)
			}
		}
		if aws.ToString(out.NextToken) == "" {
			return points, nil
		}
		if page == mostPage {
			return nil, fmt.Errorf("CloudWatch: an answer of more than %d pages", mostPage)
		}
		in.NextToken = out.NextToken
	}
}

// take takes in one page of a metric's result. The newest point is the first. A
// page that says that it is partial is completed by the next; a result that
// is none is not judged.
func (p *point) take(r *types.MetricDataResult, start, end time.Time) {
	switch r.StatusCode {
	case types.StatusCodeComplete, types.StatusCodePartialData:
	case types.StatusCodeInternalError, types.StatusCodeForbidden:
		p.value, p.reason = nil, "CloudWatch says "+string(r.StatusCode)
		return
	default:
		p.value, p.reason = nil, fmt.Sprintf("CloudWatch says %.40q", r.StatusCode)
		return
	}
	if p.value == nil {
		for i := range min(len(r.Values), len(r.Timestamps)) {
			if at := r.Timestamps[i]; !at.Before(start) && at.Before(end) {
				p.value = &r.Values[i]
				break
			}
		}
	}
	p.partial = r.StatusCode == types.StatusCodePartialData
}
