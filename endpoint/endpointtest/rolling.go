package endpointtest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// workers is the machine of [Workers].
type workers struct {
	WorkersState
	epoch, now        time.Time
	tick, start, idle time.Duration
	scaleDown         time.Duration
	lowered           time.Time // when fewer workers were asked for, last
	failing           time.Time // since when workers have done nothing but fail; zero if they do not
	begun             int       // workers
	fates             *fates
}

func (m *workers) clone() *workers {
	c := *m
	c.Templates, c.Workers, c.Queue = maps.Clone(m.Templates), slices.Clone(m.Workers), slices.Clone(m.Queue)
	return &c
}

func (m *workers) live() endpoint.Revision { return template(m.Live, m.Templates[m.Live]) }

func (m *workers) stale(w Worker) bool { return w.Runs != m.live() || w.Version != m.Version }

// find returns a template as it is.
func (m *workers) find(id string) (endpoint.Revision, error) {
	artifact, ok := m.Templates[id]
	if !ok {
		return endpoint.Revision{}, fmt.Errorf("template %q: %w", id, endpoint.ErrNotFound)
	}
	return template(id, artifact), nil
}

// update links a template, whatever it holds by now, or gives the one that is
// linked another artifact.
func (m *workers) update(to endpoint.Revision) error {
	have, err := m.find(to.ID)
	switch {
	case to.Kind != kindTemplate:
		return fmt.Errorf("revision of kind %q: %w", to.Kind, endpoint.ErrInvalid)
	case err != nil:
		return err
	case to.ID != m.Live:
		m.Live = to.ID
		m.Version++
	case to.Artifact != "" && to.Artifact != have.Artifact:
		if to.Digest != "" && to.Digest != template(to.ID, to.Artifact).Digest {
			return fmt.Errorf("template %s would not become %s: %w", to.ID, to.Digest, endpoint.ErrDrift)
		}
		m.Templates[m.Live] = to.Artifact
		m.Version++
	}
	return nil
}

func (m *workers) set(key string, value int) error {
	switch {
	case key != endpoint.WorkersMin && key != endpoint.WorkersMax || value < 0:
		return fmt.Errorf("%s=%d: %w", key, value, endpoint.ErrInvalid)
	case key == endpoint.WorkersMin && value > m.Max:
		return fmt.Errorf("min %d is above max %d: %w", value, m.Max, endpoint.ErrInvalid)
	case key == endpoint.WorkersMax && value < m.Min:
		return fmt.Errorf("max %d is below min %d: %w", value, m.Min, endpoint.ErrInvalid)
	case key == endpoint.WorkersMax && value > m.Max && m.Quota > 0 && value > m.Quota:
		return fmt.Errorf("lower the max worker count to at most %d: %w", m.Quota, endpoint.ErrQuota)
	case key == endpoint.WorkersMax:
		m.Max = value
		return nil
	}
	if value < m.Min {
		m.lowered = m.now
	}
	m.Min = value
	return nil
}

func (m *workers) busy() int {
	n := 0
	for _, w := range m.Workers {
		if !w.Busy.IsZero() {
			n++
		}
	}
	return n
}

// wanted is how many workers the service wants: as many as there is work for,
// within the bounds.
func (m *workers) wanted() int { return min(m.Max, max(m.Min, m.busy()+len(m.Queue))) }

// next is the first of: a worker comes up or fails, a job ends, a tick on
// which the service has something to do.
func (m *workers) next() (time.Time, bool) {
	var first time.Time
	sooner := func(t time.Time) {
		if first.IsZero() || t.Before(first) {
			first = t
		}
	}
	for _, w := range m.Workers {
		if m.starting(w) && m.fates.of[w.Runs.Artifact] != stalls {
			sooner(w.Started.Add(m.start))
		}
		if !w.Busy.IsZero() {
			sooner(w.Busy)
		}
	}
	if m.scaleDown > 0 && !m.failing.IsZero() && m.Max > 0 {
		sooner(m.failing.Add(m.scaleDown))
	}
	if t, ok := m.due(); ok {
		past := t.Sub(m.epoch)
		if rest := past % m.tick; rest != 0 {
			past += m.tick - rest
		}
		if t = m.epoch.Add(past); !t.After(m.now) {
			t = m.now.Add(m.tick - m.now.Sub(m.epoch)%m.tick)
		}
		sooner(t)
	}
	return first, !first.IsZero()
}

// begin adds a worker of what is live.
func (m *workers) begin(w Worker) {
	m.begun++
	w.ID, w.Runs, w.Version = "w"+strconv.Itoa(m.begun), m.live(), m.Version
	m.Workers = append(m.Workers, w)
}

func (m *workers) starting(w Worker) bool { return !w.Up && !w.Unhealthy }

// due is the time from which on a tick would change something.
func (m *workers) due() (at time.Time, ok bool) {
	if len(m.Workers) < m.wanted() {
		return m.now, true
	}
	staying := m.staying()
	for _, w := range m.Workers {
		if w.Stuck || w.Leaving {
			continue
		}
		if m.stale(w) || staying > m.Max {
			return m.now, true
		}
		if t := m.spareFrom(w); staying > m.wanted() && !t.IsZero() && (!ok || t.Before(at)) {
			at, ok = t, true
		}
	}
	return at, ok
}

// spareFrom is when a worker that is not asked for has idled long enough to be
// stopped; zero if it does not idle.
func (m *workers) spareFrom(w Worker) time.Time {
	if m.starting(w) || !w.Busy.IsZero() {
		return time.Time{}
	}
	from := w.Idle
	if m.lowered.After(from) {
		from = m.lowered
	}
	return from.Add(m.idle)
}

