package sagemakertest_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

func TestListEndpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := seeded()
		time.Sleep(time.Minute)
		for n := range strings.SplitSeq("cab", "") {
			if _, err := srv.Do(createEndpoint("list-"+n, "c1")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Minute)
		}
		if _, err := srv.Do(update("c2", nil)); err != nil {
			t.Fatal(err)
		}
		c := newClients(srv)
		list := func(in sagemaker.ListEndpointsInput) (string, *string) {
			t.Helper()
			out, err := c.sm.ListEndpoints(t.Context(), &in)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, e := range out.Endpoints {
				names = append(names, strings.TrimPrefix(*e.EndpointName, "list-"))
			}
			return strings.Join(names, " "), out.NextToken
		}
		for _, tt := range []struct {
			in   sagemaker.ListEndpointsInput
			want string
		}{
			{sagemaker.ListEndpointsInput{}, "b a c sdxl"}, // the newest first
			{sagemaker.ListEndpointsInput{SortOrder: types.OrderKeyAscending}, "sdxl c a b"},
			{sagemaker.ListEndpointsInput{SortBy: types.EndpointSortKeyName, SortOrder: types.OrderKeyAscending}, "a b c sdxl"},
			{sagemaker.ListEndpointsInput{StatusEquals: types.EndpointStatusUpdating}, "sdxl"},
			{sagemaker.ListEndpointsInput{StatusEquals: types.EndpointStatusRollingBack}, ""},
			{sagemaker.ListEndpointsInput{NameContains: aws.String("LIST-")}, "b a c"},
			{sagemaker.ListEndpointsInput{CreationTimeAfter: aws.Time(time.Now().Add(-25 * time.Minute))}, "b a"},
			{sagemaker.ListEndpointsInput{LastModifiedTimeAfter: aws.Time(time.Now().Add(-time.Minute))}, "sdxl"},
		} {
			if got, next := list(tt.in); got != tt.want || next != nil {
				t.Errorf("%+v: %s, want %s", tt.in, got, tt.want)
			}
		}
		in := sagemaker.ListEndpointsInput{MaxResults: aws.Int32(3), SortBy: types.EndpointSortKeyCreationTime}
		first, next := list(in)
		in.NextToken = next
		second, end := list(in)
		if first != "b a c" || second != "sdxl" || end != nil {
			t.Errorf("pages %q, %q", first, second)
		}
		for what, in := range map[string]*sagemaker.ListEndpointsInput{
			"no results":             {MaxResults: aws.Int32(0)},
			"too many results":       {MaxResults: aws.Int32(101)},
			"no status":              {StatusEquals: "IN_SERVICE"},
			"no token":               {NextToken: aws.String("next")},
			"a token of another":     {NextToken: next, SortBy: types.EndpointSortKeyCreationTime, StatusEquals: types.EndpointStatusUpdating},
			"a token of other order": {NextToken: next, SortBy: types.EndpointSortKeyName},
		} {
			if _, err := c.sm.ListEndpoints(t.Context(), in); code(err) != "ValidationException" {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// Nobody knows what else than UpdateEndpoint changes the time.
func TestRareTimes(t *testing.T) {
	for _, rare := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			srv := seeded()
			srv.Behave(func(b *sagemakertest.Behaviour) { b.RareTimes = rare })
			c := newClients(srv)
			var times []time.Time
			look := func() {
				t.Helper()
				d, err := c.sm.DescribeEndpoint(t.Context(), &sagemaker.DescribeEndpointInput{EndpointName: aws.String("sdxl")})
				if err != nil {
					t.Fatal(err)
				}
				times = append(times, *d.LastModifiedTime)
				time.Sleep(10 * time.Minute)
			}
			do := func(in any) {
				t.Helper()
				if _, err := srv.Do(in); err != nil {
					t.Fatal(err)
				}
			}
			do(update("c2", nil))
			look()
			look() // it is over
			do(&sagemaker.UpdateEndpointWeightsAndCapacitiesInput{EndpointName: aws.String("sdxl"), DesiredWeightsAndCapacities: []types.DesiredWeightAndCapacity{
				{VariantName: aws.String("A"), DesiredInstanceCount: aws.Int32(5)},
			}})
			look()
			do(update("c1", nil))
			look()
			want := 4
			if rare {
				want = 2
			}
			if got := len(slices.CompactFunc(times, time.Time.Equal)); got != want {
				t.Errorf("rare %v: %d different times, want %d", rare, got, want)
			}
		})
	}
}
