package sagemaker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
)

// canaryMark ends the name of the variant that runs the target beside the source.
const canaryMark = "-co-canary"

// canaryVariant is the name of the variant that runs the target beside the
// variant of that name. A name that is too long for AWS with the mark is cut.
func canaryVariant(name string) string {
	const room = nameLimit - len(canaryMark)
	return strings.TrimRight(name[:min(len(name), room)], "-") + canaryMark
}

// DraftCanary describes an endpoint configuration with the variant of source, as
// it is now, and beside it the variant of target, named "<name>-co-canary", with
// as many instances as the source has now and a weight of zero. Everything that
// is not of a variant, such as data capture, is the source's.
//
// The endpoint needs one production variant with a model, on instances, with one
// or more of them and a weight above zero, and the target one of the same name.
// Shadow variants, serverless variants and inference components are not split.
// The error is [errors.ErrUnsupported] and says which of that does not hold.
//
// The instances of the canary variant are not scaled. What autoscaling does to
// the source's variant while that has less traffic it also has to undo, once the
// target has all of it: a floor or [AutoscalingSuspend] before the rollout helps.
func (e *Endpoint) DraftCanary(ctx context.Context, source, target endpoint.Revision, draft *endpoint.Draft) (endpoint.Canary, error) {
	c, err := e.draftCanary(ctx, source, target, draft)
	return c, e.wrap("draft canary", err)
}

func (e *Endpoint) draftCanary(ctx context.Context, source, target endpoint.Revision, draft *endpoint.Draft) (endpoint.Canary, error) {
	var none endpoint.Canary
	live, err := e.describe(ctx)
	if err != nil {
		return none, err
	}
	to, err := e.wanted(ctx, endpoint.Change{To: target, Draft: draft})
	if err != nil {
		return none, err
	}
	name := ""
	d, err := e.draft(ctx, source, func(in *sm.CreateEndpointConfigInput) error {
		if err := splits(live, source.ID, in, target.ID, to); err != nil {
			return err
		}
		for *in.EndpointConfigName == target.ID { // minted in the same second
			in.EndpointConfigName = ptr(mintName(e.name, time.Now()))
		}
		now, was, is := &live.ProductionVariants[0], &in.ProductionVariants[0], to.ProductionVariants[0]
		name = deref(was.VariantName)
		was.InitialVariantWeight = now.DesiredWeight
		is.VariantName, is.InitialInstanceCount = ptr(canaryVariant(name)), now.DesiredInstanceCount
		is.InitialVariantWeight, is.AcceleratorType = ptr[float32](0), ""
		in.ProductionVariants = append(in.ProductionVariants, is)
		return nil
	})
	if err != nil {
		return none, err
	}
	return endpoint.Canary{Draft: d, Source: []string{name}, Target: []string{canaryVariant(name)}}, nil
}

// splits returns nil if the traffic can be split between the variant of the
// configuration from, which is in service, and that of the configuration to.
func splits(live *sm.DescribeEndpointOutput, source string, from *sm.CreateEndpointConfigInput, target string, to *sm.CreateEndpointConfigInput) error {
	if err := errors.Join(single(source, from), single(target, to)); err != nil {
		return err
	}
	was, is := deref(from.ProductionVariants[0].VariantName), deref(to.ProductionVariants[0].VariantName)
	if was != is {
		return unsplit("%s has the variant %s instead of %s, so that its capacity and weight would not be kept", target, is, was)
	}
	if deref(live.EndpointConfigName) != source || len(live.ProductionVariants) != 1 || deref(live.ProductionVariants[0].VariantName) != was {
		return unsplit("%s is not what the endpoint serves", source)
	}
	switch now := &live.ProductionVariants[0]; {
	case deref(now.DesiredInstanceCount) < 1:
		return unsplit("variant %s has no instance now, and a configuration takes one or more for each variant", was)
	case deref(now.DesiredWeight) <= 0:
		return unsplit("variant %s has the weight 0, of which no share can be given", was)
	}
	return nil
}

