package sagemaker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
)

// Preflight refuses a change that SageMaker would refuse, or that could not
// work or not be undone. It only reads. The errors are
//
//   - [endpoint.ErrNotFound]: the endpoint, its present configuration, the new
//     one, or one of its models does not exist
//   - [endpoint.ErrBusy]: a change is in progress, or a running inference
//     experiment owns the endpoint
//   - [endpoint.ErrFailed]: the endpoint is in a state that takes no update
//   - [endpoint.ErrSameArtifact]: the new configuration says nothing else than
//     the one in service but for its name and its counts
//   - [ErrScalableTarget]: a scalable target stands in the way, and neither
//     the strategy nor the autoscaling mode takes it away
//   - [endpoint.ErrUnhealthy]: a rollback alarm rings already
//   - [endpoint.ErrInvalid]: the options, the configuration or a setting is
//     against one of AWS's rules; the error names the field, its value and the
//     limit
//
// The rules about deployments are from AWS's pages on deployment guardrails
// and their exclusions. A capacity reservation that has too few instances left is
// [endpoint.ErrQuota], and so is a quota that is too small, if [WithQuota] lets it
// be read; else SageMaker checks quotas when the configuration is made or the
// update is asked for, and its answer is [endpoint.ErrQuota] with AWS's numbers.
func (e *Endpoint) Preflight(ctx context.Context, c endpoint.Change, settings endpoint.Settings) ([]string, error) {
	p := preflight{Endpoint: e, change: c, settings: settings}
	if err := p.run(ctx); err != nil {
		return nil, e.wrap("preflight", err)
	}
	return p.cautions, nil
}

type preflight struct {
	*Endpoint
	change   endpoint.Change
	settings endpoint.Settings
	options  UpdateOptions
	used     *types.DeploymentConfig // also if it is that of the last update
	live     *sm.DescribeEndpointOutput
	from, to *sm.CreateEndpointConfigInput
	cautions []string
}

func (p *preflight) caution(format string, args ...any) {
	p.cautions = append(p.cautions, clip(fmt.Sprintf(format, args...)))
}

func (p *preflight) run(ctx context.Context) (err error) {
	if p.options, err = p.optionsOf(p.change); err != nil {
		return err
	}
	if p.live, err = p.describe(ctx); err != nil {
		return err
	}
	if err := p.rests(); err != nil {
		return err
	}
	if p.from, err = p.liveConfig(ctx, p.live); err != nil {
		return err
	}
	if p.to, err = p.wanted(ctx, p.change); err != nil {
		return err
	}
	p.used = p.options.DeploymentConfig
	if p.options.RetainDeploymentConfig {
		p.used = p.live.LastDeploymentConfig
	}
	if err := errors.Join(p.different(), p.checkSettings(), p.kinds(), p.pools(), p.guardrails()); err != nil {
		return err
	}
	if err := errors.Join(p.models(ctx), p.alarms(ctx), p.scalableTargets(ctx), p.reservations(ctx), p.quotas(ctx), p.experiment(ctx)); err != nil {
		return err
	}
	p.costs()
	return contextError(ctx)
}

// rests refuses an endpoint that takes no update now.
func (p *preflight) rests() error {
	phase := phaseOf(p.live.EndpointStatus)
	if phase == endpoint.PhaseReady {
		return nil
	}
	if phase == endpoint.PhaseFailed {
		return fmt.Errorf("%w: %s", endpoint.ErrFailed, reasonOf(p.live))
	}
	return fmt.Errorf("the endpoint is %s: %w", p.live.EndpointStatus, endpoint.ErrBusy)
}

// different refuses a configuration that would change nothing that runs.
func (p *preflight) different() error {
	if p.change.To.ID == deref(p.live.EndpointConfigName) {
		return nil // it is served already, which is no error
	}
	if content(p.from) != content(p.to) {
		return nil
	}
	if p.change.Draft != nil && p.change.Draft.Refresh != "" {
		p.caution("%s says the same as %s, which is in service: it is made to move that to new instances (%s)",
			p.change.To.ID, deref(p.live.EndpointConfigName), p.change.Draft.Refresh)
		return nil
	}
	return fmt.Errorf("%s says the same as %s, which is in service: %w; to move that to new instances, refresh it and say why",
		p.change.To.ID, deref(p.live.EndpointConfigName), endpoint.ErrSameArtifact)
}

// content is what of a configuration decides what runs.
func content(in *sm.CreateEndpointConfigInput) string {
	c, err := copyOf(in)
	if err != nil {
		return err.Error()
	}
	c.EndpointConfigName, c.Tags = nil, nil
	for _, vs := range [][]types.ProductionVariant{c.ProductionVariants, c.ShadowProductionVariants} {
		for i := range vs {
			vs[i].InitialInstanceCount = nil
		}
	}
	return text(c)
}

