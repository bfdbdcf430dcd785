package sagemakertest

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

// component is an inference component.
type component struct {
	name, arn         string
	endpoint, variant string
	specs             []types.InferenceComponentSpecification // one, unless many
	many              bool                                    // it was made with Specifications
	created, modified time.Time
	desired, current  int32 // copies
	status            types.InferenceComponentStatus
	reason            string
	last              *types.InferenceComponentDeploymentConfig
	job               *componentJob // what is in progress
	tags              map[string]string
}

func (c *component) clone() *component {
	n := *c
	if c.job != nil {
		j := *c.job
		n.job = &j
	}
	return &n
}

func componentARN(name string) string { return arn("sagemaker", "inference-component/"+name) }

// component finds a component that must be there.
func (a *account) component(name string) (*component, error) {
	c, ok := a.comps[name]
	if !ok {
		return nil, invalid("Could not find inference component %q.", componentARN(name))
	}
	return c, nil
}

func (a *account) createInferenceComponent(in *sagemaker.CreateInferenceComponentInput) (*sagemaker.CreateInferenceComponentOutput, error) {
	name := str(in.InferenceComponentName)
	if _, ok := a.comps[name]; ok {
		return nil, invalid("Cannot create already existing inference component %q.", componentARN(name))
	}
	e, err := a.find(str(in.EndpointName))
	if err != nil {
		return nil, err
	}
	if err := e.idle(statusInService); err != nil {
		return nil, err
	}
	c := &component{
		name: name, arn: componentARN(name), endpoint: e.name, variant: str(in.VariantName), created: a.now, modified: a.now,
		status: types.InferenceComponentStatusCreating, many: len(in.Specifications) > 0,
	}
	if c.specs, err = specifications(in.Specification, in.Specifications); err != nil {
		return nil, err
	}
	if c.specs == nil {
		return nil, invalid("One of Specification and Specifications must be specified.")
	}
	if err := a.checkSpecifications(c, c.specs); err != nil {
		return nil, err
	}
	if c.base() == "" {
		v := e.variant(c.variant)
		switch {
		case v == nil:
			return nil, invalid("Could not find variant %q of endpoint %q.", c.variant, e.arn)
		case v.spec.ModelName != nil:
			return nil, invalid("Variant %q of endpoint %q has a model, and cannot host inference components.", v.name, e.arn)
		case in.RuntimeConfig == nil:
			return nil, invalid("RuntimeConfig is required.")
		}
		c.desired = num(in.RuntimeConfig.CopyCount)
	}
	if c.tags, err = newTags(in.Tags); err != nil {
		return nil, err
	}
	c.begin(&componentJob{kind: copiesStart, fate: a.componentFate(c, c.specs), until: a.now.Add(a.behaviour.launch())}, a.now)
	c.status = types.InferenceComponentStatusCreating
	a.comps[name] = c
	return &sagemaker.CreateInferenceComponentOutput{InferenceComponentArn: &c.arn}, nil
}

// base is the component that c is an adapter of; empty if it is none.
func (c *component) base() string { return str(c.specs[0].BaseInferenceComponentName) }

// specifications are those of a request, which may have none.
func specifications(one *types.InferenceComponentSpecification, many []types.InferenceComponentSpecification) ([]types.InferenceComponentSpecification, error) {
	switch {
	case one != nil && len(many) > 0:
		return nil, invalid("Only one of Specification and Specifications can be specified.")
	case one != nil:
		return []types.InferenceComponentSpecification{*one}, nil
	}
	return many, nil
}

// checkSpecifications holds the rules between the members of specifications.
func (a *account) checkSpecifications(c *component, specs []types.InferenceComponentSpecification) error {
	seen := map[types.ProductionVariantInstanceType]bool{}
	for _, s := range specs {
		if len(specs) > 1 && s.InstanceType == "" {
			return invalid("InstanceType is required for each of multiple specifications.")
		}
		if seen[s.InstanceType] {
			return invalid("InstanceType %q must be unique.", s.InstanceType)
		}
		seen[s.InstanceType] = true
		if base := str(s.BaseInferenceComponentName); base != "" {
			of, err := a.component(base)
			if err != nil {
				return err
			}
			if of.endpoint != c.endpoint || s.ModelName != nil || s.ComputeResourceRequirements != nil || s.Container == nil || s.Container.ArtifactUrl == nil {
				return invalid("An adapter inference component needs a Container with an ArtifactUrl, and neither ModelName nor ComputeResourceRequirements.")
			}
			continue
		}
		switch {
		case s.ModelName == nil && (s.Container == nil || s.Container.Image == nil):
			return invalid("One of ModelName and Container must be specified.")
		case s.ModelName != nil && s.Container != nil && s.Container.Image != nil:
			return invalid("Only one of ModelName and Container.Image can be specified.")
		case s.ComputeResourceRequirements == nil:
			return invalid("ComputeResourceRequirements is required.")
		}
		if s.ModelName != nil {
			if _, err := a.model(*s.ModelName); err != nil {
				return err
			}
		}
	}
	return nil
}

// deleteInferenceComponent lets the copies go, and the component with them.
func (a *account) deleteInferenceComponent(in *sagemaker.DeleteInferenceComponentInput) (*sagemaker.DeleteInferenceComponentOutput, error) {
	c, err := a.component(str(in.InferenceComponentName))
	if err != nil {
		return nil, err
	}
	if c.status == types.InferenceComponentStatusDeleting {
		return nil, invalid("Inference component %q is in DELETE_IN_PROGRESS.", c.arn)
	}
	if err := c.idle(); err != nil && c.status != types.InferenceComponentStatusFailed {
		return nil, err
	}
	for _, other := range a.comps {
		if other.base() == c.name {
			return nil, invalid("Inference component %q is a base inference component for one or more associated inference components.", c.arn)
		}
	}
	for _, t := range a.allTargets() {
		if t.component == c.name {
			a.removeTarget(t)
		}
	}
	c.begin(&componentJob{kind: copiesGo, until: a.now.Add(a.behaviour.terminate())}, a.now)
	c.status = types.InferenceComponentStatusDeleting
	return &sagemaker.DeleteInferenceComponentOutput{}, nil
}

