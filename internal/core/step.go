package core

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// resume goes on with the task after what it waited for is over: w is the wait
// that was, if it was one, and task.err what it came to. Each task is a short
// program, and task.at is where it stands.
func (m *Machine) resume(w *waiting, now time.Time) {
	t := m.task
	switch t.kind {
	case taskPlan:
		m.planning(w, now)
	case taskTakeOver:
		m.takingOver(w, now)
	case taskOpenWrite:
		m.reopened(t.err, now)
	case taskStep:
		m.stepping(w, now)
	}
}

// stepping is the program of each action.
func (m *Machine) stepping(w *waiting, now time.Time) {
	t, j := m.task, m.ledger
	s := t.step
	switch s.Do {
	case strategy.ActionStage:
		m.writeOnce(journal.Write{Thing: journal.ThingDraft}, now)
	case strategy.ActionStageCanary:
		m.writeOnce(journal.Write{Thing: journal.ThingCanary}, now)
	case strategy.ActionUpdateCanary:
		m.writeOnce(journal.Write{Thing: journal.ThingRevision, Revision: &j.Plan.Canary.Revision}, now)
	case strategy.ActionShift:
		m.shiftStep(now)
	case strategy.ActionHold:
		m.holdStep(now)
	case strategy.ActionSuspendAutoscaling:
		m.suspendStep(w, now)
	case strategy.ActionRestoreAutoscaling:
		if !j.wrote(journal.ThingAutoscaling) {
			m.complete(untouched, now)
			return
		}
		m.writeOnce(journal.Write{Thing: journal.ThingAutoscaling}, now)
	case strategy.ActionSet:
		m.setStep(s.Value, !j.RollingBack || j.wrote(s.Key), now)
	case strategy.ActionRestoreSetting:
		v, known := j.before(s.Key)
		m.setStep(v, known && j.wrote(s.Key), now)
	case strategy.ActionRaise:
		m.writeOnce(journal.Write{Thing: s.Key, Value: &t.step.Value, AtLeast: true}, now)
	case strategy.ActionUpdate:
		m.updateStep(w, now)
	case strategy.ActionDrain:
		m.drainStep(now)
	case strategy.ActionAwait:
		m.awaitStep(now)
	case strategy.ActionProbe:
		m.probeStep(w, now)
	case strategy.ActionBake:
		m.bakeStep(now)
	case strategy.ActionCommit:
		m.complete("", now)
	case strategy.ActionVerify:
		m.verifyStep(w, now)
	}
}

// untouched is the note of a step that has nothing to undo.
const untouched = "the rollout did not get to change it"

// finished ends a step: with a note, or the error that it failed with. A
// foreign value is kept where the step would only have put a value back.
func (m *Machine) finished(note string, err error, now time.Time) {
	t := m.task
	var drift *driftError
	if errors.As(err, &drift) && (m.ledger.RollingBack || restoresValue(m.ledger.Plan, t.step)) {
		if err = nil; m.ledger.moves(drift.Thing) {
			note = "moved by autoscaling, left alone" // which is restored, or is going to be
		} else {
			note = "left alone"
			m.noteDrift(drift.Drift)
		}
	}
	if err != nil {
		m.task = nil
		m.fail(t, err, now)
		return
	}
	m.complete(note, now)
}

// complete puts on record that the step is done.
func (m *Machine) complete(note string, _ time.Time) {
	s := m.task.step
	m.task = nil
	kind, event := journal.KindDone, EventDone
	if s.Do == strategy.ActionCommit {
		kind, event = journal.KindCommit, EventCommit
	}
	m.record(journal.Record{Kind: kind, Step: s.Name, Note: note}, m.stepEvent(event, s.Name, note))
}

// stepEvent is an event about a step, to be emitted later.
func (m *Machine) stepEvent(kind EventKind, step, text string) Event {
	list := m.ledger.List()
	return Event{Kind: kind, Step: step, N: 1 + slices.IndexFunc(list, func(s strategy.Step) bool { return s.Name == step }), Of: len(list), Text: text}
}

func (m *Machine) noteDrift(d journal.Drift) {
	m.record(journal.Record{Kind: journal.KindDrift, Drift: &d}, Event{Kind: EventDrift, Text: d.String()})
}

// writeOnce is the program of a step that is one write.
func (m *Machine) writeOnce(w journal.Write, now time.Time) {
	t := m.task
	if t.at++; t.at == 1 {
		m.write(now, w)
		return
	}
	m.finished("", t.err, now)
}

