package runpod_test

import (
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

func TestConformance(t *testing.T) {
	for name, b := range map[string]runpodtest.Behaviour{
		"as documented": {},
		"lagging":       {ReadLag: 15 * time.Second, JobLag: 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			endpointtest.Run(t, endpointtest.Harness{New: func(t testing.TB) endpointtest.Subject {
				srv := account(t, runpodtest.WithBehaviour(b))
				return endpointtest.Subject{
					Updater:   client(t, srv).Endpoint(endpointID),
					To:        endpoint.Revision{Kind: "template", ID: nextID, Artifact: imageV2},
					Mutations: func() int { return len(srv.Mutations()) },
					Lose:      func(applied bool) { srv.Fail(runpodtest.Call{Op: runpodtest.Mutation}, runpodtest.Dropped(applied)) },
					Spoil:     func() { srv.AddImage(runpodtest.Image{Ref: imageV2, Fault: runpodtest.TurnsUnhealthy}) },
					Key:       endpoint.WorkersMax, Value: 4,
					Base: endpoint.Revision{Kind: "template", ID: nextID}, Artifact: imageV3,
					Secrets: []string{runpodtest.Key, secret},
				}
			}})
		})
	}
}
