package sagemakertest_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

// What others delete is gone, and missed by what needs it.
func TestOthersDelete(t *testing.T) {
	srv := seeded()
	c := newClients(srv)
	r := register(1, 8)
	srv.Seed(r, stepPolicy("p", 1), trackingPolicy("q"), schedule("s", "rate(1 day)", 1, 2))
	srv.Seed(userAlarm("a", *policies(t, c)[0].PolicyARN))
	for _, tt := range []struct {
		del, again any
		code       string
	}{
		{
			&aas.DeleteScalingPolicyInput{ServiceNamespace: r.ServiceNamespace, ResourceId: r.ResourceId, ScalableDimension: r.ScalableDimension, PolicyName: aws.String("p")},
			nil, "ObjectNotFoundException",
		},
		{
			&aas.DeleteScheduledActionInput{ServiceNamespace: r.ServiceNamespace, ResourceId: r.ResourceId, ScalableDimension: r.ScalableDimension, ScheduledActionName: aws.String("s")},
			nil, "ObjectNotFoundException",
		},
		{&cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"a"}}, nil, "ResourceNotFound"},
		{&sagemaker.DeleteModelInput{ModelName: aws.String("m2")}, update("c2", nil), "ValidationException"},
		{
			&sagemaker.DeleteEndpointInput{EndpointName: aws.String("SDXL")},
			&sagemaker.DescribeEndpointInput{EndpointName: aws.String("sdxl")}, "ValidationException",
		},
	} {
		if _, err := srv.Do(tt.del); err != nil {
			t.Errorf("%T: %v", tt.del, err)
		}
		if tt.again == nil {
			tt.again = tt.del
		}
		if _, err := srv.Do(tt.again); err == nil || !strings.HasPrefix(err.Error(), tt.code+": ") {
			t.Errorf("%T after it: %v, want %s", tt.again, err, tt.code)
		}
	}
	// The endpoint took its targets along, and those their alarms.
	alarms, err := c.cw.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{})
	if err != nil || len(alarms.MetricAlarms) != 0 || len(targets(t, c)) != 0 {
		t.Errorf("left: %+v, %v", alarms, err)
	}
	if _, err := srv.Do(&sagemaker.CreateClusterInput{}); err == nil {
		t.Error("an operation that is not served")
	}
}

// A deleted policy leaves its user's alarm, without the action.
func TestDeletedPolicyUnlinksAlarms(t *testing.T) {
	srv := seeded()
	c := newClients(srv)
	r := register(1, 8)
	srv.Seed(r, stepPolicy("p", 1))
	srv.Seed(userAlarm("a", *policies(t, c)[0].PolicyARN))
	srv.Seed(&aas.DeleteScalingPolicyInput{ServiceNamespace: r.ServiceNamespace, ResourceId: r.ResourceId, ScalableDimension: r.ScalableDimension, PolicyName: aws.String("p")})
	alarms, err := c.cw.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{})
	if err != nil || len(alarms.MetricAlarms) != 1 || len(alarms.MetricAlarms[0].AlarmActions) != 0 {
		t.Errorf("%+v, %v", alarms, err)
	}
}

func TestLenience(t *testing.T) {
	one := seeded()
	one.Seed(capacity(1))
	excluding := update("c2", nil)
	excluding.RetainAllVariantProperties = nil
	excluding.ExcludeRetainedVariantProperties = []types.VariantProperty{{VariantPropertyType: types.VariantPropertyTypeDesiredWeight}}
	both := update("c2", canary(percent(25), 0, 0))
	both.RetainDeploymentConfig = aws.Bool(true)
	for _, tt := range []struct {
		srv *sagemakertest.Server
		in  *sagemaker.UpdateEndpointInput
	}{
		{one, update("c2", canary(percent(50), 60, 0))},
		{seeded(), update("c2", canary(percent(50), 0, 0, "no such alarm"))},
		{seeded(), excluding},
		{seeded(), both},
	} {
		c := newClients(tt.srv)
		if _, err := c.sm.UpdateEndpoint(t.Context(), tt.in); code(err) != "ValidationException" {
			t.Errorf("strictly: %v", err)
		}
		tt.srv.Behave(func(b *sagemakertest.Behaviour) { b.Lenient = true })
		if _, err := c.sm.UpdateEndpoint(t.Context(), tt.in); err != nil {
			t.Errorf("leniently: %v", err)
		}
	}
}

// On some instances the guardrails are left out, and nobody is told.
func TestUnguardedInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inf := func(model string) types.ProductionVariant {
			v := variant("A", model, 4)
			v.InstanceType = types.ProductionVariantInstanceTypeMlInf1Xlarge
			return v
		}
		srv := sagemakertest.New()
		srv.Seed(createModel("m1"), createModel("m2"), createConfig("c1", inf("m1")), createConfig("c2", inf("m2")), createEndpoint("sdxl", "c1"))
		if _, err := newClients(srv).sm.UpdateEndpoint(t.Context(), update("c2", canary(percent(25), 600, 600))); err != nil {
			t.Fatal(err)
		}
		if took := ended(srv); took != 5*time.Minute+10*time.Second+time.Minute {
			t.Errorf("took %v", took)
		}
	})
}