// suspendStep takes the snapshot as late as possible. It is on record with the
// intent, before anything is suspended.
func (m *Machine) suspendStep(w *waiting, now time.Time) {
	t := m.task
	switch t.at++; {
	case t.at == 1 && m.ledger.snapshot != nil:
		t.at = 2
		m.write(now, journal.Write{Thing: journal.ThingAutoscaling, Suspend: m.ledger.snapshot})
	case t.at == 1:
		m.wait(now, waitSnapshot, OpSnapshot)
	case t.at == 2 && t.err == nil:
		snapshot := w.got.snapshot
		m.write(now, journal.Write{Thing: journal.ThingAutoscaling, Suspend: &snapshot})
	default:
		m.finished("", t.err, now)
	}
}

// updateStep asks for the revision. In a rollback that is tried again,
// autoscaling may have been put back already: it is suspended once more then,
// since the provider may refuse to update an endpoint that it scales.
func (m *Machine) updateStep(w *waiting, now time.Time) {
	t, j := m.task, m.ledger
	switch t.at++; t.at {
	case 1:
		if j.RollingBack && !j.wrote(journal.ThingRevision) {
			m.complete(untouched, now)
			return
		}
		if j.RollingBack && j.snapshot != nil {
			m.wait(now, waitOnce, OpStatus)
			return
		}
		t.at = 4
	case 2:
		if t.err == nil && !w.got.status.Desired.Same(j.Plan.Source) {
			m.wait(now, waitOnce, OpAutoscaling)
			return
		}
		t.at = 4 // the update polls for itself, and again
	case 3:
		if t.err == nil && !w.got.autoscaling.Suspended && w.got.autoscaling.Restored {
			m.write(now, journal.Write{Thing: journal.ThingAutoscaling, Suspend: j.snapshot})
			return
		}
		t.at = 4 // what is half-way, or foreign, is left to the step that restores
	case 4:
		if t.err != nil {
			m.finished("", t.err, now)
			return
		}
	default:
		m.finished("", t.err, now)
		return
	}
	to := Change(j.Plan, j.RollingBack).To
	m.write(now, journal.Write{Thing: journal.ThingRevision, Revision: &to})
}

// shiftStep gives the target its share of the traffic. A freeze window puts that off.
func (m *Machine) shiftStep(now time.Time) {
	t, j := m.task, m.ledger
	switch {
	case t.at == 1 || t.err != nil:
		m.finished("", t.err, now)
	case j.RollingBack && !j.wrote(journal.ThingShare):
		m.complete(untouched, now)
	case !j.RollingBack && m.frozen.at(now):
		t.by = time.Time{}
		m.wait(now, waitFrozen, OpStatus).ready = m.readyFor(true)
	default:
		t.at, t.by = 1, now.Add(t.step.Timeout)
		m.write(now, journal.Write{Thing: journal.ThingShare, Value: &t.step.Value})
	}
}

// wants is the revision that the forward part wants at present.
func (m *Machine) wants() endpoint.Revision {
	p := m.ledger.Plan
	if w := m.ledger.writes[journal.ThingRevision]; p.Canary != nil && len(w) > 0 && *w[len(w)-1].Revision == p.Canary.Revision {
		return p.Canary.Revision
	}
	return p.Target
}

// drainStep waits until there is no job.
func (m *Machine) drainStep(now time.Time) {
	t := m.task
	if t.at++; t.at == 1 {
		m.wait(now, waitJobs, OpJobs)
		return
	}
	m.finished("", t.err, now)
}

// awaitStep waits for a condition. For a revision the note says what proved it.
func (m *Machine) awaitStep(now time.Time) {
	t, j := m.task, m.ledger
	ofRevision := t.step.Until != strategy.UntilEmpty && t.step.Until != strategy.UntilSettled
	switch t.at++; t.at {
	case 1:
		if j.RollingBack && len(j.Failures) > 0 {
			m.finished("", errors.New("not waited for, because an earlier step could not be done"), now)
			return
		}
		// Until then a read may show the source as it was before the rollout.
		if after := j.consistentAfter(journal.ThingRevision); j.RollingBack && ofRevision && now.Before(after) {
			m.wait(now, waitPause, OpStatus).until = after
			return
		}
		t.at, t.err = 2, nil
		m.awaitCondition(now)
	case 2:
		if t.err != nil {
			m.finished("", t.err, now)
			return
		}
		m.awaitCondition(now)
	default:
		note, err := m.awaited(t.err, now)
		if !j.RollingBack && err == nil && ofRevision {
			_, err = m.verdict(now) // of the provider's own stages, kept until their end
		}
		m.finished(note, err, now)
	}
}

