package sagemaker

import (
	"context"
	"errors"
	"strings"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
)

// Update asks SageMaker to move the endpoint to the endpoint configuration
// c.To, by the [UpdateOptions] in c.Options. It keeps the live instance counts
// and weights unless the options say otherwise.
//
// An accepted update cannot be stopped: while it runs every other one is
// [endpoint.ErrBusy]. One that changes the instance type of a variant that is
// a registered scalable target, or removes such a variant, is
// [ErrScalableTarget]. A configuration that SageMaker shows, and does not find
// for the update yet, is asked for again for some seconds, since that refusal
// is certain. Nothing else is sent twice.
func (e *Endpoint) Update(ctx context.Context, c endpoint.Change) error {
	return e.wrap("update", e.update(ctx, c))
}

func (e *Endpoint) update(ctx context.Context, c endpoint.Change) error {
	if c.To.Kind != KindEndpointConfig || !entityName.MatchString(c.To.ID) {
		return invalid("revision %s: want one of kind %q with a name: resolve it first", c.To, KindEndpointConfig)
	}
	o, err := e.optionsOf(c)
	if err == nil && c.Rollback {
		o, err = e.rollbackOptions(ctx, o)
	}
	if err != nil {
		return err
	}
	for range 5 {
		_, err = call(ctx, e.sm.UpdateEndpoint, o.input(e.name, c), onceSM)
		if !configMissing(err) {
			return err
		}
		if _, derr := e.describeConfig(ctx, c.To.ID); derr != nil {
			return err
		}
		if perr := pause(ctx, 5*time.Second); perr != nil {
			return perr
		}
	}
	return err
}

func configMissing(err error) bool {
	var api *APIError
	return errors.As(err, &api) && errors.Is(err, endpoint.ErrNotFound) && strings.HasPrefix(api.Message, "Could not find endpoint configuration")
}

// setting is a key of [endpoint.Status.Settings] taken apart.
type setting struct {
	variant     string
	concurrency bool
}

func parseSetting(key string, value int) (setting, error) {
	name, ok := strings.CutPrefix(key, "variant/")
	if !ok {
		return setting{}, invalid("setting %q: want variant/NAME/instances or variant/NAME/concurrency", key)
	}
	name, what, _ := strings.Cut(name, "/")
	s := setting{name, what == "concurrency"}
	switch {
	case !entityName.MatchString(name), what != "instances" && what != "concurrency":
		return setting{}, invalid("setting %q: want variant/NAME/instances or variant/NAME/concurrency", key)
	case s.concurrency && (value < 1 || value > 200):
		return setting{}, invalid("%s=%d: AWS allows 1 to 200", key, value)
	case value < 0 || value > 1<<20:
		return setting{}, invalid("%s=%d", key, value)
	}
	return s, nil
}

// Set changes the capacity of one variant: its instances, or the provisioned
// concurrency of a serverless one. SageMaker takes the change of one variant
// at a time, and refuses others until it has come about: [endpoint.ErrBusy].
// Weights stay as they are.
func (e *Endpoint) Set(ctx context.Context, key string, value int) error {
	return e.wrap("set "+clip(key), e.set(ctx, key, value))
}

func (e *Endpoint) set(ctx context.Context, key string, value int) error {
	s, err := parseSetting(key, value)
	if err != nil {
		return err
	}
	n := ptr(int32(value)) //nolint:gosec // parseSetting bounds it
	change := types.DesiredWeightAndCapacity{VariantName: &s.variant, DesiredInstanceCount: n}
	if s.concurrency {
		change.DesiredInstanceCount = nil
		change.ServerlessUpdateConfig = &types.ProductionVariantServerlessUpdateConfig{ProvisionedConcurrency: n}
	}
	_, err = call(ctx, e.sm.UpdateEndpointWeightsAndCapacities, &sm.UpdateEndpointWeightsAndCapacitiesInput{
		EndpointName: &e.name, DesiredWeightsAndCapacities: []types.DesiredWeightAndCapacity{change},
	}, onceSM)
	return withMost(err, value)
}

// EstimateDuration is the time that SageMaker is configured to give the update:
// the longest time that the instances of a variant have to be provisioned, to
// load their model and to become healthy, once for each batch of a rolling
// update, and the waits of the deployment; or the deployment's time limit, if
// that is longer. What is not configured counts as zero.
func (e *Endpoint) EstimateDuration(ctx context.Context, c endpoint.Change) (time.Duration, error) {
	d, err := e.estimate(ctx, c)
	return d, e.wrap("estimate duration", err)
}

func (e *Endpoint) estimate(ctx context.Context, c endpoint.Change) (time.Duration, error) {
	o, err := e.optionsOf(c)
	if err == nil && c.Rollback {
		o, err = e.rollbackOptions(ctx, o)
	}
	if err != nil {
		return 0, err
	}
	live, err := e.describe(ctx)
	if err != nil {
		return 0, err
	}
	to, err := e.wanted(ctx, c)
	if err != nil {
		return 0, err
	}
	used := o.DeploymentConfig
	if o.RetainDeploymentConfig {
		used = live.LastDeploymentConfig
	}
	most := 0
	for _, n := range settingsOf(live) {
		most = max(most, n)
	}
	return granted(used, to, most), nil
}
