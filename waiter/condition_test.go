package waiter_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/waiter"
)

func TestDrained(t *testing.T) {
	var none endpoint.Revision
	empty := status(endpoint.PhasePaused, v1, none, 0)
	busy := status(endpoint.PhasePaused, v1, v1, 0)
	plain := func(s *script) endpoint.Updater { return s }
	counting := func(s *script) endpoint.Updater { return queue{s} }
	wrapped := func(s *script) endpoint.Updater { return wrapper{wrapper{queue{s}}} }
	for _, tt := range []struct {
		name   string
		as     func(*script) endpoint.Updater
		scenes []scene
		opts   []waiter.Option
		end    time.Duration
		want   error
		note   string
	}{
		{
			name: "empty", as: plain,
			scenes: []scene{{status: empty}},
			end:    5 * time.Second,
		},
		{
			name: "empty, in one look", as: counting,
			scenes: []scene{{status: empty}},
			opts:   []waiter.Option{waiter.WithConsecutive(1)},
		},
		{
			name: "a worker leaves", as: plain,
			scenes: []scene{{status: busy}, {from: time.Minute, status: empty}},
			end:    65 * time.Second,
		},
		{
			name: "a worker comes back", as: plain,
			scenes: []scene{{status: empty}, {from: 5 * time.Second, status: busy}, {from: 10 * time.Second, status: empty}},
			end:    15 * time.Second,
		},
		{
			name: "a worker stays", as: plain,
			scenes: []scene{{status: busy}},
			end:    time.Hour, want: context.DeadlineExceeded, note: "1 worker left",
		},
		{
			name: "workers that start, starve or run something else stay, too", as: counting,
			scenes: []scene{{status: endpoint.Status{
				Phase: endpoint.PhasePaused, Pools: []endpoint.Pool{{Starting: 1, Throttled: 1}, {Stale: 1, Unhealthy: 1}},
			}}},
			end: time.Hour, want: context.DeadlineExceeded, note: "4 workers left",
		},
		{
			name: "jobs that nobody can count do not matter", as: plain,
			scenes: []scene{{status: empty, jobs: 3}},
			end:    5 * time.Second,
		},
		{
			name: "jobs end", as: counting,
			scenes: []scene{{status: busy, jobs: 2}, {from: time.Minute, status: empty, jobs: 1}, {from: 2 * time.Minute, status: empty}},
			end:    125 * time.Second,
		},
		{
			name: "a job stays", as: counting,
			scenes: []scene{{status: empty, jobs: 1}},
			end:    time.Hour, want: context.DeadlineExceeded, note: "1 job in flight",
		},
		{
			name: "jobs are counted through wrappers", as: wrapped,
			scenes: []scene{{status: empty, jobs: 2}},
			end:    time.Hour, want: context.DeadlineExceeded, note: "2 jobs in flight",
		},
		{
			name: "jobs end, through wrappers", as: wrapped,
			scenes: []scene{{status: empty, jobs: 2}, {from: time.Minute, status: empty}},
			end:    65 * time.Second,
		},
		{
			name: "an unknown phase is no success", as: plain,
			scenes: []scene{{}},
			end:    time.Hour, want: context.DeadlineExceeded, note: "the provider does not say what is left",
		},
		{
			name: "jobs cannot be counted for a while", as: counting,
			scenes: []scene{{status: empty, jobErr: endpoint.ErrThrottled}, {from: 2 * time.Second, status: empty}},
			end:    8 * time.Second, // looks at 0, 1, 3, 8
		},
		{
			name: "jobs cannot be counted", as: counting,
			scenes: []scene{{status: empty, jobErr: endpoint.ErrUnauthorized}},
			want:   endpoint.ErrUnauthorized, note: "0 workers left",
		},
		{
			name: "the look fails for good", as: counting,
			scenes: []scene{{status: busy}, {from: time.Second, err: endpoint.ErrNotFound}},
			end:    5 * time.Second, want: endpoint.ErrNotFound, note: "1 worker left",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				s := newScript(tt.scenes...)
				got, err := waiter.Drained(ctx, tt.as(s), steadily(tt.opts)...)
				wantErr(t, err, tt.want)
				if at := time.Since(s.start); at != tt.end {
					t.Errorf("ended after %v, want %v", at, tt.end)
				}
				if err != nil {
					wantDiff(t, "note", tt.note, ended(t, err).Observed.Note)
				}
				if s.now().err == nil {
					wantDiff(t, "status", s.now().status, got)
				}
			})
		})
	}
}

