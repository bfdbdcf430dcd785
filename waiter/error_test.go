package waiter_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/waiter"
)

func TestErrorText(t *testing.T) {
	seen := waiter.Observation{Status: endpoint.Status{Phase: endpoint.PhaseUpdating}, Note: "1 starting"}
	for _, tt := range []struct {
		name string
		err  waiter.Error
		want string
	}{
		{
			name: "nothing seen",
			err:  waiter.Error{Cause: context.Canceled},
			want: "wait ended after 0 polls in 0s: context canceled",
		},
		{
			name: "only an error seen",
			err:  waiter.Error{Cause: context.Canceled, Last: endpoint.ErrThrottled, Polls: 1, Elapsed: 1234567 * time.Microsecond},
			want: "wait ended after 1 poll in 1.235s: context canceled (last error: throttled)",
		},
		{
			name: "a phase seen",
			err: waiter.Error{
				Cause: errStop, Polls: 2, Elapsed: time.Minute,
				Observed: waiter.Observation{Status: endpoint.Status{Phase: endpoint.PhaseReady}},
			},
			want: "wait ended after 2 polls in 1m0s: stop button (last seen: ready)",
		},
		{
			name: "a note without a phase seen",
			err:  waiter.Error{Cause: errStop, Polls: 2, Elapsed: time.Minute, Observed: waiter.Observation{Note: "half of it"}},
			want: "wait ended after 2 polls in 1m0s: stop button (last seen: unknown, half of it)",
		},
		{
			name: "a phase from the future without a note",
			err: waiter.Error{
				Cause: errStop, Polls: 2, Elapsed: time.Minute,
				Observed: waiter.Observation{Status: endpoint.Status{Phase: 99}},
			},
			want: "wait ended after 2 polls in 1m0s: stop button",
		},
		{
			name: "all there is",
			err:  waiter.Error{Cause: errStop, Last: endpoint.ErrBusy, Polls: 3, Elapsed: time.Minute, Observed: seen},
			want: "wait ended after 3 polls in 1m0s: stop button (last error: another change is in progress; last seen: updating, 1 starting)",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("text\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestErrorKeepsLastErrorAndLastSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		p := newProbe(pending, look{note: "lost", err: &endpoint.Error{Op: "status", Endpoint: "e/1", Err: endpoint.ErrUnavailable}})
		seen, err := waiter.Until(ctx, p.look, steady)
		wantErr(t, err, context.DeadlineExceeded)
		wantErr(t, err, endpoint.ErrUnavailable)
		var last *endpoint.Error
		if !errors.As(err, &last) {
			t.Errorf("error %v, want the last look's in it", err)
		}
		e := ended(t, err)
		wantDiff(t, "seen", waiter.Observation{Note: "pending"}, e.Observed)
		wantDiff(t, "returned", e.Observed, seen)
		const want = "wait ended after 3 polls in 8s: context deadline exceeded " +
			"(last error: status e/1: unavailable; last seen: unknown, pending)"
		if err.Error() != want {
			t.Errorf("text\n%s\nwant\n%s", err, want)
		}
	})
}

// TestErrorOfAVerdictIsNothingElse: what was waited out before must not make a
// refusal look like something to try again.
func TestErrorOfAVerdictIsNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbe(broken, refused)
		_, err := waiter.Until(t.Context(), p.look, steady)
		wantErr(t, err, endpoint.ErrUnauthorized)
		if e := ended(t, err); e.Last != nil {
			t.Errorf("last error %v, want none: the last look's is the cause", e.Last)
		}
		if endpoint.Transient(err) {
			t.Errorf("error %v counts as transient", err)
		}
	})
}

// TestErrorForgetsWhatASuccessFollowed: the last look went well.
func TestErrorForgetsWhatASuccessFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		_, err := waiter.Until(ctx, newProbe(broken, pending).look, steady)
		wantErr(t, err, context.DeadlineExceeded)
		if e := ended(t, err); e.Last != nil {
			t.Errorf("last error %v, want none", e.Last)
		}
	})
}

func TestErrorKeepsWhatTheVerdictWasPassedOn(t *testing.T) {
	for _, tt := range []struct {
		name string
		last waiter.Observation
		want waiter.Observation
	}{
		{"a status", waiter.Observation{Status: endpoint.Status{Phase: endpoint.PhaseFailed}}, waiter.Observation{Status: endpoint.Status{Phase: endpoint.PhaseFailed}}},
		{"a note", waiter.Observation{Note: "gone"}, waiter.Observation{Note: "gone"}},
		{"nothing", waiter.Observation{}, waiter.Observation{Note: "pending"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				looks := 0
				seen, err := waiter.Until(t.Context(), func(context.Context) (waiter.Observation, bool, error) {
					if looks++; looks == 1 {
						return waiter.Observation{Note: "pending"}, false, nil
					}
					return tt.last, false, endpoint.ErrNotFound
				})
				wantErr(t, err, endpoint.ErrNotFound)
				wantDiff(t, "seen", tt.want, ended(t, err).Observed)
				wantDiff(t, "returned", tt.want, seen)
			})
		})
	}
}

// list is an error that == panics on.
type list []error

func (l list) Error() string   { return errors.Join(l...).Error() }
func (l list) Unwrap() []error { return l }

func TestErrorThatCannotBeCompared(t *testing.T) {
	all := list{endpoint.ErrUnavailable, endpoint.ErrThrottled}
	t.Run("budget", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newProbe(look{err: all})
			_, err := waiter.Until(t.Context(), p.look, waiter.WithTransient(endpoint.Transient, time.Second), steady)
			wantErr(t, err, endpoint.ErrThrottled)
			if e := ended(t, err); e.Last != nil {
				t.Errorf("last error %v, want none besides the cause", e.Last)
			}
		})
	})
	t.Run("context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			_, err := waiter.Until(ctx, func(ctx context.Context) (waiter.Observation, bool, error) {
				cancel(all)
				return waiter.Observation{}, false, context.Cause(ctx)
			})
			wantErr(t, err, endpoint.ErrUnavailable)
		})
	})
}
