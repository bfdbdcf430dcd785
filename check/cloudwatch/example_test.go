package cloudwatch_test

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/changeover-dev/changeover/check/cloudwatch"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

// account is an AWS account whose canary is slower than what it replaces.
func account() *sagemakertest.Server {
	srv := sagemakertest.New()
	for variant, latency := range map[string]float64{"main": 300_000, "main-canary": 711_000} {
		srv.Measure(time.Now().Add(-2*time.Minute), "AWS/SageMaker", "ModelLatency",
			map[string]string{"EndpointName": "sdxl", "VariantName": variant}, latency)
	}
	srv.Measure(time.Now().Add(-2*time.Minute), "AWS/SageMaker", "Invocations", map[string]string{"InferenceComponentName": "llm"}, 1, 1)
	srv.Seed(&cw.PutMetricAlarmInput{
		AlarmName: aws.String("sdxl-errors"), Namespace: aws.String("AWS/SageMaker"), MetricName: aws.String("Invocation5XXErrors"),
		Statistic: types.StatisticSum, Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1),
		ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold, Threshold: aws.Float64(0),
	})
	return srv
}

// tenth is what a check is asked while the canary has a tenth of the traffic.
var tenth = rollout.Sample{Share: 10, Elapsed: 10 * time.Minute, SourceNames: []string{"main"}, TargetNames: []string{"main-canary"}}

func ask(c rollout.Check, err error) {
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := c.Check(context.Background(), tenth)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(v.Result, v.Reason)
}

func ExampleBelow() {
	client := cw.NewFromConfig(account().Config())
	ask(cloudwatch.Below(client, cloudwatch.Variant("sdxl", "", "ModelLatency", "p95"), 500_000)) // microseconds
	// Output: fail p95 of ModelLatency of main-canary, want below 500000
}

func ExampleAbove() {
	client := cw.NewFromConfig(account().Config())
	ask(cloudwatch.Above(client, cloudwatch.Component("llm", "Invocations", "Sum"), 0))
	// Output: pass Sum of Invocations, want above 0
}

func ExampleRatio() {
	client := cw.NewFromConfig(account().Config())
	ask(cloudwatch.Ratio(client, cloudwatch.Variant("sdxl", "", "ModelLatency", "p95"), 1.2))
	// Output: fail p95 of ModelLatency of main-canary is 711000, of the source 300000, want at most 1.2 times that
}

func ExampleAlarm() {
	client := cw.NewFromConfig(account().Config())
	ask(cloudwatch.Alarm(client, "sdxl-errors"))
	// Output: unknown alarm "sdxl-errors" is INSUFFICIENT_DATA
}
