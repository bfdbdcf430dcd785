package sagemakertest_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

func TestRefusedUpdates(t *testing.T) {
	blue := func(r types.TrafficRoutingConfig, end, most *int32) *types.DeploymentConfig {
		if r.WaitIntervalInSeconds == nil {
			r.WaitIntervalInSeconds = aws.Int32(0)
		}
		return guarded(&types.BlueGreenUpdatePolicy{TrafficRoutingConfiguration: &r, TerminationWaitInSeconds: end, MaximumExecutionTimeoutInSeconds: most}, nil, nil)
	}
	both := canary(percent(25), 0, 0)
	both.RollingUpdatePolicy = rolling(percent(25), 0).RollingUpdatePolicy
	eleven := canary(percent(25), 0, 0, "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k")
	excluding := update("c2", nil)
	excluding.ExcludeRetainedVariantProperties = []types.VariantProperty{{VariantPropertyType: types.VariantPropertyTypeDesiredWeight}}
	excluding.RetainAllVariantProperties = nil
	unsupported := update("c2", nil)
	unsupported.ExcludeRetainedVariantProperties = []types.VariantProperty{{VariantPropertyType: types.VariantPropertyTypeDataCaptureConfig}}
	contradicting := update("c2", canary(percent(25), 0, 0))
	contradicting.RetainDeploymentConfig = aws.Bool(true)
	elsewhere := update("c2", nil)
	elsewhere.EndpointName = aws.String("nowhere")
	with := func(d *types.DeploymentConfig) *sagemaker.UpdateEndpointInput { return update("c2", d) }
	const canaryType, linearType, all = types.TrafficRoutingConfigTypeCanary, types.TrafficRoutingConfigTypeLinear, types.TrafficRoutingConfigTypeAllAtOnce

	tests := []struct {
		name string
		in   *sagemaker.UpdateEndpointInput
		want string
	}{
		{"endpoint", elsewhere, `Could not find endpoint "arn:aws:sagemaker:eu-west-1:111122223333:endpoint/nowhere".`},
		{"config", update("c9", nil), `Could not find endpoint configuration "arn:aws:sagemaker:eu-west-1:111122223333:endpoint-config/c9".`},
		{"name", update("c_2", nil), "Value 'c_2' at 'endpointConfigName' failed to satisfy constraint: Member must satisfy regular expression pattern"},
		{"long name", update(strings.Repeat("c", 64), nil), "Member must have length less than or equal to 63"},
		{"two policies", with(both), "Only one of"},
		{"eleven alarms", with(eleven), "at 'deploymentConfig.autoRollbackConfiguration.alarms' failed to satisfy constraint: Member must have length less than or equal to 10"},
		{"unknown alarm", with(canary(percent(25), 0, 0, "none")), `Could not find CloudWatch alarm "none"`},
		{"wait", with(canary(percent(25), 3601, 0)), "Member must have value less than or equal to 3600"},
		{"negative wait", with(canary(percent(25), -1, 0)), "Member must have value greater than or equal to 0"},
		{"timeout", with(blue(types.TrafficRoutingConfig{Type: all}, nil, aws.Int32(599))), "Member must have value greater than or equal to 600"},
		{"long timeout", with(blue(types.TrafficRoutingConfig{Type: all}, nil, aws.Int32(28801))), "Member must have value less than or equal to 28800"},
		{"type", with(blue(types.TrafficRoutingConfig{Type: "BIT_BY_BIT"}, nil, nil)), "Member must satisfy enum value set: [ALL_AT_ONCE, CANARY, LINEAR]"},
		{"canary without a size", with(blue(types.TrafficRoutingConfig{Type: canaryType}, nil, nil)), "CanarySize is required"},
		{"canary over half", with(canary(percent(51), 0, 0)), "CanarySize of 51 percent"},
		{"canary of three in four", with(canary(instances(3), 0, 0)), "CanarySize of 3 instance(s)"},
		{"canary with a step", with(blue(types.TrafficRoutingConfig{Type: canaryType, CanarySize: percent(25), LinearStepSize: percent(25)}, nil, nil)), "LinearStepSize can only"},
		{"linear under a tenth", with(linear(percent(9), 0, 0)), "LinearStepSize of 9 percent"},
		{"linear over half", with(linear(instances(3), 0, 0)), "LinearStepSize of 3"},
		{"linear with a canary", with(blue(types.TrafficRoutingConfig{Type: linearType, CanarySize: percent(25), LinearStepSize: percent(25)}, nil, nil)), "CanarySize can only"},
		{"all at once with a size", with(blue(types.TrafficRoutingConfig{Type: all, CanarySize: percent(25)}, nil, nil)), "CanarySize can only"},
		{"timeout within the waits", with(blue(types.TrafficRoutingConfig{Type: canaryType, CanarySize: percent(25), WaitIntervalInSeconds: aws.Int32(400)}, aws.Int32(200), aws.Int32(600))), "total waiting time of 600 seconds"},
		{"timeout within the linear waits", with(blue(types.TrafficRoutingConfig{Type: linearType, LinearStepSize: percent(33), WaitIntervalInSeconds: aws.Int32(200)}, nil, aws.Int32(600))), "total waiting time"},
		{"batch over half", with(rolling(percent(51), 0)), "MaximumBatchSize of 51 percent"},
		{"batch of three", with(rolling(instances(3), 0)), "MaximumBatchSize of 3"},
		{"small batch", with(rolling(percent(4), 0)), "MaximumBatchSize of 4 percent"},
		{"timeout within the batches", with(guarded(nil, &types.RollingUpdatePolicy{
			MaximumBatchSize: percent(25), WaitIntervalInSeconds: aws.Int32(300), MaximumExecutionTimeoutInSeconds: aws.Int32(1200),
		}, nil)), "total waiting time of 1200 seconds"},
		{"rolling with two variants", update("two", rolling(percent(50), 0)), "same names"},
		{"canary with another variant", update("renamed", canary(percent(25), 0, 0)), "same names"},
		{"excluded without retaining", excluding, "ExcludeRetainedVariantProperties"},
		{"excluded what cannot be", unsupported, "DataCaptureConfig is not currently supported"},
		{"retained and given", contradicting, "RetainDeploymentConfig"},
		{"serverless", update("serverless", nil), "cannot be updated to a serverless endpoint"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := seeded()
			serverless := variant("A", "m2", 0)
			serverless.InstanceType, serverless.InitialInstanceCount = "", nil
			serverless.ServerlessConfig = &types.ProductionVariantServerlessConfig{MemorySizeInMB: aws.Int32(2048), MaxConcurrency: aws.Int32(5)}
			srv.Seed(createConfig("two", variant("A", "m2", 4), variant("B", "m2", 4)), createConfig("renamed", variant("B", "m2", 4)), createConfig("serverless", serverless))
			_, err := newClients(srv).sm.UpdateEndpoint(t.Context(), tt.in)
			if code(err) != "ValidationException" || !strings.Contains(message(err), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if e := srv.Endpoint("sdxl"); e.Status != types.EndpointStatusInService {
				t.Errorf("endpoint %+v", e)
			}
		})
	}
}

