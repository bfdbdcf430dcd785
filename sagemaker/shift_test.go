package sagemaker_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/strategy"
)

const besides = "main-co-canary"

// inSteps moves 5, 10 and 50 percent of the traffic.
var inSteps = strategy.CanaryByWeight{Steps: []strategy.TrafficStep{
	{Percent: 5, Soak: 10 * time.Minute}, {Percent: 10, Soak: 10 * time.Minute}, {Percent: 50, Soak: 10 * time.Minute},
}}

// weighted is an account with an endpoint of one variant, whose weight and count
// are not those of its configuration any more.
func weighted() *sagemakertest.Server {
	srv := single(2)
	srv.Seed(weigh("main", 3, 4))
	return srv
}

// weigh sets weight and count of a variant.
func weigh(variant string, weight float32, n int32) *sm.UpdateEndpointWeightsAndCapacitiesInput {
	return &sm.UpdateEndpointWeightsAndCapacitiesInput{EndpointName: aws.String(name), DesiredWeightsAndCapacities: []types.DesiredWeightAndCapacity{
		{VariantName: &variant, DesiredWeight: &weight, DesiredInstanceCount: &n},
	}}
}

// updates are the writes that change what is served, in order.
func updates(srv *sagemakertest.Server) []string {
	var all []string
	for _, r := range srv.Mutations() {
		switch in := r.Input.(type) {
		case *sm.CreateEndpointConfigInput:
			all = append(all, "stage")
		case *sm.UpdateEndpointInput:
			all = append(all, fmt.Sprintf("update, retained %t", aws.ToBool(in.RetainAllVariantProperties)))
		case *sm.UpdateEndpointWeightsAndCapacitiesInput:
			w := in.DesiredWeightsAndCapacities
			all = append(all, fmt.Sprintf("%s weighs %.4f, alone %t", *w[0].VariantName, *w[0].DesiredWeight, len(w) == 1 && w[0].DesiredInstanceCount == nil))
		}
	}
	return all
}

func TestCanaryByWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := weighted()
		before := srv.Guarded()
		shares := map[int]bool{}
		check := rollout.CheckFunc(func(_ context.Context, s rollout.Sample) (rollout.Verdict, error) {
			is := srv.Endpoint(name)
			if s.Status.Share != nil {
				main, canary := is.Variants["main"], is.Variants[besides]
				if got := 100 * canary.Traffic / (canary.Traffic + main.Traffic); math.Abs(float64(got)-float64(s.Share)) > 0.01 {
					t.Errorf("the share is shown as %d and is %g", s.Share, got)
				}
				if canary.Model != "model-2" || main.Model != "model-1" || canary.Current != 4 || main.Current != 4 || main.Weight != 3 {
					t.Errorf("side by side are %+v and %+v", main, canary)
				}
				if !slices.Equal(s.SourceNames, []string{"main"}) || !slices.Equal(s.TargetNames, []string{besides}) {
					t.Errorf("names %v and %v", s.SourceNames, s.TargetNames)
				}
			}
			shares[s.Share] = true
			return rollout.Verdict{Result: rollout.ResultPass}, nil
		})
		r, err := rollout.Run(t.Context(), journal.NewMemory(), open(t, srv), inSteps, rollout.ToRevision("c2"),
			rollout.WithCheck(strategy.Check{Name: "errors", Interval: time.Minute}, check))
		if err != nil || r.Outcome != rollout.OutcomeSucceeded || len(r.Drift) > 0 {
			t.Fatalf("Run = %+v, %v", r, err)
		}
		want := []string{
			"stage", "update, retained true", besides + " weighs 0.1579, alone true", besides + " weighs 0.3333, alone true",
			besides + " weighs 3.0000, alone true", "update, retained true",
		}
		if diff := cmp.Diff(want, updates(srv)); diff != "" {
			t.Errorf("writes (-want +got):\n%s", diff)
		}
		if !shares[5] || !shares[10] || !shares[50] {
			t.Errorf("checked at shares %v", shares)
		}
		if is := srv.Endpoint(name); is.Config != "c2" || len(is.Variants) != 1 {
			t.Errorf("serves %+v", is)
		}
		asBefore(t, srv, before)
		if !slices.ContainsFunc(r.Plan.Notes, func(s string) bool { return strings.HasPrefix(s, "update to both: extra capacity") }) {
			t.Errorf("the plan does not say what both take: %q", r.Plan.Notes)
		}
	})
}

