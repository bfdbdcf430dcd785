package core

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

// course is where the rollout goes when not every step succeeds: on, back, or to
// an end.
type course struct {
	step         string // where the forward part ended
	cause        error  // and why
	anotherRound bool   // a step failed by its time, not by a refusal: another round may help
	begun        bool   // a step of this process has begun
	ending       *End   // to be once it is on record
	end          *End
}

// reopened takes in what became of a write that was found open.
func reopened(m *Machine, err error, now time.Time) {
	t := m.task
	m.task = nil
	var drift *driftError
	switch {
	case err == nil, errors.Is(err, errNotApplied), errors.Is(err, endpoint.ErrClamped):
		// It is on record; whether to write it again is for the step to decide.
	case errors.As(err, &drift) && m.ledger.Restoring():
		// The step finds it.
	default:
		m.course.fail(m, t, err, now)
	}
}

// fail decides what the failure of a step means for the rollout. Before the
// commit point it goes back. After it, and in a rollback, the other steps are
// done all the same: none depends on another.
func (c *course) fail(m *Machine, t *task, err error, _ time.Time) {
	j, s := m.ledger, t.step
	m.emitStep(EventFail, s.Name, err.Error())
	switch {
	case t.kind == taskOpenWrite && j.Restoring():
		if c.open(m) {
			m.rec.add(journal.Record{Kind: journal.KindFailed, Error: err.Error()})
		}
	case j.Committed && len(j.Failures) == 0 && errors.Is(err, endpoint.ErrRolledBack):
		c.step = s.Name
		c.endWith(m, RolledBack, err)
	case j.Restoring():
		if c.cause == nil {
			c.step, c.cause = s.Name, err
		}
		c.anotherRound = c.anotherRound || c.open(m)
		m.rec.add(journal.Record{Kind: journal.KindFailed, Step: s.Name, Error: fmt.Sprintf("%s (%v)", describe(j, s), err)})
	default:
		c.rollback(m, s.Name, err)
	}
}

// open reports whether it is not known what became of a write.
func (c *course) open(m *Machine) bool {
	return m.ledger.Pending != nil && !slices.ContainsFunc(m.rec.queue, func(e entry) bool {
		return e.record.Kind == journal.KindDone || e.record.Kind == journal.KindFailed
	})
}

// rollback puts on record that from here on the rollout goes back.
func (c *course) rollback(m *Machine, step string, cause error) {
	m.task, c.step, c.cause = nil, step, cause
	text := cause.Error()
	if step != "" {
		text = step + ": " + text
	}
	m.rec.add(journal.Record{Kind: journal.KindRollback, Step: step, Error: text}, Event{Kind: EventRollback, Text: "going back: " + text})
}

// finish ends a rollout whose list is at its end.
func (c *course) finish(m *Machine) {
	j := m.ledger
	superseded := slices.IndexFunc(j.Drift, func(d journal.Drift) bool { return d.Thing == journal.ThingRevision })
	switch {
	case len(j.Failures) > 0:
		c.stop(m, Incomplete, c.why(m))
	case superseded >= 0 && c.cause == nil:
		c.endWith(m, Superseded, &driftError{j.Drift[superseded]})
	case superseded >= 0:
		c.endWith(m, Superseded, c.cause)
	case j.RollingBack:
		c.endWith(m, RolledBack, c.why(m))
	default:
		c.endWith(m, Succeeded, nil)
	}
}

// why is the reason of the rollback, from the journal if this process did not see it.
func (c *course) why(m *Machine) error {
	switch {
	case c.cause != nil:
		return c.cause
	case m.ledger.Reason != "":
		return fmt.Errorf("%w: %s", errResumed, m.ledger.Reason)
	}
	return errResumed
}

// andThen is the error of steps that were cut short after an earlier failure.
func (c *course) andThen(err error) error {
	if c.cause != nil {
		return fmt.Errorf("%w; and then: %w", c.cause, err)
	}
	return err
}

