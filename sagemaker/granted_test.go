package sagemaker_test

import (
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

// slow is an account whose instances are given time to start: 10 minutes to be
// provisioned, and the rest to load the model and to become healthy.
func slow(n int32, load, healthy time.Duration) *sagemakertest.Server {
	v := func(model string) types.ProductionVariant {
		v := productionVariant("main", model, n)
		v.VariantInstanceProvisionTimeoutInSeconds = aws.Int32(600)
		v.ModelDataDownloadTimeoutInSeconds = aws.Int32(int32(load.Seconds()))
		v.ContainerStartupHealthCheckTimeoutInSeconds = aws.Int32(int32(healthy.Seconds()))
		return v
	}
	srv := sagemakertest.New()
	srv.Seed(createModel("model-1"), createModel("model-2"), createConfig("c1", v("model-1")), createConfig("c2", v("model-2")),
		&sm.CreateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("c1")})
	return srv
}

func withLimit(c *types.DeploymentConfig, limit int32) *types.DeploymentConfig {
	if c.RollingUpdatePolicy != nil {
		c.RollingUpdatePolicy.MaximumExecutionTimeoutInSeconds = &limit
	} else {
		c.BlueGreenUpdatePolicy.MaximumExecutionTimeoutInSeconds = &limit
	}
	return c
}

func TestEstimateDuration(t *testing.T) {
	start := 10*time.Minute + time.Hour + 30*time.Minute // of an instance
	for _, tt := range []struct {
		name   string
		n      int32
		config *types.DeploymentConfig
		back   bool
		want   time.Duration
	}{
		{name: "all at once", n: 4, want: start},
		{name: "canary", n: 4, config: canary(percent(25), 600, 300), want: start + 15*time.Minute},
		{name: "a rollback is all at once", n: 4, config: canary(percent(25), 600, 300), back: true, want: start},
		{name: "linear", n: 4, config: linear(percent(25), 600, 300), want: start + 45*time.Minute},
		{name: "rolling by percent", n: 4, config: rolling(percent(50), nil, 600), want: 2*start + 20*time.Minute},
		{name: "rolling by instances", n: 10, config: rolling(instances(3), nil, 0), want: 4 * start},
		{name: "rolling back", n: 4, config: rolling(percent(50), nil, 600), back: true, want: 2 * start},
		{name: "time limit", n: 4, config: withLimit(canary(percent(25), 600, 300), 28800), want: 8 * time.Hour},
		{name: "a time limit below the rest", n: 4, config: withLimit(canary(percent(25), 600, 300), 3600), want: start + 15*time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := open(t, slow(tt.n, time.Hour, 30*time.Minute))
			c := endpoint.Change{To: config("c2"), Options: options(t, sagemaker.UpdateOptions{DeploymentConfig: tt.config}), Rollback: tt.back}
			if d, err := e.EstimateDuration(t.Context(), c); err != nil || d != tt.want {
				t.Errorf("%s: %v, %v; want %v", tt.name, d, err, tt.want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		c := openComponent(t, hosting(4), sagemaker.WithComponentUpdate(inBatches(600)))
		for back, want := range map[bool]time.Duration{false: 2*30*time.Minute + 20*time.Minute, true: 2 * 30 * time.Minute} {
			if d, err := c.EstimateDuration(t.Context(), endpoint.Change{To: endpoint.Revision{Kind: sagemaker.KindModel, ID: "model-2"}, Rollback: back}); err != nil || d != want {
				t.Errorf("component, back %t: %v, %v; want %v", back, d, err, want)
			}
		}
	})
}

// A launch of 50 minutes that is configured to be allowed that is waited for,
// and neither undone nor interfered with.
func TestSlowLaunchSucceeds(t *testing.T) {
	for _, s := range componentStrategies() {
		synctest.Test(t, func(t *testing.T) {
			srv := slow(1, time.Hour, 30*time.Minute)
			srv.Behave(func(b *sagemakertest.Behaviour) { b.Launch = 50 * time.Minute })
			r, err := rollout.Run(t.Context(), journal.NewMemory(), open(t, srv), s, rollout.ToRevision("c2"))
			if err != nil || r.Outcome != rollout.OutcomeSucceeded {
				t.Errorf("%v: %+v, %v", s, r, err)
			}
			if n := len(srv.Mutations()); n != 1 {
				t.Errorf("%v: %d writes, want 1", s, n)
			}
		})
		synctest.Test(t, func(t *testing.T) {
			srv := hosting(4)
			srv.Behave(func(b *sagemakertest.Behaviour) { b.Launch = 25 * time.Minute })
			r, err := rollout.Run(t.Context(), journal.NewMemory(), openComponent(t, srv, sagemaker.WithComponentUpdate(inBatches(60))), s, rollout.ToArtifact("model-2"))
			if err != nil || r.Outcome != rollout.OutcomeSucceeded || len(srv.Mutations()) != 1 {
				t.Errorf("component, %v: %+v, %v", s, r, err)
			}
		})
	}
}

// A deployment whose waits leave instances less time than they are given says
// so in the plan.
func TestNoSlack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		note := func(u endpoint.Updater, c *types.DeploymentConfig) string {
			t.Helper()
			p, err := rollout.Preview(t.Context(), u, strategy.InPlace{}, rollout.ToRevision("c2"), rollout.WithChangeOptions(options(t, sagemaker.UpdateOptions{DeploymentConfig: c})))
			if err != nil {
				t.Fatal(err)
			}
			return strings.Join(p.Notes, "\n")
		}
		srv := slow(2, 5*time.Minute, 5*time.Minute) // 20 minutes, with the provisioning
		e := open(t, srv)
		const says = "the deployment may take 32m0s, 22m0s of which it waits: 10m0s are left for launching 2 batches, and each may take 20m0s"
		if got := note(e, withLimit(rolling(percent(50), nil, 660), 1920)); !strings.Contains(got, says) {
			t.Errorf("notes:\n%s\nwant %q", got, says)
		}
		if got := note(e, withLimit(rolling(percent(50), nil, 660), 3720)); strings.Contains(got, "are left for launching") {
			t.Errorf("notes of one with 40 minutes left:\n%s", got)
		}
		o := inBatches(660)
		o.DeploymentConfig.RollingUpdatePolicy.MaximumExecutionTimeoutInSeconds = aws.Int32(1920)
		p, err := rollout.Preview(t.Context(), openComponent(t, hosting(4), sagemaker.WithComponentUpdate(o)), strategy.InPlace{}, rollout.ToArtifact("model-2"))
		if err != nil || !strings.Contains(strings.Join(p.Notes, "\n"), "10m0s are left for launching 2 batches, and each may take 30m0s") {
			t.Errorf("component: %+v, %v", p, err)
		}
	})
}
