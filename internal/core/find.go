package core

import (
	"errors"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/condition"
	"github.com/changeover-dev/changeover/journal"
)

// find judges a poll by what is waited for.
func find(m *Machine, w *waiting, now time.Time) finding {
	switch w.kind {
	case waitPause:
		return finding{done: !now.Before(w.until), note: catchingUpNote, due: w.until}
	case waitOnce, waitSnapshot:
		return finding{done: true}
	case waitCatchUp:
		return finding{done: !now.Before(w.until), note: catchingUpNote}
	case waitCheck:
		return findBeforeWrite(m, w, now)
	case waitConfirm:
		return findConfirmed(m, w, now)
	case waitJobs:
		return findJobs(w)
	case waitEmpty:
		return findEmpty(w)
	case waitSettled:
		return found(condition.Settled(&w.got.status), now)
	case waitAccepted, waitRunning:
		return findAccepted(m, w, now)
	case waitReady, waitSplit:
		return findReady(m, w, now)
	case waitBake:
		return findBaked(m, w, now)
	case waitHold:
		return findHeld(m, w, now)
	case waitFrozen:
		return findFrozen(m, w, now)
	case waitJob:
		return findJob(m, w, now)
	case waitWorker:
		return findWorker(m, w, now)
	case waitVerify:
		return findVerified(m, w, now)
	case waitRest:
		return findRest(w)
	case waitUnmoved:
		return findUnmoved(m, w, now)
	case waitLease:
		return findLease(m, w, now)
	}
	return finding{err: fmt.Errorf("unknown wait %d", w.kind)}
}

// found is a verdict as a finding.
func found(v condition.Verdict, now time.Time) finding {
	f := finding{done: v.Holds, note: v.Note, err: v.Err}
	if v.Due > 0 {
		f.due = now.Add(v.Due)
	}
	return f
}

func findJobs(w *waiting) finding {
	if w.got.noJobs {
		return finding{err: fmt.Errorf("its jobs cannot be counted: %w", errors.ErrUnsupported)}
	}
	note := fmt.Sprintf("%d in flight, %d queued", w.got.jobs.InFlight, w.got.jobs.Queued)
	return finding{done: w.got.jobs == endpoint.Jobs{}, note: note}
}

// findEmpty judges whether no worker is left, and no job in flight if those
// can be counted.
func findEmpty(w *waiting) finding {
	v := condition.Empty(&w.got.status)
	switch {
	case !v.Holds || w.got.noJobs:
	case w.read != OpJobs:
		return finding{more: OpJobs}
	default:
		v = condition.NoJobs(w.got.jobs)
	}
	return finding{done: v.Holds, note: v.Note}
}

// findAccepted judges whether a revision is accepted, whatever its health.
func findAccepted(m *Machine, w *waiting, now time.Time) finding {
	if m.ledger.drifted(journal.ThingRevision) {
		return finding{done: true}
	}
	s, want := w.got.status, Change(m.ledger.Plan, m.ledger.RollingBack).To
	if len(m.overridden(s, now)) > 0 {
		return restoreOverridden(m, w, now)
	}
	if v, foreign := m.compareRevision(want, s); v == drifted {
		return findDrift(m, w, journal.Drift{Thing: journal.ThingRevision, Want: want.String(), Found: foreign}, time.Time{}, now)
	}
	w.since = time.Time{}
	ok := s.Desired.Same(want)
	if w.kind == waitRunning {
		if f, paused := pausedByAnother(m, w, now); paused && ok {
			return f
		}
		ok = ok && runsAlone(s, want)
	}
	return finding{done: ok, note: "on " + s.Desired.String()}
}

// runsAlone reports whether all capacity in service runs a revision, however much
// there is.
func runsAlone(s endpoint.Status, want endpoint.Revision) bool {
	return s.Serving.Same(want) && !s.Mixed && s.Phase != endpoint.PhaseUpdating
}

// findReady judges whether a revision is proven to serve. Capacity that the
// provider took away is given back. While the provider moves the traffic by
// stages of its own, the checks judge the target.
func findReady(m *Machine, w *waiting, now time.Time) finding {
	if !w.got.watched {
		if len(m.overridden(w.got.status, now)) > 0 {
			return restoreOverridden(m, w, now)
		}
		if f, paused := pausedByAnother(m, w, now); paused && w.got.status.Desired.Same(w.ready.Want) {
			return f
		}
		w.got.ruling, w.got.watched = found(w.ready.Judge(&w.got.status, now), now), true
	}
	if m.ledger.RollingBack || w.got.ruling.err != nil {
		return w.got.ruling
	}
	if m.guard.wantsNews(m, w, now) {
		return finding{more: OpNews}
	}
	if m.guard.noteTraffic(m, w.got.status, now) {
		if m.guard.dueCheck(m, w, now) >= 0 {
			return finding{more: OpCheck}
		}
		if _, err := m.verdict(now); err != nil && !(m.ledger.Plan.Uninterruptible && w.got.status.Phase == endpoint.PhaseUpdating) {
			return finding{err: err}
		} else if err != nil {
			w.got.ruling.note = "the provider's update goes on to its end, and is then rolled back: " + err.Error()
		}
	}
	if w.got.ruling.done && m.ledger.Plan.Refresh != "" {
		return findRefreshed(m, w)
	}
	return w.got.ruling
}

// findRefreshed judges whether all capacity is younger than the first write of a
// refresh, once the target is ready.
func findRefreshed(m *Machine, w *waiting) finding {
	since := m.ledger.firstWrite
	switch s := &w.got.status; {
	case m.ledger.Plan.Draft == nil && !s.UpSince.IsZero() && s.UpSince.Before(since.Add(-m.settle())):
		return finding{note: "a worker has been up since " + s.UpSince.UTC().Format(time.RFC3339) + ", before the refresh"}
	case m.ledger.Plan.Draft == nil: // every worker was taken away first
		return w.got.ruling
	case w.read != OpRefreshed:
		return finding{more: OpRefreshed}
	case w.got.refreshed != nil:
		return finding{note: w.got.refreshed.Error()}
	}
	return w.got.ruling
}
