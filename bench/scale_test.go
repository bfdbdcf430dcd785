package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"text/tabwriter"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/waiter"
)

// ScaleRow is one waiter at one N.
type ScaleRow struct {
	Name                    string
	N                       int
	Goroutines, Heap, Stack float64       // per wait; bytes
	CPUHour                 time.Duration // process CPU per simulated hour, all waits
	AllocsPoll, BytesPoll   float64
	CPUPoll                 time.Duration
	CallsMin                float64 // status calls per simulated minute, all waits
}

// scalers start N waits that never end; the counter counts status calls.
type scaler struct {
	name string
	// calls is about how many calls per wait per minute (sizes the window)
	rate  float64
	start func(ctx context.Context, n int, probe Probe, run func(func()))
}

func plain(w Waiter) func(context.Context, int, Probe, func(func())) {
	return func(ctx context.Context, n int, probe Probe, run func(func())) {
		for range n {
			run(func() { _ = w(ctx, probe) })
		}
	}
}

func peerWaiter(name string) Waiter {
	for _, p := range Peers {
		if p.Name == name {
			f := p.New(Workload{Horizon: 1000 * time.Hour})
			return func(ctx context.Context, probe Probe) error {
				return f(ctx, &Target{probe: probe})
			}
		}
	}
	panic(name)
}

// account lists n endpoints that stay in an update.
type account struct {
	probe Probe
	list  map[string]endpoint.ListEntry
}

func (a account) List(ctx context.Context) (map[string]endpoint.ListEntry, error) {
	for range (len(a.list) + 99) / 100 { // pages
		if _, err := a.probe(ctx); err != nil {
			return nil, err
		}
	}
	return a.list, nil
}

// forever is an endpoint in an update that does not end.
type forever struct {
	endpoint.Updater

	name  string
	probe Probe
}

func (f forever) Name() string { return f.name }

func (f forever) Status(ctx context.Context) (endpoint.Status, error) {
	_, err := f.probe(ctx)
	return endpoint.Status{Phase: endpoint.PhaseUpdating}, err
}

// shared is the library's poller for all waits.
func shared(ctx context.Context, n int, probe Probe, run func(func())) {
	a := account{probe, map[string]endpoint.ListEntry{}}
	for i := range n {
		a.list[fmt.Sprintf("prod-llm-%05d", i)] = endpoint.ListEntry{Fingerprint: "Updating", Updating: true}
	}
	s := waiter.NewShared(a, 0)
	for name := range a.list {
		f := forever{name: name, probe: probe}
		run(func() { _, _ = waiter.Settled(ctx, f, waiter.WithShared(s)) })
	}
}

var scalers = []scaler{
	{"aws waiter default, fake client", .3, plain(peerWaiterLazy("aws-sdk-go-v2 default (30 s..3600 s)"))},
	{"aws waiter 5 s, fake client", 12, plain(peerWaiterLazy("aws-sdk-go-v2 tuned 5 s/5 s"))},
	{"terraform StateChangeConf", 6, plain(peerWaiterLazy("terraform-provider-aws (0.2..10 s, 60 min)"))},
	{"k8s wait 10 s", 6, plain(peerWaiterLazy("k8s wait.Poll 10 s"))},
	{"cenkalti constant 5 s", 12, plain(peerWaiterLazy("cenkalti/backoff constant 5 s"))},
	{"cenkalti exponential", 1.3, plain(peerWaiterLazy("cenkalti/backoff exponential"))},
	{"changeover, learned", 6, plain(func(ctx context.Context, probe Probe) error {
		_, err := waiter.Until(ctx, func(ctx context.Context) (waiter.Observation, bool, error) {
			done, err := probe(ctx)
			return waiter.Observation{}, done, err
		})
		return err
	})},
	{"changeover, shared poller", 1.3, shared},
	{"bare timer loop 5 s", 12, plain(FixedPoll(5*time.Second, true, 0))},
}

func peerWaiterLazy(name string) Waiter {
	return func(ctx context.Context, probe Probe) error { return peerWaiter(name)(ctx, probe) }
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// alone measures in a process of its own: goroutines that ended leave memory
// behind, which the next ones are made of.
func alone(t *testing.T, s scaler, n int) (r ScaleRow) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestScaleRow$", "-test.v")
	cmd.Env = append(os.Environ(), "SCALE_ROW="+s.name, "SCALE_N="+strconv.Itoa(n))
	out, err := cmd.Output()
	_, row, found := bytes.Cut(out, []byte(rowMark))
	if err == nil && found {
		err = json.NewDecoder(bytes.NewReader(row)).Decode(&r)
	}
	if err != nil || !found {
		t.Fatalf("%s, %d waits: %v\n%s", s.name, n, err, out)
	}
	return r
}

const rowMark = "scale row: "

// TestScaleRow is what alone runs.
func TestScaleRow(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("SCALE_N"))
	if err != nil {
		t.Skip("SCALE_N is not set: TestScale and TestScaleTargets run it in a process of its own")
	}
	for _, s := range scalers {
		if s.name != os.Getenv("SCALE_ROW") {
			continue
		}
		row, err := json.Marshal(measure(t, s, n))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(rowMark + string(row))
	}
}

