package sagemaker_test

import (
	"context"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/sagemaker"
)

// motoSM and motoAAS fill in what moto does not have.
type motoSM struct{ *sm.Client }

func (motoSM) ListInferenceComponents(context.Context, *sm.ListInferenceComponentsInput, ...func(*sm.Options)) (*sm.ListInferenceComponentsOutput, error) {
	return &sm.ListInferenceComponentsOutput{}, nil
}

// DescribeEndpointConfig leaves out the empty structure that moto shows where
// there is nothing.
func (m motoSM) DescribeEndpointConfig(ctx context.Context, in *sm.DescribeEndpointConfigInput, fns ...func(*sm.Options)) (*sm.DescribeEndpointConfigOutput, error) {
	out, err := m.Client.DescribeEndpointConfig(ctx, in, fns...)
	if out != nil && out.DataCaptureConfig != nil && out.DataCaptureConfig.DestinationS3Uri == nil {
		out.DataCaptureConfig = nil
	}
	return out, err
}

type motoAAS struct{ *aas.Client }

func (motoAAS) ListTagsForResource(context.Context, *aas.ListTagsForResourceInput, ...func(*aas.Options)) (*aas.ListTagsForResourceOutput, error) {
	return &aas.ListTagsForResourceOutput{}, nil
}

// The wire as somebody else understands it: moto, an imitation of AWS that is
// not ours, where it is installed. It has no UpdateEndpoint.
func TestAgainstMoto(t *testing.T) {
	path, err := exec.LookPath("moto_server")
	if err != nil || testing.Short() {
		t.Skip("moto_server is not installed, or the test is to be short: not compared with moto")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	server := exec.CommandContext(t.Context(), path, "-H", "127.0.0.1", "-p", port) //nolint:gosec // from the search path, with a port of ours
	if err := server.Start(); err != nil {
		t.Skip("moto_server does not start:", err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	up := false
	for range 100 {
		if c, err := net.Dial("tcp", address); err == nil {
			up = c.Close() == nil
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if !up {
		t.Skip("moto_server did not come up in time: not compared with moto")
	}
	cfg := aws.Config{
		Region: "eu-west-1", BaseEndpoint: aws.String("http://" + address),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "secret"}, nil
		}),
	}
	smc, asc, ctx := sm.NewFromConfig(cfg), aas.NewFromConfig(cfg), t.Context()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	v := productionVariant("main", "model-1", 2)
	v.InstanceType = "ml.m5.large" // moto knows older ones only
	must(smc.CreateModel(ctx, createModel("model-1")))
	must(smc.CreateModel(ctx, createModel("model-2")))
	must(smc.CreateEndpointConfig(ctx, createConfig("c1", v)))
	must(smc.CreateEndpoint(ctx, &sm.CreateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("c1")}))
	in := target("main")
	in.MinCapacity, in.MaxCapacity = aws.Int32(1), aws.Int32(4)
	must(asc.RegisterScalableTarget(ctx, in))
	must(asc.PutScalingPolicy(ctx, &aas.PutScalingPolicyInput{
		ServiceNamespace: in.ServiceNamespace, ResourceId: in.ResourceId, ScalableDimension: in.ScalableDimension,
		PolicyName: aws.String("track"), PolicyType: scaling.PolicyTypeTargetTrackingScaling,
		TargetTrackingScalingPolicyConfiguration: &scaling.TargetTrackingScalingPolicyConfiguration{TargetValue: aws.Float64(70)},
	}))

	e, err := sagemaker.New(name, motoSM{smc}, motoAAS{asc}, cloudwatch.NewFromConfig(cfg), sagemaker.WithAutoscalingMode(sagemaker.AutoscalingSuspend))
	must(e, err)
	s, err := e.Status(ctx)
	if err != nil || s.Phase != endpoint.PhaseReady || s.Serving.Artifact != "model-1" || s.Settings["variant/main/instances"] != 2 {
		t.Errorf("Status = %+v, %v", s, err)
	}
	d, err := e.Draft(ctx, endpoint.Revision{}, "model-2")
	must(d, err)
	must(nil, e.Stage(ctx, d))
	must(nil, e.Staged(ctx, d))
	p, err := e.SnapshotAutoscaling(ctx, endpoint.Change{To: d.Revision})
	must(p, err)
	must(nil, e.SuspendAutoscaling(ctx, p))
	if is, err := e.InspectAutoscaling(ctx, p); err != nil || !is.Suspended || is.Restored {
		t.Errorf("protected: %+v, %v", is, err)
	}
	must(nil, e.RestoreAutoscaling(ctx, p))
	if is, err := e.InspectAutoscaling(ctx, p); err != nil || !is.Restored {
		t.Errorf("restored: %+v, %v", is, err)
	}
}