// A model that is bad at a tenth of the traffic never has half of it.
func TestBadCanaryIsRolledBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := weighted()
		before := srv.Guarded()
		check := rollout.CheckFunc(func(_ context.Context, s rollout.Sample) (rollout.Verdict, error) {
			if s.Share >= 10 { // +137 %
				return rollout.Measured(711, 360, false), nil
			}
			return rollout.Measured(300, 360, true), nil
		})
		_, err := rollout.Run(t.Context(), journal.NewMemory(), open(t, srv), inSteps, rollout.ToArtifact("model-3"),
			rollout.WithCheck(strategy.Check{Name: "p95", Interval: time.Minute, Failures: 1}, check))
		if !errors.Is(err, rollout.ErrRolledBack) || !errors.Is(err, rollout.ErrCheck) {
			t.Fatalf("Run = %v", err)
		}
		want := []string{
			"stage", "stage", "update, retained true", besides + " weighs 0.1579, alone true", besides + " weighs 0.3333, alone true",
			besides + " weighs 0.0000, alone true", "update, retained true",
		}
		if diff := cmp.Diff(want, updates(srv)); diff != "" {
			t.Errorf("writes (-want +got):\n%s", diff)
		}
		if is := srv.Endpoint(name); is.Config != "c1" {
			t.Errorf("serves %+v", is)
		}
		asBefore(t, srv, before)
	})
}

// A model that does not start is found out by the update to both.
func TestCanaryThatDoesNotStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := weighted()
		srv.SetOutcome("model-2", sagemakertest.RollsBack, "the container does not start")
		before := srv.Guarded()
		_, err := rollout.Run(t.Context(), journal.NewMemory(), open(t, srv), inSteps, rollout.ToRevision("c2"))
		if !errors.Is(err, rollout.ErrRolledBack) || !strings.Contains(err.Error(), "the container does not start") {
			t.Errorf("Run = %v", err)
		}
		asBefore(t, srv, before)
	})
}

// SageMaker may go back from the target to both: that is no third party's doing.
func TestTargetThatFallsBackToBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := weighted()
		before := srv.Guarded()
		check := rollout.CheckFunc(func(_ context.Context, s rollout.Sample) (rollout.Verdict, error) {
			if s.Share == 50 {
				srv.SetOutcome("model-2", sagemakertest.RollsBack, "no capacity")
			}
			return rollout.Verdict{Result: rollout.ResultPass}, nil
		})
		_, err := rollout.Run(t.Context(), journal.NewMemory(), open(t, srv), inSteps, rollout.ToRevision("c2"),
			rollout.WithCheck(strategy.Check{Name: "errors", Interval: time.Minute}, check))
		if !errors.Is(err, rollout.ErrRolledBack) || !errors.Is(rollout.Cause(err), endpoint.ErrRolledBack) || !strings.Contains(err.Error(), "no capacity") {
			t.Errorf("Run = %v", err)
		}
		if is := srv.Endpoint(name); is.Config != "c1" {
			t.Errorf("serves %+v", is)
		}
		asBefore(t, srv, before)
	})
}

