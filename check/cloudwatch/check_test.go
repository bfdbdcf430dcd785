package cloudwatch_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/changeover-dev/changeover/check/cloudwatch"
	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

var canary = rollout.Sample{
	Share: 10, Elapsed: time.Hour, SourceNames: []string{"main"}, TargetNames: []string{"main-canary"},
}

func measure(srv *sagemakertest.Server, ago time.Duration, variant string, values ...float64) {
	srv.Measure(time.Now().Add(-ago), "AWS/SageMaker", "ModelLatency", map[string]string{"EndpointName": "sdxl", "VariantName": variant}, values...)
}

// judge asks the check that build makes, of the SDK's client over the fake. The
// time is 30 s past a full minute.
func judge(t *testing.T, s rollout.Sample, prepare func(*sagemakertest.Server), build func(cloudwatch.API) (rollout.Check, error)) (v rollout.Verdict, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(2*time.Hour + 30*time.Second)
		srv := sagemakertest.New()
		prepare(srv)
		check, buildErr := build(cw.NewFromConfig(srv.Config()))
		if buildErr != nil {
			t.Fatal(buildErr)
		}
		v, err = check.Check(t.Context(), s)
	})
	return v, err
}

func TestMetric(t *testing.T) {
	latency := cloudwatch.Variant("sdxl", "", "ModelLatency", "p95")
	with := func(edit func(*cloudwatch.Metric)) cloudwatch.Metric { m := latency; edit(&m); return m }
	below := func(m cloudwatch.Metric, limit float64) func(cloudwatch.API) (rollout.Check, error) {
		return func(api cloudwatch.API) (rollout.Check, error) { return cloudwatch.Below(api, m, limit) }
	}
	ratio := func(api cloudwatch.API) (rollout.Check, error) { return cloudwatch.Ratio(api, latency, 1.2) }
	both := func(target, source float64) func(*sagemakertest.Server) {
		return func(srv *sagemakertest.Server) {
			measure(srv, 2*time.Minute, "main-canary", target)
			measure(srv, 2*time.Minute, "main", source)
		}
	}
	only := func(variant string, ago time.Duration, v ...float64) func(*sagemakertest.Server) {
		return func(srv *sagemakertest.Server) { measure(srv, ago, variant, v...) }
	}
	nothing := func(*sagemakertest.Server) {}
	sample := func(edit func(*rollout.Sample)) rollout.Sample { s := canary; edit(&s); return s }
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(i + 1)
	}
	for name, tt := range map[string]struct {
		sample  rollout.Sample
		prepare func(*sagemakertest.Server)
		build   func(cloudwatch.API) (rollout.Check, error)
		want    rollout.Result
		value   float64
		text    string
	}{
		"p95":                 {canary, only("main-canary", time.Minute, hundred...), below(latency, 96), rollout.ResultPass, 95, "p95 of ModelLatency of main-canary, want below 96"},
		"p95 at the limit":    {canary, only("main-canary", time.Minute, hundred...), below(latency, 95), rollout.ResultFail, 95, ""},
		"average":             {canary, only("main-canary", time.Minute, hundred...), below(with(func(m *cloudwatch.Metric) { m.Statistic = "Average" }), 51), rollout.ResultPass, 50.5, ""},
		"another variant":     {canary, only("main", time.Minute, 1), below(latency, 96), rollout.ResultUnknown, 0, "there is no data"},
		"a fixed variant":     {canary, only("main", time.Minute, 7), below(cloudwatch.Variant("sdxl", "main", "ModelLatency", "Maximum"), 8), rollout.ResultPass, 7, ""},
		"a period not over":   {canary, only("main-canary", 10*time.Second, 1), below(latency, 96), rollout.ResultUnknown, 0, "there is no data"},
		"old":                 {canary, only("main-canary", 7*time.Minute, 1), below(latency, 96), rollout.ResultUnknown, 0, "there is no data"},
		"old of five minutes": {canary, only("main-canary", 7*time.Minute, 1), below(with(func(m *cloudwatch.Metric) { m.Period = 5 * time.Minute }), 96), rollout.ResultPass, 1, ""},
		"before the traffic":  {sample(func(s *rollout.Sample) { s.Elapsed = 2 * time.Minute }), only("main-canary", 4*time.Minute, 1), below(latency, 96), rollout.ResultUnknown, 0, "there is no data"},
		"too early":           {sample(func(s *rollout.Sample) { s.Elapsed = time.Second }), only("main-canary", time.Minute, 1), below(latency, 96), rollout.ResultUnknown, 0, "for a whole period of 1m0s"},
		"the newest counts": {canary, func(srv *sagemakertest.Server) {
			measure(srv, 3*time.Minute, "main-canary", 900)
			measure(srv, time.Minute, "main-canary", 90)
		}, below(latency, 96), rollout.ResultPass, 90, ""},
		"missing is good": {canary, nothing, below(with(func(m *cloudwatch.Metric) { m.Missing = cloudwatch.MissingPass }), 1), rollout.ResultPass, 0, "there is no data"},
		"missing is bad":  {canary, nothing, below(with(func(m *cloudwatch.Metric) { m.Missing = cloudwatch.MissingFail }), 1), rollout.ResultFail, 0, "there is no data"},
		"missing and early": {
			sample(func(s *rollout.Sample) { s.Elapsed = time.Second }), nothing,
			below(with(func(m *cloudwatch.Metric) { m.Missing = cloudwatch.MissingPass }), 1), rollout.ResultUnknown, 0, "",
		},
		"no names": {rollout.Sample{Elapsed: time.Hour}, nothing, below(latency, 96), rollout.ResultUnknown, 0, "name the variant"},
		"two variants, one bad": {sample(func(s *rollout.Sample) { s.TargetNames = []string{"a", "b", "c"} }), func(srv *sagemakertest.Server) {
			measure(srv, time.Minute, "a", 1)
			measure(srv, time.Minute, "c", 97)
		}, below(latency, 96), rollout.ResultFail, 97, "of c"},
		"two variants, one unknown": {
			sample(func(s *rollout.Sample) { s.TargetNames = []string{"main-canary", "b"} }), only("main-canary", time.Minute, 1),
			below(latency, 96), rollout.ResultUnknown, 0, "of b: there is no data",
		},
		"component": {rollout.Sample{Elapsed: time.Hour}, func(srv *sagemakertest.Server) {
			srv.Measure(time.Now().Add(-time.Minute), "AWS/SageMaker", "Invocations", map[string]string{"InferenceComponentName": "llm"}, 1, 1, 1)
		}, func(api cloudwatch.API) (rollout.Check, error) {
			return cloudwatch.Above(api, cloudwatch.Component("llm", "Invocations", "Sum"), 2)
		}, rollout.ResultPass, 3, "want above 2"},
		"ratio":               {canary, both(330, 300), ratio, rollout.ResultPass, 1.1, "of the source 300"},
		"+137 %":              {canary, both(711, 300), ratio, rollout.ResultFail, 2.37, ""},
		"both zero":           {canary, both(0, 0), ratio, rollout.ResultPass, 0, ""},
		"the source zero":     {canary, both(1, 0), ratio, rollout.ResultFail, 0, "of the source 0"},
		"negative":            {canary, both(-1, 1), ratio, rollout.ResultUnknown, 0, "no ratio"},
		"ratio to nothing":    {canary, only("main-canary", time.Minute, 1), ratio, rollout.ResultUnknown, 0, "of main: there is no data"},
		"ratio of nothing":    {canary, only("main", time.Minute, 1), ratio, rollout.ResultUnknown, 0, "of main-canary: there is no data"},
		"ratio after the end": {sample(func(s *rollout.Sample) { s.Share = 100 }), only("main-canary", time.Minute, 1), ratio, rollout.ResultPass, 0, "not compared"},
		"ratio of none":       {rollout.Sample{Elapsed: time.Hour, Share: 100}, nothing, ratio, rollout.ResultUnknown, 0, "want 1 of each"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := judge(t, tt.sample, tt.prepare, tt.build)
			if err != nil || v.Result != tt.want && (tt.want != rollout.ResultUnknown || v.Result != "") || !strings.Contains(v.Reason, tt.text) {
				t.Errorf("Check = %+v, %v, want %s with %q", v, err, tt.want, tt.text)
			}
			if v.Value != nil && math.Abs(*v.Value-tt.value) > 1e-9 || v.Value == nil && tt.value != 0 {
				t.Errorf("value %v, want %v", v.Value, tt.value)
			}
		})
	}
}

