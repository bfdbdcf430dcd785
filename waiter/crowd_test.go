package waiter_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/waiter"
)

// crowd counts how many of its members are looked at at once. A look takes a
// while, and at the members that hang it never ends.
type crowd struct {
	*fleet

	takes    time.Duration
	hangs    func(name string) bool
	now, max int
	order    []string
}

type one struct {
	member

	c *crowd
}

func (o one) Status(ctx context.Context) (endpoint.Status, error) {
	c := o.c
	c.mu.Lock()
	c.now++
	c.max = max(c.max, c.now)
	c.order = append(c.order, o.name)
	c.mu.Unlock()
	if c.hangs != nil && c.hangs(o.name) {
		<-ctx.Done()
		return endpoint.Status{}, ctx.Err()
	}
	time.Sleep(c.takes)
	c.mu.Lock()
	c.now--
	c.mu.Unlock()
	return o.member.Status(ctx)
}

// TestSharedLooksAtAFewAtATime: a list that cannot be had, or shows that
// everything changed, sends all waits to look, and not all at once.
func TestSharedLooksAtAFewAtATime(t *testing.T) {
	for name, broken := range map[string]bool{"a change of all": false, "no list": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 200
				c := &crowd{fleet: newFleet(map[string]time.Duration{}), takes: 200 * time.Millisecond}
				for i := range n {
					c.ready[fmt.Sprint("e", i)] = 5 * time.Minute
				}
				if broken {
					c.broken = func(int) (bool, error) { return false, throttled(time.Minute) }
				}
				s := waiter.NewShared(c, 0)
				var waits sync.WaitGroup
				for name := range c.ready {
					waits.Go(func() {
						if _, err := waiter.Ready(t.Context(), one{member{f: c.fleet, name: name}, c}, v2, waiter.WithShared(s)); err != nil {
							t.Errorf("%s: %v", name, err)
						}
					})
				}
				waits.Wait()
				if c.max != 8 {
					t.Errorf("%d looks at once, want 8", c.max)
				}
				if late := time.Since(c.start) - 5*time.Minute; late > waiter.MaxInterval+30*time.Second {
					t.Errorf("the last was noticed after %v", late)
				}
				// In the order in which they came to it: nobody looks again before all have looked.
				if first := c.order[:n]; !slices.Equal(slices.Sorted(slices.Values(first)), slices.Sorted(maps.Keys(c.ready))) {
					t.Error("some were looked at twice before others were looked at once")
				}
			})
		})
	}
}

// TestSharedLookThatHangs keeps nobody else waiting for long, and a wait that
// is to end does not wait for its turn.
func TestSharedLookThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{fleet: newFleet(map[string]time.Duration{"fine": 0}), hangs: func(name string) bool { return name != "fine" }}
		s := waiter.NewShared(c, 0)
		ctx, cancel := context.WithCancel(t.Context())
		var waits sync.WaitGroup
		for i := range 8 {
			waits.Go(func() {
				_, err := waiter.Ready(ctx, one{member{f: c.fleet, name: fmt.Sprint("hangs", i)}, c}, v2, waiter.WithShared(s))
				wantErr(t, err, context.Canceled)
			})
		}
		synctest.Wait()
		short, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		_, err := waiter.Ready(short, one{member{f: c.fleet, name: "fine"}, c}, v2, waiter.WithShared(s))
		wantErr(t, err, context.DeadlineExceeded)
		if at := time.Since(c.start); at != time.Second {
			t.Errorf("a wait that had a second ended after %v", at)
		}
		if _, err := waiter.Ready(t.Context(), one{member{f: c.fleet, name: "fine"}, c}, v2, waiter.WithShared(s)); err != nil {
			t.Error(err)
		}
		if at := time.Since(c.start); at > 30*time.Second {
			t.Errorf("eight looks that hang kept another waiting for %v", at)
		}
		cancel()
		waits.Wait()
	})
}
