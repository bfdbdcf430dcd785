package sagemaker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

// What a change needs to be there, or not to be there, in the account: the
// part of a preflight that reads beyond the two configurations.

// guardrails checks what of a deployment depends on the endpoint.
func (p *preflight) guardrails() error {
	if p.used == nil {
		if p.options.RetainDeploymentConfig {
			return invalid("RetainDeploymentConfig is true, and the endpoint has no LastDeploymentConfig")
		}
		return nil
	}
	var errs []error
	name := deploymentName(p.used)
	if !slices.Equal(variantNames(p.from), variantNames(p.to)) {
		errs = append(errs, invalid("DeploymentConfig (%s) with ProductionVariants %v: AWS wants the names to stay, %v", name, variantNames(p.to), variantNames(p.from)))
	}
	if isServerless(p.from) || isServerless(p.to) {
		errs = append(errs, invalid("DeploymentConfig (%s) on a serverless endpoint: AWS allows it for real-time and asynchronous endpoints", name))
	}
	for _, v := range p.to.ProductionVariants {
		if strings.HasPrefix(string(v.InstanceType), "ml.inf1.") {
			errs = append(errs, invalid("DeploymentConfig (%s) with InstanceType %s of variant %s: AWS excludes Inf1 instances", name, v.InstanceType, deref(v.VariantName)))
		}
	}
	if n := len(p.to.ProductionVariants); p.used.RollingUpdatePolicy != nil && n != 1 {
		errs = append(errs, invalid("%s on an endpoint with %d variants: AWS allows 1", policyRolling, n))
	}
	if len(p.to.ShadowProductionVariants) > 0 {
		p.caution("AWS does not say how a %s deployment treats shadow variants", name)
	}
	for _, s := range sizes(p.used) {
		for i := range p.to.ProductionVariants {
			v := &p.to.ProductionVariants[i]
			if count, ok := p.count(v); ok {
				errs = append(errs, s.checkCount("variant "+deref(v.VariantName), count))
			}
		}
	}
	return errors.Join(errs...)
}

func variantNames(in *sm.CreateEndpointConfigInput) []string {
	var names []string
	for _, v := range in.ProductionVariants {
		names = append(names, deref(v.VariantName))
	}
	slices.Sort(names)
	return names
}

// count is how many instances a variant of the new configuration will have:
// those of now, if they are retained, or those that the rollout raises it to.
func (p *preflight) count(v *types.ProductionVariant) (int, bool) {
	if v.ServerlessConfig != nil {
		return 0, false
	}
	key := instancesKey(deref(v.VariantName))
	if now, ok := settingsOf(p.live)[key]; ok && p.options.retains(types.VariantPropertyTypeDesiredInstanceCount) {
		return max(now, p.settings[key]), true
	}
	return int(deref(v.InitialInstanceCount)), v.InitialInstanceCount != nil
}

// models refuses a configuration whose models are not there: SageMaker would
// notice minutes later, and roll back.
func (p *preflight) models(ctx context.Context) error {
	var errs []error
	var seen []string
	for _, vs := range [][]types.ProductionVariant{p.to.ProductionVariants, p.to.ShadowProductionVariants} {
		for i := range vs {
			for _, model := range modelsOf(&vs[i]) {
				if slices.Contains(seen, model) {
					continue
				}
				seen = append(seen, model)
				out, err := call(ctx, p.sm.DescribeModel, &sm.DescribeModelInput{ModelName: &model})
				if err != nil {
					errs = append(errs, fmt.Errorf("model %s: %w", model, err))
					continue
				}
				p.secrets.learnModel(out)
				if p.used != nil && packaged(out) {
					p.caution("model %s is made from a model package: if that is of the Marketplace, AWS ignores the deployment configuration and moves all at once", model)
				}
			}
		}
	}
	return errors.Join(errs...)
}

func packaged(m *sm.DescribeModelOutput) bool {
	return slices.ContainsFunc(m.Containers, func(c types.ContainerDefinition) bool { return c.ModelPackageName != nil }) ||
		m.PrimaryContainer != nil && m.PrimaryContainer.ModelPackageName != nil
}

// alarms refuses rollback alarms that would end the deployment at once, or
// never.
func (p *preflight) alarms(ctx context.Context) error {
	if p.used == nil {
		return nil
	}
	return p.rollbackAlarms(ctx, p.used.AutoRollbackConfiguration, p.caution)
}

// scalableTargets refuses an update that the targets of changing variants
// would make SageMaker refuse.
func (p *preflight) scalableTargets(ctx context.Context) error {
	ids, err := p.resources(ctx, p.live)
	if err != nil {
		return err
	}
	targets, err := p.targets(ctx, ids)
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range targets {
		deregistered := p.change.AutoscalingSuspended && t.Variant != "" && p.mode == AutoscalingDeregister
		if why := obstacle(t.Variant, p.from, p.to); t.Variant != "" && why != "" {
			switch {
			case !p.change.AutoscalingSuspended:
				errs = append(errs, fmt.Errorf("%s: %w: only a strategy that suspends autoscaling can do that", why, ErrScalableTarget))
			case p.mode == AutoscalingRetain || p.mode == AutoscalingSuspend:
				errs = append(errs, fmt.Errorf("%s: %w: autoscaling mode %s does not deregister it", why, ErrScalableTarget, p.mode))
			}
			deregistered = true
		}
		if n, most := p.settings[t.setting()], int(t.Max); n > most {
			p.caution("%s=%d is above the %d that its scalable target allows: AWS takes it back when scaling resumes", t.setting(), n, most)
		}
		if deregistered {
			errs = append(errs, p.ownAlarms(t))
		}
	}
	return errors.Join(errs...)
}

// ownAlarms refuses rollback alarms that would vanish with a target.
func (p *preflight) ownAlarms(t *target) error {
	if p.used == nil || p.used.AutoRollbackConfiguration == nil {
		return nil
	}
	for _, a := range p.used.AutoRollbackConfiguration.Alarms {
		name := deref(a.AlarmName)
		if strings.HasPrefix(name, "TargetTracking-"+t.ResourceID+"-") {
			return invalid("DeploymentConfig.AutoRollbackConfiguration names the alarm %s, which is gone while %s is deregistered", name, t)
		}
	}
	return nil
}
