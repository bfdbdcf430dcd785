package sagemakertest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
	"github.com/google/go-cmp/cmp"
)

func TestTags(t *testing.T) {
	srv := seeded()
	c := newClients(srv)
	r := register(1, 8)
	r.Tags = map[string]string{"team": "vision"}
	out, err := c.as.RegisterScalableTarget(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.as.RegisterScalableTarget(t.Context(), r); !strings.HasPrefix(message(err), "The scalable target that you tried to tag already exists.") {
		t.Errorf("tags of what exists: %v", err)
	}
	if _, err := c.as.TagResource(t.Context(), &aas.TagResourceInput{ResourceARN: out.ScalableTargetARN, Tags: map[string]string{"cost": "7"}}); err != nil {
		t.Error(err)
	}
	if _, err := c.as.TagResource(t.Context(), &aas.TagResourceInput{ResourceARN: out.ScalableTargetARN, Tags: map[string]string{"gone": "soon"}}); err != nil {
		t.Error(err)
	}
	if _, err := c.as.UntagResource(t.Context(), &aas.UntagResourceInput{ResourceARN: out.ScalableTargetARN, TagKeys: []string{"gone"}}); err != nil {
		t.Error(err)
	}
	list, err := c.as.ListTagsForResource(t.Context(), &aas.ListTagsForResourceInput{ResourceARN: out.ScalableTargetARN})
	if diff := cmp.Diff(map[string]string{"team": "vision", "cost": "7"}, list.Tags); err != nil || diff != "" {
		t.Errorf("tags: %v\n%s", err, diff)
	}
}

func TestSageMakerTags(t *testing.T) {
	srv := seeded()
	c := newClients(srv)
	arn := describe(t, c).EndpointArn
	tag := func(k, v string) types.Tag { return types.Tag{Key: &k, Value: &v} }
	if _, err := c.sm.AddTags(t.Context(), &sagemaker.AddTagsInput{ResourceArn: arn, Tags: []types.Tag{tag("a", "1"), tag("b", "2")}}); err != nil {
		t.Fatal(err)
	}
	out, err := c.sm.AddTags(t.Context(), &sagemaker.AddTagsInput{ResourceArn: arn, Tags: []types.Tag{tag("a", "3")}})
	if diff := cmp.Diff([]types.Tag{tag("a", "3"), tag("b", "2")}, out.Tags, sdkTypes); err != nil || diff != "" {
		t.Errorf("tags: %v\n%s", err, diff)
	}
	if _, err := c.sm.DeleteTags(t.Context(), &sagemaker.DeleteTagsInput{ResourceArn: arn, TagKeys: []string{"a"}}); err != nil {
		t.Error(err)
	}
	var many []types.Tag
	for i := range 50 {
		many = append(many, tag(fmt.Sprint("k", i), "v"))
	}
	if _, err := c.sm.AddTags(t.Context(), &sagemaker.AddTagsInput{ResourceArn: arn, Tags: many}); code(err) != "ValidationException" {
		t.Errorf("51 tags: %v", err)
	}
	if _, err := c.sm.ListTags(t.Context(), &sagemaker.ListTagsInput{ResourceArn: aws.String(*arn + "x")}); code(err) != "ValidationException" {
		t.Errorf("tags of nothing: %v", err)
	}
}
