package endpointtest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// variants is the machine of [Variants].
type variants struct {
	VariantsState
	epoch, now                    time.Time
	create, bake, rollback, scale time.Duration
	autoscale                     time.Duration
	deregister                    bool
	fates                         *fates

	change  change
	running map[string]int // instances that are up
	clamp   []string       // variants whose count is to be moved into bounds once that is possible
	arns    int            // policy ARNs given out

	build time.Duration        // that a staged revision takes to be made
	made  map[string]time.Time // when each is
}

// change is what is in progress; the zero change is nothing.
type change struct {
	stage string // in the service's words
	since time.Time
	until time.Time // zero: it does not end
	note  string
}

// The stages of a change.
const (
	creating = "Creating"
	baking   = "Baking"
	deleting = "Deleting"
	updating = "Updating" // a capacity change
)

func (m *variants) clone() *variants {
	c := *m
	c.Revisions, c.Counts, c.running = maps.Clone(m.Revisions), maps.Clone(m.Counts), maps.Clone(m.running)
	c.Options, c.clamp = slices.Clone(m.Options), slices.Clone(m.clamp)
	c.made = maps.Clone(m.made)
	c.Targets, c.Alarms = cloneTargets(m.Targets), cloneAlarms(m.Alarms)
	return &c
}

func (m *variants) revision(id string) endpoint.Revision {
	return endpoint.Revision{Kind: "endpoint-config", ID: id, Artifact: m.Revisions[id]}
}

func (m *variants) find(r endpoint.Revision) (endpoint.Revision, error) {
	have := m.revision(r.ID)
	if _, ok := m.Revisions[r.ID]; !ok || r.Kind != "" && r.Kind != have.Kind {
		return endpoint.Revision{}, fmt.Errorf("%s: %w", r, endpoint.ErrNotFound)
	}
	r.Kind = have.Kind
	if !r.Same(have) {
		return endpoint.Revision{}, fmt.Errorf("%s runs %s: %w", r, have.Artifact, endpoint.ErrInvalid)
	}
	return have, nil
}

// accepts says whether a change may begin now; mended is whether it would
// mend a failed endpoint.
func (m *variants) accepts(mended bool) error {
	switch {
	case m.change.stage != "":
		return fmt.Errorf("endpoint is updating: %w", endpoint.ErrBusy)
	case m.Failed && !mended:
		return fmt.Errorf("endpoint has failed: %w", endpoint.ErrInvalid)
	}
	return nil
}

// begin begins an update.
func (m *variants) begin(id string) {
	m.Pending, m.Reason = id, ""
	m.Failed, m.Mixed = false, false
	m.enter(creating, m.create, fmt.Sprintf("Launching %d instance(s).", total(m.Counts)))
	m.Generation++
}

func (m *variants) enter(stage string, d time.Duration, note string) {
	m.change = change{stage: stage, since: m.now, until: m.now.Add(d), note: note}
}

// resize begins a capacity change.
func (m *variants) resize(variant string, n int) {
	m.Counts[variant] = n
	m.enter(updating, m.scale, fmt.Sprintf("Scaling desired instance count to %d.", n))
	m.Generation++
}

// follow makes an edit of the state take its effect.
func (m *variants) follow(was *variants) {
	switch {
	case m.Pending != was.Pending && m.Pending != "":
		m.begin(m.Pending)
	case m.Pending != was.Pending, m.Failed && !was.Failed:
		m.Pending, m.change = "", change{}
	}
	for name, n := range m.Counts {
		switch {
		case n == was.Counts[name]:
		case m.change.stage == "":
			m.resize(name, n)
		case m.change.stage != updating:
			m.running[name] = n // the fleet in service; the one being created is no matter
		}
	}
	if m.Generation == was.Generation && (m.Live != was.Live || m.Pending != was.Pending ||
		m.Failed != was.Failed || m.Mixed != was.Mixed || !maps.Equal(m.Counts, was.Counts)) {
		m.Generation++
	}
	for name, t := range m.Targets {
		if old, ok := was.Targets[name]; !ok || !old.equal(t) {
			m.clamp = append(m.clamp, name)
		}
	}
}

func (m *variants) next() (time.Time, bool) {
	switch {
	case m.change.stage != "" && !m.change.until.IsZero():
		return m.change.until, true
	case m.change.stage != "" || m.Failed:
		return time.Time{}, false
	}
	return m.nextMove()
}

func (m *variants) step(at time.Time) {
	moved := at.After(m.now)
	m.now = at
	if c := m.change; c.stage != "" && !c.until.IsZero() && !at.Before(c.until) {
		m.turn()
	}
	m.moveInside()
	if moved {
		m.move()
	}
}

// turn ends a stage.
func (m *variants) turn() {
	artifact := m.Revisions[m.Pending]
	if _, second, ok := strings.Cut(artifact, both); ok {
		artifact = second
	}
	how := m.fates.of[artifact]
	switch {
	case m.change.stage == updating:
		m.running = maps.Clone(m.Counts)
		m.end()
	case m.change.stage == baking, m.change.stage == creating && how == succeeds && m.bake <= 0:
		m.Live, m.running, m.Share = m.Pending, maps.Clone(m.Counts), 0
		m.end()
	case m.change.stage == deleting:
		m.Reason = m.fates.reasons[artifact]
		m.Failed, m.Mixed = how == mixes, how == mixes
		m.end()
	case how == succeeds:
		m.enter(baking, m.bake, fmt.Sprintf("Baking for %d seconds.", int(m.bake.Seconds())))
	case how == stalls:
		m.change.until = time.Time{}
	case how == breaks:
		m.Failed, m.Reason = true, m.fates.reasons[artifact]
		m.end()
	default:
		m.enter(deleting, m.rollback, fmt.Sprintf("Terminating %d instance(s).", total(m.Counts)))
	}
}

func (m *variants) end() {
	m.Pending, m.change = "", change{}
	m.Generation++
}

func (m *variants) status() endpoint.Status {
	s := endpoint.Status{
		Phase: endpoint.PhaseReady, Desired: m.revision(cmp.Or(m.Pending, m.Live)), Serving: m.revision(m.Live), Mixed: m.Mixed, Share: m.share(),
		Generation: strconv.Itoa(m.Generation), Reason: m.Reason, Settings: endpoint.Settings{},
	}
	switch c := m.change; {
	case m.Failed:
		s.Phase, s.Serving = endpoint.PhaseFailed, endpoint.Revision{}
	case c.stage != "":
		s.Phase, s.UpdateStage = endpoint.PhaseUpdating, endpoint.UpdateStage{Name: c.stage, Since: c.since, Message: c.note}
		if c.stage == baking { // how long the others take is not known in advance
			s.UpdateStage.For = m.bake
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Counts)) {
		want, up := m.Counts[name], m.running[name]
		s.Settings[instances(name)] = want
		p := endpoint.Pool{Name: name, Ready: up, Starting: max(0, want-up)}
		switch stage := m.change.stage; {
		case m.Mixed:
			p = endpoint.Pool{Name: name, Ready: up, Stale: 1}
		case m.Failed:
			p = endpoint.Pool{Name: name, Unhealthy: up}
		case stage == creating: // the fleet in service is the stale one
			p = endpoint.Pool{Name: name, Stale: up, Starting: want}
		case stage == baking:
			p = endpoint.Pool{Name: name, Stale: up, Ready: want}
		case stage == deleting:
			p = endpoint.Pool{Name: name, Stale: up}
		}
		s.Pools = append(s.Pools, p)
	}
	return s
}
