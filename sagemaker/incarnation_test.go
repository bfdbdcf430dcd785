package sagemaker_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/sagemaker"
)

// An endpoint that was deleted and made again has the name and the ARN of before,
// and is another one: nothing of the old one is restored onto it.
func TestAnotherIncarnation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account()
		scaled(srv, "main", 6)
		e := open(t, srv, sagemaker.WithAutoscalingMode(sagemaker.AutoscalingDeregister))
		was, err := e.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p, err := e.SnapshotAutoscaling(t.Context(), endpoint.Change{To: config("c2")})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		srv.Seed(&sm.DeleteEndpointInput{EndpointName: aws.String(name)}, &sm.CreateEndpointInput{EndpointName: aws.String(name), EndpointConfigName: aws.String("c1")})
		is, err := e.Status(t.Context())
		if err != nil || is.Identity == was.Identity || is.Identity == "" {
			t.Errorf("identity %q, was %q, %v", is.Identity, was.Identity, err)
		}
		for what, err := range map[string]error{
			"suspend": e.SuspendAutoscaling(t.Context(), p), "restore": e.RestoreAutoscaling(t.Context(), p),
			"inspect": func() error { _, err := e.InspectAutoscaling(t.Context(), p); return err }(),
		} {
			if !errors.Is(err, endpoint.ErrInvalid) || !strings.Contains(err.Error(), "was deleted and made again") {
				t.Errorf("%s: %v", what, err)
			}
		}
		if n := len(srv.Mutations()); n > 0 {
			t.Errorf("%d writes", n)
		}
	})
}

// A component is known by when it was made, too.
func TestAnotherComponent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hosting(2)
		scaledCopies(srv, 1, 4)
		c := openComponent(t, srv)
		was, err := c.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.SnapshotAutoscaling(t.Context(), endpoint.Change{To: endpoint.Revision{Kind: sagemaker.KindModel, ID: "model-2"}})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		srv.Seed(&sm.DeleteInferenceComponentInput{InferenceComponentName: aws.String(chat)}, createComponent(chat, 2))
		scaledCopies(srv, 1, 4)
		if is, err := c.Status(t.Context()); err != nil || is.Identity == was.Identity {
			t.Errorf("identity %q, %v", is.Identity, err)
		}
		if err := c.RestoreAutoscaling(t.Context(), p); !errors.Is(err, endpoint.ErrInvalid) || len(srv.Mutations()) > 0 {
			t.Errorf("%v, %d writes", err, len(srv.Mutations()))
		}
	})
}
