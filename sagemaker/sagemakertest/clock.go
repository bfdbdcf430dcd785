package sagemakertest

import (
	"maps"
	"slices"
	"time"
)

// The account's clock stands still between two calls: the
// first one moves it on to now, through everything that was due in between, in
// order. So there are no timers, and a day passes in one step.

// advance moves the clock to now. Time that went backwards (a server made
// outside a synctest bubble and used inside) leaves it where it is.
func (a *account) advance(now time.Time) {
	for {
		at, ok := a.next()
		if !ok || at.After(now) {
			break
		}
		a.tick(at)
	}
	if now.After(a.now) {
		a.now = now
	}
}

// tick moves the clock to a time at which something is due, and does it.
func (a *account) tick(at time.Time) {
	moved := at.After(a.now)
	if moved {
		a.now = at
	}
	a.runHooks()
	a.settle()
	if moved {
		a.autoscale()
	}
	a.settle()
}

// settle lets what is due now, or follows from what was just done, happen.
func (a *account) settle() {
	a.runSchedules()
	for _, name := range slices.Sorted(maps.Keys(a.endpoints)) {
		a.step(a.endpoints[name])
	}
	for _, name := range slices.Sorted(maps.Keys(a.comps)) {
		a.stepComponent(a.comps[name])
	}
	a.clamp()
}

// underway is what is in progress, or not to be found yet, in an account.
type underway struct {
	jobs    map[*endpoint]*job
	configs map[*config]bool
	targets map[*target]bool
	comps   map[*component]*componentJob
}

func (a *account) underway() underway {
	u := underway{map[*endpoint]*job{}, map[*config]bool{}, map[*target]bool{}, map[*component]*componentJob{}}
	for _, c := range a.comps {
		u.comps[c] = c.job
	}
	for _, e := range a.endpoints {
		u.jobs[e] = e.job
	}
	for _, c := range a.configs {
		u.configs[c] = true
	}
	for _, t := range a.targets {
		u.targets[t] = true
	}
	return u
}

// finish ends at once what came up since, as if that had been an hour ago, in
// the way in which it has to end. What stalls goes on.
func (a *account) finish(since underway) {
	now := a.now
	a.now = now.Add(-time.Hour)
	for _, e := range a.endpoints {
		was, known := since.jobs[e]
		if e.job == nil || e.job == was {
			continue
		}
		if !known {
			e.created = a.now
		}
		if e.job.kind != scaling {
			e.updated = a.now
		}
		e.modified, e.job.started, e.job.since = a.now, a.now, a.now
		if !e.job.deadline.IsZero() {
			e.job.deadline = e.job.deadline.Add(-time.Hour)
		}
		for e.job != nil && !e.job.until.IsZero() {
			a.turn(e)
		}
	}
	a.finishComponents(since)
	a.now = now
	for _, c := range a.configs {
		if !since.configs[c] {
			c.ready = a.now
		}
	}
	for _, t := range a.targets {
		if !since.targets[t] {
			t.ready = a.now
		}
	}
}

// finishComponents is finish for inference components.
func (a *account) finishComponents(since underway) {
	for _, name := range slices.Sorted(maps.Keys(a.comps)) {
		c := a.comps[name]
		was, known := since.comps[c]
		if c.job == nil || c.job == was {
			continue
		}
		if !known {
			c.created = a.now
		}
		c.modified = a.now
		for c.job != nil && !c.job.until.IsZero() {
			a.turnComponent(c)
		}
	}
}

// runHooks runs what is due, earliest first; a hook may add others.
func (a *account) runHooks() {
	for len(a.hooks) > 0 && !a.hooks[0].at.After(a.now) {
		h := a.hooks[0]
		a.hooks = a.hooks[1:]
		h.do()
	}
}

// schedule keeps hooks in order of time, those of one time in order of arrival.
func (a *account) schedule(at time.Time, do func()) {
	i := slices.IndexFunc(a.hooks, func(h hook) bool { return h.at.After(at) })
	if i < 0 {
		i = len(a.hooks)
	}
	a.hooks = slices.Insert(slices.Clone(a.hooks), i, hook{at, do})
}

// next is when something is due next.
func (a *account) next() (time.Time, bool) {
	var due []time.Time
	if len(a.hooks) > 0 {
		due = append(due, a.hooks[0].at)
	}
	for _, e := range a.endpoints {
		due = append(due, e.due()...)
	}
	for _, c := range a.comps {
		due = append(due, c.due()...)
	}
	for _, t := range a.targets {
		for _, s := range t.schedules {
			due = append(due, s.next)
		}
	}
	due = append(due, a.nextMove())
	due = slices.DeleteFunc(due, time.Time.IsZero)
	if len(due) == 0 {
		return time.Time{}, false
	}
	return slices.MinFunc(due, time.Time.Compare), true
}
