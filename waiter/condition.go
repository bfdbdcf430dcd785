package waiter

import (
	"context"
	"errors"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/condition"
)

// Ready waits until u serves want: the revision is settled, all capacity in
// service is proven to run it, and the capacity that the settings ask for is
// up. It ends early with an error that is
//
//   - [endpoint.ErrFailed] if the provider ends in a state it does not leave;
//   - [endpoint.ErrUnhealthy] if capacity on want stays unhealthy;
//   - [endpoint.ErrRolledBack] if the endpoint settled on [WithFrom] again;
//   - [endpoint.ErrDrift] if it settled on a third revision.
//
// The last three count when they have lasted for [WithGrace]. Each
// carries the provider's reason. Call Ready after the change was accepted.
func Ready(ctx context.Context, u endpoint.Updater, want endpoint.Revision, opts ...Option) (endpoint.Status, error) {
	c := conditionConfig(u, opts)
	w := begin(ctx, u, c)
	defer w.release()
	j := &condition.Ready{Want: want, From: c.from, Grace: c.grace, Unproven: c.unproven}
	err := w.run(ctx, func(ctx context.Context, seen *Observation) (bool, error) {
		if err := w.read(ctx, u, &seen.Status); err != nil {
			return false, err
		}
		v := j.Judge(&seen.Status, time.Now())
		seen.Note, seen.Due = v.Note, v.Due
		return v.Holds, v.Err
	})
	return w.progress.Observed.Status, err
}

// Drained waits until u has no worker left, and no job in flight if it can
// count them.
func Drained(ctx context.Context, u endpoint.Updater, opts ...Option) (endpoint.Status, error) {
	w := begin(ctx, u, conditionConfig(u, opts))
	defer w.release()
	d, counts := endpoint.As[endpoint.Drainer](u)
	err := w.run(ctx, func(ctx context.Context, seen *Observation) (bool, error) {
		if err := w.read(ctx, u, &seen.Status); err != nil {
			return false, err
		}
		v := condition.Empty(&seen.Status)
		seen.Note = v.Note
		if v.Holds && counts {
			switch jobs, err := d.Jobs(ctx); {
			case err == nil:
				v = condition.NoJobs(jobs)
			case !errors.Is(err, errors.ErrUnsupported):
				return false, err
			}
		}
		seen.Note = v.Note
		return v.Holds, v.Err
	})
	return w.progress.Observed.Status, err
}

// Settled waits until no change is in progress on u, whatever it serves. It
// ends early with [endpoint.ErrFailed] if the provider ends in a state it does
// not leave.
func Settled(ctx context.Context, u endpoint.Updater, opts ...Option) (endpoint.Status, error) {
	w := begin(ctx, u, conditionConfig(u, opts))
	defer w.release()
	err := w.run(ctx, func(ctx context.Context, seen *Observation) (bool, error) {
		if err := w.read(ctx, u, &seen.Status); err != nil {
			return false, err
		}
		v := condition.Settled(&seen.Status)
		seen.Note = v.Note
		return v.Holds, v.Err
	})
	return w.progress.Observed.Status, err
}

// conditionConfig is the configuration of a ready-made condition, with the
// conditions' own defaults before the caller's options.
func conditionConfig(u endpoint.Updater, opts []Option) config {
	return newConfig(append([]Option{WithConsecutive(2), WithHistory(nil, "", u.Name())}, opts...))
}

// begin makes the wait of a ready-made condition.
func begin(ctx context.Context, u endpoint.Updater, c config) *loop {
	l := &loop{Wait: newWait(time.Now(), c.pacing), polling: c.polling, read: readInto}
	if l.shared != nil {
		l.watch = l.shared.Watch(ctx, u.Name())
		l.read = l.watch.Read
	}
	return l
}

// readInto polls u. What it reads over is what it read before. With an error it
// leaves that alone.
func readInto(ctx context.Context, u endpoint.Updater, status *endpoint.Status) error {
	s, err := u.Status(ctx)
	if err == nil {
		*status = s
	}
	return err
}

func (l *loop) release() {
	if l.watch != nil {
		l.watch.Release()
	}
}
