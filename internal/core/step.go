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
func (t *task) resume(m *Machine, w *waiting, now time.Time) {
	switch t.kind {
	case taskPlan:
		planning(m, w, now)
	case taskTakeOver:
		takingOver(m, w, now)
	case taskOpenWrite:
		reopened(m, t.err, now)
	case taskStep:
		t.stepping(m, w, now)
	}
}

// stepping is the program of each action.
func (t *task) stepping(m *Machine, w *waiting, now time.Time) {
	j := m.ledger
	s := t.step
	switch s.Do {
	case strategy.ActionStage:
		t.writeOnce(m, journal.Write{Thing: journal.ThingDraft}, now)
	case strategy.ActionUnstage:
		unstageStep(m, now)
	case strategy.ActionStageCanary:
		t.writeOnce(m, journal.Write{Thing: journal.ThingCanary}, now)
	case strategy.ActionUpdateCanary:
		t.writeOnce(m, journal.Write{Thing: journal.ThingRevision, Revision: &j.Plan.Canary.Revision}, now)
	case strategy.ActionShift:
		shiftStep(m, now)
	case strategy.ActionHold:
		holdStep(m, now)
	case strategy.ActionSuspendAutoscaling:
		suspendStep(m, w, now)
	case strategy.ActionRestoreAutoscaling:
		if !j.wrote(journal.ThingAutoscaling) {
			t.complete(m, untouched, now)
			return
		}
		t.writeOnce(m, journal.Write{Thing: journal.ThingAutoscaling}, now)
	case strategy.ActionSet:
		setStep(m, s.Value, !j.RollingBack || j.wrote(s.Key), now)
	case strategy.ActionRestoreSetting:
		v, known := j.before(s.Key)
		setStep(m, v, known && j.wrote(s.Key), now)
	case strategy.ActionRaise:
		t.writeOnce(m, journal.Write{Thing: s.Key, Value: &t.step.Value, AtLeast: true}, now)
	case strategy.ActionUpdate:
		updateStep(m, w, now)
	case strategy.ActionDrain:
		drainStep(m, now)
	case strategy.ActionAwait:
		awaitStep(m, now)
	case strategy.ActionProbe:
		probeStep(m, w, now)
	case strategy.ActionBake:
		bakeStep(m, now)
	case strategy.ActionCommit:
		t.complete(m, "", now)
	case strategy.ActionVerify:
		verifyStep(m, w, now)
	}
}

// untouched is the note of a step that has nothing to undo.
const untouched = "the rollout did not get to change it"

// finished ends a step: with a note, or the error that it failed with. A
// foreign value is kept where the step would only have put a value back.
func (t *task) finished(m *Machine, note string, err error, now time.Time) {
	var drift *driftError
	if errors.As(err, &drift) && (m.ledger.RollingBack || restoresValue(m.ledger.Plan, t.step)) {
		if err = nil; m.ledger.moves(drift.Thing) {
			note = "moved by autoscaling, left alone" // which is restored, or is going to be
		} else {
			note = "left alone"
			m.rec.noteDrift(m, drift.Drift)
		}
	}
	if err != nil {
		m.task = nil
		m.course.fail(m, t, err, now)
		return
	}
	t.complete(m, note, now)
}

// complete puts on record that the step is done.
func (t *task) complete(m *Machine, note string, _ time.Time) {
	s := t.step
	m.task = nil
	kind, event := journal.KindDone, EventDone
	if s.Do == strategy.ActionCommit {
		kind, event = journal.KindCommit, EventCommit
	}
	m.rec.add(journal.Record{Kind: kind, Step: s.Name, Note: note}, stepEvent(m, event, s.Name, note))
}

// stepEvent is an event about a step, to be emitted later.
func stepEvent(m *Machine, kind EventKind, step, text string) Event {
	list := m.ledger.List()
	return Event{Kind: kind, Step: step, N: 1 + slices.IndexFunc(list, func(s strategy.Step) bool { return s.Name == step }), Of: len(list), Text: text}
}

