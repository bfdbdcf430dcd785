package runpod_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/strategy"
)

// A rollout over REST writes the image alone. What another writer changes beside
// it in the middle is kept, shows as a field that moved, and neither ends the
// rollout nor stands in the way of a rollback.
func TestForeignFieldIsKept(t *testing.T) {
	for name, tt := range map[string]struct {
		edit  func(*runpodtest.State)
		field string
		kept  func(*world) bool
	}{
		"environment": {
			func(st *runpodtest.State) {
				editContent(st, func(t *runpodtest.Template) { t.Env["MODEL"] = "theirs" })
			}, "env MODEL", func(w *world) bool { return w.truth().Env["MODEL"] == "theirs" },
		},
		"a variable that is new": {
			func(st *runpodtest.State) {
				editContent(st, func(t *runpodtest.Template) { t.Env["THEIRS"] = "new" })
			}, "env THEIRS", func(w *world) bool { return w.truth().Env["THEIRS"] == "new" },
		},
		"a variable that goes": {
			func(st *runpodtest.State) {
				editContent(st, func(t *runpodtest.Template) { delete(t.Env, "MODEL") })
			}, "env MODEL", func(w *world) bool { return w.truth().Env["MODEL"] == "" },
		},
		"hardware": {
			func(st *runpodtest.State) {
				st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.GPUIDs = "ADA_80_PRO" })
			}, "gpu", func(w *world) bool { return w.Endpoint(endpointID).GPUIDs == "ADA_80_PRO" },
		},
		"place": {
			func(st *runpodtest.State) {
				st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.Locations = "EU-RO-1" })
			}, "dataCenterIds", func(w *world) bool { return w.Endpoint(endpointID).Locations == "EU-RO-1" },
		},
		"volume": {
			func(st *runpodtest.State) {
				st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.NetworkVolumeID = "vol7" })
			}, "networkVolumes", func(w *world) bool { return w.Endpoint(endpointID).NetworkVolumeID == "vol7" },
		},
		"time-out": {
			func(st *runpodtest.State) {
				st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.ExecutionTimeoutMs = 7000 })
			}, "timeout", func(w *world) bool { return w.Endpoint(endpointID).ExecutionTimeoutMs == 7000 },
		},
		"queue delay": {
			func(st *runpodtest.State) {
				st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.QueueDelay = 0.5 })
			}, "scaling", func(w *world) bool { return w.Endpoint(endpointID).QueueDelay == 0.5 },
		},
		"start script": {
			func(st *runpodtest.State) {
				editContent(st, func(t *runpodtest.Template) { t.StartScript = "theirs" })
			}, "release of other settings", func(w *world) bool { return w.Template(w.Endpoint(endpointID).TemplateID).StartScript == "theirs" },
		},
	} {
		for _, bad := range []bool{false, true} {
			for _, s := range []strategy.Strategy{strategy.InPlace{}, strategy.FlushToZero{}} {
				t.Run(fmt.Sprintf("%s/%v/bad %t", name, s, bad), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t, routes()[0])
						if bad {
							w.AddImage(runpodtest.Image{Ref: w.goal, Fault: runpodtest.TurnsUnhealthy})
						}
						before := status(t, w.ep).Fields
						w.onFirst(tt.edit)
						r, err := w.run(t.Context(), s)
						want, outcome := imageV2, rollout.OutcomeSucceeded
						if bad {
							want, outcome = imageV1, rollout.OutcomeRolledBack
						}
						if got := w.truth(); r.Outcome != outcome || got.Image != want || got.Min != w.before.Min || got.Max != w.before.Max || !tt.kept(w) {
							t.Errorf("%v with %+v: %v", r.Outcome, got, err)
						}
						after := status(t, w.ep).Fields
						var moved []string
						all := maps.Clone(before)
						maps.Copy(all, after)
						for _, k := range slices.Sorted(maps.Keys(all)) {
							if after[k] != before[k] {
								moved = append(moved, k)
							}
						}
						if diff := cmp.Diff([]string{tt.field}, moved); diff != "" {
							t.Errorf("fields that moved (-want +got):\n%s", diff)
						}
						var named []string
						for _, d := range r.Drift {
							named = append(named, d.Thing)
						}
						if diff := cmp.Diff([]string{tt.field}, named); diff != "" {
							t.Errorf("drift (-want +got):\n%s", diff)
						}
						noSecret(t, fmt.Sprint(before, after))
					})
				})
			}
		}
	}
}
