package core

import (
	"errors"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/strategy"
)

// probeStep has the caller's job done, while it watches the target as any wait
// does, and finds out what the worker runs that did it.
func probeStep(m *Machine, _ *waiting, now time.Time) {
	t, p := m.task, m.ledger.Plan
	switch t.at++; t.at {
	case 1:
		if m.policy.Job != p.Probe {
			t.finished(m, "", fmt.Errorf("%w: the job %q is in the plan and was not given", ErrCheck, p.Probe), now)
			return
		}
		m.wait(now, waitJob, OpJob).ready = m.readyFor(true)
	case 2:
		if t.worker == "" {
			t.finished(m, "", t.notConverged(m, t.err, now), now)
			return
		}
		m.wait(now, waitWorker, OpWorker).until = now.Add(p.Settle)
	default:
		t.finished(m, proven(strategy.ProofProbe), t.err, now)
	}
}

// jobState is what a poll showed of the caller's job.
type jobState struct {
	Done   bool
	Worker string
	JobErr error
}

// findJob judges a poll while the job is done. The end of the job ends the
// wait, and so does what says that the target is not going to do it.
func findJob(m *Machine, w *waiting, now time.Time) finding {
	if w.read == OpJob {
		switch job := w.got.job; {
		case !job.Done:
			return finding{more: OpStatus}
		case job.JobErr != nil:
			return finding{err: fmt.Errorf("%w: job %q: %w", ErrCheck, m.ledger.Plan.Probe, job.JobErr)}
		case job.Worker == "":
			return finding{err: fmt.Errorf("%w: job %q names no worker", ErrCheck, m.ledger.Plan.Probe)}
		default:
			m.task.worker = job.Worker
			return finding{err: errJobDone}
		}
	}
	if len(m.overridden(w.got.status, now)) > 0 {
		return restoreOverridden(m, w, now)
	}
	return found(w.ready.Judge(&w.got.status, now), now)
}

// errJobDone ends the wait for a job.
var errJobDone = errors.New("the job is done")

// findWorker judges what the provider shows of the worker that did the job. It
// is up for some seconds only: that it shows another revision may be an old read.
func findWorker(m *Machine, w *waiting, now time.Time) finding {
	p, err := m.ledger.Plan, w.got.worker
	late := !now.Before(w.until)
	switch {
	case err == nil:
		return finding{done: true}
	case errors.Is(err, endpoint.ErrDrift):
		w.err = err
	case late && w.err != nil:
		err = w.err
	}
	if late {
		return finding{err: fmt.Errorf("%w: job %q was done by worker %s, which is not known to run %s: %w", ErrCheck, p.Probe, m.task.worker, p.Target, err)}
	}
	return finding{note: err.Error()} // as far as reads show by now
}
