package runpodtest

import (
	"slices"
	"time"
)

// The account's clock stands still between two requests: the next one moves it on
// to now, through everything that was due in between, in
// order. So there are no timers, and a day passes in one step.

// advance moves the clock to now. Time that went backwards (a server made
// outside a synctest bubble and used inside) leaves it where it is.
func (st *State) advance(now time.Time, changed func()) {
	for {
		at, ok := st.nextEvent()
		if !ok || at.After(now) {
			break
		}
		if at.After(st.now) {
			st.now = at
		}
		st.runHooks()
		st.step()
		changed()
	}
	if now.After(st.now) {
		st.now = now
	}
}

// settle lets a change that was just made have its immediate consequences.
func (st *State) settle() {
	st.step()
	for {
		at, ok := st.nextEvent()
		if !ok || at.After(st.now) {
			return
		}
		st.runHooks()
		st.step()
	}
}

func (st *State) step() {
	for _, e := range st.endpoints {
		e.step(st)
	}
}

// runHooks runs what is due, earliest first; a hook may add others.
func (st *State) runHooks() {
	for {
		i := slices.IndexFunc(st.hooks, func(h hook) bool { return !h.at.After(st.now) })
		if i < 0 {
			return
		}
		h := st.hooks[i]
		st.hooks = slices.Delete(st.hooks, i, i+1)
		h.do(st)
	}
}

// schedule keeps hooks in order of time, those of one time in order of arrival.
func (st *State) schedule(at time.Time, do func(*State)) {
	i := slices.IndexFunc(st.hooks, func(h hook) bool { return h.at.After(at) })
	if i < 0 {
		i = len(st.hooks)
	}
	st.hooks = slices.Insert(st.hooks, i, hook{at, do})
}

func (st *State) nextEvent() (time.Time, bool) {
	var next time.Time
	if len(st.hooks) > 0 {
		next = st.hooks[0].at
	}
	for _, e := range st.endpoints {
		next = earliest(next, e.next(st))
	}
	return next, !next.IsZero()
}

// earliest returns the earliest of the times that are not zero.
func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
