package core

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/condition"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// waiting is a wait in progress: polls of one or more reads each, until a
// condition holds, has turned out not to, or the time is over.
type waiting struct {
	kind waitKind
	read Kind // the next read of the poll
	// polling is true from the first read of a poll to its judgement: the reads of
	// one poll follow each other at once, whatever the poll was made for.
	polling bool
	// rejudge is true if the poll is complete and has to be judged once a record
	// that it led to is in the journal.
	rejudge bool
	moved   bool     // of a lease: another runner appended
	got     *reading // what the reads of the poll showed; nil between polls
	pace    *waiter.Wait
	// refusals counts the reads that were refused as such.
	refusals int

	paused time.Time // since when a third party's pause shows
	since  time.Time // since when a value that is not expected shows
	until  time.Time // when what is shown has caught up, or the wait is to end
	good   int       // polls in a row that found nothing wrong
	wrong  []mismatch
	ready  condition.Ready
	last   *endpoint.Status // of the poll before, where the two are compared
	err    error            // the last finding that was not final
	check  int              // the next check of the poll
}

type waitKind uint8

const (
	waitPause    waitKind = iota // no reads: only for reads to catch up
	waitOnce                     // one read, whatever it shows
	waitCheck                    // whether a write has to be made
	waitConfirm                  // what became of a write
	waitCatchUp                  // reads until they have caught up
	waitSnapshot                 // until a snapshot could be taken
	waitJobs                     // until no job is in flight or queued
	waitEmpty                    // until no worker is left
	waitSettled                  // until no change is in progress
	waitAccepted                 // until a revision is accepted
	waitRunning                  // until all capacity in service runs it
	waitReady                    // until it is proven to serve
	waitBake                     // while it is watched
	waitHold                     // until a person decides
	waitSplit                    // until source and target are served side by side
	waitFrozen                   // until a freeze window is over
	waitJob                      // while the caller's job is done
	waitWorker                   // until the worker is known that did it
	waitVerify                   // until everything is as it has to be
	waitRest                     // until the endpoint is at rest, before a rollout
	waitUnmoved                  // until the plan's values have proven to be no late reads
	waitLease                    // until another runner is known to be dead
)

// finding is what a complete poll says.
type finding struct {
	done bool
	note string
	due  time.Time // when the next poll can tell more; zero if that is not known
	err  error     // ends the wait
	fail error     // counts as a poll that failed
	more Kind      // a further read that the poll needs
}

type paceKind int

const (
	steady paceKind = iota // for what the provider does
	brisk                  // for writes and reads that lag: over in about the settle time
)

// newWait paces polls.
func (m *Machine) newWait(now time.Time, kind paceKind, opts ...waiter.Option) *waiter.Wait {
	p := m.policy
	schedule, first := p.Schedule, p.ErrorInterval
	if kind == brisk {
		most := max(m.settle(), time.Second)
		schedule, first = capped{schedule, most}, min(first, most)
	}
	return waiter.NewWait(now, append([]waiter.Option{
		waiter.WithSchedule(schedule), waiter.WithBackoff(first, maxErrorWait), waiter.WithHistory(nil, "", m.ledger.Endpoint),
		waiter.WithTransient(anyError, NoLimit),
	}, opts...)...)
}

// anyError: which errors are waited out is decided in [waiting.patient].
func anyError(error) bool { return true }

type capped struct {
	waiter.Schedule

	most time.Duration
}

func (c capped) Next(p waiter.Progress) time.Duration { return min(c.Schedule.Next(p), c.most) }

// wait begins a wait of the current task.
func (m *Machine) wait(now time.Time, kind waitKind, read Kind) *waiting {
	w := &waiting{kind: kind, read: read, pace: pace(m, now, kind)}
	m.task.wait = w
	return w
}

