package core

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

// reopened takes in what became of a write that was found open.
func (m *Machine) reopened(err error, now time.Time) {
	t := m.task
	m.task = nil
	var drift *driftError
	switch {
	case err == nil, errors.Is(err, errNotApplied), errors.Is(err, endpoint.ErrClamped):
		// It is on record; whether to write it again is for the step to decide.
	case errors.As(err, &drift) && m.ledger.Restoring():
		// The step finds it.
	default:
		m.fail(t, err, now)
	}
}

// fail decides what the failure of a step means for the rollout. Before the
// commit point it goes back. After it, and in a rollback, the other steps are
// done all the same: none depends on another.
func (m *Machine) fail(t *task, err error, _ time.Time) {
	j, s := m.ledger, t.step
	m.emitStep(EventFail, s.Name, err.Error())
	switch {
	case t.kind == taskOpenWrite && j.Restoring():
		if m.open() {
			m.record(journal.Record{Kind: journal.KindFailed, Error: err.Error()})
		}
	case j.Committed && len(j.Failures) == 0 && errors.Is(err, endpoint.ErrRolledBack):
		m.step = s.Name
		m.endWith(RolledBack, err)
	case j.Restoring():
		if m.cause == nil {
			m.step, m.cause = s.Name, err
		}
		m.anotherRound = m.anotherRound || m.open()
		m.record(journal.Record{Kind: journal.KindFailed, Step: s.Name, Error: fmt.Sprintf("%s (%v)", j.describe(s), err)})
	default:
		m.rollback(s.Name, err)
	}
}

// open reports whether it is not known what became of a write.
func (m *Machine) open() bool {
	return m.ledger.Pending != nil && !slices.ContainsFunc(m.rec.queue, func(e entry) bool {
		return e.record.Kind == journal.KindDone || e.record.Kind == journal.KindFailed
	})
}

// rollback puts on record that from here on the rollout goes back.
func (m *Machine) rollback(step string, cause error) {
	m.task, m.step, m.cause = nil, step, cause
	text := cause.Error()
	if step != "" {
		text = step + ": " + text
	}
	m.record(journal.Record{Kind: journal.KindRollback, Step: step, Error: text}, Event{Kind: EventRollback, Text: "going back: " + text})
}

// finish ends a rollout whose list is at its end.
func (m *Machine) finish() {
	j := m.ledger
	superseded := slices.IndexFunc(j.Drift, func(d journal.Drift) bool { return d.Thing == journal.ThingRevision })
	switch {
	case len(j.Failures) > 0:
		m.stop(Incomplete, m.why())
	case superseded >= 0 && m.cause == nil:
		m.endWith(Superseded, &driftError{j.Drift[superseded]})
	case superseded >= 0:
		m.endWith(Superseded, m.cause)
	case j.RollingBack:
		m.endWith(RolledBack, m.why())
	default:
		m.endWith(Succeeded, nil)
	}
}

// why is the reason of the rollback, from the journal if this process did not see it.
func (m *Machine) why() error {
	switch {
	case m.cause != nil:
		return m.cause
	case m.ledger.Reason != "":
		return fmt.Errorf("%w: %s", errResumed, m.ledger.Reason)
	}
	return errResumed
}

// andThen is the error of steps that were cut short after an earlier failure.
func (m *Machine) andThen(err error) error {
	if m.cause != nil {
		return fmt.Errorf("%w; and then: %w", m.cause, err)
	}
	return err
}

// endWith puts the end of the rollout on record.
func (m *Machine) endWith(outcome Outcome, cause error) {
	m.task = nil
	text := ""
	if cause != nil {
		text = cause.Error()
	}
	m.ending = &End{Outcome: outcome, Step: m.step, Cause: cause}
	m.record(journal.Record{Kind: journal.KindEnd, Outcome: string(outcome), Error: text},
		Event{Kind: EventEnd, Outcome: outcome, Text: string(outcome), Status: m.lastSeen()})
}

// stop leaves the rollout unfinished, with what remains on record.
func (m *Machine) stop(outcome Outcome, cause error) {
	m.task = nil
	m.ending = &End{Outcome: outcome, Step: m.step, Cause: cause, Residue: m.residue(), Next: "resume the rollout with the same journal"}
	lines := make([]string, 0, len(m.ending.Residue))
	for _, r := range m.ending.Residue {
		lines = append(lines, r.String())
	}
	m.record(journal.Record{Kind: journal.KindStop, Outcome: string(outcome), Error: cause.Error(), Residue: lines},
		Event{Kind: EventEnd, Outcome: outcome, Text: string(outcome), Status: m.lastSeen()})
	m.rec.queue[len(m.rec.queue)-1].once = true
}

func (m *Machine) lastSeen() *endpoint.Status {
	s := m.seen
	return &s
}

// NextStep is the name of the step that a resume would begin with.
func (j *Ledger) NextStep() string {
	if list := j.List(); j.Next < len(list) {
		return list[j.Next].Name
	}
	return "the end"
}

// onRecord takes in that a record is in the journal.
func (m *Machine) onRecord(r *journal.Record, _ time.Time) {
	if r.Kind == journal.KindEnd || r.Kind == journal.KindStop {
		m.end, m.task = m.ending, nil
	}
	if r.Kind == journal.KindClaim && m.task != nil && m.task.kind == taskPlan {
		m.task = nil // it has begun: it is not refused any more
	}
}

// withoutRecord decides what it means that a record cannot be written.
func (m *Machine) withoutRecord(r *journal.Record, err error, now time.Time) {
	t := m.task
	m.task = nil
	switch {
	case r.Kind == journal.KindEnd:
		m.rec.lost, m.end = err, m.ending
	case r.Kind == journal.KindStop:
		m.ending.Cause = errors.Join(m.ending.Cause, err)
		m.end = m.ending
	case r.Kind == journal.KindPlan, t != nil && t.planning():
		m.refuse(err)
	case m.ledger.Restoring() || r.Kind == journal.KindRollback:
		m.stop(Incomplete, m.andThen(err))
	case t != nil:
		m.fail(t, err, now)
	default:
		m.rollback(m.step, err)
	}
}

// conflict takes in that another runner writes to the journal: all that is left
// is for that one to do.
func (m *Machine) conflict(err error, _ time.Time) {
	m.task, m.rec.queue = nil, nil
	if !m.begun {
		m.refuse(fmt.Errorf("%w: %w", endpoint.ErrBusy, err))
		return
	}
	const next = "another runner has taken the rollout over"
	m.emit(Event{Kind: EventEnd, Outcome: Detached, Text: next, Status: m.lastSeen()})
	m.end = &End{
		Outcome: Detached, Step: m.step, Next: next,
		Cause: &journalError{fmt.Errorf("journal of %s: %w", m.ledger.Endpoint, err)},
	}
}

// fatal ends a rollout whose journal cannot be understood any more.
func (m *Machine) fatal(err error) {
	m.task, m.rec.queue = nil, nil
	m.end = &End{Outcome: Incomplete, Step: m.step, Cause: m.andThen(err), Next: "repair the journal, and resume the rollout"}
}

// isLate reports whether an error says that the rollout's own time was over: that
// of the step, or of the forward part. The caller's deadline says nothing of the
// revision.
func isLate(err error) bool {
	return errors.Is(err, ErrStepTimeout) || errors.Is(err, ErrTimeout)
}
