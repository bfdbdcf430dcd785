// Package condition judges what a poll of an endpoint showed: whether it is
// ready, drained or settled. Its functions are pure: the time is an argument.
package condition

import (
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// Verdict is what a poll says about a condition.
type Verdict struct {
	// Holds is true if the condition holds now.
	Holds bool
	// Note says in a few words what is still missing, for people.
	Note string
	// Due, if positive, is how soon the next poll can tell more.
	Due time.Duration
	// Err is set if the condition is not going to hold any more.
	Err error
}

// Ready judges one status after another: is Want ready, still coming, or not
// coming any more? The zero value of the unexported fields begins.
type Ready struct {
	Want endpoint.Revision
	// From is the revision that was served before.
	From endpoint.Revision
	// Grace is for how long a bad sign has to last.
	Grace time.Duration
	// Unproven accepts an endpoint that is configured for Want while nothing
	// runs on it that could prove it.
	Unproven bool

	elsewhere    time.Time         // since when another revision is settled
	elsewhereRev endpoint.Revision // which
	unhealthy    time.Time         // since when capacity on Want is unhealthy
}

// Judge takes in the status that a poll showed now.
func (r *Ready) Judge(s *endpoint.Status, now time.Time) Verdict {
	if s.Phase == endpoint.PhaseFailed {
		return Verdict{Err: reason(endpoint.ErrFailed, s)}
	}
	if !s.Desired.Same(r.Want) {
		r.unhealthy = time.Time{}
		return r.wrongRevision(s, now)
	}
	r.elsewhere = time.Time{}
	if n := s.Unhealthy(); n > 0 {
		v := Verdict{Note: fmt.Sprintf("%d unhealthy on %s", n, r.Want)}
		if lasted(&r.unhealthy, now, r.Grace) {
			v.Err = reason(endpoint.ErrUnhealthy, s)
			return v
		}
		v.Due = r.Grace - now.Sub(r.unhealthy)
		return v
	}
	r.unhealthy = time.Time{}
	switch {
	case s.Phase == endpoint.PhaseReady && s.Serving.Same(r.Want) && !s.Mixed:
		return Verdict{Holds: true}
	case s.Unproven() && (s.Phase == endpoint.PhaseReady || s.Phase == endpoint.PhasePaused):
		return Verdict{Holds: r.Unproven, Note: "configured, but nothing runs that could prove it"}
	}
	return Verdict{Note: progress(s)}
}

// wrongRevision judges a status with another revision than the wanted one: the
// read may be stale or the change not visible yet, so it has to last.
func (r *Ready) wrongRevision(s *endpoint.Status, now time.Time) Verdict {
	v := Verdict{Note: "still on " + s.Desired.String()}
	if s.Phase == endpoint.PhaseUnknown || s.Desired.IsZero() ||
		(s.Phase == endpoint.PhaseUpdating && s.Desired.Same(r.From)) {
		r.elsewhere = time.Time{}
		return v
	}
	if s.Desired != r.elsewhereRev {
		r.elsewhere, r.elsewhereRev = time.Time{}, s.Desired
	}
	switch {
	case !lasted(&r.elsewhere, now, r.Grace):
		v.Due = r.Grace - now.Sub(r.elsewhere)
	case s.Desired.Same(r.From):
		v.Err = reason(fmt.Errorf("%w to %s", endpoint.ErrRolledBack, s.Desired), s)
	default:
		v.Err = reason(fmt.Errorf("%w: serves %s, want %s", endpoint.ErrDrift, s.Desired, r.Want), s)
	}
	return v
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

// progress says where an update stands.
func progress(s *endpoint.Status) string {
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

// Since returns what the judge remembers: since when capacity is unhealthy, and
// since when another revision is settled, and which; zero if that is not so.
func (r *Ready) Since() (unhealthy, elsewhere time.Time, rev endpoint.Revision) {
	return r.unhealthy, r.elsewhere, r.elsewhereRev
}

// Restore lets the judge go on from what another one remembered.
func (r *Ready) Restore(unhealthy, elsewhere time.Time, rev endpoint.Revision) {
	r.unhealthy, r.elsewhere, r.elsewhereRev = unhealthy, elsewhere, rev
}
