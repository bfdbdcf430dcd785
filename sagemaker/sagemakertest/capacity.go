package sagemakertest

import (
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

func (a *account) updateWeightsAndCapacities(in *sagemaker.UpdateEndpointWeightsAndCapacitiesInput) (*sagemaker.UpdateEndpointWeightsAndCapacitiesOutput, error) {
	e, err := a.find(str(in.EndpointName))
	if err != nil {
		return nil, err
	}
	if err := e.idle(statusInService); err != nil {
		return nil, err
	}
	if err := checkCapacities(e, in.DesiredWeightsAndCapacities); err != nil {
		return nil, err
	}
	more := map[string]int{}
	for _, w := range in.DesiredWeightsAndCapacities {
		if v := e.variant(str(w.VariantName)); w.DesiredInstanceCount != nil && *w.DesiredInstanceCount > v.desired {
			more[instanceType(v.spec)] += int(*w.DesiredInstanceCount - v.desired)
		}
	}
	if err := a.quota(more); err != nil {
		return nil, err
	}
	a.scale(e, func() {
		for _, w := range in.DesiredWeightsAndCapacities {
			v := e.variant(str(w.VariantName))
			if w.DesiredInstanceCount != nil {
				v.desired = *w.DesiredInstanceCount
			}
			if w.DesiredWeight != nil {
				v.weight = *w.DesiredWeight
			}
			if s := w.ServerlessUpdateConfig; s != nil {
				v.serverless = overlaid(v.serverless, s)
			}
		}
	})
	return &sagemaker.UpdateEndpointWeightsAndCapacitiesOutput{EndpointArn: &e.arn}, nil
}

func overlaid(c *types.ProductionVariantServerlessConfig, u *types.ProductionVariantServerlessUpdateConfig) *types.ProductionVariantServerlessConfig {
	n := clone(c)
	if u.MaxConcurrency != nil {
		n.MaxConcurrency = u.MaxConcurrency
	}
	if u.ProvisionedConcurrency != nil {
		n.ProvisionedConcurrency = u.ProvisionedConcurrency
	}
	return n
}

func checkCapacities(e *endpoint, list []types.DesiredWeightAndCapacity) error {
	seen := map[string]bool{}
	capacities := 0
	for _, w := range list {
		name := str(w.VariantName)
		v := e.variant(name)
		switch {
		case v == nil:
			return invalid("The variant name(s) %q is/are not present within endpoint configuration %q.", name, e.config.name)
		case seen[name]:
			return invalid("Variant names must be unique: %q.", name)
		case w.DesiredInstanceCount != nil && v.serverless != nil:
			return invalid("DesiredInstanceCount cannot be specified for the serverless variant %q.", name)
		case w.ServerlessUpdateConfig != nil && v.serverless == nil:
			return invalid("ServerlessUpdateConfig can only be specified for serverless variants, not for %q.", name)
		case w.DesiredInstanceCount == nil && w.DesiredWeight == nil && w.ServerlessUpdateConfig == nil:
			return invalid("One of DesiredInstanceCount, DesiredWeight and ServerlessUpdateConfig must be specified for variant %q.", name)
		}
		seen[name] = true
		if w.DesiredInstanceCount != nil || w.ServerlessUpdateConfig != nil {
			capacities++
		}
		if w.ServerlessUpdateConfig != nil {
			if c := overlaid(v.serverless, w.ServerlessUpdateConfig); num(c.ProvisionedConcurrency) > num(c.MaxConcurrency) {
				return invalid("ProvisionedConcurrency of variant %q cannot be greater than MaxConcurrency.", name)
			}
		}
	}
	if capacities > 1 {
		return invalid("The capacity of only one variant can be updated at a time.")
	}
	return nil
}

// scale begins a change of capacity or weights.
func (a *account) scale(e *endpoint, change func()) {
	j := &job{
		kind: scaling, was: cloneVariants(e.all()), fate: a.fates[e.name],
		stages: []stage{{status: types.VariantStatusUpdating, took: a.behaviour.scale()}},
	}
	change()
	e.reason = ""
	e.begin(j, types.EndpointStatusUpdating, a.now)
}

// instanceType is what a variant's instances count as for a quota.
func instanceType(v types.ProductionVariant) string {
	if len(v.InstancePools) > 0 {
		return string(v.InstancePools[0].InstanceType)
	}
	return string(v.InstanceType)
}

// demand is the number of instances that a share of a fleet needs, by type.
func (e *endpoint) demand(fleet []*variant, part float64) map[string]int {
	all := map[string]int{}
	for _, v := range fleet {
		if v.serverless == nil {
			all[instanceType(v.spec)] += int(count(part, v.desired))
		}
	}
	return all
}

// used is the number of instances that an endpoint has now, or is getting.
func (e *endpoint) used() map[string]int {
	all := map[string]int{}
	for _, v := range e.all() {
		if v.serverless == nil {
			all[instanceType(v.spec)] += int(max(v.desired, v.current))
		}
	}
	if j := e.job; j != nil && j.kind == deployment {
		part := 1.0
		if j.rolling {
			part = j.batch
		}
		for t, n := range e.demand(j.all(), part) {
			all[t] += n
		}
	}
	return all
}

// quota refuses what would be more instances than the account may have.
func (a *account) quota(more map[string]int) error {
	used := map[string]int{}
	for _, e := range a.endpoints {
		for t, n := range e.used() {
			used[t] += n
		}
	}
	for _, t := range slices.Sorted(maps.Keys(more)) {
		if limit, ok := a.quotas[t]; ok && more[t] > 0 && used[t]+more[t] > limit {
			return refuse("ResourceLimitExceeded",
				"The account-level service limit '%s for endpoint usage' is %d Instances, with current utilization of %d Instances and a request delta of %d Instances. "+
					"Please use AWS Service Quotas to request an increase for this quota. If AWS Service Quotas is not available, contact AWS support to request an increase for this quota.",
				t, limit, used[t], more[t])
		}
	}
	return nil
}
