package sagemaker_test

import (
	"context"
	"errors"
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
	"github.com/changeover-dev/changeover/strategy"
)

// TestWayBackOfARetainedRolling: a second fleet does not fit into the quota on
// the way back either, whoever wrote the rolling policy down.
func TestWayBackOfARetainedRolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := single(6)
		srv.SetQuota("ml.g5.xlarge", 9)
		if _, err := srv.Do(&sm.UpdateEndpointInput{
			EndpointName: aws.String(name), EndpointConfigName: aws.String("c2"), DeploymentConfig: rolling(instances(3), percent(50), 600, "errors"),
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		before := srv.Guarded()
		r, err := rollout.Run(t.Context(), journal.NewMemory(), open(t, srv), strategy.InPlace{}, rollout.ToRevision("c1"),
			rollout.WithChangeOptions(options(t, sagemaker.UpdateOptions{RetainDeploymentConfig: true})), gate(closed))
		if !errors.Is(err, rollout.ErrRolledBack) {
			t.Fatalf("Run = %+v, %v", r, err)
		}
		asBefore(t, srv, before)
		if got := srv.Endpoint(name).Config; got != "c2" {
			t.Errorf("serves %s", got)
		}
	})
}

// TestWayBackOfAnotherCount: autoscaling goes on between the update and the way
// back, and what were a third of the instances may be more than AWS allows then.
func TestWayBackOfAnotherCount(t *testing.T) {
	for _, now := range []int32{1, 4, 80} {
		synctest.Test(t, func(t *testing.T) {
			srv := single(6)
			scale := func(ctx context.Context, _ endpoint.Status) error {
				if srv.Endpoint(name).Variants["main"].Desired != now {
					resize(srv, types.DesiredWeightAndCapacity{VariantName: aws.String("main"), DesiredInstanceCount: &now})
				}
				return closed(ctx, endpoint.Status{})
			}
			r, err := rollout.Run(t.Context(), journal.NewMemory(), open(t, srv), strategy.InPlace{}, rollout.ToRevision("c2"),
				rollout.WithChangeOptions(options(t, sagemaker.UpdateOptions{DeploymentConfig: rolling(instances(3), instances(6), 600)})), gate(scale))
			if !errors.Is(err, rollout.ErrRolledBack) {
				t.Errorf("Run with %d instances = %+v, %v", now, r, err)
			}
		})
	}
}