// step lets workers come up and end their jobs, hands out jobs, and, on a
// tick, lets the service go over its workers.
func (m *workers) step(at time.Time) {
	ticked := at.After(m.now) && at.Sub(m.epoch)%m.tick == 0
	m.now = at
	for i := range m.Workers {
		w := &m.Workers[i]
		if m.starting(*w) && !at.Before(w.Started.Add(m.start)) {
			switch m.fates.of[w.Runs.Artifact] {
			case succeeds:
				w.Up, w.Idle = true, at
			case stalls:
			case fails, breaks, mixes:
				w.Unhealthy, w.Idle = true, at
			}
		}
		if !w.Busy.IsZero() && !at.Before(w.Busy) {
			w.Busy, w.Idle = time.Time{}, at
		}
	}
	m.Workers = slices.DeleteFunc(m.Workers, func(w Worker) bool { return w.Leaving && w.Busy.IsZero() && !w.Stuck })
	m.giveUp()
	if ticked {
		m.goOver()
	}
	m.handOut()
}

// giveUp lets the service scale down for good what does nothing but fail.
func (m *workers) giveUp() {
	up := slices.ContainsFunc(m.Workers, func(w Worker) bool { return w.Up })
	switch {
	case up || !slices.ContainsFunc(m.Workers, func(w Worker) bool { return w.Unhealthy }):
		m.failing = time.Time{}
	case m.failing.IsZero():
		m.failing = m.now
	}
	if m.scaleDown > 0 && !m.failing.IsZero() && !m.now.Before(m.failing.Add(m.scaleDown)) && m.Max > 0 {
		m.Min, m.Max, m.lowered = 0, 0, m.now
	}
}

// goOver is one tick.
func (m *workers) goOver() {
	m.stop(m.Max, func(Worker) bool { return true })
	if i := slices.IndexFunc(m.Workers, func(w Worker) bool { return m.stale(w) && !w.Leaving && !w.Stuck }); i >= 0 {
		m.leave(i)
	}
	for len(m.Workers) < m.wanted() {
		started := m.now
		if m.NoCapacity.After(started) {
			started = m.NoCapacity
		}
		m.begin(Worker{Started: started})
	}
	m.stop(m.wanted(), func(w Worker) bool {
		t := m.spareFrom(w)
		return !t.IsZero() && !t.After(m.now)
	})
}

// stop stops those of the workers beyond keep that which picks, newest first.
func (m *workers) stop(keep int, which func(Worker) bool) {
	n := m.staying() - keep
	for i := len(m.Workers) - 1; i >= 0 && n > 0; i-- {
		if w := m.Workers[i]; !w.Leaving && !w.Stuck && which(w) {
			m.leave(i)
			n--
		}
	}
}

// staying is how many workers are not on their way out.
func (m *workers) staying() int {
	n := 0
	for _, w := range m.Workers {
		if !w.Leaving {
			n++
		}
	}
	return n
}

// leave stops a worker, or has it stop when its job has ended.
func (m *workers) leave(i int) {
	if m.Workers[i].Busy.IsZero() {
		m.Workers = slices.Delete(m.Workers, i, i+1)
		return
	}
	m.Workers[i].Leaving = true
}

// handOut gives waiting jobs to idle workers, to those on the live revision first.
func (m *workers) handOut() {
	for _, stale := range []bool{false, true} {
		for i := range m.Workers {
			w := &m.Workers[i]
			if len(m.Queue) > 0 && m.Max > 0 && w.Up && !w.Leaving && w.Busy.IsZero() && m.stale(*w) == stale {
				w.Busy = m.now.Add(m.Queue[0])
				m.Queue = m.Queue[1:]
			}
		}
	}
}

func (m *workers) status() endpoint.Status {
	live := m.live()
	pool := endpoint.Pool{Name: "workers"}
	mixed := false
	for _, w := range m.Workers {
		mixed = mixed || w.Runs != m.Workers[0].Runs || w.Version != m.Workers[0].Version
		switch {
		case m.stale(w):
			pool.Stale++
		case w.Unhealthy:
			pool.Unhealthy++
		case w.Up:
			pool.Ready++
		case w.Started.After(m.now):
			pool.Throttled++
		default:
			pool.Starting++
		}
	}
	s := endpoint.Status{
		Desired: live, Mixed: mixed, Generation: strconv.Itoa(m.Version),
		Settings: endpoint.Settings{endpoint.WorkersMin: m.Min, endpoint.WorkersMax: m.Max},
		Pools:    []endpoint.Pool{pool},
	}
	enough := m.Min
	if len(m.Workers) > 0 {
		enough = max(enough, 1)
	}
	if pool.Ready > 0 && pool.Stale == 0 {
		s.Serving = live
	}
	switch {
	case m.Max == 0:
		s.Phase = endpoint.PhasePaused
	case pool.Stale > 0:
		s.Phase = endpoint.PhaseUpdating
	case pool.Unhealthy > 0:
		s.Phase = endpoint.PhaseDegraded
	case pool.Ready >= enough:
		s.Phase = endpoint.PhaseReady
	default:
		s.Phase = endpoint.PhaseScaling
	}
	for _, w := range m.Workers {
		if w.Unhealthy {
			s.Reason = m.fates.reasons[w.Runs.Artifact]
		}
	}
	if m.scaleDown > 0 && m.Max > 0 && pool.Unhealthy > 0 && pool.Ready == 0 {
		s.ProviderOverrides = endpoint.Settings{endpoint.WorkersMin: 0, endpoint.WorkersMax: 0}
	}
	return s
}