// single returns nil if a configuration has one production variant with weight.
func single(name string, c *sm.CreateEndpointConfigInput) error {
	if len(c.ShadowProductionVariants) > 0 {
		return unsplit("%s has a shadow variant, which AWS allows beside one production variant only", name)
	}
	if n := len(c.ProductionVariants); n != 1 {
		return unsplit("%s has %d production variants, between which it is split already", name, n)
	}
	switch v := &c.ProductionVariants[0]; {
	case v.ServerlessConfig != nil:
		return unsplit("variant %s of %s is serverless", deref(v.VariantName), name)
	case len(modelsOf(v)) == 0:
		return unsplit("the models of %s are in inference components, which have no weights: roll a component", name)
	}
	return nil
}

func unsplit(format string, args ...any) error {
	return fmt.Errorf("the traffic of the endpoint cannot be split: "+format+": %w", append(args, errors.ErrUnsupported)...)
}

// Shift sets the weight of the canary variant, by one request, so that it has so
// many percent of the traffic: from 0 to 99, since the update to the target gives
// it all of it. The weight of the source's variant stays as it is at any time, and
// is as it was whatever becomes of the rollout. SageMaker takes some time for it,
// in which the endpoint is Updating; [endpoint.Status.Share] follows at its end.
func (e *Endpoint) Shift(ctx context.Context, c endpoint.Canary, percent int) error {
	return e.wrap(fmt.Sprintf("shift to %d%%", percent), e.shift(ctx, c, percent))
}

func (e *Endpoint) shift(ctx context.Context, c endpoint.Canary, percent int) error {
	switch {
	case percent < 0 || percent > 99:
		return invalid("a share of %d%%, want 0 to 99: an update to the target gives it all of the traffic", percent)
	case len(c.Source) != 1 || len(c.Target) != 1:
		return invalid("a canary with the source variants %v and the target variants %v, want one of each", c.Source, c.Target)
	}
	live, err := e.describe(ctx)
	if err != nil {
		return err
	}
	source, target := summary(live, c.Source[0]), summary(live, c.Target[0])
	switch {
	case deref(live.EndpointConfigName) != c.Revision.ID || source == nil || target == nil:
		return invalid("%s is not in service with the variants %s and %s", c.Revision, c.Source[0], c.Target[0])
	case deref(source.DesiredWeight) <= 0:
		return invalid("variant %s has the weight 0, of which no share can be given", c.Source[0])
	}
	weight := float32(float64(*source.DesiredWeight) * float64(percent) / float64(100-percent))
	_, err = call(ctx, e.sm.UpdateEndpointWeightsAndCapacities, &sm.UpdateEndpointWeightsAndCapacitiesInput{
		EndpointName: &e.name, DesiredWeightsAndCapacities: []types.DesiredWeightAndCapacity{{VariantName: &c.Target[0], DesiredWeight: &weight}},
	}, onceSM)
	return err
}

// summary is the production variant of that name in service.
func summary(live *sm.DescribeEndpointOutput, name string) *types.ProductionVariantSummary {
	for i := range live.ProductionVariants {
		if v := &live.ProductionVariants[i]; deref(v.VariantName) == name {
			return v
		}
	}
	return nil
}

// share is the canary variant's share of the traffic, in percent, by the weights
// in effect; nil if no canary is in service, or the endpoint is leaving it.
func (e *Endpoint) share(live *sm.DescribeEndpointOutput) *int {
	vs := live.ProductionVariants
	if len(vs) != 2 || live.PendingDeploymentSummary != nil || !isOwnName(e.name, deref(live.EndpointConfigName)) {
		return nil
	}
	for i := range vs {
		source, target := &vs[i], &vs[1-i]
		if deref(target.VariantName) != canaryVariant(deref(source.VariantName)) || source.CurrentWeight == nil || target.CurrentWeight == nil {
			continue
		}
		if all := float64(*source.CurrentWeight) + float64(*target.CurrentWeight); all > 0 {
			return ptr(int(math.Round(100 * float64(*target.CurrentWeight) / all)))
		}
	}
	return nil
}