func TestAlarm(t *testing.T) {
	alarm := &cw.PutMetricAlarmInput{
		AlarmName: aws.String("slow"), MetricName: aws.String("ModelLatency"), Namespace: aws.String("AWS/SageMaker"), Period: aws.Int32(60),
		Statistic: types.StatisticAverage, ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold, EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(1),
	}
	for state, want := range map[types.StateValue]rollout.Result{
		types.StateValueOk: rollout.ResultPass, types.StateValueAlarm: rollout.ResultFail, types.StateValueInsufficientData: rollout.ResultUnknown, "": "",
	} {
		v, err := judge(t, canary, func(srv *sagemakertest.Server) {
			if state != "" {
				srv.Seed(alarm, &cw.SetAlarmStateInput{AlarmName: alarm.AlarmName, StateValue: state, StateReason: aws.String("test")})
			}
		}, func(api cloudwatch.API) (rollout.Check, error) { return cloudwatch.Alarm(api, "slow") })
		if err != nil || v.Result != want || !strings.Contains(v.Reason, `alarm "slow"`) {
			t.Errorf("%q: Check = %+v, %v, want %q", state, v, err, want)
		}
	}
}

// stub answers what the fake does not.
type stub struct {
	cloudwatch.API
	pages []cw.GetMetricDataOutput
	alarm cw.DescribeAlarmsOutput
	err   error
}

