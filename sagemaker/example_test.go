package sagemaker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// production is the endpoint "sdxl" of an account; [account] stands in for AWS.
func production(srv *sagemakertest.Server) *sagemaker.Endpoint {
	cfg := srv.Config() // with AWS: config.LoadDefaultConfig
	e, err := sagemaker.New("sdxl", sm.NewFromConfig(cfg), aas.NewFromConfig(cfg), cloudwatch.NewFromConfig(cfg))
	if err != nil {
		panic(err)
	}
	return e
}

func ExampleNew() {
	e := production(account())
	s, err := e.Status(context.Background())
	fmt.Println(e, s.Phase, s.Serving, s.Settings, err)
	// Output: sagemaker/sdxl ready endpoint-config c1 (model-1) map[variant/main/instances:3 variant/side/instances:2] <nil>
}

func ExampleEndpoint_Update() {
	e, ctx := production(account()), context.Background()
	to, err := e.Resolve(ctx, endpoint.Revision{ID: "c2"})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := e.Update(ctx, endpoint.Change{To: to}); err != nil {
		fmt.Println(err)
		return
	}
	// SageMaker has accepted it. While it works it takes no other update.
	s, err := e.Status(ctx)
	fmt.Println(s.Phase, s.UpdateStage.Name, s.UpdateStage.Message, "→", s.Desired, err)
	err = e.Update(ctx, endpoint.Change{To: to})
	fmt.Println(errors.Is(err, endpoint.ErrBusy))
	// Output:
	// updating Creating Launching 3 instance(s). → endpoint-config c2 (model-2) <nil>
	// true
}

func ExampleEndpoint_DraftWith() {
	srv := account()
	e, ctx := production(srv), context.Background()
	draft, err := e.DraftWith(ctx, endpoint.Revision{}, func(in *sm.CreateEndpointConfigInput) {
		in.EndpointConfigName = ptr("bigger")
		for i := range in.ProductionVariants {
			in.ProductionVariants[i].InstanceType = types.ProductionVariantInstanceTypeMlG52xlarge
		}
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Nothing was made yet: rollout.ToDraft(draft) is the target of a rollout.
	plan, err := rollout.Preview(ctx, e, strategy.InPlace{}, rollout.ToDraft(draft), rollout.WithInterval(time.Millisecond))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(plan.Source, "→", plan.Target, "by", len(plan.Forward), "steps,", len(srv.Mutations()), "writes so far")
	// Output: endpoint-config c1 (model-1) → endpoint-config bigger (model-1) by 5 steps, 0 writes so far
}

func ExampleEndpoint_DraftCanary() {
	srv := single(2)
	e, ctx := production(srv), context.Background()
	s, err := e.Status(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	// A rollout by strategy.CanaryByWeight does this, and what follows from it.
	c, err := e.DraftCanary(ctx, s.Desired, config("c2"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Source, "beside", c.Target, "as", c.Revision.Artifact)
	_, err = production(account()).DraftCanary(ctx, config("c1"), config("c2"), nil)
	fmt.Println(errors.Is(err, errors.ErrUnsupported), len(srv.Mutations()), "writes")
	// Output:
	// [main] beside [main-co-canary] as main-co-canary=model-2,main=model-1
	// true 0 writes
}

func ExampleDecodeDeploymentConfig() {
	// The document of "aws sagemaker update-endpoint --deployment-config".
	c, err := sagemaker.DecodeDeploymentConfig([]byte(`{
		"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {
			"Type": "CANARY", "WaitIntervalInSeconds": 600, "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 70}
		}}
	}`))
	fmt.Println(c != nil, err)
	// Output: true DeploymentConfig.BlueGreenUpdatePolicy.TrafficRoutingConfiguration.CanarySize.Value is 70 %, AWS allows 1 to 50 %: invalid
}

func ExampleSaveAutoscaling() {
	srv := account()
	scaled(srv, "main", 6)
	e, ctx := production(srv), context.Background()
	doc, err := sagemaker.SaveAutoscaling(ctx, e)
	if err != nil {
		fmt.Println(err)
		return
	}
	// Keep doc, then deregister, and change what has to be changed.
	in := target("main")
	if _, err := srv.Do(&aas.DeregisterScalableTargetInput{
		ServiceNamespace: in.ServiceNamespace, ResourceId: in.ResourceId, ScalableDimension: in.ScalableDimension,
	}); err != nil {
		fmt.Println(err)
		return
	}
	differences, err := sagemaker.LoadAutoscaling(ctx, e, doc)
	fmt.Println(len(differences), err)
	for _, r := range srv.Mutations() {
		fmt.Println(r.Operation)
	}
	// Output:
	// 0 <nil>
	// RegisterScalableTarget
	// PutScalingPolicy
	// PutScalingPolicy
	// PutScheduledAction
	// PutScheduledAction
	// PutMetricAlarm
	// RegisterScalableTarget
}

func ExampleNewLister() {
	srv := account()
	e, ctx := production(srv), context.Background()
	// One for all waits of the account and region.
	shared := waiter.NewShared(sagemaker.NewLister(sm.NewFromConfig(srv.Config())), 0)
	s, err := waiter.Settled(ctx, e, waiter.WithShared(shared))
	fmt.Println(s.Phase, s.Serving, err)
	// Output: ready endpoint-config c1 (model-1) <nil>
}

func ExampleAccess_Actions() {
	access := sagemaker.Access{Suspend: true, Mode: sagemaker.AutoscalingSuspend, Prescale: true}
	fmt.Println(strings.Join(access.Actions(), "\n"))
	// Output:
	// application-autoscaling:DescribeScalableTargets
	// application-autoscaling:DescribeScalingPolicies
	// application-autoscaling:DescribeScheduledActions
	// application-autoscaling:ListTagsForResource
	// application-autoscaling:RegisterScalableTarget
	// sagemaker:DescribeEndpoint
	// sagemaker:DescribeEndpointConfig
	// sagemaker:DescribeModel
	// sagemaker:ListInferenceComponents
	// sagemaker:UpdateEndpoint
	// sagemaker:UpdateEndpointWeightsAndCapacities
}

func ptr[T any](v T) *T { return &v }
