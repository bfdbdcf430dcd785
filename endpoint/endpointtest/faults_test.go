package endpointtest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
)

func always(f endpointtest.Fault) func(int, string) endpointtest.Fault {
	return func(int, string) endpointtest.Fault { return f }
}

func TestWriteFaults(t *testing.T) {
	tests := map[string]struct {
		fault     func(cancel func()) endpointtest.Fault
		want      error
		unapplied bool // what the error proves
		applied   bool // what is so
		later     bool // what is so a minute later
	}{
		"none":        {func(func()) endpointtest.Fault { return endpointtest.Fault{} }, nil, false, true, true},
		"refused":     {func(func()) endpointtest.Fault { return endpointtest.Refuse(endpoint.ErrQuota) }, endpoint.ErrQuota, true, false, false},
		"throttled":   {func(func()) endpointtest.Fault { return endpointtest.Throttle(7 * time.Second) }, endpoint.ErrThrottled, true, false, false},
		"lost before": {func(func()) endpointtest.Fault { return endpointtest.LostBefore() }, endpoint.ErrUnavailable, false, false, false},
		"lost after":  {func(func()) endpointtest.Fault { return endpointtest.LostAfter() }, endpoint.ErrUnavailable, false, true, true},
		"forgotten":   {func(func()) endpointtest.Fault { return endpointtest.Forget() }, nil, false, false, false},
		"late":        {func(func()) endpointtest.Fault { return endpointtest.Late(time.Minute) }, endpoint.ErrUnavailable, false, false, true},
		"cancelled before": {
			func(cancel func()) endpointtest.Fault { return endpointtest.RunBefore(cancel) },
			context.Canceled, false, false, false,
		},
		"cancelled after": {
			func(cancel func()) endpointtest.Fault { return endpointtest.RunAfter(cancel) },
			context.Canceled, false, true, true,
		},
		"cancelled in the hook": {func(cancel func()) endpointtest.Fault {
			cancel()
			return endpointtest.Fault{}
		}, context.Canceled, false, false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorkers(1, 3)
				ctx, cancel := context.WithCancel(t.Context())
				w.OnMutation(func(n int, name string) endpointtest.Fault {
					if n != 1 || name != "set workers.max=5" {
						t.Errorf("write %d is %q", n, name)
					}
					return tt.fault(cancel)
				})
				err := w.Set(ctx, "workers.max", 5)
				if d := cmp.Diff(tt.want, err, cmpopts.EquateErrors()); d != "" {
					t.Errorf("error (-want +got):\n%s", d)
				}
				if got := err != nil && endpoint.Unapplied(err); got != tt.unapplied {
					t.Errorf("Unapplied(%v) = %t", err, got)
				}
				var wrapped *endpoint.Error
				if err != nil && (!errors.As(err, &wrapped) || wrapped.Endpoint != "fake/w") {
					t.Errorf("error is not wrapped: %v", err)
				}
				if name == "throttled" && endpoint.RetryAfter(err) != 7*time.Second {
					t.Errorf("RetryAfter = %v", endpoint.RetryAfter(err))
				}
				if got := w.Truth().Max == 5; got != tt.applied {
					t.Errorf("applied = %t, want %t", got, tt.applied)
				}
				time.Sleep(time.Minute)
				if got := w.Truth().Max == 5; got != tt.later {
					t.Errorf("applied a minute later = %t, want %t", got, tt.later)
				}
			})
		})
	}
}

