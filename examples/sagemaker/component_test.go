package main

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

const chat = "chat"

// inBatches is a deployment document of an inference component.
const inBatches = `{
	"RollingUpdatePolicy": {"MaximumBatchSize": {"Type": "COPY_COUNT", "Value": 2}, "WaitIntervalInSeconds": 0},
	"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}
}`

// host has the endpoint "host", with the inference component "chat" of model m1
// on it, which has that many copies and is scaled.
func host(copies int32) []any {
	resource := aws.String("inference-component/" + chat)
	const dimension = scaling.ScalableDimensionSageMakerInferenceComponentDesiredCopyCount
	return []any{
		&sm.CreateEndpointConfigInput{
			EndpointConfigName: aws.String("host-1"), ExecutionRoleArn: aws.String("arn:aws:iam::111122223333:role/host"),
			ProductionVariants: []types.ProductionVariant{{VariantName: aws.String("all"), InstanceType: types.ProductionVariantInstanceTypeMlG5Xlarge, InitialInstanceCount: aws.Int32(2)}},
		},
		&sm.CreateEndpointInput{EndpointName: aws.String("host"), EndpointConfigName: aws.String("host-1")},
		&sm.CreateInferenceComponentInput{
			InferenceComponentName: aws.String(chat), EndpointName: aws.String("host"), VariantName: aws.String("all"),
			RuntimeConfig: &types.InferenceComponentRuntimeConfig{CopyCount: &copies},
			Specification: &types.InferenceComponentSpecification{
				ModelName: aws.String("m1"), ComputeResourceRequirements: &types.InferenceComponentComputeResourceRequirements{MinMemoryRequiredInMb: aws.Int32(1024)},
			},
		},
		&aas.RegisterScalableTargetInput{
			ServiceNamespace: scaling.ServiceNamespaceSagemaker, ResourceId: resource, ScalableDimension: dimension, MinCapacity: aws.Int32(1), MaxCapacity: aws.Int32(6),
		},
		&aas.PutScalingPolicyInput{
			ServiceNamespace: scaling.ServiceNamespaceSagemaker, ResourceId: resource, ScalableDimension: dimension, PolicyName: aws.String("busy"),
			PolicyType: scaling.PolicyTypeTargetTrackingScaling,
			TargetTrackingScalingPolicyConfiguration: &scaling.TargetTrackingScalingPolicyConfiguration{
				TargetValue: aws.Float64(5), PredefinedMetricSpecification: &scaling.PredefinedMetricSpecification{
					PredefinedMetricType: scaling.MetricTypeSageMakerInferenceComponentInvocationsPerCopy,
				},
			},
		},
	}
}

func TestComponent(t *testing.T) {
	t.Parallel()
	for _, strategy := range []string{"in-place", "scale-protected"} {
		for model, exit := range map[string]int{"m2": 0, "mbad": 1} {
			t.Run(strategy+" to "+model, func(t *testing.T) {
				t.Parallel()
				a := newAccount(t, host(4)...)
				r := a.run("-endpoint", "host", "-component", chat, "-strategy", strategy, "-model", model, "-deployment", a.file(inBatches), "-timeout", "1m").Exits(exit)
				r.Says(&r.Stdout, "sagemaker/host/"+chat, "copies=4")
				want := map[int]string{0: model, 1: "m1"}[exit]
				if is := a.Component(chat); is.Model != want || is.Desired != 4 || is.Current != 4 {
					t.Errorf("%+v, want model %s", is, want)
				}
				a.protected()
				if updates := a.count("UpdateInferenceComponent"); updates != 1 {
					t.Errorf("%d updates, want 1", updates)
				}
			})
		}
	}
}

func TestComponentRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		copies int32
		args   []string
		file   string
		says   []string
	}{
		{"one copy", 1, []string{"-model", "m2"}, inBatches, []string{"MaximumBatchSize", "1 copies", "2 copies or more"}},
		{"null", 4, []string{"-model", "m2"}, `null`, []string{"-deployment", "says nothing"}},
		{"misspelled", 4, []string{"-model", "m2"}, `{"rollingUpdatePolicy": {}}`, []string{"AWS spells it RollingUpdatePolicy", "update-inference-component"}},
		{"unknown component", 4, []string{"-component", "none", "-model", "m2"}, "", []string{"Could not find inference component"}},
		{"unknown model", 4, []string{"-model", "nosuch"}, "", []string{"Could not find model"}},
		{"empty", 4, []string{"-component", " ", "-model", "m2"}, "", []string{"-component is empty"}},
		{"config", 4, []string{"-config", "c2"}, "", []string{"-config has no meaning"}},
		{"prescale", 4, []string{"-model", "m2", "-prescale", "3"}, "", []string{"-prescale has no meaning"}},
		{"deregister", 4, []string{"-model", "m2", "-protect", "deregister"}, "", []string{"-protect deregister has no meaning"}},
		{"retain", 4, []string{"-model", "m2", "-retain-deployment"}, "", []string{"-retain-deployment"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t, host(tt.copies)...)
			args := with([]string{"-endpoint", "host", "-component", chat, "-strategy", "scale-protected"}, tt.args...)
			if tt.file != "" {
				args = append(args, "-deployment", a.file(tt.file))
			}
			r := a.run(args...).Exits(2)
			r.Says(&r.Stderr, tt.says...)
			r.Says(&r.Stderr, "sagemaker: refused", "next: ")
			a.untouched()
		})
	}
}