// noteDrift puts a foreign value on record. Two revisions that are called the
// same are told apart by their digests.
func (r *recorder) noteDrift(m *Machine, d journal.Drift) {
	if d.Want == d.Found {
		d.Found += " (another one"
		if d.Thing == journal.ThingRevision && m.seen.Desired.Digest != "" {
			d.Found += ", digest " + m.seen.Desired.Digest
		}
		d.Found += ")"
	}
	r.add(journal.Record{Kind: journal.KindDrift, Drift: &d}, Event{Kind: EventDrift, Text: d.String()})
}

// writeOnce is the program of a step that is one write.
func (t *task) writeOnce(m *Machine, w journal.Write, now time.Time) {
	if t.at++; t.at == 1 {
		m.write(now, w)
		return
	}
	t.finished(m, "", t.err, now)
}

// suspendStep takes the snapshot as late as possible. It is on record with the
// intent, before anything is suspended.
func suspendStep(m *Machine, w *waiting, now time.Time) {
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
		t.finished(m, "", t.err, now)
	}
}

// updateStep asks for the revision. In a rollback that is tried again,
// autoscaling may have been put back already: it is suspended once more then,
// since the provider may refuse to update an endpoint that it scales.
func updateStep(m *Machine, w *waiting, now time.Time) {
	t, j := m.task, m.ledger
	switch t.at++; t.at {
	case 1:
		if j.RollingBack && !j.wrote(journal.ThingRevision) {
			t.complete(m, untouched, now)
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
			t.finished(m, "", t.err, now)
			return
		}
	default:
		t.finished(m, "", t.err, now)
		return
	}
	to := Change(j.Plan, j.RollingBack).To
	m.write(now, journal.Write{Thing: journal.ThingRevision, Revision: &to})
}

// unstageStep takes back the draft that the rollout made, unless it is in use.
func unstageStep(m *Machine, now time.Time) {
	t := m.task
	switch t.at++; {
	case t.at == 1 && !m.ledger.wrote(journal.ThingDraft):
		t.complete(m, "the rollout did not get to make it", now)
	case t.at == 1:
		m.write(now, journal.Write{Thing: journal.ThingDraft, Unstage: true})
	case errors.Is(t.err, errInUse):
		t.complete(m, "left there, as it is in use", now)
	default:
		t.finished(m, "", t.err, now)
	}
}

// shiftStep gives the target its share of the traffic. A freeze window puts that off.
func shiftStep(m *Machine, now time.Time) {
	t, j := m.task, m.ledger
	switch {
	case t.at == 1 || t.err != nil:
		t.finished(m, "", t.err, now)
	case j.RollingBack && !j.wrote(journal.ThingShare):
		t.complete(m, untouched, now)
	case !j.RollingBack && m.frozen.at(now):
		t.by = time.Time{}
		m.wait(now, waitFrozen, OpStatus).ready = m.readyFor(true)
	default:
		t.at, t.by = 1, now.Add(t.step.Timeout)
		m.write(now, journal.Write{Thing: journal.ThingShare, Value: &t.step.Value})
	}
}

// drainStep waits until there is no job.
func drainStep(m *Machine, now time.Time) {
	t := m.task
	if t.at++; t.at == 1 {
		m.wait(now, waitJobs, OpJobs)
		return
	}
	t.finished(m, "", t.err, now)
}

// awaitStep waits for a condition. For a revision the note says what proved it.
func awaitStep(m *Machine, now time.Time) {
	t, j := m.task, m.ledger
	ofRevision := t.step.Until != strategy.UntilEmpty && t.step.Until != strategy.UntilSettled
	switch t.at++; t.at {
	case 1:
		if j.RollingBack && len(j.Failures) > 0 {
			t.finished(m, "", errors.New("not waited for, because an earlier step could not be done"), now)
			return
		}
		// Until then a read may show the source as it was before the rollout.
		if after := j.consistentAfter(journal.ThingRevision); j.RollingBack && ofRevision && now.Before(after) {
			m.wait(now, waitPause, OpStatus).until = after
			return
		}
		t.at, t.err = 2, nil
		awaitCondition(m, now)
	case 2:
		if t.err != nil {
			t.finished(m, "", t.err, now)
			return
		}
		awaitCondition(m, now)
	default:
		note, err := m.task.awaited(m, t.err, now)
		if t.extended > 0 && err == nil {
			note += "; it took longer than the step had, and could not be stopped"
		}
		if !j.RollingBack && err == nil && ofRevision {
			_, err = m.verdict(now) // of the provider's own stages, kept until their end
		}
		t.finished(m, note, err, now)
	}
}

