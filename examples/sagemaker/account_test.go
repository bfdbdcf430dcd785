package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	metrics "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/internal/clitest"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

// The program is tested as what it is: a binary with a command line, signals
// and an exit status, against AWS in a box behind a socket.

var binary string

func TestMain(m *testing.M) { os.Exit(clitest.Main(m, func(b string) { binary = b })) }

// marker is the secret key of every account. No output may have it.
const marker = "MARKER5f3759df5f3759df5f3759df5f3759df"

const (
	name = "sdxl"
	env  = "some-secret-value"
)

// account is an AWS account behind a socket, with the endpoint "sdxl": config
// "c1" of model "m1", with 3 instances of variant main and 2 of side, both
// scaled. c2 is like it, of model m2; the models of cbad and cdead do not come up.
type account struct {
	*sagemakertest.Server
	t      *testing.T
	url    string
	before map[string]string
}

func newAccount(t *testing.T, seeds ...any) *account {
	t.Helper()
	srv := sagemakertest.New()
	for _, id := range []string{"1", "2", "bad", "dead"} {
		srv.Seed(
			&sm.CreateModelInput{
				ModelName: aws.String("m" + id), ExecutionRoleArn: aws.String("arn:aws:iam::111122223333:role/models"),
				PrimaryContainer: &types.ContainerDefinition{
					Image: aws.String("111122223333.dkr.ecr.eu-west-1.amazonaws.com/acme:" + id), Environment: map[string]string{"TOKEN": env},
				},
			},
			&sm.CreateEndpointConfigInput{
				EndpointConfigName: aws.String("c" + id), ProductionVariants: []types.ProductionVariant{variant("main", "m"+id, 3), variant("side", "m"+id, 2)},
			},
		)
	}
	srv.Seed(
		&sm.CreateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("c1")},
		alarm("errors"), state(metrics.StateValueOk),
	)
	for v, most := range map[string]int32{"main": 6, "side": 4} {
		scaled(srv, v, most)
	}
	srv.Seed(seeds...)
	srv.SetOutcome("mbad", sagemakertest.RollsBack, "") // and nobody says why
	srv.SetOutcome("mdead", sagemakertest.Fails, "unrecoverable")
	srv.Behave(func(b *sagemakertest.Behaviour) {
		b.Launch, b.Shift, b.Terminate, b.Scale = 40*time.Millisecond, 10*time.Millisecond, 10*time.Millisecond, 20*time.Millisecond
	})
	ts := httptest.NewServer(srv)
	t.Cleanup(ts.Close)
	return &account{srv, t, ts.URL, srv.Guarded()}
}

func variant(name, model string, n int32) types.ProductionVariant {
	return types.ProductionVariant{
		VariantName: &name, ModelName: &model, InitialInstanceCount: &n, InstanceType: types.ProductionVariantInstanceTypeMlG5Xlarge,
		InitialVariantWeight: aws.Float32(1),
	}
}

func alarm(name string, actions ...string) *cloudwatch.PutMetricAlarmInput {
	return &cloudwatch.PutMetricAlarmInput{
		AlarmName: &name, AlarmActions: actions, ComparisonOperator: metrics.ComparisonOperatorGreaterThanThreshold,
		EvaluationPeriods: aws.Int32(2), MetricName: aws.String("Invocation5XXErrors"), Namespace: aws.String("AWS/SageMaker"),
		Period: aws.Int32(60), Statistic: metrics.StatisticSum, Threshold: aws.Float64(1.5),
		Dimensions: []metrics.Dimension{{Name: aws.String("EndpointName"), Value: aws.String("sdxl")}},
	}
}

// state sets the state of the alarm "errors".
func state(s metrics.StateValue) *cloudwatch.SetAlarmStateInput {
	return &cloudwatch.SetAlarmStateInput{AlarmName: aws.String("errors"), StateValue: s, StateReason: aws.String("a test")}
}

