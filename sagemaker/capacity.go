package sagemaker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
)

// surge is how many instances of each type an update needs beside those that
// serve: the whole new fleet, or a batch of it.
func (p *preflight) surge() map[string]int {
	more := map[string]int{}
	for i := range p.to.ProductionVariants {
		v := &p.to.ProductionVariants[i]
		if n, ok := p.count(v); ok && n > 0 {
			more[instanceTypes(v)] += p.batch(n)
		}
	}
	return more
}

// batch is how many of n instances an update launches at a time.
func (p *preflight) batch(n int) int {
	if p.used == nil || p.used.RollingUpdatePolicy == nil {
		return n
	}
	parts := sizes(p.used)[0].parts(n)
	return (n + parts - 1) / parts
}

// instanceTypes names the type of a variant's instances, or those of its pools.
func instanceTypes(v *types.ProductionVariant) string {
	if len(v.InstancePools) == 0 {
		return string(v.InstanceType)
	}
	var names []string
	for _, pool := range v.InstancePools {
		names = append(names, string(pool.InstanceType))
	}
	return strings.Join(names, " or ")
}

// surgeText is the surge for people: "3 ml.g5.xlarge".
func (p *preflight) surgeText() string {
	more := p.surge()
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(more)) {
		parts = append(parts, fmt.Sprintf("%d %s", more[name], name))
	}
	return strings.Join(parts, ", ")
}

// quotas refuses an update for which the account's quota is too small even if
// nothing else used it.
func (p *preflight) quotas(ctx context.Context) error {
	if p.quota == nil {
		return nil
	}
	now := map[string]int{}
	for i := range p.from.ProductionVariants {
		v := &p.from.ProductionVariants[i]
		now[instanceTypes(v)] += settingsOf(p.live)[instancesKey(deref(v.VariantName))]
	}
	more := p.surge()
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(more)) {
		if strings.Contains(name, " or ") {
			continue // SageMaker decides of which type the instances are
		}
		limit, err := p.quota(ctx, name+" for endpoint usage")
		switch {
		case errors.Is(err, endpoint.ErrNotFound):
		case err != nil:
			errs = append(errs, fmt.Errorf("quota %q: %w", name+" for endpoint usage", err))
		case now[name]+more[name] > limit:
			errs = append(errs, fmt.Errorf("the update takes %d more %s beside the %d of now, and the account's quota %q is %d: %w",
				more[name], name, now[name], name+" for endpoint usage", limit, endpoint.ErrQuota))
		}
	}
	return errors.Join(errs...)
}

// pools refuses variants with instance pools that route in another way than
// AWS's guide to pools asks for, unless the variant of now does so already.
func (p *preflight) pools() error {
	var errs []error
	for i := range p.to.ProductionVariants {
		v := &p.to.ProductionVariants[i]
		was := variant(p.from, deref(v.VariantName))
		if len(v.InstancePools) == 0 || routing(v) == types.RoutingStrategyLeastOutstandingRequests ||
			was != nil && len(was.InstancePools) > 0 && routing(was) == routing(v) {
			continue
		}
		errs = append(errs, invalid("RoutingConfig.RoutingStrategy of variant %s is %q with %d InstancePools: AWS asks for %s",
			deref(v.VariantName), routing(v), len(v.InstancePools), types.RoutingStrategyLeastOutstandingRequests))
	}
	return errors.Join(errs...)
}

func routing(v *types.ProductionVariant) types.RoutingStrategy {
	if v.RoutingConfig == nil {
		return types.RoutingStrategyRandom // AWS's default
	}
	return v.RoutingConfig.RoutingStrategy
}

// reservations refuses an update for which a capacity reservation has too few
// instances left: variants with one get no others, and would not start.
func (p *preflight) reservations(ctx context.Context) error {
	var errs []error
	first := ""
	for i := range p.to.ProductionVariants {
		v := &p.to.ProductionVariants[i]
		if v.CapacityReservationConfig == nil || deref(v.CapacityReservationConfig.MlReservationArn) == "" {
			continue
		}
		arn := *v.CapacityReservationConfig.MlReservationArn
		if first == "" {
			first = arn
		} else if arn != first {
			errs = append(errs, invalid("CapacityReservationConfig.MlReservationArn of variant %s is %s and that of another variant is %s: AWS allows one for an endpoint",
				deref(v.VariantName), arn, first))
			continue
		}
		errs = append(errs, p.reservation(ctx, v, arn))
	}
	return errors.Join(errs...)
}

