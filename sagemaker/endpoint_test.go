package sagemaker_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/strategy"
)

func TestNew(t *testing.T) {
	for name, ok := range map[string]bool{"sdxl": true, "A-1": true, "": false, "-a": false, "a_b": false, strings.Repeat("a", 64): false} {
		e, err := sagemaker.New(name, nopSM{}, nopAAS{}, nopCW{})
		if (err == nil) != ok {
			t.Errorf("New(%q) = %v", name, err)
		}
		if ok && e.Name() != "sagemaker/"+name {
			t.Errorf("its name is %s", e.Name())
		}
	}
	if _, err := sagemaker.New("a", nil, nopAAS{}, nopCW{}); err == nil {
		t.Error("New takes no client for a client")
	}
	if _, err := sagemaker.New("a", nopSM{}, nopAAS{}, nopCW{}, sagemaker.WithAutoscalingMode("hope")); !errors.Is(err, endpoint.ErrInvalid) {
		t.Errorf("New with level hope = %v", err)
	}
}

func TestStatusThroughAnUpdate(t *testing.T) {
	for _, odd := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			srv := account(func(s *sagemakertest.Server) {
				s.Behave(func(b *sagemakertest.Behaviour) { b.NewNameWhileUpdating = odd })
			})
			e := open(t, srv)
			c1, c2 := endpoint.Revision{Kind: "endpoint-config", ID: "c1", Artifact: "model-1"}, endpoint.Revision{Kind: "endpoint-config", ID: "c2", Artifact: "model-2"}
			look := func() endpoint.Status {
				s, err := e.Status(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			s := look()
			if s.Phase != endpoint.PhaseReady || s.Desired != c1 || s.Serving != c1 || s.Mixed || s.UpdateStage.Name != "" || s.Generation == "" {
				t.Errorf("at rest: %+v", s)
			}
			if diff := cmp.Diff(endpoint.Settings{"variant/main/instances": 3, "variant/side/instances": 2}, s.Settings); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]endpoint.Pool{{Name: "main", Ready: 3}, {Name: "side", Ready: 2}}, s.Pools); diff != "" {
				t.Error(diff)
			}
			generation := s.Generation
			if err := e.Update(t.Context(), endpoint.Change{To: c2, Options: options(t, sagemaker.UpdateOptions{DeploymentConfig: canary(percent(50), 600, 0)})}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			s = look()
			if s.Phase != endpoint.PhaseUpdating || s.Desired != c2 || !s.Serving.IsZero() || s.Mixed || s.UpdateStage.Name != "Creating" || s.UpdateStage.For != 0 || s.Generation == generation {
				t.Errorf("creating: %+v", s)
			}
			if diff := cmp.Diff([]endpoint.Pool{{Name: "main", Stale: 3, Starting: 3}, {Name: "side", Stale: 2, Starting: 2}}, s.Pools); diff != "" {
				t.Error(diff)
			}
			time.Sleep(5 * time.Minute)
			s = look()
			if s.Phase != endpoint.PhaseUpdating || s.Desired != c2 || !s.Mixed || s.UpdateStage.Name != "Baking" || s.UpdateStage.For != 10*time.Minute || !strings.HasPrefix(s.UpdateStage.Message, "Baking for 600 seconds") || s.UpdateStage.Since.IsZero() {
				t.Errorf("baking: %+v", s)
			}
			time.Sleep(time.Hour)
			s = look()
			if s.Phase != endpoint.PhaseReady || s.Desired != c2 || s.Serving != c2 || s.Mixed || s.UpdateStage.Name != "" {
				t.Errorf("done: %+v", s)
			}
		})
	}
}

func TestStatusThroughACapacityChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account()
		e := open(t, srv)
		if err := e.Set(t.Context(), "variant/main/instances", 5); err != nil {
			t.Fatal(err)
		}
		s, err := e.Status(t.Context())
		if err != nil || s.Phase != endpoint.PhaseUpdating || s.Desired.ID != "c1" || s.Serving.ID != "c1" || s.Settings["variant/main/instances"] != 5 || s.Pools[0] != (endpoint.Pool{Name: "main", Ready: 3, Starting: 2}) {
			t.Errorf("Status = %+v, %v", s, err)
		}
		if err := e.Set(t.Context(), "variant/side/instances", 5); !errors.Is(err, endpoint.ErrBusy) || !endpoint.Unapplied(err) {
			t.Errorf("Set of the next variant = %v", err)
		}
		for key, value := range map[string]int{
			"workers.max": 1, "variant/main": 1, "variant//instances": 1, "variant/main/instances": -1, "variant/main/weight": 1,
			"variant/main/concurrency": 0, "variant/a/b/instances": 1,
		} {
			if err := e.Set(t.Context(), key, value); !errors.Is(err, endpoint.ErrInvalid) {
				t.Errorf("Set %s=%d = %v", key, value, err)
			}
		}
		if n := len(srv.Mutations()); n != 2 {
			t.Errorf("%d writes", n)
		}
	})
}

func TestQuotaTellsHowFarItReaches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account()
		srv.SetQuota("ml.g5.xlarge", 9)
		e := open(t, srv)
		err := e.Set(t.Context(), "variant/main/instances", 12)
		var most interface{ AtMost() (int, bool) }
		if !errors.Is(err, endpoint.ErrQuota) || !errors.As(err, &most) {
			t.Fatalf("Set = %v", err)
		}
		if n, ok := most.AtMost(); n != 7 || !ok {
			t.Errorf("at most %d, %t; 9 instances are allowed, and side has 2", n, ok)
		}
		// A second fleet does not fit.
		r, err := rollout.Run(t.Context(), journal.NewMemory(), e, strategy.InPlace{}, rollout.ToRevision("c2"))
		if r == nil || r.Outcome != rollout.OutcomeRolledBack || !errors.Is(err, endpoint.ErrQuota) || !strings.Contains(err.Error(), "request delta of") {
			t.Errorf("Run = %+v, %v", r, err)
		}
	})
}

func TestServerless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := func(model string) types.ProductionVariant {
			return types.ProductionVariant{VariantName: aws.String("main"), ModelName: &model, ServerlessConfig: &types.ProductionVariantServerlessConfig{
				MemorySizeInMB: aws.Int32(2048), MaxConcurrency: aws.Int32(10), ProvisionedConcurrency: aws.Int32(3),
			}}
		}
		srv := sagemakertest.New()
		srv.Seed(createModel("model-1"), createModel("model-2"), createConfig("c1", v("model-1")),
			&sm.CreateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("c1")})
		e := open(t, srv)
		s, err := e.Status(t.Context())
		if err != nil || s.Settings["variant/main/concurrency"] != 3 || len(s.Settings) != 1 || s.Live() != 0 || s.Serving.ID != "c1" {
			t.Errorf("Status = %+v, %v", s, err)
		}
		if err := e.Set(t.Context(), "variant/main/concurrency", 5); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		before := srv.Guarded()
		d, err := e.Draft(t.Context(), endpoint.Revision{}, "model-2")
		if err != nil || !strings.Contains(string(d.Body), `"ProvisionedConcurrency":5`) {
			t.Fatalf("Draft = %s, %v", d.Body, err)
		}
		r, err := rollout.Run(t.Context(), journal.NewMemory(), e, strategy.ScaleProtectedSwap{}, rollout.ToDraft(d))
		if err != nil || r.Outcome != rollout.OutcomeSucceeded {
			t.Errorf("Run = %v, %v", r, err)
		}
		asBefore(t, srv, before)
	})
}

func TestResolve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, account())
		for _, tt := range []struct {
			in   endpoint.Revision
			want string
			err  error
		}{
			{endpoint.Revision{ID: "c2"}, "endpoint-config c2 (model-2)", nil},
			{config("c2"), "endpoint-config c2 (model-2)", nil},
			{endpoint.Revision{ID: "c2", Artifact: "model-2"}, "endpoint-config c2 (model-2)", nil},
			{endpoint.Revision{ID: "c2", Artifact: "model-1"}, "nothing", endpoint.ErrInvalid},
			{endpoint.Revision{ID: "c3"}, "nothing", endpoint.ErrNotFound},
			{endpoint.Revision{ID: "c_3"}, "nothing", endpoint.ErrInvalid},
			{endpoint.Revision{Artifact: "model-2"}, "nothing", errors.ErrUnsupported},
			{endpoint.Revision{Kind: "template", ID: "c2"}, "nothing", endpoint.ErrInvalid},
			{endpoint.Revision{}, "nothing", endpoint.ErrInvalid},
		} {
			got, err := e.Resolve(t.Context(), tt.in)
			if got.String() != tt.want || !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Errorf("Resolve(%+v) = %s, %v", tt.in, got, err)
			}
		}
	})
}

