package sagemaker_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

// What AWS denies keeps nothing away but what depends on it, and everything that
// is not as it was is named, with the call that puts it back.
func TestDeniedRestore(t *testing.T) {
	parts := map[string]string{ // of the target of main, by the call that makes them
		"policy track": "PutScalingPolicy", "policy step": "PutScalingPolicy",
		"scheduled action summer": "PutScheduledAction", "scheduled action launch": "PutScheduledAction",
		"alarm backlog-main does not reach step": "PutMetricAlarm",
	}
	for denied, away := range map[string][]string{
		"application-autoscaling:RegisterScalableTarget": {"policy track", "policy step", "scheduled action summer", "scheduled action launch", "alarm backlog-main does not reach step"},
		"application-autoscaling:PutScalingPolicy":       {"policy track", "policy step", "alarm backlog-main does not reach step"},
		"application-autoscaling:PutScheduledAction":     {"scheduled action summer", "scheduled action launch"},
		"cloudwatch:PutMetricAlarm":                      {"alarm backlog-main does not reach step"},
	} {
		t.Run(denied, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := account()
				scaled(srv, "main", 6)
				before := srv.Guarded()
				e := open(t, srv, sagemaker.WithAutoscalingMode(sagemaker.AutoscalingDeregister))
				p, err := e.SnapshotAutoscaling(t.Context(), endpoint.Change{To: config("c2")})
				if err != nil {
					t.Fatal(err)
				}
				if err := e.SuspendAutoscaling(t.Context(), p); err != nil {
					t.Fatal(err)
				}
				srv.Fail(sagemakertest.Call{Action: denied, Times: -1}, sagemakertest.Refused("AccessDeniedException", "not authorized to perform: "+denied))
				for range 2 { // again, as a resume does
					if err := e.RestoreAutoscaling(t.Context(), p); !errors.Is(err, endpoint.ErrUnauthorized) {
						t.Errorf("Restore = %v", err)
					}
					is, err := e.InspectAutoscaling(t.Context(), p)
					if err != nil || is.Restored || len(is.Foreign) > 0 {
						t.Fatalf("%+v, %v", is, err)
					}
					all := strings.Join(is.Differences, "\n")
					for part, call := range parts {
						want := false
						for _, a := range away {
							want = want || a == part
						}
						if got := strings.Contains(all, "variant main: "+part); got != want || want && !strings.Contains(all, call) {
							t.Errorf("%q is named: %t, want %t with %s, in\n%s", part, got, want, call, all)
						}
					}
				}
				// Half a set of policies does not act.
				for _, out := range is(t, srv).ScalableTargets {
					if !*out.SuspendedState.DynamicScalingInSuspended || !*out.SuspendedState.DynamicScalingOutSuspended {
						t.Errorf("%s acts", *out.ResourceId)
					}
				}
				srv.Clear()
				if err := e.RestoreAutoscaling(t.Context(), p); err != nil {
					t.Errorf("when it is allowed: %v", err)
				}
				asBefore(t, srv, before)
			})
		})
	}
}

func is(t *testing.T, srv *sagemakertest.Server) *aas.DescribeScalableTargetsOutput {
	t.Helper()
	out, err := srv.Do(&aas.DescribeScalableTargetsInput{ServiceNamespace: scaling.ServiceNamespaceSagemaker})
	if err != nil {
		t.Fatal(err)
	}
	return out.(*aas.DescribeScalableTargetsOutput)
}

// Which actions were missed is exact to the second, at every boundary: what this
// package says is held against what the fake, which reads schedules by itself,
// lets happen.
func TestMissedIsExact(t *testing.T) {
	offsets := []time.Duration{-time.Hour, -time.Second, 0, time.Second, time.Hour}
	for expression, due := range map[string]time.Time{
		"at(2000-01-03T09:30:00)":      time.Date(2000, 1, 3, 9, 30, 0, 0, time.UTC),
		"at(2000-01-03T09:30:15)":      time.Date(2000, 1, 3, 9, 30, 15, 0, time.UTC),
		"cron(30 9 ? * MON *)":         time.Date(2000, 1, 3, 9, 30, 0, 0, time.UTC),
		"cron(30 9 ? * 2 *)":           time.Date(2000, 1, 3, 9, 30, 0, 0, time.UTC), // 1 is Sunday
		"cron(30 9 ? * 2#1 2000)":      time.Date(2000, 1, 3, 9, 30, 0, 0, time.UTC),
		"cron(30 9 L * ? *)":           time.Date(2000, 1, 31, 9, 30, 0, 0, time.UTC),
		"cron(30 9 ? * 6L *)":          time.Date(2000, 1, 28, 9, 30, 0, 0, time.UTC),
		"cron(30 9 1W 1 ? *)":          time.Date(2000, 1, 3, 9, 30, 0, 0, time.UTC), // the 1st was a Saturday
		"cron(30 9/12 3-4 JAN ? *)":    time.Date(2000, 1, 3, 9, 30, 0, 0, time.UTC),
		"cron(0/15 9 3 1 ? 2000-2001)": time.Date(2000, 1, 3, 9, 0, 0, 0, time.UTC),
	} {
		for _, from := range offsets {
			for _, to := range offsets {
				if to < from {
					continue
				}
				synctest.Test(t, func(t *testing.T) {
					srv := account()
					scaled(srv, "side", 4)
					in := *target("side")
					srv.Seed(&aas.PutScheduledActionInput{
						ServiceNamespace: in.ServiceNamespace, ResourceId: in.ResourceId, ScalableDimension: in.ScalableDimension, ScheduledActionName: ptr("probe"),
						Schedule: &expression, ScalableTargetAction: &scaling.ScalableTargetAction{MaxCapacity: ptr[int32](9)},
					})
					e := open(t, srv, sagemaker.WithAutoscalingMode(sagemaker.AutoscalingSuspend))
					p, err := e.SnapshotAutoscaling(t.Context(), endpoint.Change{To: config("c2")})
					if err != nil {
						t.Fatal(err)
					}
					suspend := func(at time.Time, on bool) {
						time.Sleep(time.Until(at))
						in := in
						in.SuspendedState = &scaling.SuspendedState{ScheduledScalingSuspended: &on}
						if _, err := srv.Do(&in); err != nil {
							t.Fatal(err)
						}
					}
					suspend(due.Add(from), true)
					suspend(due.Add(to), false)
					time.Sleep(time.Until(due.Add(2 * time.Minute)))
					fired := *is(t, srv).ScalableTargets[0].MaxCapacity == 9
					all, err := e.MissedActions(p, due.Add(from), due.Add(to))
					if err != nil {
						t.Fatal(err)
					}
					missed := false
					for _, m := range all {
						missed = missed || m.Action == "probe" && m.First.Equal(due)
					}
					if missed == fired {
						t.Errorf("%s, suspended from %v to %v: fired %t, missed %t", expression, from, to, fired, missed)
					}
				})
			}
		}
	}
}
