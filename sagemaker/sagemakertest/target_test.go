package sagemakertest_test

import (
	"fmt"
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

func suspend(in, out, scheduled bool) *aas.RegisterScalableTargetInput {
	r := register(0, 0)
	r.MinCapacity, r.MaxCapacity = nil, nil
	r.SuspendedState = &scaling.SuspendedState{DynamicScalingInSuspended: &in, DynamicScalingOutSuspended: &out, ScheduledScalingSuspended: &scheduled}
	return r
}

func deregister() *aas.DeregisterScalableTargetInput {
	r := register(0, 0)
	return &aas.DeregisterScalableTargetInput{ServiceNamespace: r.ServiceNamespace, ResourceId: r.ResourceId, ScalableDimension: r.ScalableDimension}
}

func targets(t *testing.T, c clients) []scaling.ScalableTarget {
	t.Helper()
	out, err := c.as.DescribeScalableTargets(t.Context(), &aas.DescribeScalableTargetsInput{ServiceNamespace: scaling.ServiceNamespaceSagemaker})
	if err != nil {
		t.Fatal(err)
	}
	return out.ScalableTargets
}

func policies(t *testing.T, c clients) []scaling.ScalingPolicy {
	t.Helper()
	out, err := c.as.DescribeScalingPolicies(t.Context(), &aas.DescribeScalingPoliciesInput{ServiceNamespace: scaling.ServiceNamespaceSagemaker})
	if err != nil {
		t.Fatal(err)
	}
	return out.ScalingPolicies
}

func TestRegistrationClampsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := seeded()
		c := newClients(srv)
		if _, err := c.as.RegisterScalableTarget(t.Context(), register(6, 8)); err != nil {
			t.Fatal(err)
		}
		if d := describe(t, c); d.EndpointStatus != types.EndpointStatusUpdating || *d.ProductionVariants[0].DesiredInstanceCount != 6 {
			t.Errorf("%s, %d", d.EndpointStatus, *d.ProductionVariants[0].DesiredInstanceCount)
		}
		ended(srv)
		// A pre-scale above the maximum is undone by the next registration,
		// even by one that only suspends.
		if _, err := c.sm.UpdateEndpointWeightsAndCapacities(t.Context(), capacity(10)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.as.RegisterScalableTarget(t.Context(), suspend(true, true, true)); err != nil {
			t.Fatal(err)
		}
		if v := srv.Endpoint("sdxl").Variants["A"]; v.Desired != 10 {
			t.Errorf("moved while updating: %+v", v)
		}
		time.Sleep(3 * time.Minute)
		if v := srv.Endpoint("sdxl").Variants["A"]; v.Desired != 8 {
			t.Errorf("not moved after: %+v", v)
		}
	})
}

func TestSuspension(t *testing.T) {
	srv := seeded()
	c := newClients(srv)
	srv.Seed(register(1, 8), suspend(true, false, true))
	if _, err := c.as.RegisterScalableTarget(t.Context(), register(2, 9)); err != nil { // says nothing of it
		t.Fatal(err)
	}
	s := targets(t, c)[0]
	if *s.MinCapacity != 2 || *s.MaxCapacity != 9 || !*s.SuspendedState.DynamicScalingInSuspended || *s.SuspendedState.DynamicScalingOutSuspended || !*s.SuspendedState.ScheduledScalingSuspended {
		t.Errorf("target %+v %+v", s, s.SuspendedState)
	}
	if *s.RoleARN == "" || !strings.HasPrefix(*s.ScalableTargetARN, "arn:aws:application-autoscaling:eu-west-1:111122223333:scalable-target/") {
		t.Errorf("target %+v", s)
	}
}

