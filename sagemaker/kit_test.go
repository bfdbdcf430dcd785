package sagemaker_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	metrics "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/strategy"
)

const name = "sdxl"

// secret is in the environment of every model.
const secret = "hf_NeverShowThis"

// productionVariant is a variant on instances.
func productionVariant(variant, model string, n int32) types.ProductionVariant {
	return types.ProductionVariant{
		VariantName: &variant, ModelName: &model, InitialInstanceCount: &n, InstanceType: types.ProductionVariantInstanceTypeMlG5Xlarge,
		InitialVariantWeight: aws.Float32(1),
	}
}

func createModel(model string) *sm.CreateModelInput {
	return &sm.CreateModelInput{
		ModelName: &model, ExecutionRoleArn: aws.String("arn:aws:iam::111122223333:role/models"),
		PrimaryContainer: &types.ContainerDefinition{
			Image:       aws.String("111122223333.dkr.ecr.eu-west-1.amazonaws.com/acme:" + model),
			Environment: map[string]string{"HF_TOKEN": secret},
		},
	}
}

func createConfig(config string, vs ...types.ProductionVariant) *sm.CreateEndpointConfigInput {
	return &sm.CreateEndpointConfigInput{EndpointConfigName: &config, ProductionVariants: vs}
}

// account is an account with the endpoint "sdxl" in service: config "c1" of
// model "model-1", with the variants main (3 instances) and side (2), and
// config "c2" of "model-2". It has a model "model-3" and an alarm "errors",
// too.
func account(edit ...func(*sagemakertest.Server)) *sagemakertest.Server {
	srv := sagemakertest.New()
	srv.Seed(
		createModel("model-1"), createModel("model-2"), createModel("model-3"),
		createConfig("c1", productionVariant("main", "model-1", 3), productionVariant("side", "model-1", 2)),
		createConfig("c2", productionVariant("main", "model-2", 1), productionVariant("side", "model-2", 1)),
		&sm.CreateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("c1")},
		userAlarm("errors"),
		&cloudwatch.SetAlarmStateInput{AlarmName: aws.String("errors"), StateValue: metrics.StateValueOk, StateReason: aws.String("quiet")},
	)
	for _, f := range edit {
		f(srv)
	}
	return srv
}

// single is an account with an endpoint of one variant with n instances.
func single(n int32, edit ...func(*sagemakertest.Server)) *sagemakertest.Server {
	srv := sagemakertest.New()
	srv.Seed(
		createModel("model-1"), createModel("model-2"), createModel("model-3"),
		createConfig("c1", productionVariant("main", "model-1", n)),
		createConfig("c2", productionVariant("main", "model-2", n)),
		&sm.CreateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("c1")},
		userAlarm("errors"),
		&cloudwatch.SetAlarmStateInput{AlarmName: aws.String("errors"), StateValue: metrics.StateValueOk, StateReason: aws.String("quiet")},
	)
	for _, f := range edit {
		f(srv)
	}
	return srv
}

func userAlarm(alarm string, actions ...string) *cloudwatch.PutMetricAlarmInput {
	return &cloudwatch.PutMetricAlarmInput{
		AlarmName: &alarm, AlarmActions: actions, ComparisonOperator: metrics.ComparisonOperatorGreaterThanThreshold,
		EvaluationPeriods: aws.Int32(2), MetricName: aws.String("Invocation5XXErrors"), Namespace: aws.String("AWS/SageMaker"),
		Period: aws.Int32(60), Statistic: metrics.StatisticSum, Threshold: aws.Float64(1.5),
		Dimensions: []metrics.Dimension{{Name: aws.String("EndpointName"), Value: aws.String(name)}},
	}
}

func ring() *cloudwatch.SetAlarmStateInput {
	return &cloudwatch.SetAlarmStateInput{AlarmName: aws.String("errors"), StateValue: metrics.StateValueAlarm, StateReason: aws.String("a test")}
}

func resource(variant string) *string { return aws.String("endpoint/" + name + "/variant/" + variant) }