func TestDelayedWriteIsRefusedWhenItLands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(1, 3)
		w.OnMutation(func(n int, _ string) endpointtest.Fault {
			if n == 1 {
				return endpointtest.Late(time.Minute)
			}
			return endpointtest.Fault{}
		})
		start := time.Now()
		_ = w.Set(t.Context(), "workers.min", 2)
		do(t, w.Set(t.Context(), "workers.max", 1))
		time.Sleep(time.Hour)
		if d := cmp.Diff(map[string]string{"workers.min": "1", "workers.max": "1"}, w.Protective()); d != "" {
			t.Errorf("guarded values (-want +got):\n%s", d)
		}
		type line struct {
			After   time.Duration
			Name    string
			Write   int
			Applied bool
		}
		var got []line
		for _, c := range w.Calls() {
			got = append(got, line{c.At.Sub(start), c.Name, c.Write, c.Applied})
		}
		want := []line{
			{0, "set workers.min=2", 1, false},
			{0, "set workers.max=1", 2, true},
			{time.Minute, "set workers.min=2", 1, false},
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("log (-want +got):\n%s", d)
		}
	})
}

func TestCrash(t *testing.T) {
	die := func() { panic("died") }
	for name, tt := range map[string]struct {
		fault   endpointtest.Fault
		applied bool
	}{
		"before": {endpointtest.RunBefore(die), false},
		"after":  {endpointtest.RunAfter(die), true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorkers(1, 3)
				w.OnMutation(always(tt.fault))
				func() {
					defer func() {
						if r := recover(); r != "died" {
							t.Errorf("recovered %v", r)
						}
					}()
					_ = w.Set(t.Context(), "workers.max", 5)
				}()
				w.OnMutation(nil)
				if got := w.Truth().Max == 5; got != tt.applied {
					t.Errorf("applied = %t, want %t", got, tt.applied)
				}
				do(t, w.Set(t.Context(), "workers.max", 6)) // the next process finds no lock held
			})
		})
	}
}

func TestReadFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(1, 3)
		var seen []string
		w.OnRead(func(n int, name string) endpointtest.Fault {
			seen = append(seen, fmt.Sprint(n, " ", name))
			switch n {
			case 1:
				return endpointtest.LostBefore()
			case 2:
				return endpointtest.Throttle(time.Second)
			case 3:
				return endpointtest.Refuse(endpoint.ErrUnauthorized)
			}
			return endpointtest.Fault{}
		})
		for _, want := range []error{endpoint.ErrUnavailable, endpoint.ErrThrottled, endpoint.ErrUnauthorized, nil} {
			s, err := w.Status(t.Context())
			if d := cmp.Diff(want, err, cmpopts.EquateErrors()); d != "" {
				t.Errorf("error (-want +got):\n%s", d)
			}
			if want != nil && !cmp.Equal(s, endpoint.Status{}) {
				t.Errorf("a failed read shows %+v", s)
			}
		}
		_, _ = w.Jobs(t.Context())
		if d := cmp.Diff([]string{"1 status", "2 status", "3 status", "4 status", "5 jobs"}, seen); d != "" {
			t.Errorf("reads (-want +got):\n%s", d)
		}
	})
}

func TestHangs(t *testing.T) {
	for name, tt := range map[string]struct {
		fault   endpointtest.Fault
		budget  time.Duration
		took    time.Duration
		want    error
		applied bool
	}{
		"request ends with its context": {endpointtest.HangBefore(2 * time.Second), 2*time.Second - 1, 2*time.Second - 1, context.DeadlineExceeded, false},
		"request arrives":               {endpointtest.HangBefore(2 * time.Second), time.Minute, 2 * time.Second, nil, true},
		"answer ends with its context":  {endpointtest.HangAfter(2 * time.Second), 2*time.Second - 1, 2*time.Second - 1, context.DeadlineExceeded, true},
		"answer arrives":                {endpointtest.HangAfter(2 * time.Second), time.Minute, 2 * time.Second, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorkers(1, 3)
				w.OnMutation(always(tt.fault))
				ctx, cancel := context.WithTimeout(t.Context(), tt.budget)
				defer cancel()
				start := time.Now()
				err := w.Set(ctx, "workers.max", 5)
				if d := cmp.Diff(tt.want, err, cmpopts.EquateErrors()); d != "" {
					t.Errorf("error (-want +got):\n%s", d)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if got := w.Truth().Max == 5; got != tt.applied {
					t.Errorf("applied = %t, want %t", got, tt.applied)
				}
			})
		})
	}
}

func TestDoneContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w, v := newWorkers(1, 3), newVariants(nil)
		p, err := v.SnapshotAutoscaling(t.Context(), endpoint.Change{})
		do(t, err)
		before, calls := v.Truth(), len(v.Calls())
		to, draft := endpoint.Change{To: endpoint.Revision{ID: "b"}}, endpoint.Draft{}
		for name, call := range map[string]func() error{
			"w.Status":    func() error { _, err := w.Status(ctx); return err },
			"w.Update":    func() error { return w.Update(ctx, to) },
			"w.Set":       func() error { return w.Set(ctx, "workers.max", 5) },
			"w.Draft":     func() error { _, err := w.Draft(ctx, to.To, v2); return err },
			"w.Stage":     func() error { return w.Stage(ctx, draft) },
			"w.Staged":    func() error { return w.Staged(ctx, draft) },
			"w.Resolve":   func() error { _, err := w.Resolve(ctx, to.To); return err },
			"w.Preflight": func() error { _, err := w.Preflight(ctx, to, nil); return err },
			"w.Jobs":      func() error { _, err := w.Jobs(ctx); return err },
			"v.Status":    func() error { _, err := v.Status(ctx); return err },
			"v.Update":    func() error { return v.Update(ctx, to) },
			"v.Set":       func() error { return v.Set(ctx, "variant/A/instances", 5) },
			"v.Draft":     func() error { _, err := v.Draft(ctx, to.To, v2); return err },
			"v.Stage":     func() error { return v.Stage(ctx, draft) },
			"v.Staged":    func() error { return v.Staged(ctx, draft) },
			"v.Resolve":   func() error { _, err := v.Resolve(ctx, to.To); return err },
			"v.Preflight": func() error { _, err := v.Preflight(ctx, to, nil); return err },
			"v.Snapshot":  func() error { _, err := v.SnapshotAutoscaling(ctx, to); return err },
			"v.Protect":   func() error { return v.SuspendAutoscaling(ctx, p) },
			"v.Restore":   func() error { return v.RestoreAutoscaling(ctx, p) },
			"v.Inspect":   func() error { _, err := v.InspectAutoscaling(ctx, p); return err },
		} {
			if err := call(); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if d := cmp.Diff(before, v.Truth()); d != "" {
			t.Errorf("changed (-before +after):\n%s", d)
		}
		if n := len(w.Calls()) + len(v.Calls()); n != calls {
			t.Errorf("%d calls were sent", n-calls)
		}
	})
}

func TestContextCause(t *testing.T) {
	cause := errors.New("stopped by hand")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := newWorkers(1, 3).Status(ctx); !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
		t.Errorf("Status: %v", err)
	}
}

func TestConfigurationsThatNoServiceTakes(t *testing.T) {
	for name, build := range map[string]func(){
		"nothing live":  func() { endpointtest.NewWorkers(endpointtest.WorkersConfig{}) },
		"min above max": func() { newWorkers(2, 1) },
		"no variant":    func() { newVariants(func(c *endpointtest.VariantsConfig) { c.Counts = nil }) },
		"out of bounds": func() { newVariants(func(c *endpointtest.VariantsConfig) { c.Counts["A"] = 5 }) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("accepted")
				}
			}()
			build()
		})
	}
}

func TestConcurrentUse(t *testing.T) {
	w, v := newWorkers(1, 3), newVariants(nil)
	w.OnMutation(func(int, string) endpointtest.Fault { _ = w.Truth(); return endpointtest.Fault{} })
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			ctx := t.Context()
			for range 20 {
				_ = w.Set(ctx, "workers.max", 3+i)
				_, _ = w.Status(ctx)
				w.Foreign(func(s *endpointtest.WorkersState) { s.Templates["c"] = fmt.Sprint(i) })
				_ = v.Set(ctx, "variant/A/instances", 1+i)
				_, _ = v.Status(ctx)
				_ = v.Protective()
			}
		})
	}
	wg.Wait()
}
