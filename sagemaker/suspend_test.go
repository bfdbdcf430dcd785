package sagemaker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/strategy"
)

func target(variant string) *aas.RegisterScalableTargetInput {
	return &aas.RegisterScalableTargetInput{
		ServiceNamespace: scaling.ServiceNamespaceSagemaker, ResourceId: resource(variant),
		ScalableDimension: scaling.ScalableDimensionSageMakerVariantDesiredInstanceCount,
	}
}

// protected is an endpoint whose autoscaling is frozen.
func protected(t *testing.T, srv *sagemakertest.Server, l sagemaker.AutoscalingMode) (*sagemaker.Endpoint, endpoint.AutoscalingSnapshot) {
	t.Helper()
	e := open(t, srv, sagemaker.WithAutoscalingMode(l))
	p, err := e.SnapshotAutoscaling(t.Context(), endpoint.Change{To: config("c2"), AutoscalingSuspended: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.SuspendAutoscaling(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return e, p
}

func inspect(t *testing.T, e *sagemaker.Endpoint, p endpoint.AutoscalingSnapshot) endpoint.AutoscalingState {
	t.Helper()
	is, err := e.InspectAutoscaling(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return is
}

func TestProtectAndRestore(t *testing.T) {
	for _, same := range []bool{false, true} {
		eachLevel(t, func(t *testing.T, l sagemaker.AutoscalingMode, srv *sagemakertest.Server, _ *sagemaker.Endpoint) {
			t.Helper()
			srv.Behave(func(b *sagemakertest.Behaviour) { b.SamePolicyARNs, b.Autoscale = same, 0 })
			before := srv.Guarded()
			e := open(t, srv, sagemaker.WithAutoscalingMode(l))
			p, err := e.SnapshotAutoscaling(t.Context(), endpoint.Change{To: config("c2")})
			if err != nil {
				t.Fatal(err)
			}
			if want := []string{"variant/main/instances", "variant/side/instances"}; !cmp.Equal(p.Autoscaled, want) || p.Max["variant/main/instances"] != 6 {
				t.Errorf("moved %v, most %v", p.Autoscaled, p.Max)
			}
			if is := inspect(t, e, p); !is.Restored || is.Suspended != (l == sagemaker.AutoscalingRetain) {
				t.Errorf("before: %+v", is)
			}
			for range 2 { // both are idempotent
				if err := e.SuspendAutoscaling(t.Context(), p); err != nil {
					t.Fatal(err)
				}
				if is := inspect(t, e, p); !is.Suspended || is.Restored != (l == sagemaker.AutoscalingRetain) || len(is.Foreign) > 0 {
					t.Errorf("protected: %+v", is)
				}
			}
			writes := len(srv.Mutations())
			for range 2 {
				if err := e.RestoreAutoscaling(t.Context(), p); err != nil {
					t.Fatal(err)
				}
				if is := inspect(t, e, p); !is.Restored || len(is.Differences) > 0 {
					t.Errorf("restored: %+v", is)
				}
				asBefore(t, srv, before)
			}
			if n := len(srv.Mutations()) - writes; n != map[sagemaker.AutoscalingMode]int{sagemaker.AutoscalingDeregister: 14, sagemaker.AutoscalingSuspend: 2, sagemaker.AutoscalingAuto: 2}[l] {
				t.Errorf("restoring twice took %d writes", n)
			}
		})
	}
}

// Every call of a restore, and every call of a protect, meets each error that
// passes by.
func TestRestoreRetries(t *testing.T) {
	for name, fault := range map[string]sagemakertest.Fault{
		"concurrent": sagemakertest.Refused("ConcurrentUpdateException", "pending"),
		"not found":  sagemakertest.Refused("ObjectNotFoundException", "not yet"),
		"internal":   sagemakertest.Refused("InternalServiceException", "oops"),
		"throttled":  sagemakertest.Throttled(),
		"lost":       sagemakertest.Dropped(true),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := autoscaled()
				srv.Behave(func(b *sagemakertest.Behaviour) { b.Autoscale, b.TargetLag = 0, 3*time.Second })
				before := srv.Guarded()
				e, p := protected(t, srv, sagemaker.AutoscalingDeregister)
				calls, failed := 0, 0
				srv.OnMutation(func(int, string) sagemakertest.Fault {
					if calls++; calls%2 == 0 {
						return sagemakertest.Fault{}
					}
					failed++
					return fault
				})
				if err := e.RestoreAutoscaling(t.Context(), p); err != nil {
					t.Fatalf("Restore = %v", err)
				}
				asBefore(t, srv, before)
				if failed < 7 {
					t.Errorf("only %d calls failed", failed)
				}
			})
		})
	}
}

