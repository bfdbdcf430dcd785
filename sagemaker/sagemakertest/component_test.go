package sagemakertest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	metrics "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

// createHost is a config of an endpoint that hosts inference components.
func createHost(config string, n int32) *sagemaker.CreateEndpointConfigInput {
	v := variant("A", "", n)
	v.ModelName, v.InitialVariantWeight = nil, nil
	in := createConfig(config, v)
	in.ExecutionRoleArn = aws.String("arn:aws:iam::111122223333:role/host")
	return in
}

func specification(model string) *types.InferenceComponentSpecification {
	return &types.InferenceComponentSpecification{
		ModelName:                   &model,
		ComputeResourceRequirements: &types.InferenceComponentComputeResourceRequirements{MinMemoryRequiredInMb: aws.Int32(4096), NumberOfAcceleratorDevicesRequired: aws.Float32(1)},
	}
}

func createComponent(name string, copies int32) *sagemaker.CreateInferenceComponentInput {
	return &sagemaker.CreateInferenceComponentInput{
		InferenceComponentName: &name, EndpointName: aws.String("host"), VariantName: aws.String("A"),
		Specification: specification("m1"), RuntimeConfig: &types.InferenceComponentRuntimeConfig{CopyCount: &copies},
	}
}

// hosting is an account with the endpoint "host" and the component "chat" of
// model m1 on it.
func hosting(copies int32) *sagemakertest.Server {
	srv := sagemakertest.New()
	srv.Seed(createModel("m1"), createModel("m2"), createHost("h1", 4), createEndpoint("host", "h1"), createComponent("chat", copies))
	return srv
}

func updateComponent(model string, size *types.InferenceComponentCapacitySize, wait int32, alarms ...string) *sagemaker.UpdateInferenceComponentInput {
	in := &sagemaker.UpdateInferenceComponentInput{InferenceComponentName: aws.String("chat"), Specification: specification(model)}
	if size == nil {
		return in
	}
	in.DeploymentConfig = &types.InferenceComponentDeploymentConfig{RollingUpdatePolicy: &types.InferenceComponentRollingUpdatePolicy{MaximumBatchSize: size, WaitIntervalInSeconds: &wait}}
	if alarms != nil {
		in.DeploymentConfig.AutoRollbackConfiguration = &types.AutoRollbackConfig{}
		for _, a := range alarms {
			in.DeploymentConfig.AutoRollbackConfiguration.Alarms = append(in.DeploymentConfig.AutoRollbackConfiguration.Alarms, types.Alarm{AlarmName: &a})
		}
	}
	return in
}

func copies(n int32) *types.InferenceComponentCapacitySize {
	return &types.InferenceComponentCapacitySize{Type: types.InferenceComponentCapacitySizeTypeCopyCount, Value: &n}
}

func share(percent int32) *types.InferenceComponentCapacitySize {
	return &types.InferenceComponentCapacitySize{Type: types.InferenceComponentCapacitySizeTypeCapacityPercent, Value: &percent}
}

// course is how a component looks from its present moment on, when it changes.
func course(srv *sagemakertest.Server, d time.Duration) []string {
	var all []string
	start := time.Now()
	for ; time.Since(start) <= d; time.Sleep(time.Second) {
		c := srv.Component("chat")
		s := fmt.Sprintf("%s %s %d/%d fresh %d back %t", c.Status, c.Model, c.Current, c.Desired, c.Fresh, c.Back)
		if len(all) == 0 || !strings.HasSuffix(all[len(all)-1], " "+s) {
			all = append(all, fmt.Sprintf("%v %s", time.Since(start), s))
		}
	}
	return all
}

func TestComponentRollsInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hosting(4)
		c := newClients(srv)
		if _, err := c.sm.UpdateInferenceComponent(t.Context(), updateComponent("m2", share(50), 600)); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"0s Updating m1 4/4 fresh 0 back false",
			"5m0s Updating m1 6/4 fresh 2 back false", // the first batch is up, and bakes for 10 minutes
			"16m0s Updating m1 4/4 fresh 2 back false",
			"21m0s Updating m1 6/4 fresh 4 back false",
			"32m0s InService m2 4/4 fresh 0 back false",
		}
		if diff := cmp.Diff(want, course(srv, time.Hour)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestComponentGoesBackInSilence(t *testing.T) {
	alarm := func(state metrics.StateValue) *cloudwatch.SetAlarmStateInput {
		return &cloudwatch.SetAlarmStateInput{AlarmName: aws.String("errors"), StateValue: state, StateReason: aws.String("a test")}
	}
	for _, tt := range []struct {
		name  string
		do    func(srv *sagemakertest.Server)
		fate  sagemakertest.Outcome
		limit int32
		want  types.InferenceComponentStatus
		model string
	}{
		{name: "alarm in batch 2", do: func(srv *sagemakertest.Server) {
			srv.At(time.Now().Add(22*time.Minute), alarm(metrics.StateValueAlarm))
		}, want: types.InferenceComponentStatusInService, model: "m1"},
		{name: "copies do not start", fate: sagemakertest.RollsBack, want: types.InferenceComponentStatusInService, model: "m1"},
		{name: "time limit", limit: 1300, want: types.InferenceComponentStatusInService, model: "m1"},
		{name: "fails", fate: sagemakertest.Fails, want: types.InferenceComponentStatusFailed, model: "m2"},
		{name: "rollback fails", fate: sagemakertest.RollbackFails, want: types.InferenceComponentStatusFailed, model: "m2"},
		{name: "stalls", fate: sagemakertest.Stalls, want: types.InferenceComponentStatusUpdating, model: "m1"},
		{name: "stalls until the time limit", fate: sagemakertest.Stalls, limit: 1300, want: types.InferenceComponentStatusInService, model: "m1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := hosting(4)
				srv.Seed(&cloudwatch.PutMetricAlarmInput{
					AlarmName: aws.String("errors"), ComparisonOperator: metrics.ComparisonOperatorGreaterThanThreshold, EvaluationPeriods: aws.Int32(1),
					MetricName: aws.String("Errors"), Namespace: aws.String("AWS/SageMaker"), Period: aws.Int32(60), Statistic: metrics.StatisticSum, Threshold: aws.Float64(1),
				}, alarm(metrics.StateValueOk))
				srv.SetOutcome("m2", tt.fate, "the container does not start")
				c := newClients(srv)
				in := updateComponent("m2", share(50), 600, "errors")
				if tt.limit > 0 {
					in.DeploymentConfig.RollingUpdatePolicy.MaximumExecutionTimeoutInSeconds = &tt.limit
				}
				if _, err := c.sm.UpdateInferenceComponent(t.Context(), in); err != nil {
					t.Fatal(err)
				}
				if tt.do != nil {
					tt.do(srv)
				}
				time.Sleep(2 * time.Hour)
				d, err := c.sm.DescribeInferenceComponent(t.Context(), &sagemaker.DescribeInferenceComponentInput{InferenceComponentName: aws.String("chat")})
				if err != nil || d.InferenceComponentStatus != tt.want || *d.Specification.ModelName != tt.model || *d.RuntimeConfig.DesiredCopyCount != 4 {
					t.Errorf("%+v, %v", d, err)
				}
				if got, want := d.FailureReason != nil, tt.want == types.InferenceComponentStatusFailed; got != want {
					t.Errorf("reason: %v", aws.ToString(d.FailureReason))
				}
			})
		})
	}
}

func TestComponentRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hosting(4)
		srv.Seed(createComponent("one", 1), &sagemaker.CreateInferenceComponentInput{
			InferenceComponentName: aws.String("adapter"), EndpointName: aws.String("host"),
			Specification: &types.InferenceComponentSpecification{
				BaseInferenceComponentName: aws.String("chat"), Container: &types.InferenceComponentContainerSpecification{ArtifactUrl: aws.String("s3://acme/lora.tar.gz")},
			},
		})
		c := newClients(srv)
		update := func(edit func(*sagemaker.UpdateInferenceComponentInput)) error {
			in := updateComponent("m2", share(50), 60)
			edit(in)
			_, err := c.sm.UpdateInferenceComponent(t.Context(), in)
			return err
		}
		for name, tt := range map[string]struct {
			edit func(*sagemaker.UpdateInferenceComponentInput)
			says string
		}{
			"no such component": {func(in *sagemaker.UpdateInferenceComponentInput) { in.InferenceComponentName = aws.String("none") }, "Could not find inference component"},
			"no such model":     {func(in *sagemaker.UpdateInferenceComponentInput) { in.Specification.ModelName = aws.String("none") }, "Could not find model"},
			"deployment alone":  {func(in *sagemaker.UpdateInferenceComponentInput) { in.Specification = nil }, "At least one of"},
			"both": {func(in *sagemaker.UpdateInferenceComponentInput) {
				in.Specifications = []types.InferenceComponentSpecification{*in.Specification}
			}, "Only one of"},
			"4 percent": {func(in *sagemaker.UpdateInferenceComponentInput) {
				in.DeploymentConfig.RollingUpdatePolicy.MaximumBatchSize = share(4)
			}, "between 5 and 50"},
			"51 percent": {func(in *sagemaker.UpdateInferenceComponentInput) {
				in.DeploymentConfig.RollingUpdatePolicy.MaximumBatchSize = share(51)
			}, "between 5 and 50"},
			"3 of 4": {func(in *sagemaker.UpdateInferenceComponentInput) {
				in.DeploymentConfig.RollingUpdatePolicy.MaximumBatchSize = copies(3)
			}, "between 5 and 50"},
			"one copy": {func(in *sagemaker.UpdateInferenceComponentInput) { in.InferenceComponentName = aws.String("one") }, "not possible with 1"},
			"wait": {func(in *sagemaker.UpdateInferenceComponentInput) {
				in.DeploymentConfig.RollingUpdatePolicy.WaitIntervalInSeconds = aws.Int32(3601)
			}, "less than or equal to 3600"},
			"time limit": {func(in *sagemaker.UpdateInferenceComponentInput) {
				in.DeploymentConfig.RollingUpdatePolicy.MaximumExecutionTimeoutInSeconds = aws.Int32(599)
			}, "greater than or equal to 600"},
			"no requirements": {func(in *sagemaker.UpdateInferenceComponentInput) { in.Specification.ComputeResourceRequirements = nil }, "ComputeResourceRequirements is required"},
		} {
			if err := update(tt.edit); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := c.sm.DeleteInferenceComponent(t.Context(), &sagemaker.DeleteInferenceComponentInput{InferenceComponentName: aws.String("chat")}); err == nil || !strings.Contains(err.Error(), "is a base inference component") {
			t.Errorf("delete of a base: %v", err)
		}
		if err := update(func(*sagemaker.UpdateInferenceComponentInput) {}); err != nil {
			t.Fatal(err)
		}
		if err := update(func(*sagemaker.UpdateInferenceComponentInput) {}); err == nil || !strings.Contains(err.Error(), "in-progress") {
			t.Errorf("update of an update: %v", err)
		}
	})
}

func TestComponentPages(t *testing.T) {
	srv := hosting(1)
	for i := range 24 {
		srv.Seed(createComponent(fmt.Sprintf("c-%02d", i), 1))
	}
	c := newClients(srv)
	var names []string
	var sizes []int
	p := sagemaker.NewListInferenceComponentsPaginator(c.sm, &sagemaker.ListInferenceComponentsInput{EndpointNameEquals: aws.String("host")})
	for p.HasMorePages() {
		out, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(out.InferenceComponents))
		for _, s := range out.InferenceComponents {
			names = append(names, *s.InferenceComponentName)
		}
	}
	slices.Sort(names)
	if !slices.Equal(sizes, []int{10, 10, 5}) || len(slices.Compact(names)) != 25 {
		t.Errorf("%v, %v", sizes, names)
	}
}
