package sagemaker_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/strategy"
)

// An autoscaler that acts just before the update, while the endpoint waits,
// just after it, and again and again.
func TestAutoscalerInEveryWindow(t *testing.T) {
	cadences := []time.Duration{61 * time.Second, 4*time.Minute + 7*time.Second, 2 * time.Minute, 11 * time.Minute}
	if testing.Short() {
		cadences = cadences[:2]
	}
	for _, every := range cadences {
		for _, l := range modes() {
			for _, fails := range []bool{false, true} {
				t.Run(fmt.Sprint(every, l, fails), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						srv := autoscaled()
						srv.Behave(func(b *sagemakertest.Behaviour) { b.Autoscale, b.Scale = every, 45*time.Second })
						if fails {
							srv.SetOutcome("model-3", sagemakertest.RollsBack, "does not start")
						}
						time.Sleep(30 * time.Second)
						before := srv.Guarded()
						r, err := rollout.Run(t.Context(), journal.NewMemory(), open(t, srv, sagemaker.WithAutoscalingMode(l)),
							strategy.ScaleProtectedSwap{Prescale: 3}, rollout.ToArtifact("model-3"), rollout.WithInterval(11*time.Second))
						want := rollout.OutcomeSucceeded
						if fails {
							want = rollout.OutcomeRolledBack
						}
						if r == nil || r.Outcome != want || len(r.Drift) > 0 {
							t.Errorf("Run = %+v, %v", r, err)
						}
						asBefore(t, srv, before)
					})
				})
			}
		}
	}
}

// A cancelled context at every request.
func TestCancelledAnywhere(t *testing.T) {
	reached := true
	for at := 1; reached; at += 11 {
		synctest.Test(t, func(t *testing.T) {
			srv := autoscaled()
			before := srv.Guarded()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			why := errors.New("the deploy was cancelled")
			srv.Fail(sagemakertest.Call{Nth: at}, sagemakertest.Fault{Then: func() { cancel(why) }})
			r, err := rollout.Run(ctx, journal.NewMemory(), open(t, srv, sagemaker.WithAutoscalingMode(sagemaker.AutoscalingDeregister)),
				strategy.ScaleProtectedSwap{Prescale: 4}, rollout.ToArtifact("model-3"), rollout.WithInterval(time.Minute))
			reached = ctx.Err() != nil
			switch {
			case !reached:
			case r.Outcome == rollout.OutcomeRefused:
				if !errors.Is(err, why) || len(srv.Mutations()) > 0 {
					t.Errorf("cancelled at request %d before the start: %v, %d writes", at, err, len(srv.Mutations()))
				}
			case r.Outcome == rollout.OutcomeSucceeded:
				if err != nil {
					t.Errorf("cancelled at request %d: %v", at, err)
				}
			default:
				if r.Outcome != rollout.OutcomeRolledBack || !errors.Is(err, why) {
					t.Errorf("cancelled at request %d: %+v, %v", at, r, err)
				}
				if got := srv.Endpoint(name).Config; got != "c1" {
					t.Errorf("cancelled at request %d: serves %s", at, got)
				}
			}
			asBefore(t, srv, before)
		})
	}
}

// A rollout that is left to run while SageMaker works is finished later.
func TestDetachedAndResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := autoscaled()
		before := srv.Guarded()
		e, store := open(t, srv), journal.NewMemory()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		opts := []rollout.Option{
			rollout.WithChangeOptions(options(t, sagemaker.UpdateOptions{DeploymentConfig: canary(percent(40), 3600, 1800, "errors")})),
			rollout.WithDetach(),
		}
		r, err := rollout.Run(ctx, store, e, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"), opts...)
		if r.Outcome != rollout.OutcomeDetached || !errors.Is(err, rollout.ErrDetached) {
			t.Fatalf("Run = %+v, %v", r, err)
		}
		time.Sleep(3 * time.Hour)
		r, err = rollout.Resume(t.Context(), store, open(t, srv), append(opts, rollout.WithForward())...)
		if err != nil || r.Outcome != rollout.OutcomeSucceeded || srv.Endpoint(name).Config != "c2" {
			t.Errorf("Resume = %+v, %v", r, err)
		}
		asBefore(t, srv, before)
	})
}

