package endpointtest

import "sync"

// faults holds the hooks. It is guarded by the fake's mutex.
type faults struct {
	writes, reads      int
	onMutation, onRead func(n int, name string) Fault
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

// meet numbers a call and asks its hook, without the mutex, for its fault.
func (f *faults) meet(mu *sync.Mutex, write bool, name string) (int, Fault) {
	mu.Lock()
	n, hook := &f.reads, f.onRead
	if write {
		n, hook = &f.writes, f.onMutation
	}
	*n++
	number := *n
	mu.Unlock()

	var fault Fault
	if hook != nil {
		fault = hook(number, name)
	}
	fault.before()
	return number, fault
}
