package sagemaker_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/strategy"
)

// A document against each of AWS's rules that need no look at an endpoint,
// with the words that the error has to have: field, value, limit.
var badOptions = []struct {
	name, doc string
	says      []string
}{
	{"not JSON", `{`, nil},
	{"two documents", `{} {}`, nil},
	{"list", `[]`, nil},
	{"unknown name", `{"Retain": true}`, []string{"Retain"}},
	{"spelled otherwise", `{"retainDeploymentConfig": true}`, []string{"retainDeploymentConfig"}},
	{"unknown name inside", `{"DeploymentConfig":{"Canary":{}}}`, []string{"Canary"}},
	{"spelled otherwise inside", `{"DeploymentConfig":{"BlueGreenUpdatePolicy":{"terminationWaitInSeconds":5}}}`, []string{"terminationWaitInSeconds"}},
	{"misspelled", `{"DeploymentConfig":{"BlueGreenUpdatePolicy":{"TerminationWaitInSecond":5}}}`, []string{"DeploymentConfig.BlueGreenUpdatePolicy.TerminationWaitInSecond", "AWS spells it TerminationWaitInSeconds"}},
	{"zero, spelled otherwise", `{"DeploymentConfig":{"RollingUpdatePolicy":{"waitIntervalInSeconds":0}}}`, []string{"AWS spells it WaitIntervalInSeconds"}},
	{"spelled otherwise in a list", `{"DeploymentConfig":{"AutoRollbackConfiguration":{"Alarms":[{"alarmName":"errors"}]}}}`, []string{"Alarms[0].alarmName", "AWS spells it AlarmName"}},
	{"nothing like it", `{"Canary":{}}`, []string{"Canary", "DeploymentConfig, ExcludeRetainedVariantProperties, RetainAllVariantProperties, RetainDeploymentConfig"}},
	{"null", `{"DeploymentConfig":null}`, []string{"DeploymentConfig is null"}},
	{"null policy", `{"DeploymentConfig":{"RollingUpdatePolicy":null}}`, []string{"DeploymentConfig.RollingUpdatePolicy is null"}},
	{"null beside a policy", blue(`"Type":"ALL_AT_ONCE","WaitIntervalInSeconds":0,"CanarySize":null`), []string{"CanarySize is null"}},
	{"both retained and given", `{"RetainDeploymentConfig":true,"DeploymentConfig":{}}`, []string{"RetainDeploymentConfig", "DeploymentConfig"}},
	{"excluded without retention", `{"RetainAllVariantProperties":false,"ExcludeRetainedVariantProperties":["DesiredWeight"]}`, []string{"ExcludeRetainedVariantProperties", "RetainAllVariantProperties is false"}},
	{"excluded twice", `{"ExcludeRetainedVariantProperties":["DesiredWeight","DesiredWeight"]}`, []string{"ExcludeRetainedVariantProperties[1]", "DesiredWeight"}},
	{"excluded capture", `{"ExcludeRetainedVariantProperties":["DataCaptureConfig"]}`, []string{"DataCaptureConfig", "does not support"}},
	{"excluded unknown", `{"ExcludeRetainedVariantProperties":["Weight"]}`, []string{"Weight", "DesiredWeight"}},
	{"two policies", `{"DeploymentConfig":{"BlueGreenUpdatePolicy":{"TrafficRoutingConfiguration":{"Type":"ALL_AT_ONCE","WaitIntervalInSeconds":0}},"RollingUpdatePolicy":{"MaximumBatchSize":{"Type":"CAPACITY_PERCENT","Value":20},"WaitIntervalInSeconds":0}}}`, []string{"BlueGreenUpdatePolicy", "RollingUpdatePolicy", "one of them"}},
	{"no routing", `{"DeploymentConfig":{"BlueGreenUpdatePolicy":{}}}`, []string{"TrafficRoutingConfiguration", "missing"}},
	{"no type", `{"DeploymentConfig":{"BlueGreenUpdatePolicy":{"TrafficRoutingConfiguration":{"WaitIntervalInSeconds":0}}}}`, []string{"Type", "ALL_AT_ONCE"}},
	{"unknown type", blue(`"Type":"SLOWLY","WaitIntervalInSeconds":0`), []string{"Type", "SLOWLY", "CANARY"}},
	{"no wait", blue(`"Type":"ALL_AT_ONCE"`), []string{"WaitIntervalInSeconds", "missing"}},
	{"wait too long", blue(`"Type":"ALL_AT_ONCE","WaitIntervalInSeconds":3601`), []string{"WaitIntervalInSeconds", "3601", "0 to 3600"}},
	{"wait negative", blue(`"Type":"ALL_AT_ONCE","WaitIntervalInSeconds":-1`), []string{"WaitIntervalInSeconds", "-1", "0 to 3600"}},
	{"canary without size", blue(`"Type":"CANARY","WaitIntervalInSeconds":0`), []string{"CanarySize", "missing"}},
	{"canary with a linear size", blue(`"Type":"CANARY","WaitIntervalInSeconds":0,"CanarySize":{"Type":"CAPACITY_PERCENT","Value":10},"LinearStepSize":{"Type":"CAPACITY_PERCENT","Value":10}`), []string{"LinearStepSize", "CANARY"}},
	{"all at once with a size", blue(`"Type":"ALL_AT_ONCE","WaitIntervalInSeconds":0,"CanarySize":{"Type":"CAPACITY_PERCENT","Value":10}`), []string{"CanarySize", "ALL_AT_ONCE"}},
	{"canary over a half", blue(`"Type":"CANARY","WaitIntervalInSeconds":0,"CanarySize":{"Type":"CAPACITY_PERCENT","Value":51}`), []string{"CanarySize", "51", "50"}},
	{"canary of nothing", blue(`"Type":"CANARY","WaitIntervalInSeconds":0,"CanarySize":{"Type":"INSTANCE_COUNT","Value":0}`), []string{"CanarySize", "0", "1 or more"}},
	{"size of unknown type", blue(`"Type":"CANARY","WaitIntervalInSeconds":0,"CanarySize":{"Type":"COPY_COUNT","Value":1}`), []string{"CanarySize", "COPY_COUNT", "INSTANCE_COUNT"}},
	{"linear too small", blue(`"Type":"LINEAR","WaitIntervalInSeconds":0,"LinearStepSize":{"Type":"CAPACITY_PERCENT","Value":9}`), []string{"LinearStepSize", "9", "10 to 50"}},
	{"linear too large", blue(`"Type":"LINEAR","WaitIntervalInSeconds":0,"LinearStepSize":{"Type":"CAPACITY_PERCENT","Value":60}`), []string{"LinearStepSize", "60", "10 to 50"}},
	{"termination too late", `{"DeploymentConfig":{"BlueGreenUpdatePolicy":{"TrafficRoutingConfiguration":{"Type":"ALL_AT_ONCE","WaitIntervalInSeconds":0},"TerminationWaitInSeconds":3601}}}`, []string{"TerminationWaitInSeconds", "3601", "0 to 3600"}},
	{"time limit too short", `{"DeploymentConfig":{"BlueGreenUpdatePolicy":{"TrafficRoutingConfiguration":{"Type":"ALL_AT_ONCE","WaitIntervalInSeconds":0},"MaximumExecutionTimeoutInSeconds":599}}}`, []string{"MaximumExecutionTimeoutInSeconds", "599", "600 to 28800"}},
	{"time limit too long", `{"DeploymentConfig":{"BlueGreenUpdatePolicy":{"TrafficRoutingConfiguration":{"Type":"ALL_AT_ONCE","WaitIntervalInSeconds":0},"MaximumExecutionTimeoutInSeconds":28801}}}`, []string{"MaximumExecutionTimeoutInSeconds", "28801", "600 to 28800"}},
	{"time limit below the waits of a canary", `{"DeploymentConfig":{"BlueGreenUpdatePolicy":{"TrafficRoutingConfiguration":{"Type":"CANARY","WaitIntervalInSeconds":900,"CanarySize":{"Type":"CAPACITY_PERCENT","Value":10}},"TerminationWaitInSeconds":300,"MaximumExecutionTimeoutInSeconds":1200}}}`, []string{"MaximumExecutionTimeoutInSeconds", "1200"}},
	{"time limit below the waits of linear steps", `{"DeploymentConfig":{"BlueGreenUpdatePolicy":{"TrafficRoutingConfiguration":{"Type":"LINEAR","WaitIntervalInSeconds":600,"LinearStepSize":{"Type":"CAPACITY_PERCENT","Value":30}},"MaximumExecutionTimeoutInSeconds":2400}}}`, []string{"MaximumExecutionTimeoutInSeconds", "2400"}},
	{"time limit below the fewest linear steps", `{"DeploymentConfig":{"BlueGreenUpdatePolicy":{"TrafficRoutingConfiguration":{"Type":"LINEAR","WaitIntervalInSeconds":600,"LinearStepSize":{"Type":"INSTANCE_COUNT","Value":1}},"MaximumExecutionTimeoutInSeconds":1200}}}`, []string{"MaximumExecutionTimeoutInSeconds", "1200"}},
	{"batch missing", `{"DeploymentConfig":{"RollingUpdatePolicy":{"WaitIntervalInSeconds":0}}}`, []string{"MaximumBatchSize", "missing"}},
	{"rolling wait missing", `{"DeploymentConfig":{"RollingUpdatePolicy":{"MaximumBatchSize":{"Type":"CAPACITY_PERCENT","Value":20}}}}`, []string{"WaitIntervalInSeconds", "missing"}},
	{"batch too small", roll(4, 100, 0, 0), []string{"MaximumBatchSize", "4", "5 to 50"}},
	{"batch too large", roll(51, 100, 0, 0), []string{"MaximumBatchSize", "51", "5 to 50"}},
	{"rollback batch too large", roll(50, 101, 0, 0), []string{"RollbackMaximumBatchSize", "101", "100"}},
	{"rolling wait too long", roll(50, 100, 3601, 0), []string{"WaitIntervalInSeconds", "3601", "0 to 3600"}},
	{"rolling time limit too short", roll(50, 100, 0, 100), []string{"MaximumExecutionTimeoutInSeconds", "100", "600 to 28800"}},
	{"rolling time limit below the waits", roll(25, 100, 600, 2400), []string{"MaximumExecutionTimeoutInSeconds", "2400"}},
	{"no alarms", `{"DeploymentConfig":{"AutoRollbackConfiguration":{"Alarms":[]}}}`, []string{"Alarms", "0", "1 to 10"}},
	{"eleven alarms", `{"DeploymentConfig":{"AutoRollbackConfiguration":{"Alarms":[` + strings.Repeat(`{"AlarmName":"a"},`, 10) + `{"AlarmName":"a"}]}}}`, []string{"Alarms", "11", "1 to 10"}},
	{"alarm without a name", `{"DeploymentConfig":{"AutoRollbackConfiguration":{"Alarms":[{}]}}}`, []string{"AlarmName", "0", "1 to 255"}},
	{"alarm with too long a name", `{"DeploymentConfig":{"AutoRollbackConfiguration":{"Alarms":[{"AlarmName":"` + strings.Repeat("a", 256) + `"}]}}}`, []string{"AlarmName", "256", "1 to 255"}},
}

