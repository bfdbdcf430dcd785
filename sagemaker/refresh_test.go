package sagemaker_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// The same artifact on new instances: the configuration is a copy under a new
// name, says why, and every instance is younger than it.
func TestRefresh(t *testing.T) {
	for _, s := range componentStrategies() {
		synctest.Test(t, func(t *testing.T) {
			srv := autoscaled()
			before := srv.Guarded()
			e := open(t, srv)
			_, err := rollout.Preview(t.Context(), e, s, rollout.ToArtifact("model-1"))
			if !errors.Is(err, endpoint.ErrSameArtifact) || !strings.Contains(err.Error(), "refresh it and say why") {
				t.Errorf("without a reason: %v", err)
			}
			start := time.Now()
			d, err := e.DraftRefresh(t.Context(), endpoint.Revision{}, "AWS Health: patch #2026-05 <urgent>")
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Refreshed(t.Context(), d, start); !errors.Is(err, endpoint.ErrNotFound) {
				t.Errorf("before it: %v", err)
			}
			r, err := rollout.Run(t.Context(), journal.NewMemory(), e, s, rollout.ToDraft(d))
			if err != nil || r.Outcome != rollout.OutcomeSucceeded || r.Plan.Source.ID == r.Plan.Target.ID || r.Plan.Source.Artifact != r.Plan.Target.Artifact {
				t.Fatalf("%v: %+v, %v", s, r, err)
			}
			if !strings.Contains(strings.Join(r.Plan.Notes, "\n"), "AWS Health: patch #2026-05 <urgent>") {
				t.Errorf("the plan does not say why: %q", r.Plan.Notes)
			}
			if err := e.Refreshed(t.Context(), d, start); err != nil {
				t.Errorf("after it: %v", err)
			}
			asBefore(t, srv, before)
			tag := ""
			for _, m := range srv.Mutations() {
				if in, ok := m.Input.(*sm.CreateEndpointConfigInput); ok {
					for _, t := range in.Tags {
						if *t.Key == "changeover:refresh" {
							tag = *t.Value
						}
					}
				}
			}
			if tag != "AWS Health: patch -2026-05 -urgent-" {
				t.Errorf("tag %q", tag)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		e := open(t, account())
		if _, err := e.DraftRefresh(t.Context(), endpoint.Revision{}, " \n"); !errors.Is(err, endpoint.ErrInvalid) {
			t.Errorf("without a reason: %v", err)
		}
	})
}

// Instances that are older than the refresh are not taken for new ones.
func TestNotRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account()
		e := open(t, srv)
		d, err := e.DraftRefresh(t.Context(), endpoint.Revision{}, "patch")
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Stage(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if err := e.Refreshed(t.Context(), d, time.Now()); !errors.Is(err, endpoint.ErrDrift) {
			t.Errorf("on the old configuration: %v", err)
		}
		// A configuration that is deleted and made again, in service throughout.
		c1 := endpoint.Draft{Revision: config("c1"), Refresh: "patch"}
		time.Sleep(time.Hour)
		srv.Seed(&sm.DeleteEndpointConfigInput{EndpointConfigName: &c1.Revision.ID})
		if _, err := srv.Do(createConfig("c1", productionVariant("main", "model-1", 3), productionVariant("side", "model-1", 2))); err != nil {
			t.Fatal(err)
		}
		if err := e.Refreshed(t.Context(), c1, time.Now()); !errors.Is(err, endpoint.ErrDrift) || !strings.Contains(err.Error(), "were started at") {
			t.Errorf("on old instances: %v", err)
		}
	})
}
