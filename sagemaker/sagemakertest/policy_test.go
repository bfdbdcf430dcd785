package sagemakertest_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	metrics "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

func TestPolicies(t *testing.T) {
	srv := seeded()
	c := newClients(srv)
	srv.Seed(register(1, 8))
	first, err := c.as.PutScalingPolicy(t.Context(), trackingPolicy("p"))
	if err != nil {
		t.Fatal(err)
	}
	in := trackingPolicy("p")
	in.TargetTrackingScalingPolicyConfiguration.DisableScaleIn = aws.Bool(true)
	second, err := c.as.PutScalingPolicy(t.Context(), in)
	if err != nil || *first.PolicyARN != *second.PolicyARN || len(first.Alarms) != 2 || len(second.Alarms) != 1 {
		t.Errorf("%+v\n%+v, %v", first, second, err)
	}
	wrong := trackingPolicy("q")
	wrong.TargetTrackingScalingPolicyConfiguration.PredefinedMetricSpecification.PredefinedMetricType = scaling.MetricTypeSageMakerVariantProvisionedConcurrencyUtilization
	other := stepPolicy("p", 1)
	both := stepPolicy("q", 1)
	both.TargetTrackingScalingPolicyConfiguration = in.TargetTrackingScalingPolicyConfiguration
	for _, bad := range []*aas.PutScalingPolicyInput{wrong, other, both} {
		if _, err := c.as.PutScalingPolicy(t.Context(), bad); code(err) != "ValidationException" {
			t.Errorf("got %v", err)
		}
	}
}

func TestAlarms(t *testing.T) {
	srv := seeded()
	c := newClients(srv)
	in := userAlarm("errors", "arn:aws:sns:eu-west-1:111122223333:pager")
	in.Tags = []metrics.Tag{{Key: aws.String("team"), Value: aws.String("vision")}}
	srv.Seed(in, setAlarm("errors", metrics.StateValueAlarm))
	change := userAlarm("errors")
	change.OKActions = []string{"arn:aws:sns:eu-west-1:111122223333:calm"}
	if _, err := c.cw.PutMetricAlarm(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	out, err := c.cw.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"errors", "none"}})
	if err != nil || len(out.MetricAlarms) != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	a := out.MetricAlarms[0]
	// It is replaced as a whole and keeps its state.
	if len(a.AlarmActions) != 0 || len(a.OKActions) != 1 || a.StateValue != metrics.StateValueAlarm || *a.Threshold != 1.5 || len(a.Dimensions) != 1 || !*a.ActionsEnabled {
		t.Errorf("alarm %+v", a)
	}
}

func TestRefusedAlarms(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*cloudwatch.PutMetricAlarmInput)
		code string
	}{
		{"metric and queries", func(a *cloudwatch.PutMetricAlarmInput) {
			a.Metrics = []metrics.MetricDataQuery{{Id: aws.String("m1"), Expression: aws.String("1")}}
		}, "InvalidParameterCombination"},
		{"neither", func(a *cloudwatch.PutMetricAlarmInput) { a.MetricName = nil }, "InvalidParameterCombination"},
		{"no namespace", func(a *cloudwatch.PutMetricAlarmInput) { a.Namespace = nil }, "MissingParameter"},
		{"two statistics", func(a *cloudwatch.PutMetricAlarmInput) { a.ExtendedStatistic = aws.String("p99") }, "InvalidParameterCombination"},
		{"no periods", func(a *cloudwatch.PutMetricAlarmInput) { a.EvaluationPeriods = nil }, "MissingParameter"},
		{"no threshold", func(a *cloudwatch.PutMetricAlarmInput) { a.Threshold = nil }, "InvalidParameterCombination"},
		{"datapoints", func(a *cloudwatch.PutMetricAlarmInput) { a.DatapointsToAlarm = aws.Int32(3) }, "InvalidParameterValue"},
		{"period", func(a *cloudwatch.PutMetricAlarmInput) { a.Period = aws.Int32(61) }, "InvalidParameterValue"},
		{"six actions", func(a *cloudwatch.PutMetricAlarmInput) { a.OKActions = strings.Split("abcdef", "") }, "ValidationError"},
		{"long name", func(a *cloudwatch.PutMetricAlarmInput) { a.AlarmName = aws.String(strings.Repeat("a", 256)) }, "ValidationError"},
	} {
		in := userAlarm("a")
		tt.edit(in)
		if _, err := newClients(seeded()).cw.PutMetricAlarm(t.Context(), in); code(err) != tt.code {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.code)
		}
	}
}