func blue(routing string) string {
	return `{"DeploymentConfig":{"BlueGreenUpdatePolicy":{"TrafficRoutingConfiguration":{` + routing + `}}}}`
}

func roll(batch, back, wait, limit int) string {
	more := ""
	if limit > 0 {
		more = fmt.Sprintf(`,"MaximumExecutionTimeoutInSeconds":%d`, limit)
	}
	return fmt.Sprintf(`{"DeploymentConfig":{"RollingUpdatePolicy":{"MaximumBatchSize":{"Type":"CAPACITY_PERCENT","Value":%d},`+
		`"RollbackMaximumBatchSize":{"Type":"CAPACITY_PERCENT","Value":%d},"WaitIntervalInSeconds":%d%s}}}`, batch, back, wait, more)
}

func TestBadOptionsAreRefusedBeforeAnyWrite(t *testing.T) {
	for _, tt := range badOptions {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := account()
				e := open(t, srv)
				_, err := sagemaker.DecodeUpdateOptions(json.RawMessage(tt.doc))
				if !errors.Is(err, endpoint.ErrInvalid) {
					t.Fatalf("DecodeUpdateOptions = %v, want ErrInvalid", err)
				}
				for _, word := range tt.says {
					if !strings.Contains(err.Error(), word) {
						t.Errorf("%q does not say %q", err, word)
					}
				}
				c := endpoint.Change{To: config("c2"), Options: json.RawMessage(tt.doc)}
				if err := e.Update(t.Context(), c); !errors.Is(err, endpoint.ErrInvalid) {
					t.Errorf("Update = %v", err)
				}
				if _, err := e.Preflight(t.Context(), c, nil); !errors.Is(err, endpoint.ErrInvalid) {
					t.Errorf("Preflight = %v", err)
				}
				r, err := rollout.Run(t.Context(), journal.NewMemory(), e, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"), rollout.WithChangeOptions(c.Options))
				if r.Outcome != rollout.OutcomeRefused || !errors.Is(err, endpoint.ErrInvalid) {
					t.Errorf("Run = %v, %v", r, err)
				}
				if m := srv.Mutations(); len(m) > 0 {
					t.Errorf("it sent %v", m)
				}
			})
		})
	}
}