// scaled gives a variant everything that can hang on a scalable target: a
// target-tracking policy, a step policy with a user's alarm that has another
// action as well, two scheduled actions, tags, and suspended scheduled scaling.
func scaled(srv *sagemakertest.Server, variant string, most int32) {
	const (
		namespace = scaling.ServiceNamespaceSagemaker
		dimension = scaling.ScalableDimensionSageMakerVariantDesiredInstanceCount
	)
	id := resource(variant)
	srv.Seed(
		&aas.RegisterScalableTargetInput{
			ServiceNamespace: namespace, ResourceId: id, ScalableDimension: dimension, MinCapacity: aws.Int32(1), MaxCapacity: &most,
			SuspendedState: &scaling.SuspendedState{ScheduledScalingSuspended: aws.Bool(variant == "main")},
			Tags:           map[string]string{"team": "vision", "cost": variant},
		},
		&aas.PutScalingPolicyInput{
			ServiceNamespace: namespace, ResourceId: id, ScalableDimension: dimension, PolicyName: aws.String("track"),
			PolicyType: scaling.PolicyTypeTargetTrackingScaling,
			TargetTrackingScalingPolicyConfiguration: &scaling.TargetTrackingScalingPolicyConfiguration{
				TargetValue: aws.Float64(70.5), ScaleInCooldown: aws.Int32(300), DisableScaleIn: aws.Bool(false),
				PredefinedMetricSpecification: &scaling.PredefinedMetricSpecification{
					PredefinedMetricType: scaling.MetricTypeSageMakerVariantInvocationsPerInstance,
				},
			},
		},
		&aas.PutScheduledActionInput{
			ServiceNamespace: namespace, ResourceId: id, ScalableDimension: dimension, ScheduledActionName: aws.String("summer"),
			Schedule: aws.String("cron(0 3 1 7 ? *)"), Timezone: aws.String("Europe/Berlin"),
			ScalableTargetAction: &scaling.ScalableTargetAction{MinCapacity: aws.Int32(2)},
		},
		&aas.PutScheduledActionInput{
			ServiceNamespace: namespace, ResourceId: id, ScalableDimension: dimension, ScheduledActionName: aws.String("launch"),
			Schedule: aws.String("at(2031-05-01T09:00:00)"), EndTime: aws.Time(time.Date(2032, 1, 1, 0, 0, 0, 0, time.UTC)),
			ScalableTargetAction: &scaling.ScalableTargetAction{MinCapacity: aws.Int32(1), MaxCapacity: aws.Int32(9)},
		},
	)
	out, err := srv.Do(&aas.PutScalingPolicyInput{
		ServiceNamespace: namespace, ResourceId: id, ScalableDimension: dimension, PolicyName: aws.String("step"),
		PolicyType: scaling.PolicyTypeStepScaling,
		StepScalingPolicyConfiguration: &scaling.StepScalingPolicyConfiguration{
			AdjustmentType: scaling.AdjustmentTypeChangeInCapacity, Cooldown: aws.Int32(60),
			StepAdjustments: []scaling.StepAdjustment{{MetricIntervalLowerBound: aws.Float64(0), ScalingAdjustment: aws.Int32(2)}},
		},
	})
	if err != nil {
		panic(err)
	}
	arn := *out.(*aas.PutScalingPolicyOutput).PolicyARN
	backlog := userAlarm("backlog-"+variant, "arn:aws:sns:eu-west-1:111122223333:before", arn, "arn:aws:sns:eu-west-1:111122223333:pager")
	backlog.AlarmDescription = aws.String("made by a person")
	backlog.Tags = []metrics.Tag{{Key: aws.String("team"), Value: aws.String("vision")}}
	srv.Seed(backlog)
}

// autoscaled is [account] with autoscaling on both variants, which moves.
func autoscaled() *sagemakertest.Server {
	srv := account()
	scaled(srv, "main", 6)
	scaled(srv, "side", 4)
	srv.Behave(func(b *sagemakertest.Behaviour) { b.Autoscale = 7 * time.Minute })
	return srv
}

