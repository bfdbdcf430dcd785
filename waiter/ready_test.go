package waiter_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/waiter"
)

func TestReady(t *testing.T) {
	const (
		ready    = endpoint.PhaseReady
		updating = endpoint.PhaseUpdating
		degraded = endpoint.PhaseDegraded
	)
	var none endpoint.Revision
	from := waiter.WithFrom(v1)
	up := status(ready, v2, v2, 0)
	moving := status(updating, v2, none, 1)
	back := status(ready, v1, v1, 0)
	foreign := status(ready, v3, v3, 0)
	sick := endpoint.Status{
		Phase: degraded, Desired: v2, Reason: "image pull backoff",
		Pools: []endpoint.Pool{{Name: "a", Ready: 1}, {Name: "b", Unhealthy: 2}},
	}
	with := func(s endpoint.Status, edit func(*endpoint.Status)) endpoint.Status {
		edit(&s)
		return s
	}
	reason := func(r string) func(*endpoint.Status) { return func(s *endpoint.Status) { s.Reason = r } }

	for _, tt := range []struct {
		name   string
		scenes []scene
		opts   []waiter.Option
		end    time.Duration
		want   error  // context.DeadlineExceeded: it goes on waiting
		not    error  // what it must not be as well
		text   string // in the error
	}{
		{
			name:   "already, in two looks",
			scenes: []scene{{status: up}},
			end:    5 * time.Second,
		},
		{
			name:   "already, in one look",
			scenes: []scene{{status: up}},
			opts:   []waiter.Option{waiter.WithConsecutive(1)},
		},
		{
			name:   "after the update",
			scenes: []scene{{status: moving}, {from: 6 * time.Minute, status: up}},
			end:    6*time.Minute + 5*time.Second,
		},
		{
			name: "only when it lasts",
			scenes: []scene{
				{status: up},
				{from: 4 * time.Second, status: status(endpoint.PhaseScaling, v2, v2, 1)},
				{from: 20 * time.Second, status: up},
			},
			end: 25 * time.Second,
		},
		{
			name:   "a provider that knows less of the revision than was asked for",
			scenes: []scene{{status: status(ready, endpoint.Revision{Kind: "template", ID: "b"}, endpoint.Revision{Kind: "template", ID: "b"}, 0)}},
			end:    5 * time.Second,
		},

		// Not there yet, however long it takes.
		{
			name:   "right on paper while the workers still start",
			scenes: []scene{{status: status(ready, v2, none, 2)}, {from: 20 * time.Second, status: up}},
			end:    25 * time.Second,
		},
		{
			name:   "right on paper while other workers are alive",
			scenes: []scene{{status: with(status(ready, v2, none, 0), func(s *endpoint.Status) { s.Pools = []endpoint.Pool{{Stale: 1}} })}},
			opts:   []waiter.Option{waiter.WithUnproven()},
			want:   context.DeadlineExceeded,
		},
		{
			name:   "right on paper while the old revision serves",
			scenes: []scene{{status: status(ready, v2, v1, 0)}},
			opts:   []waiter.Option{waiter.WithUnproven()},
			want:   context.DeadlineExceeded,
		},
		{
			name:   "right on paper while the old revision serves from who knows where",
			scenes: []scene{{status: endpoint.Status{Phase: ready, Desired: v2, Serving: v1}}},
			opts:   []waiter.Option{waiter.WithUnproven()},
			want:   context.DeadlineExceeded,
		},
		{
			name:   "an unknown phase is no success",
			scenes: []scene{{status: status(endpoint.PhaseUnknown, v2, v2, 0)}},
			opts:   []waiter.Option{waiter.WithUnproven()},
			want:   context.DeadlineExceeded,
		},
		{
			name:   "a phase from the future is no success",
			scenes: []scene{{status: status(99, v2, v2, 0)}},
			want:   context.DeadlineExceeded,
		},
		{
			name:   "an unknown phase is no failure either",
			scenes: []scene{{status: status(endpoint.PhaseUnknown, v3, v3, 0)}, {from: time.Minute, status: up}},
			end:    65 * time.Second,
		},
		{
			name:   "mixed",
			scenes: []scene{{status: with(up, func(s *endpoint.Status) { s.Mixed = true })}},
			want:   context.DeadlineExceeded,
		},
		{
			name:   "still updating",
			scenes: []scene{{status: status(updating, v2, v2, 0)}},
			want:   context.DeadlineExceeded,
		},
		{
			name:   "capacity is short",
			scenes: []scene{{status: status(endpoint.PhaseScaling, v2, v2, 0)}},
			want:   context.DeadlineExceeded,
		},
		{
			name:   "degraded without a worker to blame",
			scenes: []scene{{status: status(degraded, v2, v2, 0)}},
			want:   context.DeadlineExceeded,
		},
		{
			name:   "updating while the change is not accepted yet",
			scenes: []scene{{status: status(updating, v1, v1, 0)}, {from: 10 * time.Minute, status: up}},
			opts:   []waiter.Option{from},
			end:    10*time.Minute + 5*time.Second,
		},
		{
			name:   "no revision on paper",
			scenes: []scene{{status: status(ready, none, none, 0)}, {from: 10 * time.Minute, status: up}},
			end:    10*time.Minute + 5*time.Second,
		},

		// Nothing runs that could prove it.
		{
			name:   "unproven",
			scenes: []scene{{status: status(ready, v2, none, 0)}},
			want:   context.DeadlineExceeded, text: "nothing runs that could prove it",
		},
		{
			name:   "unproven, accepted",
			scenes: []scene{{status: status(ready, v2, none, 0)}},
			opts:   []waiter.Option{waiter.WithUnproven()},
			end:    5 * time.Second,
		},
		{
			name:   "paused",
			scenes: []scene{{status: status(endpoint.PhasePaused, v2, none, 0)}},
			want:   context.DeadlineExceeded,
		},
		{
			name:   "paused, accepted",
			scenes: []scene{{status: status(endpoint.PhasePaused, v2, none, 0)}},
			opts:   []waiter.Option{waiter.WithUnproven()},
			end:    5 * time.Second,
		},
		{
			name:   "unproven while it scales",
			scenes: []scene{{status: status(endpoint.PhaseScaling, v2, none, 0)}},
			opts:   []waiter.Option{waiter.WithUnproven()},
			want:   context.DeadlineExceeded,
		},

		// Another revision.
		{
			name:   "silent rollback",
			scenes: []scene{{status: moving}, {from: 2 * time.Minute, status: with(back, reason("alarm 5xx"))}},
			opts:   []waiter.Option{from},
			end:    2*time.Minute + 30*time.Second, want: endpoint.ErrRolledBack, not: endpoint.ErrDrift, text: "alarm 5xx",
		},
		{
			name:   "silent rollback that nobody explains",
			scenes: []scene{{status: moving}, {from: 2 * time.Minute, status: back}},
			opts:   []waiter.Option{from},
			end:    2*time.Minute + 30*time.Second, want: endpoint.ErrRolledBack, text: "no reason",
		},
		{
			name:   "a rollback in progress is waited for",
			scenes: []scene{{status: moving}, {from: time.Minute, status: status(updating, v1, v1, 1)}, {from: 5 * time.Minute, status: back}},
			opts:   []waiter.Option{from},
			end:    5*time.Minute + 30*time.Second, want: endpoint.ErrRolledBack,
		},
		{
			name: "on the old revision, but not at rest in between",
			scenes: []scene{
				{status: back},
				{from: 20 * time.Second, status: status(updating, v1, v1, 1)},
				{from: time.Minute, status: back},
			},
			opts: []waiter.Option{from},
			end:  90 * time.Second, want: endpoint.ErrRolledBack,
		},
		{
			name:   "without a from, a rollback is somebody's change",
			scenes: []scene{{status: moving}, {from: time.Minute, status: back}},
			end:    time.Minute + 30*time.Second, want: endpoint.ErrDrift, not: endpoint.ErrRolledBack,
		},
		{
			name:   "a foreign revision",
			scenes: []scene{{status: moving}, {from: time.Minute, status: foreign}},
			opts:   []waiter.Option{from},
			end:    time.Minute + 30*time.Second, want: endpoint.ErrDrift, not: endpoint.ErrRolledBack, text: v3.String(),
		},
		{
			name:   "a foreign update in progress",
			scenes: []scene{{status: status(updating, v3, v1, 1)}},
			opts:   []waiter.Option{from},
			end:    30 * time.Second, want: endpoint.ErrDrift,
		},
		{
			name:   "the same name with other content",
			scenes: []scene{{status: status(ready, endpoint.Revision{Kind: "template", ID: "b", Artifact: "acme/sdxl:v7"}, none, 0)}},
			end:    30 * time.Second, want: endpoint.ErrDrift,
		},
		{
			name:   "one foreign revision after another",
			scenes: []scene{{status: foreign}, {from: 20 * time.Second, status: back}},
			opts:   []waiter.Option{from},
			end:    50 * time.Second, want: endpoint.ErrRolledBack,
		},
		{
			name:   "stale reads",
			scenes: []scene{{status: back}, {from: 29 * time.Second, status: moving}, {from: time.Minute, status: up}},
			opts:   []waiter.Option{from},
			end:    65 * time.Second,
		},
		{
			name: "stale reads again and again",
			scenes: []scene{
				{status: back},
				{from: 20 * time.Second, status: moving},
				{from: 25 * time.Second, status: back},
				{from: 50 * time.Second, status: up},
			},
			opts: []waiter.Option{from},
			end:  55 * time.Second,
		},
		{
			name:   "a grace of one's own",
			scenes: []scene{{status: back}},
			opts:   []waiter.Option{from, waiter.WithGrace(2 * time.Minute)},
			end:    2 * time.Minute, want: endpoint.ErrRolledBack,
		},
		{
			name:   "no grace",
			scenes: []scene{{status: back}},
			opts:   []waiter.Option{from, waiter.WithGrace(0)},
			want:   endpoint.ErrRolledBack,
		},
		{
			name:   "one look is no proof, however long ago the one before",
			scenes: []scene{{status: back}, {from: time.Second, status: up}},
			opts:   []waiter.Option{from, waiter.WithSchedule(waiter.Every(time.Hour))},
			end:    2 * time.Hour,
		},

		// Bad health.
		{
			name:   "unhealthy",
			scenes: []scene{{status: moving}, {from: time.Minute, status: sick}},
			end:    90 * time.Second, want: endpoint.ErrUnhealthy, text: "image pull backoff",
		},
		{
			name:   "unhealthy although it serves",
			scenes: []scene{{status: with(up, func(s *endpoint.Status) { s.Pools = []endpoint.Pool{{Ready: 1, Unhealthy: 1}} })}},
			end:    30 * time.Second, want: endpoint.ErrUnhealthy, text: "no reason",
		},
		{
			name:   "unhealthy, then well",
			scenes: []scene{{status: sick}, {from: 29 * time.Second, status: up}},
			end:    35 * time.Second,
		},
		{
			name:   "unhealthy, well, unhealthy again",
			scenes: []scene{{status: sick}, {from: 20 * time.Second, status: moving}, {from: 25 * time.Second, status: sick}},
			end:    55 * time.Second, want: endpoint.ErrUnhealthy,
		},
		{
			name:   "bad health of another revision says nothing",
			scenes: []scene{{status: sick}, {from: 20 * time.Second, status: back}, {from: 25 * time.Second, status: sick}},
			opts:   []waiter.Option{from},
			end:    55 * time.Second, want: endpoint.ErrUnhealthy,
		},
		{
			name:   "unhealthy without grace",
			scenes: []scene{{status: sick}},
			opts:   []waiter.Option{waiter.WithGrace(0)},
			want:   endpoint.ErrUnhealthy,
		},

		// A verdict of the provider's.
		{
			name:   "failed",
			scenes: []scene{{status: moving}, {from: 10 * time.Second, status: endpoint.Status{Phase: endpoint.PhaseFailed, Desired: v2, Reason: "no capacity"}}},
			end:    10 * time.Second, want: endpoint.ErrFailed, text: "no capacity",
		},
		{
			name:   "failed on another revision",
			scenes: []scene{{status: endpoint.Status{Phase: endpoint.PhaseFailed, Desired: v1}}},
			opts:   []waiter.Option{from},
			want:   endpoint.ErrFailed, text: "no reason",
		},

		// Errors of the look.
		{
			name:   "looks that fail for a while",
			scenes: []scene{{status: moving}, {from: 5 * time.Second, err: endpoint.ErrUnavailable}, {from: 10 * time.Second, status: up}},
			end:    17 * time.Second, // looks at 0, 5, 6, 8, 12, 17
		},
		{
			name:   "a look that fails for good",
			scenes: []scene{{status: moving}, {from: 5 * time.Second, err: endpoint.ErrNotFound}},
			end:    5 * time.Second, want: endpoint.ErrNotFound,
		},
		{
			name: "looks that fail do not excuse what was seen before and after",
			scenes: []scene{
				{status: back},
				{from: 5 * time.Second, err: endpoint.ErrUnavailable},
				{from: 30 * time.Second, status: back},
			},
			opts: []waiter.Option{from},
			end:  36 * time.Second, want: endpoint.ErrRolledBack, // looks at 0, 5, 6, 8, 12, 20, 36
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const patience = 4 * time.Hour // more than any case needs
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				u := newScript(tt.scenes...)
				got, err := waiter.Ready(ctx, u, v2, steadily(tt.opts)...)
				wantErr(t, err, tt.want)
				end := tt.end
				if errors.Is(tt.want, context.DeadlineExceeded) {
					end = patience
				}
				if at := time.Since(u.start); at != end {
					t.Errorf("ended after %v, want %v", at, end)
				}
				if u.now().err == nil {
					wantDiff(t, "status", u.now().status, got)
				}
				if err == nil {
					return
				}
				wantDiff(t, "status in the error", got, ended(t, err).Observed.Status)
				if !strings.Contains(err.Error(), tt.text) {
					t.Errorf("text %q, want %q in it", err, tt.text)
				}
				if tt.not != nil {
					notErr(t, err, tt.not)
				}
			})
		})
	}
}
