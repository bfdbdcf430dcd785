package waiter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/waiter"
)

// seconds are moments of a wait.
func seconds(s ...time.Duration) []time.Duration {
	for i := range s {
		s[i] *= time.Second
	}
	return s
}

func TestUntilLooksAt(t *testing.T) {
	long := slices.Repeat([]look{pending}, 500)
	steady := make([]time.Duration, 500)
	for i := range steady {
		steady[i] = time.Duration(i) * 7 * time.Second
	}
	errBlip := errors.New("blip")
	for _, tt := range []struct {
		name  string
		looks []look
		opts  []waiter.Option
		want  []time.Duration
		err   error
	}{
		{
			name:  "at once",
			looks: []look{holds},
			want:  seconds(0),
		},
		{
			name:  "every five seconds",
			looks: []look{pending, pending, holds},
			want:  seconds(0, 5, 10),
		},
		{
			name:  "as scheduled",
			looks: []look{pending, pending, pending, holds},
			opts:  []waiter.Option{waiter.WithSchedule(waiter.Every(90 * time.Second))},
			want:  seconds(0, 90, 180, 270),
		},
		{
			name:  "an answer of not yet never slows it down",
			looks: append(long[:499:499], holds),
			opts:  []waiter.Option{waiter.WithSchedule(waiter.Every(7 * time.Second))},
			want:  steady,
		},
		{
			name:  "the schedule sees the progress",
			looks: []look{pending, pending, pending, holds},
			opts: []waiter.Option{waiter.WithSchedule(gaps(func(p waiter.Progress) time.Duration {
				return time.Duration(p.Polls)*time.Second + p.Elapsed
			}))},
			want: seconds(0, 1, 4, 11),
		},
		{
			name:  "a schedule without a pause does not go back in time",
			looks: []look{pending, pending, holds},
			opts:  []waiter.Option{waiter.WithSchedule(gaps(func(waiter.Progress) time.Duration { return -time.Hour }))},
			want:  seconds(0, 0, 0),
		},
		{
			name:  "an interval of nothing is a millisecond",
			looks: []look{pending, pending, holds},
			opts:  []waiter.Option{waiter.WithSchedule(waiter.Every(-time.Hour))},
			want:  []time.Duration{0, time.Millisecond, 2 * time.Millisecond},
		},
		{
			name:  "errors back off to the limit",
			looks: append(slices.Repeat([]look{broken}, 8), holds),
			want:  seconds(0, 1, 3, 7, 15, 31, 61, 91, 121),
		},
		{
			name:  "a success resets the back-off",
			looks: []look{broken, broken, pending, broken, broken, holds},
			want:  seconds(0, 1, 3, 8, 9, 11),
		},
		{
			name:  "a back-off of one's own",
			looks: []look{broken, broken, broken, broken, holds},
			opts:  []waiter.Option{waiter.WithBackoff(2*time.Second, 5*time.Second)},
			want:  seconds(0, 2, 6, 11, 16),
		},
		{
			name:  "a limit below the first back-off is the first",
			looks: []look{broken, broken, holds},
			opts:  []waiter.Option{waiter.WithBackoff(10*time.Second, time.Second)},
			want:  seconds(0, 10, 20),
		},
		{
			name:  "a back-off of nothing is a millisecond",
			looks: []look{broken, broken, holds},
			opts:  []waiter.Option{waiter.WithBackoff(0, 0)},
			want:  []time.Duration{0, time.Millisecond, 2 * time.Millisecond},
		},
		{
			name:  "the provider asks for more rest than the back-off",
			looks: []look{{err: throttled(20 * time.Second)}, broken, holds},
			want:  seconds(0, 20, 22),
		},
		{
			name:  "the provider asks for rest from deep inside an error",
			looks: []look{{err: &endpoint.Error{Op: "status", Endpoint: "e/1", Err: throttled(20 * time.Second)}}, holds},
			want:  seconds(0, 20),
		},
		{
			name:  "the provider asks for less rest than the back-off",
			looks: []look{broken, broken, {err: throttled(time.Second)}, holds},
			want:  seconds(0, 1, 3, 7),
		},
		{
			name:  "errors in a row use up the budget",
			looks: []look{broken},
			opts:  []waiter.Option{waiter.WithTransient(endpoint.Transient, 10*time.Second)},
			want:  seconds(0, 1, 3, 7, 15),
			err:   endpoint.ErrUnavailable,
		},
		{
			name:  "five minutes are the budget by default",
			looks: []look{broken},
			want:  seconds(0, 1, 3, 7, 15, 31, 61, 91, 121, 151, 181, 211, 241, 271, 301),
			err:   endpoint.ErrUnavailable,
		},
		{
			name:  "a success gives the budget back",
			looks: []look{broken, broken, broken, pending, broken},
			opts:  []waiter.Option{waiter.WithTransient(endpoint.Transient, 7*time.Second)},
			want:  seconds(0, 1, 3, 7, 12, 13, 15, 19),
			err:   endpoint.ErrUnavailable,
		},
		{
			name:  "no budget",
			looks: []look{pending, broken, holds},
			opts:  []waiter.Option{waiter.WithTransient(endpoint.Transient, 0)},
			want:  seconds(0, 5),
			err:   endpoint.ErrUnavailable,
		},
		{
			name:  "an error that is not transient ends it",
			looks: []look{pending, refused, holds},
			want:  seconds(0, 5),
			err:   endpoint.ErrUnauthorized,
		},
		{
			name:  "what is transient is the caller's to say",
			looks: []look{{err: errBlip}, {err: fmt.Errorf("again: %w", errBlip)}, broken},
			opts: []waiter.Option{
				waiter.WithTransient(func(err error) bool { return errors.Is(err, errBlip) }, time.Minute),
			},
			want: seconds(0, 1, 3),
			err:  endpoint.ErrUnavailable,
		},
		{
			name:  "done does not count along with an error",
			looks: []look{{done: true, err: endpoint.ErrBusy}, holds},
			want:  seconds(0, 1),
		},
		{
			name:  "three in a row",
			looks: []look{holds, holds, pending, holds, holds, holds},
			opts:  []waiter.Option{waiter.WithConsecutive(3)},
			want:  seconds(0, 5, 10, 15, 20, 25),
		},
		{
			name:  "an error does not break the row",
			looks: []look{holds, broken, holds},
			opts:  []waiter.Option{waiter.WithConsecutive(2)},
			want:  seconds(0, 5, 6),
		},
		{
			name:  "less than one in a row is one",
			looks: []look{pending, holds},
			opts:  []waiter.Option{waiter.WithConsecutive(-1)},
			want:  seconds(0, 5),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newProbe(tt.looks...)
				_, err := waiter.Until(t.Context(), p.look, steadily(tt.opts)...)
				wantErr(t, err, tt.err)
				wantDiff(t, "looks at", tt.want, p.at)
				if got, want := time.Since(p.start), tt.want[len(tt.want)-1]; got != want {
					t.Errorf("returned after %v, want %v, with the last look", got, want)
				}
				if err != nil {
					if e := ended(t, err); e.Polls != len(tt.want) || e.Elapsed != time.Since(p.start) {
						t.Errorf("counted %d polls in %v, want %d in %v", e.Polls, e.Elapsed, len(tt.want), time.Since(p.start))
					}
				}
			})
		})
	}
}

func TestUntilReturnsWhatWasSeenLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbe(pending, look{note: "almost"}, broken, look{note: "there", done: true})
		seen, err := waiter.Until(t.Context(), p.look, steady)
		wantErr(t, err, nil)
		wantDiff(t, "seen", waiter.Observation{Note: "there"}, seen)
	})
}

func TestObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []waiter.Progress
		p := newProbe(pending, broken, look{err: throttled(time.Minute)}, look{note: "almost"}, look{note: "there", done: true})
		_, err := waiter.Until(t.Context(), p.look, steady, observe(&got))
		wantErr(t, err, nil)
		almost, there := waiter.Observation{Note: "almost"}, waiter.Observation{Note: "there"}
		was := waiter.Observation{Note: "pending"}
		wantDiff(t, "progress", []waiter.Progress{
			{Polls: 1, Observed: was, Next: 5 * time.Second},
			{Polls: 2, Elapsed: 5 * time.Second, Observed: was, Err: endpoint.ErrUnavailable, Next: time.Second},
			{Polls: 3, Elapsed: 6 * time.Second, Observed: was, Err: endpoint.ErrThrottled, Next: time.Minute},
			{Polls: 4, Elapsed: 66 * time.Second, Observed: almost, Next: 5 * time.Second},
			{Polls: 5, Held: 1, Elapsed: 71 * time.Second, Observed: there},
		}, got)
	})
}

func TestObserverIsToldOfNoNegativeSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := waiter.Until(
			t.Context(), newProbe(pending, holds).look,
			waiter.WithSchedule(gaps(func(waiter.Progress) time.Duration { return -time.Hour })),
			waiter.WithObserver(func(p waiter.Progress) {
				if p.Next != 0 {
					t.Errorf("look %d: next in %v, want at once", p.Polls, p.Next)
				}
			}),
		)
		wantErr(t, err, nil)
	})
}

func TestObserverSeesTheLookThatEndsTheWait(t *testing.T) {
	for _, tt := range []struct {
		name string
		last look
		opts []waiter.Option
		want error
	}{
		{"verdict", refused, nil, endpoint.ErrUnauthorized},
		{"budget", broken, []waiter.Option{waiter.WithTransient(endpoint.Transient, 0)}, endpoint.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []waiter.Progress
				p := newProbe(pending, tt.last)
				opts := append(tt.opts, observe(&got))
				_, err := waiter.Until(t.Context(), p.look, steadily(opts)...)
				wantErr(t, err, tt.want)
				was := waiter.Observation{Note: "pending"}
				wantDiff(t, "progress", []waiter.Progress{
					{Polls: 1, Observed: was, Next: 5 * time.Second},
					{Polls: 2, Elapsed: 5 * time.Second, Observed: was, Err: tt.want},
				}, got)
			})
		})
	}
}

// TestUntilStartsNoGoroutine looks at all goroutines from outside, while the
// wait sleeps, and at the one that each callback runs on.
func TestUntilStartsNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		self := func() string {
			buf := make([]byte, 64)
			id, _, _ := bytes.Cut(buf[:runtime.Stack(buf, false)], []byte(" ["))
			return string(id)
		}
		caller := self()
		here := func(what string) {
			if self() != caller {
				t.Errorf("the %s was called on %s, want %s", what, self(), caller)
			}
		}
		go func() {
			time.Sleep(7 * time.Second)
			buf := make([]byte, 1<<20)
			if stacks := buf[:runtime.Stack(buf, true)]; bytes.Contains(stacks, []byte("created by github.com/changeover-dev/changeover/waiter.")) {
				t.Errorf("the wait started a goroutine:\n%s", stacks)
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		p := newProbe(pending, broken, pending, pending, holds)
		_, err := waiter.Until(
			ctx, func(ctx context.Context) (waiter.Observation, bool, error) { here("probe"); return p.look(ctx) },
			waiter.WithObserver(func(waiter.Progress) { here("observer") }),
			waiter.WithSchedule(gaps(func(waiter.Progress) time.Duration { here("schedule"); return 5 * time.Second })),
			waiter.WithTransient(func(err error) bool { here("judge of errors"); return endpoint.Transient(err) }, time.Minute),
			waiter.WithWake(make(chan struct{})),
		)
		wantErr(t, err, nil)
	})
}
