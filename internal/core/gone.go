package core

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

// ErrGone means that the endpoint does not exist any more, or another one has its name.
var ErrGone = errors.New("the endpoint is gone")

// goneAfter is how many polls in a row have to say that the endpoint is gone.
const goneAfter = 3

// absence is what says that the endpoint is gone.
type absence struct {
	since time.Time
	polls int // in a row
	last  time.Time
}

// errOldRead: the endpoint shows again, so soon after a poll that said that it is
// gone, or another one, that the read may be the older of the two.
var errOldRead = fmt.Errorf("%w: the endpoint shows again, by a read that may be older than the one that said that it is gone", endpoint.ErrUnavailable)

// goneFor reports whether err is one more poll that says that the endpoint is gone,
// or another one, and whether that is certain by now: it has lasted for longer than
// reads may lag.
func (w *waiting) goneFor(m *Machine, err error, now time.Time) (is, certain bool) {
	var other *mistaken
	is = w.read == OpStatus && (errors.As(err, &other) || errors.Is(err, endpoint.ErrNotFound) && !endpoint.Transient(err))
	if !is || m.task.planning() {
		return false, false
	}
	if m.absence == nil {
		m.absence = &absence{since: now}
	}
	m.absence.polls++
	m.absence.last = now
	return true, m.absence.polls >= goneAfter && !now.Before(m.absence.since.Add(m.settle()))
}

// stopGone leaves the rollout of an endpoint that is gone: nothing is written to
// what may have its name.
func (c *course) stopGone(m *Machine, err error) {
	if t := m.task; t != nil {
		m.emitStep(EventFail, t.step.Name, err.Error())
		if c.step == "" {
			c.step = t.step.Name
		}
	}
	c.stop(m, Gone, c.andThen(err))
	c.ending.Next = "if the endpoint comes back, resume the rollout with the same journal; if not, abandon it"
}

// pausedByAnother judges whether a third party has paused the endpoint in the
// middle of a wait for capacity, which cannot come then. That has to last, and is
// drift: it is on record, and left alone. Where the rollout has written 0 itself,
// a rollback cannot tell the pause from its own, and undoes it.
func pausedByAnother(m *Machine, w *waiting, now time.Time) (f finding, paused bool) {
	j, s, key := m.ledger, &w.got.status, endpoint.WorkersMax
	have, ok := s.Settings[key]
	switch {
	case !ok || have != 0 || s.Phase != endpoint.PhasePaused || j.leaves(key) == 0 ||
		j.moves(key) || j.overrides(key, 0) || now.Before(j.consistentAfter(key)):
		w.paused = time.Time{}
		return finding{}, false
	case j.drifted(key) && j.RollingBack:
		return finding{done: true}, true
	case j.known(key, 0) && j.RollingBack:
		return finding{}, false
	case w.paused.IsZero():
		w.paused = now
	}
	if due := w.paused.Add(m.settle()); now.Before(due) {
		return finding{note: key + " is 0, and the rollout did not set that", due: due}, true
	}
	for _, k := range []string{key, endpoint.WorkersMin} {
		if want, have := j.Plan.Settings[k], s.Settings[k]; want != have && !j.drifted(k) && !j.known(key, 0) {
			m.rec.noteDrift(m, journal.Drift{Thing: k, Want: strconv.Itoa(want), Found: strconv.Itoa(have)})
		}
	}
	if j.RollingBack {
		return finding{done: true}, true
	}
	return finding{err: fmt.Errorf("%w: a third party set %s to 0, so no worker can come up", endpoint.ErrPaused, key)}, true
}

// leaves is the value of a setting that the rollout last wrote, or found.
func (vs *values) leaves(key string) int {
	if w := vs.latest(key); w != nil && w.Value != nil {
		return *w.Value
	}
	v, _ := vs.before(key)
	return v
}

// keptPaused reports whether a setting was found as a third party's pause left it.
func (j *Ledger) keptPaused(key string) bool {
	if key != endpoint.WorkersMax && key != endpoint.WorkersMin {
		return false
	}
	for _, d := range j.Drift {
		if d.Thing == endpoint.WorkersMax && d.Found == "0" {
			return j.drifted(key)
		}
	}
	return false
}