func (a *account) describeInferenceComponent(in *sagemaker.DescribeInferenceComponentInput) (*sagemaker.DescribeInferenceComponentOutput, error) {
	c, err := a.component(str(in.InferenceComponentName))
	if err != nil {
		return nil, err
	}
	out := &sagemaker.DescribeInferenceComponentOutput{
		InferenceComponentName: &c.name, InferenceComponentArn: &c.arn, EndpointName: &c.endpoint, EndpointArn: ref(endpointARN(c.endpoint)),
		CreationTime: &c.created, LastModifiedTime: &c.modified, InferenceComponentStatus: c.status, LastDeploymentConfig: c.last,
		RuntimeConfig: &types.InferenceComponentRuntimeConfigSummary{CurrentCopyCount: ref(c.up()), DesiredCopyCount: &c.desired},
	}
	if c.variant != "" {
		out.VariantName = &c.variant
	}
	if c.status == types.InferenceComponentStatusFailed && c.reason != "" {
		out.FailureReason = &c.reason
	}
	specs := c.specs
	if j := c.job; j != nil && j.kind == copiesReplaced && a.behaviour.NewSpecificationWhileUpdating {
		specs = j.to
	}
	var shown []types.InferenceComponentSpecificationSummary
	for _, s := range specs {
		shown = append(shown, a.specificationSummary(s))
	}
	if c.many {
		out.Specifications = shown
	} else {
		out.Specification = &shown[0]
	}
	return out, nil
}

// specificationSummary is a specification as it is described: with what its
// container was resolved to.
func (a *account) specificationSummary(s types.InferenceComponentSpecification) types.InferenceComponentSpecificationSummary {
	out := types.InferenceComponentSpecificationSummary{
		ModelName: s.ModelName, BaseInferenceComponentName: s.BaseInferenceComponentName, InstanceType: s.InstanceType,
		ComputeResourceRequirements: s.ComputeResourceRequirements, StartupParameters: s.StartupParameters, SchedulingConfig: s.SchedulingConfig,
	}
	if s.DataCacheConfig != nil {
		out.DataCacheConfig = &types.InferenceComponentDataCacheConfigSummary{EnableCaching: s.DataCacheConfig.EnableCaching}
	}
	if s.Container != nil {
		out.Container = &types.InferenceComponentContainerSpecificationSummary{
			ArtifactUrl: s.Container.ArtifactUrl, ContainerMetricsConfig: s.Container.ContainerMetricsConfig, Environment: s.Container.Environment,
		}
		if s.Container.Image != nil {
			out.Container.DeployedImage = &types.DeployedImage{SpecifiedImage: s.Container.Image, ResolvedImage: s.Container.Image, ResolutionTime: &a.now}
		}
	}
	if images := a.images(str(s.ModelName)); len(images) > 0 {
		if out.Container == nil {
			out.Container = &types.InferenceComponentContainerSpecificationSummary{}
		}
		out.Container.DeployedImage = &images[0]
		if a.behaviour.ShowModelEnvironment {
			if m := a.models[*s.ModelName]; m.in.PrimaryContainer != nil {
				out.Container.Environment, out.Container.ArtifactUrl = m.in.PrimaryContainer.Environment, m.in.PrimaryContainer.ModelDataUrl
			}
		}
	}
	return out
}

func (a *account) listInferenceComponents(in *sagemaker.ListInferenceComponentsInput) (*sagemaker.ListInferenceComponentsOutput, error) {
	var all []types.InferenceComponentSummary
	for _, c := range a.comps {
		if in.EndpointNameEquals != nil && *in.EndpointNameEquals != c.endpoint ||
			in.VariantNameEquals != nil && *in.VariantNameEquals != c.variant ||
			in.StatusEquals != "" && in.StatusEquals != c.status ||
			!contains(c.name, in.NameContains) || !within(c.created, in.CreationTimeAfter, in.CreationTimeBefore) ||
			!within(c.modified, in.LastModifiedTimeAfter, in.LastModifiedTimeBefore) {
			continue
		}
		all = append(all, types.InferenceComponentSummary{
			InferenceComponentName: &c.name, InferenceComponentArn: &c.arn, EndpointName: &c.endpoint,
			EndpointArn: ref(endpointARN(c.endpoint)), VariantName: &c.variant,
			CreationTime: &c.created, LastModifiedTime: &c.modified, InferenceComponentStatus: c.status,
		})
	}
	ordered(all, in.SortOrder != types.OrderKeyAscending, func(s types.InferenceComponentSummary) time.Time { return *s.CreationTime },
		in.SortBy == types.InferenceComponentSortKeyName, func(s types.InferenceComponentSummary) string { return *s.InferenceComponentName })
	asked := *in // a token is good for the same question only
	asked.NextToken, asked.MaxResults = nil, nil
	items, next, err := page(all, "inference components "+flat(&asked), in.NextToken, size(in.MaxResults, 10), errToken)
	return &sagemaker.ListInferenceComponentsOutput{InferenceComponents: items, NextToken: next}, err
}

// componentsOf are the components of an endpoint, by name.
func (a *account) componentsOf(e *endpoint) []string {
	var names []string
	for _, c := range a.comps {
		if c.endpoint == e.name {
			names = append(names, c.name)
		}
	}
	slices.Sort(names)
	return names
}