// pace is when the polls of a wait are made, and how many in a row have to agree.
func pace(m *Machine, now time.Time, kind waitKind) *waiter.Wait {
	switch kind { //nolint:exhaustive // the others need nothing here
	case waitJobs:
		return m.newWait(now, steady, waiter.WithConsecutive(2))
	case waitEmpty, waitSettled, waitReady:
		return m.newWait(now, steady, waiter.WithConsecutive(2), historyOf(m, m.task.step))
	case waitJob:
		return m.newWait(now, steady, waiter.WithConsecutive(math.MaxInt), waiter.WithSchedule(unhurried{m.policy.Schedule}))
	case waitWorker:
		return m.newWait(now, brisk, waiter.WithSchedule(waiter.Every(workerPolls)))
	case waitLease:
		return m.newWait(now, brisk, waiter.WithSchedule(waiter.Every(journal.HeartbeatInterval)))
	default:
		return m.newWait(now, brisk)
	}
}

// unhurried is a schedule that expects nothing of the condition that holds: the
// wait is for a job.
type unhurried struct{ waiter.Schedule }

func (u unhurried) Next(p waiter.Progress) time.Duration {
	p.Held = 0
	return u.Schedule.Next(p)
}

// next is the operation of a wait: the next read, or a sleep until it is due.
func (w *waiting) next(m *Machine, now time.Time) (Op, bool) {
	if w.rejudge {
		w.rejudge = false
		w.judge(m, now)
		return Op{}, false
	}
	if due := w.pace.Due(); !w.polling && now.Before(due) && !(m.woken && w.pace.Wakeable()) {
		return Op{Kind: OpSleep, Until: due, Wakeable: w.pace.Wakeable()}, true
	}
	m.woken, w.polling = false, true
	if w.kind == waitPause {
		w.judge(m, now)
		return Op{}, false
	}
	return w.readOp(m, now), true
}

// readOp is the next read of a poll.
func (w *waiting) readOp(m *Machine, now time.Time) Op {
	op := Op{Kind: w.read, Within: statusTime}
	switch w.read { //nolint:exhaustive // the others need nothing here
	case OpStatus:
		op.Shared = m.policy.Shared && (w.kind == waitReady || w.kind == waitEmpty || w.kind == waitSettled)
	case OpStaged:
		op.Draft = m.draftOf(m.task.write.Thing)
	case OpRefreshed:
		op.Draft, op.Since, op.Within = m.ledger.Plan.Draft, m.ledger.firstWrite, inspectTime
	case OpSnapshot:
		op.Change, op.Within = Change(m.ledger.Plan, false), inspectTime
	case OpAutoscaling:
		op.Snapshot, op.Within = snapshotFor(m), inspectTime
	case OpWorker:
		op.Worker, op.Change.To = m.task.worker, m.ledger.Plan.Target
	case OpCheck:
		c := m.ledger.Plan.Checks[w.check]
		op.Name, op.Sample, op.Within = c.Name, m.guard.sample(m, now), c.Timeout
	case OpNews:
		op.After, op.Within = m.ledger.Seq, storeTime
	case OpLoad, OpHeartbeat:
		op.Within = storeTime
	default:
	}
	return op
}

// took takes in a read of a poll.
func (w *waiting) took(m *Machine, op Op, r Result, now time.Time) {
	if op.Kind == OpCheck {
		m.guard.asked(m, w, r, now)
		return
	}
	err := w.note(m, op, r, now)
	if m.task == nil || m.course.end != nil {
		return // the read showed that another runner drives
	}
	switch {
	case err != nil:
		w.pollFailed(m, err, now)
	case op.Kind == OpStatus && remember(m, &r.Status):
		w.rejudge = true
	default:
		w.judge(m, now)
	}
}

