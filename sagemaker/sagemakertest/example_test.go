package sagemakertest_test

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

// deploy stands for the program under test. It trusts the SDK's waiter, which
// takes any endpoint that is in service for a success.
func deploy(ctx context.Context, client *sagemaker.Client, endpoint, config string) error {
	_, err := client.UpdateEndpoint(ctx, &sagemaker.UpdateEndpointInput{EndpointName: &endpoint, EndpointConfigName: &config})
	if err != nil {
		return err
	}
	w := sagemaker.NewEndpointInServiceWaiter(client, func(o *sagemaker.EndpointInServiceWaiterOptions) {
		o.MinDelay, o.MaxDelay = 10*time.Millisecond, 10*time.Millisecond
	})
	return w.Wait(ctx, &sagemaker.DescribeEndpointInput{EndpointName: &endpoint}, time.Minute)
}

func ExampleServer() {
	srv := sagemakertest.New()
	for _, model := range []string{"v1", "v2"} {
		srv.Seed(
			&sagemaker.CreateModelInput{ModelName: &model},
			&sagemaker.CreateEndpointConfigInput{EndpointConfigName: &model, ProductionVariants: []types.ProductionVariant{{
				VariantName: aws.String("AllTraffic"), ModelName: &model,
				InstanceType: types.ProductionVariantInstanceTypeMlG5Xlarge, InitialInstanceCount: aws.Int32(2),
			}}},
		)
	}
	srv.Seed(&sagemaker.CreateEndpointInput{EndpointName: aws.String("sdxl"), EndpointConfigName: aws.String("v1")})
	srv.Behave(func(b *sagemakertest.Behaviour) { // on the clock of the world
		b.Launch, b.Shift, b.Terminate = 20*time.Millisecond, time.Millisecond, time.Millisecond
	})
	srv.SetOutcome("v2", sagemakertest.RollsBack, "The container did not pass the ping health check.")

	err := deploy(context.Background(), sagemaker.NewFromConfig(srv.Config()), "sdxl", "v2")
	fmt.Println("deployed:", err)
	e := srv.Endpoint("sdxl")
	fmt.Println(e.Status, "with", e.Config, "because:", e.Reason)
	for _, m := range srv.Mutations() {
		fmt.Println(m.Action(), "applied:", m.Applied)
	}
	// Output:
	// deployed: <nil>
	// InService with v1 because: The container did not pass the ping health check.
	// sagemaker:UpdateEndpoint applied: true
}

// The connection breaks after the write took effect: the program cannot know,
// and has to look.
func ExampleServer_OnMutation() {
	srv := sagemakertest.New()
	srv.OnMutation(func(n int, action string) sagemakertest.Fault {
		fmt.Println(n, action)
		return sagemakertest.Dropped(true)
	})
	client := sagemaker.NewFromConfig(srv.Config(), func(o *sagemaker.Options) { o.Retryer = aws.NopRetryer{} })
	_, err := client.CreateModel(context.Background(), &sagemaker.CreateModelInput{ModelName: aws.String("v1")})
	fmt.Println("lost:", err != nil)
	_, err = client.DescribeModel(context.Background(), &sagemaker.DescribeModelInput{ModelName: aws.String("v1")})
	fmt.Println("found:", err == nil)
	// Output:
	// 1 sagemaker:CreateModel
	// lost: true
	// found: true
}
