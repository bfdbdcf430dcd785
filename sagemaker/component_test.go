package sagemaker_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	metrics "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/strategy"
)

// chat is the inference component of most tests.
const chat = "chat"

// specification says all that a specification can say beside its model.
func specification(model string) *types.InferenceComponentSpecification {
	return &types.InferenceComponentSpecification{
		ModelName: &model,
		ComputeResourceRequirements: &types.InferenceComponentComputeResourceRequirements{
			MinMemoryRequiredInMb: aws.Int32(4096), MaxMemoryRequiredInMb: aws.Int32(8192),
			NumberOfAcceleratorDevicesRequired: aws.Float32(1), NumberOfCpuCoresRequired: aws.Float32(2.5),
		},
		DataCacheConfig:  &types.InferenceComponentDataCacheConfig{EnableCaching: aws.Bool(false)},
		SchedulingConfig: &types.InferenceComponentSchedulingConfig{PlacementStrategy: types.InferenceComponentPlacementStrategySpread},
		StartupParameters: &types.InferenceComponentStartupParameters{
			ModelDataDownloadTimeoutInSeconds: aws.Int32(1200), ContainerStartupHealthCheckTimeoutInSeconds: aws.Int32(600),
		},
		Container: &types.InferenceComponentContainerSpecification{ContainerMetricsConfig: &types.ContainerMetricsConfig{
			MetricsEndpoints: []types.MetricsEndpoint{{MetricsEndpointPath: aws.String("/stats")}},
		}},
	}
}

func createComponent(component string, copies int32, edit ...func(*sm.CreateInferenceComponentInput)) *sm.CreateInferenceComponentInput {
	in := &sm.CreateInferenceComponentInput{
		InferenceComponentName: &component, EndpointName: aws.String(name), VariantName: aws.String("main"),
		Specification: specification("model-1"), RuntimeConfig: &types.InferenceComponentRuntimeConfig{CopyCount: &copies},
	}
	for _, f := range edit {
		f(in)
	}
	return in
}

// hosting is an account with the endpoint "sdxl", which hosts the inference
// component "chat" of model-1, and an alarm "errors".
func hosting(copies int32) *sagemakertest.Server {
	srv := sagemakertest.New()
	v := productionVariant("main", "", 4)
	v.ModelName, v.InitialVariantWeight = nil, nil
	host := createConfig("host-1", v)
	host.ExecutionRoleArn = aws.String("arn:aws:iam::111122223333:role/host")
	srv.Seed(
		createModel("model-1"), createModel("model-2"), createModel("model-3"), host,
		&sm.CreateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("host-1")},
		createComponent(chat, copies),
		userAlarm("errors"),
		&cloudwatch.SetAlarmStateInput{AlarmName: aws.String("errors"), StateValue: metrics.StateValueOk, StateReason: aws.String("quiet")},
	)
	return srv
}

func copiesTarget() *aas.RegisterScalableTargetInput {
	return &aas.RegisterScalableTargetInput{
		ServiceNamespace: scaling.ServiceNamespaceSagemaker, ResourceId: aws.String("inference-component/" + chat),
		ScalableDimension: scaling.ScalableDimensionSageMakerInferenceComponentDesiredCopyCount,
	}
}

// scaledCopies gives the component a scalable target with everything that can
// hang on one.
func scaledCopies(srv *sagemakertest.Server, least, most int32) {
	in := copiesTarget()
	in.MinCapacity, in.MaxCapacity, in.Tags = &least, &most, map[string]string{"team": "chat"}
	srv.Seed(in, &aas.PutScalingPolicyInput{
		ServiceNamespace: in.ServiceNamespace, ResourceId: in.ResourceId, ScalableDimension: in.ScalableDimension, PolicyName: aws.String("busy"),
		PolicyType: scaling.PolicyTypeTargetTrackingScaling,
		TargetTrackingScalingPolicyConfiguration: &scaling.TargetTrackingScalingPolicyConfiguration{
			TargetValue: aws.Float64(5), PredefinedMetricSpecification: &scaling.PredefinedMetricSpecification{
				PredefinedMetricType: scaling.MetricTypeSageMakerInferenceComponentInvocationsPerCopy,
			},
		},
	}, &aas.PutScheduledActionInput{
		ServiceNamespace: in.ServiceNamespace, ResourceId: in.ResourceId, ScalableDimension: in.ScalableDimension, ScheduledActionName: aws.String("summer"),
		Schedule: aws.String("cron(0 3 1 7 ? *)"), ScalableTargetAction: &scaling.ScalableTargetAction{MinCapacity: aws.Int32(2)},
	})
}

