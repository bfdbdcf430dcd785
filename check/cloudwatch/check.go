package cloudwatch

import (
	"context"
	"fmt"
	"math"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/rollout"
)

// Below returns a check that passes while the metric is less than limit.
func Below(api API, m Metric, limit float64) (rollout.Check, error) {
	return threshold(api, m, limit, "below", func(v float64) bool { return v < limit })
}

// Above returns a check that passes while the metric is greater than limit.
func Above(api API, m Metric, limit float64) (rollout.Check, error) {
	return threshold(api, m, limit, "above", func(v float64) bool { return v > limit })
}

func checked(api API, m Metric, limit float64) (Metric, error) {
	if api == nil {
		return m, fmt.Errorf("cloudwatch: %w: the client is nil", endpoint.ErrInvalid)
	}
	if math.IsNaN(limit) || math.IsInf(limit, 0) {
		return m, fmt.Errorf("cloudwatch: %w: the limit is %v", endpoint.ErrInvalid, limit)
	}
	m, err := m.valid()
	if err != nil {
		return m, fmt.Errorf("cloudwatch: %w", err)
	}
	return m, nil
}

func threshold(api API, m Metric, limit float64, word string, pass func(float64) bool) (rollout.Check, error) {
	m, err := checked(api, m, limit)
	if err != nil {
		return nil, err
	}
	return rollout.CheckFunc(func(ctx context.Context, s rollout.Sample) (rollout.Verdict, error) {
		metrics := []Metric{m}
		if m.variants {
			metrics = nil
			for _, name := range s.TargetNames {
				metrics = append(metrics, m.of(name))
			}
			if len(metrics) == 0 {
				return rollout.Verdict{Reason: "the rollout names no variants of the target: name the variant of the metric"}, nil
			}
		}
		points, err := read(ctx, api, metrics, s)
		if err != nil {
			return rollout.Verdict{}, err
		}
		var worst rollout.Verdict
		for i := range points {
			p := &points[i]
			v, ok := p.missing()
			if !ok {
				v = rollout.Measured(*p.value, limit, pass(*p.value))
				v.Reason = fmt.Sprintf("%s, want %s %v", p.metric, word, limit)
			}
			if i == 0 || rank(v.Result) > rank(worst.Result) {
				worst = v
			}
		}
		return worst, nil
	}), nil
}

// rank orders results by how bad they are.
func rank(r rollout.Result) int {
	switch r {
	case rollout.ResultFail:
		return 2
	case rollout.ResultPass:
		return 0
	case rollout.ResultUnknown:
	}
	return 1
}

// none reports whether CloudWatch surely has no data point.
func (p *point) none() bool { return p.value == nil && !p.partial && p.reason == noData }

// missing is the verdict if there is no number to judge.
func (p *point) missing() (rollout.Verdict, bool) {
	reason := p.reason
	switch {
	case p.partial:
		reason = "CloudWatch has only a part of the data"
	case p.value != nil && !math.IsNaN(*p.value) && !math.IsInf(*p.value, 0):
		return rollout.Verdict{}, false
	case p.value != nil:
		reason = fmt.Sprintf("the value is %v", *p.value)
	}
	v := rollout.Verdict{Result: rollout.ResultUnknown, Reason: p.metric.String() + ": " + reason}
	if p.none() {
		switch p.metric.Missing {
		case MissingPass:
			v.Result = rollout.ResultPass
		case MissingFail:
			v.Result = rollout.ResultFail
		case "", MissingUnknown:
		}
	}
	return v, true
}

// Ratio returns a check that passes while the metric of the variant that runs the
// target is at most limit times that of the variant that runs the source, both as
// [rollout.Sample] names them: m is a [Variant] without a variant. Where the
// source's value is 0 it passes if the target's is 0, too.
//
// More or fewer than one variant on either side, and a negative value, are
// unknown. Once the target has all of the traffic the source may have no data:
// then the check passes, and says that it compared nothing.
func Ratio(api API, m Metric, limit float64) (rollout.Check, error) {
	m, err := checked(api, m, limit)
	switch {
	case err != nil:
		return nil, err
	case !m.variants:
		return nil, fmt.Errorf("cloudwatch: metric %q: %w: a ratio needs a metric of variants, without a name", m.Name, endpoint.ErrInvalid)
	case limit <= 0:
		return nil, fmt.Errorf("cloudwatch: %w: the limit of a ratio is %v, want more than 0", endpoint.ErrInvalid, limit)
	}
	return rollout.CheckFunc(func(ctx context.Context, s rollout.Sample) (rollout.Verdict, error) {
		if len(s.TargetNames) != 1 || len(s.SourceNames) != 1 {
			return rollout.Verdict{Reason: fmt.Sprintf("the target has %d variants and the source %d, want 1 of each", len(s.TargetNames), len(s.SourceNames))}, nil
		}
		points, err := read(ctx, api, []Metric{m.of(s.TargetNames[0]), m.of(s.SourceNames[0])}, s)
		if err != nil {
			return rollout.Verdict{}, err
		}
		return compare(&points[0], &points[1], limit, s.Share), nil
	}), nil
}

// maxRatio is the largest ratio that is worth a number.
const maxRatio = 1e12

func compare(target, source *point, limit float64, share int) rollout.Verdict {
	if v, ok := target.missing(); ok {
		return v
	}
	if v, ok := source.missing(); ok {
		switch {
		case source.none() && share == 100:
			return rollout.Verdict{Result: rollout.ResultPass, Reason: "not compared: the source has no traffic any more"}
		case v.Result != rollout.ResultUnknown: // there is nothing to hold the target against
			v.Result = rollout.ResultUnknown
		}
		return v
	}
	t, s := *target.value, *source.value
	reason := fmt.Sprintf("%s is %.6g, of the source %.6g, want at most %v times that", target.metric, t, s, limit)
	switch {
	case t < 0 || s < 0:
		return rollout.Verdict{Reason: reason + ": negative values have no ratio"}
	case s == 0 || t/s > maxRatio:
		v := rollout.Verdict{Result: rollout.ResultFail, Reason: reason}
		if t <= limit*s {
			v.Result = rollout.ResultPass
		}
		return v
	}
	v := rollout.Measured(t/s, limit, t <= limit*s)
	v.Reason = reason
	return v
}
