package runpodtest

import (
	"slices"
	"time"
)

type jobState string

const (
	inQueue    jobState = "IN_QUEUE"
	inProgress jobState = "IN_PROGRESS"
	completed  jobState = "COMPLETED"
	failed     jobState = "FAILED"
	cancelled  jobState = "CANCELLED"
)

// How long the result of a job can be asked for, that came by run and by runsync.
const (
	keepResult     = 30 * time.Minute
	keepSyncResult = time.Minute
)

type job struct {
	id       string
	state    jobState
	sync     bool // by runsync
	takes    time.Duration
	worker   string
	retries  int
	queuedAt time.Time
	beganAt  time.Time
	doneAt   time.Time
}

func (e *endpoint) enqueue(st *State, takes time.Duration) *job {
	j := &job{
		id:    st.newID(8) + "-" + st.newID(4) + "-" + st.newID(4) + "-" + st.newID(4) + "-" + st.newID(12) + "-u1",
		state: inQueue, takes: takes, queuedAt: st.now,
	}
	e.jobs = append(e.jobs, j)
	e.busyAt = st.now
	return j
}

func (e *endpoint) job(id string) *job {
	if i := slices.IndexFunc(e.jobs, func(j *job) bool { return j.id == id }); i >= 0 {
		return e.jobs[i]
	}
	return nil
}

// dispatch hands queued jobs to idle workers, to stale ones only if there is
// no other.
func (e *endpoint) dispatch(st *State) {
	idle := e.filter(Idle)
	slices.SortStableFunc(idle, func(a, b *worker) int {
		switch {
		case e.stale(a) == e.stale(b):
			return 0
		case e.stale(a):
			return 1
		}
		return -1
	})
	for _, j := range e.jobs {
		if j.state != inQueue {
			continue
		}
		if len(idle) == 0 {
			return
		}
		w := idle[0]
		idle = idle[1:]
		badAt := w.badAt
		w.enter(st, Running, st.now.Add(j.takes))
		w.badAt, w.Job = badAt, j.id
		j.state, j.worker, j.beganAt = inProgress, w.ID, st.now
	}
}

// purge drops the queue and returns how long it was.
func (e *endpoint) purge() int {
	before := len(e.jobs)
	e.jobs = slices.DeleteFunc(e.jobs, func(j *job) bool { return j.state == inQueue })
	return before - len(e.jobs)
}

// cancel takes a job back, from the queue or from its worker.
func (e *endpoint) cancel(st *State, j *job) {
	for _, w := range e.workers {
		if j.state == inProgress && w.Job == j.id {
			e.leaveJob(st, w)
		}
	}
	if j.state == inQueue || j.state == inProgress {
		j.state, j.doneAt = cancelled, st.now
	}
}

func (e *endpoint) expireJobs(st *State) {
	e.jobs = slices.DeleteFunc(e.jobs, func(j *job) bool { return j.expired(st.now) })
}

func (j *job) expired(now time.Time) bool {
	keep := keepResult
	if j.sync {
		keep = keepSyncResult
	}
	return !j.doneAt.IsZero() && now.Sub(j.doneAt) >= keep
}

func (e *endpoint) jobCounts() JobCounts {
	c := e.counts
	for _, j := range e.jobs {
		switch j.state {
		case inQueue:
			c.InQueue++
		case inProgress:
			c.InProgress++
		case completed, failed, cancelled:
		}
	}
	return c
}
