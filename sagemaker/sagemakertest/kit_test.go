package sagemakertest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	metrics "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

// clients are the real SDK clients, without retries.
type clients struct {
	sm *sagemaker.Client
	as *aas.Client
	cw *cloudwatch.Client
}

func newClients(srv *sagemakertest.Server) clients {
	cfg := srv.Config()
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	return clients{sagemaker.NewFromConfig(cfg), aas.NewFromConfig(cfg), cloudwatch.NewFromConfig(cfg)}
}

func variant(name, model string, n int32) types.ProductionVariant {
	return types.ProductionVariant{
		VariantName: &name, ModelName: &model, InitialInstanceCount: &n, InstanceType: types.ProductionVariantInstanceTypeMlG5Xlarge,
		InitialVariantWeight: aws.Float32(1),
	}
}

func createModel(name string) *sagemaker.CreateModelInput {
	return &sagemaker.CreateModelInput{
		ModelName: &name, ExecutionRoleArn: aws.String("arn:aws:iam::111122223333:role/models"),
		PrimaryContainer: &types.ContainerDefinition{Image: aws.String("111122223333.dkr.ecr.eu-west-1.amazonaws.com/acme:" + name)},
	}
}

func createConfig(name string, vs ...types.ProductionVariant) *sagemaker.CreateEndpointConfigInput {
	return &sagemaker.CreateEndpointConfigInput{EndpointConfigName: &name, ProductionVariants: vs}
}

func createEndpoint(name, config string) *sagemaker.CreateEndpointInput {
	return &sagemaker.CreateEndpointInput{EndpointName: &name, EndpointConfigName: &config}
}

// seeded is an account with the endpoint "sdxl", which serves config "c1" of
// model "m1" with 4 instances of variant "A", and config "c2" of model "m2".
func seeded() *sagemakertest.Server {
	srv := sagemakertest.New()
	srv.Seed(
		createModel("m1"), createModel("m2"),
		createConfig("c1", variant("A", "m1", 4)), createConfig("c2", variant("A", "m2", 4)),
		createEndpoint("sdxl", "c1"),
	)
	return srv
}

const resource = "endpoint/sdxl/variant/A"

func register(least, most int32) *aas.RegisterScalableTargetInput {
	return &aas.RegisterScalableTargetInput{
		ServiceNamespace: scaling.ServiceNamespaceSagemaker, ResourceId: aws.String(resource),
		ScalableDimension: scaling.ScalableDimensionSageMakerVariantDesiredInstanceCount,
		MinCapacity:       &least, MaxCapacity: &most,
	}
}

func trackingPolicy(name string) *aas.PutScalingPolicyInput {
	r := register(0, 0)
	return &aas.PutScalingPolicyInput{
		ServiceNamespace: r.ServiceNamespace, ResourceId: r.ResourceId, ScalableDimension: r.ScalableDimension,
		PolicyName: &name, PolicyType: scaling.PolicyTypeTargetTrackingScaling,
		TargetTrackingScalingPolicyConfiguration: &scaling.TargetTrackingScalingPolicyConfiguration{
			TargetValue: aws.Float64(70), ScaleInCooldown: aws.Int32(300),
			PredefinedMetricSpecification: &scaling.PredefinedMetricSpecification{
				PredefinedMetricType: scaling.MetricTypeSageMakerVariantInvocationsPerInstance,
			},
		},
	}
}

func stepPolicy(name string, by int32) *aas.PutScalingPolicyInput {
	p := trackingPolicy(name)
	p.PolicyType, p.TargetTrackingScalingPolicyConfiguration = scaling.PolicyTypeStepScaling, nil
	p.StepScalingPolicyConfiguration = &scaling.StepScalingPolicyConfiguration{
		AdjustmentType:  scaling.AdjustmentTypeChangeInCapacity,
		StepAdjustments: []scaling.StepAdjustment{{MetricIntervalLowerBound: aws.Float64(0), ScalingAdjustment: &by}},
	}
	return p
}

func schedule(name, expression string, least, most int32) *aas.PutScheduledActionInput {
	r := register(0, 0)
	return &aas.PutScheduledActionInput{
		ServiceNamespace: r.ServiceNamespace, ResourceId: r.ResourceId, ScalableDimension: r.ScalableDimension,
		ScheduledActionName: &name, Schedule: &expression,
		ScalableTargetAction: &scaling.ScalableTargetAction{MinCapacity: &least, MaxCapacity: &most},
	}
}

func userAlarm(name string, actions ...string) *cloudwatch.PutMetricAlarmInput {
	return &cloudwatch.PutMetricAlarmInput{
		AlarmName: &name, AlarmActions: actions, ComparisonOperator: metrics.ComparisonOperatorGreaterThanThreshold,
		EvaluationPeriods: aws.Int32(2), MetricName: aws.String("Invocation5XXErrors"), Namespace: aws.String("AWS/SageMaker"),
		Period: aws.Int32(60), Statistic: metrics.StatisticSum, Threshold: aws.Float64(1.5),
		Dimensions: []metrics.Dimension{{Name: aws.String("EndpointName"), Value: aws.String("sdxl")}},
	}
}

