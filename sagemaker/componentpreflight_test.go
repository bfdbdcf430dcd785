package sagemaker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

// own is a component with a container of its own, and a secret in it.
func own(in *sm.CreateInferenceComponentInput) {
	in.Specification.ModelName = nil
	in.Specification.Container = &types.InferenceComponentContainerSpecification{
		Image: aws.String("111122223333.dkr.ecr.eu-west-1.amazonaws.com/acme:chat"), Environment: map[string]string{"HF_TOKEN": secret},
	}
}

func adapter(component, base string) *sm.CreateInferenceComponentInput {
	return &sm.CreateInferenceComponentInput{
		InferenceComponentName: &component, EndpointName: aws.String(name),
		Specification: &types.InferenceComponentSpecification{
			BaseInferenceComponentName: &base, Container: &types.InferenceComponentContainerSpecification{ArtifactUrl: aws.String("s3://acme/lora.tar.gz")},
		},
	}
}

// A rollout of a component that is refused has written nothing, and says which
// field or component is wrong, its value, and what AWS allows.
func TestComponentRefusals(t *testing.T) {
	half := inBatches(60, "errors")
	for _, tt := range []struct {
		name      string
		component string // chat, if it is empty
		copies    int32
		seed      []any
		options   sagemaker.ComponentUpdateOptions
		model     string // model-2, if it is empty
		is        error
		says      []string
	}{
		{name: "one copy", copies: 1, options: half, is: endpoint.ErrInvalid, says: []string{"RollingUpdatePolicy.MaximumBatchSize", "inference component chat, which has 1 copies", "100 % of itself", "2 copies or more"}},
		{name: "alarm", copies: 4, options: half, seed: []any{ring()}, is: endpoint.ErrUnhealthy, says: []string{"AlarmName errors", "is in ALARM"}},
		{name: "no alarm", copies: 4, options: inBatches(60, "none"), is: endpoint.ErrInvalid, says: []string{"AlarmName none", "no such alarm"}},
		{name: "no model", copies: 4, model: "model-9", is: endpoint.ErrNotFound, says: []string{"model-9"}},
		{name: "no component", component: "none", copies: 4, is: endpoint.ErrNotFound, says: []string{"sagemaker/sdxl/none"}},
		{name: "base of adapters", copies: 4, seed: []any{adapter("lora-1", chat), adapter("lora-2", chat)}, is: endpoint.ErrInvalid, says: []string{"base inference component", "lora-1, lora-2", "delete them first"}},
		{name: "adapter", component: "lora", copies: 4, seed: []any{adapter("lora", chat)}, is: endpoint.ErrInvalid, says: []string{"adapter of the inference component chat"}},
		{name: "own container", component: "own", copies: 4, seed: []any{createComponent("own", 2, own)}, is: endpoint.ErrInvalid, says: []string{"container of its own", "CreateModel"}},
		{name: "environment beside the model", component: "both", copies: 4, seed: []any{createComponent("both", 2, func(in *sm.CreateInferenceComponentInput) {
			in.Specification.Container.Environment = map[string]string{"HF_TOKEN": secret + "-of-its-own"}
		})}, is: endpoint.ErrInvalid, says: []string{"model-1 and a container of its own beside it"}},
	} {
		for _, s := range componentStrategies() {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := hosting(tt.copies)
					srv.Seed(tt.seed...)
					component, model := chat, "model-2"
					if tt.component != "" {
						component = tt.component
					}
					if tt.model != "" {
						model = tt.model
					}
					c, err := sagemaker.NewComponentFromConfig(name, component, srv.Config(), sagemaker.WithComponentUpdate(tt.options))
					if err != nil {
						t.Fatal(err)
					}
					p, err := rollout.Preview(t.Context(), c, s, rollout.ToArtifact(model))
					if !errors.Is(err, tt.is) || len(srv.Mutations()) > 0 {
						t.Fatalf("%v: %v, %v, %d writes", s, p, err, len(srv.Mutations()))
					}
					for _, word := range tt.says {
						if !strings.Contains(err.Error(), word) {
							t.Errorf("%q is not said in %v", word, err)
						}
					}
					if strings.Contains(err.Error(), secret) {
						t.Errorf("a secret is in %v", err)
					}
				})
			})
		}
	}
}

