package core

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// verdict is what a poll says about a thing that is about to be written, or
// may have been.
type verdict int

const (
	unknown    verdict = iota
	applied            // the thing is as wanted
	notApplied         // it is as this rollout found it, or once wrote it
	drifted            // a foreign value
)

// driftError says that a thing has a foreign value.
type driftError struct{ journal.Drift }

func (e *driftError) Error() string {
	return fmt.Sprintf("%v: %s is %s, which this rollout neither found nor set", endpoint.ErrDrift, e.Thing, e.Found)
}

func (*driftError) Unwrap() error { return endpoint.ErrDrift }

// readOf is the read that shows a thing.
func readOf(thing string) Kind {
	switch thing {
	case journal.ThingDraft, journal.ThingCanary:
		return OpStaged
	case journal.ThingAutoscaling:
		return OpAutoscaling
	}
	return OpStatus
}

// compare says whether a write is applied, by what a poll showed.
func (m *Machine) compare(w *journal.Write, g *reading) (v verdict, found string, err error) {
	switch {
	case w.Revision != nil:
		v, found = m.compareRevision(*w.Revision, g.status)
	case w.Thing == journal.ThingShare:
		v, found = m.compareShare(*w.Value, g.status)
	case w.Value != nil:
		return m.compareSetting(w, g.status)
	case w.Thing == journal.ThingDraft, w.Thing == journal.ThingCanary:
		v, found = compareDraft(g.staged)
	default:
		v, found = compareAutoscaling(w.Suspend != nil, g.autoscaling)
	}
	return v, found, nil
}

func (m *Machine) compareRevision(want endpoint.Revision, s endpoint.Status) (verdict, string) {
	switch p := m.ledger.Plan; {
	case s.Desired.IsZero():
		return unknown, ""
	case s.Desired.Same(want):
		return applied, s.Desired.String()
	case s.Desired.Same(p.Source), s.Desired.Same(p.Target), isCanary(p, s.Desired):
		return notApplied, s.Desired.String()
	}
	return drifted, s.Desired.String()
}

// isCanary reports whether r is the revision that serves source and target.
func isCanary(p *strategy.Plan, r endpoint.Revision) bool {
	return p.Canary != nil && r.Same(p.Canary.Revision)
}

// compareShare judges the target's share of the traffic.
func (m *Machine) compareShare(want int, s endpoint.Status) (verdict, string) {
	switch {
	case s.Share == nil && !isCanary(m.ledger.Plan, s.Desired) && !s.Desired.IsZero() && m.ledger.RollingBack:
		return applied, "nothing is split any more"
	case s.Share == nil:
		return unknown, ""
	case *s.Share == want:
		return applied, strconv.Itoa(*s.Share)
	case *s.Share == 0 || m.ledger.known(journal.ThingShare, *s.Share):
		return notApplied, strconv.Itoa(*s.Share)
	}
	return drifted, strconv.Itoa(*s.Share)
}

func (m *Machine) compareSetting(w *journal.Write, s endpoint.Status) (verdict, string, error) {
	j, key := m.ledger, w.Thing
	have, ok := s.Settings[key]
	found := strconv.Itoa(have)
	switch {
	case m.gone(s, key):
		return applied, "gone with the update", nil
	case !ok:
		return unknown, "", fmt.Errorf("%s has no setting %s any more: %w", j.Endpoint, key, endpoint.ErrInvalid)
	case have == *w.Value, w.AtLeast && have > *w.Value:
		return applied, found, nil
	case j.known(key, have), w.AtLeast && j.moves(key), j.overrides(key, have), j.resets(key, have):
		return notApplied, found, nil
	}
	return drifted, found, nil
}

// gone reports whether the target has no such setting. Of one that the rollout
// has lowered that does not count: if it only does not show, the capacity that was
// taken away would stay away.
func (m *Machine) gone(s endpoint.Status, key string) bool {
	_, ok := s.Settings[key]
	return !ok && !m.ledger.RollingBack && s.Desired.Same(m.ledger.Plan.Target) && !m.ledger.lowered(key)
}

// noteForeign remembers which things a poll showed with a foreign value. A later
// read that shows one that is not foreign may be the older one.
func (m *Machine) noteForeign(s endpoint.Status, now time.Time) {
	p := m.ledger.Plan
	if !m.ledger.Unfinished() {
		return
	}
	note := func(thing string) {
		if m.foreign == nil {
			m.foreign = map[string]time.Time{}
		}
		m.foreign[thing] = now
	}
	if v, _ := m.compareRevision(p.Target, s); v == drifted {
		note(journal.ThingRevision)
	}
	for key := range p.Settings {
		have, ok := s.Settings[key]
		if j := m.ledger; ok && !j.known(key, have) && !j.moves(key) && !j.overrides(key, have) && !j.resets(key, have) {
			note(key)
		}
	}
}

func compareDraft(staged error) (verdict, string) {
	switch {
	case staged == nil:
		return applied, ""
	case errors.Is(staged, endpoint.ErrNotFound):
		return notApplied, ""
	case errors.Is(staged, endpoint.ErrDrift), errors.Is(staged, endpoint.ErrInvalid):
		return drifted, staged.Error()
	}
	return unknown, ""
}

func compareAutoscaling(suspend bool, is endpoint.AutoscalingState) (verdict, string) {
	switch {
	case suspend && is.Suspended, !suspend && is.Restored:
		return applied, ""
	case !suspend && len(is.Foreign) == len(is.Differences):
		return drifted, strings.Join(is.Foreign, ", ")
	}
	return notApplied, ""
}

// wanted says in words what a write leads to.
func (m *Machine) wanted(w *journal.Write) string {
	switch {
	case w.Revision != nil:
		return w.Revision.String()
	case w.Thing == journal.ThingShare:
		return strconv.Itoa(*w.Value) + "%"
	case w.Value != nil:
		return strconv.Itoa(*w.Value)
	case w.Thing == journal.ThingDraft, w.Thing == journal.ThingCanary:
		return m.draftOf(w.Thing).Revision.String()
	case w.Suspend != nil:
		return "autoscaling suspended"
	}
	return "autoscaling as it was"
}

// recognize refuses another endpoint of the same name, and to compare
// revisions that are known by different things.
func (m *Machine) recognize(s endpoint.Status) error {
	p := m.ledger.Plan
	if !m.ledger.Unfinished() {
		return nil
	}
	differ := func(have, want string) bool { return have != "" && want != "" && have != want }
	if differ(s.Identity, p.Identity) {
		return fmt.Errorf("%s is %s here, and the rollout began on %s: resume it there, and keep a store for each account and region: %w",
			m.ledger.Endpoint, s.Identity, p.Identity, endpoint.ErrInvalid)
	}
	if differ(s.Desired.Kind, p.Source.Kind) {
		return fmt.Errorf("%s shows a revision of kind %q, and the rollout began on one of kind %q: go on with the kind that it began with: %w",
			m.ledger.Endpoint, s.Desired.Kind, p.Source.Kind, endpoint.ErrInvalid)
	}
	return nil
}

// draftOf is the draft that a write of a thing makes.
func (m *Machine) draftOf(thing string) *endpoint.Draft {
	if thing == journal.ThingCanary {
		return &m.ledger.Plan.Canary.Draft
	}
	return m.ledger.Plan.Draft
}
