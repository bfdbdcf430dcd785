package waiter

import (
	"context"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
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
// The last three are believed when they have lasted for [WithGrace]. Each
// carries the provider's reason. Call Ready after the change was accepted.
func Ready(ctx context.Context, u endpoint.Updater, want endpoint.Revision, opts ...Option) (endpoint.Status, error) {
	w := begin(ctx, u, opts)
	defer w.release()
	j := &judge{config: &w.config, want: want}
	err := w.run(ctx, func(ctx context.Context, seen *Observation) (bool, error) {
		if err := w.read(ctx, u, &seen.Status); err != nil {
			return false, err
		}
		return j.look(seen, time.Now())
	})
	return w.progress.Observed.Status, err
}

// Drained waits until u has no worker left, and no job in flight if it can
// count them.
func Drained(ctx context.Context, u endpoint.Updater, opts ...Option) (endpoint.Status, error) {
	w := begin(ctx, u, opts)
	defer w.release()
	d, counts := endpoint.As[endpoint.Drainer](u)
	err := w.run(ctx, func(ctx context.Context, seen *Observation) (bool, error) {
		if err := w.read(ctx, u, &seen.Status); err != nil {
			return false, err
		}
		live := seen.Status.Live()
		seen.Note = plural(live, "worker") + " left"
		if seen.Status.Phase == endpoint.PhaseUnknown {
			seen.Note = "the provider does not say what is left"
			return false, nil
		}
		if live > 0 || !counts {
			return live == 0, nil
		}
		jobs, err := d.Jobs(ctx)
		if err != nil {
			return false, err
		}
		seen.Note = plural(jobs.InFlight, "job") + " in flight"
		return jobs.InFlight == 0, nil
	})
	return w.progress.Observed.Status, err
}

// Settled waits until no change is in progress on u, whatever it serves. It
// ends early with [endpoint.ErrFailed] if the provider ends in a state it does
// not leave.
func Settled(ctx context.Context, u endpoint.Updater, opts ...Option) (endpoint.Status, error) {
	w := begin(ctx, u, opts)
	defer w.release()
	err := w.run(ctx, func(ctx context.Context, seen *Observation) (bool, error) {
		if err := w.read(ctx, u, &seen.Status); err != nil {
			return false, err
		}
		seen.Note = ""
		switch seen.Status.Phase {
		case endpoint.PhaseFailed:
			return false, reason(endpoint.ErrFailed, &seen.Status)
		case endpoint.PhaseReady, endpoint.PhaseScaling, endpoint.PhasePaused, endpoint.PhaseDegraded:
			return true, nil
		case endpoint.PhaseUnknown, endpoint.PhaseUpdating:
		}
		seen.Note = stageNote(&seen.Status)
		return false, nil
	})
	return w.progress.Observed.Status, err
}

// begin makes the wait of a ready-made condition, with the conditions' own
// defaults before the caller's options.
func begin(ctx context.Context, u endpoint.Updater, opts []Option) *wait {
	w := newWait(append([]Option{WithConsecutive(2), WithHistory(nil, "", u.Name())}, opts...))
	if w.shared != nil {
		w.watch = w.shared.watch(ctx, u.Name())
	}
	return w
}

// read looks at u, by the shared poller if there is one. What it reads over is
// what it read before. With an error it leaves that alone.
func (w *wait) read(ctx context.Context, u endpoint.Updater, status *endpoint.Status) error {
	if w.watch != nil {
		return w.watch.read(ctx, u, status)
	}
	return readInto(ctx, u, status)
}

// readInto has the copies that a status takes on the stack, and nobody who
// sleeps has them.
//
//go:noinline
func readInto(ctx context.Context, u endpoint.Updater, status *endpoint.Status) error {
	s, err := u.Status(ctx)
	if err == nil {
		*status = s
	}
	return err
}

func (w *wait) release() {
	if w.watch != nil {
		w.watch.release()
	}
}

// judge decides from one status after another whether want is ready, still
// coming, or not coming any more.
type judge struct {
	config       *config
	want         endpoint.Revision
	elsewhere    time.Time         // since when another revision is settled
	elsewhereRev endpoint.Revision // which
	unhealthy    time.Time         // since when capacity on want is unhealthy
}

func (j *judge) look(seen *Observation, now time.Time) (bool, error) {
	s := &seen.Status
	seen.Note, seen.Due = "", 0
	if s.Phase == endpoint.PhaseFailed {
		return false, reason(endpoint.ErrFailed, s)
	}
	if !s.Desired.Same(j.want) {
		j.unhealthy = time.Time{}
		return false, j.wrongRevision(seen, now)
	}
	j.elsewhere = time.Time{}
	if n := s.Unhealthy(); n > 0 {
		seen.Note = fmt.Sprintf("%d unhealthy on %s", n, j.want)
		if lasted(&j.unhealthy, now, j.config.grace) {
			return false, reason(endpoint.ErrUnhealthy, s)
		}
		seen.Due = j.config.grace - now.Sub(j.unhealthy)
		return false, nil
	}
	j.unhealthy = time.Time{}
	switch {
	case s.Phase == endpoint.PhaseReady && s.Serving.Same(j.want) && !s.Mixed:
		return true, nil
	case s.Serving.IsZero() && s.Live() == 0 && (s.Phase == endpoint.PhaseReady || s.Phase == endpoint.PhasePaused):
		seen.Note = "configured, but nothing runs that could prove it"
		return j.config.unproven, nil
	}
	seen.Note = stageNote(s)
	return false, nil
}

// wrongRevision handles a look that shows another revision than the wanted
// one: the read may be stale or the change still on its way, so it has to last.
func (j *judge) wrongRevision(seen *Observation, now time.Time) error {
	s := &seen.Status
	seen.Note = "still on " + s.Desired.String()
	if s.Phase == endpoint.PhaseUnknown || s.Desired.IsZero() ||
		(s.Phase == endpoint.PhaseUpdating && s.Desired.Same(j.config.from)) {
		j.elsewhere = time.Time{}
		return nil
	}
	if s.Desired != j.elsewhereRev {
		j.elsewhere, j.elsewhereRev = time.Time{}, s.Desired
	}
	if !lasted(&j.elsewhere, now, j.config.grace) {
		seen.Due = j.config.grace - now.Sub(j.elsewhere)
		return nil
	}
	if s.Desired.Same(j.config.from) {
		return reason(fmt.Errorf("%w to %s", endpoint.ErrRolledBack, s.Desired), s)
	}
	return reason(fmt.Errorf("%w: serves %s, want %s", endpoint.ErrDrift, s.Desired, j.want), s)
}

// lasted starts the clock at since if it does not run, and reports whether it
// has run for at least d.
func lasted(since *time.Time, now time.Time, d time.Duration) bool {
	if since.IsZero() {
		*since = now
	}
	return now.Sub(*since) >= d
}

// reason adds the provider's own words.
func reason(err error, s *endpoint.Status) error {
	if s.Reason == "" {
		return fmt.Errorf("%w (the provider gives no reason)", err)
	}
	return fmt.Errorf("%w: %s", err, s.Reason)
}

// stageNote says where an update stands.
func stageNote(s *endpoint.Status) string {
	switch {
	case s.UpdateStage.Message != "":
		return s.UpdateStage.Message
	case s.UpdateStage.Name != "":
		return s.UpdateStage.Name
	}
	var stale, starting, throttled, ready int
	for _, p := range s.Pools {
		stale, starting, throttled, ready = stale+p.Stale, starting+p.Starting, throttled+p.Throttled, ready+p.Ready
	}
	return fmt.Sprintf("%d ready, %d starting, %d throttled, %d on another revision", ready, starting, throttled, stale)
}
