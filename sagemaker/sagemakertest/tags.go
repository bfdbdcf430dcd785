package sagemakertest

import (
	"maps"
	"slices"
	"strings"

	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

// newTags checks the tags that something is created with.
func newTags(in []types.Tag) (map[string]string, error) {
	return addedTags(nil, in)
}

const maxTags = 50

func addedTags(have map[string]string, in []types.Tag) (map[string]string, error) {
	all := maps.Clone(have)
	if all == nil {
		all = map[string]string{}
	}
	for i, t := range in {
		key := str(t.Key)
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			return nil, invalid("Tag keys starting with 'aws:' are reserved for system use")
		}
		for _, o := range in[:i] {
			if str(o.Key) == key {
				return nil, invalid("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
			}
		}
		all[key] = str(t.Value)
	}
	if len(all) > maxTags {
		return nil, invalid("The number of tags exceeds the limit of %d", maxTags)
	}
	return all, nil
}

// tags finds what an ARN of SageMaker is the ARN of.
func (a *account) tags(of string) (*map[string]string, error) {
	for _, m := range a.models {
		if m.arn == of {
			return &m.tags, nil
		}
	}
	for _, c := range a.configs {
		if c.arn == of {
			return &c.tags, nil
		}
	}
	for _, e := range a.endpoints {
		if e.arn == of {
			return &e.tags, nil
		}
	}
	return nil, invalid("Could not find resource %q.", of)
}

func (a *account) listTags(in *sagemaker.ListTagsInput) (*sagemaker.ListTagsOutput, error) {
	tags, err := a.tags(str(in.ResourceArn))
	if err != nil {
		return nil, err
	}
	items, next, err := page(sdkTags(*tags), "tags of "+*in.ResourceArn, in.NextToken, size(in.MaxResults, 100), errToken)
	return &sagemaker.ListTagsOutput{Tags: items, NextToken: next}, err
}

func sdkTags(tags map[string]string) []types.Tag {
	all := []types.Tag{}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		all = append(all, types.Tag{Key: ref(k), Value: ref(tags[k])})
	}
	return all
}

func (a *account) addTags(in *sagemaker.AddTagsInput) (*sagemaker.AddTagsOutput, error) {
	tags, err := a.tags(str(in.ResourceArn))
	if err != nil {
		return nil, err
	}
	all, err := addedTags(*tags, in.Tags)
	if err != nil {
		return nil, err
	}
	*tags = all
	return &sagemaker.AddTagsOutput{Tags: sdkTags(all)}, nil
}

func (a *account) deleteTags(in *sagemaker.DeleteTagsInput) (*sagemaker.DeleteTagsOutput, error) {
	tags, err := a.tags(str(in.ResourceArn))
	if err != nil {
		return nil, err
	}
	for _, k := range in.TagKeys {
		delete(*tags, k)
	}
	return &sagemaker.DeleteTagsOutput{}, nil
}

// checkTags holds the rules for tags that are added to others.
func checkTags(add, have map[string]string) error {
	n := len(have)
	for k := range add {
		if strings.HasPrefix(strings.ToLower(k), "aws:") {
			return invalid("Tag keys beginning with aws: are reserved for system use")
		}
		if _, ok := have[k]; !ok {
			n++
		}
	}
	if n > maxTags {
		return refuse("TooManyTagsException", "The number of tags exceeds the limit of %d", maxTags)
	}
	return nil
}

// byARN finds the target that tags hang on.
func (a *account) byARN(of *string) (*target, error) {
	for _, t := range a.targets {
		if t.arn == str(of) && !a.now.Before(t.ready) {
			return t, nil
		}
	}
	return nil, refuse("ResourceNotFoundException", "The specified resource doesn't exist: %s", str(of))
}

func (a *account) listTagsForResource(in *aas.ListTagsForResourceInput) (*aas.ListTagsForResourceOutput, error) {
	t, err := a.byARN(in.ResourceARN)
	if err != nil {
		return nil, err
	}
	return &aas.ListTagsForResourceOutput{Tags: t.tags}, nil
}

func (a *account) tagResource(in *aas.TagResourceInput) (*aas.TagResourceOutput, error) {
	t, err := a.byARN(in.ResourceARN)
	if err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags, t.tags); err != nil {
		return nil, err
	}
	if t.tags == nil {
		t.tags = map[string]string{}
	}
	maps.Copy(t.tags, in.Tags)
	return &aas.TagResourceOutput{}, nil
}

func (a *account) untagResource(in *aas.UntagResourceInput) (*aas.UntagResourceOutput, error) {
	t, err := a.byARN(in.ResourceARN)
	if err != nil {
		return nil, err
	}
	for _, k := range in.TagKeys {
		delete(t.tags, k)
	}
	return &aas.UntagResourceOutput{}, nil
}
