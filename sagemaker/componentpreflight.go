package sagemaker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
)

// Preflight refuses a change that SageMaker would refuse, or that could not
// work or not be undone. It only reads. The errors are
//
//   - [endpoint.ErrNotFound]: the component, its endpoint or the model does not exist
//   - [endpoint.ErrBusy]: a change of the component or of its endpoint is in progress
//   - [endpoint.ErrFailed]: the component or its endpoint is in a state that takes no update
//   - [endpoint.ErrUnhealthy]: a rollback alarm is in ALARM already
//   - [endpoint.ErrInvalid]: the component has a container of its own, is an
//     adapter, or has adapters; or the options or a setting is against one of
//     AWS's rules: the error names the field, its value and the limit
func (c *Component) Preflight(ctx context.Context, ch endpoint.Change, settings endpoint.Settings) ([]string, error) {
	p := componentPreflight{Component: c, change: ch, settings: settings}
	if err := p.run(ctx); err != nil {
		return nil, c.wrap("preflight", err)
	}
	return p.cautions, nil
}

type componentPreflight struct {
	*Component
	change   endpoint.Change
	settings endpoint.Settings
	options  ComponentUpdateOptions
	live     *sm.DescribeInferenceComponentOutput
	cautions []string
}

func (p *componentPreflight) caution(format string, args ...any) {
	p.cautions = append(p.cautions, clip(fmt.Sprintf(format, args...)))
}

func (p *componentPreflight) run(ctx context.Context) (err error) {
	if p.options, err = p.optionsOf(p.change); err != nil {
		return err
	}
	if p.change.To.Kind != KindModel || p.change.To.ID == "" {
		return invalid("revision %s: want one of kind %q: resolve it first", p.change.To, KindModel)
	}
	if p.live, err = p.describe(ctx); err != nil {
		return err
	}
	if err := p.rests(ctx); err != nil {
		return err
	}
	if _, err := specificationsOf(p.live); err != nil {
		return err
	}
	if err := errors.Join(p.checkSettings(), p.checkSizes()); err != nil {
		return err
	}
	if err := errors.Join(p.model(ctx), p.containers(ctx), p.noAdapters(ctx), p.alarms(ctx), p.bounds(ctx)); err != nil {
		return err
	}
	p.costs()
	return contextError(ctx)
}

// rests refuses a component, or an endpoint of it, that takes no update now.
func (p *componentPreflight) rests(ctx context.Context) error {
	host, err := call(ctx, p.sm.DescribeEndpoint, &sm.DescribeEndpointInput{EndpointName: &p.endpoint})
	if err != nil {
		return fmt.Errorf("endpoint %s: %w", p.endpoint, err)
	}
	for _, of := range []struct {
		name, status, reason string
		phase                endpoint.Phase
	}{
		{"the inference component", string(p.live.InferenceComponentStatus), componentReason(p.live), componentPhase(p.live.InferenceComponentStatus)},
		{"endpoint " + p.endpoint, string(host.EndpointStatus), reasonOf(host), phaseOf(host.EndpointStatus)},
	} {
		switch of.phase { //nolint:exhaustive // the others are changes in progress
		case endpoint.PhaseReady:
		case endpoint.PhaseFailed:
			return fmt.Errorf("%w: %s", endpoint.ErrFailed, of.reason)
		default:
			return fmt.Errorf("%s is %s: %w", of.name, of.status, endpoint.ErrBusy)
		}
	}
	return nil
}

func (p *componentPreflight) checkSettings() error {
	var errs []error
	for _, key := range p.settings.Keys() {
		errs = append(errs, checkCopies(key, p.settings[key]))
	}
	return errors.Join(errs...)
}

// copies is how many copies the component has while it is updated.
func (p *componentPreflight) copies() int { return max(copiesOf(p.live), p.settings[SettingCopies]) }

// checkSizes holds the batches to the number of copies.
func (p *componentPreflight) checkSizes() error {
	n := p.copies()
	if n == 0 {
		return nil // nothing is replaced
	}
	var errs []error
	for _, s := range componentSizes(p.options.DeploymentConfig) {
		errs = append(errs, s.checkCount("inference component "+p.name, n))
	}
	return errors.Join(errs...)
}

// model refuses a model that is not there: SageMaker would notice minutes
// later, and go back.
func (p *componentPreflight) model(ctx context.Context) error {
	if _, err := call(ctx, p.sm.DescribeModel, &sm.DescribeModelInput{ModelName: &p.change.To.ID}); err != nil {
		return fmt.Errorf("model %s: %w", p.change.To.ID, err)
	}
	return nil
}

