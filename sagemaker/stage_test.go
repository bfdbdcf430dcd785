package sagemaker_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

// rich is a configuration with most of what one can say, shadows and tags
// included.
func rich(model string) *sm.CreateEndpointConfigInput {
	main, shade := productionVariant("main", model, 2), productionVariant("shade", model, 1)
	main.InitialVariantWeight = aws.Float32(0.3)
	main.VolumeSizeInGB = aws.Int32(64)
	main.ModelDataDownloadTimeoutInSeconds, main.ContainerStartupHealthCheckTimeoutInSeconds = aws.Int32(1200), aws.Int32(600)
	main.RoutingConfig = &types.ProductionVariantRoutingConfig{RoutingStrategy: types.RoutingStrategyLeastOutstandingRequests}
	main.EnableSSMAccess = aws.Bool(false)
	in := createConfig("rich", main)
	in.ShadowProductionVariants = []types.ProductionVariant{shade}
	in.DataCaptureConfig = &types.DataCaptureConfig{
		DestinationS3Uri: aws.String("s3://acme/capture"), InitialSamplingPercentage: aws.Int32(20), EnableCapture: aws.Bool(true),
		CaptureOptions:           []types.CaptureOption{{CaptureMode: types.CaptureModeInput}, {CaptureMode: types.CaptureModeOutput}},
		CaptureContentTypeHeader: &types.CaptureContentTypeHeader{JsonContentTypes: []string{"application/json"}},
	}
	in.VpcConfig = &types.VpcConfig{SecurityGroupIds: []string{"sg-1"}, Subnets: []string{"subnet-1", "subnet-2"}}
	in.EnableNetworkIsolation = aws.Bool(true)
	in.ExecutionRoleArn = aws.String("arn:aws:iam::111122223333:role/endpoint")
	in.KmsKeyId = aws.String("arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab")
	in.Tags = []types.Tag{{Key: aws.String("team"), Value: aws.String("vision")}, {Key: aws.String("empty"), Value: aws.String("")}}
	return in
}

func TestDraftAndStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := sagemakertest.New()
		srv.Seed(createModel("model-1"), createModel("model-2"), rich("model-1"),
			&sm.CreateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("rich")},
			&sm.UpdateEndpointWeightsAndCapacitiesInput{EndpointName: aws.String(name), DesiredWeightsAndCapacities: []types.DesiredWeightAndCapacity{
				{VariantName: aws.String("main"), DesiredInstanceCount: aws.Int32(5)},
			}})
		e := open(t, srv)
		d, err := e.Draft(t.Context(), endpoint.Revision{}, "model-2")
		if err != nil {
			t.Fatal(err)
		}
		if d.Base.ID != "rich" || d.Revision.Artifact != "main=model-2,shade=model-1" || !strings.HasPrefix(d.Revision.ID, "sdxl-co-") {
			t.Errorf("Draft = %+v", d)
		}
		if n := len(srv.Mutations()); n > 0 {
			t.Errorf("drafting wrote %d times", n)
		}
		if err := e.Staged(t.Context(), d); !errors.Is(err, endpoint.ErrNotFound) {
			t.Errorf("Staged = %v", err)
		}
		for range 2 {
			if err := e.Stage(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			if err := e.Staged(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		created := srv.Mutations()
		if len(created) != 1 {
			t.Fatalf("staging twice wrote %d times", len(created))
		}
		got, want := created[0].Input.(*sm.CreateEndpointConfigInput), rich("model-2")
		want.EndpointConfigName = &d.Revision.ID
		want.ProductionVariants[0].InitialInstanceCount = aws.Int32(5)
		want.ShadowProductionVariants[0].ModelName = aws.String("model-1")
		want.MetricsConfig = &types.MetricsConfig{EnableDetailedObservability: aws.Bool(false)} // which was the default when rich was made
		want.Tags = append(want.Tags, types.Tag{Key: aws.String("changeover:from"), Value: aws.String("rich")})
		byKey := func(a, b types.Tag) int { return strings.Compare(*a.Key, *b.Key) }
		slices.SortFunc(want.Tags, byKey)
		slices.SortFunc(got.Tags, byKey)
		if diff := cmp.Diff(want, got, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".noSmithyDocumentSerde" }, cmp.Ignore())); diff != "" {
			t.Errorf("created (-want +got):\n%s", diff)
		}
	})
}

