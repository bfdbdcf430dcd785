package core

import (
	"errors"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/journal"
)

// heartbeat is the last one of the runner that the journal names.
type heartbeat struct {
	first journal.Heartbeat
	now   journal.Heartbeat
	held  bool // there is one now
	dead  time.Time
}

// takingOver is the program that makes this runner the one that drives: wait
// until the lease of the runner before has expired, see that the endpoint is
// the one that the rollout began on, and claim it.
func takingOver(m *Machine, _ *waiting, now time.Time) {
	t, j := m.task, m.ledger
	switch t.at++; t.at {
	case 1:
		switch {
		case !j.Unfinished():
			m.course.end = &End{Outcome: Nothing}
			return
		case m.mayContinue():
			m.task = nil
			return
		}
		if m.policy.Exclusive || j.Last != nil || j.Owner == m.policy.Owner {
			t.at = 2
			m.wait(now, waitOnce, OpStatus)
		}
		// else the next operation reads the heartbeat
	case 2:
		if t.err != nil {
			m.course.refuse(m, t.err)
			return
		}
		if !m.ledger.Unfinished() {
			m.course.end = &End{Outcome: Nothing}
			return
		}
		m.wait(now, waitOnce, OpStatus)
	case 3:
		// A poll that fails says nothing: the rollout has time for that later.
		var other *mistaken
		if errors.As(t.err, &other) {
			m.course.refuse(m, other.error)
			return
		}
		t.err = nil
		p := j.Plan
		text := fmt.Sprintf("taking over %s: %s → %s, begun %s", p.Strategy, p.Source, p.Target, j.Began.Format(time.RFC3339))
		if j.AheadSeq > 0 {
			text += fmt.Sprintf("; record %d is dated %v after this clock, which was put back, and counts as of now", j.AheadSeq, j.Ahead.Round(time.Second))
		}
		m.claim(Event{Kind: EventResume, Plan: p, Text: text})
	default:
		m.task = nil
		if !j.RollingBack && !j.Committed && !m.policy.Forward {
			m.course.rollback(m, "", errors.New("it was interrupted before its commit point"))
		}
	}
}

// mistaken marks the error of another endpoint than the rollout's.
type mistaken struct{ error }

func (e *mistaken) Unwrap() error { return e.error }

// heard takes in the first heartbeat of the runner that the journal names. One
// of a runner before hides it until the next.
func (t *task) heard(m *Machine, r Result, now time.Time) {
	j := m.ledger
	if t.beat == nil {
		if r.Err != nil || r.Heartbeat.Rollout != j.Plan.Rollout {
			t.resume(m, nil, now)
			return
		}
		silent := LeaseTimeout + j.Plan.Settle
		t.beat = &heartbeat{first: r.Heartbeat, dead: r.Heartbeat.Time.Add(silent)}
		if latest := now.Add(silent); t.beat.dead.After(latest) {
			t.beat.dead = latest // its clock is ahead
		}
		m.wait(now, waitLease, OpLoad)
		return
	}
	t.beat.now, t.beat.held = r.Heartbeat, r.Err == nil && r.Heartbeat.Rollout == j.Plan.Rollout && r.Heartbeat.Owner == j.Owner
	t.wait.judge(m, now)
}

// findLease judges whether the runner that the journal names must be dead, has
// stopped, or has ended the rollout.
func findLease(m *Machine, w *waiting, now time.Time) finding {
	t := m.task
	if w.read == OpLoad {
		return finding{more: OpHeartbeat}
	}
	moved := w.moved
	switch j := m.ledger; {
	case moved && (!j.Unfinished() || j.Last != nil):
		return finding{done: true}
	case moved || t.beat.held && (t.beat.now.Owner != t.beat.first.Owner || !t.beat.now.Time.Equal(t.beat.first.Time)):
		return finding{err: ErrHeld}
	}
	note := ""
	if now.Before(t.beat.dead) {
		note = "waiting to see whether " + m.ledger.Owner + " is alive"
	}
	return finding{done: !now.Before(t.beat.dead), note: note, due: t.beat.dead}
}

// reload folds the journal that a wait for a lease read.
func (w *waiting) reload(m *Machine, records []journal.Record, now time.Time) error {
	j, err := Fold(m.ledger.Endpoint, records, now)
	if err != nil {
		return err
	}
	w.moved = w.moved || j.Seq != m.ledger.Seq
	m.ledger = j
	return nil
}