// open returns the endpoint of an account, behind the SDK's own clients.
func open(t testing.TB, srv *sagemakertest.Server, opts ...sagemaker.Option) *sagemaker.Endpoint {
	t.Helper()
	return openBy(t, srv, srv.Client().Transport, opts...)
}

// openBy sends all requests by a transport.
func openBy(t testing.TB, srv *sagemakertest.Server, transport http.RoundTripper, opts ...sagemaker.Option) *sagemaker.Endpoint {
	t.Helper()
	cfg := srv.Config()
	cfg.HTTPClient = &http.Client{Transport: transport}
	e, err := sagemaker.New(name, sm.NewFromConfig(cfg), aas.NewFromConfig(cfg), cloudwatch.NewFromConfig(cfg), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func config(id string) endpoint.Revision {
	return endpoint.Revision{Kind: sagemaker.KindEndpointConfig, ID: id}
}

// options encodes update options.
func options(t *testing.T, o sagemaker.UpdateOptions) []byte {
	t.Helper()
	raw, err := o.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func percent(n int32) *types.CapacitySize {
	return &types.CapacitySize{Type: types.CapacitySizeTypeCapacityPercent, Value: &n}
}

func instances(n int32) *types.CapacitySize {
	return &types.CapacitySize{Type: types.CapacitySizeTypeInstanceCount, Value: &n}
}

func blueGreen(r types.TrafficRoutingConfig, end int32, alarms ...string) *types.DeploymentConfig {
	return withAlarms(&types.DeploymentConfig{BlueGreenUpdatePolicy: &types.BlueGreenUpdatePolicy{
		TrafficRoutingConfiguration: &r, TerminationWaitInSeconds: &end,
	}}, alarms)
}

func allAtOnce(end int32, alarms ...string) *types.DeploymentConfig {
	return blueGreen(types.TrafficRoutingConfig{Type: types.TrafficRoutingConfigTypeAllAtOnce, WaitIntervalInSeconds: aws.Int32(0)}, end, alarms...)
}

func canary(size *types.CapacitySize, wait, end int32, alarms ...string) *types.DeploymentConfig {
	return blueGreen(types.TrafficRoutingConfig{Type: types.TrafficRoutingConfigTypeCanary, CanarySize: size, WaitIntervalInSeconds: &wait}, end, alarms...)
}

func linear(size *types.CapacitySize, wait, end int32) *types.DeploymentConfig {
	return blueGreen(types.TrafficRoutingConfig{Type: types.TrafficRoutingConfigTypeLinear, LinearStepSize: size, WaitIntervalInSeconds: &wait}, end)
}

func rolling(size, back *types.CapacitySize, wait int32, alarms ...string) *types.DeploymentConfig {
	return withAlarms(&types.DeploymentConfig{RollingUpdatePolicy: &types.RollingUpdatePolicy{
		MaximumBatchSize: size, RollbackMaximumBatchSize: back, WaitIntervalInSeconds: &wait,
	}}, alarms)
}

func withAlarms(c *types.DeploymentConfig, alarms []string) *types.DeploymentConfig {
	if len(alarms) > 0 {
		c.AutoRollbackConfiguration = &types.AutoRollbackConfig{}
		for _, a := range alarms {
			c.AutoRollbackConfiguration.Alarms = append(c.AutoRollbackConfiguration.Alarms, types.Alarm{AlarmName: &a})
		}
	}
	return c
}

// gate is a check, named closed, that fails whenever f returns an error.
func gate(f func(context.Context, endpoint.Status) error) rollout.Option {
	return rollout.WithCheck(strategy.Check{Name: "closed", Timeout: time.Hour}, rollout.CheckFunc(func(ctx context.Context, s rollout.Sample) (rollout.Verdict, error) {
		if err := f(ctx, s.Status); err != nil {
			return rollout.Verdict{Result: rollout.ResultFail, Reason: err.Error()}, nil //nolint:nilerr // the check's own verdict
		}
		return rollout.Verdict{Result: rollout.ResultPass}, nil
	}))
}