func TestSettled(t *testing.T) {
	var none endpoint.Revision
	at := func(p endpoint.Phase) scene { return scene{status: status(p, v1, none, 1)} }
	later := func(from time.Duration, p endpoint.Phase) scene {
		return scene{from: from, status: status(p, v3, v3, 0)}
	}
	for _, tt := range []struct {
		name   string
		scenes []scene
		end    time.Duration
		want   error
		text   string
	}{
		{name: "ready", scenes: []scene{at(endpoint.PhaseReady)}, end: 5 * time.Second},
		{name: "scaling", scenes: []scene{at(endpoint.PhaseScaling)}, end: 5 * time.Second},
		{name: "paused", scenes: []scene{at(endpoint.PhasePaused)}, end: 5 * time.Second},
		{name: "degraded", scenes: []scene{at(endpoint.PhaseDegraded)}, end: 5 * time.Second},
		{
			name: "an update ends", scenes: []scene{at(endpoint.PhaseUpdating), later(6*time.Minute, endpoint.PhaseReady)},
			end: 6*time.Minute + 5*time.Second,
		},
		{
			name: "an update goes on", scenes: []scene{at(endpoint.PhaseUpdating)},
			end: time.Hour, want: context.DeadlineExceeded, text: "updating, 0 ready, 1 starting",
		},
		{
			name: "between two updates",
			scenes: []scene{
				at(endpoint.PhaseUpdating), later(10*time.Second, endpoint.PhaseReady),
				later(15*time.Second, endpoint.PhaseUpdating), later(20*time.Second, endpoint.PhaseReady),
			},
			end: 25 * time.Second,
		},
		{name: "unknown", scenes: []scene{at(endpoint.PhaseUnknown)}, end: time.Hour, want: context.DeadlineExceeded},
		{name: "a phase from the future", scenes: []scene{at(99)}, end: time.Hour, want: context.DeadlineExceeded},
		{
			name: "failed", scenes: []scene{at(endpoint.PhaseUpdating), {
				from: 8 * time.Second, status: endpoint.Status{Phase: endpoint.PhaseFailed, Reason: "no capacity"},
			}},
			end: 10 * time.Second, want: endpoint.ErrFailed, text: "no capacity",
		},
		{
			name: "the look fails for good", scenes: []scene{{err: endpoint.ErrNotFound}},
			want: endpoint.ErrNotFound,
		},
		{
			name: "the look fails for a while", scenes: []scene{{err: endpoint.ErrUnavailable}, later(2*time.Second, endpoint.PhaseReady)},
			end: 8 * time.Second, // looks at 0, 1, 3, 8
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				s := newScript(tt.scenes...)
				got, err := waiter.Settled(ctx, s, steady)
				wantErr(t, err, tt.want)
				if at := time.Since(s.start); at != tt.end {
					t.Errorf("ended after %v, want %v", at, tt.end)
				}
				wantDiff(t, "status", s.now().status, got)
				if err != nil && !strings.Contains(err.Error(), tt.text) {
					t.Errorf("text %q, want %q in it", err, tt.text)
				}
			})
		})
	}
}

func TestReadyNotes(t *testing.T) {
	var none endpoint.Revision
	for _, tt := range []struct {
		name   string
		status endpoint.Status
		want   string
	}{
		{
			name: "counts",
			status: endpoint.Status{
				Phase: endpoint.PhaseUpdating, Desired: v2,
				Pools: []endpoint.Pool{{Ready: 1, Starting: 2}, {Throttled: 3, Stale: 4, Starting: 1}},
			},
			want: "1 ready, 3 starting, 3 throttled, 4 on another revision",
		},
		{
			name:   "stage",
			status: endpoint.Status{Phase: endpoint.PhaseUpdating, Desired: v2, UpdateStage: endpoint.UpdateStage{Name: "Baking"}},
			want:   "Baking",
		},
		{
			name:   "message of the stage",
			status: endpoint.Status{Phase: endpoint.PhaseUpdating, Desired: v2, UpdateStage: endpoint.UpdateStage{Name: "Baking", Message: "traffic shifted"}},
			want:   "traffic shifted",
		},
		{
			name:   "another revision",
			status: status(endpoint.PhaseReady, v1, v1, 0),
			want:   "still on template a (acme/sdxl:v1)",
		},
		{
			name:   "unhealthy",
			status: endpoint.Status{Phase: endpoint.PhaseDegraded, Desired: v2, Pools: []endpoint.Pool{{Unhealthy: 2}}},
			want:   "2 unhealthy on template b (acme/sdxl:v2)",
		},
		{
			name:   "nothing runs",
			status: status(endpoint.PhaseReady, v2, none, 0),
			want:   "configured, but nothing runs that could prove it",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := waiter.Ready(ctx, newScript(scene{status: tt.status}), v2, waiter.WithFrom(v1), steady)
				wantErr(t, err, context.DeadlineExceeded)
				wantDiff(t, "note", tt.want, ended(t, err).Observed.Note)
			})
		})
	}
}

// TestReadyTwice: one set of options serves several waits, which share nothing.
func TestReadyTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := make([]waiter.Option, 1, 8) // room in which one wait could write for the other
		opts[0] = waiter.WithFrom(v1)
		for range 2 {
			u := newScript(scene{status: status(endpoint.PhaseReady, v1, v1, 0)})
			_, err := waiter.Ready(t.Context(), u, v2, steadily(opts)...)
			wantErr(t, err, endpoint.ErrRolledBack)
			if at := time.Since(u.start); at != 30*time.Second {
				t.Errorf("ended after %v, want 30s", at)
			}
		}
		if opts[:2][1] != nil {
			t.Error("the wait wrote into the caller's options")
		}
	})
}
