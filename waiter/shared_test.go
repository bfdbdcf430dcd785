package waiter_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/waiter"
)

// fleet is an account whose endpoints can be listed. Each serves v2 from a
// moment on, and is updating until then.
type fleet struct {
	start time.Time
	takes time.Duration // how long a list takes

	mu     sync.Mutex
	ready  map[string]time.Duration
	gone   map[string]time.Duration
	reads  map[string]int
	lists  []time.Duration
	broken func(n int) (partial bool, err error)
	lags   time.Duration // of the list
	part   bool
	moving bool // what is at rest is left out
}

func newFleet(ready map[string]time.Duration) *fleet {
	return &fleet{start: time.Now(), ready: ready, gone: map[string]time.Duration{}, reads: map[string]int{}}
}

func (f *fleet) at(name string, now time.Duration) endpoint.Status {
	s := endpoint.Status{Phase: endpoint.PhaseUpdating, Desired: v2, Pools: []endpoint.Pool{{Starting: 1}}}
	if now >= f.ready[name] {
		s = endpoint.Status{Phase: endpoint.PhaseReady, Desired: v2, Serving: v2, Pools: []endpoint.Pool{{Ready: 1}}}
	}
	return s
}

func (f *fleet) there(name string, now time.Duration) bool {
	gone, ok := f.gone[name]
	return !ok || now < gone
}

func (f *fleet) List(ctx context.Context) (map[string]endpoint.ListEntry, error) {
	f.mu.Lock()
	now := time.Since(f.start)
	f.lists = append(f.lists, now)
	n := len(f.lists)
	out := map[string]endpoint.ListEntry{}
	for name := range f.ready {
		if f.there(name, now) {
			s := f.at(name, now-f.lags)
			if f.moving && s.Phase != endpoint.PhaseUpdating {
				continue
			}
			out[name] = endpoint.ListEntry{Fingerprint: s.Phase.String(), Updating: s.Phase == endpoint.PhaseUpdating, Incomplete: f.part}
		}
	}
	f.mu.Unlock()
	if f.takes > 0 {
		t := time.NewTimer(f.takes)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if f.broken != nil {
		if partial, err := f.broken(n); err != nil {
			if !partial {
				out = nil
			}
			return out, err
		}
	}
	return out, nil
}

type member struct {
	endpoint.Updater

	f    *fleet
	name string
}

func (m member) Name() string { return m.name }

func (m member) Status(context.Context) (endpoint.Status, error) {
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	m.f.reads[m.name]++
	now := time.Since(m.f.start)
	if !m.f.there(m.name, now) {
		return endpoint.Status{}, &endpoint.Error{Op: "status", Endpoint: m.name, Err: endpoint.ErrNotFound}
	}
	return m.f.at(m.name, now), nil
}

// await waits for the member and returns how late it noticed.
func (f *fleet) await(t *testing.T, s *waiter.Shared, name string) time.Duration {
	t.Helper()
	got, err := waiter.Ready(t.Context(), member{f: f, name: name}, v2, waiter.WithShared(s))
	if err != nil || got.Phase != endpoint.PhaseReady {
		t.Errorf("%s: %v, %v", name, got.Phase, err)
	}
	return time.Since(f.start) - f.ready[name]
}

func TestSharedNoticesByTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(map[string]time.Duration{"a": 601 * time.Second})
		lag := f.await(t, waiter.NewShared(f, 0), "a")
		// Observation by the list at 605, read at once, and confirmed by the list at 610.
		if lag != 9*time.Second || f.reads["a"] != 2 {
			t.Errorf("noticed after %v with %d reads, want 9s and 2", lag, f.reads["a"])
		}
		for i, at := range f.lists {
			if at != time.Duration(i)*5*time.Second {
				t.Fatalf("list %d at %v, want one every 5s", i, at)
			}
		}
	})
}