func setAlarm(name string, state metrics.StateValue) *cloudwatch.SetAlarmStateInput {
	return &cloudwatch.SetAlarmStateInput{AlarmName: &name, StateValue: state, StateReason: aws.String("a test")}
}

// update moves the endpoint of [seeded] to a config.
func update(config string, d *types.DeploymentConfig) *sagemaker.UpdateEndpointInput {
	return &sagemaker.UpdateEndpointInput{
		EndpointName: aws.String("sdxl"), EndpointConfigName: &config, RetainAllVariantProperties: aws.Bool(true), DeploymentConfig: d,
	}
}

func percent(n int32) *types.CapacitySize {
	return &types.CapacitySize{Type: types.CapacitySizeTypeCapacityPercent, Value: &n}
}

func instances(n int32) *types.CapacitySize {
	return &types.CapacitySize{Type: types.CapacitySizeTypeInstanceCount, Value: &n}
}

func canary(size *types.CapacitySize, wait, end int32, alarms ...string) *types.DeploymentConfig {
	return guarded(&types.BlueGreenUpdatePolicy{
		TrafficRoutingConfiguration: &types.TrafficRoutingConfig{Type: types.TrafficRoutingConfigTypeCanary, CanarySize: size, WaitIntervalInSeconds: &wait},
		TerminationWaitInSeconds:    &end,
	}, nil, alarms)
}

func linear(size *types.CapacitySize, wait, end int32) *types.DeploymentConfig {
	return guarded(&types.BlueGreenUpdatePolicy{
		TrafficRoutingConfiguration: &types.TrafficRoutingConfig{Type: types.TrafficRoutingConfigTypeLinear, LinearStepSize: size, WaitIntervalInSeconds: &wait},
		TerminationWaitInSeconds:    &end,
	}, nil, nil)
}

func allAtOnce(end int32) *types.DeploymentConfig {
	return guarded(&types.BlueGreenUpdatePolicy{
		TrafficRoutingConfiguration: &types.TrafficRoutingConfig{Type: types.TrafficRoutingConfigTypeAllAtOnce, WaitIntervalInSeconds: aws.Int32(0)},
		TerminationWaitInSeconds:    &end,
	}, nil, nil)
}

func rolling(size *types.CapacitySize, wait int32, alarms ...string) *types.DeploymentConfig {
	return guarded(nil, &types.RollingUpdatePolicy{MaximumBatchSize: size, WaitIntervalInSeconds: &wait}, alarms)
}

func guarded(b *types.BlueGreenUpdatePolicy, r *types.RollingUpdatePolicy, alarms []string) *types.DeploymentConfig {
	d := &types.DeploymentConfig{BlueGreenUpdatePolicy: b, RollingUpdatePolicy: r}
	if len(alarms) > 0 {
		d.AutoRollbackConfiguration = &types.AutoRollbackConfig{}
	}
	for _, n := range alarms {
		d.AutoRollbackConfiguration.Alarms = append(d.AutoRollbackConfiguration.Alarms, types.Alarm{AlarmName: &n})
	}
	return d
}

// code is the error code of AWS in err, "" if there is none.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func message(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorMessage()
	}
	return ""
}

// stages are what a deployment goes through, seen every second, with how long.
type stageSpan struct {
	Stage types.VariantStatus
	For   time.Duration
	Text  string
}

// watch looks at the pending deployment every second until there is none.
func watch(t *testing.T, c clients) []stageSpan {
	t.Helper()
	var out []stageSpan
	for {
		d, err := c.sm.DescribeEndpoint(t.Context(), &sagemaker.DescribeEndpointInput{EndpointName: aws.String("sdxl")})
		if err != nil {
			t.Fatal(err)
		}
		if d.PendingDeploymentSummary == nil {
			return out
		}
		s := d.PendingDeploymentSummary.ProductionVariants[0].VariantStatus[0]
		now := stageSpan{Stage: s.Status, Text: aws.ToString(s.StatusMessage)}
		if i := len(out) - 1; i < 0 || out[i].Stage != now.Stage || out[i].Text != now.Text {
			out = append(out, now)
		}
		out[len(out)-1].For += time.Second
		time.Sleep(time.Second)
	}
}

func describe(t *testing.T, c clients) *sagemaker.DescribeEndpointOutput {
	t.Helper()
	out, err := c.sm.DescribeEndpoint(t.Context(), &sagemaker.DescribeEndpointInput{EndpointName: aws.String("sdxl")})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sdkTypes ignores what the SDK's structs have for themselves.
var sdkTypes = cmp.FilterPath(func(p cmp.Path) bool {
	f, ok := p.Last().(cmp.StructField)
	return ok && (f.Name() == "noSmithyDocumentSerde" || f.Name() == "ResultMetadata")
}, cmp.Ignore())