// judge decides what a poll says as far as it was read.
func (w *waiting) judge(m *Machine, now time.Time) {
	f := find(m, w, now)
	switch {
	case m.task == nil || m.task.wait != w: // the finding led to something else
	case f.more != OpEnd:
		w.read = f.more
	case f.fail != nil:
		w.pollFailed(m, f.fail, now)
	case f.err != nil:
		w.pace.Fail(now, f.err, observation(m, f, now))
		m.task.waitOver(m, f.err, now)
	default:
		ended, _ := w.pace.Observe(now, observation(m, f, now), f.done, nil)
		if ended {
			m.task.waitOver(m, nil, now)
			return
		}
		if w.kind == waitRest {
			w.last = &w.got.status
		}
		w.begin(m)
		m.task.notePoll(m, f.note, now)
	}
}

func observation(m *Machine, f finding, now time.Time) waiter.Observation {
	o := waiter.Observation{Status: m.seen, Note: f.note}
	if !f.due.IsZero() {
		o.Due = f.due.Sub(now)
	}
	return o
}

// begin starts the reads of the next poll.
func (w *waiting) begin(m *Machine) {
	w.read, w.got, w.check, w.polling = w.first(m), nil, 0, false
}

// first is the first read of each poll.
func (w *waiting) first(m *Machine) Kind {
	switch w.kind { //nolint:exhaustive // the others need nothing here
	case waitCheck, waitConfirm:
		return readOf(m.task.write.Write.Thing)
	case waitSnapshot:
		return OpSnapshot
	case waitJobs:
		return OpJobs
	case waitWorker:
		return OpWorker
	case waitLease:
		return OpLoad
	case waitJob:
		return OpJob
	default:
		return OpStatus
	}
}

// pollFailed takes in a poll that failed: it is waited out, or ends the wait.
func (w *waiting) pollFailed(m *Machine, err error, now time.Time) {
	gone, certain := w.goneFor(m, err, now)
	if certain {
		m.course.stopGone(m, fmt.Errorf("%w: %w", ErrGone, err))
		return
	}
	if w.kind == waitOnce || !gone && !w.patient(m, err, now) {
		w.pace.Fail(now, err, waiter.Observation{Status: m.seen})
		m.task.waitOver(m, err, now)
		return
	}
	err = m.deadlines.affordable(m, err, now)
	_, _ = w.pace.Observe(now, waiter.Observation{}, false, err)
	w.begin(m)
	m.emitStep(EventRetry, m.task.step.Name, err.Error())
}

// patient says which errors of a read are waited out. Where the steps must not
// be left undone, a refusal has to be repeated before it counts.
func (w *waiting) patient(m *Machine, err error, now time.Time) bool {
	if w.kind == waitLease {
		return false
	}
	if m.task.planning() && now.Sub(w.pace.FailingSince(now)) >= 5*time.Minute {
		return false
	}
	refused := endpoint.Unapplied(err) && !endpoint.Transient(err) || errors.Is(err, ErrPanic)
	if refused && m.ledger.Restoring() && w.kind != waitJobs {
		w.refusals++
		return w.refusals < maxRefusals
	}
	return endpoint.Transient(err) && !errors.Is(err, ErrPanic)
}

// notePoll tells of a poll after which the wait goes on.
func (t *task) notePoll(m *Machine, note string, now time.Time) {
	t.moveDeadline(m.seen, now)
	m.emitStep(EventPoll, t.step.Name, note)
}

// historyOf lets a wait learn: the same step of the same strategy takes a
// similar time everywhere.
func historyOf(m *Machine, s strategy.Step) waiter.Option {
	if m.policy.History == nil {
		return waiter.WithHistory(nil, "", m.ledger.Endpoint)
	}
	return waiter.WithHistory(m.policy.History, m.ledger.Plan.Strategy+" "+s.Name, m.ledger.Endpoint)
}

// snapshotFor is the snapshot that autoscaling is compared with.
func snapshotFor(m *Machine) *endpoint.AutoscalingSnapshot {
	if w := m.task.write; w != nil && w.Suspend != nil {
		return w.Suspend
	}
	return m.ledger.snapshot
}
