package sagemaker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/strategy"
)

// A canary that SageMaker takes back when an alarm rings.
func ExampleWithUpdate() {
	srv := single(2)
	srv.Behave(func(b *sagemakertest.Behaviour) {
		b.Launch, b.Shift, b.Terminate = 200*time.Millisecond, 100*time.Millisecond, 100*time.Millisecond
	})
	deployment, err := sagemaker.DecodeDeploymentConfig([]byte(`{
		"BlueGreenUpdatePolicy": {
			"TrafficRoutingConfiguration": {"Type": "CANARY", "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1}, "WaitIntervalInSeconds": 2},
			"TerminationWaitInSeconds": 0
		},
		"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	e, err := sagemaker.NewFromConfig("sdxl", srv.Config(), // with AWS: config.LoadDefaultConfig
		sagemaker.WithUpdate(sagemaker.UpdateOptions{DeploymentConfig: deployment}))
	if err != nil {
		fmt.Println(err)
		return
	}
	var once sync.Once
	report, err := rollout.Run(context.Background(), journal.NewMemory(), e, strategy.InPlace{}, rollout.ToRevision("c2"),
		rollout.WithInterval(100*time.Millisecond), rollout.WithSettle(200*time.Millisecond),
		rollout.WithObserver(func(_ context.Context, ev rollout.Event) {
			if ev.Status != nil && ev.Status.UpdateStage.Name == string(types.VariantStatusBaking) {
				once.Do(func() { _, _ = srv.Do(ring()) }) // the canary makes errors
			}
		}))
	fmt.Println(report.Outcome, errors.Is(err, rollout.ErrRolledBack))
	fmt.Println(errors.Is(rollout.Cause(err), endpoint.ErrRolledBack), report.Status.Serving)
	// Output:
	// rolled back true
	// true endpoint-config c1 (model-1)
}
