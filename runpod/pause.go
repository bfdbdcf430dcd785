package runpod

import (
	"context"
	"time"

	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// A read shortly after a write may be old, and has been seen to show a
// template with no start command and no environment. Writing that back would
// destroy both, and a digest of it means nothing. So what cannot be right is read
// again, after these gaps.
var readGaps = [...]time.Duration{
	0, 0, 500 * time.Millisecond, time.Second, 1500 * time.Millisecond, 2 * time.Second, 3 * time.Second,
}

// readLag is longer than reads lag behind writes.
const readLag = 2 * time.Minute

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return httpx.ContextError(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return httpx.ContextError(ctx)
	case <-t.C:
		return nil
	}
}