// openComponent returns the component of an account, behind the SDK's own clients.
func openComponent(t testing.TB, srv *sagemakertest.Server, opts ...sagemaker.Option) *sagemaker.Component {
	t.Helper()
	c, err := sagemaker.NewComponentFromConfig(name, chat, srv.Config(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// inBatches is a rolling policy of a component, half of the copies at a time.
func inBatches(wait int32, alarms ...string) sagemaker.ComponentUpdateOptions {
	c := &types.InferenceComponentDeploymentConfig{RollingUpdatePolicy: &types.InferenceComponentRollingUpdatePolicy{
		MaximumBatchSize:      &types.InferenceComponentCapacitySize{Type: types.InferenceComponentCapacitySizeTypeCapacityPercent, Value: aws.Int32(50)},
		WaitIntervalInSeconds: &wait,
	}}
	for _, a := range alarms {
		if c.AutoRollbackConfiguration == nil {
			c.AutoRollbackConfiguration = &types.AutoRollbackConfig{}
		}
		c.AutoRollbackConfiguration.Alarms = append(c.AutoRollbackConfiguration.Alarms, types.Alarm{AlarmName: &a})
	}
	return sagemaker.ComponentUpdateOptions{DeploymentConfig: c}
}

func componentStrategies() []strategy.Strategy {
	return []strategy.Strategy{strategy.InPlace{}, strategy.ScaleProtectedSwap{}}
}

// eachBehaviour runs a test for what SageMaker may show while it updates.
func eachBehaviour(t *testing.T, f func(t *testing.T, b func(*sagemakertest.Behaviour))) {
	t.Helper()
	for name, b := range map[string]func(*sagemakertest.Behaviour){
		"old specification": func(*sagemakertest.Behaviour) {},
		"new specification": func(b *sagemakertest.Behaviour) { b.NewSpecificationWhileUpdating = true },
		"lagging":           func(b *sagemakertest.Behaviour) { b.ReadLag, b.ReadFlaps = 20*time.Second, true },
		"model shown":       func(b *sagemakertest.Behaviour) { b.ShowModelEnvironment = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, b) })
		})
	}
}

func TestComponentRollsInBatches(t *testing.T) {
	for _, s := range componentStrategies() {
		eachBehaviour(t, func(t *testing.T, b func(*sagemakertest.Behaviour)) {
			srv := hosting(4)
			scaledCopies(srv, 1, 8)
			srv.Behave(b)
			before, was := srv.Guarded(), srv.Component(chat).Specification
			start := time.Now()
			r, err := rollout.Run(t.Context(), journal.NewMemory(), openComponent(t, srv, sagemaker.WithComponentUpdate(inBatches(600, "errors"))), s, rollout.ToArtifact("model-2"))
			if err != nil || r.Outcome != rollout.OutcomeSucceeded || r.Proof != "workers" {
				t.Fatalf("%v: %+v, %v", s, r, err)
			}
			// Two batches launch for 5 minutes, bake for 10 and replace for 1.
			if took := time.Since(start); took < 32*time.Minute || took > 36*time.Minute {
				t.Errorf("%v took %v", s, took)
			}
			is := srv.Component(chat)
			if is.Model != "model-2" || is.Desired != 4 || is.Current != 4 {
				t.Errorf("%v: %+v", s, is)
			}
			if was.ModelName = aws.String("model-2"); !same(was, is.Specification) {
				t.Errorf("the specification was %s and is %s", jsonOf(was), jsonOf(is.Specification))
			}
			asBefore(t, srv, before)
			for _, m := range srv.Mutations() {
				if in, ok := m.Input.(*sm.UpdateInferenceComponentInput); ok && in.RuntimeConfig != nil {
					t.Errorf("copies are pinned: %+v", in.RuntimeConfig)
				}
			}
		})
	}
}

