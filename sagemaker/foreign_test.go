package sagemaker_test

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

// foreign is somebody else's change of one protective value.
type foreign struct {
	name string
	// of is what is changed, by its key in Protective, below the target of
	// main; empty if nothing has to be there.
	of string
	// call is what changes it.
	call func(srv *sagemakertest.Server) any
	// gone: the change takes something away, as deregistering does, so that
	// nobody can tell the one from the other.
	gone bool
	// serves is what main and side serve after the change; empty if that is no matter.
	serves string
}

// do makes the change if AWS lets it, which is not while the endpoint is
// updating, and if there is something to change, which is not while the target
// is deregistered.
func (f foreign) do(srv *sagemakertest.Server) bool {
	_, there := srv.Guarded()["target/"+*resource("main")+"/"+string(target("main").ScalableDimension)+"/"+f.of]
	if !there && f.of != "" {
		return false
	}
	_, err := srv.Do(f.call(srv))
	return err == nil
}

func foreignChanges() []foreign {
	main := target("main")
	always := func(in any) func(*sagemakertest.Server) any { return func(*sagemakertest.Server) any { return in } }
	capacity := func(w types.DesiredWeightAndCapacity) func(*sagemakertest.Server) any {
		return always(&sm.UpdateEndpointWeightsAndCapacitiesInput{
			EndpointName: aws.String(name), DesiredWeightsAndCapacities: []types.DesiredWeightAndCapacity{w},
		})
	}
	register := func(edit func(*aas.RegisterScalableTargetInput)) func(*sagemakertest.Server) any {
		in := *main
		edit(&in)
		return always(&in)
	}
	policy := func(policy string) func(*sagemakertest.Server) any {
		return always(&aas.PutScalingPolicyInput{
			ServiceNamespace: main.ServiceNamespace, ResourceId: main.ResourceId, ScalableDimension: main.ScalableDimension,
			PolicyName: &policy, PolicyType: scaling.PolicyTypeTargetTrackingScaling,
			TargetTrackingScalingPolicyConfiguration: &scaling.TargetTrackingScalingPolicyConfiguration{
				TargetValue: aws.Float64(20), PredefinedMetricSpecification: &scaling.PredefinedMetricSpecification{
					PredefinedMetricType: scaling.MetricTypeSageMakerVariantInvocationsPerInstance,
				},
			},
		})
	}
	action := func(action string) func(*sagemakertest.Server) any {
		return always(&aas.PutScheduledActionInput{
			ServiceNamespace: main.ServiceNamespace, ResourceId: main.ResourceId, ScalableDimension: main.ScalableDimension,
			ScheduledActionName: &action, Schedule: aws.String("cron(0 9 24 12 ? *)"), Timezone: aws.String("Asia/Tokyo"),
			ScalableTargetAction: &scaling.ScalableTargetAction{MinCapacity: aws.Int32(3)},
		})
	}
	update := func(config string) func(*sagemakertest.Server) any {
		return always(&sm.UpdateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: &config, RetainAllVariantProperties: aws.Bool(true)})
	}
	// alarm echoes the actions that it has.
	alarm := func(edit func(*cloudwatch.PutMetricAlarmInput)) func(*sagemakertest.Server) any {
		return func(srv *sagemakertest.Server) any {
			out, err := srv.Do(&cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"backlog-main"}})
			if err != nil {
				panic(err)
			}
			is := out.(*cloudwatch.DescribeAlarmsOutput).MetricAlarms[0]
			in := userAlarm("backlog-main", is.AlarmActions...)
			in.AlarmDescription = is.AlarmDescription
			edit(in)
			return in
		}
	}
	tag := func(change func(arn *string) any) func(*sagemakertest.Server) any {
		return func(srv *sagemakertest.Server) any {
			out, err := srv.Do(&aas.DescribeScalableTargetsInput{ServiceNamespace: main.ServiceNamespace, ResourceIds: []string{*main.ResourceId}})
			if err != nil {
				panic(err)
			}
			return change(out.(*aas.DescribeScalableTargetsOutput).ScalableTargets[0].ScalableTargetARN)
		}
	}
	return []foreign{
		{name: "configuration", call: update("c2"), serves: "model-2 model-2"},
		{name: "back to the source", call: update("c1"), serves: "model-1 model-1"},
		{name: "instances of main", call: capacity(types.DesiredWeightAndCapacity{VariantName: aws.String("main"), DesiredInstanceCount: aws.Int32(5)})},
		{name: "instances of side", call: capacity(types.DesiredWeightAndCapacity{VariantName: aws.String("side"), DesiredInstanceCount: aws.Int32(7)})},
		{name: "weight of side", call: capacity(types.DesiredWeightAndCapacity{VariantName: aws.String("side"), DesiredWeight: aws.Float32(3)})},
		{name: "least capacity", of: "bounds", call: register(func(in *aas.RegisterScalableTargetInput) { in.MinCapacity = aws.Int32(2) })},
		{name: "most capacity", of: "bounds", call: register(func(in *aas.RegisterScalableTargetInput) { in.MaxCapacity = aws.Int32(9) })},
		{name: "what is suspended", of: "suspended", call: register(func(in *aas.RegisterScalableTargetInput) {
			in.SuspendedState = &scaling.SuspendedState{
				DynamicScalingInSuspended: aws.Bool(true), DynamicScalingOutSuspended: aws.Bool(false), ScheduledScalingSuspended: aws.Bool(false),
			}
		})},
		{name: "policy changed", of: "policy/track", call: policy("track")},
		{name: "policy added", of: "bounds", call: policy("night")},
		{name: "policy deleted", of: "policy/track", gone: true, call: always(&aas.DeleteScalingPolicyInput{
			ServiceNamespace: main.ServiceNamespace, ResourceId: main.ResourceId, ScalableDimension: main.ScalableDimension, PolicyName: aws.String("track"),
		})},
		{name: "scheduled action changed", of: "schedule/summer", call: action("summer")},
		{name: "scheduled action added", of: "bounds", call: action("christmas")},
		{name: "scheduled action deleted", of: "schedule/summer", gone: true, call: always(&aas.DeleteScheduledActionInput{
			ServiceNamespace: main.ServiceNamespace, ResourceId: main.ResourceId, ScalableDimension: main.ScalableDimension,
			ScheduledActionName: aws.String("summer"),
		})},
		{name: "alarm changed", call: alarm(func(in *cloudwatch.PutMetricAlarmInput) { in.Threshold = aws.Float64(9) })},
		{name: "alarm's other action changed", call: alarm(func(in *cloudwatch.PutMetricAlarmInput) {
			in.AlarmActions[len(in.AlarmActions)-1] = "arn:aws:sns:eu-west-1:111122223333:night-shift"
		})},
		{name: "alarm deleted", call: always(&cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"backlog-main"}})},
		{name: "tag changed", of: "tag/team", call: tag(func(arn *string) any {
			return &aas.TagResourceInput{ResourceARN: arn, Tags: map[string]string{"team": "audio"}}
		})},
		{name: "tag added", of: "bounds", call: tag(func(arn *string) any {
			return &aas.TagResourceInput{ResourceARN: arn, Tags: map[string]string{"owner": "ops"}}
		})},
		{name: "tag removed", of: "tag/team", gone: true, call: tag(func(arn *string) any {
			return &aas.UntagResourceInput{ResourceARN: arn, TagKeys: []string{"team"}}
		})},
	}
}
