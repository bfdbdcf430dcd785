package sagemaker

import (
	"strings"
	"testing"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
)

// A status that the SDK adds has to be decided on.
func TestPhases(t *testing.T) {
	want := map[types.EndpointStatus]endpoint.Phase{
		types.EndpointStatusInService:            endpoint.PhaseReady,
		types.EndpointStatusCreating:             endpoint.PhaseUpdating,
		types.EndpointStatusUpdating:             endpoint.PhaseUpdating,
		types.EndpointStatusSystemUpdating:       endpoint.PhaseUpdating,
		types.EndpointStatusRollingBack:          endpoint.PhaseUpdating,
		types.EndpointStatusFailed:               endpoint.PhaseFailed,
		types.EndpointStatusUpdateRollbackFailed: endpoint.PhaseFailed,
		types.EndpointStatusOutOfService:         endpoint.PhaseFailed,
		types.EndpointStatusDeleting:             endpoint.PhaseFailed,
	}
	for _, s := range types.EndpointStatus("").Values() {
		p, ok := want[s]
		if !ok || phaseOf(s) != p {
			t.Errorf("%s is %s, want %s", s, phaseOf(s), p)
		}
		reason := reasonOf(&sm.DescribeEndpointOutput{EndpointStatus: s, FailureReason: ptr("no capacity")})
		if !strings.Contains(reason, "no capacity") || (p == endpoint.PhaseFailed) != strings.Contains(reason, "the endpoint is") {
			t.Errorf("%s has the reason %q", s, reason)
		}
	}
	if p := phaseOf("Dreaming"); p != endpoint.PhaseUnknown {
		t.Errorf("a status that is not known is %s", p)
	}
	long := reasonOf(&sm.DescribeEndpointOutput{EndpointStatus: types.EndpointStatusFailed, FailureReason: ptr(strings.Repeat("ü", 4000))})
	if len(long) > 1024 || !strings.HasPrefix(long, "the endpoint is Failed: it can only be deleted") {
		t.Errorf("%d bytes: %s", len(long), long)
	}
}

func TestStage(t *testing.T) {
	now := time.Date(2026, 11, 22, 18, 0, 0, 0, time.UTC)
	baking := types.ProductionVariantStatus{Status: types.VariantStatusBaking, StartTime: &now, StatusMessage: ptr("Baking for 300 seconds (TerminationWaitInSeconds) with traffic enabled on full capacity of 2 instance(s).")}
	terse := types.ProductionVariantStatus{Status: types.VariantStatusBaking, StartTime: &now}
	early := types.ProductionVariantStatus{Status: types.VariantStatusCreating, StartTime: ptr(now.Add(-time.Hour)), StatusMessage: ptr("Launching 2 instance(s).")}
	used := &types.DeploymentConfig{RollingUpdatePolicy: &types.RollingUpdatePolicy{WaitIntervalInSeconds: ptr[int32](120)}}
	for _, tt := range []struct {
		name   string
		status [][]types.ProductionVariantStatus
		used   *types.DeploymentConfig
		want   endpoint.UpdateStage
	}{
		{"none yet", nil, nil, endpoint.UpdateStage{Name: "Updating", Since: now.Add(-2 * time.Hour)}},
		{"the message tells", [][]types.ProductionVariantStatus{{early, baking}}, used, endpoint.UpdateStage{Name: "Baking", Since: now, For: 5 * time.Minute, Message: *baking.StatusMessage}},
		{"the configuration tells", [][]types.ProductionVariantStatus{{terse}}, used, endpoint.UpdateStage{Name: "Baking", Since: now, For: 2 * time.Minute}},
		{"nothing tells", [][]types.ProductionVariantStatus{{terse}}, nil, endpoint.UpdateStage{Name: "Baking", Since: now}},
		{"the latest of two variants", [][]types.ProductionVariantStatus{{baking}, {early}}, nil, endpoint.UpdateStage{Name: "Baking", Since: now, For: 5 * time.Minute, Message: *baking.StatusMessage}},
	} {
		p := &types.PendingDeploymentSummary{StartTime: ptr(now.Add(-2 * time.Hour))}
		for _, s := range tt.status {
			p.ProductionVariants = append(p.ProductionVariants, types.PendingProductionVariantSummary{VariantStatus: s})
		}
		if got := stageOf(p, tt.used); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
