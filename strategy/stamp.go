package strategy

import (
	"context"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/waiter"
)

// Stamp says that a driver was alive.
type Stamp struct {
	Rollout string    `json:"rollout"`
	Driver  string    `json:"driver"`
	Time    time.Time `json:"time"`
}

// Stamper is an optional ability of a [Store]: one stamp for each endpoint,
// beside its journal, that whoever drives renews every [StampInterval].
//
// It is for people, and for a store without a lock: what is driven is not
// taken over. It fences nothing, the journal does that, so it need not be
// durable, and one that is lost does no harm.
type Stamper interface {
	// Stamp replaces the endpoint's stamp.
	Stamp(ctx context.Context, endpoint string, s Stamp) error
	// Stamped returns the endpoint's stamp. If there is none, its error is
	// [endpoint.ErrNotFound].
	Stamped(ctx context.Context, endpoint string) (Stamp, error)
}

// StampInterval is how often a driver says that it is alive. One that has not
// said so for three of these, and the settle time by which clocks may differ,
// is taken for dead.
const StampInterval = 15 * time.Second

// stamp says once that this driver is alive. That it could not be said is no
// reason to leave an endpoint half-way.
func (d *driver) stamp(ctx context.Context) {
	s, ok := d.store.(Stamper)
	if !ok || d.j.plan == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, StampInterval)
	defer cancel()
	_ = s.Stamp(ctx, d.u.Name(), Stamp{Rollout: d.j.plan.Rollout, Driver: d.driver, Time: time.Now().Round(0)})
}

// keepStamping says so again and again, until the returned function is called
// or somebody else has taken the rollout over: their stamp is not to be hidden.
func (d *driver) keepStamping(ctx context.Context) (stop func()) {
	if _, ok := d.store.(Stamper); !ok {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(StampInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if d.takenOver(ctx) {
				return
			}
			d.stamp(ctx)
		}
	}()
	return func() { cancel(); <-ended }
}

// takenOver reports whether another driver stamps because the journal names it.
func (d *driver) takenOver(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, StampInterval)
	defer cancel()
	if s, ok := stamped(ctx, d.store, d.u.Name()); !ok || s.Driver == d.driver && s.Rollout == d.j.plan.Rollout {
		return false
	}
	j, err := d.load(ctx)
	return err == nil && (!j.unfinished() || j.plan.Rollout != d.j.plan.Rollout || j.driver != d.driver)
}

// stamped is the endpoint's stamp, if it is there and can be read.
func stamped(ctx context.Context, store Store, name string) (Stamp, bool) {
	s, ok := store.(Stamper)
	if !ok {
		return Stamp{}, false
	}
	stamp, err := s.Stamped(ctx, name)
	return stamp, err == nil
}

// holder is the newest stamp of the driver that the journal names, and whether
// there is one.
func (j *journal) holder(ctx context.Context, store Store) (Stamp, bool) {
	if !j.unfinished() || j.last != nil {
		return Stamp{}, false
	}
	s, ok := stamped(ctx, store, j.endpoint)
	return s, ok && s.Rollout == j.plan.Rollout && s.Driver == j.driver
}

// drivenBy says who drives an unfinished rollout, for an error.
func (j *journal) drivenBy(ctx context.Context, store Store) string {
	text := j.driver
	if stamp, ok := j.holder(ctx, store); ok {
		text += fmt.Sprintf(", last seen alive %v ago", max(0, time.Since(stamp.Time)).Round(time.Second))
	}
	return text
}

// awaitDeath waits until the driver that the journal names must be dead, has
// stopped, or has ended the rollout. If it turns out to live the error is
// [endpoint.ErrBusy].
func (d *driver) awaitDeath(ctx context.Context) error {
	if d.alone || !d.j.unfinished() || d.j.last != nil || d.j.driver == d.driver {
		return nil
	}
	// One of a driver before hides the holder's until that stamps again.
	first, ok := stamped(ctx, d.store, d.u.Name())
	if !ok || first.Rollout != d.j.plan.Rollout {
		return nil
	}
	const silent = 3 * StampInterval
	dead := first.Time.Add(silent + d.j.plan.Settle)
	if most := time.Now().Add(silent + d.j.plan.Settle); dead.After(most) {
		dead = most // its clock is ahead
	}
	_, err := waiter.Until(ctx, func(ctx context.Context) (waiter.Seen, bool, error) {
		now := time.Now()
		j, err := d.load(ctx)
		if err != nil {
			return waiter.Seen{}, false, err
		}
		moved := j.seq != d.j.seq
		stamp, ok := j.holder(ctx, d.store)
		if d.j = j; moved && (!j.unfinished() || j.last != nil) {
			return waiter.Seen{}, true, nil
		}
		if moved || ok && (stamp.Driver != first.Driver || !stamp.Time.Equal(first.Time)) {
			return waiter.Seen{}, false, fmt.Errorf("%s is held by %s: %w", d.u.Name(), j.drivenBy(ctx, d.store), endpoint.ErrBusy)
		}
		if now.Before(dead) {
			d.emit(Event{Kind: EventLook, Text: "waiting to see whether " + j.driver + " is alive"})
		}
		return waiter.Seen{Due: time.Until(dead)}, !now.Before(dead), nil
	}, waiter.WithSchedule(waiter.Every(StampInterval)), waiter.WithTransient(func(error) bool { return false }, 0))
	return plain(err)
}
