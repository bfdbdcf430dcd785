package fleet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/internal/sampled"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// fab is an account of many small endpoints, for measurements in virtual time.
// An update takes some minutes, a different time for each endpoint. It counts
// calls, and keeps nothing else.
type fab struct {
	mu    sync.Mutex
	eps   []*unit
	calls int // of endpoints
	lists int
	late  time.Duration // sum of the times between an end and the poll that saw it
}

type unit struct {
	fab   *fab
	name  string
	takes time.Duration
	to    endpoint.Revision
	until time.Time
	n     int
	noted bool
}

func rev(id string) endpoint.Revision {
	return endpoint.Revision{Kind: "template", ID: id, Artifact: "acme/sdxl:" + id}
}

func newFab(n int, takes func(i int) time.Duration) *fab {
	f := &fab{}
	for i := range n {
		f.eps = append(f.eps, &unit{fab: f, name: fmt.Sprintf("fab/%05d", i), takes: takes(i), to: rev("a")})
	}
	return f
}

func (u *unit) Name() string { return u.name }

func (u *unit) Status(context.Context) (endpoint.Status, error) {
	u.fab.mu.Lock()
	defer u.fab.mu.Unlock()
	u.fab.calls++
	if now := time.Now(); u.n > 0 && !now.Before(u.until) && !u.noted {
		u.noted = true
		u.fab.late += now.Sub(u.until)
	}
	return u.status(), nil
}

func (u *unit) status() endpoint.Status {
	s := endpoint.Status{
		Phase: endpoint.PhaseReady, Desired: u.to, Serving: u.to, Generation: fmt.Sprint(u.n), Settings: endpoint.Settings{"workers.max": 2},
		Pools: []endpoint.Pool{{Ready: 2}},
	}
	if time.Now().Before(u.until) {
		s.Phase, s.Serving, s.Mixed, s.Pools = endpoint.PhaseUpdating, endpoint.Revision{}, true, []endpoint.Pool{{Ready: 1, Stale: 1}}
	}
	return s
}

func (u *unit) Update(_ context.Context, c endpoint.Change) error {
	u.fab.mu.Lock()
	defer u.fab.mu.Unlock()
	u.fab.calls++
	u.n++
	u.to, u.until = c.To, time.Now().Add(u.takes)
	return nil
}

func (u *unit) Resolve(_ context.Context, r endpoint.Revision) (endpoint.Revision, error) {
	return rev(r.ID), nil
}

func (f *fab) List(context.Context) (map[string]endpoint.ListEntry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lists++
	all := make(map[string]endpoint.ListEntry, len(f.eps))
	for _, u := range f.eps {
		updating := time.Now().Before(u.until)
		state := "r"
		if updating {
			state = "u"
		}
		all[u.name] = endpoint.ListEntry{Fingerprint: state + u.to.ID, Updating: updating}
	}
	return all, nil
}

func (f *fab) fleet() fleet.Fleet {
	fl := fleet.Fleet{ID: "night", Accounts: map[string]fleet.Account{"one": {Lister: f}}}
	for _, u := range f.eps {
		fl.Members = append(fl.Members, fleet.Member{
			Endpoint: u, Strategy: strategy.InPlace{}, Target: rollout.ToRevision("b"), Account: "one",
			Options: []rollout.Option{rollout.WithStepTimeout(2 * time.Hour)},
		})
	}
	return fl
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// copied is what a copy of all the journals takes, which holds the plans.
func copied(t *testing.T, store *journal.Memory, f *fab) uint64 {
	t.Helper()
	before := heapInUse()
	all := make([][]journal.Record, 0, len(f.eps))
	for _, u := range f.eps {
		records, err := store.Load(t.Context(), u.name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(records)
		if err != nil {
			t.Fatal(err)
		}
		var c []journal.Record
		if err := json.Unmarshal(b, &c); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	after := heapInUse()
	runtime.KeepAlive(all)
	return after - before
}

// Ten thousand rollouts wait in one process, in virtual time over small fakes.
func TestTenThousandWait(t *testing.T) {
	n := 10_000 / sampled.OneIn(10)
	limit := uint64(n) * 6000 // bytes: 60 MB for all
	synctest.Test(t, func(t *testing.T) {
		f := newFab(n, func(int) time.Duration { return 10 * time.Minute })
		store := journal.NewMemory()
		fl := f.fleet()
		before := heapInUse()
		ended := make(chan error)
		go func() { _, err := fleet.Run(t.Context(), store, fl); ended <- err }()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		heap, goroutines := heapInUse()-before, runtime.NumGoroutine()
		records := copied(t, store, f)
		t.Logf("%d rollouts wait: %.1f MB in all, %.1f MB of them journals and plans, %d goroutines", n, mb(heap), mb(records), goroutines)
		if heap-min(heap, records) > limit || goroutines > 100 {
			t.Errorf("%.1f MB beyond journals and plans, want at most %.1f; %d goroutines, want at most 100", mb(heap-records), mb(limit), goroutines)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func mb(b uint64) float64 { return float64(b) / (1 << 20) }

// A thousand rollouts of an hour, by a fleet and one by one: the calls of the
// provider, when the members notice their end, and the processor's time. One processor
// does it all: with two, an hour in virtual time is mostly handing over between them.
func TestFleetAgainstSeparateRuns(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	n := 1_000 / sampled.OneIn(5)
	takes := func(i int) time.Duration { return 40*time.Minute + time.Duration(i%1000)*time.Second }
	var calls [2]int
	var late [2]time.Duration
	for i, shared := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFab(n, takes)
			store := journal.NewMemory()
			began, start := cpu(), time.Now()
			if shared {
				if _, err := fleet.Run(t.Context(), store, f.fleet()); err != nil {
					t.Error(err)
				}
			} else {
				var wg sync.WaitGroup
				for _, u := range f.eps {
					wg.Go(func() {
						_, err := rollout.Run(t.Context(), store, u, strategy.InPlace{}, rollout.ToRevision("b"), rollout.WithStepTimeout(2*time.Hour))
						if err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
			}
			f.mu.Lock() // a list may be under way
			defer f.mu.Unlock()
			calls[i], late[i] = f.calls+f.lists, f.late/time.Duration(n)
			t.Logf("%d rollouts, shared %v: %d calls and %d lists, noticed after %v on average, %v of processor time in %v",
				n, shared, f.calls, f.lists, late[i].Round(time.Millisecond), (cpu() - began).Round(time.Millisecond), time.Since(start).Round(time.Second))
		})
	}
	if 5*calls[1] > calls[0] {
		t.Errorf("the fleet made %d calls, separate runs %d: want at most a fifth", calls[1], calls[0])
	}
	if late[1] > late[0] {
		t.Errorf("members noticed their end after %v, alone after %v", late[1], late[0])
	}
}
