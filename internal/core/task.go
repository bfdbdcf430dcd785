package core

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// task is what the machine is doing: planning a rollout, taking one over,
// finding out what became of an open write, or a step of the plan. It waits for
// at most one thing at a time: a wait, or a write, which has waits inside.
type task struct {
	kind taskKind
	// repairing is true while settings are restored that the provider overrode,
	// and interrupted is the wait that goes on after that.
	repairing   bool
	interrupted *waiting

	step strategy.Step
	at   int // how far its program has come
	err  error
	note string

	began time.Time
	by    time.Time // when its time is over; zero for no limit

	wait    *waiting
	write   *writing
	setting *setting

	// The time that a step spends without capacity moves its end, as far as left.
	left, waited time.Duration
	extended     time.Duration // what was added for an update that cannot be stopped
	polled       time.Time

	repairs *repairs // of a verification

	worker string // that did the job
	plan   *strategy.Plan
	beat   *heartbeat // of the runner before
}

type taskKind uint8

const (
	taskPlan taskKind = iota
	taskTakeOver
	taskOpenWrite
	taskStep
)

func (t *task) planning() bool { return t.kind == taskPlan || t.kind == taskTakeOver }

// next is the next operation of the task.
func (t *task) next(m *Machine, now time.Time) (Op, bool) {
	switch {
	case t.wait != nil:
		return t.wait.next(m, now)
	case t.write != nil:
		return t.write.next(m, now)
	case t.kind == taskPlan && t.at == 2:
		return Op{Kind: OpPrepare, Status: m.seen, Within: prepareTime}, true
	case t.kind == taskTakeOver && t.at == 1:
		return Op{Kind: OpHeartbeat, Within: storeTime}, true
	}
	t.resume(m, nil, now)
	return Op{}, false
}

// waitOver takes in that the wait of the task is over.
func (t *task) waitOver(m *Machine, err error, now time.Time) {
	w := t.wait
	t.wait = nil
	err = waitError(w.pace, err, now)
	switch {
	case t.write != nil:
		t.write.waited(m, err, now)
	case t.setting != nil:
		t.setting.waited(m, err, now)
	default:
		t.done(m, w, err, now)
	}
}

// writeOver takes in that the write of the task is over.
func (t *task) writeOver(m *Machine, err error, now time.Time) {
	if t.setting != nil {
		t.setting.written(m, err, now)
		return
	}
	t.done(m, nil, err, now)
}

// done goes on with the task's program after a wait or a write.
func (t *task) done(m *Machine, w *waiting, err error, now time.Time) {
	t.err = err
	t.resume(m, w, now)
}

// waitError adds what a wait saw to why it ended, unless the first poll says it all.
func waitError(w *waiter.Wait, cause error, now time.Time) error {
	if cause == nil {
		return nil
	}
	if e := w.Error(now, cause); e.Polls > 1 || e.Last != nil {
		return e
	}
	return cause
}

// start starts a task with a time limit.
func (m *Machine) start(t *task, limit, capacity time.Duration, now time.Time) {
	t.began, t.polled, t.left = now, now, capacity
	if limit > 0 {
		t.by = now.Add(limit)
	}
	m.task = t
}

// moveDeadline gives a step the time that it spent without capacity.
func (t *task) moveDeadline(s endpoint.Status, now time.Time) {
	passed := now.Sub(t.polled)
	t.polled = now
	short := false
	for _, p := range s.Pools {
		short = short || p.Throttled > 0
	}
	if passed = min(passed, t.left); short && passed > 0 {
		t.left -= passed
		t.waited += passed
		t.by = t.by.Add(passed)
	}
}

// extend gives a step that waits for the target more time, once, while an update is
// in progress that the provider carries out to its end: turning back would have to
// wait for that too, and for as long.
func (t *task) extend(m *Machine, now time.Time) {
	j := m.ledger
	switch {
	case t == nil || t.kind != taskStep || t.extended > 0 || t.by.IsZero() || now.Before(t.by) || !waitsForCapacity(t.step):
		return
	case j.Restoring() || !j.Plan.Uninterruptible || m.cancelled != nil || m.deadlines.timedOut(now):
		return
	case m.seen.Phase != endpoint.PhaseUpdating || !m.seen.Desired.Same(j.Plan.Target):
		return
	}
	for _, s := range j.Plan.Rollback {
		if s.Do == strategy.ActionUpdate {
			t.extended = s.Timeout
		}
	}
	t.by = t.by.Add(t.extended)
	m.emitStep(EventRetry, t.step.Name, fmt.Sprintf("the step took longer than %v, and the provider's update cannot be stopped: waiting for its end, for %v at most",
		t.step.Timeout, t.extended))
}

// overdue is the error of a step whose time is over.
func (t *task) overdue() error {
	if t.kind == taskOpenWrite {
		return errors.New("what became of the write could not be found out")
	}
	if t.extended > 0 {
		return fmt.Errorf("%w: it took longer than %v, and %v more for an update that cannot be stopped", ErrStepTimeout, t.step.Timeout, t.extended)
	}
	if t.waited > 0 {
		return fmt.Errorf("%w: it took longer than %v and the %v that it waited for the provider's capacity",
			ErrStepTimeout, t.step.Timeout, t.waited.Round(time.Second))
	}
	return fmt.Errorf("%w: it took longer than %v", ErrStepTimeout, t.step.Timeout)
}

// cut is the error of a task that is ended from outside by cause.
func (t *task) cut(cause error, now time.Time) error {
	if t == nil {
		return cause
	}
	switch {
	case t.wait != nil:
		return waitError(t.wait.pace, cause, now)
	case t.write != nil && t.write.retry != nil:
		return waitError(t.write.retry, cause, now)
	}
	return cause
}

// addSaturating is the sum of two times, of which a caller may have meant one
// to be endless: it is never less than the first.
func addSaturating(a, b time.Duration) time.Duration {
	b = max(0, b)
	return a + min(b, math.MaxInt64-a)
}