// awaitCondition begins the wait of an await step.
func awaitCondition(m *Machine, now time.Time) {
	t, j := m.task, m.ledger
	leftAlone := j.drifted(journal.ThingRevision)
	switch t.step.Until {
	case strategy.UntilEmpty:
		m.wait(now, waitEmpty, OpStatus)
	case strategy.UntilSettled:
		m.wait(now, waitSettled, OpStatus)
	case strategy.UntilAccepted, strategy.UntilRunning:
		if leftAlone {
			t.complete(m, "", now)
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
			t.complete(m, "left alone", now)
			return
		}
		w := m.wait(now, waitReady, OpStatus)
		// Without worker bounds, autoscaling may have taken all of the capacity away.
		_, bounded := j.Plan.Settings[endpoint.WorkersMin]
		w.ready = m.readyFor(t.step.Until == strategy.UntilConfigured || !bounded)
	}
}

// awaited says what the wait of an await step has come to.
func (t *task) awaited(m *Machine, err error, now time.Time) (note string, _ error) {
	j, s := m.ledger, t.step
	if s.Until != strategy.UntilServing && s.Until != strategy.UntilConfigured {
		return "", err
	}
	want := Change(j.Plan, j.RollingBack).To
	switch {
	case err != nil && j.RollingBack && (errors.Is(err, endpoint.ErrDrift) ||
		errors.Is(err, endpoint.ErrRolledBack) && !j.wrote(journal.ThingRevision)): // the target is a foreign value then
		return "", &driftError{journal.Drift{Thing: journal.ThingRevision, Want: want.String(), Found: m.seen.Desired.String()}}
	case err != nil:
		return "", t.notConverged(m, err, now)
	case m.seen.Serving.Same(want):
		return proven(strategy.ProofWorkers), nil
	}
	return proven(strategy.ProofConfiguration), nil
}

// notConverged says of a wait that took too long which workers stayed behind,
// and what would replace them. That is for the caller to choose: it has downtime.
func (t *task) notConverged(m *Machine, err error, now time.Time) error {
	if short := shortOf(m, err); short != nil {
		return short
	}
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
			ErrNotStarted, starting, m.seen.Live(), which, now.Sub(t.began).Round(time.Second), artifact(m.ledger.Plan.Target), err)
	}
	_, bounded := m.seen.Settings[endpoint.WorkersMax]
	if stale == 0 || !bounded || flushes(m) {
		return err
	}
	return fmt.Errorf("%w: %d of %d workers stayed%s; a %s rollout would replace them, with downtime: %w",
		ErrNotConverged, stale, m.seen.Live(), which, strategy.FlushToZero{}, err)
}

// shortOf is the error of a wait that took too long for want of hardware, nil if
// that is not why. A flush would need the same hardware.
func shortOf(m *Machine, err error) error {
	throttled := 0
	for _, p := range m.seen.Pools {
		throttled += p.Throttled
	}
	if !isLate(err) || throttled == 0 {
		return nil
	}
	why := m.seen.Reason
	if why == "" {
		why = m.seen.UpdateStage.Message
	}
	if why != "" {
		why = " (" + why + ")"
	}
	return fmt.Errorf("%w: %d of %d workers wait for hardware%s: %w", ErrNoCapacity, throttled, m.seen.Live(), why, err)
}

// artifact names what a revision runs.
func artifact(r endpoint.Revision) string {
	if r.Artifact != "" {
		return r.Artifact
	}
	return r.String()
}

// flushes reports whether the plan takes all workers away before the update.
func flushes(m *Machine) bool {
	return slices.ContainsFunc(m.ledger.Plan.Forward, func(s strategy.Step) bool {
		return s.Do == strategy.ActionAwait && s.Until == strategy.UntilEmpty
	})
}
