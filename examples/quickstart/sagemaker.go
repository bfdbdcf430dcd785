package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	metrics "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/strategy"
)

const (
	llm     = "llm"        // the endpoint
	variant = "AllTraffic" // its variant
	errRate = "llm-errors" // the alarm that ends a deployment
)

// canary sends a part of the traffic to one new instance first, and the rest
// after two seconds, unless an alarm rings.
const canary = `{
	"BlueGreenUpdatePolicy": {
		"TrafficRoutingConfiguration": {"Type": "CANARY", "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1}, "WaitIntervalInSeconds": 2},
		"TerminationWaitInSeconds": 0
	},
	"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "` + errRate + `"}]}
}`

// cloud is the AWS account of the last two acts, and this program's view of it.
type cloud struct {
	srv     *sagemakertest.Server
	ep      *sagemaker.Endpoint
	options json.RawMessage
	before  map[string]string // what has to be as it was
	frozen  bool              // it was not so while the canary baked
}

// newCloud has an endpoint of two instances, which Application Auto Scaling
// scales by a policy and by the clock.
func newCloud() (*cloud, error) {
	srv := sagemakertest.New()
	for _, v := range []string{"v1", "v2", "v3"} {
		srv.Seed(&sm.CreateModelInput{
			ModelName: aws.String("llm-" + v), ExecutionRoleArn: aws.String("arn:aws:iam::" + sagemakertest.Account + ":role/models"),
			PrimaryContainer: &types.ContainerDefinition{
				Image: aws.String(sagemakertest.Account + ".dkr.ecr." + sagemakertest.Region + ".amazonaws.com/acme/llm:" + v),
			},
		})
	}
	srv.Seed(
		&sm.CreateEndpointConfigInput{EndpointConfigName: aws.String("llm-config-1"), ProductionVariants: []types.ProductionVariant{{
			VariantName: aws.String(variant), ModelName: aws.String("llm-v1"), InitialInstanceCount: aws.Int32(2),
			InstanceType: types.ProductionVariantInstanceTypeMlG5Xlarge, InitialVariantWeight: aws.Float32(1),
		}}},
		&sm.CreateEndpointInput{EndpointName: aws.String(llm), EndpointConfigName: aws.String("llm-config-1")},
		&cloudwatch.PutMetricAlarmInput{
			AlarmName: aws.String(errRate), ComparisonOperator: metrics.ComparisonOperatorGreaterThanThreshold, EvaluationPeriods: aws.Int32(1),
			MetricName: aws.String("Invocation5XXErrors"), Namespace: aws.String("AWS/SageMaker"), Period: aws.Int32(60),
			Statistic: metrics.StatisticSum, Threshold: aws.Float64(1),
		},
		&cloudwatch.SetAlarmStateInput{AlarmName: aws.String(errRate), StateValue: metrics.StateValueOk, StateReason: aws.String("no request failed")},
	)
	autoscale(srv)
	srv.Behave(func(b *sagemakertest.Behaviour) {
		b.Launch, b.Shift, b.Terminate, b.Scale = 500*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond
	})

	cfg := srv.Config()
	ep, err := sagemaker.New(llm, sm.NewFromConfig(cfg), aas.NewFromConfig(cfg), cloudwatch.NewFromConfig(cfg))
	if err != nil {
		return nil, err
	}
	deployment, err := sagemaker.DecodeDeploymentConfig([]byte(canary))
	if err != nil {
		return nil, err
	}
	options, err := sagemaker.UpdateOptions{DeploymentConfig: deployment}.Encode()
	return &cloud{srv: srv, ep: ep, options: options, before: srv.Guarded()}, err
}

