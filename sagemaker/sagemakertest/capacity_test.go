package sagemakertest_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

func TestCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := seeded()
		c := newClients(srv)
		before := *describe(t, c).LastModifiedTime
		time.Sleep(time.Minute)
		if _, err := c.sm.UpdateEndpointWeightsAndCapacities(t.Context(), capacity(6)); err != nil {
			t.Fatal(err)
		}
		d := describe(t, c)
		v := d.ProductionVariants[0]
		if d.EndpointStatus != types.EndpointStatusUpdating || d.PendingDeploymentSummary != nil || *v.DesiredInstanceCount != 6 || *v.CurrentInstanceCount != 4 {
			t.Errorf("while scaling: %s, %d of %d", d.EndpointStatus, *v.CurrentInstanceCount, *v.DesiredInstanceCount)
		}
		if s := v.VariantStatus; len(s) != 1 || s[0].Status != types.VariantStatusUpdating || *s[0].StatusMessage != "Scaling out desired instance count to 6." {
			t.Errorf("status %+v", s)
		}
		if took := ended(srv); took != 3*time.Minute {
			t.Errorf("took %v", took)
		}
		if d := describe(t, c); *d.ProductionVariants[0].CurrentInstanceCount != 6 || d.LastModifiedTime.Sub(before) != time.Hour+4*time.Minute {
			t.Errorf("in the end %d, modified after %v", *d.ProductionVariants[0].CurrentInstanceCount, d.LastModifiedTime.Sub(before))
		}

		srv.SetOutcome("sdxl", sagemakertest.RollsBack, "No capacity.")
		if _, err := c.sm.UpdateEndpointWeightsAndCapacities(t.Context(), capacity(9)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		if d := describe(t, c); d.EndpointStatus != types.EndpointStatusRollingBack {
			t.Errorf("status %s", d.EndpointStatus)
		}
		ended(srv)
		if d := describe(t, c); *d.ProductionVariants[0].DesiredInstanceCount != 6 || *d.FailureReason != "No capacity." {
			t.Errorf("rolled back to %d: %s", *d.ProductionVariants[0].DesiredInstanceCount, *d.FailureReason)
		}
	})
}

// The traffic moves when a change of weights has come about, and not at all if it
// is rolled back. Counts stay.
func TestWeights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := seeded()
		c := newClients(srv)
		weigh := func(w float32) *sagemaker.UpdateEndpointWeightsAndCapacitiesInput {
			in := capacity(0)
			in.DesiredWeightsAndCapacities[0].DesiredInstanceCount, in.DesiredWeightsAndCapacities[0].DesiredWeight = nil, &w
			return in
		}
		shows := func(when string, status types.EndpointStatus, desired, current float32) {
			t.Helper()
			d := describe(t, c)
			v := d.ProductionVariants[0]
			if d.EndpointStatus != status || *v.DesiredWeight != desired || *v.CurrentWeight != current || *v.CurrentInstanceCount != 4 {
				t.Errorf("%s: %s, weight %g of %g, %d instances", when, d.EndpointStatus, *v.CurrentWeight, *v.DesiredWeight, *v.CurrentInstanceCount)
			}
		}
		if _, err := c.sm.UpdateEndpointWeightsAndCapacities(t.Context(), weigh(-1)); code(err) != "ValidationException" {
			t.Errorf("a negative weight: %v", err)
		}
		if _, err := c.sm.UpdateEndpointWeightsAndCapacities(t.Context(), weigh(0.25)); err != nil {
			t.Fatal(err)
		}
		shows("moving", types.EndpointStatusUpdating, 0.25, 1)
		if _, err := c.sm.UpdateEndpointWeightsAndCapacities(t.Context(), weigh(2)); code(err) != "ValidationException" {
			t.Errorf("two at a time: %v", err)
		}
		ended(srv)
		shows("moved", types.EndpointStatusInService, 0.25, 0.25)
		srv.SetOutcome("sdxl", sagemakertest.RollsBack, "No capacity.")
		if _, err := c.sm.UpdateEndpointWeightsAndCapacities(t.Context(), weigh(2)); err != nil {
			t.Fatal(err)
		}
		ended(srv)
		shows("rolled back", types.EndpointStatusInService, 0.25, 0.25)
	})
}

