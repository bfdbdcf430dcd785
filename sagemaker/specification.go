package sagemaker

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
)

// summaries are a component's specifications as SageMaker shows them: one for
// all instance types, or one for each.
func summaries(out *sm.DescribeInferenceComponentOutput) []types.InferenceComponentSpecificationSummary {
	if len(out.Specifications) > 0 {
		return out.Specifications
	}
	if out.Specification == nil {
		return nil
	}
	return []types.InferenceComponentSpecificationSummary{*out.Specification}
}

// specificationsOf are what would give a component the specifications that it
// has. It refuses those that could not be written again: SageMaker shows a
// container's environment, and a rollout keeps none.
func specificationsOf(out *sm.DescribeInferenceComponentOutput) ([]types.InferenceComponentSpecification, error) {
	all := summaries(out)
	if len(all) == 0 {
		return nil, unclear("an inference component without a specification")
	}
	var specs []types.InferenceComponentSpecification
	for i := range all {
		s := &all[i]
		if base := deref(s.BaseInferenceComponentName); base != "" {
			return nil, fmt.Errorf("it is an adapter of the inference component %s, and its artifact is in its own container, which is gone after an update: %w",
				base, endpoint.ErrInvalid)
		}
		if deref(s.ModelName) == "" {
			return nil, fmt.Errorf("it has a container of its own and no model, and nothing could bring that container back after an update: "+
				"make a model of the container, by CreateModel, and update the component to that model once: %w", endpoint.ErrInvalid)
		}
		if *s.ModelName != deref(all[0].ModelName) {
			return nil, fmt.Errorf("it has the model %s on %s and %s on %s, and a rollout moves all of a component to one model: %w",
				deref(all[0].ModelName), all[0].InstanceType, *s.ModelName, s.InstanceType, endpoint.ErrInvalid)
		}
		specs = append(specs, specificationOf(s))
	}
	return specs, nil
}

// specificationOf copies every field of a summary but the container's image,
// artifact and environment, which a model has. A test holds it to that.
func specificationOf(s *types.InferenceComponentSpecificationSummary) types.InferenceComponentSpecification {
	spec := types.InferenceComponentSpecification{
		BaseInferenceComponentName:  s.BaseInferenceComponentName,
		ComputeResourceRequirements: s.ComputeResourceRequirements,
		InstanceType:                s.InstanceType,
		ModelName:                   s.ModelName,
		SchedulingConfig:            s.SchedulingConfig,
		StartupParameters:           s.StartupParameters,
	}
	if s.DataCacheConfig != nil {
		spec.DataCacheConfig = &types.InferenceComponentDataCacheConfig{EnableCaching: s.DataCacheConfig.EnableCaching}
	}
	if s.Container != nil && s.Container.ContainerMetricsConfig != nil {
		spec.Container = &types.InferenceComponentContainerSpecification{ContainerMetricsConfig: s.Container.ContainerMetricsConfig}
	}
	return spec
}

// withModel gives specifications another model.
func withModel(specs []types.InferenceComponentSpecification, model string) []types.InferenceComponentSpecification {
	specs = slices.Clone(specs)
	for i := range specs {
		specs[i].ModelName = &model
	}
	return specs
}

// revisionOf names specifications of one model.
func revisionOf(specs []types.InferenceComponentSpecification) endpoint.Revision {
	model := deref(specs[0].ModelName)
	sum := sha256.Sum256([]byte(text(specs)))
	return endpoint.Revision{Kind: KindModel, ID: model, Artifact: model, Digest: "specification:" + hex.EncodeToString(sum[:8])}
}

// shown is the revision that a description shows. One that could not be written
// again has the name of the component's container or base instead of a model's.
func shown(out *sm.DescribeInferenceComponentOutput) endpoint.Revision {
	specs, err := specificationsOf(out)
	if err == nil {
		return revisionOf(specs)
	}
	all := summaries(out)
	switch {
	case len(all) == 0:
		return endpoint.Revision{}
	case deref(all[0].BaseInferenceComponentName) != "":
		return endpoint.Revision{Kind: "adapter", Artifact: deref(all[0].BaseInferenceComponentName)}
	case deref(all[0].ModelName) != "":
		return endpoint.Revision{Kind: "models", Artifact: deref(all[0].ModelName)}
	}
	image := "unknown"
	if ctr := all[0].Container; ctr != nil && ctr.DeployedImage != nil {
		image = clip(deref(ctr.DeployedImage.SpecifiedImage))
	}
	return endpoint.Revision{Kind: "container", Artifact: image}
}