// autoscale scales the variant by a policy, and by a scheduled action that is
// never due while this program runs.
func autoscale(srv *sagemakertest.Server) {
	const (
		namespace = scaling.ServiceNamespaceSagemaker
		dimension = scaling.ScalableDimensionSageMakerVariantDesiredInstanceCount
	)
	id := aws.String("endpoint/" + llm + "/variant/" + variant)
	night := fmt.Sprintf("cron(0 %d * * ? *)", (time.Now().UTC().Hour()+12)%24)
	srv.Seed(
		&aas.RegisterScalableTargetInput{
			ServiceNamespace: namespace, ResourceId: id, ScalableDimension: dimension, MinCapacity: aws.Int32(1), MaxCapacity: aws.Int32(4),
		},
		&aas.PutScalingPolicyInput{
			ServiceNamespace: namespace, ResourceId: id, ScalableDimension: dimension, PolicyName: aws.String("busy"),
			PolicyType: scaling.PolicyTypeTargetTrackingScaling,
			TargetTrackingScalingPolicyConfiguration: &scaling.TargetTrackingScalingPolicyConfiguration{
				TargetValue: aws.Float64(70), PredefinedMetricSpecification: &scaling.PredefinedMetricSpecification{
					PredefinedMetricType: scaling.MetricTypeSageMakerVariantInvocationsPerInstance,
				},
			},
		},
		&aas.PutScheduledActionInput{
			ServiceNamespace: namespace, ResourceId: id, ScalableDimension: dimension, ScheduledActionName: aws.String("night"),
			Schedule: &night, ScalableTargetAction: &scaling.ScalableTargetAction{MaxCapacity: aws.Int32(2)},
		},
	)
}

// baking is an endpoint where something is done once, when a poll shows that
// the canary has its traffic.
type baking struct {
	*sagemaker.Endpoint
	do   func() error
	done bool
}

func (b *baking) Status(ctx context.Context) (endpoint.Status, error) {
	s, err := b.Endpoint.Status(ctx)
	if err == nil && !b.done && s.UpdateStage.Name == string(types.VariantStatusBaking) {
		b.done = true
		err = b.do()
	}
	return s, err
}

// rollOut goes to a model by a canary deployment, and does something while
// that bakes.
func (c *cloud) rollOut(ctx context.Context, model string, do func() error) (*rollout.Report, error) {
	c.frozen = false
	ep := &baking{Endpoint: c.ep, do: func() error {
		c.frozen = !maps.Equal(c.before, c.srv.Guarded())
		return do()
	}}
	return rollOut(ctx, journal.NewMemory(), ep, strategy.ScaleProtectedSwap{}, rollout.ToArtifact(model), rollout.WithChangeOptions(c.options))
}

// succeeds expects the model to be served in the end.
func (c *cloud) succeeds(ctx context.Context, model string) error {
	report, err := c.rollOut(ctx, model, func() error { return nil })
	if err != nil {
		return err
	}
	if report.Outcome != rollout.OutcomeSucceeded {
		return fmt.Errorf("want success: %s", report.Outcome)
	}
	return c.check(model)
}

// rollsBack lets the alarm ring while the canary bakes, and expects AWS to go
// back to the model that was served.
func (c *cloud) rollsBack(ctx context.Context, model, from string) error {
	updates := c.updates()
	report, err := c.rollOut(ctx, model, func() error {
		_, err := c.srv.Do(&cloudwatch.SetAlarmStateInput{
			AlarmName: aws.String(errRate), StateValue: metrics.StateValueAlarm, StateReason: aws.String("5 of 60 requests failed"),
		})
		return err
	})
	switch {
	case err == nil:
		return fmt.Errorf("want a rollback: %s", report.Outcome)
	case !errors.Is(err, rollout.ErrRolledBack):
		return fmt.Errorf("want a rollback: %w", err)
	}
	if n := c.updates() - updates; n != 1 {
		return fmt.Errorf("want AWS to roll back by itself, after 1 update: there were %d", n)
	}
	return c.check(from)
}

// updates counts the updates that were asked for.
func (c *cloud) updates() int {
	n := 0
	for _, m := range c.srv.Mutations() {
		if m.Operation == "UpdateEndpoint" {
			n++
		}
	}
	return n
}

// check looks past the library whether the endpoint is as it has to be.
func (c *cloud) check(model string) error {
	e := c.srv.Endpoint(llm)
	if v := e.Variants[variant]; e.Status != types.EndpointStatusInService || v.Model != model || v.Current != 2 {
		return fmt.Errorf("the endpoint is %s with %d instances on %s, want 2 on %s", e.Status, v.Current, v.Model, model)
	}
	if !c.frozen {
		return errors.New("autoscaling was not suspended while the canary baked, or the canary did not bake")
	}
	if after := c.srv.Guarded(); !maps.Equal(c.before, after) {
		return fmt.Errorf("autoscaling was %v and is %v", c.before, after)
	}
	fmt.Printf("  checked on the fake: 2 instances on %s; scalable target, policy and scheduled action are as they were\n", model)
	return nil
}
