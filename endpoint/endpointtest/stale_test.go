package endpointtest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
)

func TestStaleReads(t *testing.T) {
	for name, tt := range map[string]struct {
		set  func(*endpointtest.Workers, time.Duration)
		want []int // workers.max as read twice at 0s, 5s, 9.999…s, 10s and 15s
	}{
		"always": {(*endpointtest.Workers).StaleReads, []int{3, 3, 3, 3, 3, 3, 4, 4, 5, 5}},
		"every other": {
			(*endpointtest.Workers).FlickerReads,
			[]int{3, 4, 3, 5, 3, 5, 4, 5, 5, 5},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorkers(1, 3)
				tt.set(w, 10*time.Second)
				var got []int
				for i, pause := range []time.Duration{0, 5 * time.Second, 5*time.Second - 1, 1, 5 * time.Second} {
					time.Sleep(pause)
					if i < 2 { // written at 0s and at 5s
						do(t, w.Set(t.Context(), "workers.max", 4+i))
					}
					for range 2 {
						got = append(got, status(t, w).Settings["workers.max"])
					}
				}
				if d := cmp.Diff(tt.want, got); d != "" {
					t.Errorf("workers.max (-want +got):\n%s", d)
				}
			})
		})
	}
}

func TestStaleReadsOfEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, ctx := newVariants(nil), t.Context()
		d, err := v.Draft(ctx, resolve(t, v, "c1"), "m3")
		do(t, err)
		p, err := v.SnapshotAutoscaling(ctx, endpoint.Change{})
		do(t, err)
		v.StaleReads(10 * time.Second)
		do(t, v.Stage(ctx, d))
		do(t, v.SuspendAutoscaling(ctx, p))
		do(t, v.Update(ctx, endpoint.Change{To: d.Revision}))
		for _, fresh := range []bool{false, true} {
			if s := status(t, v); (s.Phase == endpoint.PhaseUpdating) != fresh {
				t.Errorf("fresh %t: %v", fresh, s.Phase)
			}
			if err := v.Staged(ctx, d); (err == nil) != fresh {
				t.Errorf("fresh %t: Staged: %v", fresh, err)
			}
			if is, _ := inspect(t, v, p); is.Suspended != fresh {
				t.Errorf("fresh %t: Inspect: %v", fresh, is)
			}
			time.Sleep(10 * time.Second)
		}
	})
}
