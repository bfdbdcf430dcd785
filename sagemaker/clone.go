package sagemaker

import (
	"context"
	"strings"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

// inputOf is what would create an endpoint configuration like the described
// one, without its tags. Every field of the description is copied here but its
// ARN and its time of creation; a test holds it to that.
func inputOf(out *sm.DescribeEndpointConfigOutput) (*sm.CreateEndpointConfigInput, error) {
	return copyOf(&sm.CreateEndpointConfigInput{
		EndpointConfigName:       out.EndpointConfigName,
		ProductionVariants:       out.ProductionVariants,
		ShadowProductionVariants: out.ShadowProductionVariants,
		AsyncInferenceConfig:     out.AsyncInferenceConfig,
		DataCaptureConfig:        out.DataCaptureConfig,
		EnableNetworkIsolation:   out.EnableNetworkIsolation,
		ExecutionRoleArn:         out.ExecutionRoleArn,
		ExplainerConfig:          out.ExplainerConfig,
		KmsKeyId:                 out.KmsKeyId,
		MetricsConfig:            out.MetricsConfig,
		VpcConfig:                out.VpcConfig,
	})
}

// clone is what would create an endpoint configuration like the one named
// base, with its tags, and with the counts that the endpoint has now.
func (e *Endpoint) clone(ctx context.Context, base string) (*sm.CreateEndpointConfigInput, error) {
	described, err := e.describeConfig(ctx, base)
	if err != nil {
		return nil, err
	}
	live, err := e.describe(ctx)
	if err != nil {
		return nil, err
	}
	in, err := meaning(described)
	if err != nil {
		return nil, err
	}
	if in.Tags, err = e.tags(ctx, deref(described.EndpointConfigArn)); err != nil {
		return nil, err
	}
	overlay(in.ProductionVariants, live.ProductionVariants)
	overlay(in.ShadowProductionVariants, live.ShadowProductionVariants)
	return in, nil
}

// observabilityDefault is when the meaning of a MetricsConfig that does not say
// EnableDetailedObservability changed: of configurations that were made before it
// is false, and of later ones true (the release notes of the SDK, 2026-06-16).
var observabilityDefault = time.Date(2026, time.June, 16, 0, 0, 0, 0, time.UTC)

// pinDefaults writes down in a copy what a configuration means by leaving it
// out, where AWS has changed its default since that was made.
func pinDefaults(in *sm.CreateEndpointConfigInput, made time.Time) {
	m := types.MetricsConfig{}
	if in.MetricsConfig != nil {
		m = *in.MetricsConfig
	}
	if m.EnableDetailedObservability == nil {
		m.EnableDetailedObservability = ptr(!made.Before(observabilityDefault))
	}
	in.MetricsConfig = &m
}

// meaning is the described configuration with its defaults written down.
func meaning(out *sm.DescribeEndpointConfigOutput) (*sm.CreateEndpointConfigInput, error) {
	in, err := inputOf(out)
	if err == nil {
		pinDefaults(in, deref(out.CreationTime))
	}
	return in, err
}

// overlay gives variants the capacity that the variants of their name have
// now. That is advice only: what counts is retained by the update itself. One
// that SageMaker scales itself keeps the count of its base. A variant that is scaled to zero keeps the count of its base, since AWS takes
// no configuration with less than one instance.
func overlay(variants []types.ProductionVariant, live []types.ProductionVariantSummary) {
	for i := range variants {
		v := &variants[i]
		v.AcceleratorType = "" // Elastic Inference is gone, and AWS takes no new configuration with it
		if len(modelsOf(v)) == 0 {
			v.InitialVariantWeight = nil // variants of inference components have no weights
		}
		for j := range live {
			now := &live[j]
			if deref(now.VariantName) != deref(v.VariantName) {
				continue
			}
			if n := deref(now.DesiredInstanceCount); n >= 1 && v.InitialInstanceCount != nil && !managed(now) {
				v.InitialInstanceCount = &n
			}
			if now.DesiredServerlessConfig != nil && v.ServerlessConfig != nil {
				c := *now.DesiredServerlessConfig
				v.ServerlessConfig = &c
			}
		}
	}
}

// managed reports whether SageMaker itself scales a variant's instances, with the
// inference components on them.
func managed(v *types.ProductionVariantSummary) bool {
	return v.ManagedInstanceScaling != nil && v.ManagedInstanceScaling.Status != types.ManagedInstanceScalingStatusDisabled
}

// tagFrom is on every configuration that this package makes: the name of the
// one that it was made from, which clean-up never removes.
const tagFrom = "changeover:from"

// maxTags is how many tags AWS allows.
const maxTags = 50

// tags are a resource's tags but AWS's, which only AWS may write, and this
// package's.
func (e *Endpoint) tags(ctx context.Context, arn string) ([]types.Tag, error) {
	var all []types.Tag
	err := e.eachTag(ctx, arn, func(t types.Tag) {
		if key := deref(t.Key); !strings.HasPrefix(key, "aws:") && key != tagFrom {
			all = append(all, types.Tag{Key: t.Key, Value: t.Value})
		}
	})
	return all, err
}

func (e *Endpoint) eachTag(ctx context.Context, arn string, f func(types.Tag)) error {
	if arn == "" {
		return unclear("a resource without an ARN")
	}
	return pages(func(token *string) (*string, error) {
		out, err := call(ctx, e.sm.ListTags, &sm.ListTagsInput{ResourceArn: &arn, NextToken: token})
		if err != nil {
			return nil, err
		}
		for _, t := range out.Tags {
			f(t)
		}
		return out.NextToken, nil
	})
}

// pages asks for one page after the other. A token that comes twice in a row
// would never end.
func pages(page func(token *string) (next *string, err error)) error {
	var token *string
	for {
		next, err := page(token)
		switch {
		case err != nil:
			return err
		case next == nil || *next == "":
			return nil
		case token != nil && *token == *next:
			return unclear("the same page token twice")
		}
		token = next
	}
}
