package core

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// planning is the program that begins a rollout: wait until the endpoint is at
// rest, make the plan, poll until what it was made of is known to be no late
// read, and put it on record.
func planning(m *Machine, _ *waiting, now time.Time) {
	t := m.task
	if t.err != nil {
		m.course.refuse(m, notReady(m, t, nil, t.err))
		return
	}
	switch t.at++; t.at {
	case 1:
		if m.ledger.Unfinished() {
			m.course.refuse(m, ErrUnfinished)
			return
		}
		if m.frozen.at(now) && !m.policy.PlanOnly {
			m.course.refuse(m, m.frozen.error())
			return
		}
		t.by = now.Add(m.policy.StartTimeout)
		m.wait(now, waitRest, OpStatus)
	case 2: // prepared by the next operation
		t.by = time.Time{}
	case 3:
		if len(Highest(t.plan)) > 0 {
			m.wait(now, waitUnmoved, OpStatus).until = t.began.Add(t.plan.Settle)
			return
		}
		t.at = 4
		fallthrough
	case 4:
		p := t.plan
		m.rec.add(journal.Record{Kind: journal.KindPlan, Rollout: p.Rollout, Plan: p, Owner: m.policy.Owner},
			Event{Kind: EventPlan, Text: fmt.Sprintf("%s: %s → %s", p.Strategy, p.Source, p.Target), Plan: p})
		m.claim()
	default:
		m.task = nil
	}
}

// prepared takes in the plan.
func (t *task) prepared(m *Machine, r Result, now time.Time) {
	switch {
	case r.Err != nil:
		m.course.refuse(m, r.Err)
	case m.policy.PlanOnly:
		m.planned, m.course.end = r.Plan, &End{Outcome: NoOp}
	case len(r.Plan.Forward) == 0:
		m.planned = r.Plan
		m.emit(Event{Kind: EventEnd, Text: r.Plan.Notes[0], Outcome: NoOp, Status: m.lastSeen()})
		m.course.end = &End{Outcome: NoOp}
	default:
		m.planned, t.plan = r.Plan, r.Plan
		t.resume(m, nil, now)
	}
}

// findRest judges whether the endpoint is at rest, and two polls agree. Before
// anything is written, the values are read once more.
func findRest(w *waiting) finding {
	s := w.got.status
	if s.Phase == endpoint.PhaseFailed {
		return finding{err: fmt.Errorf("%w: %w: %s", ErrNotReady, endpoint.ErrFailed, s.Reason)}
	}
	agree := w.last != nil && w.last.Desired == s.Desired && maps.Equal(w.last.Settings, s.Settings)
	resting := s.Phase != endpoint.PhaseUnknown && s.Phase != endpoint.PhaseUpdating
	if !resting {
		return finding{note: fmt.Sprintf("waiting for the endpoint to be at rest (%s)", s.Phase)}
	}
	return finding{done: agree, note: "at rest on " + s.Desired.String()}
}

// findUnmoved judges whether the endpoint is still as the plan has it, until
// everything that was written before the first poll must have become visible.
func findUnmoved(m *Machine, w *waiting, now time.Time) finding {
	p, s := m.task.plan, w.got.status
	if !s.Desired.Same(p.Source) || !unmoved(p, s) {
		return finding{err: fmt.Errorf("%s: %w: %w while the rollout was planned, to %s %v; plan it again",
			p.Endpoint, ErrNotReady, endpoint.ErrDrift, s.Desired, s.Settings)}
	}
	return finding{done: !now.Before(w.until), note: catchingUpNote}
}

// unmoved reports whether all settings are as in the plan, but for those that
// autoscaling moves.
func unmoved(p *strategy.Plan, s endpoint.Status) bool {
	for key, value := range p.Settings {
		if s.Settings[key] != value && !p.ProviderSets(key) {
			return false
		}
	}
	return true
}

// notReady is the error of a rollout that did not begin, or could not be taken over.
func notReady(m *Machine, t *task, cause, err error) error {
	var w *waiter.Error
	switch {
	case cause != nil && (cause == m.cancelled || cause == m.broken): //nolint:errorlint // the very value
		return cause
	case t.at != 1 || t.kind != taskPlan || !errors.As(err, &w):
		return err
	}
	return fmt.Errorf("%s: %w", m.ledger.Endpoint, err)
}

// refuse ends a rollout that did not begin.
func (c *course) refuse(m *Machine, err error) {
	m.task = nil
	c.end = &End{Outcome: Refused, Err: err}
}
