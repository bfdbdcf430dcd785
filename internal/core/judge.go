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
	pending            // it is on its way, and the provider says so
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
func (k *known) compare(w *journal.Write, g *reading) (v verdict, found string, err error) {
	switch {
	case w.Revision != nil:
		v, found = k.compareRevision(*w.Revision, g.status)
	case w.Thing == journal.ThingShare:
		v, found = k.compareShare(*w.Value, g.status)
	case w.Value != nil:
		return k.compareSetting(w, g.status)
	case w.Unstage:
		v, found = compareUnstaged(g.staged)
	case w.Thing == journal.ThingDraft, w.Thing == journal.ThingCanary:
		v, found = compareDraft(g.staged)
	default:
		v, found = compareAutoscaling(w.Suspend != nil, g.autoscaling)
	}
	return v, found, nil
}

func (k *known) compareRevision(want endpoint.Revision, s endpoint.Status) (verdict, string) {
	switch p := k.ledger.Plan; {
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

// serves reports whether r is the plan's target, or serves it beside the source.
func serves(p *strategy.Plan, r endpoint.Revision) bool { return r.Same(p.Target) || isCanary(p, r) }

// compareShare judges the target's share of the traffic. While the provider moves
// it, or anything else, it is neither the old one nor the new one.
func (k *known) compareShare(want int, s endpoint.Status) (verdict, string) {
	switch {
	case s.Share == nil && !isCanary(k.ledger.Plan, s.Desired) && !s.Desired.IsZero() && k.ledger.RollingBack:
		return applied, "nothing is split any more"
	case s.Share == nil, s.Phase == endpoint.PhaseUpdating:
		return unknown, ""
	case *s.Share == want:
		return applied, strconv.Itoa(*s.Share)
	case *s.Share == 0 || k.ledger.known(journal.ThingShare, *s.Share):
		return notApplied, strconv.Itoa(*s.Share)
	}
	return drifted, strconv.Itoa(*s.Share)
}

func (k *known) compareSetting(w *journal.Write, s endpoint.Status) (verdict, string, error) {
	j, key := k.ledger, w.Thing
	have, ok := s.Settings[key]
	found := strconv.Itoa(have)
	switch {
	case k.gone(s, key):
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
func (k *known) gone(s endpoint.Status, key string) bool {
	_, ok := s.Settings[key]
	return !ok && !k.ledger.RollingBack && s.Desired.Same(k.ledger.Plan.Target) && !k.ledger.lowered(key)
}

// noteForeign remembers which things a poll showed with a foreign value. A later
// read that shows one that is not foreign may be the older one.
func (k *known) noteForeign(s endpoint.Status, now time.Time) {
	p := k.ledger.Plan
	if !k.ledger.Unfinished() {
		return
	}
	note := func(thing string) {
		if k.foreign == nil {
			k.foreign = map[string]time.Time{}
		}
		k.foreign[thing] = now
	}
	if v, _ := k.compareRevision(p.Target, s); v == drifted {
		note(journal.ThingRevision)
	}
	for key := range p.Settings {
		have, ok := s.Settings[key]
		if j := k.ledger; ok && !j.known(key, have) && !j.moves(key) && !j.overrides(key, have) && !j.resets(key, have) {
			note(key)
		}
	}
}

// compareUnstaged judges what is left of a draft that is taken back. What is there
// under its name with other content is another one.
func compareUnstaged(staged error) (verdict, string) {
	v, found := compareDraft(staged)
	switch v {
	case applied, pending:
		return notApplied, "still there"
	case notApplied:
		return applied, ""
	case unknown, drifted:
	}
	return v, found
}

func compareDraft(staged error) (verdict, string) {
	switch {
	case staged == nil:
		return applied, ""
	case errors.Is(staged, endpoint.ErrNotFound):
		return notApplied, ""
	case errors.Is(staged, endpoint.ErrPending):
		return pending, ""
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
