package waiter_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/waiter"
)

// budgetError is a cause of the caller's own.
type budgetError struct{ step string }

func (e *budgetError) Error() string { return "no time left for " + e.step }

var errStop = errors.New("stop button")

func TestContextEndsTheSleep(t *testing.T) {
	custom := &budgetError{"step 3"}
	for _, tt := range []struct {
		name    string
		context func(context.Context) (context.Context, context.CancelFunc)
		want    error
		end     time.Duration
	}{
		{
			name: "deadline",
			context: func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, 12*time.Second)
			},
			want: context.DeadlineExceeded, end: 12 * time.Second,
		},
		{
			name: "deadline with a cause",
			context: func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeoutCause(ctx, 12*time.Second, fmt.Errorf("rollout: %w", custom))
			},
			want: custom, end: 12 * time.Second,
		},
		{
			name: "cancel",
			context: func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(11*time.Second, cancel)
				return ctx, cancel
			},
			want: context.Canceled, end: 11 * time.Second,
		},
		{
			name: "cancel with a cause",
			context: func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancelCause(ctx)
				time.AfterFunc(11*time.Second, func() { cancel(errStop) })
				return ctx, func() { cancel(nil) }
			},
			want: errStop, end: 11 * time.Second,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := tt.context(t.Context())
				defer cancel()
				p := newProbe(pending)
				_, err := waiter.Until(ctx, p.look, steady)
				wantErr(t, err, tt.want)
				wantDiff(t, "looks at", seconds(0, 5, 10), p.at)
				e := ended(t, err)
				if e.Elapsed != tt.end || e.Last != nil {
					t.Errorf("ended after %v with last error %v, want %v and none", e.Elapsed, e.Last, tt.end)
				}
				wantDiff(t, "seen", waiter.Observation{Note: "pending"}, e.Observed)
			})
		})
	}
}

func TestContextCauseIsFoundByType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, &budgetError{"step 3"})
		defer cancel()
		_, err := waiter.Ready(ctx, newScript(scene{status: status(endpoint.PhaseUpdating, v2, v1, 1)}), v2, steady)
		var cause *budgetError
		if !errors.As(err, &cause) || cause.step != "step 3" {
			t.Errorf("error %v, want the context's own cause in it", err)
		}
	})
}

func TestContextDoneBeforeTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errStop)
		var h waiter.History
		opts := []waiter.Option{
			waiter.WithHistory(&h, "k", "e"),
			waiter.WithObserver(func(waiter.Progress) { t.Error("the observer was called") }),
		}
		p, u := newProbe(holds), newScript(scene{status: status(endpoint.PhaseReady, v2, v2, 0)})
		_, err := waiter.Until(ctx, p.look, steadily(opts)...)
		wantErr(t, err, errStop)
		if e := ended(t, err); len(p.at) != 0 || e.Polls != 0 || e.Elapsed != 0 {
			t.Errorf("looked %d times, said %d in %v; want none", len(p.at), e.Polls, e.Elapsed)
		}
		for name, wait := range waits {
			err := wait(ctx, u, opts...)
			wantErr(t, err, errStop)
			if u.looks != 0 {
				t.Errorf("%s looked %d times, want none", name, u.looks)
			}
		}
		if ds := h.Durations("k", "e"); ds != nil {
			t.Errorf("history %v, want none", ds)
		}
	})
}

// waits are the ready-made conditions, where it does not matter which.
var waits = map[string]func(context.Context, endpoint.Updater, ...waiter.Option) error{
	"Ready": func(ctx context.Context, u endpoint.Updater, opts ...waiter.Option) error {
		_, err := waiter.Ready(ctx, u, v2, steadily(opts)...)
		return err
	},
	"Drained": func(ctx context.Context, u endpoint.Updater, opts ...waiter.Option) error {
		_, err := waiter.Drained(ctx, u, steadily(opts)...)
		return err
	},
	"Settled": func(ctx context.Context, u endpoint.Updater, opts ...waiter.Option) error {
		_, err := waiter.Settled(ctx, u, steadily(opts)...)
		return err
	},
}

// TestContextWins has the timer, a wake-up and the context ready when the
// sleep begins, often enough that a select would have chosen each.
func TestContextWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 200 {
			ctx, cancel := context.WithCancelCause(t.Context())
			wake := make(chan struct{}, 1)
			p := newProbe(pending, holds)
			_, err := waiter.Until(
				ctx, p.look, waiter.WithWake(wake),
				waiter.WithSchedule(gaps(func(waiter.Progress) time.Duration {
					wake <- struct{}{}
					cancel(errStop)
					return 0
				})),
			)
			wantErr(t, err, errStop)
			if len(p.at) != 1 {
				t.Fatalf("looked %d times, want once: the context was done", len(p.at))
			}
		}
	})
}

