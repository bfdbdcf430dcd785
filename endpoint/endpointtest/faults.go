package endpointtest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// Fault is what befalls one call. The zero Fault is none.
type Fault struct {
	kind  faultKind
	err   error
	after time.Duration
	run   func()
	then  func()
}

type faultKind int

const (
	none faultKind = iota
	refused
	lostBefore
	lostAfter
	delayed
	run
	runAfter
	forgotten
)

// Refuse answers err, such as [endpoint.ErrQuota], and applies nothing.
func Refuse(err error) Fault { return Fault{kind: refused, err: err} }

// Throttle answers [endpoint.ErrThrottled] and applies nothing.
// [endpoint.RetryAfter] of the answer is after.
func Throttle(after time.Duration) Fault { return Refuse(throttled(after)) }

// LostBefore loses the request: nothing is applied, and the caller gets an
// [endpoint.ErrUnavailable] that could as well be that of [LostAfter].
func LostBefore() Fault { return Fault{kind: lostBefore, err: errLost} }

// LostAfter loses the answer: the write is applied if it is valid, and the
// caller gets an [endpoint.ErrUnavailable] that says nothing about it.
func LostAfter() Fault { return Fault{kind: lostAfter, err: errLost} }

// Delayed is [LostBefore] for the caller, but the write is on its way and
// lands after d, when it may be refused like any other. Nobody hears of that.
func Delayed(d time.Duration) Fault { return Fault{kind: delayed, err: errLost, after: d} }

// Forget accepts the write, if it is valid, and loses it: success is answered,
// and nothing is applied. For a read it is no fault.
func Forget() Fault { return Fault{kind: forgotten} }

// RunBefore runs f before the request is sent. If f ends the call's context,
// nothing is applied; if f panics, the process died before the write.
func RunBefore(f func()) Fault { return Fault{kind: run, run: f} }

// RunAfter runs f after the write was applied or the read was done, and before
// the answer arrives. If f ends the call's context, the answer is lost; if f
// panics, the process died after the write.
func RunAfter(f func()) Fault { return Fault{kind: runAfter, run: f} }

// Then lets do run once the fault has befallen a write, before the answer
// arrives: with [Delayed], a process that dies with its request under way.
func (f Fault) Then(do func()) Fault {
	f.then = do
	return f
}

// errLost is one error for all, so that no caller can tell the cases apart.
var errLost = fmt.Errorf("connection broke off: %w", endpoint.ErrUnavailable)

type throttled time.Duration

func (t throttled) Error() string             { return "rate exceeded" }
func (t throttled) Is(target error) bool      { return target == endpoint.ErrThrottled }
func (t throttled) RetryAfter() time.Duration { return time.Duration(t) }

// faults holds the hooks and the latency. It is guarded by the fake's mutex.
type faults struct {
	writes, reads       int
	onMutation, onRead  func(n int, name string) Fault
	toService, toCaller time.Duration
}

// OnMutation asks hook what is to befall each remote write. Writes are numbered
// 1, 2, 3 and so on over the life of the fake, and are named after what they
// write, such as "set workers.max=0". What hook itself does happens before the
// request is sent: it may panic, end a context, or change the endpoint. Nil
// removes the hook.
func (f *fake[S]) OnMutation(hook func(n int, name string) Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults.onMutation = hook
}

// OnRead is [Workers.OnMutation] for reads, which have numbers of their own.
// A read can be refused, throttled or lost; for it [Delayed] means lost.
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

// meet numbers a call and asks its hook, without the mutex, what befalls it.
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
	if fault.kind == run {
		fault.run()
	}
	return number, fault, l
}

// lag is the latency of one call.
type lag struct{ toService, toCaller time.Duration }

func (l lag) request(ctx context.Context) error { return sleep(ctx, l.toService) }
func (l lag) answer(ctx context.Context) error  { return sleep(ctx, l.toCaller) }

// sleep returns the context's error if it ends first.
func sleep(ctx context.Context, d time.Duration) error {
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
	return ended(ctx)
}

// ended is the error of a done context, with its cause if that says more.
func ended(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); err != nil && cause != err { //nolint:errorlint // whether it is the very same error
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}
