package core

import (
	"errors"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// reading is what the reads of one poll showed.
type reading struct {
	status      endpoint.Status
	jobs        endpoint.Jobs
	noJobs      bool // they cannot be counted
	staged      error
	snapshot    endpoint.AutoscalingSnapshot
	autoscaling endpoint.AutoscalingState
	inspected   bool
	worker      error
	refreshed   error // why not all capacity is new
	job         jobState
	watched     bool    // the status is judged
	ruling      finding // as that, while the poll goes on
	news        bool    // the journal was read
}

// note keeps what a read showed. Some errors are what a read is made for.
func (w *waiting) note(m *Machine, op Op, r Result, now time.Time) error {
	if w.got == nil {
		w.got = &reading{}
	}
	g := w.got
	switch op.Kind { //nolint:exhaustive // the others need nothing here
	case OpStatus:
		if err := believable(m, r, now); err != nil {
			return err
		}
		g.status, m.seen, m.absence = r.Status, r.Status, nil
		m.noteForeign(r.Status, now)
		w.pace.Vouch(r.Vouched)
	case OpJobs:
		if g.jobs, g.noJobs = r.Jobs, errors.Is(r.Err, errors.ErrUnsupported); g.noJobs {
			return nil
		}
		return r.Err
	case OpStaged:
		if g.staged = r.Err; showsDraft(r.Err) {
			return nil
		}
		return r.Err
	case OpAutoscaling:
		g.autoscaling, g.inspected = r.Autoscaling, true
		return r.Err
	case OpRefreshed:
		if g.refreshed = r.Err; errors.Is(r.Err, endpoint.ErrDrift) && !endpoint.Transient(r.Err) {
			return nil
		}
		return r.Err
	case OpSnapshot:
		g.snapshot = r.Snapshot
		return r.Err
	case OpWorker:
		if g.worker = r.Err; !errors.Is(r.Err, endpoint.ErrNotFound) && !errors.Is(r.Err, endpoint.ErrDrift) {
			return r.Err
		}
	case OpJob:
		g.job = jobState{r.Done, r.Worker, r.JobErr}
	case OpNews:
		g.news = true
		if r.Err == nil { // else the next poll reads it
			m.guard.news(m, r.Records, now)
		}
	case OpLoad:
		if r.Err != nil {
			return r.Err
		}
		return w.reload(m, r.Records, now)
	default:
		return r.Err
	}
	return nil
}

// showsDraft reports whether an error says what there is in place of a draft.
func showsDraft(err error) bool {
	shown := errors.Is(err, endpoint.ErrNotFound) || errors.Is(err, endpoint.ErrPending) || errors.Is(err, endpoint.ErrDrift) || errors.Is(err, endpoint.ErrInvalid)
	return shown && !endpoint.Transient(err)
}

// believable returns why a read of the status is not taken in, nil if it is.
func believable(m *Machine, r Result, now time.Time) error {
	if r.Err != nil {
		return r.Err
	}
	if err := m.recognize(r.Status); err != nil {
		return &mistaken{err}
	}
	if m.absence != nil && now.Before(m.absence.last.Add(m.settle())) {
		return errOldRead
	}
	return nil
}