func (p *preflight) reservation(ctx context.Context, v *types.ProductionVariant, arn string) error {
	available, total, known := p.reserved(arn)
	if _, name, plan := strings.Cut(arn, ":training-plan/"); plan {
		out, err := call(ctx, p.sm.DescribeTrainingPlan, &sm.DescribeTrainingPlanInput{TrainingPlanName: &name})
		switch {
		case errors.Is(err, endpoint.ErrUnauthorized):
			p.caution("whether the training plan %s is active could not be read: %v", name, err)
		case err != nil:
			return fmt.Errorf("training plan %s of variant %s: %w", name, deref(v.VariantName), err)
		default:
			if err := checkPlan(out, v); err != nil {
				return err
			}
			if out.EndTime != nil {
				p.caution("variant %s stops serving when the training plan %s ends, at %s", deref(v.VariantName), name, moment(*out.EndTime))
			}
			if !known && out.AvailableInstanceCount != nil {
				available, total, known = int(*out.AvailableInstanceCount), int(deref(out.TotalInstanceCount)), true
			}
		}
	}
	n, ok := p.count(v)
	if !known || !ok {
		return nil
	}
	if need := p.batch(n); available < need {
		return fmt.Errorf("CapacityReservationConfig.MlReservationArn %s of variant %s: %d of its %d instances are available, and the update (%s) takes %d more before it lets go of any: %w; "+
			"a RollingUpdatePolicy takes a batch at a time",
			arn, deref(v.VariantName), available, total, deploymentName(p.used), need, endpoint.ErrQuota)
	}
	return nil
}

// reserved is what SageMaker shows of a reservation that the endpoint uses.
func (p *preflight) reserved(arn string) (available, total int, known bool) {
	for _, v := range p.live.ProductionVariants {
		if s := v.CapacityReservationConfig; s != nil && deref(s.MlReservationArn) == arn && s.AvailableInstanceCount != nil {
			return int(*s.AvailableInstanceCount), int(deref(s.TotalInstanceCount)), true
		}
	}
	return 0, 0, false
}

// checkPlan refuses a training plan that gives a variant no instances.
func checkPlan(out *sm.DescribeTrainingPlanOutput, v *types.ProductionVariant) error {
	name := deref(out.TrainingPlanName)
	if out.Status != types.TrainingPlanStatusActive {
		return invalid("training plan %s of variant %s is %s, AWS launches instances from one that is Active", name, deref(v.VariantName), out.Status)
	}
	var has []string
	for _, r := range out.ReservedCapacitySummaries {
		has = append(has, string(r.InstanceType))
	}
	if len(has) > 0 && v.InstanceType != "" && !slices.Contains(has, string(v.InstanceType)) {
		return invalid("InstanceType of variant %s is %s, and training plan %s has %s", deref(v.VariantName), v.InstanceType, name, strings.Join(has, ", "))
	}
	return nil
}

// experiment refuses an endpoint that a running inference experiment owns:
// SageMaker changes its variants itself. Only one with shadow variants can be.
func (p *preflight) experiment(ctx context.Context) error {
	if len(p.live.ShadowProductionVariants) == 0 {
		return nil
	}
	owner := ""
	err := pages(func(token *string) (*string, error) {
		list, err := call(ctx, p.sm.ListInferenceExperiments, &sm.ListInferenceExperimentsInput{StatusEquals: types.InferenceExperimentStatusRunning, NextToken: token})
		if err != nil {
			return nil, err
		}
		for _, x := range list.InferenceExperiments {
			out, err := call(ctx, p.sm.DescribeInferenceExperiment, &sm.DescribeInferenceExperimentInput{Name: x.Name})
			if errors.Is(err, endpoint.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if out.EndpointMetadata != nil && deref(out.EndpointMetadata.EndpointName) == p.name {
				owner = deref(x.Name)
			}
		}
		return list.NextToken, nil
	})
	switch {
	case errors.Is(err, endpoint.ErrUnauthorized):
		p.caution("whether an inference experiment runs on the endpoint, which has a shadow variant, could not be read: %v", err)
	case err != nil:
		return fmt.Errorf("inference experiments: %w", err)
	case owner != "":
		return fmt.Errorf("the inference experiment %s runs on the endpoint, and SageMaker changes its variants: stop it first: %w", owner, endpoint.ErrBusy)
	}
	return nil
}
