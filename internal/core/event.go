package core

import (
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// EventKind says what an event tells.
type EventKind string

// The kinds of events.
const (
	EventPlan     EventKind = "plan"
	EventResume   EventKind = "resume"
	EventStep     EventKind = "step"
	EventPoll     EventKind = "poll"
	EventWrite    EventKind = "write"
	EventRetry    EventKind = "retry"
	EventDone     EventKind = "done"
	EventFail     EventKind = "fail"
	EventRollback EventKind = "rollback"
	EventCommit   EventKind = "commit"
	EventDrift    EventKind = "drift"
	EventCheck    EventKind = "check"
	EventHold     EventKind = "hold"
	EventDecision EventKind = "decision"
	EventMissed   EventKind = "missed"
	EventEnd      EventKind = "end"
)

// Event is one thing that happened.
type Event struct {
	Kind     EventKind
	Step     string
	N, Of    int // the Nth step of Of
	Rollback bool
	Text     string
	Status   *endpoint.Status
	Plan     *strategy.Plan
	Outcome  Outcome
	Until    time.Time // when a wait is given up; zero without a limit
	Verdict  *journal.Verdict
}

// Events returns what happened since the last call, in order.
func (m *Machine) Events() []Event {
	events := m.events
	m.events = nil
	return events
}

func (m *Machine) emit(e Event) {
	e.Rollback = m.ledger.RollingBack
	m.events = append(m.events, e)
}

// emitStep emits an event about the step of that name.
func (m *Machine) emitStep(kind EventKind, step, text string) {
	e := Event{Kind: kind, Step: step, Text: text}
	if m.ledger.Plan != nil && step != "" {
		list := m.ledger.List()
		e.N, e.Of = 1+slices.IndexFunc(list, func(s strategy.Step) bool { return s.Name == step }), len(list)
	}
	switch kind { //nolint:exhaustive // the others need nothing here
	case EventPoll:
		status := m.seen
		e.Status, e.Until = &status, m.deadlines.limit(m, time.Time{})
	case EventStep, EventRetry:
		e.Until = m.deadlines.limit(m, time.Time{})
	default:
	}
	m.emit(e)
}
