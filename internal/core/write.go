package core

import (
	"errors"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/waiter"
)

// writing is one write on its way: poll, put the intent on record, write,
// confirm by polls, and all of it again where that can help. Every write of a
// rollout goes through it, whoever asks for it.
type writing struct {
	journal.Write

	want     string
	phase    writePhase
	callErr  error        // of the call; nil if the provider accepted the write
	answered time.Time    // when the call was over
	open     bool         // found open in the journal: only its fate is wanted
	retry    *waiter.Wait // paces the attempts
	refusals int
	showed   bool   // a poll after the call showed what is wanted
	found    string // the first value that a poll after the call showed instead
}

type writePhase int

const (
	checking   writePhase = iota // whether it has to be made
	calling                      // the intent is on record, or about to be
	confirming                   // what became of it
	retrying                     // it is made again when that is due
)

// write begins a write for the current step.
func (m *Machine) write(now time.Time, w journal.Write) {
	m.task.write = &writing{Write: w, want: m.wanted(&w), retry: m.newWait(now, brisk)}
	m.task.write.check(m, now)
}

// check polls whether the write has to be made. What is taken back must not be in
// use, which the status says.
func (w *writing) check(m *Machine, now time.Time) {
	first := readOf(w.Thing)
	if w.Unstage {
		first = OpStatus
	}
	m.wait(now, waitCheck, first).until = m.ledger.consistentAfter(w.Thing)
}

// reopen begins to find out what became of a write that is open.
func reopen(m *Machine, now time.Time) {
	w := *m.ledger.Pending.Write
	m.task.write = &writing{Write: w, want: m.wanted(&w), open: true, callErr: errors.New("no answer was seen")}
	m.task.write.confirm(m, m.ledger.latest(w.Thing).over, now)
}

// next is the operation of a write when it waits for no poll.
func (w *writing) next(m *Machine, now time.Time) (Op, bool) {
	switch w.phase { //nolint:exhaustive // the others need nothing here
	case calling:
		return w.writeOp(m), true
	case retrying:
		if due := w.retry.Due(); now.Before(due) {
			return Op{Kind: OpSleep, Until: due}, true
		}
		w.phase = checking
		w.check(m, now)
	default:
	}
	return Op{}, false
}

// writeOp is the call itself. It ends by the time that its intent names.
func (w *writing) writeOp(m *Machine) Op {
	write := w.Write
	op := Op{Kind: OpWrite, Write: &write, By: m.ledger.Pending.NotAfter, Within: callTime(w.Thing), Draft: m.draftOf(w.Thing), Canary: m.ledger.Plan.Canary}
	if w.Revision != nil {
		p := m.ledger.Plan
		op.Change = endpoint.Change{To: *w.Revision, Options: p.Options, Rollback: *w.Revision == p.Source}
	}
	if w.Thing == journal.ThingAutoscaling {
		op.Snapshot = m.ledger.snapshot
		if w.Suspend != nil {
			op.Snapshot = w.Suspend
		}
	}
	return op
}

// callTime bounds one call. Suspending and restoring are many calls in one.
func callTime(thing string) time.Duration {
	if thing == journal.ThingAutoscaling {
		return suspendTime
	}
	return writeTime
}

// intend puts the write on record, after a poll that says that it has to be made.
func (w *writing) intend(m *Machine, now time.Time) {
	before := m.seen
	write := w.Write
	w.phase = calling
	notAfter := m.deadlines.limit(m, now.Add(callTime(w.Thing))).Round(0)
	step := m.task.step.Name
	m.rec.add(journal.Record{Kind: journal.KindIntent, Step: step, Before: &before, Write: &write, NotAfter: notAfter},
		stepEvent(m, EventWrite, step, w.Thing+" → "+w.want))
}

// called takes in what came of the call.
func (w *writing) called(m *Machine, err error, now time.Time) {
	if err != nil && endpoint.Unapplied(err) {
		m.rec.add(journal.Record{Kind: journal.KindFailed, Error: err.Error()})
		w.attempted(m, err, now)
		return
	}
	if errors.Is(err, endpoint.ErrPending) { // it is accepted
		err = nil
	}
	w.callErr, w.showed, w.found = err, false, ""
	w.confirm(m, now, now)
}

