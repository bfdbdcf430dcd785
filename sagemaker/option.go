package sagemaker

import (
	"context"
	"fmt"

	"github.com/changeover-dev/changeover/endpoint"
)

// Option changes how an [Endpoint] or a [Component] is driven.
type Option func(*choices)

// choices are what options set.
type choices struct {
	mode      AutoscalingMode
	update    *UpdateOptions
	component *ComponentUpdateOptions
	quota     func(ctx context.Context, name string) (int, error)
}

// WithAutoscalingMode sets how autoscaling is kept away while a rollout that
// suspends it runs. The default is [AutoscalingAuto].
func WithAutoscalingMode(m AutoscalingMode) Option { return func(s *choices) { s.mode = m } }

// WithUpdate sets how an [Endpoint] is updated where the change has no options
// of its own. [New] refuses what AWS would refuse.
func WithUpdate(o UpdateOptions) Option { return func(s *choices) { s.update = &o } }

// WithComponentUpdate sets how a [Component] is updated where the change has no
// options of its own. [NewComponent] refuses what AWS would refuse.
func WithComponentUpdate(o ComponentUpdateOptions) Option {
	return func(s *choices) { s.component = &o }
}

// WithQuota has [Endpoint.Preflight] refuse an update whose old and new
// instances together exceed the account's quota. limit returns the value of the
// quota of that name in Service Quotas, such as "ml.g5.xlarge for endpoint
// usage" of the service "sagemaker"; an error that is [endpoint.ErrNotFound]
// means that there is no such quota. Other endpoints of the account count
// against it too, and are not seen here: SageMaker checks them when it is asked
// for the update.
func WithQuota(limit func(ctx context.Context, name string) (int, error)) Option {
	return func(s *choices) { s.quota = limit }
}

// newChoices applies options.
func newChoices(opts []Option) (choices, error) {
	s := choices{mode: AutoscalingAuto}
	for i, o := range opts {
		if o == nil {
			return s, fmt.Errorf("sagemaker: option %d is nil: %w", i+1, endpoint.ErrInvalid)
		}
		o(&s)
	}
	if _, err := ParseAutoscalingMode(string(s.mode)); err != nil {
		return s, fmt.Errorf("sagemaker: %w", err)
	}
	return s, nil
}

// checkClients refuses clients that are missing.
func checkClients(smc SageMaker, aasc AutoScaling, cwc CloudWatch) error {
	for _, c := range []struct {
		name    string
		missing bool
	}{{"SageMaker", smc == nil}, {"AutoScaling", aasc == nil}, {"CloudWatch", cwc == nil}} {
		if c.missing {
			return fmt.Errorf("sagemaker: the %s client is nil: %w", c.name, endpoint.ErrInvalid)
		}
	}
	return nil
}

// errNoUse is what an option gets that means nothing.
func errNoUse(option, on string) error {
	return fmt.Errorf("sagemaker: %s has no meaning for %s: %w", option, on, endpoint.ErrInvalid)
}