// A canary that takes hours is waited for, forward and on the way back, though
// the rollout's own patience is half an hour.
func TestPatienceComesFromTheDeployment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := autoscaled()
		before := srv.Guarded()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Minute, cancel) // in the middle of the canary
		start := time.Now()
		r, err := rollout.Run(ctx, journal.NewMemory(), open(t, srv), strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"),
			rollout.WithChangeOptions(options(t, sagemaker.UpdateOptions{DeploymentConfig: canary(percent(40), 3600, 3600)})))
		if r.Outcome != rollout.OutcomeRolledBack || !errors.Is(err, context.Canceled) || srv.Endpoint(name).Config != "c1" {
			t.Errorf("Run = %+v, %v", r, err)
		}
		// The update ends after two hours and six minutes; going back is one
		// update more, all at once.
		if took := time.Since(start); took < 2*time.Hour+6*time.Minute || took > 2*time.Hour+20*time.Minute {
			t.Errorf("took %v", took)
		}
		asBefore(t, srv, before)
	})
}

func TestSilentRollbackThroughOldReads(t *testing.T) {
	for _, b := range []func(*sagemakertest.Behaviour){
		func(b *sagemakertest.Behaviour) { b.ReadLag = 25 * time.Second },
		func(b *sagemakertest.Behaviour) { b.ReadLag, b.ReadFlaps = 25*time.Second, true },
		func(b *sagemakertest.Behaviour) { b.NewNameWhileUpdating = true },
		func(b *sagemakertest.Behaviour) { b.ShowRollingBack = true },
	} {
		for _, reason := range []string{"", "the container does not start"} {
			synctest.Test(t, func(t *testing.T) {
				srv := autoscaled()
				srv.Behave(b)
				srv.SetOutcome("model-2", sagemakertest.RollsBack, reason)
				before := srv.Guarded()
				r, err := rollout.Run(t.Context(), journal.NewMemory(), open(t, srv), strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"))
				if r.Outcome != rollout.OutcomeRolledBack || !errors.Is(err, rollout.ErrRolledBack) || !strings.Contains(err.Error(), reason) {
					t.Errorf("Run = %+v, %v", r, err)
				}
				asBefore(t, srv, before)
			})
		}
	}
}

func TestMaintenanceAndOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := autoscaled()
		before := srv.Guarded()
		// Maintenance before and after the update, and then an update by somebody
		// else while ours bakes.
		srv.Maintain(name, time.Now(), 3*time.Minute)
		srv.Maintain(name, time.Now().Add(9*time.Minute), 5*time.Minute)
		e := open(t, srv)
		r, err := rollout.Run(t.Context(), journal.NewMemory(), e, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"))
		if err != nil || r.Outcome != rollout.OutcomeSucceeded {
			t.Fatalf("Run = %+v, %v", r, err)
		}
		asBefore(t, srv, before)
		srv.Seed(createConfig("theirs", productionVariant("main", "model-1", 1), productionVariant("side", "model-1", 1)))
		srv.At(time.Now().Add(8*time.Minute), &sm.UpdateEndpointInput{
			EndpointName: aws.String(name), EndpointConfigName: aws.String("theirs"), RetainAllVariantProperties: aws.Bool(true),
		})
		r, err = rollout.Run(t.Context(), journal.NewMemory(), e, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c1"), rollout.WithBake(5*time.Minute))
		time.Sleep(time.Hour) // theirs comes about
		if r == nil || r.Outcome != rollout.OutcomeSuperseded || !errors.Is(err, rollout.ErrSuperseded) || srv.Endpoint(name).Config != "theirs" {
			t.Errorf("Run = %+v, %v", r, err)
		}
		asBefore(t, srv, before)
	})
}

// Targets of provisioned concurrency and of inference components are part of
// the snapshot, too.
func TestOtherDimensions(t *testing.T) {
	for _, l := range modes() {
		synctest.Test(t, func(t *testing.T) {
			serverless := func(model string) types.ProductionVariant {
				return types.ProductionVariant{VariantName: aws.String("main"), ModelName: &model, ServerlessConfig: &types.ProductionVariantServerlessConfig{
					MemorySizeInMB: aws.Int32(2048), MaxConcurrency: aws.Int32(10), ProvisionedConcurrency: aws.Int32(3),
				}}
			}
			srv := sagemakertest.New()
			srv.Seed(createModel("model-1"), createModel("model-2"), createConfig("c1", serverless("model-1")), createConfig("c2", serverless("model-2")),
				&sm.CreateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("c1")},
				&aas.RegisterScalableTargetInput{
					ServiceNamespace: scaling.ServiceNamespaceSagemaker, ResourceId: resource("main"),
					ScalableDimension: scaling.ScalableDimensionSageMakerVariantDesiredProvisionedConcurrency,
					MinCapacity:       aws.Int32(1), MaxCapacity: aws.Int32(8),
				},
				&aas.PutScalingPolicyInput{
					ServiceNamespace: scaling.ServiceNamespaceSagemaker, ResourceId: resource("main"), PolicyName: aws.String("utilisation"),
					ScalableDimension: scaling.ScalableDimensionSageMakerVariantDesiredProvisionedConcurrency, PolicyType: scaling.PolicyTypeTargetTrackingScaling,
					TargetTrackingScalingPolicyConfiguration: &scaling.TargetTrackingScalingPolicyConfiguration{
						TargetValue: aws.Float64(0.7), PredefinedMetricSpecification: &scaling.PredefinedMetricSpecification{
							PredefinedMetricType: scaling.MetricTypeSageMakerVariantProvisionedConcurrencyUtilization,
						},
					},
				})
			before := srv.Guarded()
			e := open(t, srv, sagemaker.WithAutoscalingMode(l))
			p, err := e.SnapshotAutoscaling(t.Context(), endpoint.Change{To: config("c2")})
			if err != nil || len(p.Autoscaled) != 1 || p.Autoscaled[0] != "variant/main/concurrency" || p.Max["variant/main/concurrency"] != 8 {
				t.Errorf("Snapshot = %+v, %v", p, err)
			}
			r, err := rollout.Run(t.Context(), journal.NewMemory(), e, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"))
			if err != nil || r.Outcome != rollout.OutcomeSucceeded {
				t.Errorf("Run = %+v, %v", r, err)
			}
			asBefore(t, srv, before)
		})
	}
}