func TestPreflight(t *testing.T) {
	serverlessVariant := func(v, model string) types.ProductionVariant {
		return types.ProductionVariant{VariantName: &v, ModelName: &model, ServerlessConfig: &types.ProductionVariantServerlessConfig{
			MemorySizeInMB: aws.Int32(2048), MaxConcurrency: aws.Int32(5),
		}}
	}
	on := func(instance types.ProductionVariantInstanceType, v types.ProductionVariant) types.ProductionVariant {
		v.InstanceType = instance
		return v
	}
	for _, tt := range []struct {
		name     string
		seed     func(*sagemakertest.Server)
		to       string
		options  sagemaker.UpdateOptions
		settings endpoint.Settings
		level    sagemaker.AutoscalingMode
		exposed  bool // the strategy does not protect autoscaling
		want     error
		says     []string // in the error, or else in a caution
	}{
		{name: "plain", to: "c2", says: []string{"cannot be stopped", "both billed"}},
		{name: "served already", to: "c1"},
		{name: "no such config", to: "c9", want: endpoint.ErrNotFound, says: []string{"c9"}},
		{name: "says the same", to: "twin", want: endpoint.ErrSameArtifact, seed: func(srv *sagemakertest.Server) {
			srv.Seed(createConfig("twin", productionVariant("main", "model-1", 1), productionVariant("side", "model-1", 1)))
		}},
		{name: "same model on other instances", to: "bigger", seed: func(srv *sagemakertest.Server) {
			srv.Seed(createConfig("bigger", on("ml.g5.2xlarge", productionVariant("main", "model-1", 1)), productionVariant("side", "model-1", 1)))
		}},
		{name: "model gone", to: "c2", want: endpoint.ErrNotFound, says: []string{"model-2"}, seed: func(srv *sagemakertest.Server) {
			srv.Seed(&sm.DeleteModelInput{ModelName: aws.String("model-2")})
		}},
		{name: "busy", to: "c2", want: endpoint.ErrBusy, seed: func(srv *sagemakertest.Server) {
			if _, err := srv.Do(&sm.UpdateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("c2")}); err != nil {
				panic(err)
			}
		}},
		{name: "own config deleted", to: "c2", want: endpoint.ErrNotFound, says: []string{"own configuration"}, seed: func(srv *sagemakertest.Server) {
			srv.Seed(&sm.DeleteEndpointConfigInput{EndpointConfigName: aws.String("c1")})
		}},
		{name: "canary in instances", to: "c2", options: sagemaker.UpdateOptions{DeploymentConfig: canary(instances(2), 0, 0)}, want: endpoint.ErrInvalid, says: []string{"CanarySize", "2 instances", "of the 3 of variant main", "1 to 50 %"}},
		{name: "canary on one instance", to: "c2", options: sagemaker.UpdateOptions{DeploymentConfig: canary(percent(10), 0, 0), ExcludeRetainedVariantProperties: []types.VariantPropertyType{types.VariantPropertyTypeDesiredInstanceCount}}, want: endpoint.ErrInvalid, says: []string{"CanarySize", "has 1 instances", "2 instances or more"}},
		{name: "canary fits what is raised", to: "c2", options: sagemaker.UpdateOptions{DeploymentConfig: canary(instances(2), 0, 0)}, settings: endpoint.Settings{"variant/main/instances": 4, "variant/side/instances": 4}},
		{name: "rolling over two variants", to: "c2", options: sagemaker.UpdateOptions{DeploymentConfig: rolling(percent(50), nil, 0)}, want: endpoint.ErrInvalid, says: []string{"RollingUpdatePolicy", "2 variants", "allows 1"}},
		{name: "guarded with other variants", to: "renamed", options: sagemaker.UpdateOptions{DeploymentConfig: allAtOnce(0)}, want: endpoint.ErrInvalid, says: []string{"names", "other"}, seed: func(srv *sagemakertest.Server) {
			srv.Seed(createConfig("renamed", productionVariant("main", "model-2", 2), productionVariant("other", "model-2", 2)))
		}},
		{name: "guarded on inf1", to: "inf", options: sagemaker.UpdateOptions{DeploymentConfig: allAtOnce(0)}, want: endpoint.ErrInvalid, says: []string{"ml.inf1.xlarge"}, seed: func(srv *sagemakertest.Server) {
			srv.Seed(createConfig("inf", on("ml.inf1.xlarge", productionVariant("main", "model-2", 2)), productionVariant("side", "model-2", 2)))
		}},
		{name: "to serverless", to: "lambda", want: endpoint.ErrInvalid, says: []string{"serverless"}, seed: func(srv *sagemakertest.Server) {
			srv.Seed(createConfig("lambda", serverlessVariant("main", "model-2")))
		}},
		{name: "to asynchronous", to: "later", says: []string{"AsyncInferenceConfig", "does not allow a rollback"}, seed: func(srv *sagemakertest.Server) {
			c := createConfig("later", productionVariant("main", "model-2", 1), productionVariant("side", "model-2", 1))
			c.AsyncInferenceConfig = &types.AsyncInferenceConfig{OutputConfig: &types.AsyncInferenceOutputConfig{S3OutputPath: aws.String("s3://acme/out")}}
			srv.Seed(c)
		}},
		{name: "retained deployment, none before", to: "c2", options: sagemaker.UpdateOptions{RetainDeploymentConfig: true}, want: endpoint.ErrInvalid, says: []string{"LastDeploymentConfig"}},
		{name: "alarm missing", to: "c2", options: sagemaker.UpdateOptions{DeploymentConfig: allAtOnce(60, "nobody")}, want: endpoint.ErrInvalid, says: []string{"nobody", "no such alarm"}},
		{name: "alarm rings", to: "c2", options: sagemaker.UpdateOptions{DeploymentConfig: allAtOnce(60, "errors")}, want: endpoint.ErrUnhealthy, says: []string{"errors", "ALARM"}, seed: func(srv *sagemakertest.Server) { srv.Seed(ring()) }},
		{name: "alarm without data", to: "c2", options: sagemaker.UpdateOptions{DeploymentConfig: allAtOnce(60, "fresh")}, says: []string{"fresh has no data"}, seed: func(srv *sagemakertest.Server) { srv.Seed(userAlarm("fresh")) }},
		{name: "unknown setting", to: "c2", settings: endpoint.Settings{"variant/nobody/instances": 2}, want: endpoint.ErrInvalid, says: []string{"nobody"}},
		{name: "setting of another provider", to: "c2", settings: endpoint.Settings{"workers.max": 2}, want: endpoint.ErrInvalid, says: []string{"workers.max"}},
		{name: "instances change under a target, suspended", to: "bigger", level: sagemaker.AutoscalingSuspend, want: sagemaker.ErrScalableTarget, says: []string{"main", "suspend"}, seed: bigger},
		{name: "instances change under a target, retained", to: "bigger", level: sagemaker.AutoscalingRetain, want: sagemaker.ErrScalableTarget, says: []string{"main", "retain"}, seed: bigger},
		{name: "instances change under a target, not protected", to: "bigger", exposed: true, want: sagemaker.ErrScalableTarget, says: []string{"strategy"}, seed: bigger},
		{name: "instances change under a target", to: "bigger", seed: bigger},
		{name: "raised above the target", to: "c2", settings: endpoint.Settings{"variant/main/instances": 9}, says: []string{"variant/main/instances=9", "6"}, seed: bigger},
		{name: "tracking alarm vanishes", to: "bigger", options: sagemaker.UpdateOptions{DeploymentConfig: allAtOnce(60, "TargetTracking-endpoint/sdxl/variant/main-AlarmHigh-1")}, want: endpoint.ErrInvalid, says: []string{"TargetTracking", "deregistered"}, seed: func(srv *sagemakertest.Server) {
			bigger(srv)
			srv.Seed(userAlarm("TargetTracking-endpoint/sdxl/variant/main-AlarmHigh-1"))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := account()
				if tt.seed != nil {
					tt.seed(srv)
				}
				if tt.level == "" {
					tt.level = sagemaker.AutoscalingAuto
				}
				e := open(t, srv, sagemaker.WithAutoscalingMode(tt.level))
				cautions, err := e.Preflight(t.Context(), endpoint.Change{To: config(tt.to), Options: options(t, tt.options), AutoscalingSuspended: !tt.exposed}, tt.settings)
				if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
					t.Fatalf("Preflight = %v, want %v", err, tt.want)
				}
				text := strings.Join(cautions, "\n") + fmt.Sprint(err)
				for _, word := range tt.says {
					if !strings.Contains(text, word) {
						t.Errorf("%q is not said in\n%s", word, text)
					}
				}
				if err != nil && !endpoint.Unapplied(err) && !errors.Is(tt.want, endpoint.ErrUnhealthy) {
					t.Errorf("%v does not count as a refusal", err)
				}
			})
		})
	}
}

