package rollout_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/waiter"
)

// Calls cost: providers limit their rate per account. An undisturbed rollout
// whose schedule sleeps for long makes the fewest writes that get it there, and
// few more looks than it has steps.
func TestCallsOfAnUndisturbedRollout(t *testing.T) {
	for _, tt := range []struct {
		scenario string
		writes   []string
		reads    int // at most
	}{
		{"in-place", []string{"update b"}, 12},
		{"in-place by image", []string{"update a"}, 12},
		{"in-place, boot", []string{"update b", "set workers.min=1", "set workers.min=0"}, 17},
		{"flush-to-zero", []string{"set workers.min=0", "set workers.max=0", "update b", "set workers.max=3", "set workers.min=1"}, 26},
		{"flush-to-zero, boot", []string{"set workers.max=0", "update b", "set workers.max=2", "set workers.min=1", "set workers.min=0"}, 30},
		{"alternating-template", []string{"stage b", "update b"}, 18},
		{"scale-protected", []string{"protect main", "update c2", "restore main"}, 30},
		{"scale-protected, staged", []string{
			"stage c1-1", "protect main", "set variant/main/instances=4", "set variant/shadow/instances=4", "update c1-1",
			"set variant/main/instances=2", "set variant/shadow/instances=1", "restore main",
		}, 60},
	} {
		t.Run(tt.scenario, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, sc := range scenarios() {
					if sc.name != tt.scenario {
						continue
					}
					w := sc.world()
					before := w.ep.Protective()
					r, err := rollout.Run(t.Context(), journal.NewMemory(), w.ep, sc.strategy, sc.target,
						append(sc.opts, rollout.WithSchedule(waiter.Every(90*time.Second)))...)
					sc.check(t, w, before, r, err)
					var writes []string
					reads := 0
					for _, c := range w.ep.(interface{ Calls() []endpointtest.Call }).Calls() {
						if c.Write == 0 {
							reads++
							continue
						}
						writes = append(writes, c.Name)
					}
					if diff := cmp.Diff(tt.writes, writes); diff != "" {
						t.Errorf("writes (-want +got):\n%s", diff)
					}
					if reads > tt.reads {
						t.Errorf("%d looks, want at most %d", reads, tt.reads)
					}
					t.Logf("%d writes, %d looks", len(writes), reads)
				}
			})
		})
	}
}
