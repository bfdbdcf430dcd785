package rollout

import (
	"context"

	"github.com/changeover-dev/changeover/journal"
)

// lock keeps other runners off an endpoint's journal until release is called, if
// the store can. It is exclusive if no other runner is alive, which a lease does not
// prove: the holder of one before may have been cut off. If the endpoint is in use
// the error names the runner that has it.
func lock(ctx context.Context, store journal.Store, name string) (release func() error, exclusive bool, err error) {
	if l, ok := journal.As[journal.Locker](store); ok {
		release, err = take(ctx, "the store's Lock", l.Lock, name)
		exclusive = err == nil
	} else if l, ok := journal.As[journal.Leaser](store); ok {
		release, err = take(ctx, "the store's Lease", l.Lease, name)
	}
	if release == nil {
		release = func() error { return nil }
	}
	if err != nil {
		err = heldBy(ctx, store, name, err)
	}
	return release, exclusive, err
}

// take takes a lock. One that comes too late is given back.
func take(ctx context.Context, what string, lock func(context.Context, string) (func() error, error), name string) (release func() error, err error) {
	answered := make(chan struct{})
	defer close(answered)
	return call(ctx, what, storeTime, func(ctx context.Context) (func() error, error) {
		release, err := lock(ctx, name)
		if err != nil {
			return nil, err
		}
		select {
		case <-answered:
			_ = release() // nothing waits for it any more
		default:
		}
		return release, nil
	})
}
