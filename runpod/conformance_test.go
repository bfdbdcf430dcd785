package runpod_test

import (
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

func TestConformance(t *testing.T) {
	for transport, to := range map[string]endpoint.Revision{
		"rest":                {Artifact: imageV2},
		"rest, template copy": {ID: nextID},
		"graphql, template":   {ID: nextID},

		"graphql, template, without rest": {ID: nextID},
	} {
		for name, b := range map[string]runpodtest.Behaviour{
			"as documented": {},
			"lagging":       {ReadLag: 15 * time.Second, JobLag: 20 * time.Second, WorkersLag: 5 * time.Second},
		} {
			t.Run(transport+"/"+name, func(t *testing.T) {
				endpointtest.Run(t, endpointtest.Harness{New: func(t testing.TB) endpointtest.Subject {
					w := newWorld(t, routeNamed(transport), runpodtest.WithBehaviour(b))
					full, err := w.ep.Resolve(t.Context(), to)
					if err != nil {
						t.Fatal(err)
					}
					s := endpointtest.Subject{
						Updater: w.ep, To: full,
						Mutations: func() int { return len(w.Mutations()) },
						Lose:      func(applied bool) { w.Fail(runpodtest.Call{Op: runpodtest.Mutation}, runpodtest.Dropped(applied)) },
						Spoil:     func() { w.AddImage(runpodtest.Image{Ref: imageV2, Fault: runpodtest.TurnsUnhealthy}) },
						Key:       endpoint.WorkersMax, Value: 4,
						Secrets: []string{runpodtest.Key, secret},
					}
					if w.linked != "" {
						s.Base, s.Artifact = endpoint.Revision{Kind: "template", ID: nextID}, imageV3
					}
					return s
				}})
			})
		}
	}
}
