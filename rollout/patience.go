package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/strategy"
)

// waitsForCapacity reports whether a step is one that new capacity ends.
func waitsForCapacity(s strategy.Step) bool {
	return s.Do == strategy.ActionAwait && (s.Until == strategy.UntilServing || s.Until == strategy.UntilConfigured) || s.Do == strategy.ActionProbe
}

// stepContext ends when the step's time is over. While the provider has no
// capacity for what the step waits for, a second clock runs instead, which is
// not the revision's fault: it is [WithCapacityTimeout].
func (d *driver) stepContext(ctx context.Context, s strategy.Step) (context.Context, context.CancelFunc) {
	if !waitsForCapacity(s) || d.capacity <= 0 {
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
	if !throttled || c.left <= 0 {
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
	if !late || stale == 0 || !bounded || d.j.back || d.j.plan.Strategy == (strategy.FlushToZero{}).String() {
		return err
	}
	who := ""
	if d.seen.UpdateStage.Message != "" {
		who = " (" + d.seen.UpdateStage.Message + ")"
	}
	return fmt.Errorf("%w: %d of %d workers stayed%s; a %s rollout would replace them, with downtime: %w",
		ErrNotConverged, stale, d.seen.Live(), who, strategy.FlushToZero{}, err)
}

// recognize refuses another endpoint of the same name, and to compare revisions
// that are known by different things.
func (d *driver) recognize(s endpoint.Status) error {
	differ := func(have, want string) bool { return have != "" && want != "" && have != want }
	if is, was := s.Identity, d.j.plan.Identity; differ(is, was) {
		return fmt.Errorf("%s is %s here, and the rollout began on %s: resume it there, and keep a store for each account and region: %w",
			d.u.Name(), is, was, endpoint.ErrInvalid)
	}
	if have, want := s.Desired.Kind, d.j.plan.Source.Kind; differ(have, want) {
		return fmt.Errorf("%s shows a revision of kind %q, and the rollout began on one of kind %q: go on with what it began with: %w",
			d.u.Name(), have, want, endpoint.ErrInvalid)
	}
	return nil
}