func (s *stub) GetMetricData(context.Context, *cw.GetMetricDataInput, ...func(*cw.Options)) (*cw.GetMetricDataOutput, error) {
	if s.err != nil {
		return nil, s.err
	}
	out := s.pages[0]
	if len(s.pages) > 1 {
		s.pages = s.pages[1:]
	}
	return &out, nil
}

func (s *stub) DescribeAlarms(context.Context, *cw.DescribeAlarmsInput, ...func(*cw.Options)) (*cw.DescribeAlarmsOutput, error) {
	return &s.alarm, s.err
}

func TestAnswers(t *testing.T) {
	more := aws.String("more")
	synctest.Test(t, func(t *testing.T) {
		page := func(next *string, code types.StatusCode, values ...float64) cw.GetMetricDataOutput {
			r := types.MetricDataResult{Id: aws.String("m0"), StatusCode: code, Values: values}
			for range values {
				r.Timestamps = append(r.Timestamps, time.Now().Truncate(time.Minute).Add(-time.Minute))
			}
			return cw.GetMetricDataOutput{NextToken: next, MetricDataResults: []types.MetricDataResult{r}}
		}
		for name, tt := range map[string]struct {
			pages []cw.GetMetricDataOutput
			err   error
			want  rollout.Result
			text  string
		}{
			"two pages":       {[]cw.GetMetricDataOutput{page(more, "PartialData"), page(nil, "Complete", 1)}, nil, rollout.ResultPass, ""},
			"a part":          {[]cw.GetMetricDataOutput{page(nil, "PartialData", 1)}, nil, rollout.ResultUnknown, "only a part"},
			"internal error":  {[]cw.GetMetricDataOutput{page(nil, "InternalError", 1)}, nil, rollout.ResultUnknown, "InternalError"},
			"forbidden":       {[]cw.GetMetricDataOutput{page(nil, "Forbidden")}, nil, rollout.ResultUnknown, "Forbidden"},
			"a new code":      {[]cw.GetMetricDataOutput{page(nil, "Later", 1)}, nil, rollout.ResultUnknown, "Later"},
			"NaN":             {[]cw.GetMetricDataOutput{page(nil, "Complete", math.NaN())}, nil, rollout.ResultUnknown, "NaN"},
			"no result":       {[]cw.GetMetricDataOutput{{}}, nil, rollout.ResultUnknown, "no data"},
			"pages for ever":  {[]cw.GetMetricDataOutput{page(more, "PartialData")}, nil, "", "more than 20 pages"},
			"a failed call":   {nil, errors.New("throttled"), "", "throttled"},
			"a late call":     {nil, context.DeadlineExceeded, "", "deadline"},
			"missing is good": {[]cw.GetMetricDataOutput{page(nil, "InternalError")}, nil, rollout.ResultUnknown, "InternalError"},
		} {
			m := cloudwatch.Variant("sdxl", "", "ModelLatency", "p95")
			m.Missing = cloudwatch.MissingPass
			if name == "no result" {
				m.Missing = ""
			}
			c, err := cloudwatch.Below(&stub{pages: tt.pages, err: tt.err}, m, 2)
			if err != nil {
				t.Fatal(err)
			}
			v, err := c.Check(t.Context(), canary)
			if tt.want == "" && (err == nil || !strings.Contains(err.Error(), tt.text)) || tt.want != "" && (err != nil || v.Result != tt.want || !strings.Contains(v.Reason, tt.text)) {
				t.Errorf("%s: Check = %+v, %v, want %s with %q", name, v, err, tt.want, tt.text)
			}
		}
	})
	composite := &stub{alarm: cw.DescribeAlarmsOutput{CompositeAlarms: []types.CompositeAlarm{{AlarmName: aws.String("all"), StateValue: types.StateValueAlarm}}}}
	c, err := cloudwatch.Alarm(composite, "all")
	if err != nil {
		t.Fatal(err)
	}
	if v, err := c.Check(t.Context(), canary); err != nil || v.Result != rollout.ResultFail {
		t.Errorf("Check = %+v, %v", v, err)
	}
}

