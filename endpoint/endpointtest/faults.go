package endpointtest

import (
	"sync"
	"time"
)

// faults holds the hooks and the latency. It is guarded by the fake's mutex.
type faults struct {
	writes, reads       int
	onMutation, onRead  func(n int, name string) Fault
	toService, toCaller time.Duration
}

// OnMutation asks hook for the fault of each remote write. Writes are numbered
// 1, 2, 3 and so on over the life of the fake, and are named after what they
// write, such as "set workers.max=0". What hook itself does happens before the
// request is sent: it may panic, end its goroutine or a context, or change the endpoint. Nil
// removes the hook.
func (f *fake[S]) OnMutation(hook func(n int, name string) Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults.onMutation = hook
}

// OnRead is [Workers.OnMutation] for reads, which have numbers of their own.
// For a read [FaultLate] means lost.
func (f *fake[S]) OnRead(hook func(n int, name string) Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults.onRead = hook
}

// Latency makes each call take time: a request needs toService to arrive and
// its answer needs toCaller. A context that ends on the way out leaves nothing
// applied; one that ends on the way back leaves the write applied. Both return
// the context's error. The default is no latency.
func (f *fake[S]) Latency(toService, toCaller time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults.toService, f.faults.toCaller = toService, toCaller
}

// meet numbers a call and asks its hook, without the mutex, for its fault.
func (f *faults) meet(mu *sync.Mutex, write bool, name string) (int, Fault, lag) {
	mu.Lock()
	n, hook := &f.reads, f.onRead
	if write {
		n, hook = &f.writes, f.onMutation
	}
	*n++
	number, l := *n, lag{f.toService, f.toCaller}
	mu.Unlock()

	var fault Fault
	if hook != nil {
		fault = hook(number, name)
	}
	fault.before()
	return number, fault, l.plus(fault)
}