func TestServerlessCapacity(t *testing.T) {
	srv := seeded()
	s := variant("A", "m1", 0)
	s.InstanceType, s.InitialInstanceCount = "", nil
	s.ServerlessConfig = &types.ProductionVariantServerlessConfig{MemorySizeInMB: aws.Int32(2048), MaxConcurrency: aws.Int32(20), ProvisionedConcurrency: aws.Int32(5)}
	srv.Seed(createConfig("s1", s), createEndpoint("less", "s1"))
	c := newClients(srv)
	in := func(u types.DesiredWeightAndCapacity) *sagemaker.UpdateEndpointWeightsAndCapacitiesInput {
		u.VariantName = aws.String("A")
		return &sagemaker.UpdateEndpointWeightsAndCapacitiesInput{EndpointName: aws.String("less"), DesiredWeightsAndCapacities: []types.DesiredWeightAndCapacity{u}}
	}
	if _, err := c.sm.UpdateEndpointWeightsAndCapacities(t.Context(), in(types.DesiredWeightAndCapacity{DesiredInstanceCount: aws.Int32(3)})); code(err) != "ValidationException" {
		t.Errorf("instances: %v", err)
	}
	provisioned := func(n int32) types.DesiredWeightAndCapacity {
		return types.DesiredWeightAndCapacity{ServerlessUpdateConfig: &types.ProductionVariantServerlessUpdateConfig{ProvisionedConcurrency: &n}}
	}
	if _, err := c.sm.UpdateEndpointWeightsAndCapacities(t.Context(), in(provisioned(21))); code(err) != "ValidationException" {
		t.Errorf("over the concurrency: %v", err)
	}
	if _, err := c.sm.UpdateEndpointWeightsAndCapacities(t.Context(), in(provisioned(8))); err != nil {
		t.Fatal(err)
	}
	d, err := c.sm.DescribeEndpoint(t.Context(), &sagemaker.DescribeEndpointInput{EndpointName: aws.String("less")})
	if err != nil {
		t.Fatal(err)
	}
	v := d.ProductionVariants[0]
	if v.DesiredInstanceCount != nil || *v.DesiredServerlessConfig.ProvisionedConcurrency != 8 || *v.CurrentServerlessConfig.ProvisionedConcurrency != 5 {
		t.Errorf("variant %+v", v)
	}
}

func TestRefusedCapacities(t *testing.T) {
	n := aws.Int32(2)
	for _, tt := range []struct {
		name string
		of   []types.DesiredWeightAndCapacity
		want string
	}{
		{"unknown variant", []types.DesiredWeightAndCapacity{{VariantName: aws.String("Z"), DesiredInstanceCount: n}}, `The variant name(s) "Z" is/are not present`},
		{"two capacities", []types.DesiredWeightAndCapacity{{VariantName: aws.String("A"), DesiredInstanceCount: n}, {VariantName: aws.String("B"), DesiredInstanceCount: n}}, "only one variant"},
		{"nothing", []types.DesiredWeightAndCapacity{{VariantName: aws.String("A")}}, "One of"},
		{"negative", []types.DesiredWeightAndCapacity{{VariantName: aws.String("A"), DesiredInstanceCount: aws.Int32(-1)}}, "greater than or equal to 0"},
		{"no variant", []types.DesiredWeightAndCapacity{}, "length greater than or equal to 1"},
		{"serverless", []types.DesiredWeightAndCapacity{{VariantName: aws.String("A"), ServerlessUpdateConfig: &types.ProductionVariantServerlessUpdateConfig{MaxConcurrency: n}}}, "serverless"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := seeded()
			srv.Seed(createConfig("two", variant("A", "m1", 4), variant("B", "m1", 4)), createEndpoint("pair", "two"))
			_, err := newClients(srv).sm.UpdateEndpointWeightsAndCapacities(t.Context(), &sagemaker.UpdateEndpointWeightsAndCapacitiesInput{
				EndpointName: aws.String("pair"), DesiredWeightsAndCapacities: tt.of,
			})
			if code(err) != "ValidationException" || !strings.Contains(message(err), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	// Weights of several variants go together.
	srv := seeded()
	srv.Seed(createConfig("two", variant("A", "m1", 4), variant("B", "m1", 4)), createEndpoint("pair", "two"))
	if _, err := newClients(srv).sm.UpdateEndpointWeightsAndCapacities(t.Context(), &sagemaker.UpdateEndpointWeightsAndCapacitiesInput{
		EndpointName: aws.String("pair"), DesiredWeightsAndCapacities: []types.DesiredWeightAndCapacity{
			{VariantName: aws.String("A"), DesiredWeight: aws.Float32(9)}, {VariantName: aws.String("B"), DesiredWeight: aws.Float32(1), DesiredInstanceCount: n},
		},
	}); err != nil {
		t.Error(err)
	}
}
