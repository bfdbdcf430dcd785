package runpod

import (
	"context"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// MaxWorkersFor is the maximum of workers that RunPod advises for an expected
// concurrency: 20 % above it, rounded up. It is 0 for a concurrency of 0 or
// less. Source: RunPod, "Updating Your Endpoint".
func MaxWorkersFor(concurrency int) int {
	if concurrency <= 0 {
		return 0
	}
	extra := concurrency / 5
	if concurrency%5 != 0 {
		extra++
	}
	return concurrency + extra
}

// Set writes [endpoint.WorkersMin] or [endpoint.WorkersMax], after a read that
// makes sure that the minimum stays at most the maximum: RunPod does not say
// what it does otherwise. Such a value, a negative one and an unknown key are
// [endpoint.ErrInvalid]. A maximum above what the account may have is
// [endpoint.ErrQuota], with the highest possible value in [APIError.AtMost]. An
// answer that shows another value than was written is [endpoint.ErrClamped].
//
// A maximum of 0 pauses the endpoint: RunPod refuses new jobs.
func (e *Endpoint) Set(ctx context.Context, key string, value int) error {
	op := "set " + key
	if err := e.begin(ctx, op); err != nil {
		return err
	}
	return e.wrap(op, e.set(ctx, key, value))
}

func (e *Endpoint) set(ctx context.Context, key string, value int) error {
	b, err := checkSetting(key, value)
	if err != nil {
		return err
	}
	if err := e.inOrder(ctx, b, value); err != nil {
		return err
	}
	now, err := e.ops.setWorkers(ctx, b, value)
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case err == nil:
		e.acknowledged, e.written = &now, time.Now()
	case !endpoint.Unapplied(err):
		e.acknowledged = nil // it is not known
	}
	return err
}

// clamped says that RunPod answered the write of a bound with another one.
func clamped(b bound, want, have int) error {
	return fmt.Errorf("%s was to be %d, and RunPod answers that it is %d: %w", b, want, have, endpoint.ErrClamped)
}

func checkSetting(key string, value int) (bound, error) {
	var b bound
	switch key {
	case endpoint.WorkersMin:
		b = minWorkers
	case endpoint.WorkersMax:
		b = maxWorkers
	default:
		return 0, fmt.Errorf("setting %q, want %s or %s: %w", httpx.Clip(key), endpoint.WorkersMin, endpoint.WorkersMax, endpoint.ErrInvalid)
	}
	if value < 0 {
		return 0, fmt.Errorf("%s of %d: %w", key, value, endpoint.ErrInvalid)
	}
	return b, nil
}

// inOrder refuses a bound that would pass the other one. The other one may
// have been written a moment ago and read back old: what that write was
// answered with counts as well, while reads may lag behind it, and the read gets
// some time to catch up.
func (e *Endpoint) inOrder(ctx context.Context, b bound, value int) error {
	var conflict error
	for _, gap := range readGaps {
		if err := pause(ctx, gap); err != nil {
			return err
		}
		s, err := e.ops.read(ctx)
		if err != nil {
			return err
		}
		if conflict = outOfOrder(s.workers, b, value); conflict == nil {
			return nil
		}
		e.mu.Lock()
		ack, at := e.acknowledged, e.written
		e.mu.Unlock()
		if ack != nil && time.Since(at) < readLag {
			return outOfOrder(*ack, b, value)
		}
	}
	return conflict
}

func outOfOrder(now bounds, b bound, value int) error {
	switch {
	case b == minWorkers && value > now.max:
		return fmt.Errorf("%s of %d is above %s of %d: raise that first: %w",
			endpoint.WorkersMin, value, endpoint.WorkersMax, now.max, endpoint.ErrInvalid)
	case b == maxWorkers && value < now.min:
		return fmt.Errorf("%s of %d is below %s of %d: lower that first: %w",
			endpoint.WorkersMax, value, endpoint.WorkersMin, now.min, endpoint.ErrInvalid)
	}
	return nil
}