func TestRollingNeedsOneVariant(t *testing.T) {
	srv := seeded()
	srv.Seed(
		createConfig("two", variant("A", "m1", 4), variant("B", "m1", 4)), createConfig("next", variant("A", "m2", 4), variant("B", "m2", 4)),
		createEndpoint("pair", "two"),
	)
	in := update("next", rolling(percent(50), 0))
	in.EndpointName = aws.String("pair")
	if _, err := newClients(srv).sm.UpdateEndpoint(t.Context(), in); !strings.Contains(message(err), "multiple production variants") {
		t.Errorf("got %v", err)
	}
}

// One instance cannot be split, whatever the percentage.
func TestGuardrailsOnOneInstance(t *testing.T) {
	for _, d := range []*types.DeploymentConfig{canary(percent(50), 0, 0), canary(instances(1), 0, 0), rolling(percent(50), 0)} {
		srv := seeded()
		srv.Seed(createConfig("one", variant("A", "m1", 1)))
		c := newClients(srv)
		in := update("one", d)
		in.RetainAllVariantProperties = nil
		if _, err := c.sm.UpdateEndpoint(t.Context(), in); code(err) != "ValidationException" {
			t.Errorf("got %v", err)
		}
		in.RetainAllVariantProperties = aws.Bool(true) // it has four
		if _, err := c.sm.UpdateEndpoint(t.Context(), in); err != nil && d.BlueGreenUpdatePolicy != nil {
			t.Error(err)
		}
	}
}

func TestWhileUpdating(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := seeded()
		c := newClients(srv)
		if _, err := c.sm.UpdateEndpoint(t.Context(), update("c2", nil)); err != nil {
			t.Fatal(err)
		}
		const want = `Cannot update in-progress endpoint "arn:aws:sagemaker:eu-west-1:111122223333:endpoint/sdxl".`
		_, again := c.sm.UpdateEndpoint(t.Context(), update("c2", nil))
		_, scale := c.sm.UpdateEndpointWeightsAndCapacities(t.Context(), capacity(5))
		_, del := c.sm.DeleteEndpoint(t.Context(), &sagemaker.DeleteEndpointInput{EndpointName: aws.String("sdxl")})
		for _, err := range []error{again, scale, del} {
			if message(err) != want {
				t.Errorf("got %v, want %s", err, want)
			}
		}
		ended(srv)

		srv.Maintain("sdxl", time.Now().Add(time.Minute), time.Hour)
		time.Sleep(time.Minute)
		if d := describe(t, c); d.EndpointStatus != types.EndpointStatusSystemUpdating || d.PendingDeploymentSummary != nil {
			t.Errorf("maintained: %s", d.EndpointStatus)
		}
		if _, err := c.sm.UpdateEndpoint(t.Context(), update("c1", nil)); message(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
		time.Sleep(time.Hour)
		if _, err := c.sm.UpdateEndpoint(t.Context(), update("c1", nil)); err != nil {
			t.Error(err)
		}
	})
}

