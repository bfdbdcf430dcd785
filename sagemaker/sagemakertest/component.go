package sagemakertest

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

// component is an inference component. Its copies come and go at once.
type component struct {
	name, arn string
	in        *sagemaker.CreateInferenceComponentInput
	created   time.Time
	copies    int32
}

func (a *account) createInferenceComponent(in *sagemaker.CreateInferenceComponentInput) (*sagemaker.CreateInferenceComponentOutput, error) {
	name := str(in.InferenceComponentName)
	at := arn("sagemaker", "inference-component/"+name)
	if _, ok := a.comps[name]; ok {
		return nil, invalid("Cannot create already existing inference component %q.", at)
	}
	e, err := a.find(str(in.EndpointName))
	if err != nil {
		return nil, err
	}
	if in.VariantName != nil && e.variant(*in.VariantName) == nil {
		return nil, invalid("Could not find variant %q of endpoint %q.", *in.VariantName, e.arn)
	}
	c := &component{name: name, arn: at, in: in, created: a.now}
	if in.RuntimeConfig != nil {
		c.copies = num(in.RuntimeConfig.CopyCount)
	}
	a.comps[name] = c
	return &sagemaker.CreateInferenceComponentOutput{InferenceComponentArn: &c.arn}, nil
}

func (a *account) describeInferenceComponent(in *sagemaker.DescribeInferenceComponentInput) (*sagemaker.DescribeInferenceComponentOutput, error) {
	c, ok := a.comps[str(in.InferenceComponentName)]
	if !ok {
		return nil, invalid("Could not find inference component %q.", arn("sagemaker", "inference-component/"+str(in.InferenceComponentName)))
	}
	out := &sagemaker.DescribeInferenceComponentOutput{
		InferenceComponentName: &c.name, InferenceComponentArn: &c.arn, EndpointName: c.in.EndpointName, EndpointArn: ref(endpointARN(str(c.in.EndpointName))),
		VariantName: c.in.VariantName, CreationTime: &c.created, LastModifiedTime: &c.created, InferenceComponentStatus: types.InferenceComponentStatusInService,
		RuntimeConfig: &types.InferenceComponentRuntimeConfigSummary{CurrentCopyCount: &c.copies, DesiredCopyCount: &c.copies},
	}
	if s := c.in.Specification; s != nil {
		out.Specification = &types.InferenceComponentSpecificationSummary{
			ModelName: s.ModelName, BaseInferenceComponentName: s.BaseInferenceComponentName,
			ComputeResourceRequirements: s.ComputeResourceRequirements, StartupParameters: s.StartupParameters,
		}
	}
	return out, nil
}

func (a *account) listInferenceComponents(in *sagemaker.ListInferenceComponentsInput) (*sagemaker.ListInferenceComponentsOutput, error) {
	var all []types.InferenceComponentSummary
	for _, c := range a.comps {
		if in.EndpointNameEquals != nil && *in.EndpointNameEquals != str(c.in.EndpointName) ||
			in.VariantNameEquals != nil && *in.VariantNameEquals != str(c.in.VariantName) ||
			in.StatusEquals != "" && in.StatusEquals != types.InferenceComponentStatusInService ||
			!contains(c.name, in.NameContains) || !within(c.created, in.CreationTimeAfter, in.CreationTimeBefore) ||
			!within(c.created, in.LastModifiedTimeAfter, in.LastModifiedTimeBefore) {
			continue
		}
		all = append(all, types.InferenceComponentSummary{
			InferenceComponentName: &c.name, InferenceComponentArn: &c.arn, EndpointName: c.in.EndpointName,
			EndpointArn: ref(endpointARN(str(c.in.EndpointName))), VariantName: c.in.VariantName,
			CreationTime: &c.created, LastModifiedTime: &c.created, InferenceComponentStatus: types.InferenceComponentStatusInService,
		})
	}
	ordered(all, in.SortOrder != types.OrderKeyAscending, func(s types.InferenceComponentSummary) time.Time { return *s.CreationTime },
		in.SortBy == types.InferenceComponentSortKeyName, func(s types.InferenceComponentSummary) string { return *s.InferenceComponentName })
	items, next, err := page(all, "inference components", in.NextToken, size(in.MaxResults, 10), errToken)
	return &sagemaker.ListInferenceComponentsOutput{InferenceComponents: items, NextToken: next}, err
}