func TestComponentOptions(t *testing.T) {
	for _, tt := range []struct {
		name, doc string
		says      []string
	}{
		{"null", `null`, []string{"says nothing"}},
		{"nothing", `{}`, []string{"says nothing"}},
		{"null policy", `{"RollingUpdatePolicy":null}`, []string{"RollingUpdatePolicy is null"}},
		{"no policy", `{"AutoRollbackConfiguration":{"Alarms":[{"AlarmName":"errors"}]}}`, []string{"RollingUpdatePolicy is missing"}},
		{"of an endpoint", `{"BlueGreenUpdatePolicy":{}}`, []string{"BlueGreenUpdatePolicy", "AutoRollbackConfiguration, RollingUpdatePolicy"}},
		{"misspelled", `{"RollingUpdatePolicy":{"maximumBatchSize":{"Type":"COPY_COUNT","Value":1},"WaitIntervalInSeconds":0}}`, []string{"AWS spells it MaximumBatchSize"}},
		{"no batch", `{"RollingUpdatePolicy":{"WaitIntervalInSeconds":0}}`, []string{"MaximumBatchSize is missing"}},
		{"no wait", `{"RollingUpdatePolicy":{"MaximumBatchSize":{"Type":"COPY_COUNT","Value":1}}}`, []string{"WaitIntervalInSeconds is missing"}},
		{"4 percent", batchOf(`"Type":"CAPACITY_PERCENT","Value":4`, ""), []string{"MaximumBatchSize.Value is 4 %", "5 to 50 %"}},
		{"51 percent", batchOf(`"Type":"CAPACITY_PERCENT","Value":51`, ""), []string{"51 %", "5 to 50 %"}},
		{"no copy", batchOf(`"Type":"COPY_COUNT","Value":0`, ""), []string{"MaximumBatchSize.Value is 0", "1 or more"}},
		{"instances", batchOf(`"Type":"INSTANCE_COUNT","Value":1`, ""), []string{"INSTANCE_COUNT", "COPY_COUNT and CAPACITY_PERCENT"}},
		{"wait too long", batchOf(`"Type":"COPY_COUNT","Value":1`, `,"WaitIntervalInSeconds":3601`), []string{"WaitIntervalInSeconds is 3601", "0 to 3600"}},
		{"time limit too short", batchOf(`"Type":"COPY_COUNT","Value":1`, `,"MaximumExecutionTimeoutInSeconds":599`), []string{"599", "600 to 28800"}},
		{"time limit too long", batchOf(`"Type":"COPY_COUNT","Value":1`, `,"MaximumExecutionTimeoutInSeconds":28801`), []string{"28801", "600 to 28800"}},
		{"waits use it up", batchOf(`"Type":"CAPACITY_PERCENT","Value":25`, `,"WaitIntervalInSeconds":300,"MaximumExecutionTimeoutInSeconds":1200`), []string{"MaximumExecutionTimeoutInSeconds is 1200", "1200 seconds that the deployment waits"}},
		{"rollback batch", batchOf(`"Type":"COPY_COUNT","Value":1`, `,"RollbackMaximumBatchSize":{"Type":"CAPACITY_PERCENT","Value":101}`), []string{"RollbackMaximumBatchSize.Value is 101 %", "1 to 100 %"}},
	} {
		c, err := sagemaker.DecodeComponentDeploymentConfig([]byte(tt.doc))
		if !errors.Is(err, endpoint.ErrInvalid) {
			t.Errorf("%s: %+v, %v", tt.name, c, err)
			continue
		}
		for _, word := range tt.says {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %q is not said in %v", tt.name, word, err)
			}
		}
	}
	if c, err := sagemaker.DecodeComponentDeploymentConfig([]byte(batchOf(`"Type":"COPY_COUNT","Value":1`, ""))); err != nil || *c.RollingUpdatePolicy.MaximumBatchSize.Value != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

// batchOf is a document with a batch size. A second WaitIntervalInSeconds counts.
func batchOf(size, rest string) string {
	return `{"RollingUpdatePolicy":{"WaitIntervalInSeconds":0,"MaximumBatchSize":{` + size + `}` + rest + `}}`
}

// Copies that somebody scaled, and a specification that somebody changed, are
// not overwritten.
func TestComponentSpecificationDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hosting(4)
		c := openComponent(t, srv)
		to, err := c.Resolve(t.Context(), endpoint.Revision{Artifact: "model-2"})
		if err != nil {
			t.Fatal(err)
		}
		other := specification("model-1")
		other.ComputeResourceRequirements.MinMemoryRequiredInMb = aws.Int32(6000)
		srv.Seed(&sm.UpdateInferenceComponentInput{InferenceComponentName: aws.String(chat), Specification: other})
		if err := c.Update(t.Context(), endpoint.Change{To: to}); !errors.Is(err, endpoint.ErrDrift) || !endpoint.Unapplied(err) || len(srv.Mutations()) > 0 {
			t.Errorf("%v, %d writes", err, len(srv.Mutations()))
		}
		if st, err := c.Status(t.Context()); err != nil || st.Desired.Same(endpoint.Revision{Kind: sagemaker.KindModel, ID: "model-1", Artifact: "model-1", Digest: to.Digest}) {
			t.Errorf("%v, %v", st.Desired, err)
		}
	})
}