// A share shows what has the traffic, not what was asked for.
func TestShareIsOfTheWeightsInEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := weighted()
		e := open(t, srv)
		c := canaryOf(t, e, "c2")
		is := func() (string, types.EndpointStatus) {
			t.Helper()
			s, err := e.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			at := "none"
			if s.Share != nil {
				at = fmt.Sprint(*s.Share)
			}
			return at, srv.Endpoint(name).Status
		}
		steps := []struct {
			do       func() error
			now, end string
		}{
			{func() error { return e.Stage(t.Context(), c.Draft) }, "none", "none"},
			{func() error { return e.Update(t.Context(), endpoint.Change{To: c.Revision}) }, "none", "0"},
			{func() error { return e.Shift(t.Context(), c, 33) }, "0", "33"},
			{func() error { return e.Shift(t.Context(), c, 99) }, "33", "99"},
			{func() error { return e.Update(t.Context(), endpoint.Change{To: config("c2")}) }, "none", "none"},
		}
		for i, step := range steps {
			if err := step.do(); err != nil {
				t.Fatal(i, err)
			}
			if got, status := is(); got != step.now || i > 0 && status != types.EndpointStatusUpdating {
				t.Errorf("%d: the share is %s while %s, want %s", i, got, status, step.now)
			}
			if i == 2 {
				if err := e.Shift(t.Context(), c, 50); !errors.Is(err, endpoint.ErrBusy) {
					t.Errorf("a second shift = %v", err)
				}
			}
			time.Sleep(time.Hour)
			if got, status := is(); got != step.end || status != types.EndpointStatusInService {
				t.Errorf("%d: the share is %s at the end, %s, want %s", i, got, status, step.end)
			}
		}
		for _, percent := range []int{-1, 100} {
			if err := e.Shift(t.Context(), c, percent); !errors.Is(err, endpoint.ErrInvalid) {
				t.Errorf("Shift to %d%% = %v", percent, err)
			}
		}
		if err := e.Shift(t.Context(), c, 10); !errors.Is(err, endpoint.ErrInvalid) || !strings.Contains(err.Error(), "not in service") {
			t.Errorf("Shift of what is not in service = %v", err)
		}
	})
}

func canaryOf(t *testing.T, e *sagemaker.Endpoint, target string) endpoint.Canary {
	t.Helper()
	s, err := e.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := e.DraftCanary(t.Context(), s.Desired, config(target), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTrafficThatCannotBeSplit(t *testing.T) {
	serverless := productionVariant("main", "model-1", 1)
	serverless.InitialInstanceCount, serverless.InstanceType = nil, ""
	serverless.ServerlessConfig = &types.ProductionVariantServerlessConfig{MaxConcurrency: aws.Int32(20), MemorySizeInMB: aws.Int32(2048)}
	other := serverless
	other.ModelName = aws.String("model-2")
	shadowed := func(config, model string) *sm.CreateEndpointConfigInput {
		in := createConfig(config, productionVariant("main", model, 2))
		in.ShadowProductionVariants = []types.ProductionVariant{productionVariant("shadow", "model-3", 1)}
		return in
	}
	queued := func(config, model string) *sm.CreateEndpointConfigInput {
		in := createConfig(config, productionVariant("main", model, 1))
		in.AsyncInferenceConfig = &types.AsyncInferenceConfig{OutputConfig: &types.AsyncInferenceOutputConfig{S3OutputPath: aws.String("s3://acme/out")}}
		return in
	}
	hosts := productionVariant("main", "model-1", 1)
	hosts.ModelName, hosts.InitialVariantWeight = nil, nil
	bare := createConfig("t2", hosts)
	bare.ExecutionRoleArn = aws.String("arn:aws:iam::111122223333:role/models")
	one := createConfig("t1", productionVariant("main", "model-1", 2))
	for reason, tt := range map[string]struct {
		from, to *sm.CreateEndpointConfigInput
		then     any
	}{
		"t1 has a shadow variant":                          {from: shadowed("t1", "model-1"), to: createConfig("t2", productionVariant("main", "model-2", 2))},
		"t2 has a shadow variant":                          {from: one, to: shadowed("t2", "model-2")},
		"variant main of t1 is serverless":                 {from: createConfig("t1", serverless), to: createConfig("t2", other)},
		"t1 has 2 production variants":                     {from: createConfig("t1", productionVariant("main", "model-1", 1), productionVariant("side", "model-1", 1)), to: createConfig("t2", productionVariant("main", "model-2", 1), productionVariant("side", "model-2", 1))},
		"t2 has the variant side instead of main":          {from: one, to: createConfig("t2", productionVariant("side", "model-2", 2))},
		"the models of t2 are in inference components":     {from: one, to: bare},
		"variant main has no instance now":                 {from: queued("t1", "model-1"), to: queued("t2", "model-2"), then: weigh("main", 1, 0)},
		"variant main has the weight 0, of which no share": {from: one, to: createConfig("t2", productionVariant("main", "model-2", 2)), then: weigh("main", 0, 2)},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := sagemakertest.New()
				srv.Seed(createModel("model-1"), createModel("model-2"), createModel("model-3"), tt.from, tt.to,
					&sm.CreateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("t1")})
				if tt.then != nil {
					srv.Seed(tt.then)
				}
				_, err := rollout.Run(t.Context(), journal.NewMemory(), open(t, srv), inSteps, rollout.ToRevision("t2"))
				if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), reason) {
					t.Errorf("Run = %v", err)
				}
				if n := len(srv.Mutations()); n > 0 {
					t.Errorf("%d writes", n)
				}
			})
		})
	}
}