// Errors that do not pass by stop one target, and not the other.
func TestRestoreStopsAtARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := autoscaled()
		srv.Behave(func(b *sagemakertest.Behaviour) { b.Autoscale = 0 })
		before := srv.Guarded()
		e, p := protected(t, srv, sagemaker.AutoscalingDeregister)
		srv.Fail(sagemakertest.Call{Action: "application-autoscaling:PutScalingPolicy"}, sagemakertest.Refused("LimitExceededException", "50 policies"))
		err := e.RestoreAutoscaling(t.Context(), p)
		if !errors.Is(err, endpoint.ErrQuota) || !strings.Contains(err.Error(), "variant main: policy") {
			t.Errorf("Restore = %v", err)
		}
		is := inspect(t, e, p)
		if is.Restored || is.Suspended || len(is.Foreign) > 0 || !strings.HasPrefix(is.Differences[0], "variant main") {
			t.Errorf("%+v", is)
		}
		for _, d := range is.Differences {
			if !strings.Contains(d, "variant main") {
				t.Errorf("the other target was not restored: %s", d)
			}
		}
		if err := e.RestoreAutoscaling(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		asBefore(t, srv, before)
	})
}

func TestRestoreLeavesOthersAlone(t *testing.T) {
	max9 := target("main")
	max9.MaxCapacity = aws.Int32(9)
	awake := target("main")
	awake.SuspendedState = &scaling.SuspendedState{
		DynamicScalingInSuspended: aws.Bool(false), DynamicScalingOutSuspended: aws.Bool(true), ScheduledScalingSuspended: aws.Bool(false),
	}
	again := target("main")
	again.MinCapacity, again.MaxCapacity = aws.Int32(2), aws.Int32(3)
	policy := &aas.PutScalingPolicyInput{
		ServiceNamespace: max9.ServiceNamespace, ResourceId: max9.ResourceId, ScalableDimension: max9.ScalableDimension,
		PolicyName: aws.String("track"), PolicyType: scaling.PolicyTypeTargetTrackingScaling,
		TargetTrackingScalingPolicyConfiguration: &scaling.TargetTrackingScalingPolicyConfiguration{
			TargetValue: aws.Float64(10), PredefinedMetricSpecification: &scaling.PredefinedMetricSpecification{
				PredefinedMetricType: scaling.MetricTypeSageMakerVariantInvocationsPerInstance,
			},
		},
	}
	extra := *policy
	extra.PolicyName = aws.String("theirs")
	for _, tt := range []struct {
		name    string
		level   sagemaker.AutoscalingMode
		inputs  []any
		foreign []string // what has to be named, and to stay
		changed []string // of what Protective shows
	}{
		{"bounds, suspended", sagemaker.AutoscalingSuspend, []any{max9}, []string{"variant main: bounds"}, []string{"bounds"}},
		{"flags, suspended", sagemaker.AutoscalingSuspend, []any{awake}, []string{"variant main: suspended"}, []string{"suspended"}},
		{"policy, suspended", sagemaker.AutoscalingSuspend, []any{policy}, []string{"variant main: policy track"}, []string{"policy/track"}},
		{"policy gone, suspended", sagemaker.AutoscalingSuspend, []any{&aas.DeleteScalingPolicyInput{
			ServiceNamespace: max9.ServiceNamespace, ResourceId: max9.ResourceId, ScalableDimension: max9.ScalableDimension, PolicyName: aws.String("track"),
		}}, []string{"variant main: policy track is missing"}, []string{"policy/track"}},
		{"registered again", sagemaker.AutoscalingDeregister, []any{again, &extra}, []string{"variant main: bounds", "variant main: policy theirs was added", "variant main: suspended"}, []string{"bounds", "suspended", "policy/theirs"}},
		{"alarm gone", sagemaker.AutoscalingDeregister, []any{&cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"backlog-main"}}}, []string{"alarm backlog-main is gone"}, []string{"alarm/backlog-main"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := autoscaled()
				srv.Behave(func(b *sagemakertest.Behaviour) { b.Autoscale = 0 })
				before := srv.Guarded()
				e, p := protected(t, srv, tt.level)
				for _, in := range tt.inputs {
					if _, err := srv.Do(in); err != nil {
						t.Fatal(err)
					}
				}
				if err := e.RestoreAutoscaling(t.Context(), p); err != nil {
					t.Fatal(err)
				}
				is := inspect(t, e, p)
				if is.Restored || !cmp.Equal(is.Foreign, is.Differences) || len(is.Foreign) != len(tt.foreign) {
					t.Errorf("%+v", is)
				}
				for i, want := range tt.foreign {
					if i < len(is.Foreign) && !strings.Contains(is.Foreign[i], want) {
						t.Errorf("foreign %q, want %q", is.Foreign[i], want)
					}
				}
				after := srv.Guarded()
				for _, m := range []map[string]string{before, after} {
					maps.DeleteFunc(m, func(key, _ string) bool {
						for _, c := range tt.changed {
							if strings.HasSuffix(key, c) && (strings.Contains(key, "variant/main") || strings.HasPrefix(key, "alarm/")) {
								return true
							}
						}
						return false
					})
				}
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("what nobody else changed (-before +after):\n%s", diff)
				}
			})
		})
	}
}

