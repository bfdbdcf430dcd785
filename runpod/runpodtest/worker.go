package runpodtest

import (
	"slices"
	"time"
)

// crashPeriod is how often a worker in a crash loop restarts.
const crashPeriod = 20 * time.Second

// newWorker adds a worker of the current release, in no state yet.
func (e *endpoint) newWorker(st *State) *worker {
	w := &worker{Worker: Worker{
		ID: st.newID(14), MachineID: st.newID(12),
		Image: st.imageOf(e.TemplateID), TemplateID: e.TemplateID, Version: e.Version, Since: st.now,
	}}
	e.workers = append(e.workers, w)
	return w
}

func (w *worker) enter(st *State, s WorkerState, until time.Time) {
	if s == Initializing || w.startedOnce.IsZero() {
		w.startedOnce = st.now
	}
	w.State, w.Since, w.until, w.badAt = s, st.now, until, time.Time{}
}

// boot starts a worker: a warm one if there is, as soon as there is a host.
func (e *endpoint) boot(st *State) {
	var w *worker
	for _, s := range e.filter(Standby) {
		if !e.stale(s) {
			w = s
		}
	}
	if w == nil {
		w = e.newWorker(st)
	}
	if e.throttledUntil.After(st.now) {
		w.enter(st, Throttled, e.throttledUntil)
		return
	}
	e.initialize(st, w)
}

func (e *endpoint) initialize(st *State, w *worker) {
	img, known := st.images[w.Image]
	if !known || img.Fault == NeverStarts {
		w.enter(st, Initializing, time.Time{})
		return
	}
	d := img.Start
	if !e.cached[w.Image] {
		d += img.Pull
	}
	w.enter(st, Initializing, st.now.Add(d))
}

// ready is the end of initializing.
func (e *endpoint) ready(st *State, w *worker) {
	e.cached[w.Image] = true
	img := st.images[w.Image]
	if img.Fault == TurnsUnhealthy || img.Fault == CrashLoops {
		if img.After == 0 {
			e.turnBad(st, w)
			return
		}
		w.enter(st, Idle, time.Time{})
		w.badAt = st.now.Add(img.After)
		return
	}
	if img.Fault == Flaps {
		w.flaps = orDefault(img.After, 5*time.Second)
	}
	w.enter(st, Idle, time.Time{})
}

// turnBad lets the image's fault show. A job that was running goes back to the
// head of the queue.
func (e *endpoint) turnBad(st *State, w *worker) {
	if j := e.job(w.Job); j != nil {
		j.state, j.worker = inQueue, ""
		j.retries++
		e.counts.Retried++
	}
	w.Job = ""
	state := Unhealthy
	if st.images[w.Image].Fault == CrashLoops {
		state = Crashing
	}
	w.enter(st, state, time.Time{})
}

// stop tells a worker to go.
func (e *endpoint) stop(st *State, w *worker) {
	if w.State == Standby {
		e.bury(st, w)
		return
	}
	w.enter(st, Stopping, st.now.Add(st.Behaviour.terminate()))
}

// bury ends a worker: listed for a while, if that is switched on.
func (e *endpoint) bury(st *State, w *worker) {
	if st.Behaviour.ShowGone > 0 {
		w.enter(st, Gone, st.now.Add(st.Behaviour.ShowGone))
		return
	}
	e.workers = slices.DeleteFunc(e.workers, func(o *worker) bool { return o == w })
}

// transitions carries out what was due by now for each worker.
func (e *endpoint) transitions(st *State) {
	for _, w := range slices.Clone(e.workers) {
		if due(w.badAt, st.now) && !(due(w.until, st.now) && w.State == Running) {
			e.turnBad(st, w)
			continue
		}
		if !due(w.until, st.now) {
			continue
		}
		switch w.State {
		case Throttled:
			e.initialize(st, w)
		case Initializing:
			e.ready(st, w)
		case Running:
			e.finish(st, w)
		case Stopping:
			e.bury(st, w)
		case Gone:
			e.workers = slices.DeleteFunc(e.workers, func(o *worker) bool { return o == w })
		case Idle, Unhealthy, Crashing, Standby: // end by a decision only
		}
	}
}

// finish ends a worker's job.
func (e *endpoint) finish(st *State, w *worker) {
	if j := e.job(w.Job); j != nil {
		j.doneAt = st.now
		j.state = completed
		if st.images[w.Image].Fault == FailsJobs {
			j.state = failed
			e.counts.Failed++
		} else {
			e.counts.Completed++
		}
	}
	e.leaveJob(st, w)
}

// leaveJob makes a worker idle again. That is when a stale or surplus one goes.
func (e *endpoint) leaveJob(st *State, w *worker) {
	badAt := w.badAt
	w.Job = ""
	w.enter(st, Idle, time.Time{})
	w.badAt = badAt
	if len(e.live()) > e.WorkersMax || e.stale(w) && !e.stuck(st, w) {
		e.stop(st, w)
	}
}

// lastStatusChange is the prose that pods have for it.
func (w *worker) lastStatusChange(now time.Time) string {
	at := w.Since
	if w.State == Crashing {
		at = at.Add(now.Sub(at) / crashPeriod * crashPeriod)
	}
	return "Rented by User: " + at.UTC().Format("Mon Jan 02 2006 15:04:05 GMT-0700 (MST)")
}

func (w *worker) desiredStatus() string {
	switch w.State {
	case Standby:
		return "EXITED"
	case Gone:
		return "TERMINATED"
	case Throttled, Initializing, Idle, Running, Unhealthy, Crashing, Stopping:
	}
	return "RUNNING"
}

func due(t, now time.Time) bool { return !t.IsZero() && !t.After(now) }