// TestContextWinsATie has the end of a sleep and the deadline at the same
// moment: round numbers make that the usual case. A look then would be one
// that nobody waits for.
func TestContextWinsATie(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second, errStop)
			defer cancel()
			p := newProbe(pending)
			_, err := waiter.Until(ctx, p.look, waiter.WithWake(make(chan struct{})), steady)
			wantErr(t, err, errStop)
			wantDiff(t, "looks at", seconds(0, 5), p.at)
			if at := time.Since(p.start); at != 10*time.Second {
				t.Errorf("ended after %v, want 10s", at)
			}
		})
	}
}

// TestContextDeadlineBeforeTheNextLook: the deadline is nearer than the next look,
// and a wake-up nearer still.
func TestContextDeadlineBeforeTheNextLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		wake := make(chan struct{})
		time.AfterFunc(3*time.Second, func() { wake <- struct{}{} })
		p := newProbe(pending)
		_, err := waiter.Until(ctx, p.look, waiter.WithWake(wake), waiter.WithSchedule(waiter.Every(time.Hour)))
		wantErr(t, err, context.DeadlineExceeded)
		wantDiff(t, "looks at", seconds(0, 3), p.at)
		if at := time.Since(p.start); at != 10*time.Second {
			t.Errorf("ended after %v, want 10s", at)
		}
	})
}

func TestContextEndsTheLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 7*time.Second, errStop)
		defer cancel()
		var last waiter.Progress
		looks := 0
		_, err := waiter.Until(ctx, func(ctx context.Context) (waiter.Observation, bool, error) {
			if looks++; looks == 1 {
				return waiter.Observation{Note: "pending"}, false, nil
			}
			<-ctx.Done() // a request that hangs
			return waiter.Observation{}, false, &endpoint.Error{Op: "status", Endpoint: "e/1", Err: ctx.Err()}
		}, steady, waiter.WithObserver(func(p waiter.Progress) { last = p }))
		wantErr(t, err, errStop)
		wantErr(t, err, context.DeadlineExceeded)
		e := ended(t, err)
		if !errors.Is(e.Cause, errStop) || e.Elapsed != 7*time.Second || e.Polls != 2 {
			t.Errorf("ended after %d polls in %v with cause %v, want 2 in 7s with %v", e.Polls, e.Elapsed, e.Cause, errStop)
		}
		var broke *endpoint.Error
		if !errors.As(e.Last, &broke) {
			t.Errorf("last error %v, want that of the look", e.Last)
		}
		wantDiff(t, "seen", waiter.Observation{Note: "pending"}, e.Observed)
		if last.Err == nil || last.Next != 0 {
			t.Errorf("the observer was told %v, next in %v; want the error and no next look", last.Err, last.Next)
		}
	})
}

// TestContextEndsTheLookAfterAnError: that the last look was cut short says
// nothing, and why the one before it failed does.
func TestContextEndsTheLookAfterAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 7*time.Second, errStop)
		defer cancel()
		looks := 0
		_, err := waiter.Until(ctx, func(ctx context.Context) (waiter.Observation, bool, error) {
			if looks++; looks == 1 {
				return waiter.Observation{}, false, endpoint.ErrUnavailable
			}
			<-ctx.Done()
			return waiter.Observation{}, false, ctx.Err()
		}, steady)
		wantErr(t, err, errStop)
		if e := ended(t, err); !errors.Is(e.Last, endpoint.ErrUnavailable) || e.Polls != 2 {
			t.Errorf("last error %v in %d looks, want that of the first of 2", e.Last, e.Polls)
		}
	})
}

func TestContextCauseIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := waiter.Until(ctx, func(ctx context.Context) (waiter.Observation, bool, error) {
			cancel(errStop)
			return waiter.Observation{}, false, context.Cause(ctx)
		})
		wantErr(t, err, errStop)
		if e := ended(t, err); e.Last != nil {
			t.Errorf("last error %v, want none besides the cause", e.Last)
		}
	})
}

// TestContextOfTheLookAlone is about a client with a time limit of its own:
// that it ran out does not mean that the wait's did.
func TestContextOfTheLookAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := fmt.Errorf("%w: %w", endpoint.ErrUnavailable, context.DeadlineExceeded)
		p := newProbe(look{err: slow}, holds)
		_, err := waiter.Until(t.Context(), p.look, steady)
		wantErr(t, err, nil)
		wantDiff(t, "looks at", seconds(0, 1), p.at)

		p = newProbe(look{err: context.DeadlineExceeded}, holds)
		_, err = waiter.Until(t.Context(), p.look, steady)
		wantErr(t, err, context.DeadlineExceeded)
	})
}

func TestContextDoesNotUndoSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		seen, err := waiter.Until(ctx, func(context.Context) (waiter.Observation, bool, error) {
			cancel()
			return waiter.Observation{Note: "there"}, true, nil
		})
		wantErr(t, err, nil)
		wantDiff(t, "seen", waiter.Observation{Note: "there"}, seen)
	})
}