// What somebody puts on a target after the snapshot would be lost with it.
func TestProtectRefusesDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := autoscaled()
		srv.Behave(func(b *sagemakertest.Behaviour) { b.Autoscale = 0 })
		e := open(t, srv, sagemaker.WithAutoscalingMode(sagemaker.AutoscalingDeregister))
		p, err := e.SnapshotAutoscaling(t.Context(), endpoint.Change{To: config("c2")})
		if err != nil {
			t.Fatal(err)
		}
		in := target("main")
		in.MaxCapacity = aws.Int32(8)
		if _, err := srv.Do(in); err != nil {
			t.Fatal(err)
		}
		if err := e.SuspendAutoscaling(t.Context(), p); !errors.Is(err, endpoint.ErrDrift) || !strings.Contains(err.Error(), "1 to 8") {
			t.Errorf("Protect = %v", err)
		}
		for _, m := range srv.Mutations() {
			t.Errorf("it sent %s", m.Action())
		}
	})
}

// Nor is it lost when it is put there while another target is deregistered.
func TestProtectLooksBeforeEachTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := autoscaled()
		srv.Behave(func(b *sagemakertest.Behaviour) { b.Autoscale = 0 })
		e := open(t, srv, sagemaker.WithAutoscalingMode(sagemaker.AutoscalingDeregister))
		p, err := e.SnapshotAutoscaling(t.Context(), endpoint.Change{To: config("c2")})
		if err != nil {
			t.Fatal(err)
		}
		srv.OnMutation(func(int, string) sagemakertest.Fault {
			return sagemakertest.Fault{Then: func() {
				in := target("side")
				in.MaxCapacity = aws.Int32(8)
				if _, err := srv.Do(in); err != nil {
					t.Error(err)
				}
			}}
		})
		if err := e.SuspendAutoscaling(t.Context(), p); !errors.Is(err, endpoint.ErrDrift) || !strings.Contains(err.Error(), "variant side") {
			t.Errorf("Protect = %v", err)
		}
		key := "target/" + *resource("side") + "/sagemaker:variant:DesiredInstanceCount/"
		if now := srv.Guarded(); now[key+"bounds"] != "1..8" || now[key+"policy/track"] == "" {
			t.Errorf("after it: %v", now)
		}
	})
}

func TestSnapshotIsCompleteOrAnError(t *testing.T) {
	for _, action := range []string{
		"sagemaker:ListInferenceComponents", "application-autoscaling:DescribeScalableTargets", "application-autoscaling:DescribeScalingPolicies",
		"application-autoscaling:DescribeScheduledActions", "application-autoscaling:ListTagsForResource", "cloudwatch:DescribeAlarms",
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := autoscaled()
			srv.Fail(sagemakertest.Call{Action: action}, sagemakertest.Refused("AccessDeniedException", "not authorized to perform: "+action))
			_, err := open(t, srv, sagemaker.WithAutoscalingMode(sagemaker.AutoscalingDeregister)).SnapshotAutoscaling(t.Context(), endpoint.Change{To: config("c2")})
			if !errors.Is(err, endpoint.ErrUnauthorized) || !strings.Contains(err.Error(), action) {
				t.Errorf("Snapshot without the right to %s = %v", action, err)
			}
		})
	}
}