// containers refuses a component that says something of its container beside
// its model: that would be lost, and a rollout keeps no environment. What the
// model itself says may be shown with the component.
func (p *componentPreflight) containers(ctx context.Context) error {
	for _, s := range summaries(p.live) {
		ctr := s.Container
		if ctr == nil || len(ctr.Environment) == 0 && deref(ctr.ArtifactUrl) == "" {
			continue
		}
		m, err := call(ctx, p.sm.DescribeModel, &sm.DescribeModelInput{ModelName: s.ModelName})
		if err != nil {
			return fmt.Errorf("model %s: %w", deref(s.ModelName), err)
		}
		var of types.ContainerDefinition
		if m.PrimaryContainer != nil {
			of = *m.PrimaryContainer
		}
		if !maps.Equal(ctr.Environment, of.Environment) || deref(ctr.ArtifactUrl) != deref(of.ModelDataUrl) {
			return fmt.Errorf("it has the model %s and a container of its own beside it, with another environment or artifact, and nothing could bring that back after an update: "+
				"make a model that has them: %w", deref(s.ModelName), endpoint.ErrInvalid)
		}
	}
	return nil
}

// noAdapters refuses a component that others are adapters of.
func (p *componentPreflight) noAdapters(ctx context.Context) error {
	names, err := p.adapters(ctx)
	if err != nil || names == nil {
		return err
	}
	return fmt.Errorf("AWS calls it a base inference component, since %s are its adapters: they were made for its model, and AWS does not say what becomes of them when it changes; "+
		"delete them first, and make them again for the new model: %w", strings.Join(names, ", "), endpoint.ErrInvalid)
}

// alarms refuses rollback alarms that would end the deployment at once, or never.
func (p *componentPreflight) alarms(ctx context.Context) error {
	if p.options.DeploymentConfig == nil {
		return nil
	}
	return p.rollbackAlarms(ctx, p.options.DeploymentConfig.AutoRollbackConfiguration, p.caution)
}

// bounds warns of copies that autoscaling would take back.
func (p *componentPreflight) bounds(ctx context.Context) error {
	all, err := p.targets(ctx, p.resource())
	if errors.Is(err, endpoint.ErrUnauthorized) && !p.change.AutoscalingSuspended {
		return nil // a strategy that leaves autoscaling alone does without reading it
	}
	for _, t := range all {
		if n := p.settings[SettingCopies]; n > int(t.Max) {
			p.caution("%s=%d is above the %d that its scalable target allows: AWS takes it back when scaling resumes", SettingCopies, n, t.Max)
		}
	}
	return err
}

// costs says what a person should know before agreeing.
func (p *componentPreflight) costs() {
	n := p.copies()
	batches, wait, limit := p.options.times(n)
	p.caution("the update cannot be stopped once SageMaker has accepted it (rolling, in %d batches)", batches)
	p.caution("old and new copies serve side by side while the update runs: requests and answers of both models have to fit")
	switch {
	case n == 0:
		p.caution("the inference component has no copy now: nothing would start the new model to prove it")
	case p.options.DeploymentConfig == nil && n == 1:
		p.caution("the inference component has 1 copy and no rolling policy: whether requests are served while it is replaced is not known; have 2 copies or more")
	case p.options.DeploymentConfig == nil:
		p.caution("without a DeploymentConfig, SageMaker's defaults decide how many of the %d copies are replaced at a time", n)
	}
	if n > 0 {
		p.caution("extra capacity: a batch of new copies needs accelerators and memory on the instances of variant %s beside the old ones; "+
			"where they are full, SageMaker waits for instances that managed scaling adds, and fails without", deref(p.live.VariantName))
	}
	slack(limit, times(wait, batches), componentStart(p.live), batches, p.caution)
}

// slack warns of a deployment that waits so long that its time limit leaves
// instances or copies less time to start than they are given.
func slack(limit, waits, start time.Duration, batches int, caution func(string, ...any)) {
	if limit == 0 || start == 0 || batches < 1 {
		return
	}
	left := limit - waits
	if each := left / time.Duration(batches); each < start {
		caution("the deployment may take %v, %v of which it waits: %v are left for launching %s, and each may take %v to start by its configuration; past that SageMaker rolls back",
			limit, waits, left, counted(batches, "batch", "batches"), start)
	}
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