// An inference component's target is frozen and restored with the endpoint's,
// whatever the level, and is never deregistered: the component stays.
func TestInferenceComponents(t *testing.T) {
	for _, l := range modes() {
		t.Run(string(l), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := sagemakertest.New()
				v := func(volume int32) types.ProductionVariant {
					return types.ProductionVariant{
						VariantName: aws.String("main"), InstanceType: types.ProductionVariantInstanceTypeMlG5Xlarge,
						InitialInstanceCount: aws.Int32(2), VolumeSizeInGB: &volume,
					}
				}
				host := func(config string, volume int32) *sm.CreateEndpointConfigInput {
					in := createConfig(config, v(volume))
					in.ExecutionRoleArn = aws.String("arn:aws:iam::111122223333:role/host")
					return in
				}
				component := aws.String("inference-component/chat")
				srv.Seed(createModel("model-1"), host("c1", 10), host("c2", 20),
					&sm.CreateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("c1")},
					&sm.CreateInferenceComponentInput{
						InferenceComponentName: aws.String("chat"), EndpointName: aws.String(name), VariantName: aws.String("main"),
						RuntimeConfig: &types.InferenceComponentRuntimeConfig{CopyCount: aws.Int32(2)},
						Specification: &types.InferenceComponentSpecification{
							ModelName:                   aws.String("model-1"),
							ComputeResourceRequirements: &types.InferenceComponentComputeResourceRequirements{MinMemoryRequiredInMb: aws.Int32(1024)},
						},
					},
					&aas.RegisterScalableTargetInput{
						ServiceNamespace: scaling.ServiceNamespaceSagemaker, ResourceId: component,
						ScalableDimension: scaling.ScalableDimensionSageMakerInferenceComponentDesiredCopyCount,
						MinCapacity:       aws.Int32(1), MaxCapacity: aws.Int32(4), Tags: map[string]string{"team": "chat"},
					},
					&aas.PutScalingPolicyInput{
						ServiceNamespace: scaling.ServiceNamespaceSagemaker, ResourceId: component, PolicyName: aws.String("copies"),
						ScalableDimension: scaling.ScalableDimensionSageMakerInferenceComponentDesiredCopyCount, PolicyType: scaling.PolicyTypeTargetTrackingScaling,
						TargetTrackingScalingPolicyConfiguration: &scaling.TargetTrackingScalingPolicyConfiguration{
							TargetValue: aws.Float64(5), PredefinedMetricSpecification: &scaling.PredefinedMetricSpecification{
								PredefinedMetricType: scaling.MetricTypeSageMakerInferenceComponentInvocationsPerCopy,
							},
						},
					})
				before := srv.Guarded()
				frozen := false
				r, err := rollout.Run(t.Context(), journal.NewMemory(), open(t, srv, sagemaker.WithAutoscalingMode(l)),
					strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"), rollout.WithObserver(func(_ context.Context, e rollout.Event) {
						if e.Kind == rollout.EventStep && e.Step == "update" {
							frozen = !maps.Equal(before, srv.Guarded())
						}
					}))
				if err != nil || r.Outcome != rollout.OutcomeSucceeded {
					t.Errorf("Run = %+v, %v", r, err)
				}
				if frozen != (l != sagemaker.AutoscalingRetain) {
					t.Errorf("frozen while it was updated: %v", frozen)
				}
				for _, req := range srv.Mutations() {
					if req.Action() == "application-autoscaling:DeregisterScalableTarget" {
						t.Errorf("the component's target was deregistered")
					}
				}
				asBefore(t, srv, before)
			})
		})
	}
}
