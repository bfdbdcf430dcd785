package sagemakertest_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	metrics "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

func TestDeployments(t *testing.T) {
	const (
		creating   = types.VariantStatusCreating
		activating = types.VariantStatusActivatingTraffic
		baking     = types.VariantStatusBaking
		deleting   = types.VariantStatusDeleting
		launch     = 5 * time.Minute
		shift      = 10 * time.Second
		gone       = time.Minute
	)
	up := stageSpan{creating, launch, "Launching 4 instance(s)."}
	full := stageSpan{activating, shift, "Activating traffic on full capacity of 4 instance(s)."}
	down := stageSpan{deleting, gone, "Terminating 4 instance(s)."}
	tests := []struct {
		name string
		d    *types.DeploymentConfig
		want []stageSpan
	}{
		{"none", nil, []stageSpan{up, full, down}},
		{"all at once", allAtOnce(120), []stageSpan{
			up, full,
			{baking, 2 * time.Minute, "Baking for 120 seconds (TerminationWaitInSeconds) with traffic enabled on full capacity of 4 instance(s)."},
			down,
		}},
		{"canary", canary(percent(25), 300, 60), []stageSpan{
			up,
			{activating, shift, "Activating traffic on canary capacity of 1 instance(s)."},
			{baking, 5 * time.Minute, "Baking for 300 seconds (WaitIntervalInSeconds) with traffic enabled on canary capacity of 1 instance(s)."},
			full,
			{baking, time.Minute, "Baking for 60 seconds (TerminationWaitInSeconds) with traffic enabled on full capacity of 4 instance(s)."},
			down,
		}},
		{"linear", linear(instances(2), 90, 0), []stageSpan{
			up,
			{activating, shift, "Activating traffic on linear capacity of 2 instance(s)."},
			{baking, 90 * time.Second, "Baking for 90 seconds (WaitIntervalInSeconds) with traffic enabled on linear capacity of 2 instance(s)."},
			{activating, shift, "Activating traffic on linear capacity of 4 instance(s)."},
			{baking, 90 * time.Second, "Baking for 90 seconds (WaitIntervalInSeconds) with traffic enabled on linear capacity of 4 instance(s)."},
			down,
		}},
		{"rolling", rolling(percent(50), 30), []stageSpan{
			{creating, launch, "Launching 2 instance(s)."},
			{activating, shift, "Activating traffic on batch capacity of 2 instance(s)."},
			{baking, 30 * time.Second, "Baking for 30 seconds (WaitIntervalInSeconds) with traffic enabled on batch capacity of 2 instance(s)."},
			{deleting, gone, "Terminating 2 instance(s)."},
			{creating, launch, "Launching 2 instance(s)."},
			{activating, shift, "Activating traffic on batch capacity of 2 instance(s)."},
			{baking, 30 * time.Second, "Baking for 30 seconds (WaitIntervalInSeconds) with traffic enabled on batch capacity of 2 instance(s)."},
			{deleting, gone, "Terminating 2 instance(s)."},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := seeded()
				c := newClients(srv)
				if _, err := c.sm.UpdateEndpoint(t.Context(), update("c2", tt.d)); err != nil {
					t.Fatal(err)
				}
				if d := describe(t, c); *d.EndpointConfigName != "c1" || d.EndpointStatus != types.EndpointStatusUpdating {
					t.Errorf("while updating: config %s, status %s", *d.EndpointConfigName, d.EndpointStatus)
				}
				if diff := cmp.Diff(tt.want, watch(t, c)); diff != "" {
					t.Errorf("stages (-want +got):\n%s", diff)
				}
				d := describe(t, c)
				if *d.EndpointConfigName != "c2" || d.EndpointStatus != types.EndpointStatusInService || d.FailureReason != nil {
					t.Errorf("in the end: config %s, status %s, reason %v", *d.EndpointConfigName, d.EndpointStatus, d.FailureReason)
				}
				if v := d.ProductionVariants[0]; *v.CurrentInstanceCount != 4 || *v.CurrentWeight != 1 || *v.DeployedImages[0].SpecifiedImage != *createModel("m2").PrimaryContainer.Image {
					t.Errorf("variant %+v", v)
				}
				if diff := cmp.Diff(tt.d, d.LastDeploymentConfig, sdkTypes); diff != "" {
					t.Errorf("LastDeploymentConfig (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// ended lets time pass until nothing is in progress, and returns how long that was.
func ended(srv *sagemakertest.Server) time.Duration {
	start := time.Now()
	for time.Since(start) < 24*time.Hour && srv.Endpoint("sdxl").Stage != "" {
		time.Sleep(time.Second)
	}
	return time.Since(start)
}

func TestOutcomes(t *testing.T) {
	two := &types.RollingUpdatePolicy{MaximumBatchSize: instances(1), RollbackMaximumBatchSize: instances(2), WaitIntervalInSeconds: aws.Int32(60)}
	tests := []struct {
		name    string
		d       *types.DeploymentConfig
		of      string // what the outcome is of
		outcome sagemakertest.Outcome
		reason  string
		took    time.Duration
		want    sagemakertest.Endpoint
	}{
		{
			name: "launch failure", d: canary(percent(25), 300, 60), of: "m2", outcome: sagemakertest.RollsBack,
			reason: "The primary container did not pass the ping health check.", took: 6 * time.Minute,
			want: sagemakertest.Endpoint{Config: "c1", Status: types.EndpointStatusInService, Reason: "The primary container did not pass the ping health check."},
		},
		{
			name: "silent launch failure", of: "c2", outcome: sagemakertest.RollsBack, took: 6 * time.Minute,
			want: sagemakertest.Endpoint{Config: "c1", Status: types.EndpointStatusInService},
		},
		{
			name: "terminal", of: "c2", outcome: sagemakertest.Fails, reason: "Unable to provision.", took: 5 * time.Minute,
			want: sagemakertest.Endpoint{Config: "c1", Status: types.EndpointStatusFailed, Reason: "Unable to provision."},
		},
		{
			name: "rollback failure", d: guarded(nil, two, nil), of: "c2", outcome: sagemakertest.RollbackFails, reason: "No capacity.",
			// One batch, the launch of the second, and the launch of the way back.
			took: (5*60 + 10 + 60 + 60 + 5*60 + 5*60) * time.Second,
			want: sagemakertest.Endpoint{Config: "c1", Status: types.EndpointStatusUpdateRollbackFailed, Reason: "No capacity.", Mixed: "c2"},
		},
		{
			name: "rollback failure of what does not roll", d: allAtOnce(0), of: "c2", outcome: sagemakertest.RollbackFails, reason: "No capacity.", took: 5 * time.Minute,
			want: sagemakertest.Endpoint{Config: "c1", Status: types.EndpointStatusFailed, Reason: "No capacity."},
		},
		{
			name: "stuck for good", of: "c2", outcome: sagemakertest.Stalls, took: 24 * time.Hour,
			want: sagemakertest.Endpoint{Config: "c1", Status: types.EndpointStatusUpdating, Pending: "c2", Stage: types.VariantStatusCreating},
		},
		{
			name: "stuck until the timeout", of: "c2", outcome: sagemakertest.Stalls, took: 31 * time.Minute,
			d: guarded(&types.BlueGreenUpdatePolicy{
				TrafficRoutingConfiguration:      &types.TrafficRoutingConfig{Type: types.TrafficRoutingConfigTypeAllAtOnce, WaitIntervalInSeconds: aws.Int32(0)},
				MaximumExecutionTimeoutInSeconds: aws.Int32(1800),
			}, nil, nil),
			want: sagemakertest.Endpoint{
				Config: "c1", Status: types.EndpointStatusInService,
				Reason: "The deployment did not complete within MaximumExecutionTimeoutInSeconds.",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := seeded()
				c := newClients(srv)
				srv.SetOutcome(tt.of, tt.outcome, tt.reason)
				if _, err := c.sm.UpdateEndpoint(t.Context(), update("c2", tt.d)); err != nil {
					t.Fatal(err)
				}
				if took := ended(srv); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				got := srv.Endpoint("sdxl")
				if tt.want.Mixed == "" && tt.want.Pending == "" && got.Variants["A"].Current != 4 {
					t.Errorf("%d instances", got.Variants["A"].Current)
				}
				got.Variants, got.Modified = nil, time.Time{}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("endpoint (-want +got):\n%s", diff)
				}
				if d := describe(t, c); aws.ToString(d.FailureReason) != tt.want.Reason {
					t.Errorf("FailureReason %q", aws.ToString(d.FailureReason))
				}
			})
		})
	}
}

func TestFailedEndpointsAndMixedOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := seeded()
		c := newClients(srv)
		srv.SetOutcome("m2", sagemakertest.RollbackFails, "No capacity.")
		if _, err := c.sm.UpdateEndpoint(t.Context(), update("c2", rolling(percent(50), 0))); err != nil {
			t.Fatal(err)
		}
		ended(srv)
		if d := describe(t, c); len(d.ProductionVariants[0].DeployedImages) != 2 {
			t.Errorf("a mix of %d images", len(d.ProductionVariants[0].DeployedImages))
		}
		// Another update is the remedy.
		if _, err := c.sm.UpdateEndpoint(t.Context(), update("c1", nil)); err != nil {
			t.Fatal(err)
		}
		ended(srv)
		if e := srv.Endpoint("sdxl"); e.Status != types.EndpointStatusInService || e.Config != "c1" || e.Mixed != "" || e.Reason != "" {
			t.Errorf("mended: %+v", e)
		}

		srv.SetOutcome("m2", sagemakertest.Fails, "")
		if _, err := c.sm.UpdateEndpoint(t.Context(), update("c2", nil)); err != nil {
			t.Fatal(err)
		}
		ended(srv)
		if _, err := c.sm.UpdateEndpoint(t.Context(), update("c1", nil)); code(err) != "ValidationException" || !strings.Contains(message(err), "Failed") {
			t.Errorf("update of a failed endpoint: %v", err)
		}
		if _, err := c.sm.DeleteEndpoint(t.Context(), &sagemaker.DeleteEndpointInput{EndpointName: aws.String("sdxl")}); err != nil {
			t.Error(err)
		}
		if _, err := c.sm.DescribeEndpoint(t.Context(), &sagemaker.DescribeEndpointInput{EndpointName: aws.String("sdxl")}); !strings.HasPrefix(message(err), `Could not find endpoint "arn:`) {
			t.Errorf("gone: %v", err)
		}
	})
}

