package sagemaker

import (
	"context"
	"time"
)

// autoscaling suspends and restores the scalable targets of an [Endpoint] or of
// a [Component].
type autoscaling struct {
	aas AutoScaling
	cw  CloudWatch
	// mode says how far suspending goes.
	mode AutoscalingMode
	// subject is the name that snapshots are taken under.
	subject string
	// owner reads the endpoint or component that the targets scale.
	owner func(ctx context.Context) (owner, error)
}

// owner is the endpoint or component that scalable targets belong to.
type owner struct {
	arn     string
	created time.Time
	// variants are those of an endpoint, shadow variants included.
	variants []string
}

// identity tells an incarnation from others of the same name: AWS gives the
// same ARN to an endpoint that was deleted and made again.
func identity(arn string, created *time.Time) string {
	if arn == "" || created == nil {
		return arn
	}
	return arn + "@" + created.UTC().Format(time.RFC3339Nano)
}