// A deployment of the provider's own stages has no place in traffic steps: AWS
// wants the variants' names to stay.
func TestCanaryWithADeploymentIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := weighted()
		_, err := rollout.Run(t.Context(), journal.NewMemory(), open(t, srv), inSteps, rollout.ToRevision("c2"),
			rollout.WithChangeOptions(options(t, sagemaker.UpdateOptions{DeploymentConfig: canary(percent(25), 60, 0)})))
		if !errors.Is(err, endpoint.ErrInvalid) || !strings.Contains(err.Error(), "AWS wants the names to stay") || len(srv.Mutations()) > 0 {
			t.Errorf("Run = %v, writes %v", err, srv.Mutations())
		}
	})
}

// The name of a variant is cut to what AWS allows with the mark.
func TestCanaryOfALongName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := strings.Repeat("a", 52) + "-" + strings.Repeat("b", 10)
		srv := sagemakertest.New()
		srv.Seed(createModel("model-1"), createModel("model-2"),
			createConfig("c1", productionVariant(long, "model-1", 1)), createConfig("c2", productionVariant(long, "model-2", 1)),
			&sm.CreateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("c1")})
		c := canaryOf(t, open(t, srv), "c2")
		if want := []string{strings.Repeat("a", 52) + "-co-canary"}; !slices.Equal(c.Target, want) || !slices.Equal(c.Source, []string{long}) {
			t.Errorf("%v beside %v", c.Target, c.Source)
		}
	})
}

func TestActionsOfTrafficSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := single(2)
		scaled(srv, "main", 6)
		if _, err := rollout.Run(t.Context(), journal.NewMemory(), open(t, srv), inSteps, rollout.ToRevision("c2")); err != nil {
			t.Fatal(err)
		}
		called := map[string]bool{}
		for _, r := range srv.Requests() {
			if !r.Foreign {
				called[r.Action()] = true
			}
		}
		access := sagemaker.Access{Shift: true}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(called)), access.Actions()); diff != "" {
			t.Errorf("actions (-called +listed):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"iam:PassRole", "sagemaker:AddTags"}, access.Implied()); diff != "" {
			t.Errorf("implied (-want +got):\n%s", diff)
		}
	})
}

// A share that another program set is kept until the rollout goes back around it.
func TestForeignShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := weighted()
		before := srv.Guarded()
		check := rollout.CheckFunc(func(_ context.Context, s rollout.Sample) (rollout.Verdict, error) {
			if is := srv.Endpoint(name); s.Share == 5 && is.Variants[besides].Weight < 1 {
				srv.Seed(weigh(besides, 27, 4))
			}
			return rollout.Verdict{Result: rollout.ResultPass}, nil
		})
		r, err := rollout.Run(t.Context(), journal.NewMemory(), open(t, srv), inSteps, rollout.ToRevision("c2"),
			rollout.WithCheck(strategy.Check{Name: "errors", Interval: time.Minute}, check))
		if !errors.Is(err, endpoint.ErrDrift) || !strings.Contains(err.Error(), "is 90") || srv.Endpoint(name).Config != "c1" {
			t.Errorf("Run = %+v, %v", r, err)
		}
		asBefore(t, srv, before)
	})
}