// An alarm in the second batch: SageMaker goes back, and says nothing of it.
func TestComponentSilentRollback(t *testing.T) {
	for _, s := range componentStrategies() {
		eachBehaviour(t, func(t *testing.T, b func(*sagemakertest.Behaviour)) {
			srv := hosting(4)
			scaledCopies(srv, 1, 8)
			srv.Behave(b)
			before := srv.Guarded()
			srv.At(time.Now().Add(24*time.Minute), ring())
			r, err := rollout.Run(t.Context(), journal.NewMemory(), openComponent(t, srv, sagemaker.WithComponentUpdate(inBatches(600, "errors"))), s, rollout.ToArtifact("model-2"))
			if r == nil || r.Outcome != rollout.OutcomeRolledBack || !errors.Is(err, rollout.ErrRolledBack) {
				t.Fatalf("%v: %+v, %v", s, r, err)
			}
			if is := srv.Component(chat); is.Model != "model-1" || is.Status != types.InferenceComponentStatusInService || is.Current != 4 {
				t.Errorf("%v: %+v", s, is)
			}
			asBefore(t, srv, before)
		})
	}
}

// Each end that an update can have but a good one.
func TestComponentFailures(t *testing.T) {
	for _, tt := range []struct {
		name    string
		fate    sagemakertest.Outcome
		b       func(*sagemakertest.Behaviour)
		outcome rollout.Outcome
		says    string
	}{
		{name: "does not start", fate: sagemakertest.RollsBack, outcome: rollout.OutcomeRolledBack},
		{name: "fails, and takes an update", fate: sagemakertest.Fails, b: func(b *sagemakertest.Behaviour) { b.FailedMayUpdate = true }, outcome: rollout.OutcomeRolledBack, says: "out of memory"},
		{name: "fails, shows the old specification", fate: sagemakertest.Fails, b: func(b *sagemakertest.Behaviour) {
			b.FailedMayUpdate, b.OldSpecificationWhenFailed = true, true
		}, outcome: rollout.OutcomeIncomplete, says: "out of memory"},
		{name: "fails for good", fate: sagemakertest.Fails, outcome: rollout.OutcomeIncomplete, says: "out of memory"},
		{name: "rollback fails", fate: sagemakertest.RollbackFails, outcome: rollout.OutcomeIncomplete, says: "out of memory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := hosting(4)
				scaledCopies(srv, 1, 8)
				if tt.b != nil {
					srv.Behave(tt.b)
				}
				srv.SetOutcome("model-2", tt.fate, "out of memory")
				r, err := rollout.Run(t.Context(), journal.NewMemory(), openComponent(t, srv, sagemaker.WithComponentUpdate(inBatches(60))), strategy.ScaleProtectedSwap{}, rollout.ToArtifact("model-2"))
				if r == nil || r.Outcome != tt.outcome || err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%+v, %v", r, err)
				}
			})
		})
	}
}

// An autoscaler moves copies in every window, before, while and after.
func TestComponentWithAutoscaler(t *testing.T) {
	for _, mode := range modes() {
		for _, every := range []time.Duration{time.Minute, 4 * time.Minute, 7 * time.Minute} {
			synctest.Test(t, func(t *testing.T) {
				srv := hosting(3)
				scaledCopies(srv, 2, 6)
				srv.Behave(func(b *sagemakertest.Behaviour) { b.Autoscale, b.Scale = every, 20*time.Second })
				before := srv.Guarded()
				r, err := rollout.Run(t.Context(), journal.NewMemory(), openComponent(t, srv, sagemaker.WithAutoscalingMode(mode), sagemaker.WithComponentUpdate(inBatches(120))),
					strategy.ScaleProtectedSwap{}, rollout.ToArtifact("model-2"))
				if err != nil || r.Outcome != rollout.OutcomeSucceeded || srv.Component(chat).Model != "model-2" {
					t.Errorf("%s, every %v: %+v, %v", mode, every, r, err)
				}
				asBefore(t, srv, before)
			})
		}
	}
}

// same reports whether two values say the same to AWS.
func same(a, b any) bool { return jsonOf(a) == jsonOf(b) }

func jsonOf(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
