package sagemakertest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	metrics "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

func TestAutoscaler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := seeded()
		srv.Seed(register(2, 6), trackingPolicy("track"))
		srv.Behave(func(b *sagemakertest.Behaviour) { b.Autoscale = 10 * time.Minute })
		desired := func() int32 { return srv.Endpoint("sdxl").Variants["A"].Desired }
		var counts []int32
		for range 5 {
			time.Sleep(10 * time.Minute)
			counts = append(counts, desired())
			if srv.Endpoint("sdxl").Status != types.EndpointStatusUpdating {
				t.Error("a move does not show")
			}
		}
		if diff := cmp.Diff([]int32{5, 6, 2, 3, 4}, counts); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		time.Sleep(3 * time.Minute)

		// Nothing moves while the endpoint is being updated, or if it is suspended.
		c := newClients(srv)
		if _, err := c.sm.UpdateEndpoint(t.Context(), update("c2", canary(percent(25), 1800, 0))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Minute)
		if e := srv.Endpoint("sdxl"); e.Pending != "c2" || e.Variants["A"].Desired != 4 {
			t.Errorf("endpoint %+v", e)
		}
		if _, err := c.as.RegisterScalableTarget(t.Context(), suspend(true, true, true)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		if e := srv.Endpoint("sdxl"); e.Config != "c2" || e.Variants["A"].Desired != 4 {
			t.Errorf("endpoint %+v", e)
		}
		if _, err := c.as.RegisterScalableTarget(t.Context(), suspend(true, false, true)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		if n := desired(); n != 6 {
			t.Errorf("with scale-in suspended, %d", n)
		}
	})
}

func TestScheduledActions(t *testing.T) {
	// The bubble's clock begins on a Saturday, 2000-01-01 00:00 UTC.
	for _, tt := range []struct {
		expression, zone string
		want             []time.Duration // of the first firings
	}{
		{"at(2000-01-01T12:00:00)", "", []time.Duration{12 * time.Hour}},
		{"at(2000-01-01T12:00:00)", "Europe/Paris", []time.Duration{11 * time.Hour}},
		{"rate(5 minutes)", "", []time.Duration{5 * time.Minute, 10 * time.Minute}},
		{"rate(1 day)", "", []time.Duration{24 * time.Hour, 48 * time.Hour}},
		{"cron(30 6 * * ? *)", "", []time.Duration{6*time.Hour + 30*time.Minute, 30*time.Hour + 30*time.Minute}},
		{"cron(0 18 ? * MON-FRI *)", "", []time.Duration{(2*24 + 18) * time.Hour, (3*24 + 18) * time.Hour}},
		{"cron(0/20 8-9 2 * ? *)", "", []time.Duration{32 * time.Hour, 32*time.Hour + 20*time.Minute}},
		{"cron(0 0 L * ? *)", "", []time.Duration{30 * 24 * time.Hour}},
		{"cron(0 0 ? * 3#2 *)", "", []time.Duration{10 * 24 * time.Hour}},
		{"cron(0 0 ? * 6L *)", "", []time.Duration{27 * 24 * time.Hour}},
		{"cron(0 0 15W JAN ? 2000)", "", []time.Duration{13 * 24 * time.Hour}},
	} {
		t.Run(tt.expression+tt.zone, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := seeded()
				start := time.Now()
				in := schedule("s", tt.expression, 5, 6)
				if tt.zone != "" {
					in.Timezone = &tt.zone
				}
				srv.Seed(register(1, 8), in)
				for _, want := range tt.want {
					time.Sleep(time.Until(start.Add(want)) - time.Nanosecond)
					if b := srv.Guarded()["target/"+resource+"/sagemaker:variant:DesiredInstanceCount/bounds"]; b != "1..8" {
						t.Fatalf("before %v: %s", want, b)
					}
					time.Sleep(time.Nanosecond)
					if b := srv.Guarded()["target/"+resource+"/sagemaker:variant:DesiredInstanceCount/bounds"]; b != "5..6" {
						t.Fatalf("at %v: %s", want, b)
					}
					if n := srv.Endpoint("sdxl").Variants["A"].Desired; n != 5 {
						t.Errorf("not clamped: %d", n)
					}
					time.Sleep(time.Second)
					srv.Seed(register(1, 8))
				}
			})
		})
	}
}

func TestSuspendedScheduleIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := seeded()
		srv.Seed(register(1, 8), schedule("s", "at(2000-01-01T01:00:00)", 5, 6), suspend(false, false, true))
		time.Sleep(2 * time.Hour)
		srv.Seed(suspend(false, false, false))
		time.Sleep(24 * time.Hour)
		if v := srv.Endpoint("sdxl").Variants["A"]; v.Desired != 4 {
			t.Errorf("variant %+v", v)
		}
	})
}

func TestRefusedSchedules(t *testing.T) {
	srv := seeded()
	srv.Seed(register(1, 8))
	c := newClients(srv)
	late := schedule("s", "rate(1 day)", 1, 2)
	late.EndTime = aws.Time(time.Now().Add(-time.Hour))
	early := schedule("s", "rate(1 day)", 1, 2)
	early.StartTime = aws.Time(time.Now().Add(-time.Hour))
	none := schedule("s", "rate(1 day)", 1, 2)
	none.ScalableTargetAction = nil
	nowhere := schedule("s", "rate(1 day)", 1, 2)
	nowhere.Timezone = aws.String("Mars/Olympus")
	for _, in := range append([]string{
		"at(1999-01-01T00:00:00)", "at(yesterday)", "rate(0 days)", "rate(2 day)", "rate(1 week)", "cron(0 0 * * *)", "cron(0 0 * * * *)",
		"cron(0 0 ? * ? *)", "cron(60 0 * * ? *)", "every day",
	}, "") {
		if _, err := c.as.PutScheduledAction(t.Context(), schedule("s", in, 1, 2)); code(err) != "ValidationException" {
			t.Errorf("%s: %v", in, err)
		}
	}
	bad := schedule("wrong way round", "rate(1 day)", 2, 1)
	for _, in := range append(append([]any{}, late, early, none, nowhere), bad) {
		if _, err := srv.Do(in); err == nil {
			t.Errorf("%+v was accepted", in)
		}
	}
	if _, err := c.as.PutScheduledAction(t.Context(), schedule("a/b", "rate(1 day)", 1, 2)); code(err) != "ValidationException" {
		t.Errorf("name: %v", err)
	}
	srv.Behave(func(b *sagemakertest.Behaviour) { b.Lenient = true })
	for _, in := range []any{late, early} {
		if _, err := srv.Do(in); err != nil {
			t.Errorf("leniently: %v", err)
		}
	}
}

// A step policy acts when the alarm that it is an action of goes off: what a
// restore that forgot the alarm breaks.
func TestStepPolicyActsOnItsAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := seeded()
		srv.Seed(register(1, 8), stepPolicy("backlog", 2))
		arn := *policies(t, newClients(srv))[0].PolicyARN
		srv.Seed(userAlarm("backlog", arn))
		off, on := setAlarm("backlog", metrics.StateValueOk), setAlarm("backlog", metrics.StateValueAlarm)
		desired := func() int32 { ended(srv); return srv.Endpoint("sdxl").Variants["A"].Desired }
		srv.Seed(on)
		if n := desired(); n != 6 {
			t.Errorf("%d", n)
		}
		srv.Seed(on) // it was on already
		if n := desired(); n != 6 {
			t.Errorf("%d", n)
		}
		srv.Seed(off, on, off, on) // 8 is the most
		if n := desired(); n != 8 {
			t.Errorf("%d", n)
		}
		srv.Seed(capacity(4), suspend(false, true, false), off, on)
		if n := desired(); n != 4 {
			t.Errorf("suspended: %d", n)
		}
	})
}