// scaled gives a variant all that can hang on a scalable target.
func scaled(srv *sagemakertest.Server, variant string, most int32) {
	const (
		namespace = scaling.ServiceNamespaceSagemaker
		dimension = scaling.ScalableDimensionSageMakerVariantDesiredInstanceCount
	)
	id := aws.String("endpoint/" + name + "/variant/" + variant)
	srv.Seed(
		&aas.RegisterScalableTargetInput{
			ServiceNamespace: namespace, ResourceId: id, ScalableDimension: dimension, MinCapacity: aws.Int32(1), MaxCapacity: &most,
			SuspendedState: &scaling.SuspendedState{DynamicScalingInSuspended: aws.Bool(variant == "side")},
			Tags:           map[string]string{"team": "vision"},
		},
		&aas.PutScalingPolicyInput{
			ServiceNamespace: namespace, ResourceId: id, ScalableDimension: dimension, PolicyName: aws.String("track"),
			PolicyType: scaling.PolicyTypeTargetTrackingScaling,
			TargetTrackingScalingPolicyConfiguration: &scaling.TargetTrackingScalingPolicyConfiguration{
				TargetValue: aws.Float64(70), PredefinedMetricSpecification: &scaling.PredefinedMetricSpecification{
					PredefinedMetricType: scaling.MetricTypeSageMakerVariantInvocationsPerInstance,
				},
			},
		},
		&aas.PutScheduledActionInput{
			ServiceNamespace: namespace, ResourceId: id, ScalableDimension: dimension, ScheduledActionName: aws.String("summer"),
			Schedule: aws.String("cron(0 3 1 7 ? *)"), ScalableTargetAction: &scaling.ScalableTargetAction{MinCapacity: aws.Int32(2)},
		},
	)
	out, err := srv.Do(&aas.PutScalingPolicyInput{
		ServiceNamespace: namespace, ResourceId: id, ScalableDimension: dimension, PolicyName: aws.String("step"),
		PolicyType: scaling.PolicyTypeStepScaling,
		StepScalingPolicyConfiguration: &scaling.StepScalingPolicyConfiguration{
			AdjustmentType:  scaling.AdjustmentTypeChangeInCapacity,
			StepAdjustments: []scaling.StepAdjustment{{MetricIntervalLowerBound: aws.Float64(0), ScalingAdjustment: aws.Int32(2)}},
		},
	})
	if err != nil {
		panic(err)
	}
	policy, ok := out.(*aas.PutScalingPolicyOutput)
	if !ok {
		panic(fmt.Sprintf("PutScalingPolicy answered %T", out))
	}
	srv.Seed(alarm("backlog-"+variant, "arn:aws:sns:eu-west-1:111122223333:pager", *policy.PolicyARN))
}

// is checks what is served, by config and model, and that everything
// protective is as before.
func (a *account) is(config, model string) {
	a.t.Helper()
	e := a.Endpoint(name)
	if config != "" && e.Config != config {
		a.t.Errorf("serves %s, want %s", e.Config, config)
	}
	for v, s := range e.Variants {
		if s.Model != model {
			a.t.Errorf("variant %s serves %s, want %s", v, s.Model, model)
		}
	}
	a.protected()
}

func (a *account) protected() {
	a.t.Helper()
	if diff := cmp.Diff(a.before, a.Guarded()); diff != "" {
		a.t.Errorf("protective values (-before +after):\n%s", diff)
	}
}

// untouched checks that nothing was asked to change.
func (a *account) untouched() {
	a.t.Helper()
	for _, m := range a.Mutations() {
		a.t.Errorf("it sent %s", m.Action())
	}
}

// file writes a file for the program to read.
func (a *account) file(text string) string {
	a.t.Helper()
	path := filepath.Join(a.t.TempDir(), "deployment.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// canary is a deployment document with an alarm, and a wait in seconds.
func canary(wait int) string {
	return fmt.Sprintf(`{
		"BlueGreenUpdatePolicy": {
			"TrafficRoutingConfiguration": {"Type": "CANARY", "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1}, "WaitIntervalInSeconds": %d},
			"TerminationWaitInSeconds": 0
		},
		"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}
	}`, wait)
}

// command prepares a run, quick, and with the settings of the account and no
// others.
func (a *account) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, with([]string{"-interval", "10ms", "-settle", "40ms"}, args...)...)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "AWS_") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	nowhere := filepath.Join(a.t.TempDir(), "none")
	cmd.Env = append(cmd.Env, "AWS_ENDPOINT_URL="+a.url, "AWS_REGION="+sagemakertest.Region, "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY="+marker,
		"AWS_CONFIG_FILE="+nowhere, "AWS_SHARED_CREDENTIALS_FILE="+nowhere, "AWS_EC2_METADATA_DISABLED=true")
	return cmd
}

func (a *account) run(args ...string) *clitest.Run {
	a.t.Helper()
	return start(a.t, a.command(with([]string{"-endpoint", name}, args...)...))
}

func start(t *testing.T, cmd *exec.Cmd) *clitest.Run {
	t.Helper()
	return clitest.Start(t, cmd, marker, env)
}

func with(args []string, more ...string) []string { return append(slices.Clone(args), more...) }

// schedule is a scheduled action of variant main.
func schedule(action, expression string) *aas.PutScheduledActionInput {
	return &aas.PutScheduledActionInput{
		ServiceNamespace: scaling.ServiceNamespaceSagemaker, ResourceId: aws.String("endpoint/" + name + "/variant/main"),
		ScalableDimension:   scaling.ScalableDimensionSageMakerVariantDesiredInstanceCount,
		ScheduledActionName: &action, Schedule: &expression, ScalableTargetAction: &scaling.ScalableTargetAction{MinCapacity: aws.Int32(1)},
	}
}
