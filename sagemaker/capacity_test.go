package sagemaker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/strategy"
)

// reserved is an endpoint of 4 instances of a reservation that has more of them.
func reserved(more int32, edit ...func(*sagemakertest.Reservation)) *sagemakertest.Server {
	srv := sagemakertest.New()
	r := sagemakertest.Reservation{InstanceType: types.ReservedCapacityInstanceTypeMlP54xlarge, Instances: 4 + more}
	arn := srv.SetReservation("p5", r)
	v := func(model string) types.ProductionVariant {
		v := productionVariant("main", model, 4)
		v.InstanceType = types.ProductionVariantInstanceType(r.InstanceType)
		v.CapacityReservationConfig = &types.ProductionVariantCapacityReservationConfig{
			MlReservationArn: &arn, CapacityReservationPreference: types.CapacityReservationPreferenceCapacityReservationsOnly,
		}
		return v
	}
	srv.Seed(createModel("model-1"), createModel("model-2"), createConfig("c1", v("model-1")), createConfig("c2", v("model-2")),
		&sm.CreateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("c1")})
	for _, f := range edit {
		f(&r)
	}
	srv.SetReservation("p5", r)
	return srv
}

func preview(t *testing.T, u endpoint.Updater, o sagemaker.UpdateOptions) (*strategy.Plan, error) {
	t.Helper()
	return rollout.Preview(t.Context(), u, strategy.InPlace{}, rollout.ToRevision("c2"), rollout.WithChangeOptions(options(t, o)))
}

func TestReservations(t *testing.T) {
	half := sagemaker.UpdateOptions{DeploymentConfig: rolling(percent(50), nil, 0)}
	for _, tt := range []struct {
		name string
		srv  func() *sagemakertest.Server
		o    sagemaker.UpdateOptions
		is   error
		says []string
	}{
		{name: "blue/green with nothing left", srv: func() *sagemakertest.Server { return reserved(0) }, is: endpoint.ErrQuota, says: []string{"training-plan/p5", "0 of its 4 instances are available", "takes 4 more", "RollingUpdatePolicy"}},
		{name: "blue/green with too few", srv: func() *sagemakertest.Server { return reserved(3) }, is: endpoint.ErrQuota, says: []string{"3 of its 7"}},
		{name: "blue/green with enough", srv: func() *sagemakertest.Server { return reserved(4) }},
		{name: "used by others", srv: func() *sagemakertest.Server {
			return reserved(4, func(r *sagemakertest.Reservation) { r.Others = 1 })
		}, is: endpoint.ErrQuota, says: []string{"3 of its 8"}},
		{name: "rolling with enough for a batch", srv: func() *sagemakertest.Server { return reserved(2) }, o: half},
		{name: "rolling with too few for a batch", srv: func() *sagemakertest.Server { return reserved(1) }, o: half, is: endpoint.ErrQuota, says: []string{"1 of its 5", "takes 2 more"}},
		{name: "expired", srv: func() *sagemakertest.Server {
			return reserved(4, func(r *sagemakertest.Reservation) { r.Status = types.TrainingPlanStatusExpired })
		}, is: endpoint.ErrInvalid, says: []string{"training plan p5", "Expired", "Active"}},
		{name: "of another type", srv: func() *sagemakertest.Server {
			return reserved(4, func(r *sagemakertest.Reservation) { r.InstanceType = types.ReservedCapacityInstanceTypeMlP4d24xlarge })
		}, is: endpoint.ErrInvalid, says: []string{"InstanceType of variant main", "ml.p4d.24xlarge"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := tt.srv()
				_, err := preview(t, open(t, srv), tt.o)
				if !errors.Is(err, tt.is) || (err == nil) != (tt.is == nil) || len(srv.Mutations()) > 0 {
					t.Fatalf("%v, %d writes", err, len(srv.Mutations()))
				}
				for _, word := range tt.says {
					if !strings.Contains(err.Error(), word) {
						t.Errorf("%q is not said in %v", word, err)
					}
				}
				if tt.is == nil { // and AWS finds the instances, too
					r, err := rollout.Run(t.Context(), journal.NewMemory(), open(t, srv), strategy.InPlace{}, rollout.ToRevision("c2"), rollout.WithChangeOptions(options(t, tt.o)))
					if err != nil || r.Outcome != rollout.OutcomeSucceeded {
						t.Errorf("%+v, %v", r, err)
					}
				}
			})
		})
	}
}

func TestQuotaBeforeTheWrite(t *testing.T) {
	for limit, is := range map[int]error{9: endpoint.ErrQuota, 10: nil} {
		synctest.Test(t, func(t *testing.T) {
			asked := ""
			e := open(t, account(), sagemaker.WithQuota(func(_ context.Context, name string) (int, error) {
				asked = name
				return limit, nil
			}))
			_, err := preview(t, e, sagemaker.UpdateOptions{})
			if !errors.Is(err, is) || asked != "ml.g5.xlarge for endpoint usage" {
				t.Errorf("limit %d of %q: %v", limit, asked, err)
			}
			if is != nil && !strings.Contains(fmt.Sprint(err), "5 more ml.g5.xlarge beside the 5 of now") {
				t.Errorf("%v", err)
			}
		})
	}
}

// pooled is a variant with instance pools.
func pooled(model string, r *types.ProductionVariantRoutingConfig) types.ProductionVariant {
	v := productionVariant("main", model, 2)
	v.InstanceType, v.RoutingConfig = "", r
	v.InstancePools = []types.InstancePool{{InstanceType: types.ProductionVariantInstanceTypeMlG5Xlarge, Priority: aws.Int32(1)}}
	return v
}

