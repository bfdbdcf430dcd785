package eventbridge_test

import (
	"context"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/waiter"
	"github.com/changeover-dev/changeover/wake/eventbridge"
)

func ExampleQueue_Watch() {
	e := newRemote("my-endpoint", 50*time.Millisecond) // with AWS: sagemaker.New
	aws := newService()
	aws.send(100*time.Millisecond, stateChange("my-endpoint", "IN_SERVICE"))

	queue, err := eventbridge.New(aws.client(), queueURL) // with AWS: sqs.NewFromConfig
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	wake, stop := queue.Watch(ctx, e.Name())
	defer stop()
	s, err := waiter.Ready(ctx, e, target, waiter.WithWake(wake), waiter.WithSchedule(eventbridge.SafetyNet(0)))
	fmt.Println(s.Phase, s.Serving, err)
	// Output: ready endpoint-config config-2 <nil>
}