// endWith puts the end of the rollout on record.
func (c *course) endWith(m *Machine, outcome Outcome, cause error) {
	m.task = nil
	text := ""
	if cause != nil {
		text = cause.Error()
	}
	c.ending = &End{Outcome: outcome, Step: c.step, Cause: cause}
	m.rec.add(journal.Record{Kind: journal.KindEnd, Outcome: string(outcome), Error: text},
		Event{Kind: EventEnd, Outcome: outcome, Text: string(outcome), Status: m.lastSeen()})
}

// stop leaves the rollout unfinished, with what remains on record.
func (c *course) stop(m *Machine, outcome Outcome, cause error) {
	m.task = nil
	c.ending = &End{Outcome: outcome, Step: c.step, Cause: cause, Next: "resume the rollout with the same journal"}
	c.ending.Residue = c.residue(m)
	lines := make([]string, 0, len(c.ending.Residue))
	for _, r := range c.ending.Residue {
		lines = append(lines, r.String())
	}
	m.rec.add(journal.Record{Kind: journal.KindStop, Outcome: string(outcome), Error: cause.Error(), Residue: lines},
		Event{Kind: EventEnd, Outcome: outcome, Text: string(outcome), Status: m.lastSeen()})
	m.rec.queue[len(m.rec.queue)-1].once = true
}

// NextStep is the name of the step that a resume would begin with.
func (j *Ledger) NextStep() string {
	if list := j.List(); j.Next < len(list) {
		return list[j.Next].Name
	}
	return "the end"
}

// onRecord takes in that a record is in the journal.
func (c *course) onRecord(m *Machine, r *journal.Record, _ time.Time) {
	if r.Kind == journal.KindEnd || r.Kind == journal.KindStop {
		c.end, m.task = c.ending, nil
	}
	if r.Kind == journal.KindClaim && m.task != nil && m.task.kind == taskPlan {
		m.task = nil // it has begun: it is not refused any more
	}
}

// withoutRecord decides what it means that a record cannot be written.
func (c *course) withoutRecord(m *Machine, r *journal.Record, err error, now time.Time) {
	t := m.task
	m.task = nil
	switch {
	case r.Kind == journal.KindEnd:
		m.rec.lost, m.rec.err, c.end = true, err, c.ending
	case r.Kind == journal.KindStop:
		c.ending.Cause = errors.Join(c.ending.Cause, err)
		c.end = c.ending
	case r.Kind == journal.KindPlan, t != nil && t.planning():
		c.refuse(m, err)
	case m.ledger.Restoring() || r.Kind == journal.KindRollback:
		c.stop(m, Incomplete, c.andThen(err))
	case t != nil:
		c.fail(m, t, err, now)
	default:
		c.rollback(m, c.step, err)
	}
}

// conflict takes in that another runner writes to the journal: all that is left
// is for that one to do.
func (c *course) conflict(m *Machine, err error, _ time.Time) {
	m.task, m.rec.queue = nil, nil
	if !c.begun {
		c.refuse(m, fmt.Errorf("%w: %w", endpoint.ErrBusy, err))
		return
	}
	const next = "another runner has taken the rollout over"
	m.emit(Event{Kind: EventEnd, Outcome: Detached, Text: next, Status: m.lastSeen()})
	c.end = &End{
		Outcome: Detached, Step: c.step, Next: next,
		Cause: &journalError{fmt.Errorf("journal of %s: %w", m.ledger.Endpoint, err)},
	}
}

// fatal ends a rollout whose journal cannot be understood any more.
func (c *course) fatal(m *Machine, err error) {
	m.task, m.rec.queue = nil, nil
	c.end = &End{Outcome: Incomplete, Step: c.step, Cause: c.andThen(err), Next: "repair the journal, and resume the rollout"}
}

// isLate reports whether an error says that the rollout's own time was over: that
// of the step, or of the forward part. The caller's deadline says nothing of the
// revision.
func isLate(err error) bool {
	return errors.Is(err, ErrStepTimeout) || errors.Is(err, ErrTimeout)
}