func TestRefused(t *testing.T) {
	api, good := &stub{}, cloudwatch.Variant("sdxl", "", "ModelLatency", "p95")
	for name, edit := range map[string]func(*cloudwatch.Metric){
		"name":         func(m *cloudwatch.Metric) { m.Name = "" },
		"namespace":    func(m *cloudwatch.Metric) { m.Namespace = "" },
		"statistic":    func(m *cloudwatch.Metric) { m.Statistic = "p101" },
		"no statistic": func(m *cloudwatch.Metric) { m.Statistic = "" },
		"period":       func(m *cloudwatch.Metric) { m.Period = 90 * time.Second },
		"negative":     func(m *cloudwatch.Metric) { m.Period = -time.Minute },
		"long":         func(m *cloudwatch.Metric) { m.Period = 25 * time.Hour },
		"missing":      func(m *cloudwatch.Metric) { m.Missing = "ignore" },
		"dimension":    func(m *cloudwatch.Metric) { m.Dimensions = map[string]string{"EndpointName": ""} },
	} {
		m := good
		edit(&m)
		if _, err := cloudwatch.Below(api, m, 1); !errors.Is(err, endpoint.ErrInvalid) {
			t.Errorf("%s: Below = %v", name, err)
		}
	}
	for name, f := range map[string]func() (rollout.Check, error){
		"client":         func() (rollout.Check, error) { return cloudwatch.Below(nil, good, 1) },
		"limit":          func() (rollout.Check, error) { return cloudwatch.Above(api, good, math.NaN()) },
		"ratio":          func() (rollout.Check, error) { return cloudwatch.Ratio(api, good, 0) },
		"ratio of one":   func() (rollout.Check, error) { return cloudwatch.Ratio(api, cloudwatch.Component("c", "m", "Sum"), 1) },
		"alarm":          func() (rollout.Check, error) { return cloudwatch.Alarm(api, "") },
		"alarm's client": func() (rollout.Check, error) { return cloudwatch.Alarm(nil, "a") },
	} {
		if _, err := f(); !errors.Is(err, endpoint.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