func TestStageRefusesOtherContent(t *testing.T) {
	for what, edit := range map[string]func(*sm.CreateEndpointConfigInput){
		"another model": func(in *sm.CreateEndpointConfigInput) { in.ProductionVariants[0].ModelName = aws.String("model-1") },
		"a variant more": func(in *sm.CreateEndpointConfigInput) {
			in.ProductionVariants = append(in.ProductionVariants, productionVariant("third", "model-1", 1))
		},
		"data capture":  func(in *sm.CreateEndpointConfigInput) { in.DataCaptureConfig = rich("x").DataCaptureConfig },
		"another count": func(in *sm.CreateEndpointConfigInput) { in.ProductionVariants[0].InitialInstanceCount = aws.Int32(9) },
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := account()
				e := open(t, srv)
				d, err := e.Draft(t.Context(), endpoint.Revision{}, "model-3")
				if err != nil {
					t.Fatal(err)
				}
				in := createConfig(d.Revision.ID, productionVariant("main", "model-3", 3), productionVariant("side", "model-3", 2))
				edit(in)
				srv.Seed(in)
				for op, f := range map[string]func() error{
					"Stage":  func() error { return e.Stage(t.Context(), d) },
					"Staged": func() error { return e.Staged(t.Context(), d) },
				} {
					if err := f(); !errors.Is(err, endpoint.ErrInvalid) || !strings.Contains(err.Error(), "other content") {
						t.Errorf("%s = %v", op, err)
					}
				}
				if n := len(srv.Mutations()); n > 0 {
					t.Errorf("it wrote %d times", n)
				}
			})
		})
	}
}

func TestDraftWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account()
		e := open(t, srv)
		for what, edit := range map[string]func(*sm.CreateEndpointConfigInput){
			"no variants":    func(in *sm.CreateEndpointConfigInput) { in.ProductionVariants = nil },
			"eleven":         func(in *sm.CreateEndpointConfigInput) { in.ProductionVariants = make([]types.ProductionVariant, 11) },
			"bad name":       func(in *sm.CreateEndpointConfigInput) { in.EndpointConfigName = aws.String("a_b") },
			"name of base":   func(in *sm.CreateEndpointConfigInput) { in.EndpointConfigName = aws.String("c1") },
			"no instance":    func(in *sm.CreateEndpointConfigInput) { in.ProductionVariants[0].InitialInstanceCount = aws.Int32(0) },
			"variant twice":  func(in *sm.CreateEndpointConfigInput) { in.ProductionVariants[1].VariantName = aws.String("main") },
			"too many tags":  func(in *sm.CreateEndpointConfigInput) { in.Tags = make([]types.Tag, 51) },
			"variant's name": func(in *sm.CreateEndpointConfigInput) { in.ProductionVariants[0].VariantName = nil },
		} {
			if _, err := e.DraftWith(t.Context(), endpoint.Revision{}, edit); !errors.Is(err, endpoint.ErrInvalid) {
				t.Errorf("%s: DraftWith = %v", what, err)
			}
		}
		d, err := e.DraftWith(t.Context(), config("c2"), func(in *sm.CreateEndpointConfigInput) { in.EndpointConfigName = aws.String("by-hand") })
		if err != nil || d.Revision.ID != "by-hand" || d.Base.ID != "c2" {
			t.Errorf("DraftWith = %+v, %v", d, err)
		}
		for what, edit := range map[string]func(*endpoint.Draft){
			"another name":  func(d *endpoint.Draft) { d.Revision.ID = "other" },
			"another model": func(d *endpoint.Draft) { d.Revision.Artifact = "other" },
			"another kind":  func(d *endpoint.Draft) { d.Revision.Kind = "template" },
			"no body":       func(d *endpoint.Draft) { d.Body = nil },
			"broken body":   func(d *endpoint.Draft) { d.Body = d.Body[1:] },
		} {
			bad := d
			edit(&bad)
			if err := e.Stage(t.Context(), bad); !errors.Is(err, endpoint.ErrInvalid) {
				t.Errorf("%s: Stage = %v", what, err)
			}
		}
		if _, err := e.Draft(t.Context(), config("c9"), "model-2"); !errors.Is(err, endpoint.ErrNotFound) {
			t.Errorf("Draft of an unknown base = %v", err)
		}
		if _, err := e.Draft(t.Context(), endpoint.Revision{Kind: "template"}, "model-2"); !errors.Is(err, endpoint.ErrInvalid) {
			t.Errorf("Draft of another kind = %v", err)
		}
	})
}

// What the SDK's own client refuses to send was not sent.
func TestStageRefusedByTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account()
		e := open(t, srv)
		d, err := e.DraftWith(t.Context(), endpoint.Revision{}, func(in *sm.CreateEndpointConfigInput) {
			in.DataCaptureConfig = &types.DataCaptureConfig{}
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Stage(t.Context(), d); !errors.Is(err, endpoint.ErrInvalid) || !endpoint.Unapplied(err) || !strings.Contains(err.Error(), "DestinationS3Uri") {
			t.Errorf("Stage = %v", err)
		}
		if n := len(srv.Mutations()); n > 0 {
			t.Errorf("%d writes", n)
		}
	})
}