// What an answer to UpdateEndpoint means, and that nothing is sent twice.
func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		name      string
		fault     sagemakertest.Fault
		want      error
		unapplied bool
	}{
		{"endpoint missing", refused(`Could not find endpoint "arn:aws:sagemaker:eu-west-1:1:endpoint/sdxl".`), endpoint.ErrNotFound, true},
		{"model missing", refused(`Could not find model "arn".`), endpoint.ErrNotFound, true},
		{"in progress", refused(`Cannot update in-progress endpoint "arn".`), endpoint.ErrBusy, true},
		{"target registered", refused("The following variants must be deregistered as scalable targets with AWS Auto Scaling"), sagemaker.ErrScalableTarget, true},
		{"anything else", refused("One or more endpoint features are not supported using this configuration"), endpoint.ErrInvalid, true},
		{"quota", sagemakertest.Refused("ResourceLimitExceeded", "The account-level service limit"), endpoint.ErrQuota, true},
		{"throttled", sagemakertest.Throttled(), endpoint.ErrThrottled, true},
		{"no right", sagemakertest.Refused("AccessDeniedException", "not authorized to perform: sagemaker:UpdateEndpoint"), endpoint.ErrUnauthorized, true},
		{"expired", sagemakertest.Refused("ExpiredTokenException", "expired"), endpoint.ErrUnauthorized, true},
		{"conflict", sagemakertest.Refused("ConflictException", "conflict"), endpoint.ErrBusy, true},
		{"internal", sagemakertest.Fault{Status: 500, Code: "InternalFailure"}, endpoint.ErrUnavailable, false},
		{"unknown 5xx", sagemakertest.Fault{Status: 503, Code: "ValidationException", Message: "Could not find endpoint"}, endpoint.ErrUnavailable, false},
		{"gateway", sagemakertest.HTTPStatus(502), endpoint.ErrUnavailable, false},
		{"proxy", sagemakertest.HTTPStatus(403), endpoint.ErrUnavailable, false},
		{"unreadable", sagemakertest.HTTPStatus(200), endpoint.ErrUnavailable, false},
		{"lost before", sagemakertest.Dropped(false), endpoint.ErrUnavailable, false},
		{"lost after", sagemakertest.Dropped(true), endpoint.ErrUnavailable, false},
		{"timed out", sagemakertest.Fault{Status: 400, Code: "RequestTimeout"}, endpoint.ErrUnavailable, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := account()
				e := open(t, srv)
				srv.Fail(sagemakertest.Call{Mutation: true, Times: -1}, tt.fault)
				err := e.Update(t.Context(), endpoint.Change{To: config("c2")})
				if !errors.Is(err, tt.want) || endpoint.Unapplied(err) != tt.unapplied {
					t.Errorf("Update = %v, unapplied %t", err, endpoint.Unapplied(err))
				}
				if says := strings.Contains(err.Error(), "not found"); says != errors.Is(err, endpoint.ErrNotFound) {
					t.Errorf("%v: says that something is not found: %v", err, says)
				}
				var wrapped *endpoint.Error
				if !errors.As(err, &wrapped) || wrapped.Op != "update" || wrapped.Endpoint != "sagemaker/sdxl" || strings.Count(err.Error(), "sagemaker/sdxl") > 1+strings.Count(tt.fault.Message, "sagemaker/sdxl") {
					t.Errorf("%v is not wrapped once", err)
				}
				if n := len(srv.Mutations()); n != 1 {
					t.Errorf("UpdateEndpoint was sent %d times", n)
				}
				if strings.Contains(err.Error(), "secret") || strings.Contains(fmt.Sprintf("%+v", err), "Signature") {
					t.Errorf("a secret shows in %v", err)
				}
			})
		})
	}
}

