package rollouttest

import (
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

// The abstract endpoint of an exploration: a value that any state can be copied
// of. It takes one write at a time, takes capacity up and down, and may do
// everything that the package endpoint allows a provider to do. Its time is
// whole seconds.

// The values of the revision: an index of [model.revision].
const (
	source = iota
	target
	foreignRevision
	canaryRevision      // source and target side by side
	nothing        = -1 // no capacity runs
)

// The values of autoscaling, and of the draft.
const (
	scalingBefore = iota
	scalingSuspended
	scalingForeign

	draftAbsent = 0
	draftStaged = 1
)

// cell is one thing with what reads may still show of it.
type cell struct {
	value int
	// old are values that it had, each with the time until which a read may show
	// it, which is the settle time after the write that ended it was over.
	old []oldValue
	// foreign is true if a third party set the value, imposed if a third party or
	// the provider did, and seenBy has a bit for each runner to which a read that
	// was not stale has shown it since.
	foreign, imposed bool
	seenBy           uint16
	since            int // when it got the value
}

type oldValue struct{ value, until int }

// stale is the oldest value that a read at the time now may show.
func (c *cell) stale(now int) int {
	for _, o := range c.old {
		if o.until > now {
			return o.value
		}
	}
	return c.value
}

// set gives it a value. Reads may show the one before until sure.
func (c *cell) set(value, now, sure int) {
	if c.value != value && sure > now {
		c.old = append(slices.Clip(c.old), oldValue{c.value, sure})
	}
	if c.value != value {
		c.since = now
	}
	c.value, c.foreign, c.imposed = value, false, false
}

// impose marks the value as not of the rollout.
func (c *cell) impose() { c.imposed, c.seenBy = true, 0 }

// seen reports whether the value is the rollout's, or was shown to the runner.
func (c *cell) seen(runner uint16) bool { return !c.imposed || c.seenBy&runner != 0 }

func (c *cell) prune(now int) {
	for len(c.old) > 0 && c.old[0].until <= now {
		c.old = c.old[1:]
	}
}

// flight is a write that is under way: it takes effect at a time, and reads show
// that no later than sure.
type flight struct {
	thing, value, lands, sure int
	// unrecorded is true if the journal could not be written any more. Such a
	// write only restores what the journal has as the value of before.
	unrecorded bool
}

// health is what becomes of the target.
type health int

const (
	healthy   health = iota
	stuck            // it never comes up
	unhealthy        // it comes up and is unhealthy
	reverted         // the provider goes back when it should come up
	scaledIn         // it is unhealthy, and the provider takes capacity away
)

// The things of the model, by index. The settings follow.
const (
	thingRevision = iota
	thingDraft
	thingScaling
	thingCanary // the draft of the canary
	thingShare
	thingSetting
)

type model struct {
	*shape

	cells   [thingSetting + 2]cell
	running cell // the revision that the capacity runs
	arrives int  // when the capacity is what it has to be; 0 if it is
	health  health
	changes cell // the provider's own counter
	flights []flight
}

// shape is what does not change: settings, their values, and abilities.
type shape struct {
	workers   bool     // it has worker bounds, and no autoscaling
	settings  []string // their keys
	before    []int    // their values
	foreign   []int    // what a third party sets them to
	revisions [4]endpoint.Revision
	name      string
	settle    int
}

const comesUp = 2 // seconds that capacity takes to come up

func newModel(s *shape) model {
	m := model{shape: s}
	for i, v := range s.before {
		m.cells[thingSetting+i].value = v
	}
	return m
}

// clone returns a copy. Its slices are only ever appended to by copying.
func (m *model) clone() model { return *m }

// thing is the index of a thing by its name.
func (m *model) thing(name string) int {
	switch name {
	case journal.ThingRevision:
		return thingRevision
	case journal.ThingDraft:
		return thingDraft
	case journal.ThingAutoscaling:
		return thingScaling
	case journal.ThingCanary:
		return thingCanary
	case journal.ThingShare:
		return thingShare
	}
	for i, key := range m.settings {
		if key == name {
			return thingSetting + i
		}
	}
	return -1
}

func (m *model) thingName(i int) string {
	switch i {
	case thingRevision:
		return journal.ThingRevision
	case thingDraft:
		return journal.ThingDraft
	case thingScaling:
		return journal.ThingAutoscaling
	case thingCanary:
		return journal.ThingCanary
	case thingShare:
		return journal.ThingShare
	}
	return m.settings[i-thingSetting]
}

// pass lets everything happen that is due up to the time to.
func (m *model) pass(to int) {
	for {
		next, what := to+1, -1
		for i, f := range m.flights {
			if f.lands < next {
				next, what = f.lands, i
			}
		}
		if m.arrives != 0 && m.arrives < next {
			m.arrive(m.arrives)
			continue
		}
		if what < 0 {
			break
		}
		f := m.flights[what]
		rest := append([]flight(nil), m.flights[:what]...)
		m.flights = append(rest, m.flights[what+1:]...)
		if m.refuses(f.thing, f.value) == nil {
			m.apply(f.thing, f.value, f.lands, f.sure)
		}
	}
	for i := range m.cells {
		m.cells[i].prune(to)
	}
	m.running.prune(to)
	m.changes.prune(to)
}

// refuses is the provider's answer to a write that it does not take.
func (m *model) refuses(thing, value int) error {
	busy := !m.workers && m.arrives != 0
	switch {
	case busy && (thing == thingRevision || thing >= thingShare):
		return endpoint.ErrBusy
	case thing == thingShare && m.cells[thingRevision].value != canaryRevision:
		return endpoint.ErrInvalid
	case thing == thingRevision && value == canaryRevision && m.cells[thingCanary].value == draftAbsent:
		return endpoint.ErrNotFound
	case thing == thingRevision && value == target && m.revisions[target].ID != "" && m.drafts() && m.cells[thingDraft].value == draftAbsent:
		return endpoint.ErrNotFound
	case m.workers && thing >= thingSetting:
		least, most := m.cells[thingSetting].value, m.cells[thingSetting+1].value
		if thing == thingSetting {
			least = value
		} else {
			most = value
		}
		if least > most {
			return endpoint.ErrInvalid
		}
	}
	return nil
}

// drafts reports whether the target is made by the rollout.
func (m *model) drafts() bool { return m.revisions[target].Digest == drafted }

// drafted marks a target that exists once it is staged.
const drafted = "drafted"

// apply makes a write take effect.
func (m *model) apply(thing, value, now, sure int) {
	if m.cells[thing].foreign && m.cells[thing].value == value {
		return // it stays a third party's
	}
	m.cells[thing].set(value, now, sure)
	switch thing {
	case thingRevision:
		m.changes.set(m.changes.value+1, now, sure)
		m.cells[thingShare].set(0, now, now) // which a canary begins with
	case thingDraft, thingScaling, thingCanary, thingShare:
		return
	}
	m.turn(now)
}

// turn begins to bring the capacity to what it has to be.
func (m *model) turn(now int) {
	if want := m.wanted(); want == m.running.value {
		m.arrives = 0
	} else if m.arrives == 0 || m.workers {
		m.arrives = now + comesUp
		if want == nothing {
			m.arrives = now + 1
		}
	}
}

// wanted is the revision that capacity has to run.
func (m *model) wanted() int {
	if m.workers && m.cells[thingSetting+1].value == 0 {
		return nothing
	}
	return m.cells[thingRevision].value
}

// arrive is when the capacity has come up, or what else becomes of it.
func (m *model) arrive(now int) {
	m.arrives = 0
	want := m.wanted()
	if want == target || want == canaryRevision {
		switch m.health {
		case stuck:
			m.arrives = now + 1000000 // not in the time of any step
			return
		case reverted:
			m.goBack(now)
			return
		case scaledIn:
			m.cells[thingSetting].set(0, now, now+m.settle)
			m.cells[thingSetting].impose()
		case healthy, unhealthy:
		}
	}
	m.running.set(want, now, now+m.settle)
}

// goBack is the provider's own rollback.
func (m *model) goBack(now int) {
	m.cells[thingRevision].set(source, now, now+m.settle)
	m.running.set(source, now, now+m.settle)
	m.changes.set(m.changes.value+1, now, now+m.settle)
	m.cells[thingRevision].impose()
	m.arrives = 0
}

// status is what a read shows.
func (m *model) status(now int, stale bool) endpoint.Status {
	value := func(c *cell) int {
		if stale {
			return c.stale(now)
		}
		return c.value
	}
	desired, running := value(&m.cells[thingRevision]), value(&m.running)
	s := endpoint.Status{Identity: m.name, Desired: m.revisions[desired], Settings: make(endpoint.Settings, len(m.settings)), Generation: strconv.Itoa(value(&m.changes))}
	for i, key := range m.settings {
		s.Settings[key] = value(&m.cells[thingSetting+i])
	}
	onTarget := desired == running && (running == target || running == canaryRevision)
	bad := onTarget && (m.health == unhealthy || m.health == scaledIn)
	if m.health == scaledIn && bad {
		s.ProviderOverrides = endpoint.Settings{m.settings[0]: 0}
	}
	paused := m.workers && s.Settings[endpoint.WorkersMax] == 0
	pool := endpoint.Pool{Name: "all"}
	switch {
	case running == nothing && paused:
		s.Phase = endpoint.PhasePaused
	case running == nothing:
		s.Phase, pool.Starting = endpoint.PhaseScaling, 1
	case running != desired:
		s.Phase, pool.Stale = endpoint.PhaseUpdating, 1
	case bad:
		s.Phase, pool.Unhealthy, s.Reason = endpoint.PhaseDegraded, 1, "image pull backoff"
	case paused:
		s.Phase, pool.Ready, s.Serving = endpoint.PhasePaused, 1, m.revisions[running]
	default:
		s.Phase, pool.Ready, s.Serving = endpoint.PhaseReady, 1, m.revisions[running]
	}
	if onTarget && running == canaryRevision {
		share := value(&m.cells[thingShare])
		s.Share = &share
	}
	s.Pools = []endpoint.Pool{pool}
	return s
}

// fingerprint appends all that the model's future depends on.
func (m *model) fingerprint(b []byte, now int) []byte {
	for i := range m.cells {
		b = m.cells[i].fingerprint(b, now, m.settle)
	}
	b = m.running.fingerprint(b, now, m.settle)
	b = m.changes.fingerprint(b, now, m.settle)
	b = append(b, byte(m.health), byte(len(m.flights)))
	arrives := -1
	if m.arrives != 0 {
		arrives = min(m.arrives-now, 1000)
	}
	b = binary.AppendVarint(b, int64(arrives))
	for _, f := range m.flights {
		b = append(b, byte(f.thing), byte(f.value), bits(f.unrecorded))
		b = binary.AppendVarint(b, int64(f.lands-now))
		b = binary.AppendVarint(b, int64(f.sure-now))
	}
	return b
}

func (c *cell) fingerprint(b []byte, now, settle int) []byte {
	flags := byte(0)
	if c.foreign {
		flags = 1
	}
	seen := uint16(0)
	if c.imposed {
		flags |= 2
		seen = c.seenBy
	}
	b = append(b, byte(c.value), byte(len(c.old)), flags, byte(seen), byte(seen>>8), byte(max(-settle-1, c.since-now)))
	for _, o := range c.old {
		b = append(b, byte(o.value))
		b = binary.AppendVarint(b, int64(o.until-now))
	}
	return b
}
