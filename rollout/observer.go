package rollout

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// The bounds of what an observer can cost a rollout.
const (
	maxQueuedEvents = 1024                   // those beyond it are dropped
	observerTime    = 100 * time.Millisecond // waited for at an event, until an observer takes longer once
	flushTime       = 2 * time.Second        // waited for at the end of the rollout, for all observers together
)

// observer hands events to a function of the caller, in order, one at a time,
// on a goroutine that lives while there are any. The function can neither stop
// the rollout nor break it.
type observer struct {
	f    func(context.Context, Event)
	slow bool // it took too long once: it is not waited for again until the end

	mu       sync.Mutex
	queue    []queuedEvent
	idle     chan struct{}      // closed when the queue has run empty; nil when it is
	cancel   context.CancelFunc // ends the call in progress
	closed   bool
	dropped  int
	panicked string // the first panic, with its stack
}

type queuedEvent struct {
	ctx context.Context
	Event
}

// tell queues an event, and waits a moment for the observer to have seen it:
// what it prints then stands before whatever the rollout does next.
func (o *observer) tell(ctx context.Context, e Event) {
	o.mu.Lock()
	if o.closed || len(o.queue) >= maxQueuedEvents {
		o.dropped++
		o.mu.Unlock()
		return
	}
	o.queue = append(o.queue, queuedEvent{context.WithoutCancel(ctx), e})
	if o.idle == nil {
		o.idle = make(chan struct{})
		go o.drain() //nolint:contextcheck // it has to happen whatever becomes of the context
	}
	idle := o.idle
	o.mu.Unlock()
	if !o.slow {
		timer := time.NewTimer(observerTime)
		defer timer.Stop()
		select {
		case <-idle:
		case <-timer.C:
			o.slow = true
		}
	}
}

// drain calls the function for each event of the queue.
func (o *observer) drain() {
	for {
		o.mu.Lock()
		if len(o.queue) == 0 || o.closed {
			o.dropped += len(o.queue)
			o.queue = nil
			close(o.idle)
			o.idle, o.cancel = nil, nil
			o.mu.Unlock()
			return
		}
		e := o.queue[0]
		o.queue = o.queue[1:]
		ctx, cancel := context.WithCancel(e.ctx)
		o.cancel = cancel
		o.mu.Unlock()
		o.call(ctx, e.Event)
		cancel()
	}
}

// call calls the function. An event on which it panics counts as dropped.
func (o *observer) call(ctx context.Context, e Event) {
	ended := false
	defer func() {
		if ended {
			return
		}
		text := "the observer ended its goroutine"
		if p := recover(); p != nil {
			text = fmt.Sprintf("panic: %v\n%s", p, debug.Stack())
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.dropped++; o.panicked == "" {
			o.panicked = text
		}
	}()
	o.f(ctx, e)
	ended = true
}

// flush waits until the observer has seen all events, or until the deadline. An
// observer that has not by then gets no more: the context of the call in
// progress is cancelled.
func (o *observer) flush(ctx context.Context) {
	o.mu.Lock()
	idle := o.idle
	o.mu.Unlock()
	if idle == nil {
		return
	}
	select {
	case <-idle:
		return
	default:
	}
	select {
	case <-idle:
	case <-ctx.Done():
		o.mu.Lock()
		defer o.mu.Unlock()
		o.closed = true
		o.dropped += len(o.queue)
		o.queue = nil
		if o.cancel != nil {
			o.dropped++ // the one that is in progress
			o.cancel()
		}
	}
}

// flush waits until the observers have seen all events, within a bound.
func (r *Rollout) flush() (dropped int, panicked string) {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime) //nolint:forbidigo // it bounds what has no context any more
	defer cancel()
	for _, o := range r.observers {
		o.flush(ctx)
		o.mu.Lock()
		if dropped += o.dropped; panicked == "" {
			panicked = o.panicked
		}
		o.mu.Unlock()
	}
	return dropped, panicked
}
