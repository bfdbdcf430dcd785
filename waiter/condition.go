package waiter

import (
	"context"
	"fmt"
	"slices"
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
	c := newConfig(opts)
	u, opts, done := share(ctx, u, opts)
	defer done()
	j := judge{want: want, from: c.from, grace: c.grace, unproven: c.unproven}
	seen, err := Until(ctx, func(ctx context.Context) (Seen, bool, error) {
		s, err := u.Status(ctx)
		if err != nil {
			return Seen{}, false, err
		}
		return j.look(s, time.Now())
	}, settled(u, opts)...)
	return seen.Status, err
}

// Drained waits until u has no worker left, and no job in flight if it can
// count them.
func Drained(ctx context.Context, u endpoint.Updater, opts ...Option) (endpoint.Status, error) {
	u, opts, done := share(ctx, u, opts)
	defer done()
	d, counts := endpoint.As[endpoint.Drainer](u)
	seen, err := Until(ctx, func(ctx context.Context) (Seen, bool, error) {
		s, err := u.Status(ctx)
		if err != nil {
			return Seen{}, false, err
		}
		seen := Seen{Status: s, Note: plural(s.Live(), "worker") + " left"}
		if s.Phase == endpoint.PhaseUnknown {
			seen.Note = "the provider does not say what is left"
			return seen, false, nil
		}
		if s.Live() > 0 || !counts {
			return seen, s.Live() == 0, nil
		}
		jobs, err := d.Jobs(ctx)
		if err != nil {
			return seen, false, err
		}
		seen.Note = plural(jobs.InFlight, "job") + " in flight"
		return seen, jobs.InFlight == 0, nil
	}, settled(u, opts)...)
	return seen.Status, err
}

// Settled waits until no change is in progress on u, whatever it serves. It
// ends early with [endpoint.ErrFailed] if the provider ends in a state it does
// not leave.
func Settled(ctx context.Context, u endpoint.Updater, opts ...Option) (endpoint.Status, error) {
	u, opts, done := share(ctx, u, opts)
	defer done()
	seen, err := Until(ctx, func(ctx context.Context) (Seen, bool, error) {
		s, err := u.Status(ctx)
		if err != nil {
			return Seen{}, false, err
		}
		switch s.Phase {
		case endpoint.PhaseFailed:
			return Seen{Status: s}, false, reason(endpoint.ErrFailed, s)
		case endpoint.PhaseReady, endpoint.PhaseScaling, endpoint.PhasePaused, endpoint.PhaseDegraded:
			return Seen{Status: s}, true, nil
		case endpoint.PhaseUnknown, endpoint.PhaseUpdating:
		}
		return Seen{Status: s, Note: stageNote(s)}, false, nil
	}, settled(u, opts)...)
	return seen.Status, err
}

// share puts the shared poller between a wait and its endpoint, if there is one.
func share(ctx context.Context, u endpoint.Updater, opts []Option) (endpoint.Updater, []Option, func()) {
	s := newConfig(opts).shared
	if s == nil {
		return u, opts, func() {}
	}
	w := s.watch(ctx, u)
	return w, append(slices.Clip(opts), func(c *config) { c.listed, c.vouched = w.wake, w.vouched }), w.release
}

// settled puts the ready-made conditions' own defaults before the caller's options.
func settled(u endpoint.Updater, opts []Option) []Option {
	return append([]Option{WithConsecutive(2), WithHistory(nil, "", u.Name())}, opts...)
}

// judge decides from one status after another whether want is ready, still
// coming, or not coming any more.
type judge struct {
	want, from   endpoint.Revision
	grace        time.Duration
	unproven     bool
	elsewhere    time.Time         // since when another revision is settled
	elsewhereRev endpoint.Revision // which
	unhealthy    time.Time         // since when capacity on want is unhealthy
}

func (j *judge) look(s endpoint.Status, now time.Time) (Seen, bool, error) {
	seen := Seen{Status: s}
	if s.Phase == endpoint.PhaseFailed {
		return seen, false, reason(endpoint.ErrFailed, s)
	}
	if !s.Desired.Same(j.want) {
		j.unhealthy = time.Time{}
		return j.wrongRevision(s, now)
	}
	j.elsewhere = time.Time{}
	if n := s.Unhealthy(); n > 0 {
		seen.Note = fmt.Sprintf("%d unhealthy on %s", n, j.want)
		if lasted(&j.unhealthy, now, j.grace) {
			return seen, false, reason(endpoint.ErrUnhealthy, s)
		}
		seen.Due = j.grace - now.Sub(j.unhealthy)
		return seen, false, nil
	}
	j.unhealthy = time.Time{}
	switch {
	case s.Phase == endpoint.PhaseReady && s.Serving.Same(j.want) && !s.Mixed:
		return seen, true, nil
	case s.Serving.IsZero() && s.Live() == 0 && (s.Phase == endpoint.PhaseReady || s.Phase == endpoint.PhasePaused):
		seen.Note = "configured, but nothing runs that could prove it"
		return seen, j.unproven, nil
	}
	seen.Note = stageNote(s)
	return seen, false, nil
}

// wrongRevision handles a look that shows another revision than the wanted
// one: the read may be stale or the change still on its way, so it has to last.
func (j *judge) wrongRevision(s endpoint.Status, now time.Time) (Seen, bool, error) {
	seen := Seen{Status: s, Note: "still on " + s.Desired.String()}
	if s.Phase == endpoint.PhaseUnknown || s.Desired.IsZero() ||
		(s.Phase == endpoint.PhaseUpdating && s.Desired.Same(j.from)) {
		j.elsewhere = time.Time{}
		return seen, false, nil
	}
	if s.Desired != j.elsewhereRev {
		j.elsewhere, j.elsewhereRev = time.Time{}, s.Desired
	}
	if !lasted(&j.elsewhere, now, j.grace) {
		seen.Due = j.grace - now.Sub(j.elsewhere)
		return seen, false, nil
	}
	if s.Desired.Same(j.from) {
		return seen, false, reason(fmt.Errorf("%w to %s", endpoint.ErrRolledBack, s.Desired), s)
	}
	return seen, false, reason(fmt.Errorf("%w: serves %s, want %s", endpoint.ErrDrift, s.Desired, j.want), s)
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
func reason(err error, s endpoint.Status) error {
	if s.Reason == "" {
		return fmt.Errorf("%w (the provider gives no reason)", err)
	}
	return fmt.Errorf("%w: %s", err, s.Reason)
}

// stageNote says where an update stands.
func stageNote(s endpoint.Status) string {
	switch {
	case s.Stage.Message != "":
		return s.Stage.Message
	case s.Stage.Name != "":
		return s.Stage.Name
	}
	var stale, starting, throttled, ready int
	for _, p := range s.Pools {
		stale, starting, throttled, ready = stale+p.Stale, starting+p.Starting, throttled+p.Throttled, ready+p.Ready
	}
	return fmt.Sprintf("%d ready, %d starting, %d throttled, %d on another revision", ready, starting, throttled, stale)
}