// confirm begins the polls that tell whether the write is applied.
func (w *writing) confirm(m *Machine, answered, now time.Time) {
	w.phase, w.answered = confirming, answered
	wait := m.wait(now, waitConfirm, readOf(w.Thing))
	if w.callErr != nil {
		// The value that is looked for may be an old one too. Where the provider is
		// not known to have accepted the write, a read that could be that old is no proof.
		wait.until = m.ledger.consistentBefore(w.Thing)
	}
}

// findBeforeWrite judges a poll before a write. A read that shows the wanted
// value counts only when no earlier write of the rollout can still be on its way
// into view, and a foreign value only when it lasts.
func findBeforeWrite(m *Machine, w *waiting, now time.Time) finding {
	if m.task.write.Unstage && w.read != OpStaged {
		if s := w.got.status; serves(m.ledger.Plan, s.Desired) || serves(m.ledger.Plan, s.Serving) {
			return finding{err: errInUse}
		}
		return finding{more: OpStaged}
	}
	v, found, err := m.compare(&m.task.write.Write, w.got)
	if err != nil {
		return finding{fail: err}
	}
	switch v {
	case notApplied:
		write := m.task.write.Write
		if m.ledger.made(write) && now.Before(w.until) { // the read may be older than the write
			w.since = time.Time{}
			return finding{note: catchingUpNote, due: w.until}
		}
		if foreign, ok := m.foreign[write.Thing]; ok && now.Before(foreign.Add(m.settle())) { // or than the one that showed a foreign value
			return finding{note: catchingUpNote, due: foreign.Add(m.settle())}
		}
		m.task.wait = nil
		m.task.write.intend(m, now)
		return finding{}
	case applied:
		w.since = time.Time{}
		return finding{done: !now.Before(w.until), note: catchingUpNote, due: w.until}
	case drifted:
		return findDrift(m, w, m.task.write.drift(found), w.until, now)
	case pending:
		return findPending(m, w)
	case unknown:
	}
	return finding{}
}

// findPending judges a poll that shows a revision being made, which may take all the
// time of the step. A rollout that goes back has no use for it, and does not wait.
func findPending(m *Machine, w *waiting) finding {
	w.since = time.Time{}
	return finding{done: m.ledger.RollingBack, note: m.task.write.want + " is being made"}
}

// errInUse: what was to be taken back is served.
var errInUse = errors.New("it is in use")

const catchingUpNote = "waiting for reads to catch up (settle time)"

// findDrift judges a foreign value: it has to last.
func findDrift(m *Machine, w *waiting, d journal.Drift, notBefore, now time.Time) finding {
	if w.since.IsZero() {
		w.since = now
	}
	due := later(w.since.Add(m.settle()), notBefore)
	if !now.Before(due) {
		return finding{err: &driftError{d}}
	}
	return finding{note: "found " + d.Found + ", which is not of this rollout", due: due}
}

// drift is the foreign value that was found of what is written.
func (w *writing) drift(found string) journal.Drift {
	return journal.Drift{Thing: w.Thing, Want: w.want, Found: found}
}

// findConfirmed judges a poll after a write.
func findConfirmed(m *Machine, w *waiting, now time.Time) finding {
	write := m.task.write
	limit := write.answered.Add(m.settle())
	v, found, err := m.compare(&write.Write, w.got)
	if err != nil {
		return finding{fail: err}
	}
	switch v {
	case applied:
		w.since, write.showed = time.Time{}, true
		return finding{done: !now.Before(w.until), note: catchingUpNote, due: w.until}
	case drifted:
		if write.found == "" {
			write.found = found
		}
		f := findDrift(m, w, write.drift(found), limit, now)
		if f.err != nil && write.clamped() && found == write.found { // else a third party followed
			f.err = newClampError(write, found)
		}
		return f
	case pending:
		return findPending(m, w)
	case notApplied, unknown:
		w.since = time.Time{}
		switch {
		case v != notApplied || now.Before(limit):
		case write.clamped(): // once more
			return finding{err: newClampError(write, found)}
		default:
			return finding{err: write.notAppliedError(m)}
		}
	}
	return finding{note: "waiting to see " + write.want, due: limit}
}