// bigger adds a target on main, and a config that puts main on other instances.
func bigger(srv *sagemakertest.Server) {
	scaled(srv, "main", 6)
	v := productionVariant("main", "model-1", 1)
	v.InstanceType = types.ProductionVariantInstanceTypeMlG52xlarge
	srv.Seed(createConfig("bigger", v, productionVariant("side", "model-1", 1)))
}

// The way back is not made slower by what was asked for the way forward.
func TestWayBackIsPlain(t *testing.T) {
	for _, tt := range []struct {
		name string
		way  *types.DeploymentConfig
		want *types.DeploymentConfig
	}{
		{"canary", canary(percent(40), 3000, 600, "errors"), nil},
		{"rolling", rolling(instances(1), percent(50), 600, "errors"), &types.DeploymentConfig{RollingUpdatePolicy: &types.RollingUpdatePolicy{
			MaximumBatchSize: instances(1), RollbackMaximumBatchSize: percent(50), WaitIntervalInSeconds: aws.Int32(0),
		}}},
		{"none", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := single(4)
				c := endpoint.Change{To: config("c2"), Rollback: true, Options: options(t, sagemaker.UpdateOptions{DeploymentConfig: tt.way})}
				e := open(t, srv)
				if err := e.Update(t.Context(), c); err != nil {
					t.Fatal(err)
				}
				in := srv.Mutations()[0].Input.(*sm.UpdateEndpointInput)
				if !reflect.DeepEqual(in.DeploymentConfig, tt.want) || !*in.RetainAllVariantProperties || in.RetainDeploymentConfig != nil {
					t.Errorf("the way back is %+v", in)
				}
				back, err := e.EstimateDuration(t.Context(), c)
				if err != nil || back != 0 {
					t.Errorf("Pace = %v, %v", back, err)
				}
			})
		})
	}
}

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account()
		e := open(t, srv)
		for _, tt := range []struct {
			options sagemaker.UpdateOptions
			want    time.Duration
		}{
			{sagemaker.UpdateOptions{}, 0},
			{sagemaker.UpdateOptions{DeploymentConfig: canary(percent(40), 3000, 600)}, time.Hour},
			{sagemaker.UpdateOptions{DeploymentConfig: linear(percent(30), 600, 300)}, 45 * time.Minute},
			{sagemaker.UpdateOptions{DeploymentConfig: linear(instances(1), 600, 0)}, 100 * time.Minute},
			{sagemaker.UpdateOptions{DeploymentConfig: rolling(percent(30), nil, 600)}, 40 * time.Minute},
			{sagemaker.UpdateOptions{DeploymentConfig: limited(allAtOnce(0), 28800)}, 8 * time.Hour},
			{sagemaker.UpdateOptions{RetainDeploymentConfig: true}, 0},
		} {
			got, err := e.EstimateDuration(t.Context(), endpoint.Change{To: config("c2"), Options: options(t, tt.options)})
			if err != nil || got != tt.want {
				t.Errorf("Pace of %s = %v, %v; want %v", options(t, tt.options), got, err, tt.want)
			}
		}
	})
}