func capacity(n int32) *sagemaker.UpdateEndpointWeightsAndCapacitiesInput {
	return &sagemaker.UpdateEndpointWeightsAndCapacitiesInput{
		EndpointName: aws.String("sdxl"), DesiredWeightsAndCapacities: []types.DesiredWeightAndCapacity{{VariantName: aws.String("A"), DesiredInstanceCount: &n}},
	}
}

func TestRetention(t *testing.T) {
	retain := func(not ...types.VariantPropertyType) *sagemaker.UpdateEndpointInput {
		in := update("c2", nil)
		for _, p := range not {
			in.ExcludeRetainedVariantProperties = append(in.ExcludeRetainedVariantProperties, types.VariantProperty{VariantPropertyType: p})
		}
		return in
	}
	reset := update("c2", nil)
	reset.RetainAllVariantProperties = nil
	for _, tt := range []struct {
		name      string
		in        *sagemaker.UpdateEndpointInput
		instances int32
		weight    float32
	}{
		{"not", reset, 4, 1},
		{"all", retain(), 6, 3},
		{"but counts", retain(types.VariantPropertyTypeDesiredInstanceCount), 4, 3},
		{"but weights", retain(types.VariantPropertyTypeDesiredWeight), 6, 1},
		{"nothing", retain(types.VariantPropertyTypeDesiredWeight, types.VariantPropertyTypeDesiredInstanceCount), 4, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := seeded()
			live := capacity(6)
			live.DesiredWeightsAndCapacities[0].DesiredWeight = aws.Float32(3)
			srv.Seed(live)
			srv.Seed(tt.in)
			if v := srv.Endpoint("sdxl").Variants["A"]; v.Current != tt.instances || v.Traffic != tt.weight || v.Model != "m2" {
				t.Errorf("variant %+v", v)
			}
		})
	}
}

func TestRetainedDeploymentConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := seeded()
		c := newClients(srv)
		srv.Seed(update("c2", canary(percent(25), 600, 0)))
		in := update("c1", nil)
		in.RetainDeploymentConfig = aws.Bool(true)
		if _, err := c.sm.UpdateEndpoint(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		if took := ended(srv); took != 5*time.Minute+10*time.Second+10*time.Minute+10*time.Second+time.Minute {
			t.Errorf("took %v", took)
		}
		// Without it, the guardrails are gone.
		if _, err := c.sm.UpdateEndpoint(t.Context(), update("c2", nil)); err != nil {
			t.Fatal(err)
		}
		if took := ended(srv); took != 5*time.Minute+10*time.Second+time.Minute {
			t.Errorf("took %v", took)
		}
		if d := describe(t, c); d.LastDeploymentConfig != nil {
			t.Errorf("LastDeploymentConfig %+v", d.LastDeploymentConfig)
		}
	})
}

func TestQuota(t *testing.T) {
	for _, tt := range []struct {
		name  string
		quota int
		in    *sagemaker.UpdateEndpointInput
		ok    bool
	}{
		{"blue/green needs a second fleet", 7, update("c2", nil), false},
		{"just enough", 8, update("c2", nil), true},
		{"rolling needs a batch", 5, update("c2", rolling(instances(1), 0)), true},
		{"no room for a batch", 5, update("c2", rolling(instances(2), 0)), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := seeded()
			srv.SetQuota("ml.g5.xlarge", tt.quota)
			_, err := newClients(srv).sm.UpdateEndpoint(t.Context(), tt.in)
			if tt.ok && err != nil || !tt.ok && code(err) != "ResourceLimitExceeded" {
				t.Errorf("got %v", err)
			}
		})
	}
}

// The instance type of a registered variant does not change, nor does the
// variant go away, unless it is deregistered.
func TestRegisteredVariants(t *testing.T) {
	bigger := variant("A", "m2", 4)
	bigger.InstanceType = types.ProductionVariantInstanceTypeMlG512xlarge
	for _, tt := range []struct {
		name    string
		to      types.ProductionVariant
		lenient bool
		ok      bool
	}{
		{"another model", variant("A", "m2", 4), false, true},
		{"another instance type", bigger, false, false},
		{"another name", variant("B", "m2", 4), false, false},
		{"another instance type while suspended", bigger, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := seeded()
			srv.Behave(func(b *sagemakertest.Behaviour) { b.SuspendedMayChange = tt.lenient })
			srv.Seed(createConfig("c3", tt.to), register(1, 8), suspend(true, true, true))
			c := newClients(srv)
			_, err := c.sm.UpdateEndpoint(t.Context(), update("c3", nil))
			if tt.ok {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if code(err) != "ValidationException" || !strings.Contains(message(err), "Auto Scaling") {
				t.Errorf("got %v", err)
			}
			r := register(0, 0)
			srv.Seed(&aas.DeregisterScalableTargetInput{ServiceNamespace: r.ServiceNamespace, ResourceId: r.ResourceId, ScalableDimension: r.ScalableDimension})
			if _, err := c.sm.UpdateEndpoint(t.Context(), update("c3", nil)); err != nil {
				t.Errorf("deregistered: %v", err)
			}
		})
	}
}
