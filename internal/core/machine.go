package core

import (
	"errors"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// Machine is one rollout as a value. Its caller asks it for the next operation
// ([Machine.Next]), performs that, and tells it the result ([Machine.Observe]),
// until the operation is [OpEnd]. It is not safe for concurrent use.
type Machine struct {
	known
	signals

	rec       recorder
	task      *task
	guard     guard
	course    course
	deadlines deadlines

	absence *absence // nil if the last poll showed the endpoint
	planned *strategy.Plan
	events  []Event
}

// End says how a rollout ended.
type End struct {
	Outcome Outcome
	// Err refuses a rollout that did not begin. It is nil otherwise.
	Err error
	// Step is where the forward part ended, and Cause why.
	Step    string
	Cause   error
	Residue []Remainder
	Next    string
}

// New returns the machine of a rollout that is about to be planned, or to be
// taken over, by what the journal of its endpoint holds.
func New(j *Ledger, p Policy, now time.Time) *Machine {
	m := &Machine{known: known{policy: &p, ledger: j}}
	kind := taskPlan
	if p.Resume {
		kind = taskTakeOver
	}
	m.start(&task{kind: kind}, 0, 0, now)
	return m
}

// Ledger is what is on record.
func (m *Machine) Ledger() *Ledger { return m.ledger }

// Seen is the endpoint by the last poll.
func (m *Machine) Seen() endpoint.Status { return m.seen }

// End is how the rollout ended, nil while it has not.
func (m *Machine) End() *End { return m.course.end }

// Lost is why the journal could not be written any more, nil if it could.
func (m *Machine) Lost() error {
	if m.rec.lost {
		return m.rec.err
	}
	return nil
}

// Starting reports whether the rollout is still being planned, or taken over.
func (m *Machine) Starting() bool { return m.course.end == nil && m.task != nil && m.task.planning() }

// Planned is the plan that was made, nil if none was.
func (m *Machine) Planned() *strategy.Plan { return m.planned }

// WantsJob reports whether the caller's job is wanted, or has to be called off.
func (m *Machine) WantsJob() bool {
	return m.course.end == nil && m.task != nil && m.task.step.Do == strategy.ActionProbe && m.task.worker == ""
}

// Next is the operation to perform at the time now.
func (m *Machine) Next(now time.Time) Op {
	for m.course.end == nil {
		if op, ok := m.rec.next(m, now); ok {
			return op
		}
		if m.course.end != nil || m.interrupted(now) {
			continue
		}
		if m.task == nil {
			m.begin(now)
			continue
		}
		if op, ok := m.task.next(m, now); ok {
			return m.deadlines.limited(m, op)
		}
	}
	return Op{Kind: OpEnd}
}

// Observe takes in what came of an operation, which ended now.
func (m *Machine) Observe(op Op, r Result, now time.Time) {
	switch {
	case m.course.end != nil:
		return
	case op.Kind == OpAppend:
		m.rec.appended(m, r.Err, now)
		return
	case len(m.rec.queue) > 0 && op.Kind == OpLoad:
		m.rec.loaded(m, r.Records, r.Err, now)
		return
	}
	t := m.task
	m.task.extend(m, now)
	if r.Err != nil && m.cutShort(now) != nil {
		m.interruptedCall(op, r.Err, now)
		return
	}
	switch {
	case op.Kind == OpPrepare:
		t.prepared(m, r, now)
	case op.Kind == OpHeartbeat:
		t.heard(m, r, now)
	case op.Kind == OpWrite:
		t.write.called(m, r.Err, now)
	case t.wait != nil:
		t.wait.took(m, op, r, now)
	}
}

// interruptedCall takes in a call that was called off. What became of a write is
// found out later; that the call is over is known.
func (m *Machine) interruptedCall(op Op, err error, now time.Time) {
	if op.Kind == OpWrite {
		m.ledger.setOver(op.Write.Thing, now)
		return
	}
	if w := m.task.wait; w != nil {
		w.pace.Cut(now, m.cutShort(now), err)
	}
}

// cutShort says why whatever is going on has to end, nil if it has not.
func (m *Machine) cutShort(now time.Time) error {
	over := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	switch {
	case m.task != nil && m.task.planning():
		switch {
		case m.cancelled != nil:
			return m.cancelled
		case m.broken != nil && m.task.kind == taskPlan:
			return m.broken
		case over(m.task.by):
			return ErrNotReady
		}
		return nil
	case m.ledger.Restoring() && m.task == nil && m.ledger.done():
		return nil // all that is left is to put that on record
	case m.hardStop && m.ledger.Restoring():
		return ErrHardStop
	case over(m.deadlines.restoreBy):
		return errRestoreTime
	case m.ledger.Restoring():
	case m.cancelled != nil:
		return m.cancelled
	case m.broken != nil:
		return m.broken
	case m.ledger.Aborted != nil:
		return m.aborted()
	case over(m.deadlines.forwardBy):
		return fmt.Errorf("%w after %v", ErrTimeout, m.policy.Timeout)
	}
	if m.task != nil && over(m.task.by) {
		return m.task.overdue()
	}
	return nil
}

// errRestoreTime: the time for the steps that must not be left undone is over.
var errRestoreTime = errors.New("the time for the steps that must not be left undone is over")

// interrupted ends what has to end now, and reports whether there was such a thing.
func (m *Machine) interrupted(now time.Time) bool {
	m.task.extend(m, now)
	cause := m.cutShort(now)
	if cause == nil {
		return false
	}
	err := m.task.cut(cause, now)
	if p := m.ledger.Pending; p != nil && m.task != nil && m.task.write != nil && m.task.write.phase == calling {
		m.ledger.setOver(p.Write.Thing, now) // it was not called, or that is over
	}
	t := m.task
	if t != nil && t.kind == taskStep && waitsForCapacity(t.step) {
		err = t.notConverged(m, err, now)
	}
	m.task = nil
	switch {
	case t != nil && t.planning():
		m.course.refuse(m, notReady(m, t, cause, err))
	case m.ledger.Restoring() && (m.hardStop || cause == errRestoreTime): //nolint:errorlint // the very value
		m.course.stop(m, Incomplete, m.course.andThen(err))
	case m.ledger.Restoring(), t != nil && !t.by.IsZero() && !now.Before(t.by) && m.cancelled == nil && m.broken == nil && !m.deadlines.timedOut(now):
		m.course.fail(m, t, err, now)
	default:
		if t != nil {
			m.emitStep(EventFail, t.step.Name, err.Error())
			m.course.step = t.step.Name
		}
		if m.cancelled != nil && m.policy.Detach {
			m.course.stop(m, Detached, m.cancelled)
			return true
		}
		m.course.rollback(m, m.course.step, err)
	}
	return true
}

// begin decides what is next when nothing is going on.
func (m *Machine) begin(now time.Time) {
	j := m.ledger
	switch {
	case j.Restoring() && m.deadlines.restoreBy.IsZero():
		m.deadlines.restoreBy = now.Add(m.deadlines.restoreTime(m))
	case m.policy.Timeout > 0 && m.deadlines.forwardBy.IsZero():
		m.deadlines.forwardBy = now.Add(m.policy.Timeout)
	}
	m.course.begun = true
	list := j.List()
	switch {
	case j.Pending != nil:
		m.start(&task{kind: taskOpenWrite, step: strategy.Step{Name: j.Pending.Step}}, 0, 0, now)
		m.task.by = later(j.Pending.NotAfter, now).Add(2*j.Plan.Settle + time.Minute)
		reopen(m, now)
	case j.Next < len(list):
		s := list[j.Next]
		capacity := time.Duration(0)
		if waitsForCapacity(s) {
			capacity = m.policy.CapacityTimeout
		}
		m.start(&task{kind: taskStep, step: s}, s.Timeout, capacity, now)
		if s.Do != strategy.ActionCommit { // which takes no time
			m.emitStep(EventStep, s.Name, "")
		}
	case m.course.anotherRound && len(j.Failures) > 0:
		m.course.anotherRound = false
		m.claim() // which starts the list over
	default:
		m.course.finish(m)
	}
}

// claim puts on record that this runner drives.
func (m *Machine) claim(events ...Event) {
	m.rec.add(journal.Record{Kind: journal.KindClaim, Owner: m.policy.Owner, Exclusive: m.policy.Exclusive}, events...)
}
