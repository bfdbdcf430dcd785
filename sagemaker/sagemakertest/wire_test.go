package sagemakertest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	metrics "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

func TestErrorsAreTheSDKsTypes(t *testing.T) {
	srv := seeded()
	srv.SetQuota("ml.g5.xlarge", 7)
	c := newClients(srv)
	ctx := t.Context()

	var limit *types.ResourceLimitExceeded
	if _, err := c.sm.UpdateEndpoint(ctx, update("c2", nil)); !errors.As(err, &limit) || !strings.HasPrefix(limit.ErrorMessage(),
		"The account-level service limit 'ml.g5.xlarge for endpoint usage' is 7 Instances, with current utilization of 4 Instances and a request delta of 4 Instances.") {
		t.Errorf("UpdateEndpoint over the quota: %v", err)
	}
	var missing *scaling.ObjectNotFoundException
	if _, err := c.as.PutScalingPolicy(ctx, trackingPolicy("p")); !errors.As(err, &missing) {
		t.Errorf("PutScalingPolicy without a target: %v", err)
	}
	var unknown *scaling.ResourceNotFoundException
	if _, err := c.as.ListTagsForResource(ctx, &aas.ListTagsForResourceInput{ResourceARN: aws.String("arn:aws:application-autoscaling:eu-west-1:111122223333:scalable-target/none")}); !errors.As(err, &unknown) {
		t.Errorf("ListTagsForResource of nothing: %v", err)
	}
	srv.Fail(sagemakertest.Call{Service: sagemakertest.AutoScaling}, sagemakertest.Refused("ConcurrentUpdateException", "busy"))
	var concurrent *scaling.ConcurrentUpdateException
	if _, err := c.as.RegisterScalableTarget(ctx, register(1, 5)); !errors.As(err, &concurrent) || concurrent.ErrorMessage() != "busy" {
		t.Errorf("RegisterScalableTarget: %v", err)
	}
	if _, err := c.cw.SetAlarmState(ctx, setAlarm("none", metrics.StateValueOk)); code(err) != "ResourceNotFound" {
		t.Errorf("SetAlarmState of nothing: %v", err)
	}
	srv.Fail(sagemakertest.Call{}, sagemakertest.Throttled())
	if _, err := c.cw.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{}); code(err) != "ThrottlingException" || message(err) != "Rate exceeded" {
		t.Errorf("throttled: %v", err)
	}
}

func TestForeignRequestsAreRefused(t *testing.T) {
	const auth = "AWS4-HMAC-SHA256 Credential=AKIA/20261122/eu-west-1/%s/aws4_request, SignedHeaders=host, Signature=00"
	signedFor := func(service string) string { return strings.Replace(auth, "%s", service, 1) }
	tests := []struct {
		name, path, target, contentType, auth, body string
		status                                      int
		code                                        string
	}{
		{"fine", "/", "SageMaker.DescribeEndpoint", "application/x-amz-json-1.1", signedFor("sagemaker"), `{"EndpointName":"sdxl"}`, 200, "sdxl"},
		{"unsigned", "/", "SageMaker.DescribeEndpoint", "application/x-amz-json-1.1", "", `{"EndpointName":"sdxl"}`, 403, "MissingAuthenticationToken"},
		{"signed for another", "/", "SageMaker.DescribeEndpoint", "application/x-amz-json-1.1", signedFor("monitoring"), `{}`, 403, "InvalidSignature"},
		{"unknown operation", "/", "SageMaker.CreateCluster", "application/x-amz-json-1.1", signedFor("sagemaker"), `{}`, 404, "UnknownOperation"},
		{"unknown service", "/", "Logs.DescribeLogGroups", "application/x-amz-json-1.1", signedFor("logs"), `{}`, 404, "UnknownOperation"},
		{"wrong encoding", "/", "SageMaker.DescribeEndpoint", "application/json", signedFor("sagemaker"), `{}`, 415, "UnsupportedMediaType"},
		{"no JSON", "/", "SageMaker.DescribeEndpoint", "application/x-amz-json-1.1", signedFor("sagemaker"), `{`, 400, "SerializationException"},
		{"wrong type", "/", "SageMaker.DescribeEndpoint", "application/x-amz-json-1.1", signedFor("sagemaker"), `{"EndpointName":5}`, 400, "SerializationException"},
		{"nothing required", "/", "SageMaker.DescribeEndpoint", "application/x-amz-json-1.1", signedFor("sagemaker"), ``, 400, "Value null at 'endpointName' failed to satisfy constraint: Member must not be null"},
		{"no CBOR", "/service/GraniteServiceVersion20100801/operation/DescribeAlarms", "", "application/cbor", signedFor("monitoring"), "\xff", 400, "SerializationException"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, tt.path, strings.NewReader(tt.body))
			req.Header.Set("X-Amz-Target", tt.target)
			req.Header.Set("Content-Type", tt.contentType)
			req.Header.Set("Authorization", tt.auth)
			if strings.HasPrefix(tt.path, "/service") {
				req.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
			}
			rec := httptest.NewRecorder()
			seeded().ServeHTTP(rec, req)
			if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.code) {
				t.Errorf("status %d, body %s", rec.Code, rec.Body)
			}
		})
	}
}

// Behind a socket, with the SDK's default retries, as a program that is told
// AWS_ENDPOINT_URL has it.
func TestSocket(t *testing.T) {
	srv := seeded()
	ts := httptest.NewServer(srv)
	defer ts.Close()
	cfg := aws.Config{Region: "us-east-2", BaseEndpoint: &ts.URL, Credentials: srv.Config().Credentials}
	sm := sagemaker.NewFromConfig(cfg)
	srv.Fail(sagemakertest.Call{}, sagemakertest.Dropped(false))
	srv.Fail(sagemakertest.Call{Nth: 2}, sagemakertest.HTTPStatus(http.StatusBadGateway))
	out, err := sm.DescribeEndpoint(t.Context(), &sagemaker.DescribeEndpointInput{EndpointName: aws.String("SDXL")})
	if err != nil || *out.EndpointName != "sdxl" || *out.EndpointArn != "arn:aws:sagemaker:eu-west-1:111122223333:endpoint/sdxl" {
		t.Fatalf("%+v, %v", out, err)
	}
	cw := cloudwatch.NewFromConfig(cfg)
	if _, err := cw.PutMetricAlarm(t.Context(), userAlarm("errors")); err != nil {
		t.Error(err)
	}
	list, err := cw.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{})
	if err != nil || len(list.MetricAlarms) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	var statuses []int
	for _, r := range srv.Requests() {
		if !r.Foreign {
			statuses = append(statuses, r.Status)
		}
	}
	if diff := cmp.Diff([]int{0, 502, 200, 200, 200}, statuses); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

func TestDoneContextsReachNothing(t *testing.T) {
	srv := seeded()
	c := newClients(srv)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.sm.UpdateEndpoint(ctx, update("c2", nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("UpdateEndpoint: %v", err)
	}
	if m := srv.Mutations(); len(m) != 0 {
		t.Errorf("mutations %v", m)
	}
}

func TestDroppedAnswer(t *testing.T) {
	srv := seeded()
	c := newClients(srv)
	srv.Fail(sagemakertest.Call{Action: "sagemaker:UpdateEndpoint"}, sagemakertest.Dropped(true))
	if _, err := c.sm.UpdateEndpoint(t.Context(), update("c2", nil)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("UpdateEndpoint: %v", err)
	}
	if e := srv.Endpoint("sdxl"); e.Pending != "c2" {
		t.Errorf("endpoint %+v", e)
	}
}
