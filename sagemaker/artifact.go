package sagemaker

import (
	"slices"
	"strings"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

// modelsOf are the models of one variant, each once: its own, and those that
// its instance pools have instead.
func modelsOf(v *types.ProductionVariant) []string {
	var models []string
	add := func(name *string) {
		if name != nil && *name != "" && !slices.Contains(models, *name) {
			models = append(models, *name)
		}
	}
	add(v.ModelName)
	for _, p := range v.InstancePools {
		add(p.ModelNameOverride)
	}
	return models
}

// artifactOf names the models of an endpoint configuration: "model-a" if there
// is one and no shadow variant, and else "main=model-a,shadow=model-b" in the
// order of the variants' names. Instance pools with models of their own read
// "main=model-a+model-b". It is empty if the models are in inference components.
func artifactOf(production, shadow []types.ProductionVariant) string {
	var parts, all []string
	for _, v := range slices.Concat(production, shadow) {
		models := modelsOf(&v)
		if len(models) == 0 {
			continue
		}
		parts = append(parts, deref(v.VariantName)+"="+strings.Join(models, "+"))
		for _, m := range models {
			if !slices.Contains(all, m) {
				all = append(all, m)
			}
		}
	}
	if len(all) == 1 && len(shadow) == 0 {
		return all[0]
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// swap gives production variants another model, their instance pools included.
// The artifact is a model's name, for all of them, or a list as [artifactOf]
// writes it, for those it names; shadow variants change only if they are named.
func swap(in *sm.CreateEndpointConfigInput, artifact string) error {
	if !strings.Contains(artifact, "=") {
		if !entityName.MatchString(artifact) {
			return invalid("model name %q: AWS allows 1 to 63 letters, digits and hyphens", artifact)
		}
		swapped := false
		for i := range in.ProductionVariants {
			swapped = swapVariant(&in.ProductionVariants[i], artifact) || swapped
		}
		if !swapped {
			return invalid("no variant of the base names a model: the models of an endpoint with inference components are rolled one by one")
		}
		return nil
	}
	done := map[string]bool{}
	for part := range strings.SplitSeq(artifact, ",") {
		name, model, ok := strings.Cut(part, "=")
		if !ok || !entityName.MatchString(model) || done[name] {
			return invalid("artifact %q: want a model's name, or VARIANT=MODEL, each variant once, separated by commas", artifact)
		}
		done[name] = true
		v := variant(in, name)
		if v == nil || !swapVariant(v, model) {
			return invalid("artifact %q: the base has no variant %s with a model", artifact, name)
		}
	}
	return nil
}

// variant finds a variant of the configuration, shadow variants included.
func variant(in *sm.CreateEndpointConfigInput, name string) *types.ProductionVariant {
	for _, vs := range [][]types.ProductionVariant{in.ProductionVariants, in.ShadowProductionVariants} {
		for i := range vs {
			if deref(vs[i].VariantName) == name {
				return &vs[i]
			}
		}
	}
	return nil
}

func swapVariant(v *types.ProductionVariant, model string) (swapped bool) {
	if v.ModelName != nil {
		v.ModelName, swapped = &model, true
	}
	for i := range v.InstancePools {
		if p := &v.InstancePools[i]; p.ModelNameOverride != nil {
			p.ModelNameOverride, swapped = &model, true
		}
	}
	return swapped
}

// deref is the value that p points at, or its zero.
func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func ptr[T any](v T) *T { return &v }
