package sagemaker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

// Rollouts through the SDK's own clients, in virtual time.

func TestEveryDeploymentSucceeds(t *testing.T) {
	for _, tt := range []struct {
		name    string
		account func(...func(*sagemakertest.Server)) *sagemakertest.Server
		options sagemaker.UpdateOptions
		stages  []types.VariantStatus // that are seen on the way
	}{
		{"default", account, sagemaker.UpdateOptions{}, []types.VariantStatus{types.VariantStatusCreating}},
		{"all at once", account, sagemaker.UpdateOptions{DeploymentConfig: allAtOnce(600, "errors")}, []types.VariantStatus{types.VariantStatusBaking}},
		{"canary", account, sagemaker.UpdateOptions{DeploymentConfig: canary(percent(50), 1800, 600, "errors")}, []types.VariantStatus{types.VariantStatusCreating, types.VariantStatusBaking}},
		{"linear", account, sagemaker.UpdateOptions{DeploymentConfig: linear(percent(34), 1200, 0)}, []types.VariantStatus{types.VariantStatusBaking}},
		{"rolling", func(edit ...func(*sagemakertest.Server)) *sagemakertest.Server { return single(4, edit...) }, sagemaker.UpdateOptions{DeploymentConfig: rolling(instances(2), percent(100), 900, "errors")}, []types.VariantStatus{types.VariantStatusBaking}},
		{"not retained", account, sagemaker.UpdateOptions{RetainAllVariantProperties: new(bool)}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, s := range []strategy.Strategy{strategy.InPlace{}, strategy.ScaleProtectedSwap{}} {
				synctest.Test(t, func(t *testing.T) {
					srv := tt.account()
					before := srv.Guarded()
					var seen []types.VariantStatus
					r, err := rollout.Run(t.Context(), journal.NewMemory(), open(t, srv), s, rollout.ToRevision("c2"),
						rollout.WithChangeOptions(options(t, tt.options)), rollout.WithObserver(func(_ context.Context, e rollout.Event) {
							if e.Status != nil && e.Status.UpdateStage.Name != "" {
								seen = append(seen, types.VariantStatus(e.Status.UpdateStage.Name))
							}
						}))
					if err != nil || r.Outcome != rollout.OutcomeSucceeded {
						t.Fatalf("Run = %v, %v", r, err)
					}
					for _, want := range tt.stages {
						if !slices.Contains(seen, want) {
							t.Errorf("stage %s was not seen, only %v", want, slices.Compact(seen))
						}
					}
					if got := srv.Endpoint(name).Config; got != "c2" {
						t.Errorf("serves %s", got)
					}
					if tt.name == "not retained" {
						return // the counts of c2 were asked for
					}
					if diff := cmp.Diff(before, srv.Guarded()); diff != "" {
						t.Errorf("protective values (-before +after):\n%s", diff)
					}
					if len(r.Drift) > 0 {
						t.Errorf("drift %v", r.Drift)
					}
				})
			}
		})
	}
}

func modes() []sagemaker.AutoscalingMode {
	return []sagemaker.AutoscalingMode{sagemaker.AutoscalingAuto, sagemaker.AutoscalingRetain, sagemaker.AutoscalingSuspend, sagemaker.AutoscalingDeregister}
}

// eachLevel runs f at each level of protection, on an endpoint that is scaled.
func eachLevel(t *testing.T, f func(t *testing.T, l sagemaker.AutoscalingMode, srv *sagemakertest.Server, e *sagemaker.Endpoint)) {
	t.Helper()
	for _, l := range modes() {
		t.Run(string(l), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := autoscaled()
				f(t, l, srv, open(t, srv, sagemaker.WithAutoscalingMode(l)))
			})
		})
	}
}

func asBefore(t *testing.T, srv *sagemakertest.Server, before map[string]string) {
	t.Helper()
	if diff := cmp.Diff(before, srv.Guarded()); diff != "" {
		t.Errorf("protective values (-before +after):\n%s", diff)
	}
}

func TestLevels(t *testing.T) {
	eachLevel(t, func(t *testing.T, l sagemaker.AutoscalingMode, srv *sagemakertest.Server, e *sagemaker.Endpoint) {
		t.Helper()
		before := srv.Guarded()
		r, err := rollout.Run(t.Context(), journal.NewMemory(), e, strategy.ScaleProtectedSwap{Prescale: 4}, rollout.ToArtifact("model-3"))
		if err != nil || r.Outcome != rollout.OutcomeSucceeded {
			t.Fatalf("Run = %v, %v", r, err)
		}
		asBefore(t, srv, before)
		if len(r.Drift) > 0 {
			t.Errorf("drift: %v", r.Drift)
		}
		if got := srv.Endpoint(name).Variants["main"].Model; got != "model-3" {
			t.Errorf("main serves %s", got)
		}
		deregistered := 0
		for _, m := range srv.Mutations() {
			if m.Operation == "DeregisterScalableTarget" {
				deregistered++
			}
		}
		if want := map[sagemaker.AutoscalingMode]int{sagemaker.AutoscalingDeregister: 2}[l]; deregistered != want {
			t.Errorf("deregistered %d targets, want %d", deregistered, want)
		}
	})
}

