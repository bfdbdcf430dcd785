package sagemaker_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/smithy-go"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/strategy"
)

const (
	token     = "FwoGZXIvYXdzEJr//////////wEaDNeverShowThisEither+abc/def=="
	signature = "5f3759df5f3759df5f3759df5f3759df5f3759df5f3759df5f3759df5f3759df"
	accessKey = "ASIAIOSFODNN7EXAMPLE"
)

// refusals of a signature, as AWS words them, and of other layers.
func credentialTexts() []string {
	return []string{
		"The request signature we calculated does not match. The Canonical String for this request should have been\n'POST\n/\n\nhost:api.sagemaker.eu-west-1.amazonaws.com\n" +
			"x-amz-date:20260501T000000Z\nx-amz-security-token:" + token + "\nx-amz-target:SageMaker.UpdateEndpoint\n\nhost;x-amz-date;x-amz-security-token\n" + signature[:63] + "0'",
		"Authorization header: AWS4-HMAC-SHA256 Credential=" + accessKey + "/20260501/eu-west-1/sagemaker/aws4_request, SignedHeaders=host, Signature=" + signature,
		"Get https://api.example.com/?X-Amz-Credential=" + accessKey + "%2F20260501&X-Amz-Security-Token=" + url.QueryEscape(token) + "&X-Amz-Signature=" + signature + ": EOF",
		`{"SessionToken": "` + token + `", "AccessKeyId": "` + accessKey + `"}`,
		"the token " + token + " has expired",
	}
}

func TestCredentialsAreHidden(t *testing.T) {
	for _, text := range credentialTexts() {
		for _, code := range []string{"SignatureDoesNotMatch", "ExpiredTokenException", "ValidationException"} {
			for _, err := range []error{&smithy.GenericAPIError{Code: code, Message: text}, errors.New(text)} {
				got := sagemaker.Classify(err)
				for all := got; all != nil; all = errors.Unwrap(all) {
					for _, part := range []string{token, url.QueryEscape(token), token[:20], signature, accessKey} {
						if s := fmt.Sprintf("%v %+v", all, all); strings.Contains(s, part) {
							t.Errorf("%.12s… is in %s", part, s)
						}
					}
				}
				if !strings.Contains(got.Error(), "[redacted]") {
					t.Errorf("nothing is hidden in %v", got)
				}
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		for _, text := range credentialTexts() {
			srv := account()
			srv.Fail(sagemakertest.Call{Action: "sagemaker:UpdateEndpoint", Times: -1}, sagemakertest.Refused("SignatureDoesNotMatch", text))
			store := journal.NewMemory()
			r, err := rollout.Run(t.Context(), store, open(t, srv), strategy.InPlace{}, rollout.ToRevision("c2"))
			if out := fmt.Sprintf("%v %+v", err, r); err == nil || strings.Contains(out, token[:20]) || strings.Contains(out, accessKey) {
				t.Error(out)
			}
		}
	})
}

// What a container was given is not shown, whatever AWS makes of it.
func TestEnvironmentsAreHidden(t *testing.T) {
	for spelling, text := range map[string]string{
		"clear":      secret,
		"a prefix":   secret[:10] + "…",
		"escaped":    url.QueryEscape(secret),
		"base64":     base64.StdEncoding.EncodeToString([]byte(secret)),
		"in a JSON":  `{"HF_TOKEN":"` + secret + `"}`,
		"in a shell": "sh: HF_TOKEN=" + secret + ": not found",
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := account()
			srv.SetOutcome("model-2", sagemakertest.RollsBack, "the container said: "+text)
			srv.Seed(&sm.UpdateEndpointInput{EndpointName: ptr(name), EndpointConfigName: ptr("c2")})
			st, err := open(t, srv).Status(t.Context()) // which has read no model before
			if err != nil || !strings.Contains(st.Reason, "the container said: ") || strings.Contains(st.Reason, text) {
				t.Errorf("%s: %q, %v", spelling, st.Reason, err)
			}
			host := hosting(4)
			host.SetOutcome("model-2", sagemakertest.Fails, "the container said: "+text)
			r, err := rollout.Run(t.Context(), journal.NewMemory(), openComponent(t, host), strategy.InPlace{}, rollout.ToArtifact("model-2"))
			if out := fmt.Sprintf("%v %+v", err, r); err == nil || strings.Contains(out, text) {
				t.Errorf("component, %s: %s", spelling, out)
			}
		})
	}
}

func ExampleClassify() {
	srv := account()
	cfg := srv.Config()
	_, err := sm.NewFromConfig(cfg).DescribeEndpoint(context.Background(), &sm.DescribeEndpointInput{EndpointName: ptr("none")})
	err = sagemaker.Classify(err)
	fmt.Println(errors.Is(err, endpoint.ErrNotFound), err)
	// Output: true not found: Could not find endpoint "arn:aws:sagemaker:eu-west-1:111122223333:endpoint/none". (ValidationException)
}