// awaitCondition begins the wait of an await step.
func (m *Machine) awaitCondition(now time.Time) {
	t, j := m.task, m.ledger
	leftAlone := j.drifted(journal.ThingRevision)
	switch t.step.Until {
	case strategy.UntilEmpty:
		m.wait(now, waitEmpty, OpStatus)
	case strategy.UntilSettled:
		m.wait(now, waitSettled, OpStatus)
	case strategy.UntilAccepted, strategy.UntilRunning:
		if leftAlone {
			m.complete("", now)
			return
		}
		kind := waitAccepted
		if t.step.Until == strategy.UntilRunning {
			kind = waitRunning
		}
		m.wait(now, kind, OpStatus)
	case strategy.UntilSplit:
		m.wait(now, waitSplit, OpStatus).ready = m.readyFor(false)
	case strategy.UntilServing, strategy.UntilConfigured:
		if j.RollingBack && leftAlone {
			m.complete("left alone", now)
			return
		}
		w := m.wait(now, waitReady, OpStatus)
		// Without worker bounds, autoscaling may have taken all of the capacity away.
		_, bounded := j.Plan.Settings[endpoint.WorkersMin]
		w.ready = m.readyFor(t.step.Until == strategy.UntilConfigured || !bounded)
	}
}

// awaited says what the wait of an await step has come to.
func (m *Machine) awaited(err error, now time.Time) (note string, _ error) {
	j, s := m.ledger, m.task.step
	if s.Until != strategy.UntilServing && s.Until != strategy.UntilConfigured {
		return "", err
	}
	want := Change(j.Plan, j.RollingBack).To
	switch {
	case err != nil && j.RollingBack && (errors.Is(err, endpoint.ErrDrift) ||
		errors.Is(err, endpoint.ErrRolledBack) && !j.wrote(journal.ThingRevision)): // the target is a foreign value then
		return "", &driftError{journal.Drift{Thing: journal.ThingRevision, Want: want.String(), Found: m.seen.Desired.String()}}
	case err != nil:
		return "", m.notConverged(err, now)
	case m.seen.Serving.Same(want):
		return proven(strategy.ProofWorkers), nil
	}
	return proven(strategy.ProofConfiguration), nil
}

// notConverged says of a wait that took too long which workers stayed behind,
// and what would replace them. That is for the caller to choose: it has downtime.
func (m *Machine) notConverged(err error, now time.Time) error {
	if m.ledger.RollingBack || !isLate(err) {
		return err
	}
	stale, starting, ready := 0, 0, 0
	for _, p := range m.seen.Pools {
		stale, starting, ready = stale+p.Stale, starting+p.Starting, ready+p.Ready
	}
	which := ""
	if m.seen.UpdateStage.Message != "" {
		which = " (" + m.seen.UpdateStage.Message + ")"
	}
	if starting > 0 && ready == 0 {
		return fmt.Errorf("%w: %d of %d workers were starting%s for up to %v; check the name of %s, that it can be pulled, and that it is built for their processors: %w",
			ErrNotStarted, starting, m.seen.Live(), which, now.Sub(m.task.began).Round(time.Second), artifact(m.ledger.Plan.Target), err)
	}
	_, bounded := m.seen.Settings[endpoint.WorkersMax]
	if stale == 0 || !bounded || m.flushes() {
		return err
	}
	return fmt.Errorf("%w: %d of %d workers stayed%s; a %s rollout would replace them, with downtime: %w",
		ErrNotConverged, stale, m.seen.Live(), which, strategy.FlushToZero{}, err)
}

// artifact names what a revision runs.
func artifact(r endpoint.Revision) string {
	if r.Artifact != "" {
		return r.Artifact
	}
	return r.String()
}

// flushes reports whether the plan takes all workers away before the update.
func (m *Machine) flushes() bool {
	return slices.ContainsFunc(m.ledger.Plan.Forward, func(s strategy.Step) bool {
		return s.Do == strategy.ActionAwait && s.Until == strategy.UntilEmpty
	})
}