func TestAlarmRollback(t *testing.T) {
	for _, tt := range []struct {
		name   string
		d      *types.DeploymentConfig
		at     time.Duration // when the alarm goes off
		ends   time.Duration
		config string
	}{
		{"before the update", canary(percent(25), 300, 60, "errors"), -time.Second, time.Minute, "c1"},
		{"during the launch", canary(percent(25), 300, 60, "errors"), time.Minute, 2 * time.Minute, "c1"},
		{"during the canary", canary(percent(25), 300, 60, "errors"), 6 * time.Minute, 6*time.Minute + 10*time.Second + time.Minute, "c1"},
		{"after the last bake", canary(percent(25), 300, 60, "errors"), 11*time.Minute + 30*time.Second, 12*time.Minute + 20*time.Second, "c2"},
		// Half is there and half is gone: five minutes to launch it again, shift, terminate.
		{"during the second batch", rolling(percent(50), 60, "errors"), 8 * time.Minute, 14*time.Minute + 10*time.Second, "c1"},
		{"of another deployment", canary(percent(25), 300, 60, "other"), time.Minute, 12*time.Minute + 20*time.Second, "c2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := seeded()
				srv.Seed(userAlarm("errors"), userAlarm("other"))
				start := time.Now().Add(time.Minute)
				srv.At(start.Add(tt.at), setAlarm("errors", metrics.StateValueAlarm))
				time.Sleep(time.Minute)
				c := newClients(srv)
				if _, err := c.sm.UpdateEndpoint(t.Context(), update("c2", tt.d)); err != nil {
					t.Fatal(err)
				}
				ended(srv)
				if took := time.Since(start); took != tt.ends {
					t.Errorf("took %v, want %v", took, tt.ends)
				}
				e := srv.Endpoint("sdxl")
				if e.Config != tt.config || e.Status != types.EndpointStatusInService || (tt.config == "c1") != strings.Contains(e.Reason, "errors") {
					t.Errorf("endpoint %+v", e)
				}
				if v := e.Variants["A"]; v.Current != 4 || v.Traffic != 1 {
					t.Errorf("variant %+v", v)
				}
			})
		})
	}
}

