package sagemakertest_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

func TestConfigIsDescribedAsCreated(t *testing.T) {
	srv := seeded()
	c := newClients(srv)
	v := variant("A", "m2", 2)
	v.VolumeSizeInGB, v.EnableSSMAccess = aws.Int32(64), aws.Bool(true)
	v.RoutingConfig = &types.ProductionVariantRoutingConfig{RoutingStrategy: types.RoutingStrategyLeastOutstandingRequests}
	in := createConfig("c3", v)
	in.ShadowProductionVariants = []types.ProductionVariant{variant("S", "m1", 1)}
	in.KmsKeyId = aws.String("alias/models")
	in.EnableNetworkIsolation = aws.Bool(false)
	in.VpcConfig = &types.VpcConfig{SecurityGroupIds: []string{"sg-0001"}, Subnets: []string{"subnet-0001"}}
	in.DataCaptureConfig = &types.DataCaptureConfig{
		CaptureOptions: []types.CaptureOption{{CaptureMode: types.CaptureModeInput}}, DestinationS3Uri: aws.String("s3://capture/here"),
		InitialSamplingPercentage: aws.Int32(0), EnableCapture: aws.Bool(true),
	}
	in.Tags = []types.Tag{{Key: aws.String("team"), Value: aws.String("vision")}}
	made, err := c.sm.CreateEndpointConfig(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.sm.DescribeEndpointConfig(t.Context(), &sagemaker.DescribeEndpointConfigInput{EndpointConfigName: aws.String("c3")})
	if err != nil {
		t.Fatal(err)
	}
	want := &sagemaker.DescribeEndpointConfigOutput{
		CreationTime: got.CreationTime, EndpointConfigArn: made.EndpointConfigArn, EndpointConfigName: in.EndpointConfigName,
		ProductionVariants: in.ProductionVariants, ShadowProductionVariants: in.ShadowProductionVariants, KmsKeyId: in.KmsKeyId,
		EnableNetworkIsolation: in.EnableNetworkIsolation, VpcConfig: in.VpcConfig, DataCaptureConfig: in.DataCaptureConfig,
	}
	if diff := cmp.Diff(want, got, sdkTypes); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	tags, err := c.sm.ListTags(t.Context(), &sagemaker.ListTagsInput{ResourceArn: made.EndpointConfigArn})
	if diff := cmp.Diff(in.Tags, tags.Tags, sdkTypes); err != nil || diff != "" {
		t.Errorf("tags: %v (-want +got):\n%s", err, diff)
	}
	if _, err := c.sm.CreateEndpointConfig(t.Context(), in); !strings.HasPrefix(message(err), "Cannot create already existing endpoint configuration") {
		t.Errorf("again: %v", err)
	}
}

func TestDefaultWeights(t *testing.T) {
	srv := seeded()
	v := variant("A", "m1", 1)
	v.InitialVariantWeight = nil
	srv.Seed(createConfig("c3", v))
	c := newClients(srv)
	for _, shown := range []bool{false, true} {
		srv.Behave(func(b *sagemakertest.Behaviour) { b.ShowDefaultWeights = shown })
		d, err := c.sm.DescribeEndpointConfig(t.Context(), &sagemaker.DescribeEndpointConfigInput{EndpointConfigName: aws.String("c3")})
		if err != nil || (d.ProductionVariants[0].InitialVariantWeight != nil) != shown {
			t.Errorf("shown=%t: %+v, %v", shown, d.ProductionVariants[0], err)
		}
	}
}

func TestRefusedConfigs(t *testing.T) {
	edit := func(f func(*types.ProductionVariant)) *sagemaker.CreateEndpointConfigInput {
		v := variant("A", "m1", 1)
		f(&v)
		return createConfig("c3", v)
	}
	serverless := func(memory, most int32, provisioned *int32) *sagemaker.CreateEndpointConfigInput {
		return edit(func(v *types.ProductionVariant) {
			v.InstanceType, v.InitialInstanceCount = "", nil
			v.ServerlessConfig = &types.ProductionVariantServerlessConfig{MemorySizeInMB: &memory, MaxConcurrency: &most, ProvisionedConcurrency: provisioned}
		})
	}
	shadowed := createConfig("c3", variant("A", "m1", 1), variant("B", "m1", 1))
	shadowed.ShadowProductionVariants = []types.ProductionVariant{variant("S", "m1", 1)}
	emptyShadows := createConfig("c3", variant("A", "m1", 1))
	emptyShadows.ShadowProductionVariants = []types.ProductionVariant{}
	tagged := createConfig("c3", variant("A", "m1", 1))
	tagged.Tags = []types.Tag{{Key: aws.String("aws:cloudformation:stack-name"), Value: aws.String("x")}}
	eleven := createConfig("c3")
	for n := range strings.SplitSeq("abcdefghijk", "") {
		eleven.ProductionVariants = append(eleven.ProductionVariants, variant(n, "m1", 1))
	}
	for _, tt := range []struct {
		name string
		in   *sagemaker.CreateEndpointConfigInput
		want string
	}{
		{"no variant", createConfig("c3", []types.ProductionVariant{}...), "productionVariants"},
		{"eleven variants", eleven, "Member must have length less than or equal to 10"},
		{"empty shadows", emptyShadows, "Member must have length greater than or equal to 1"},
		{"two and a shadow", shadowed, "ShadowProductionVariants"},
		{"a name twice", createConfig("c3", variant("A", "m1", 1), variant("A", "m1", 1)), "unique"},
		{"unknown model", createConfig("c3", variant("A", "m9", 1)), `Could not find model "arn:aws:sagemaker:eu-west-1:111122223333:model/m9".`},
		{"no instances", edit(func(v *types.ProductionVariant) { v.InitialInstanceCount = aws.Int32(0) }), "'productionVariants.1.member.initialInstanceCount' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"no type", edit(func(v *types.ProductionVariant) { v.InstanceType = "" }), "InstanceType"},
		{"unknown type", edit(func(v *types.ProductionVariant) { v.InstanceType = "ml.z9.huge" }), "enum value set"},
		{"type and pools", edit(func(v *types.ProductionVariant) {
			v.InstancePools = []types.InstancePool{{InstanceType: v.InstanceType, Priority: aws.Int32(1)}}
		}), "InstancePools"},
		{"volume", edit(func(v *types.ProductionVariant) { v.VolumeSizeInGB = aws.Int32(513) }), "512"},
		{"managed scaling", edit(func(v *types.ProductionVariant) {
			v.ManagedInstanceScaling = &types.ProductionVariantManagedInstanceScaling{Status: types.ManagedInstanceScalingStatusEnabled}
		}), "ManagedInstanceScaling is only supported for inference component endpoints."},
		{"components without a role", edit(func(v *types.ProductionVariant) { v.ModelName = nil }), "ExecutionRoleArn"},
		{"memory", serverless(1500, 5, nil), "multiple of 1024"},
		{"little memory", serverless(512, 5, nil), "1024"},
		{"concurrency", serverless(2048, 201, nil), "200"},
		{"provisioned over concurrency", serverless(2048, 5, aws.Int32(6)), "ProvisionedConcurrency"},
		{"reserved tag", tagged, "reserved"},
		{"name", createConfig("c-", variant("A", "m1", 1)), "regular expression"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newClients(seeded()).sm.CreateEndpointConfig(t.Context(), tt.in)
			if code(err) != "ValidationException" || !strings.Contains(message(err), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestConfigLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := seeded()
		srv.Behave(func(b *sagemakertest.Behaviour) { b.ConfigLag = 20 * time.Second })
		c := newClients(srv)
		if _, err := c.sm.CreateEndpointConfig(t.Context(), createConfig("c3", variant("A", "m2", 4))); err != nil {
			t.Fatal(err)
		}
		if _, err := c.sm.DescribeEndpointConfig(t.Context(), &sagemaker.DescribeEndpointConfigInput{EndpointConfigName: aws.String("c3")}); err != nil {
			t.Error(err)
		}
		time.Sleep(20*time.Second - time.Nanosecond)
		if _, err := c.sm.UpdateEndpoint(t.Context(), update("c3", nil)); !strings.HasPrefix(message(err), "Could not find endpoint configuration") {
			t.Errorf("too early: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := c.sm.UpdateEndpoint(t.Context(), update("c3", nil)); err != nil {
			t.Error(err)
		}
	})
}

func TestUpdateAfterTheLiveConfigWasDeleted(t *testing.T) {
	srv := seeded()
	c := newClients(srv)
	if _, err := c.sm.DeleteEndpointConfig(t.Context(), &sagemaker.DeleteEndpointConfigInput{EndpointConfigName: aws.String("c1")}); err != nil {
		t.Fatal(err)
	}
	if d := describe(t, c); *d.EndpointConfigName != "c1" {
		t.Errorf("serves %s", *d.EndpointConfigName)
	}
	if _, err := c.sm.UpdateEndpoint(t.Context(), update("c2", nil)); !strings.HasPrefix(message(err), "Could not find endpoint configuration") {
		t.Errorf("got %v", err)
	}
}

func TestListing(t *testing.T) {
	srv := seeded()
	for n := range strings.SplitSeq("abcdefghijklmnopqrstuvwxyz", "") {
		srv.Seed(createConfig("list-"+n, variant("A", "m1", 1)), createEndpoint("list-"+n, "list-"+n))
	}
	c := newClients(srv)
	var sizes []int
	var names []string
	p := sagemaker.NewListEndpointConfigsPaginator(c.sm, &sagemaker.ListEndpointConfigsInput{
		NameContains: aws.String("LIST"), SortBy: types.EndpointConfigSortKeyName, SortOrder: types.OrderKeyAscending,
	})
	for p.HasMorePages() {
		out, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(out.EndpointConfigs))
		for _, s := range out.EndpointConfigs {
			names = append(names, strings.TrimPrefix(*s.EndpointConfigName, "list-"))
		}
	}
	if diff := cmp.Diff([]int{10, 10, 6}, sizes); diff != "" || strings.Join(names, "") != "abcdefghijklmnopqrstuvwxyz" {
		t.Errorf("pages %s, names %v", diff, names)
	}
	ends, err := c.sm.ListEndpoints(t.Context(), &sagemaker.ListEndpointsInput{MaxResults: aws.Int32(100), StatusEquals: types.EndpointStatusInService})
	if err != nil || len(ends.Endpoints) != 27 {
		t.Errorf("%d endpoints, %v", len(ends.Endpoints), err)
	}
	first, err := c.sm.ListEndpoints(t.Context(), &sagemaker.ListEndpointsInput{})
	if err != nil {
		t.Fatal(err)
	}
	// A token is good for its own list only.
	if _, err := c.sm.ListEndpointConfigs(t.Context(), &sagemaker.ListEndpointConfigsInput{NextToken: first.NextToken}); code(err) != "ValidationException" {
		t.Errorf("foreign token: %v", err)
	}
}