func TestKindsOfEndpoints(t *testing.T) {
	async := createConfig("async", variant("A", "m1", 4))
	async.AsyncInferenceConfig = &types.AsyncInferenceConfig{OutputConfig: &types.AsyncInferenceOutputConfig{S3OutputPath: aws.String("s3://out/here")}}
	less := variant("A", "m1", 0)
	less.InstanceType, less.InitialInstanceCount = "", nil
	less.ServerlessConfig = &types.ProductionVariantServerlessConfig{MemorySizeInMB: aws.Int32(2048), MaxConcurrency: aws.Int32(20)}
	srv := seeded()
	srv.Seed(async, createConfig("less", less), createEndpoint("async", "async"), createEndpoint("less", "less"))
	move := func(endpoint, config string, d *types.DeploymentConfig) error {
		in := update(config, d)
		in.EndpointName = &endpoint
		_, err := srv.Do(in)
		return err
	}
	if err := move("async", "c2", nil); err == nil || !strings.Contains(err.Error(), "The AsyncInferenceConfig parameter cannot be removed") {
		t.Errorf("async to not: %v", err)
	}
	if err := move("less", "c2", allAtOnce(0)); err == nil || !strings.Contains(err.Error(), "serverless") {
		t.Errorf("guardrails without servers: %v", err)
	}
	if err := move("less", "c2", nil); err != nil {
		t.Errorf("serverless to instances: %v", err)
	}
	srv.Seed()
	if e := srv.Endpoint("less"); e.Pending != "c2" || e.Variants["A"].PendingDesired != 4 {
		t.Errorf("endpoint %+v", e)
	}
}

func TestSeveralVariants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := seeded()
		pair := func(model string) []types.ProductionVariant {
			return []types.ProductionVariant{variant("A", model, 4), variant("B", model, 2)}
		}
		shadowed := createConfig("shadowed", variant("A", "m2", 4))
		shadowed.ShadowProductionVariants = []types.ProductionVariant{variant("S", "m1", 1)}
		srv.Seed(createConfig("p1", pair("m1")...), createConfig("p2", pair("m2")...), shadowed)
		srv.Seed(update("p1", nil))
		c := newClients(srv)
		if _, err := c.sm.UpdateEndpoint(t.Context(), update("p2", canary(percent(50), 60, 0))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5*time.Minute + 20*time.Second) // the canary bakes
		var text []string
		for _, v := range describe(t, c).PendingDeploymentSummary.ProductionVariants {
			text = append(text, *v.VariantStatus[0].StatusMessage)
		}
		want := []string{
			"Baking for 60 seconds (WaitIntervalInSeconds) with traffic enabled on canary capacity of 2 instance(s).",
			"Baking for 60 seconds (WaitIntervalInSeconds) with traffic enabled on canary capacity of 1 instance(s).",
		}
		if diff := cmp.Diff(want, text); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
		ended(srv)
		if _, err := c.sm.UpdateEndpoint(t.Context(), update("shadowed", nil)); err != nil {
			t.Fatal(err)
		}
		if d := describe(t, c); len(d.PendingDeploymentSummary.ShadowProductionVariants) != 1 {
			t.Errorf("pending %+v", d.PendingDeploymentSummary)
		}
		ended(srv)
		if d := describe(t, c); len(d.ShadowProductionVariants) != 1 || len(d.ProductionVariants) != 1 {
			t.Errorf("endpoint %+v", d)
		}
	})
}

// Seeding ends what it began, and nothing else.
func TestSeedingInBetween(t *testing.T) {
	srv := seeded()
	srv.Behave(func(b *sagemakertest.Behaviour) { b.ReadLag, b.ConfigLag = time.Hour, time.Hour })
	c := newClients(srv)
	if _, err := c.sm.CreateEndpointConfig(t.Context(), createConfig("late", variant("A", "m1", 4))); err != nil {
		t.Fatal(err)
	}
	if _, err := c.sm.UpdateEndpoint(t.Context(), update("c2", nil)); err != nil {
		t.Fatal(err)
	}
	srv.Seed(createConfig("c3", variant("A", "m1", 1)), createEndpoint("other", "c3"), userAlarm("a"))
	if e := srv.Endpoint("sdxl"); e.Pending != "c2" {
		t.Errorf("the update is over: %+v", e)
	}
	if e := srv.Endpoint("other"); e.Status != types.EndpointStatusInService {
		t.Errorf("the endpoint is not in service: %+v", e)
	}
	if d := describe(t, c); d.EndpointStatus != types.EndpointStatusInService {
		t.Errorf("the read does not lag: %s", d.EndpointStatus)
	}
	if _, err := srv.Do(createEndpoint("third", "late")); err == nil {
		t.Error("the config does not lag")
	}
	alarms, err := c.cw.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{})
	if err != nil || len(alarms.MetricAlarms) != 1 {
		t.Errorf("the alarm lags: %+v, %v", alarms, err)
	}
}