func refused(message string) sagemakertest.Fault {
	return sagemakertest.Refused("ValidationException", message)
}

// A client that cannot even address a request is not worth waiting for.
func TestClientWithoutARegion(t *testing.T) {
	cfg := account().Config()
	cfg.Region = ""
	e, err := sagemaker.New(name, sm.NewFromConfig(cfg), aas.NewFromConfig(cfg), cloudwatch.NewFromConfig(cfg))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Status(t.Context()); !errors.Is(err, endpoint.ErrInvalid) || endpoint.Transient(err) {
		t.Errorf("Status = %v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account()
		f := sagemakertest.Throttled()
		f.Status, f.Header = 429, http.Header{"Retry-After": {"17"}}
		srv.Fail(sagemakertest.Call{Mutation: true}, f)
		err := open(t, srv).Update(t.Context(), endpoint.Change{To: config("c2")})
		if got := endpoint.RetryAfter(err); got != 17*time.Second {
			t.Errorf("RetryAfter of %v = %v", err, got)
		}
	})
}

// A configuration that was made a moment ago may not be found by the update yet.
func TestUpdateWaitsForAConfigToBeFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account()
		srv.Behave(func(b *sagemakertest.Behaviour) { b.ConfigLag = 12 * time.Second })
		e := open(t, srv)
		d, err := e.Draft(t.Context(), endpoint.Revision{}, "model-3")
		if err == nil {
			err = e.Stage(t.Context(), d)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Update(t.Context(), endpoint.Change{To: d.Revision}); err != nil {
			t.Errorf("Update = %v", err)
		}
		// One that is not there is not waited for.
		start := time.Now()
		if err := e.Update(t.Context(), endpoint.Change{To: config("c9")}); err == nil || time.Since(start) > 0 {
			t.Errorf("Update = %v after %v", err, time.Since(start))
		}
	})
}

// A context that is done sends nothing, and says why.
func TestDoneContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := autoscaled()
		e, p := protected(t, srv, sagemaker.AutoscalingDeregister)
		d, err := e.Draft(t.Context(), endpoint.Revision{}, "model-3")
		if err != nil {
			t.Fatal(err)
		}
		sent := len(srv.Requests())
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		for name, f := range map[string]func() error{
			"status":    func() error { _, err := e.Status(ctx); return err },
			"update":    func() error { return e.Update(ctx, endpoint.Change{To: config("c2")}) },
			"set":       func() error { return e.Set(ctx, "variant/main/instances", 2) },
			"draft":     func() error { _, err := e.Draft(ctx, endpoint.Revision{}, "model-2"); return err },
			"stage":     func() error { return e.Stage(ctx, d) },
			"staged":    func() error { return e.Staged(ctx, d) },
			"snapshot":  func() error { _, err := e.SnapshotAutoscaling(ctx, endpoint.Change{To: config("c2")}); return err },
			"protect":   func() error { return e.SuspendAutoscaling(ctx, p) },
			"restore":   func() error { return e.RestoreAutoscaling(ctx, p) },
			"inspect":   func() error { _, err := e.InspectAutoscaling(ctx, p); return err },
			"resolve":   func() error { _, err := e.Resolve(ctx, config("c2")); return err },
			"preflight": func() error { _, err := e.Preflight(ctx, endpoint.Change{To: config("c2")}, nil); return err },
			"clean up":  func() error { _, err := e.CleanUp(ctx, 0); return err },
		} {
			if err := f(); !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
				t.Errorf("%s = %v", name, err)
			}
		}
		if n := len(srv.Requests()); n != sent {
			t.Errorf("%d requests were sent", n-sent)
		}
	})
}

// The fake's own clients keep these interfaces honest.
var (
	_ sagemaker.SageMaker   = (*sm.Client)(nil)
	_ sagemaker.AutoScaling = (*aas.Client)(nil)
	_ sagemaker.CloudWatch  = (*cloudwatch.Client)(nil)
)