// TestSharedServesAThousand is the target: one list per interval whoever
// waits, at most two reads and no goroutine per wait.
func TestSharedServesAThousand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		ready := map[string]time.Duration{}
		for i := range n {
			ready[fmt.Sprint("e", i)] = time.Duration(300+i) * time.Second
		}
		f := newFleet(ready)
		s := waiter.NewShared(f, 0)
		before := runtime.NumGoroutine()
		var waits sync.WaitGroup
		for name := range ready {
			waits.Go(func() {
				if lag := f.await(t, s, name); lag > 11*time.Second {
					t.Errorf("%s was noticed after %v", name, lag)
				}
			})
		}
		time.Sleep(4 * time.Minute)
		if extra := runtime.NumGoroutine() - before - n; extra > 2 { // the poller, and the runtime's
			t.Errorf("%d goroutines besides the callers', want the poller alone", extra)
		}
		waits.Wait()
		took := time.Since(f.start)
		if most := int(took/(5*time.Second)) + 1; len(f.lists) > most {
			t.Errorf("%d lists in %v, want at most %d", len(f.lists), took, most)
		}
		for name, n := range f.reads {
			if n > 2 {
				t.Errorf("%s was read %d times, want at most 2", name, n)
			}
		}
	})
}

func TestSharedStopsWhenNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(map[string]time.Duration{"a": time.Minute, "b": time.Hour + time.Minute})
		s := waiter.NewShared(f, 0)
		f.await(t, s, "a")
		n := len(f.lists)
		time.Sleep(time.Hour)
		if len(f.lists) != n {
			t.Errorf("%d lists while nobody waited", len(f.lists)-n)
		}
		if lag := f.await(t, s, "b"); lag > 11*time.Second || len(f.lists) == n {
			t.Errorf("later waits are not served: noticed after %v with %d lists", lag, len(f.lists)-n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		f.ready["c"] = 100 * time.Hour
		_, err := waiter.Ready(ctx, member{f: f, name: "c"}, v2, waiter.WithShared(s))
		wantErr(t, err, context.DeadlineExceeded)
		n = len(f.lists)
		time.Sleep(time.Hour)
		if len(f.lists) != n {
			t.Error("it lists for a wait that was given up")
		}
	})
}

func TestSharedSlowsDownAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(map[string]time.Duration{"a": 30 * time.Minute})
		f.broken = func(n int) (bool, error) {
			switch {
			case n == 3:
				return false, throttled(100 * time.Second)
			case n > 3 && n < 8:
				return false, endpoint.ErrUnavailable
			}
			return false, nil
		}
		if lag := f.await(t, waiter.NewShared(f, 0), "a"); lag > 11*time.Second {
			t.Errorf("noticed after %v", lag)
		}
		// Two as usual, the rest that was asked for, four a minute apart, then
		// three quarters of the gap each.
		want := seconds(0, 5, 10, 110, 170, 230, 290, 350)
		wantDiff(t, "lists at", want, f.lists[:len(want)])
		if gap := f.lists[8] - f.lists[7]; gap != 45*time.Second {
			t.Errorf("after the first success it lists %v later, want 45s", gap)
		}
		last := f.lists[len(f.lists)-1] - f.lists[len(f.lists)-2]
		if last != 5*time.Second {
			t.Errorf("in the end it lists every %v, want 5s", last)
		}
	})
}