// A change in progress is one whatever the words of the refusal are.
func TestComponentBusy(t *testing.T) {
	for _, b := range []func(*sagemakertest.Behaviour){
		func(*sagemakertest.Behaviour) {},
		func(b *sagemakertest.Behaviour) { b.OtherBusyWords = true },
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := hosting(4)
			srv.Behave(b)
			c := openComponent(t, srv)
			to, err := c.Resolve(t.Context(), endpoint.Revision{Artifact: "model-2"})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Set(t.Context(), sagemaker.SettingCopies, 5); err != nil {
				t.Fatal(err)
			}
			if err := c.Set(t.Context(), sagemaker.SettingCopies, 6); !errors.Is(err, endpoint.ErrBusy) {
				t.Errorf("Set = %v", err)
			}
			if err := c.Update(t.Context(), endpoint.Change{To: to}); !errors.Is(err, endpoint.ErrBusy) {
				t.Errorf("Update = %v", err)
			}
		})
	}
}

func TestOptionsAreChecked(t *testing.T) {
	cfg := sagemakertest.New().Config()
	bad := sagemaker.UpdateOptions{DeploymentConfig: canary(percent(70), 0, 0)}
	for says, call := range map[string]func() error{
		"option 1 is nil":              func() error { _, err := sagemaker.NewFromConfig(name, cfg, nil); return err },
		"AutoScaling client is nil":    func() error { _, err := sagemaker.New(name, sm.NewFromConfig(cfg), nil, nil); return err },
		"WithUpdate: DeploymentConfig": func() error { _, err := sagemaker.NewFromConfig(name, cfg, sagemaker.WithUpdate(bad)); return err },
		"WithComponentUpdate has no meaning": func() error {
			_, err := sagemaker.NewFromConfig(name, cfg, sagemaker.WithComponentUpdate(inBatches(0)))
			return err
		},
		"WithUpdate has no meaning": func() error {
			_, err := sagemaker.NewComponentFromConfig(name, chat, cfg, sagemaker.WithUpdate(sagemaker.UpdateOptions{}))
			return err
		},
		"WithQuota has no meaning": func() error {
			_, err := sagemaker.NewComponentFromConfig(name, chat, cfg, sagemaker.WithQuota(nil), sagemaker.WithQuota(noQuota))
			return err
		},
		`endpoint name "a/b"`:         func() error { _, err := sagemaker.NewComponentFromConfig("a/b", chat, cfg); return err },
		`inference component name ""`: func() error { _, err := sagemaker.NewComponentFromConfig(name, "", cfg); return err },
		`autoscaling mode "sometimes"`: func() error {
			_, err := sagemaker.NewFromConfig(name, cfg, sagemaker.WithAutoscalingMode("sometimes"))
			return err
		},
	} {
		if err := call(); !errors.Is(err, endpoint.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

// WithUpdate is what a change without options of its own does, and what a plan
// has in writing.
func TestWithUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account()
		e := open(t, srv, sagemaker.WithUpdate(sagemaker.UpdateOptions{DeploymentConfig: canary(percent(40), 600, 0)}))
		to, err := e.Resolve(t.Context(), endpoint.Revision{ID: "c2"})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Update(t.Context(), endpoint.Change{To: to}); err != nil {
			t.Fatal(err)
		}
		in := srv.Mutations()[0].Input.(*sm.UpdateEndpointInput)
		if in.DeploymentConfig == nil || *in.DeploymentConfig.BlueGreenUpdatePolicy.TrafficRoutingConfiguration.CanarySize.Value != 40 {
			t.Errorf("%+v", in)
		}
		raw, err := e.ChangeOptions()
		if o, derr := sagemaker.DecodeUpdateOptions(raw); err != nil || derr != nil || o.DeploymentConfig == nil {
			t.Errorf("%s, %v, %v", raw, err, derr)
		}
	})
}

func noQuota(context.Context, string) (int, error) { return 0, endpoint.ErrNotFound }
