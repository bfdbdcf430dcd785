package rollout

import (
	"context"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/waiter"
)

// stamp says once that this driver is alive. That it could not be said is no
// reason to leave an endpoint half-way.
func (d *driver) stamp(ctx context.Context) {
	s, ok := d.store.(journal.Heartbeater)
	if !ok || d.j.plan == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, journal.HeartbeatInterval)
	defer cancel()
	_ = s.Heartbeat(ctx, d.u.Name(), journal.Heartbeat{Rollout: d.j.plan.Rollout, Owner: d.driver, Time: time.Now().Round(0)})
}

// keepStamping says so again and again, until the returned function is called
// or somebody else has taken the rollout over: their stamp is not to be hidden.
func (d *driver) keepStamping(ctx context.Context) (stop func()) {
	if _, ok := d.store.(journal.Heartbeater); !ok {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(journal.HeartbeatInterval)
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
	ctx, cancel := context.WithTimeout(ctx, journal.HeartbeatInterval)
	defer cancel()
	if s, ok := stamped(ctx, d.store, d.u.Name()); !ok || s.Owner == d.driver && s.Rollout == d.j.plan.Rollout {
		return false
	}
	j, err := d.load(ctx)
	return err == nil && (!j.unfinished() || j.plan.Rollout != d.j.plan.Rollout || j.driver != d.driver)
}

// stamped is the endpoint's stamp, if it is there and can be read.
func stamped(ctx context.Context, store journal.Store, name string) (journal.Heartbeat, bool) {
	s, ok := store.(journal.Heartbeater)
	if !ok {
		return journal.Heartbeat{}, false
	}
	stamp, err := s.LastHeartbeat(ctx, name)
	return stamp, err == nil
}

// holder is the newest stamp of the driver that the journal names, and whether
// there is one.
func (j *state) holder(ctx context.Context, store journal.Store) (journal.Heartbeat, bool) {
	if !j.unfinished() || j.last != nil {
		return journal.Heartbeat{}, false
	}
	s, ok := stamped(ctx, store, j.endpoint)
	return s, ok && s.Rollout == j.plan.Rollout && s.Owner == j.driver
}

// drivenBy says who drives an unfinished rollout, for an error.
func (j *state) drivenBy(ctx context.Context, store journal.Store) string {
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
	const silent = 3 * journal.HeartbeatInterval
	dead := first.Time.Add(silent + d.j.plan.Settle)
	if most := time.Now().Add(silent + d.j.plan.Settle); dead.After(most) {
		dead = most // its clock is ahead
	}
	_, err := waiter.Until(ctx, func(ctx context.Context) (waiter.Observation, bool, error) {
		now := time.Now()
		j, err := d.load(ctx)
		if err != nil {
			return waiter.Observation{}, false, err
		}
		moved := j.seq != d.j.seq
		stamp, ok := j.holder(ctx, d.store)
		if d.j = j; moved && (!j.unfinished() || j.last != nil) {
			return waiter.Observation{}, true, nil
		}
		if moved || ok && (stamp.Owner != first.Owner || !stamp.Time.Equal(first.Time)) {
			return waiter.Observation{}, false, fmt.Errorf("%s is held by %s: %w", d.u.Name(), j.drivenBy(ctx, d.store), endpoint.ErrBusy)
		}
		if now.Before(dead) {
			d.emit(Event{Kind: EventPoll, Text: "waiting to see whether " + j.driver + " is alive"})
		}
		return waiter.Observation{Due: time.Until(dead)}, !now.Before(dead), nil
	}, waiter.WithSchedule(waiter.Every(journal.HeartbeatInterval)), waiter.WithTransient(func(error) bool { return false }, 0))
	return plain(err)
}