// TestSharedWithoutLists: what the poller cannot do costs what polling costs.
func TestSharedWithoutLists(t *testing.T) {
	for name, setup := range map[string]func(f *fleet){
		"refused":      func(f *fleet) { f.broken = func(int) (bool, error) { return false, endpoint.ErrUnauthorized } },
		"hanging":      func(f *fleet) { f.takes = time.Hour },
		"breaking off": func(f *fleet) { f.broken = func(int) (bool, error) { return false, errors.New("eof") } },
		"lagging":      func(f *fleet) { f.lags = 20 * time.Minute },
		"sent away": func(f *fleet) {
			f.broken = func(n int) (bool, error) {
				if n > 1 {
					return false, throttled(time.Hour)
				}
				return false, nil
			}
		},
		"half the view": func(f *fleet) { f.part = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(map[string]time.Duration{"a": 10 * time.Minute})
				setup(f)
				lag := f.await(t, waiter.NewShared(f, 0), "a")
				if name == "lagging" {
					// A list that is behind tells late, and not wrongly.
					if lag > f.lags+11*time.Second {
						t.Errorf("noticed after %v", lag)
					}
					return
				}
				if lag > waiter.MaxInterval+10*time.Second || f.reads["a"] > 80 {
					t.Errorf("noticed after %v with %d reads", lag, f.reads["a"])
				}
			})
		})
	}
}

// TestSharedConcludesNothingFromAPartialList: an endpoint on a page that did
// not come is not gone.
func TestSharedConcludesNothingFromAPartialList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(map[string]time.Duration{"a": 10 * time.Minute})
		f.broken = func(n int) (bool, error) {
			if n%2 == 0 {
				return true, endpoint.ErrUnavailable
			}
			return false, nil
		}
		if lag := f.await(t, waiter.NewShared(f, 0), "a"); lag > 30*time.Second {
			t.Errorf("noticed after %v", lag)
		}
		if f.reads["a"] > 30 {
			t.Errorf("%d reads", f.reads["a"])
		}
	})
}

func TestSharedLooksAtWhatDisappears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(map[string]time.Duration{"a": time.Hour})
		f.gone["a"] = 601 * time.Second
		_, err := waiter.Ready(t.Context(), member{f: f, name: "a"}, v2, waiter.WithShared(waiter.NewShared(f, 0)))
		wantErr(t, err, endpoint.ErrNotFound)
		if at := time.Since(f.start); at != 605*time.Second || f.reads["a"] != 2 {
			t.Errorf("ended after %v with %d reads, want 10m5s and 2", at, f.reads["a"])
		}
	})
}

// TestSharedKeepsAbilities: a wait that counts jobs still finds them.
func TestSharedKeepsAbilities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(nil)
		q := queue{newScript(scene{jobs: 1, status: endpoint.Status{Phase: endpoint.PhasePaused}},
			scene{from: time.Minute, status: endpoint.Status{Phase: endpoint.PhasePaused}})}
		_, err := waiter.Drained(t.Context(), q, waiter.WithShared(waiter.NewShared(f, 0)), steady)
		wantErr(t, err, nil)
		if at := time.Since(q.start); at < time.Minute {
			t.Errorf("drained after %v, with a job in flight", at)
		}
	})
}

// A list may leave out what is at rest.
func TestSharedListOfWhatMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(map[string]time.Duration{"a": 601 * time.Second, "b": 0, "c": 901 * time.Second})
		f.moving = true
		f.gone["c"] = 0 // until its update begins
		s := waiter.NewShared(f, 0)
		var wg sync.WaitGroup
		wg.Go(func() { f.await(t, s, "a") })
		wg.Go(func() { // what does not come to be what is waited for is looked at by the schedule alone
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			_, err := waiter.Ready(ctx, member{f: f, name: "b"}, endpoint.Revision{ID: "v3"},
				waiter.WithShared(s), waiter.WithSchedule(waiter.Every(time.Minute)), waiter.WithGrace(time.Hour))
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("b: %v", err)
			}
		})
		time.Sleep(302 * time.Second)
		f.mu.Lock()
		delete(f.gone, "c")
		f.mu.Unlock()
		wg.Go(func() { f.await(t, s, "c") })
		wg.Wait()
		// Two looks confirm an end, and neither a nor c is looked at twice because it began after a list.
		if f.reads["a"] != 3 || f.reads["c"] != 3 || f.reads["b"] != 10 {
			t.Errorf("reads %v, want 3 of a and c, and 10 of b", f.reads)
		}
	})
}