func FuzzUpdateOptions(f *testing.F) {
	for _, tt := range badOptions {
		f.Add([]byte(tt.doc))
	}
	f.Add([]byte(`{"RetainAllVariantProperties":true,"ExcludeRetainedVariantProperties":["DesiredWeight"],"DeploymentConfig":{}}`))
	f.Add([]byte(roll(20, 100, 60, 7200)))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := sagemaker.DecodeUpdateOptions(b)
		if err != nil {
			if !errors.Is(err, endpoint.ErrInvalid) {
				t.Errorf("%q is refused with %v", b, err)
			}
			return
		}
		again, err := o.Encode()
		if err != nil {
			t.Fatalf("options that were read cannot be written: %v", err)
		}
		p, err := sagemaker.DecodeUpdateOptions(again)
		if err != nil {
			t.Fatalf("options that were written cannot be read: %v", err)
		}
		twice, err := p.Encode()
		if err != nil || !bytes.Equal(again, twice) {
			t.Errorf("%s becomes %s (%v)", again, twice, err)
		}
	})
}

func FuzzDeploymentConfig(f *testing.F) {
	f.Add([]byte(`{"BlueGreenUpdatePolicy":{"TrafficRoutingConfiguration":{"Type":"CANARY","WaitIntervalInSeconds":1,"CanarySize":{"Type":"CAPACITY_PERCENT","Value":5}}}}`))
	f.Add([]byte(`{"AutoRollbackConfiguration":{"Alarms":[{"AlarmName":"x"}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := sagemaker.DecodeDeploymentConfig(b); err == nil && c == nil {
			t.Error("nothing without an error")
		}
	})
}

func FuzzStage(f *testing.F) {
	f.Add([]byte(`{"EndpointConfigName":"c3","ProductionVariants":[{"VariantName":"main","ModelName":"model-2","InitialInstanceCount":1,"InstanceType":"ml.g5.xlarge"}]}`), "c3", "model-2")
	f.Add([]byte(`{"EndpointConfigName":"c3","ProductionVariants":[]}`), "c3", "")
	f.Add([]byte(`null`), "", "")
	f.Fuzz(func(t *testing.T, body []byte, id, artifact string) {
		srv := account()
		e := open(t, srv)
		d := endpoint.Draft{Revision: endpoint.Revision{Kind: sagemaker.KindEndpointConfig, ID: id, Artifact: artifact}, Body: body}
		if err := e.Stage(t.Context(), d); err != nil {
			return
		}
		if err := e.Staged(t.Context(), d); err != nil {
			t.Errorf("%s is staged, and then: %v", body, err)
		}
	})
}
