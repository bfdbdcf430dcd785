package sagemaker_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/sagemaker"
)

func ExampleNewComponentFromConfig() {
	cfg := hosting(4).Config() // with AWS: config.LoadDefaultConfig
	deployment, err := sagemaker.DecodeComponentDeploymentConfig([]byte(`{
		"RollingUpdatePolicy": {"MaximumBatchSize": {"Type": "COPY_COUNT", "Value": 1}, "WaitIntervalInSeconds": 120},
		"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := sagemaker.NewComponentFromConfig("sdxl", "chat", cfg,
		sagemaker.WithComponentUpdate(sagemaker.ComponentUpdateOptions{DeploymentConfig: deployment}))
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := c.Status(context.Background())
	fmt.Println(c, s.Phase, s.Serving, s.Settings, err)
	// rollout.Run(ctx, store, c, strategy.InPlace{}, rollout.ToArtifact("model-2")) moves it.
	// Output: sagemaker/sdxl/chat ready model model-1 (model-1) map[copies:4] <nil>
}

func ExampleNewFromConfig() {
	_, err := sagemaker.NewFromConfig("sdxl", account().Config(),
		sagemaker.WithUpdate(sagemaker.UpdateOptions{DeploymentConfig: canary(percent(70), 600, 0)}))
	fmt.Println(err)
	// Output: sagemaker: WithUpdate: DeploymentConfig.BlueGreenUpdatePolicy.TrafficRoutingConfiguration.CanarySize.Value is 70 %, AWS allows 1 to 50 %: invalid
}

func ExampleEndpoint_DraftRefresh() {
	e, ctx := production(account()), context.Background()
	d, err := e.DraftRefresh(ctx, endpoint.Revision{}, "AWS Health notice of 2026-05")
	if err != nil {
		fmt.Println(err)
		return
	}
	// rollout.ToDraft(d) is the target; afterwards Refreshed proves it.
	fmt.Println(d.Base, "again:", d.Refresh)
	fmt.Println(errors.Is(e.Refreshed(ctx, d, time.Now()), endpoint.ErrNotFound))
	// Output:
	// endpoint-config c1 (model-1) again: AWS Health notice of 2026-05
	// true
}
