package strategy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/waiter"
)

// waitsForCapacity reports whether a step is one that new capacity ends.
func (s Step) waitsForCapacity() bool {
	return s.Do == Await && (s.Until == Serving || s.Until == Configured)
}

// stepContext ends when the step's time is over. While the provider has no
// capacity for what the step waits for, a second clock runs instead, which is
// not the revision's fault: it is [WithCapacity].
func (d *driver) stepContext(ctx context.Context, s Step) (context.Context, context.CancelFunc) {
	if !s.waitsForCapacity() || d.capacity <= 0 {
		return context.WithTimeoutCause(ctx, s.Timeout,
			fmt.Errorf("the step took longer than %v: %w", s.Timeout, context.DeadlineExceeded))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	now := time.Now()
	c := &clock{end: now.Add(s.Timeout), last: now, left: d.capacity}
	c.timer = time.AfterFunc(s.Timeout, func() { cancel(c.over(s.Timeout)) })
	d.clock = c
	return ctx, func() {
		c.timer.Stop()
		cancel(nil)
		d.clock = nil
	}
}

// clock ends a step. The time between looks that saw too little capacity moves
// its end, until that has a limit of its own. A nil clock does nothing.
type clock struct {
	mu     sync.Mutex
	timer  *time.Timer
	end    time.Time
	last   time.Time // the latest look
	left   time.Duration
	waited time.Duration
}

func (c *clock) look(s endpoint.Status) {
	if c == nil {
		return
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	passed := now.Sub(c.last)
	c.last = now
	throttled := slices.ContainsFunc(s.Pools, func(p endpoint.Pool) bool { return p.Throttled > 0 })
	if !throttled || s.Unhealthy() > 0 || c.left <= 0 {
		return
	}
	passed = min(passed, c.left)
	c.left -= passed
	c.waited += passed
	c.end = c.end.Add(passed)
	c.timer.Reset(max(0, c.end.Sub(now)))
}

func (c *clock) over(limit time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waited > 0 {
		return fmt.Errorf("the step took longer than %v and the %v that it waited for the provider's capacity: %w",
			limit, c.waited.Round(time.Second), context.DeadlineExceeded)
	}
	return fmt.Errorf("the step took longer than %v: %w", limit, context.DeadlineExceeded)
}

// errImposed: the provider took capacity away by itself.
var errImposed = errors.New("the provider lowered the capacity by itself")

// imposed reports whether the present value of a setting is the provider's own.
func imposed(s endpoint.Status, key string) bool {
	v, ok := s.Imposed[key]
	return ok && v == s.Settings[key]
}

// ready waits until a revision is ready. On the way back it first undoes what
// the provider did to the capacity because the other revision failed: without
// that nothing could become ready.
func (d *driver) ready(ctx context.Context, s Step, want endpoint.Revision, opts []waiter.Option) (endpoint.Status, error) {
	if !d.j.back {
		return waiter.Ready(ctx, d.u, want, opts...)
	}
	watch := d.observer(s)
	for {
		wctx, cancel := context.WithCancelCause(ctx)
		seen, err := waiter.Ready(wctx, d.u, want, append(slices.Clone(opts), waiter.WithObserver(func(p waiter.Progress) {
			watch(p)
			if p.Err == nil && len(d.taken(p.Seen.Status)) > 0 {
				cancel(errImposed)
			}
		}))...)
		cancel(nil)
		if err == nil || len(d.taken(seen)) == 0 || !errors.Is(err, errImposed) && !errors.Is(err, endpoint.ErrFailed) {
			return seen, err
		}
		d.seen = seen
		if err := d.giveBack(ctx, s); err != nil {
			return d.seen, err
		}
		if err := d.letSettle(ctx, s); err != nil {
			return d.seen, err
		}
	}
}

// taken are the settings that the provider changed by itself, and that the
// rollout has to leave otherwise; the maximum before the minimum.
func (d *driver) taken(s endpoint.Status) []string {
	return slices.DeleteFunc(d.j.plan.Settings.Keys(), func(key string) bool {
		return !imposed(s, key) || s.Settings[key] == d.j.plan.Settings[key]
	})
}

// giveBack sets right what was taken, as far as the last look shows.
func (d *driver) giveBack(ctx context.Context, s Step) error {
	for _, key := range d.taken(d.seen) {
		want := d.j.plan.Settings[key]
		if err := d.setBack(ctx, s, Write{Thing: key, Value: &want}); err != nil {
			return err
		}
	}
	return nil
}

// setBack sets a setting on the way back. If that does not fit what the provider
// did meanwhile, which reads may not have shown yet, that is undone first.
func (d *driver) setBack(ctx context.Context, s Step, w Write) error {
	err := d.write(ctx, s, w)
	if !errors.Is(err, endpoint.ErrInvalid) {
		return err
	}
	if serr := d.letSettle(ctx, s); serr != nil {
		return err
	}
	for _, key := range append(d.taken(d.seen), w.Thing) {
		value := d.j.plan.Settings[key]
		if key == w.Thing {
			value = *w.Value
		}
		if err := d.write(ctx, s, Write{Thing: key, Value: &value}); err != nil {
			return err
		}
	}
	return nil
}

// letSettle looks on until reads can be believed again: one that is old must
// not be taken for the provider's doing the same once more.
func (d *driver) letSettle(ctx context.Context, s Step) error {
	end := time.Now().Add(max(d.j.plan.Settle, d.errorGap))
	_, err := d.until(ctx, s, func(ctx context.Context) (string, bool, error) {
		_, err := d.status(ctx)
		return "gave back the capacity that the provider took away", !time.Now().Before(end), err
	})
	return err
}

// notConverged says of a wait that was over too soon which workers stayed
// behind, and what would replace them. It is the caller's to choose: it has
// downtime.
func (d *driver) notConverged(err error) error {
	stale := 0
	for _, p := range d.seen.Pools {
		stale += p.Stale
	}
	late := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrTimeout)
	_, bounded := d.seen.Settings[endpoint.WorkersMax]
	if !late || stale == 0 || !bounded || d.j.back || d.j.plan.Strategy == (FlushToZero{}).String() {
		return err
	}
	return fmt.Errorf("%w: %d of %d workers stayed (%s); a %s rollout would replace them, with downtime: %w",
		ErrNotConverged, stale, d.seen.Live(), d.seen.Stage.Message, FlushToZero{}, err)
}

// sameKind refuses to compare revisions that are known by different things.
func (d *driver) sameKind(s endpoint.Status) error {
	have, want := s.Desired.Kind, d.j.plan.Source.Kind
	if have == "" || want == "" || have == want {
		return nil
	}
	return fmt.Errorf("%s shows a revision of kind %q, and the rollout began on one of kind %q: go on with what it began with: %w",
		d.u.Name(), have, want, endpoint.ErrInvalid)
}