// clampError says that the provider made something else of a write.
type clampError struct{ driftError }

func newClampError(w *writing, found string) error {
	return &clampError{driftError{journal.Drift{Thing: w.Thing, Want: w.want, Found: found}}}
}

func (e *clampError) Error() string {
	return fmt.Sprintf("%v: %s was to be %s and is %s", endpoint.ErrClamped, e.Thing, e.Want, e.Found)
}

func (*clampError) Unwrap() error { return endpoint.ErrClamped }

// clamped reports whether the value that lasts after a write is what the provider
// made of that write, rather than a third party's: the provider answered so, and
// no poll has shown the wanted value. Without such an answer nothing tells a limit
// of the provider's from a third party that was quick: the value is kept then, as
// drift, since to write again would overwrite it.
func (w *writing) clamped() bool {
	return w.Value != nil && !w.showed && errors.Is(w.callErr, endpoint.ErrClamped)
}

// notAppliedError says why a write is not applied when it should be.
func (w *writing) notAppliedError(m *Machine) error {
	before := m.ledger.Pending.Before
	if w.Revision != nil && before != nil && before.Generation != m.seen.Generation && !m.ledger.RollingBack {
		return fmt.Errorf("%w to %s: %s", endpoint.ErrRolledBack, m.seen.Desired, orUnknown(m.seen.Reason))
	}
	if w.callErr != nil {
		return fmt.Errorf("%w: %s → %s: %w", errNotApplied, w.Thing, w.want, w.callErr)
	}
	return fmt.Errorf("%w: %s → %s was accepted", errNotApplied, w.Thing, w.want)
}

func orUnknown(reason string) string {
	if reason == "" {
		return "the provider gives no reason"
	}
	return reason
}

// waited takes in the end of the polls of a write.
func (w *writing) waited(m *Machine, err error, now time.Time) {
	if w.phase != confirming {
		w.attempted(m, err, now)
		return
	}
	r := journal.Record{Kind: journal.KindDone}
	if err != nil {
		r.Kind, r.Error = journal.KindFailed, err.Error()
		if !errors.Is(err, errNotApplied) && !errors.Is(err, endpoint.ErrDrift) && !errors.Is(err, endpoint.ErrRolledBack) && !errors.Is(err, endpoint.ErrClamped) {
			r.Note = fateUnknown
		}
	}
	var clamp *clampError
	if errors.As(err, &clamp) {
		r.Drift = &clamp.Drift
	}
	m.rec.add(r)
	if err == nil && errors.Is(w.callErr, ErrPanic) && !m.ledger.Restoring() {
		err = w.callErr // the write is applied, by code that cannot be relied on
	}
	w.attempted(m, err, now)
}

// fateUnknown is the note of a write that could not be read back: it may still
// take effect.
const fateUnknown = "it could not be read back"

// attempted ends an attempt at a write, and begins another one where that can help.
func (w *writing) attempted(m *Machine, err error, now time.Time) {
	if err == nil || w.open || !m.again(w, err) {
		m.task.write = nil
		m.task.writeOver(m, err, now)
		return
	}
	w.phase = retrying
	err = m.deadlines.affordable(m, err, now)
	_, _ = w.retry.Observe(now, waiter.Observation{}, false, err)
	m.emitStep(EventRetry, m.task.step.Name, err.Error())
}

// again reports whether a write that failed is attempted once more.
func (k *known) again(w *writing, err error) bool {
	var lost *journalError
	switch {
	case errors.As(err, &lost), errors.Is(err, journal.ErrConflict), errors.Is(err, endpoint.ErrDrift), errors.Is(err, endpoint.ErrRolledBack):
		return false
	case errors.Is(err, ErrPanic) && !k.ledger.Restoring():
		return false
	case endpoint.Transient(err), errors.Is(err, errNotApplied):
		return true
	case errors.Is(err, endpoint.ErrClamped):
		w.refusals += 2 // each took the settle time
		return k.ledger.Restoring() && w.refusals < maxRefusals
	case endpoint.Unapplied(err) && k.ledger.Restoring():
		w.refusals++
		return w.refusals < maxRefusals
	}
	return false
}
