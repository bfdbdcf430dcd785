package runpod_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/strategy"
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

// A maximum that RunPod limits, and says so, is no success and nobody else's
// change: restored is what was there, once RunPod allows it again.
func TestClampedMaximum(t *testing.T) {
	for _, r := range routes() {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, r, runpodtest.WithBehaviour(runpodtest.Behaviour{ClampToQuota: true}))
				quota := 0
				w.Do(func(st *runpodtest.State) { quota, st.Quota = st.Quota, 1 })
				report, err := w.run(t.Context(), strategy.FlushToZero{})
				if !errors.Is(err, rollout.ErrIncomplete) || !errors.Is(err, endpoint.ErrClamped) || len(report.Drift) > 0 ||
					!strings.Contains(err.Error(), "workers.max was to be 3 and is 1") {
					t.Fatalf("Run = %v, %v", report.Drift, err)
				}
				w.Do(func(st *runpodtest.State) { st.Quota = quota })
				report, err = rollout.Resume(t.Context(), w.store, w.endpoint(t))
				if report.Outcome != rollout.OutcomeSucceeded && report.Outcome != rollout.OutcomeRolledBack {
					t.Errorf("Resume = %v, %v", report.Outcome, err)
				}
				if got := w.Endpoint(endpointID); got.WorkersMin != 2 || got.WorkersMax != 3 {
					t.Errorf("bounds are %d, %d", got.WorkersMin, got.WorkersMax)
				}
			})
		})
	}
}