// An instance type that changes needs its target deregistered, and only that.
func TestAutoDeregistersWhatHasToBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := autoscaled()
		e := open(t, srv)
		before := srv.Guarded()
		d, err := e.DraftWith(t.Context(), endpoint.Revision{}, func(in *sm.CreateEndpointConfigInput) {
			in.ProductionVariants[0].InstanceType = types.ProductionVariantInstanceTypeMlG52xlarge
		})
		if err != nil {
			t.Fatal(err)
		}
		r, err := rollout.Run(t.Context(), journal.NewMemory(), e, strategy.ScaleProtectedSwap{}, rollout.ToDraft(d))
		if err != nil || r.Outcome != rollout.OutcomeSucceeded {
			t.Fatalf("Run = %v, %v", r, err)
		}
		asBefore(t, srv, before)
		var gone []string
		for _, m := range srv.Mutations() {
			if m.Operation == "DeregisterScalableTarget" {
				gone = append(gone, m.Operation)
			}
		}
		if len(gone) != 1 {
			t.Errorf("deregistered %v", gone)
		}
		if got := srv.Endpoint(name).Variants["main"].InstanceType; got != "ml.g5.2xlarge" {
			t.Errorf("main is on %s", got)
		}
	})
}

// A variant that disappears takes its target along.
func TestVariantRemoved(t *testing.T) {
	for _, bad := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			srv := autoscaled()
			e := open(t, srv)
			before := srv.Guarded()
			d, err := e.DraftWith(t.Context(), endpoint.Revision{}, func(in *sm.CreateEndpointConfigInput) {
				in.ProductionVariants = in.ProductionVariants[:1]
			})
			if err != nil {
				t.Fatal(err)
			}
			if bad {
				srv.SetOutcome(d.Revision.ID, sagemakertest.RollsBack, "no capacity")
			}
			r, err := rollout.Run(t.Context(), journal.NewMemory(), e, strategy.ScaleProtectedSwap{}, rollout.ToDraft(d))
			if bad {
				if r.Outcome != rollout.OutcomeRolledBack || !strings.Contains(err.Error(), "no capacity") {
					t.Errorf("Run = %v, %v", r.Outcome, err)
				}
				asBefore(t, srv, before)
				return
			}
			if err != nil || r.Outcome != rollout.OutcomeSucceeded || len(r.Drift) > 0 {
				t.Fatalf("Run = %+v, %v", r, err)
			}
			for key := range before {
				if strings.Contains(key, "variant/side") {
					delete(before, key)
				}
			}
			after := srv.Guarded()
			delete(after, "alarm/backlog-side") // it had an action that is gone for good
			delete(before, "alarm/backlog-side")
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("protective values (-before +after):\n%s", diff)
			}
		})
	}
}

func TestFailuresAreRolledBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		make    func() *sagemakertest.Server
		outcome sagemakertest.Outcome
		reason  string
		options sagemaker.UpdateOptions
		edit    func(srv *sagemakertest.Server)
		want    rollout.Outcome
		is      error
		opts    []rollout.Option
	}{
		{name: "launch failure", outcome: sagemakertest.RollsBack, reason: "The primary container did not pass the ping health check.", want: rollout.OutcomeRolledBack, is: rollout.ErrRolledBack},
		{name: "launch failure without a reason", outcome: sagemakertest.RollsBack, want: rollout.OutcomeRolledBack, is: rollout.ErrRolledBack},
		{
			name: "alarm", options: sagemaker.UpdateOptions{DeploymentConfig: canary(percent(40), 3000, 0, "errors")}, reason: "alarm",
			edit: func(srv *sagemakertest.Server) { srv.At(time.Now().Add(20*time.Minute), ring()) },
			want: rollout.OutcomeRolledBack, is: rollout.ErrRolledBack,
		},
		{name: "failed", outcome: sagemakertest.Fails, reason: "it can only be deleted and made again; AWS says: unrecoverable", want: rollout.OutcomeIncomplete, is: endpoint.ErrFailed},
		{
			name: "rollback failed", make: func() *sagemakertest.Server {
				srv := single(4)
				scaled(srv, "main", 6)
				return srv
			}, outcome: sagemakertest.RollbackFails, reason: "update it once more, to one of them; AWS says: no capacity for the rollback",
			options: sagemaker.UpdateOptions{DeploymentConfig: rolling(instances(2), percent(100), 60)}, want: rollout.OutcomeIncomplete, is: endpoint.ErrFailed,
		},
		{name: "stuck until its time is over", outcome: sagemakertest.Stalls, options: sagemaker.UpdateOptions{DeploymentConfig: limited(allAtOnce(0), 3600)}, reason: "MaximumExecutionTimeout", want: rollout.OutcomeRolledBack, is: rollout.ErrRolledBack},
		{name: "stuck for good", outcome: sagemakertest.Stalls, want: rollout.OutcomeIncomplete, is: rollout.ErrStepTimeout, opts: []rollout.Option{rollout.WithStepTimeout(2 * time.Hour)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, l := range modes() {
				synctest.Test(t, func(t *testing.T) {
					if tt.make == nil {
						tt.make = autoscaled
					}
					srv := tt.make()
					srv.SetOutcome("model-2", tt.outcome, tt.reason)
					if tt.edit != nil {
						tt.edit(srv)
					}
					before := srv.Guarded()
					r, err := rollout.Run(t.Context(), journal.NewMemory(), open(t, srv, sagemaker.WithAutoscalingMode(l)), strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"),
						append(tt.opts, rollout.WithInterval(15*time.Second), rollout.WithChangeOptions(options(t, tt.options)))...)
					if r == nil || r.Outcome != tt.want || !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.reason) {
						t.Errorf("%s: Run = %+v\n%v\nwant %s", l, r, err, tt.want)
					}
					asBefore(t, srv, before)
					if got := srv.Endpoint(name).Config; got != "c1" {
						t.Errorf("serves %s", got)
					}
				})
			}
		})
	}
}

func limited(c *types.DeploymentConfig, limit int32) *types.DeploymentConfig {
	c.BlueGreenUpdatePolicy.MaximumExecutionTimeoutInSeconds = &limit
	return c
}
