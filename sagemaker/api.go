package sagemaker

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
)

// SageMaker is what this package calls of Amazon SageMaker. A
// *sagemaker.Client of the AWS SDK satisfies it.
type SageMaker interface {
	DescribeEndpoint(context.Context, *sm.DescribeEndpointInput, ...func(*sm.Options)) (*sm.DescribeEndpointOutput, error)
	DescribeEndpointConfig(context.Context, *sm.DescribeEndpointConfigInput, ...func(*sm.Options)) (*sm.DescribeEndpointConfigOutput, error)
	DescribeModel(context.Context, *sm.DescribeModelInput, ...func(*sm.Options)) (*sm.DescribeModelOutput, error)
	DescribeTrainingPlan(context.Context, *sm.DescribeTrainingPlanInput, ...func(*sm.Options)) (*sm.DescribeTrainingPlanOutput, error)
	DescribeInferenceExperiment(context.Context, *sm.DescribeInferenceExperimentInput, ...func(*sm.Options)) (*sm.DescribeInferenceExperimentOutput, error)
	ListInferenceExperiments(context.Context, *sm.ListInferenceExperimentsInput, ...func(*sm.Options)) (*sm.ListInferenceExperimentsOutput, error)
	ListTags(context.Context, *sm.ListTagsInput, ...func(*sm.Options)) (*sm.ListTagsOutput, error)
	DescribeInferenceComponent(context.Context, *sm.DescribeInferenceComponentInput, ...func(*sm.Options)) (*sm.DescribeInferenceComponentOutput, error)
	UpdateInferenceComponent(context.Context, *sm.UpdateInferenceComponentInput, ...func(*sm.Options)) (*sm.UpdateInferenceComponentOutput, error)
	UpdateInferenceComponentRuntimeConfig(context.Context, *sm.UpdateInferenceComponentRuntimeConfigInput, ...func(*sm.Options)) (*sm.UpdateInferenceComponentRuntimeConfigOutput, error)
	ListInferenceComponents(context.Context, *sm.ListInferenceComponentsInput, ...func(*sm.Options)) (*sm.ListInferenceComponentsOutput, error)
	CreateEndpointConfig(context.Context, *sm.CreateEndpointConfigInput, ...func(*sm.Options)) (*sm.CreateEndpointConfigOutput, error)
	UpdateEndpoint(context.Context, *sm.UpdateEndpointInput, ...func(*sm.Options)) (*sm.UpdateEndpointOutput, error)
	UpdateEndpointWeightsAndCapacities(context.Context, *sm.UpdateEndpointWeightsAndCapacitiesInput, ...func(*sm.Options)) (*sm.UpdateEndpointWeightsAndCapacitiesOutput, error)
	ListEndpoints(context.Context, *sm.ListEndpointsInput, ...func(*sm.Options)) (*sm.ListEndpointsOutput, error)
	ListEndpointConfigs(context.Context, *sm.ListEndpointConfigsInput, ...func(*sm.Options)) (*sm.ListEndpointConfigsOutput, error)
	DeleteEndpointConfig(context.Context, *sm.DeleteEndpointConfigInput, ...func(*sm.Options)) (*sm.DeleteEndpointConfigOutput, error)
}

// AutoScaling is what this package calls of Application Auto Scaling. An
// *applicationautoscaling.Client of the AWS SDK satisfies it.
type AutoScaling interface {
	DescribeScalableTargets(context.Context, *aas.DescribeScalableTargetsInput, ...func(*aas.Options)) (*aas.DescribeScalableTargetsOutput, error)
	DescribeScalingPolicies(context.Context, *aas.DescribeScalingPoliciesInput, ...func(*aas.Options)) (*aas.DescribeScalingPoliciesOutput, error)
	DescribeScheduledActions(context.Context, *aas.DescribeScheduledActionsInput, ...func(*aas.Options)) (*aas.DescribeScheduledActionsOutput, error)
	ListTagsForResource(context.Context, *aas.ListTagsForResourceInput, ...func(*aas.Options)) (*aas.ListTagsForResourceOutput, error)
	RegisterScalableTarget(context.Context, *aas.RegisterScalableTargetInput, ...func(*aas.Options)) (*aas.RegisterScalableTargetOutput, error)
	DeregisterScalableTarget(context.Context, *aas.DeregisterScalableTargetInput, ...func(*aas.Options)) (*aas.DeregisterScalableTargetOutput, error)
	PutScalingPolicy(context.Context, *aas.PutScalingPolicyInput, ...func(*aas.Options)) (*aas.PutScalingPolicyOutput, error)
	PutScheduledAction(context.Context, *aas.PutScheduledActionInput, ...func(*aas.Options)) (*aas.PutScheduledActionOutput, error)
	TagResource(context.Context, *aas.TagResourceInput, ...func(*aas.Options)) (*aas.TagResourceOutput, error)
}

// CloudWatch is what this package calls of Amazon CloudWatch. A
// *cloudwatch.Client of the AWS SDK satisfies it.
type CloudWatch interface {
	DescribeAlarms(context.Context, *cw.DescribeAlarmsInput, ...func(*cw.Options)) (*cw.DescribeAlarmsOutput, error)
	PutMetricAlarm(context.Context, *cw.PutMetricAlarmInput, ...func(*cw.Options)) (*cw.PutMetricAlarmOutput, error)
}

var (
	_ SageMaker   = (*sm.Client)(nil)
	_ AutoScaling = (*aas.Client)(nil)
	_ CloudWatch  = (*cw.Client)(nil)
)

// No write is repeated by the SDK: UpdateEndpoint has no client token, so that
// a second request may come after the first was carried out, and what became
// of the first would be answered with what is wrong with the second.
func onceSM(o *sm.Options)   { o.Retryer = aws.NopRetryer{} }
func onceAAS(o *aas.Options) { o.Retryer = aws.NopRetryer{} }
func onceCW(o *cw.Options)   { o.Retryer = aws.NopRetryer{} }

// call makes one call. It sends nothing once ctx is done, and its errors are
// those of this package.
func call[I, O, F any](ctx context.Context, op func(context.Context, *I, ...func(*F)) (*O, error), in *I, fns ...func(*F)) (*O, error) {
	if err := contextError(ctx); err != nil {
		return nil, err
	}
	out, err := op(ctx, in, fns...)
	switch {
	case err != nil:
		return nil, callError(ctx, err)
	case out == nil:
		return nil, unclear("no answer and no error")
	}
	return out, nil
}
