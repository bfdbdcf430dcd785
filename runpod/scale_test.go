package runpod_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

// What a write was answered with an hour ago says nothing against a read: a
// minimum above the maximum that somebody else has lowered is not sent.
func TestBoundsThatSomebodyElseChanged(t *testing.T) {
	for name, transport := range map[string]runpod.Transport{"rest": runpod.REST, "graphql": runpod.GraphQL} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := account(t)
				ep := client(t, srv, runpod.WithTransport(transport)).Endpoint(endpointID)
				if err := ep.Set(t.Context(), endpoint.WorkersMax, 5); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
				srv.Do(func(st *runpodtest.State) {
					st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.WorkersMax = 2 })
				})
				srv.OnMutation(func(_ int, name string) runpodtest.Fault {
					t.Errorf("%s was sent, and what RunPod makes of that is not known", name)
					return runpodtest.Fault{}
				})
				checkError(t, ep.Set(t.Context(), endpoint.WorkersMin, 4), endpoint.ErrInvalid)
				if got := srv.Endpoint(endpointID); got.WorkersMin != 2 {
					t.Errorf("bounds are %d, %d", got.WorkersMin, got.WorkersMax)
				}
			})
		})
	}
}
