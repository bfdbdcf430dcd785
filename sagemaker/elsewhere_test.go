package sagemaker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/strategy"
)

// another is SageMaker in another region, where endpoints have the same names.
type another struct{ *sm.Client }

func (a another) DescribeEndpoint(ctx context.Context, in *sm.DescribeEndpointInput, fns ...func(*sm.Options)) (*sm.DescribeEndpointOutput, error) {
	out, err := a.Client.DescribeEndpoint(ctx, in, fns...)
	if err == nil {
		out.EndpointArn = aws.String(strings.Replace(*out.EndpointArn, sagemakertest.Region, "us-east-1", 1))
	}
	return out, err
}

func openAnother(t *testing.T, srv *sagemakertest.Server) *sagemaker.Endpoint {
	t.Helper()
	cfg := srv.Config()
	e, err := sagemaker.New(name, another{sm.NewFromConfig(cfg)}, aas.NewFromConfig(cfg), cloudwatch.NewFromConfig(cfg))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestResumeElsewhere: a fleet has the same names in every region, and jobs
// that share a store. What died in one region is not undone in the other.
func TestResumeElsewhere(t *testing.T) {
	for _, calls := range []string{"Resume", "Advance"} {
		t.Run(calls, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, here := journal.NewMemory(), autoscaled()
				r, err := rollout.Begin(t.Context(), store, open(t, here), strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"), rollout.WithOwner("here"))
				if err != nil {
					t.Fatal(err)
				}
				for here.Endpoint(name).Config != "c2" {
					next, _, err := r.Advance(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Until(next))
				}
				r.Close()
				there := autoscaled()
				there.Seed(&sm.UpdateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("c2")})
				before := len(there.Mutations())
				if calls == "Resume" {
					_, err = rollout.Resume(t.Context(), store, openAnother(t, there))
				} else {
					r, aerr := rollout.Attach(t.Context(), store, openAnother(t, there), rollout.WithOwner("there"))
					if aerr != nil {
						t.Fatal(aerr)
					}
					for next := time.Now(); !next.IsZero(); time.Sleep(time.Until(next)) {
						next, _, err = r.Advance(t.Context())
					}
					r.Close()
				}
				if !errors.Is(err, endpoint.ErrInvalid) || !strings.Contains(err.Error(), "us-east-1") {
					t.Errorf("%s = %v, want it refused", calls, err)
				}
				if n := len(there.Mutations()); n > before {
					t.Errorf("%d writes in another region", n-before)
				}
				if r, err := rollout.Resume(t.Context(), store, open(t, here)); r == nil || r.Outcome != rollout.OutcomeRolledBack {
					t.Errorf("Resume = %v, %v", r, err)
				}
			})
		})
	}
}

// TestRestoreElsewhere: nor is the autoscaling of the one made that of the other.
func TestRestoreElsewhere(t *testing.T) {
	srv := autoscaled()
	doc, err := sagemaker.SaveAutoscaling(t.Context(), open(t, srv))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sagemaker.LoadAutoscaling(t.Context(), openAnother(t, account()), doc); !errors.Is(err, endpoint.ErrInvalid) {
		t.Errorf("LoadAutoscaling = %v, want it refused", err)
	}
}

// TestOtherSpelling: AWS finds an endpoint however its name is spelled, and a
// journal is kept by the name.
func TestOtherSpelling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, store := account(), journal.NewMemory()
		begun, err := rollout.Begin(t.Context(), store, open(t, srv), strategy.InPlace{}, rollout.ToRevision("c2"))
		if err != nil {
			t.Fatal(err)
		}
		for records := 0; records == 0; {
			next, _, err := begun.Advance(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Until(next))
			kept, err := store.Load(t.Context(), open(t, srv).Name())
			if err != nil {
				t.Fatal(err)
			}
			records = len(kept)
		}
		begun.Close()
		cfg := srv.Config()
		e, err := sagemaker.New(strings.ToUpper(name), sm.NewFromConfig(cfg), aas.NewFromConfig(cfg), cloudwatch.NewFromConfig(cfg))
		if err != nil {
			t.Fatal(err)
		}
		_, err = rollout.Run(t.Context(), store, e, strategy.InPlace{}, rollout.ToRevision("c2"))
		if !errors.Is(err, endpoint.ErrInvalid) || !strings.Contains(err.Error(), `"sdxl"`) || len(srv.Mutations()) > 0 {
			t.Errorf("Run = %v, want it refused", err)
		}
	})
}
