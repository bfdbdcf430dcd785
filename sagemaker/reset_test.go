package sagemaker_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/rollout/rollouttest"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/strategy"
)

// An update retains the counts of variants that there are before and after it.
// The others are the rollout's to put back.

// closed is a gate that lets nothing pass.
func closed(context.Context, endpoint.Status) error { return errors.New("no") }

func resize(srv *sagemakertest.Server, to types.DesiredWeightAndCapacity) {
	srv.Seed(&sm.UpdateEndpointWeightsAndCapacitiesInput{
		EndpointName: aws.String(name), DesiredWeightsAndCapacities: []types.DesiredWeightAndCapacity{to},
	})
	time.Sleep(time.Hour)
}

func TestVariantRemovedKeepsItsCount(t *testing.T) {
	for _, s := range []strategy.Strategy{strategy.InPlace{}, strategy.ScaleProtectedSwap{}, strategy.ScaleProtectedSwap{Prescale: 6}} {
		run := func(t *testing.T, opts ...rollout.Option) (*sagemakertest.Server, map[string]string, *rollout.Report, error) {
			t.Helper()
			srv := account()
			srv.Seed(createConfig("c3", productionVariant("main", "model-2", 1)))
			resize(srv, types.DesiredWeightAndCapacity{VariantName: aws.String("side"), DesiredInstanceCount: aws.Int32(5), DesiredWeight: aws.Float32(0.25)})
			before := srv.Guarded()
			r, err := rollout.Run(t.Context(), journal.NewMemory(), open(t, srv), s, rollout.ToRevision("c3"), opts...)
			return srv, before, r, err
		}
		t.Run(s.String()+" succeeds", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv, before, r, err := run(t)
				if err != nil || r.Outcome != rollout.OutcomeSucceeded || len(r.Drift) > 0 {
					t.Fatalf("Run = %+v, %v", r, err)
				}
				maps.DeleteFunc(before, func(k, _ string) bool { return strings.Contains(k, "/side/") })
				if diff := cmp.Diff(before, srv.Guarded()); diff != "" {
					t.Errorf("protective values (-before +after):\n%s", diff)
				}
			})
		})
		t.Run(s.String()+" goes back", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv, before, r, err := run(t, gate(closed))
				if !errors.Is(err, rollout.ErrRolledBack) || len(r.Drift) > 0 {
					t.Fatalf("Run = %+v, %v", r, err)
				}
				if !strings.Contains(strings.Join(r.Plan.Notes, "\n"), "it has the weight 1 of c1, not the 0.25 of now") {
					t.Errorf("notes %q do not tell of the weight", r.Plan.Notes)
				}
				before["endpoint/sdxl/variant/side/weight"] = "1"
				if diff := cmp.Diff(before, srv.Guarded()); diff != "" {
					t.Errorf("protective values (-before +after):\n%s", diff)
				}
			})
		})
	}
}

// The same with everything that can go wrong.
func TestVariantRemovedSweep(t *testing.T) {
	for _, s := range []strategy.Strategy{strategy.InPlace{}, strategy.ScaleProtectedSwap{Prescale: 6}} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			sweep := swept{strategy: s}.sweep()
			sweep.Target, sweep.Goal = rollout.ToRevision("c3"), "model-2"
			sweep.New = func(t testing.TB) rollouttest.Environment {
				srv := account()
				srv.Seed(createConfig("c3", productionVariant("main", "model-2", 1)))
				resize(srv, types.DesiredWeightAndCapacity{VariantName: aws.String("side"), DesiredInstanceCount: aws.Int32(5)})
				before := srv.Guarded()
				w := worldOf(t, srv)
				w.Guarded = func() any {
					now := srv.Guarded()
					if srv.Endpoint(name).Config == "c3" { // which has no such variant
						maps.Copy(now, of(before, "/side/"))
					}
					return now
				}
				return w
			}
			sweep.Run(t)
		})
	}
}

// of are the values that are of something.
func of(values map[string]string, something string) map[string]string {
	some := maps.Clone(values)
	maps.DeleteFunc(some, func(k, _ string) bool { return !strings.Contains(k, something) })
	return some
}

