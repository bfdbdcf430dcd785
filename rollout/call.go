package rollout

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/core"
)

// storeTime is how long one call of a store may take to be answered. Nothing
// else ends one that has to be made, whatever becomes of the rollout's context.
const storeTime = 2 * time.Minute

// abandonTime is how long a call may go on after its context is done, until the
// rollout goes on without it.
const abandonTime = 2 * time.Second

// errAbandoned: the call has not returned although its context is done.
var errAbandoned = errors.New("the call goes on although its context is done")

// call makes a call of code that the rollout was given: the endpoint, the store,
// a check. It ends in time, whatever that code does: one that was not answered
// says nothing, and one that panics has failed. what names it.
func call[T any](ctx context.Context, what string, within time.Duration, f func(context.Context) (T, error)) (T, error) {
	if ctx.Err() != nil {
		var none T
		return none, context.Cause(ctx)
	}
	cctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	got, err := guarded(cctx, what, f)
	if err != nil && cctx.Err() != nil && ctx.Err() == nil && !errors.Is(err, ErrPanic) {
		err = fmt.Errorf("%w: %s was not answered for %v: %w", endpoint.ErrUnavailable, what, within, err)
	}
	return got, err
}

// do is [call] for code that returns an error only.
func do(ctx context.Context, what string, within time.Duration, f func(context.Context) error) error {
	_, err := call(ctx, what, within, func(ctx context.Context) (struct{}, error) { return struct{}{}, f(ctx) })
	return err
}

// guarded runs f on a goroutine of its own, so that one that ignores its context
// can be abandoned. If f ends its goroutine, so does the caller's.
func guarded[T any](ctx context.Context, what string, f func(context.Context) (T, error)) (T, error) {
	type answer struct {
		got    T
		err    error
		exited bool
	}
	c := make(chan answer, 1)
	go func() {
		a := answer{exited: true}
		defer func() {
			if v := recover(); v != nil {
				a.err, a.exited = panicError(what, v), false
			}
			c <- a
		}()
		a.got, a.err = f(ctx)
		a.exited = false
	}()
	var a answer
	select {
	case a = <-c:
	case <-ctx.Done():
		late := time.NewTimer(abandonTime)
		defer late.Stop()
		select {
		case a = <-c:
		case <-late.C:
			a.err = fmt.Errorf("%w: %w", errAbandoned, context.Cause(ctx))
		}
	}
	if a.exited {
		runtime.Goexit()
	}
	return a.got, a.err
}

// recovered calls f, and returns its panic as an error. what names f.
func recovered(what string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicError(what, v)
		}
	}()
	return f()
}

// maxStack is how much of a stack an error holds, in bytes.
const maxStack = 4 << 10

// panicError is the error of code that the rollout was given, and that panicked.
func panicError(what string, v any) error {
	text := fmt.Sprint(v)
	_, stack, _ := strings.Cut(string(debug.Stack()), "\npanic(") // what follows is where it happened
	return fmt.Errorf("%s %w: %s\npanic(%s", what, core.ErrPanic, text[:min(len(text), maxStack)], stack[:min(len(stack), maxStack)])
}