func TestStepAdjustments(t *testing.T) {
	step := func(by int32, from, to *float64) scaling.StepAdjustment {
		return scaling.StepAdjustment{ScalingAdjustment: &by, MetricIntervalLowerBound: from, MetricIntervalUpperBound: to}
	}
	zero, ten := aws.Float64(0), aws.Float64(10)
	for _, tt := range []struct {
		kind  scaling.AdjustmentType
		least *int32
		steps []scaling.StepAdjustment
		want  int32
	}{
		{scaling.AdjustmentTypeChangeInCapacity, nil, []scaling.StepAdjustment{step(4, ten, nil), step(1, zero, ten)}, 5},
		{scaling.AdjustmentTypeChangeInCapacity, nil, []scaling.StepAdjustment{step(-2, nil, zero)}, 2},
		{scaling.AdjustmentTypeExactCapacity, nil, []scaling.StepAdjustment{step(7, zero, nil)}, 7},
		{scaling.AdjustmentTypePercentChangeInCapacity, nil, []scaling.StepAdjustment{step(50, zero, nil)}, 6},
		{scaling.AdjustmentTypePercentChangeInCapacity, aws.Int32(3), []scaling.StepAdjustment{step(10, zero, nil)}, 7},
		{scaling.AdjustmentTypePercentChangeInCapacity, aws.Int32(3), []scaling.StepAdjustment{step(-10, nil, zero)}, 1},
		{scaling.AdjustmentTypeChangeInCapacity, nil, []scaling.StepAdjustment{step(100, zero, nil)}, 8},
	} {
		srv := seeded()
		p := stepPolicy("p", 1)
		p.StepScalingPolicyConfiguration = &scaling.StepScalingPolicyConfiguration{AdjustmentType: tt.kind, MinAdjustmentMagnitude: tt.least, StepAdjustments: tt.steps}
		srv.Seed(register(1, 8), p)
		srv.Seed(userAlarm("a", *policies(t, newClients(srv))[0].PolicyARN), setAlarm("a", "ALARM"))
		if n := srv.Endpoint("sdxl").Variants["A"].Desired; n != tt.want {
			t.Errorf("%s %d: %d, want %d", tt.kind, *tt.steps[0].ScalingAdjustment, n, tt.want)
		}
	}
}

// What is seeded ends as it has to end, an hour ago.
func TestSeedHeedsOutcomes(t *testing.T) {
	for _, tt := range []struct {
		outcome sagemakertest.Outcome
		config  string
		status  types.EndpointStatus
	}{
		{sagemakertest.Succeeds, "c2", types.EndpointStatusInService},
		{sagemakertest.RollsBack, "c1", types.EndpointStatusInService},
		{sagemakertest.Fails, "c1", types.EndpointStatusFailed},
		{sagemakertest.Stalls, "c1", types.EndpointStatusUpdating},
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := seeded()
			srv.SetOutcome("m2", tt.outcome, "a reason")
			srv.Seed(update("c2", nil))
			is := srv.Endpoint("sdxl")
			if is.Config != tt.config || is.Status != tt.status || (is.Reason != "") != (tt.outcome == sagemakertest.RollsBack || tt.outcome == sagemakertest.Fails) {
				t.Errorf("outcome %d: %+v", tt.outcome, is)
			}
			if ago := time.Since(is.Modified); ago < 50*time.Minute {
				t.Errorf("outcome %d: modified %v ago", tt.outcome, ago)
			}
			if tt.outcome == sagemakertest.Stalls {
				time.Sleep(24 * time.Hour)
				if is := srv.Endpoint("sdxl"); is.Status != tt.status {
					t.Errorf("a day later: %+v", is)
				}
			}
		})
	}
}

// An alarm that is put back as it was described is as it was, although AWS
// describes empty lists where there was nothing.
func TestProtectiveKnowsEmptyLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := seeded()
		in := userAlarm("plain")
		in.Dimensions = nil
		srv.Seed(in)
		before := srv.Guarded()
		c := newClients(srv)
		out, err := c.cw.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"plain"}})
		if err != nil {
			t.Fatal(err)
		}
		is := out.MetricAlarms[0]
		if is.Dimensions == nil || is.AlarmActions == nil {
			t.Fatalf("described %+v", is)
		}
		in.Dimensions, in.AlarmActions, in.OKActions = is.Dimensions, is.AlarmActions, is.OKActions
		if _, err := c.cw.PutMetricAlarm(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, srv.Guarded()); diff != "" {
			t.Error(diff)
		}
	})
}