func TestRefusedTargets(t *testing.T) {
	edit := func(f func(*aas.RegisterScalableTargetInput)) *aas.RegisterScalableTargetInput {
		r := register(1, 5)
		f(r)
		return r
	}
	for _, tt := range []struct {
		name string
		in   *aas.RegisterScalableTargetInput
		want string
	}{
		{"no bounds", suspend(true, true, true), "MinCapacity and MaxCapacity must be specified"},
		{"wrong way round", register(5, 1), "Maximum capacity cannot be less than minimum capacity"},
		{"negative", register(-1, 5), "less than 0"},
		{"no such endpoint", edit(func(r *aas.RegisterScalableTargetInput) { r.ResourceId = aws.String("endpoint/none/variant/A") }), "does not exist"},
		{"another case", edit(func(r *aas.RegisterScalableTargetInput) { r.ResourceId = aws.String("endpoint/SDXL/variant/A") }), "does not exist"},
		{"no such variant", edit(func(r *aas.RegisterScalableTargetInput) { r.ResourceId = aws.String("endpoint/sdxl/variant/Z") }), "does not exist"},
		{"not serverless", edit(func(r *aas.RegisterScalableTargetInput) {
			r.ScalableDimension = scaling.ScalableDimensionSageMakerVariantDesiredProvisionedConcurrency
		}), "cannot be scaled in this dimension"},
		{"another service", edit(func(r *aas.RegisterScalableTargetInput) { r.ServiceNamespace = scaling.ServiceNamespaceEcs }), "Unsupported service namespace"},
		{"reserved tag", edit(func(r *aas.RegisterScalableTargetInput) { r.Tags = map[string]string{"aws:x": "y"} }), "reserved"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newClients(seeded()).as.RegisterScalableTarget(t.Context(), tt.in)
			if code(err) != "ValidationException" || !strings.Contains(message(err), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestTargetLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := seeded()
		srv.Behave(func(b *sagemakertest.Behaviour) { b.TargetLag = 10 * time.Second })
		c := newClients(srv)
		if _, err := c.as.RegisterScalableTarget(t.Context(), register(1, 8)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.as.PutScalingPolicy(t.Context(), trackingPolicy("p")); code(err) != "ObjectNotFoundException" {
			t.Errorf("too early: %v", err)
		}
		if n := len(targets(t, c)); n != 1 {
			t.Errorf("%d targets", n)
		}
		time.Sleep(10 * time.Second)
		if _, err := c.as.PutScalingPolicy(t.Context(), trackingPolicy("p")); err != nil {
			t.Error(err)
		}
	})
}

// Deregistration takes everything with it, but leaves users' alarms without
// their actions.
func TestDeregistrationCascades(t *testing.T) {
	srv := seeded()
	c := newClients(srv)
	r := register(1, 8)
	r.Tags = map[string]string{"team": "vision"}
	srv.Seed(r, trackingPolicy("track"), stepPolicy("backlog", 1), schedule("night", "cron(0 22 * * ? *)", 1, 2))
	step := policies(t, c)[1]
	srv.Seed(userAlarm("backlog", *step.PolicyARN, "arn:aws:sns:eu-west-1:111122223333:pager"))
	before := srv.Guarded()

	was := policies(t, c)
	if got := was[1].Alarms; len(got) != 1 || *got[0].AlarmName != "backlog" {
		t.Errorf("alarms of the step policy: %+v", got)
	}
	if got := was[0].Alarms; len(got) != 2 || !strings.HasPrefix(*got[0].AlarmName, "TargetTracking-endpoint/sdxl/variant/A-AlarmHigh-") {
		t.Errorf("alarms of the tracking policy: %+v", got)
	}
	if _, err := c.as.DeregisterScalableTarget(t.Context(), deregister()); err != nil {
		t.Fatal(err)
	}
	alarms, err := c.cw.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{})
	if err != nil || len(alarms.MetricAlarms) != 1 {
		t.Fatalf("alarms left: %+v, %v", alarms, err)
	}
	if diff := cmp.Diff([]string{"arn:aws:sns:eu-west-1:111122223333:pager"}, alarms.MetricAlarms[0].AlarmActions); diff != "" {
		t.Errorf("actions left (-want +got):\n%s", diff)
	}
	if n := len(policies(t, c)) + len(targets(t, c)); n != 0 {
		t.Errorf("%d things left", n)
	}
	if _, err := c.as.DeregisterScalableTarget(t.Context(), deregister()); code(err) != "ObjectNotFoundException" {
		t.Errorf("again: %v", err)
	}

	srv.Seed(r, trackingPolicy("track"), stepPolicy("backlog", 1), schedule("night", "cron(0 22 * * ? *)", 1, 2))
	now := policies(t, c)
	if *now[0].PolicyARN == *was[0].PolicyARN || *now[0].Alarms[0].AlarmName == *was[0].Alarms[0].AlarmName {
		t.Error("the same ARNs and alarms as before")
	}
	if diff := cmp.Diff(before, srv.Guarded()); diff == "" {
		t.Error("an alarm without its action was not noticed")
	}
	srv.Seed(userAlarm("backlog", *now[1].PolicyARN, "arn:aws:sns:eu-west-1:111122223333:pager"))
	if diff := cmp.Diff(before, srv.Guarded()); diff != "" {
		t.Errorf("restored (-before +after):\n%s", diff)
	}
}

func TestScalingPages(t *testing.T) {
	srv := seeded()
	srv.Seed(register(1, 8))
	for i := range 50 {
		srv.Seed(stepPolicy(fmt.Sprint("p", i), 1))
	}
	for i := range 120 {
		srv.Seed(schedule(fmt.Sprint("s", i), "rate(1 day)", 1, 2))
	}
	for i := range 101 {
		srv.Seed(userAlarm(fmt.Sprint("a", i)))
	}
	c := newClients(srv)
	if _, err := c.as.PutScalingPolicy(t.Context(), stepPolicy("one too many", 1)); code(err) != "LimitExceededException" {
		t.Errorf("over the limit: %v", err)
	}
	sizes := map[string][]int{}
	pp := aas.NewDescribeScalingPoliciesPaginator(c.as, &aas.DescribeScalingPoliciesInput{ServiceNamespace: scaling.ServiceNamespaceSagemaker})
	for pp.HasMorePages() {
		out, err := pp.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sizes["policies"] = append(sizes["policies"], len(out.ScalingPolicies))
	}
	sp := aas.NewDescribeScheduledActionsPaginator(c.as, &aas.DescribeScheduledActionsInput{ServiceNamespace: scaling.ServiceNamespaceSagemaker})
	for sp.HasMorePages() {
		out, err := sp.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sizes["schedules"] = append(sizes["schedules"], len(out.ScheduledActions))
	}
	ap := cloudwatch.NewDescribeAlarmsPaginator(c.cw, &cloudwatch.DescribeAlarmsInput{})
	for ap.HasMorePages() {
		out, err := ap.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sizes["alarms"] = append(sizes["alarms"], len(out.MetricAlarms))
	}
	want := map[string][]int{"policies": {10, 10, 10, 10, 10}, "schedules": {50, 50, 20}, "alarms": {100, 1}}
	if diff := cmp.Diff(want, sizes); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	if _, err := c.as.DescribeScalingPolicies(t.Context(), &aas.DescribeScalingPoliciesInput{ServiceNamespace: scaling.ServiceNamespaceSagemaker, NextToken: aws.String("x")}); code(err) != "InvalidNextTokenException" {
		t.Errorf("bad token: %v", err)
	}
}

func TestOtherDimensions(t *testing.T) {
	srv := seeded()
	s := variant("A", "m1", 0)
	s.InstanceType, s.InitialInstanceCount = "", nil
	s.ServerlessConfig = &types.ProductionVariantServerlessConfig{MemorySizeInMB: aws.Int32(2048), MaxConcurrency: aws.Int32(20), ProvisionedConcurrency: aws.Int32(5)}
	srv.Seed(createConfig("s1", s), createEndpoint("less", "s1"), createHost("h1", 2), createEndpoint("host", "h1"), createComponent("ic", 3))
	c := newClients(srv)
	less := register(1, 4)
	less.ResourceId, less.ScalableDimension = aws.String("endpoint/less/variant/A"), scaling.ScalableDimensionSageMakerVariantDesiredProvisionedConcurrency
	ic := register(0, 2)
	ic.ResourceId, ic.ScalableDimension = aws.String("inference-component/ic"), scaling.ScalableDimensionSageMakerInferenceComponentDesiredCopyCount
	for _, r := range []*aas.RegisterScalableTargetInput{less, ic} {
		if _, err := c.as.RegisterScalableTarget(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if v := srv.Endpoint("less").Variants["A"]; v.Concurrency != 4 {
		t.Errorf("serverless: %+v", v)
	}
	list, err := c.sm.ListInferenceComponents(t.Context(), &sagemaker.ListInferenceComponentsInput{EndpointNameEquals: aws.String("host")})
	if err != nil || len(list.InferenceComponents) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	d, err := c.sm.DescribeInferenceComponent(t.Context(), &sagemaker.DescribeInferenceComponentInput{InferenceComponentName: aws.String("ic")})
	if err != nil || *d.RuntimeConfig.DesiredCopyCount != 2 {
		t.Errorf("%+v, %v", d, err)
	}
}