// TestNoInstances: AWS does not say whether an update retains a count of zero.
func TestNoInstances(t *testing.T) {
	for _, drops := range []bool{false, true} {
		for _, gates := range [][]rollout.Option{nil, {gate(closed)}} {
			synctest.Test(t, func(t *testing.T) {
				srv := account()
				srv.Behave(func(b *sagemakertest.Behaviour) { b.DropZeroCounts = drops })
				resize(srv, types.DesiredWeightAndCapacity{VariantName: aws.String("main"), DesiredInstanceCount: aws.Int32(0)})
				before := srv.Guarded()
				r, err := rollout.Run(t.Context(), journal.NewMemory(), open(t, srv), strategy.InPlace{}, rollout.ToRevision("c2"), gates...)
				if r == nil || len(r.Drift) > 0 || (err == nil) != (gates == nil) || err != nil && !errors.Is(err, rollout.ErrRolledBack) {
					t.Fatalf("Run = %+v, %v", r, err)
				}
				if diff := cmp.Diff(before, srv.Guarded()); diff != "" {
					t.Errorf("protective values (-before +after):\n%s", diff)
				}
			})
		}
	}
}

// provisioned is an account with a serverless endpoint that has a provisioned
// concurrency of 7, not the 3 of its configuration, and with a configuration
// that allows another one at most.
func provisioned(most int32) *sagemakertest.Server {
	serverless := func(model string, most int32) types.ProductionVariant {
		return types.ProductionVariant{VariantName: aws.String("main"), ModelName: &model, ServerlessConfig: &types.ProductionVariantServerlessConfig{
			MemorySizeInMB: aws.Int32(2048), MaxConcurrency: &most, ProvisionedConcurrency: aws.Int32(3),
		}}
	}
	srv := sagemakertest.New()
	srv.Seed(createModel("model-1"), createModel("model-2"),
		createConfig("c1", serverless("model-1", 10)), createConfig("c2", serverless("model-2", most)),
		&sm.CreateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("c1")})
	resize(srv, types.DesiredWeightAndCapacity{
		VariantName: aws.String("main"), ServerlessUpdateConfig: &types.ProductionVariantServerlessUpdateConfig{ProvisionedConcurrency: aws.Int32(7)},
	})
	return srv
}

// TestProvisionedConcurrencySweep: also where something goes wrong.
func TestProvisionedConcurrencySweep(t *testing.T) {
	sweep := swept{strategy: strategy.InPlace{}}.sweep()
	sweep.New = func(t testing.TB) rollouttest.Environment { return worldOf(t, provisioned(10)) }
	sweep.Target, sweep.Goal = rollout.ToRevision("c2"), "model-2"
	sweep.Run(t)
}

func TestProvisionedConcurrency(t *testing.T) {
	for _, tt := range []struct {
		name  string
		most  int32 // that the new configuration allows
		fails bool
		want  string
	}{
		{"succeeds", 10, false, "7"},
		{"goes back", 10, true, "7"},
		{"does not fit", 5, false, "3"},
		{"does not fit and goes back", 5, true, "3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := provisioned(tt.most)
				opts := []rollout.Option{rollout.WithBake(time.Minute)}
				if tt.fails {
					opts = append(opts, gate(closed))
				}
				r, err := rollout.Run(t.Context(), journal.NewMemory(), open(t, srv), strategy.InPlace{}, rollout.ToRevision("c2"), opts...)
				if r == nil || len(r.Drift) > 0 || (err == nil) == tt.fails || tt.fails && !errors.Is(err, rollout.ErrRolledBack) {
					t.Fatalf("Run = %+v, %v", r, err)
				}
				if got := srv.Guarded()["endpoint/sdxl/variant/main/concurrency"]; !strings.HasSuffix(got, "ProvisionedConcurrency:"+tt.want+"}") {
					t.Errorf("concurrency is %s, want %s", got, tt.want)
				}
				if warned := strings.Contains(strings.Join(r.Plan.Notes, "\n"), "does not keep its provisioned concurrency of 7"); warned != (tt.want == "3") {
					t.Errorf("notes %q", r.Plan.Notes)
				}
			})
		})
	}
}