func (p *preflight) checkSettings() error {
	known := settingsOf(p.live)
	var errs []error
	for _, key := range p.settings.Keys() {
		_, err := parseSetting(key, p.settings[key])
		if _, ok := known[key]; err == nil && !ok {
			err = invalid("setting %s: the endpoint has %s", key, strings.Join(known.Keys(), ", "))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// kinds refuses moves between kinds of endpoints that SageMaker refuses.
func (p *preflight) kinds() error {
	var errs []error
	was, is := isServerless(p.from), isServerless(p.to)
	switch {
	case !was && is:
		errs = append(errs, invalid("%s is serverless and the endpoint is not: SageMaker does not allow that update", p.change.To.ID))
	case was && !is:
		p.caution("the endpoint is serverless and %s is not: SageMaker does not allow a rollback", p.change.To.ID)
	}
	switch was, is := p.from.AsyncInferenceConfig != nil, p.to.AsyncInferenceConfig != nil; {
	case was && !is:
		errs = append(errs, invalid("AsyncInferenceConfig is missing in %s: SageMaker does not let it be removed", p.change.To.ID))
	case !was && is:
		p.caution("AsyncInferenceConfig is new in %s, and SageMaker does not let it be removed: it does not allow a rollback", p.change.To.ID)
	}
	for _, v := range p.from.ProductionVariants {
		if v.AcceleratorType != "" {
			p.caution("variant %s has the AcceleratorType %s, which no new configuration may have: going back to it may be refused", deref(v.VariantName), v.AcceleratorType)
		}
	}
	return errors.Join(errs...)
}

func isServerless(in *sm.CreateEndpointConfigInput) bool {
	return slices.ContainsFunc(in.ProductionVariants, func(v types.ProductionVariant) bool { return v.ServerlessConfig != nil })
}

// costs says what a person should know before agreeing.
func (p *preflight) costs() {
	limit := ""
	if _, d := executionLimit(p.used); d > 0 {
		limit = fmt.Sprintf(", for %v at most", d)
	} else if w := waits(p.used); w > 0 {
		limit = fmt.Sprintf(", which waits for up to %v beside its work", w)
	}
	n := 0
	for i := range p.to.ProductionVariants {
		if m, ok := p.count(&p.to.ProductionVariants[i]); ok {
			n = max(n, m)
		}
	}
	_, most := executionLimit(p.used)
	slack(most, waits(p.used), longestStart(p.to), launches(p.used, n), p.caution)
	p.caution("the update cannot be stopped once SageMaker has accepted it (%s%s)", deploymentName(p.used), limit)
	if !isServerless(p.to) {
		if p.used != nil && p.used.RollingUpdatePolicy != nil {
			p.caution("extra capacity: a batch of new instances is billed, and counts against the quota, beside the old ones: %s", p.surgeText())
		} else {
			p.caution("extra capacity: the new fleet and the old one are both billed, and count against the quota, while the update runs: %s more", p.surgeText())
		}
	}
	for _, prop := range []types.VariantPropertyType{types.VariantPropertyTypeDesiredInstanceCount, types.VariantPropertyTypeDesiredWeight} {
		if !p.options.retains(prop) {
			p.caution("%s is not retained: it comes from %s, and stays so if the rollout goes back after the update has come about", prop, p.change.To.ID)
		}
	}
	p.notKept()
	for i := range p.to.ProductionVariants {
		v := &p.to.ProductionVariants[i]
		name := deref(v.VariantName)
		n, ok := settingsOf(p.live)[instancesKey(name)]
		if !ok || !p.options.retains(types.VariantPropertyTypeDesiredInstanceCount) {
			continue
		}
		if n == 0 {
			p.caution("variant %s has no instance now: nothing would start the new model to prove it; exclude DesiredInstanceCount to have one started", name)
		} else if v.InitialInstanceCount != nil && int(*v.InitialInstanceCount) != n {
			p.caution("variant %s keeps its %d instances, the %d of %s are not used", name, n, *v.InitialInstanceCount, p.change.To.ID)
		}
	}
}

// notKept says which values of now nothing brings back.
func (p *preflight) notKept() {
	for i := range p.live.ProductionVariants {
		now := &p.live.ProductionVariants[i]
		name := deref(now.VariantName)
		was, is := variant(p.from, name), variant(p.to, name)
		if c := serverless(now); c != nil && is != nil && is.ServerlessConfig != nil && !keepsConcurrency(now, was, is) {
			p.caution("variant %s does not keep its provisioned concurrency of %d, which cannot be set under both configurations: it comes from the one that is served",
				name, deref(c.ProvisionedConcurrency))
		}
		if is == nil && was != nil && now.DesiredWeight != nil && was.InitialVariantWeight != nil && *now.DesiredWeight != *was.InitialVariantWeight {
			p.caution("variant %s disappears: if the rollout goes back after the update has come about, it has the weight %g of %s, not the %g of now",
				name, *was.InitialVariantWeight, deref(p.live.EndpointConfigName), *now.DesiredWeight)
		}
	}
}