// What a rolling deployment has of both fleets, and where the traffic is.
func TestFleetsWhileRolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := seeded()
		c := newClients(srv)
		if _, err := c.sm.UpdateEndpoint(t.Context(), update("c2", rolling(instances(1), 600))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Minute) // the first batch bakes
		d := describe(t, c)
		old, fresh := d.ProductionVariants[0], d.PendingDeploymentSummary.ProductionVariants[0]
		if *old.CurrentInstanceCount != 4 || *fresh.CurrentInstanceCount != 1 || *old.CurrentWeight != 0.75 || *fresh.CurrentWeight != 0.25 || *fresh.DesiredInstanceCount != 4 {
			t.Errorf("baking: %d at %v, %d at %v", *old.CurrentInstanceCount, *old.CurrentWeight, *fresh.CurrentInstanceCount, *fresh.CurrentWeight)
		}
		time.Sleep(11 * time.Minute) // the second one is launched
		d = describe(t, c)
		old, fresh = d.ProductionVariants[0], d.PendingDeploymentSummary.ProductionVariants[0]
		if *old.CurrentInstanceCount != 3 || *fresh.CurrentInstanceCount != 1 {
			t.Errorf("after the first batch: %d and %d", *old.CurrentInstanceCount, *fresh.CurrentInstanceCount)
		}
	})
}
