package sagemaker_test

import (
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/strategy"
)

// night is an asynchronous endpoint whose variants have n and m instances.
func night(n, m int32) *sagemakertest.Server {
	srv := sagemakertest.New()
	async := func(config, model string) *sm.CreateEndpointConfigInput {
		in := createConfig(config, productionVariant("main", model, 1), productionVariant("side", model, 1))
		in.AsyncInferenceConfig = &types.AsyncInferenceConfig{OutputConfig: &types.AsyncInferenceOutputConfig{S3OutputPath: aws.String("s3://acme/out")}}
		return in
	}
	srv.Seed(createModel("model-1"), createModel("model-2"), async("c1", "model-1"), async("c2", "model-2"),
		&sm.CreateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("c1")})
	for variant, count := range map[string]int32{"main": n, "side": m} {
		srv.Seed(capacity(variant, count))
	}
	return srv
}

func capacity(variant string, n int32) *sm.UpdateEndpointWeightsAndCapacitiesInput {
	return &sm.UpdateEndpointWeightsAndCapacitiesInput{EndpointName: aws.String(name), DesiredWeightsAndCapacities: []types.DesiredWeightAndCapacity{
		{VariantName: &variant, DesiredInstanceCount: &n},
	}}
}

// A variant without instances proves nothing of its container, forward and back,
// on every path.
func TestProofAtZero(t *testing.T) {
	for _, s := range componentStrategies() {
		for _, tt := range []struct {
			n, m  int32
			proof strategy.Proof
		}{{0, 0, "configuration"}, {2, 0, "configuration"}, {2, 1, "workers"}} {
			synctest.Test(t, func(t *testing.T) {
				srv := night(tt.n, tt.m)
				e := open(t, srv)
				r, err := rollout.Run(t.Context(), journal.NewMemory(), e, s, rollout.ToRevision("c2"))
				if err != nil || r.Outcome != rollout.OutcomeSucceeded || r.Proof != tt.proof {
					t.Errorf("%v with %d and %d instances: proof %q, %v; want %q", s, tt.n, tt.m, r.Proof, err, tt.proof)
				}
				st, err := e.Status(t.Context())
				if err != nil || st.Serving.IsZero() != (tt.proof == "configuration") || st.Unproven() != st.Serving.IsZero() {
					t.Errorf("%v: serving %v, unproven %t, %v", s, st.Serving, st.Unproven(), err)
				}
				// There is nothing to do any more, which takes no proof.
				writes := len(srv.Mutations())
				if r, err = rollout.Run(t.Context(), journal.NewMemory(), e, s, rollout.ToRevision("c2")); err != nil || r.Outcome != rollout.OutcomeNoOp || len(srv.Mutations()) > writes {
					t.Errorf("%v again: %+v, %v", s, r, err)
				}
			})
		}
	}
}

func TestComponentProofAtZero(t *testing.T) {
	for _, s := range componentStrategies() {
		synctest.Test(t, func(t *testing.T) {
			srv := hosting(0)
			c := openComponent(t, srv)
			r, err := rollout.Run(t.Context(), journal.NewMemory(), c, s, rollout.ToArtifact("model-2"))
			if err != nil || r.Outcome != rollout.OutcomeSucceeded || r.Proof != "configuration" || srv.Component(chat).Model != "model-2" {
				t.Errorf("%v: %+v, %v", s, r, err)
			}
			if st, err := c.Status(t.Context()); err != nil || !st.Serving.IsZero() || st.Phase != endpoint.PhaseReady {
				t.Errorf("%v: %+v, %v", s, st, err)
			}
		})
	}
}