func measure(t *testing.T, s scaler, n int) ScaleRow {
	// a window of about 60k calls (HTTP rows a third), at most an hour, at least 1 min
	win := time.Duration(60000 / (s.rate * float64(n)) * float64(time.Minute))
	win = min(max(win, time.Minute), time.Hour)
	if s.name == "aws waiter default, fake client" || s.name == "cenkalti exponential" {
		win = time.Hour // long gaps: shorter windows would see no call
	}
	row := ScaleRow{Name: s.name, N: n}
	seedGlobals(1)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var calls int64
		var mu sync.Mutex
		probe := func(context.Context) (bool, error) { mu.Lock(); calls++; mu.Unlock(); return false, nil }
		var wg sync.WaitGroup
		var m0, m1, m2, m3 runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m0)
		g0 := runtime.NumGoroutine()
		s.start(ctx, n, probe, func(f func()) { wg.Add(1); go func() { defer wg.Done(); f() }() })
		time.Sleep(70 * time.Second) // past the first polls (virtual)
		synctest.Wait()
		runtime.GC()
		runtime.ReadMemStats(&m1)
		row.Goroutines = float64(runtime.NumGoroutine()-g0) / float64(n)
		row.Heap = float64(int64(m1.HeapAlloc)-int64(m0.HeapAlloc)) / float64(n)
		row.Stack = float64(int64(m1.StackInuse)-int64(m0.StackInuse)) / float64(n)
		mu.Lock()
		c0 := calls
		mu.Unlock()
		runtime.ReadMemStats(&m2)
		t0 := cpu()
		time.Sleep(win)
		synctest.Wait()
		t1 := cpu()
		runtime.ReadMemStats(&m3)
		mu.Lock()
		polls := float64(calls - c0)
		mu.Unlock()
		row.CPUHour = time.Duration(float64(t1-t0) * float64(time.Hour) / float64(win))
		row.CallsMin = polls / win.Minutes()
		if polls > 0 {
			row.AllocsPoll = float64(m3.Mallocs-m2.Mallocs) / polls
			row.BytesPoll = float64(m3.TotalAlloc-m2.TotalAlloc) / polls
			row.CPUPoll = time.Duration(float64(t1-t0) / polls)
		}
		cancel()
		wg.Wait()
	})
	return row
}

// most are the figures that a thousand waits are held to, beside one goroutine
// each: those that do not depend on how busy the machine is. Bytes are of heap
// and stack, with a margin. A stack is 2 kB or 4 kB. The smaller one has room
// for 1.2 kB of frames, grows at the first call over HTTP, and does not shrink
// again under more than 0.2 kB of them. With the larger one, a goroutine that
// does nothing but sleep holds 5.1 kB already.
var most = map[string]struct{ bytes, allocs, calls float64 }{
	"changeover, learned":       {6500, 5, 7000},
	"changeover, shared poller": {7200, 50, 150}, // of lists, and for all waits together
}

func TestScaleTargets(t *testing.T) {
	for _, s := range scalers {
		want, ok := most[s.name]
		if !ok {
			continue
		}
		r := alone(t, s, 1000)
		t.Logf("%s: %.0f bytes of heap, %.0f of stack and %.3f goroutines per wait, %.1f allocations per call, %.0f calls a minute, %v per simulated hour",
			s.name, r.Heap, r.Stack, r.Goroutines, r.AllocsPoll, r.CallsMin, r.CPUHour.Round(time.Millisecond))
		if r.Goroutines > 1.002 || r.Heap+r.Stack > want.bytes || r.AllocsPoll > want.allocs || r.CallsMin > want.calls {
			t.Errorf("%s: want at most one goroutine and %v", s.name, want)
		}
	}
}

// TestScale prints the cost of N concurrent waits in one process. A stack is a
// power of two, from 2 kB on. The probe costs nothing unless the row says real/HTTP.
func TestScale(t *testing.T) {
	if os.Getenv("TABLE") == "" {
		t.Skip("takes a minute: set TABLE=1")
	}
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "\nwaiter\tN\tgoroutines/wait\theap/wait\tstack/wait\tCPU per sim. hour\tCPU/poll\tallocs/poll\tB/poll\tcalls/min\t")
	doc := "| waiter | waits | goroutines per wait | heap per wait | stack per wait | CPU per simulated hour | CPU per call | allocations per call | calls a minute |\n" +
		"| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
	for _, s := range scalers {
		for _, n := range []int{1, 100, 1000, 10000} {
			r := alone(t, s, n)
			fmt.Fprintf(tw, "%s\t%d\t%.2f\t%.0f\t%.0f\t%v\t%v\t%.1f\t%.0f\t%.1f\t\n", r.Name, r.N, r.Goroutines, r.Heap, r.Stack,
				r.CPUHour.Round(10*time.Microsecond), r.CPUPoll.Round(10*time.Nanosecond), r.AllocsPoll, r.BytesPoll, r.CallsMin)
			heap, stack := "noise", "noise" // beside so few waits
			if n >= 1000 {
				heap, stack = fmt.Sprintf("%.0f", r.Heap), fmt.Sprintf("%.0f", r.Stack)
			}
			doc += fmt.Sprintf("| %s | %d | %.2f | %s | %s | %v | %v | %.1f | %.0f |\n", r.Name, r.N, r.Goroutines, heap, stack,
				r.CPUHour.Round(10*time.Microsecond), r.CPUPoll.Round(10*time.Nanosecond), r.AllocsPoll, r.CallsMin)
		}
	}
	tw.Flush()
	if os.Getenv("UPDATE") != "" {
		replace(t, "scale", doc)
	}
}
