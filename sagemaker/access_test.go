package sagemaker_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// Every action that is listed is one that is called, and the other way round.
func TestActionsAreThoseThatAreCalled(t *testing.T) {
	run := func(t *testing.T, e *sagemaker.Endpoint, s strategy.Strategy, target rollout.Target, opts ...rollout.Option) {
		t.Helper()
		if _, err := rollout.Run(t.Context(), journal.NewMemory(), e, s, target, opts...); err != nil {
			t.Fatal(err)
		}
	}
	deregister := func(t *testing.T, srv *sagemakertest.Server) {
		t.Helper()
		t.Helper()
		e, p := protected(t, srv, sagemaker.AutoscalingDeregister)
		// Somebody registers a target again, without its tags.
		in := target("side")
		in.MinCapacity, in.MaxCapacity = aws.Int32(1), aws.Int32(4)
		if _, err := srv.Do(in); err != nil {
			t.Fatal(err)
		}
		if err := e.RestoreAutoscaling(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
	}
	for _, tt := range []struct {
		name   string
		access sagemaker.Access
		do     func(t *testing.T, srv *sagemakertest.Server)
	}{
		{"in place, existing config", sagemaker.Access{}, func(t *testing.T, srv *sagemakertest.Server) {
			t.Helper()
			run(t, open(t, srv), strategy.InPlace{}, rollout.ToRevision("c2"))
		}},
		{"in place, by a shared list", sagemaker.Access{List: true}, func(t *testing.T, srv *sagemakertest.Server) {
			t.Helper()
			run(t, open(t, srv), strategy.InPlace{}, rollout.ToRevision("c2"),
				rollout.WithShared(waiter.NewShared(sagemaker.NewLister(sm.NewFromConfig(srv.Config())), 0)))
		}},
		{"in place, staged, with alarms", sagemaker.Access{Stage: true, RollbackAlarms: true}, func(t *testing.T, srv *sagemakertest.Server) {
			t.Helper()
			run(t, open(t, srv), strategy.InPlace{}, rollout.ToArtifact("model-3"),
				rollout.WithChangeOptions(options(t, sagemaker.UpdateOptions{DeploymentConfig: allAtOnce(60, "errors")})))
		}},
		{"retain", sagemaker.Access{Suspend: true, Mode: sagemaker.AutoscalingRetain}, func(t *testing.T, srv *sagemakertest.Server) {
			t.Helper()
			run(t, open(t, srv, sagemaker.WithAutoscalingMode(sagemaker.AutoscalingRetain)), strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"))
		}},
		{"suspend, prescaled", sagemaker.Access{Suspend: true, Mode: sagemaker.AutoscalingSuspend, Prescale: true}, func(t *testing.T, srv *sagemakertest.Server) {
			t.Helper()
			run(t, open(t, srv, sagemaker.WithAutoscalingMode(sagemaker.AutoscalingSuspend)), strategy.ScaleProtectedSwap{Prescale: 4}, rollout.ToRevision("c2"))
		}},
		{"deregister, staged", sagemaker.Access{Suspend: true, Mode: sagemaker.AutoscalingDeregister, Stage: true}, func(t *testing.T, srv *sagemakertest.Server) {
			t.Helper()
			deregister(t, srv)
			run(t, open(t, srv, sagemaker.WithAutoscalingMode(sagemaker.AutoscalingDeregister)), strategy.ScaleProtectedSwap{}, rollout.ToArtifact("model-3"))
		}},
		{"everything", sagemaker.Access{Suspend: true, Stage: true, Prescale: true, CleanUp: true}, func(t *testing.T, srv *sagemakertest.Server) {
			t.Helper()
			deregister(t, srv)
			e := open(t, srv)
			for _, model := range []string{"model-2", "model-3", "model-2", "model-3"} {
				run(t, e, strategy.ScaleProtectedSwap{Prescale: 5}, rollout.ToArtifact(model))
			}
			if removed, err := e.CleanUp(t.Context(), 0); err != nil || removed == nil {
				t.Fatal(removed, err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := autoscaled()
				srv.Behave(func(b *sagemakertest.Behaviour) { b.Autoscale = 0 })
				tt.do(t, srv)
				called := map[string]bool{}
				for _, r := range srv.Requests() {
					called[r.Action()] = called[r.Action()] || !r.Foreign
				}
				maps.DeleteFunc(called, func(_ string, ours bool) bool { return !ours })
				if diff := cmp.Diff(slices.Sorted(maps.Keys(called)), tt.access.Actions()); diff != "" {
					t.Errorf("actions (-called +listed):\n%s", diff)
				}
			})
		})
	}
}

func TestActionsOfAComponent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hosting(4)
		scaledCopies(srv, 1, 8)
		c := openComponent(t, srv, sagemaker.WithComponentUpdate(inBatches(60, "errors")))
		if _, err := rollout.Run(t.Context(), journal.NewMemory(), c, strategy.ScaleProtectedSwap{}, rollout.ToArtifact("model-2")); err != nil {
			t.Fatal(err)
		}
		called := map[string]bool{}
		for _, r := range srv.Requests() {
			if !r.Foreign {
				called[r.Action()] = true
			}
		}
		access := sagemaker.Access{Component: chat, Suspend: true, RollbackAlarms: true}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(called)), access.Actions()); diff != "" {
			t.Errorf("actions (-called +listed):\n%s", diff)
		}
		doc, err := access.Policy("aws", "eu-west-1", "111122223333", name)
		if err != nil || !strings.Contains(string(doc), "inference-component/"+chat) || strings.Contains(string(doc), "DeregisterScalableTarget") {
			t.Errorf("%s, %v", doc, err)
		}
	})
}

func TestPolicy(t *testing.T) {
	doc, err := sagemaker.Access{Suspend: true, Mode: sagemaker.AutoscalingDeregister, Stage: true, CleanUp: true}.Policy("aws", "eu-west-1", "111122223333", "My-Endpoint")
	if err != nil {
		t.Fatal(err)
	}
	var policy struct {
		Version   string
		Statement []struct {
			Effect           string
			Action, Resource []string
			Condition        map[string]map[string]string
		}
	}
	if err := json.Unmarshal(doc, &policy); err != nil || policy.Version != "2012-10-17" {
		t.Fatalf("%s: %v", doc, err)
	}
	of := map[string][]string{}
	for _, s := range policy.Statement {
		for _, a := range s.Action {
			if s.Effect != "Allow" || len(s.Resource) == 0 || of[a] != nil {
				t.Errorf("%s: %+v", a, s)
			}
			of[a] = s.Resource
			if strings.HasPrefix(a, "iam:") && s.Condition == nil {
				t.Errorf("%s has no condition", a)
			}
		}
	}
	for action, want := range map[string]string{
		"sagemaker:UpdateEndpoint":                        "arn:aws:sagemaker:eu-west-1:111122223333:endpoint/my-endpoint",
		"sagemaker:DeleteEndpointConfig":                  "arn:aws:sagemaker:eu-west-1:111122223333:endpoint-config/my-endpoint-co-*",
		"application-autoscaling:RegisterScalableTarget":  "arn:aws:application-autoscaling:eu-west-1:111122223333:scalable-target/*",
		"application-autoscaling:DescribeScalingPolicies": "*",
		"sagemaker:ListEndpoints":                         "*",
		"iam:PassRole":                                    "*",
	} {
		if !slices.Contains(of[action], want) {
			t.Errorf("%s is allowed on %v, want %s", action, of[action], want)
		}
	}
	if _, ok := of["sagemaker:UpdateEndpointWeightsAndCapacities"]; ok {
		t.Error("what is not done is allowed")
	}
}
