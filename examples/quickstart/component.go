package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/strategy"
)

// What hosts the inference component of the act, and its name.
const host, component = "shared", "llm-chat"

// batches replaces one copy after the other.
const batches = `{"RollingUpdatePolicy": {"MaximumBatchSize": {"Type": "COPY_COUNT", "Value": 1}, "WaitIntervalInSeconds": 0}}`

// component hosts an inference component of two copies on an endpoint of its own,
// and moves it to a model in batches.
func (c *cloud) component(ctx context.Context, from, model string) error {
	c.srv.Seed(
		&sm.CreateEndpointConfigInput{
			EndpointConfigName: aws.String("shared-config-1"), ExecutionRoleArn: aws.String("arn:aws:iam::" + sagemakertest.Account + ":role/host"),
			ProductionVariants: []types.ProductionVariant{{
				VariantName: aws.String(variant), InitialInstanceCount: aws.Int32(2), InstanceType: types.ProductionVariantInstanceTypeMlG5Xlarge,
			}},
		},
		&sm.CreateEndpointInput{EndpointName: aws.String(host), EndpointConfigName: aws.String("shared-config-1")},
		&sm.CreateInferenceComponentInput{
			InferenceComponentName: aws.String(component), EndpointName: aws.String(host), VariantName: aws.String(variant),
			Specification: &types.InferenceComponentSpecification{
				ModelName: aws.String(from),
				ComputeResourceRequirements: &types.InferenceComponentComputeResourceRequirements{
					MinMemoryRequiredInMb: aws.Int32(4096), NumberOfAcceleratorDevicesRequired: aws.Float32(1),
				},
			},
			RuntimeConfig: &types.InferenceComponentRuntimeConfig{CopyCount: aws.Int32(2)},
		},
	)
	deployment, err := sagemaker.DecodeComponentDeploymentConfig([]byte(batches))
	if err != nil {
		return err
	}
	u, err := sagemaker.NewComponentFromConfig(host, component, c.srv.Config(),
		sagemaker.WithComponentUpdate(sagemaker.ComponentUpdateOptions{DeploymentConfig: deployment}))
	if err != nil {
		return err
	}
	report, err := rollOut(ctx, journal.NewMemory(), u, strategy.InPlace{}, rollout.ToArtifact(model))
	if err != nil {
		return err
	}
	if report.Outcome != rollout.OutcomeSucceeded {
		return fmt.Errorf("want success: %s", report.Outcome)
	}
	is := c.srv.Component(component)
	if is.Status != types.InferenceComponentStatusInService || is.Model != model || is.Current != 2 {
		return errors.New("the component is not as it has to be: " + fmt.Sprintf("%s with %d copies of %s", is.Status, is.Current, is.Model))
	}
	c.before = c.srv.Guarded() // with the component's
	fmt.Printf("  checked on the fake: 2 copies on %s\n", model)
	return nil
}
