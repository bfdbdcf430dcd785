package runpodtest

import (
	"slices"
	"time"
)

const (
	idleCutAfter   = 3 * 24 * time.Hour // then the platform sets the maximum to 2
	idlePauseAfter = 7 * 24 * time.Hour // then to 0
)

// step does everything that is due by now. Afterwards next is later than now,
// or another step gets further.
func (e *endpoint) step(st *State) {
	e.transitions(st)
	e.autopilot(st)
	e.capToMax(st)
	e.roll(st)
	e.dispatch(st)
	e.scaleIn(st)
	e.scaleOut(st)
	e.expireJobs(st)
	e.noteBad(st)
}

// next is when something is going to happen without another write; zero: never.
func (e *endpoint) next(st *State) time.Time {
	var next time.Time
	for _, w := range e.workers {
		next = earliest(next, w.until, w.badAt)
	}
	next = earliest(next, e.rollAt)
	for _, w := range e.surplus(st) {
		next = earliest(next, e.idleUntil(w))
	}
	if !st.Behaviour.NoIdleScaleDown && e.WorkersMax > 0 {
		next = earliest(next, e.busyAt.Add(idlePauseAfter))
		if e.WorkersMax > 2 {
			next = earliest(next, e.busyAt.Add(idleCutAfter))
		}
	}
	if d := st.Behaviour.CrashScaleDown; d > 0 && !e.badSince.IsZero() && e.WorkersMax > 0 {
		next = earliest(next, e.badSince.Add(d))
	}
	return next
}

// autopilot is the platform changing the bounds by itself.
func (e *endpoint) autopilot(st *State) {
	limit := e.WorkersMax
	if !st.Behaviour.NoIdleScaleDown {
		if due(e.busyAt.Add(idleCutAfter), st.now) {
			limit = min(limit, 2)
		}
		if due(e.busyAt.Add(idlePauseAfter), st.now) {
			limit = 0
		}
	}
	if d := st.Behaviour.CrashScaleDown; d > 0 && !e.badSince.IsZero() && due(e.badSince.Add(d), st.now) {
		limit = 0
	}
	if limit < e.WorkersMax {
		e.WorkersMax, e.WorkersMin = limit, min(limit, e.WorkersMin)
	}
}

// capToMax stops workers above the maximum, newest first; those on a job go
// when it is done. A paused endpoint keeps nothing warm.
func (e *endpoint) capToMax(st *State) {
	over := len(e.live()) - e.WorkersMax
	for _, w := range slices.Backward(e.live()) {
		if over > 0 && w.State != Running {
			e.stop(st, w)
			over--
		}
	}
	if e.WorkersMax == 0 {
		for _, w := range e.filter(Standby) {
			e.stop(st, w)
		}
	}
}

// roll replaces stale workers, those that do not serve first, at the pace of
// the tick. Those on a job go when it is done.
func (e *endpoint) roll(st *State) {
	if !due(e.rollAt, st.now) {
		return
	}
	e.rollAt = time.Time{}
	for _, w := range e.filter(Standby) {
		if e.stale(w) {
			e.stop(st, w)
		}
	}
	left := max(1, (e.WorkersMax+9)/10)
	for _, w := range append(e.filter(Throttled, Initializing, Unhealthy, Crashing), e.filter(Idle, Running)...) {
		switch {
		case !e.stale(w):
		case left > 0 && w.State != Running && !e.stuck(st, w):
			e.stop(st, w)
			left--
		default:
			e.rollAt = st.now.Add(st.Behaviour.tick())
		}
	}
}

// active are the workers that the minimum keeps up: current ones rather than
// stale ones, older ones rather than younger ones.
func (e *endpoint) active(st *State) []*worker {
	live := e.live()
	if !st.Behaviour.StuckActive {
		slices.SortStableFunc(live, func(a, b *worker) int {
			switch {
			case e.stale(a) == e.stale(b):
				return 0
			case e.stale(a):
				return 1
			}
			return -1
		})
	}
	return live[:min(len(live), e.WorkersMin)]
}

// stuck reports whether the worker sits in an active slot that never recycles.
func (e *endpoint) stuck(st *State, w *worker) bool {
	return st.Behaviour.StuckActive && slices.Contains(e.active(st), w)
}

// surplus are the idle workers above the minimum.
func (e *endpoint) surplus(st *State) []*worker {
	idle := e.filter(Idle)
	if len(idle) == 0 {
		return nil
	}
	active := e.active(st)
	return slices.DeleteFunc(idle, func(w *worker) bool { return slices.Contains(active, w) })
}

func (e *endpoint) idleUntil(w *worker) time.Time {
	return latest(w.Since, e.minLoweredAt).Add(time.Duration(e.IdleTimeout) * time.Second)
}

func (e *endpoint) scaleIn(st *State) {
	for _, w := range e.surplus(st) {
		if !due(e.idleUntil(w), st.now) {
			continue
		}
		if st.Behaviour.NoStandby || e.stale(w) || len(e.filter(Standby)) >= e.WorkersStandby {
			e.stop(st, w)
			continue
		}
		w.enter(st, Standby, time.Time{})
	}
}

// scaleOut starts the workers that the minimum and the jobs ask for. A worker
// that is going holds its slot until it is gone.
func (e *endpoint) scaleOut(st *State) {
	n := e.jobCounts()
	want := min(max(e.WorkersMin, n.InQueue+n.InProgress), e.WorkersMax)
	live := len(e.live())
	for slots := e.WorkersMax - len(e.filter(Stopping)); live < min(want, slots); live++ {
		e.boot(st)
	}
}

func (e *endpoint) noteBad(st *State) {
	switch {
	case len(e.filter(Unhealthy, Crashing)) == 0 || len(e.filter(Idle, Running)) > 0:
		e.badSince = time.Time{}
	case e.badSince.IsZero():
		e.badSince = st.now
	}
}