func TestPoolsShadowsAndExperiments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		least := &types.ProductionVariantRoutingConfig{RoutingStrategy: types.RoutingStrategyLeastOutstandingRequests}
		srv := sagemakertest.New()
		shadowed := createConfig("c2", productionVariant("main", "model-2", 2))
		shadowed.ShadowProductionVariants = []types.ProductionVariant{productionVariant("shade", "model-1", 1)}
		srv.Seed(createModel("model-1"), createModel("model-2"), createConfig("c1", pooled("model-1", least)), shadowed,
			&sm.CreateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("c1")})
		e := open(t, srv)
		draft := func(edit func(*sm.CreateEndpointConfigInput)) error {
			d, err := e.DraftWith(t.Context(), endpoint.Revision{}, edit)
			if err != nil {
				return err
			}
			_, err = rollout.Preview(t.Context(), e, strategy.InPlace{}, rollout.ToDraft(d))
			return err
		}
		for says, edit := range map[string]func(*sm.CreateEndpointConfigInput){
			`RoutingConfig.RoutingStrategy of variant main is "RANDOM" with 1 InstancePools: AWS asks for LEAST_OUTSTANDING_REQUESTS`: func(in *sm.CreateEndpointConfigInput) {
				in.ProductionVariants[0].RoutingConfig = nil
			},
			"ShadowProductionVariants has 2 entries, AWS allows 1": func(in *sm.CreateEndpointConfigInput) {
				in.ShadowProductionVariants = []types.ProductionVariant{productionVariant("a", "model-1", 1), productionVariant("b", "model-1", 1)}
			},
			"ProductionVariants has 2 entries beside a shadow variant, AWS allows 1": func(in *sm.CreateEndpointConfigInput) {
				in.ProductionVariants = append(in.ProductionVariants, productionVariant("a", "model-1", 1))
				in.ShadowProductionVariants = []types.ProductionVariant{productionVariant("b", "model-1", 1)}
			},
		} {
			if err := draft(edit); !errors.Is(err, endpoint.ErrInvalid) || !strings.Contains(err.Error(), says) {
				t.Errorf("%v, want %q", err, says)
			}
		}
		if _, err := rollout.Preview(t.Context(), e, strategy.InPlace{}, rollout.ToArtifact("model-2")); err != nil {
			t.Errorf("pools with the right routing: %v", err)
		}
		srv.Seed(&sm.UpdateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("c2")})
		for i := range 12 { // more than a page
			srv.SetExperiment(fmt.Sprintf("other-%d", i), fmt.Sprintf("other-%d", i))
		}
		if _, err := rollout.Preview(t.Context(), e, strategy.InPlace{}, rollout.ToArtifact("main=model-1")); err != nil {
			t.Errorf("with others' experiments: %v", err)
		}
		srv.SetExperiment("trial", name)
		if _, err := rollout.Preview(t.Context(), e, strategy.InPlace{}, rollout.ToArtifact("main=model-1")); !errors.Is(err, endpoint.ErrBusy) || !strings.Contains(err.Error(), "inference experiment trial") {
			t.Errorf("with a running experiment: %v", err)
		}
		if n := len(srv.Mutations()); n > 0 {
			t.Errorf("%d writes", n)
		}
	})
}

// A change of the model alone turns nothing on that was off.
func TestCloneKeepsObservabilityOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account()
		srv.Behave(func(b *sagemakertest.Behaviour) { b.NewDefaults = true })
		r, err := rollout.Run(t.Context(), journal.NewMemory(), open(t, srv), strategy.InPlace{}, rollout.ToArtifact("model-2"))
		if is := srv.Endpoint(name); err != nil || r.Outcome != rollout.OutcomeSucceeded || is.Detailed {
			t.Errorf("detailed observability is %t: %v", is.Detailed, err)
		}
	})
}

// Instances that SageMaker scales itself are no setting, and no count of them is
// written down.
func TestManagedScalingIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hosting(2)
		managed := createConfig("managed", func() types.ProductionVariant {
			v := productionVariant("main", "", 1)
			v.ModelName, v.InitialVariantWeight = nil, nil
			v.ManagedInstanceScaling = &types.ProductionVariantManagedInstanceScaling{
				Status: types.ManagedInstanceScalingStatusEnabled, MinInstanceCount: aws.Int32(1), MaxInstanceCount: aws.Int32(8),
			}
			return v
		}())
		managed.ExecutionRoleArn = aws.String("arn:aws:iam::111122223333:role/host")
		srv.Seed(managed, &sm.UpdateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("managed")}, capacity("main", 5))
		e := open(t, srv)
		if st, err := e.Status(t.Context()); err != nil || len(st.Settings) > 0 {
			t.Errorf("settings %v, %v", st.Settings, err)
		}
		d, err := e.DraftWith(t.Context(), endpoint.Revision{}, func(in *sm.CreateEndpointConfigInput) { in.ProductionVariants[0].VolumeSizeInGB = aws.Int32(64) })
		if err != nil || !strings.Contains(string(d.Body), `"InitialInstanceCount":1`) {
			t.Fatalf("%s, %v", d.Body, err)
		}
		if _, err := rollout.Preview(t.Context(), e, strategy.ScaleProtectedSwap{Prescale: 9}, rollout.ToDraft(d)); !errors.Is(err, endpoint.ErrInvalid) {
			t.Errorf("prescale: %v", err)
		}
		r, err := rollout.Run(t.Context(), journal.NewMemory(), e, strategy.ScaleProtectedSwap{}, rollout.ToDraft(d))
		if err != nil || r.Outcome != rollout.OutcomeSucceeded || srv.Endpoint(name).Variants["main"].Desired != 5 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