// A clone may be refused although its original was taken: nothing else was
// touched by then.
func TestStageSurfacesARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account()
		e := open(t, srv)
		d, err := e.Draft(t.Context(), endpoint.Revision{}, "model-3")
		if err != nil {
			t.Fatal(err)
		}
		srv.Fail(sagemakertest.Call{Action: "sagemaker:CreateEndpointConfig"}, refused("ManagedInstanceScaling is only supported for inference component endpoints."))
		if err := e.Stage(t.Context(), d); !errors.Is(err, endpoint.ErrInvalid) || !strings.Contains(err.Error(), "ManagedInstanceScaling") {
			t.Errorf("Stage = %v", err)
		}
	})
}

func TestCleanUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account()
		e := open(t, srv)
		var made []string
		stage := func(base endpoint.Revision, model string) endpoint.Draft {
			t.Helper()
			d, err := e.Draft(t.Context(), base, model)
			if err == nil {
				err = e.Stage(t.Context(), d)
			}
			if err != nil {
				t.Fatal(err)
			}
			made = append(made, d.Revision.ID)
			time.Sleep(time.Hour)
			return d
		}
		update := func(d endpoint.Draft) {
			t.Helper()
			if err := e.Update(t.Context(), endpoint.Change{To: d.Revision}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
		}
		stage(endpoint.Revision{}, "model-2")          // 0: never used
		a := stage(endpoint.Revision{}, "model-2")     // 1
		update(a)                                      // in service
		other := stage(endpoint.Revision{}, "model-3") // 2: of another endpoint
		srv.Seed(&sm.CreateEndpointInput{EndpointName: aws.String("other"), EndpointConfigName: &other.Revision.ID})
		left := stage(endpoint.Revision{}, "model-3") // 3: a leftover
		b := stage(endpoint.Revision{}, "model-3")    // 4
		update(b)                                     // in service; 1 is the previous one
		stage(endpoint.Revision{}, "model-1")         // 5
		stage(endpoint.Revision{}, "model-1")         // 6: the newest

		if err := e.Discard(t.Context(), b); !errors.Is(err, endpoint.ErrShared) {
			t.Errorf("Discard of what is served = %v", err)
		}
		for range 2 {
			if err := e.Discard(t.Context(), left); err != nil {
				t.Errorf("Discard = %v", err)
			}
		}
		removed, err := e.CleanUp(t.Context(), 1, made[0])
		if err != nil || !cmp.Equal(removed, []string{made[5]}) {
			t.Errorf("CleanUp = %v, %v; want %v", removed, err, made[5])
		}
		removed, err = e.CleanUp(t.Context(), 0)
		if err != nil || !cmp.Equal(removed, []string{made[6], made[0]}) {
			t.Errorf("CleanUp = %v, %v; want %v", removed, err, []string{made[6], made[0]})
		}
		for _, kept := range []string{"c1", "c2", made[1], made[2], made[4]} {
			if _, err := e.Resolve(t.Context(), config(kept)); err != nil {
				t.Errorf("%s: %v", kept, err)
			}
		}
		if err := e.Set(t.Context(), "variant/main/instances", 4); err != nil {
			t.Fatal(err)
		}
		if _, err := e.CleanUp(t.Context(), 0); !errors.Is(err, endpoint.ErrBusy) {
			t.Errorf("CleanUp of a busy endpoint = %v", err)
		}
	})
}

// A configuration that is shown without what is the default means the same as the
// draft, which has it in writing, and one that turns on what is paid for does not.
func TestStagedMeansTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account()
		srv.Behave(func(b *sagemakertest.Behaviour) { b.HideDefaultMetrics = true })
		e := open(t, srv)
		d, err := e.Draft(t.Context(), endpoint.Revision{}, "model-3")
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Stage(t.Context(), d); err != nil {
			t.Errorf("Stage = %v", err)
		}
		if err := e.Staged(t.Context(), d); err != nil {
			t.Errorf("Staged = %v", err)
		}
		other := sagemakertest.New()
		other.Seed(createModel("model-3"))
		in := createConfig(d.Revision.ID, productionVariant("main", "model-3", 3), productionVariant("side", "model-3", 2))
		in.MetricsConfig = &types.MetricsConfig{EnableDetailedObservability: aws.Bool(true)}
		other.Seed(in)
		if err := open(t, other).Staged(t.Context(), d); !errors.Is(err, endpoint.ErrInvalid) || !strings.Contains(err.Error(), "EnableDetailedObservability") {
			t.Errorf("Staged = %v, want it refused for its observability", err)
		}
	})
}