func TestSaveAndLoadAutoscaling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := autoscaled()
		srv.Behave(func(b *sagemakertest.Behaviour) { b.Autoscale = 0 })
		// More than a page of policies, and more than a page of actions.
		for i := range 23 {
			_, err := srv.Do(&aas.PutScheduledActionInput{
				ServiceNamespace: scaling.ServiceNamespaceSagemaker, ResourceId: resource("side"),
				ScalableDimension:   scaling.ScalableDimensionSageMakerVariantDesiredInstanceCount,
				ScheduledActionName: aws.String(fmt.Sprint("action-", i)), Schedule: aws.String("rate(900 days)"),
				ScalableTargetAction: &scaling.ScalableTargetAction{MinCapacity: aws.Int32(1)},
			})
			if err != nil {
				t.Fatal(err)
			}
			_, err = srv.Do(&aas.PutScalingPolicyInput{
				ServiceNamespace: scaling.ServiceNamespaceSagemaker, ResourceId: resource("side"),
				ScalableDimension: scaling.ScalableDimensionSageMakerVariantDesiredInstanceCount,
				PolicyName:        aws.String(fmt.Sprint("step-", i)), PolicyType: scaling.PolicyTypeStepScaling,
				StepScalingPolicyConfiguration: &scaling.StepScalingPolicyConfiguration{
					AdjustmentType:  scaling.AdjustmentTypePercentChangeInCapacity,
					StepAdjustments: []scaling.StepAdjustment{{MetricIntervalLowerBound: aws.Float64(0), ScalingAdjustment: aws.Int32(int32(i))}},
				},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		before := srv.Guarded()
		doc, err := sagemaker.SaveAutoscaling(t.Context(), open(t, srv))
		if err != nil || !json.Valid(doc) {
			t.Fatalf("SaveAutoscaling = %s, %v", doc, err)
		}
		if n := len(srv.Mutations()); n > 0 {
			t.Errorf("saving wrote %d times", n)
		}
		for _, v := range []string{"main", "side"} {
			in := target(v)
			if _, err := srv.Do(&aas.DeregisterScalableTargetInput{
				ServiceNamespace: in.ServiceNamespace, ResourceId: in.ResourceId, ScalableDimension: in.ScalableDimension,
			}); err != nil {
				t.Fatal(err)
			}
		}
		differences, err := sagemaker.LoadAutoscaling(t.Context(), open(t, srv), doc)
		if err != nil || differences != nil {
			t.Errorf("LoadAutoscaling = %v, %v", differences, err)
		}
		asBefore(t, srv, before)

		other, err := sagemaker.New("other", nopSM{}, nopAAS{}, nopCW{})
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range [][]byte{nil, []byte("{}"), []byte(`{"Version":9}`), doc[:len(doc)-1], doc} {
			if _, err := sagemaker.LoadAutoscaling(t.Context(), other, bad); !errors.Is(err, endpoint.ErrInvalid) {
				t.Errorf("LoadAutoscaling of %.40s = %v", bad, err)
			}
		}
	})
}

type (
	nopSM  struct{ sagemaker.SageMaker }
	nopAAS struct{ sagemaker.AutoScaling }
	nopCW  struct{ sagemaker.CloudWatch }
)

func TestMissedActions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := autoscaled()
		e := open(t, srv)
		p, err := e.SnapshotAutoscaling(t.Context(), endpoint.Change{To: config("c2")})
		if err != nil {
			t.Fatal(err)
		}
		from := time.Date(2000, 6, 30, 0, 0, 0, 0, time.UTC)
		got, err := e.MissedActions(p, from, from.Add(48*time.Hour))
		// On main, scheduled scaling is suspended anyway.
		if err != nil || len(got) != 1 || got[0].String() != "variant side: scheduled action summer was due at 2000-07-01T01:00:00Z, min 2" {
			t.Errorf("MissedActions = %v, %v", got, err)
		}
		if got, err := e.MissedActions(p, from, from.Add(time.Hour)); err != nil || got != nil {
			t.Errorf("MissedActions = %v, %v", got, err)
		}
	})
}

// Somebody else's policy survives a rollout, and the report says so.
func TestForeignPolicyIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := autoscaled()
		in := target("main")
		in.MaxCapacity = aws.Int32(9)
		srv.At(time.Now().Add(3*time.Minute), in)
		r, err := rollout.Run(t.Context(), journal.NewMemory(), open(t, srv), strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"))
		if err != nil || len(r.Drift) != 1 || r.Drift[0].Thing != "autoscaling" || !strings.Contains(r.Drift[0].Found, "1 to 9") {
			t.Errorf("Run = %+v, %v", r, err)
		}
		if got := srv.Guarded()["target/endpoint/sdxl/variant/main/sagemaker:variant:DesiredInstanceCount/suspended"]; got != "in=false out=false scheduled=true" {
			t.Errorf("the flags are %s", got)
		}
	})
}

func TestCancelledWhileRestoring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := autoscaled()
		e, p := protected(t, srv, sagemaker.AutoscalingDeregister)
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		srv.Fail(sagemakertest.Call{Mutation: true, Times: -1}, sagemakertest.Fault{Code: "ConcurrentUpdateException", Then: func() { cancel(why) }})
		if err := e.RestoreAutoscaling(ctx, p); !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
			t.Errorf("Restore = %v", err)
		}
		if n := len(srv.Mutations()); n != 3 {
			t.Errorf("%d writes", n)
		}
	})
}
