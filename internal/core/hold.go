package core

import (
	"errors"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// The verbs of decisions.
const (
	VerbApprove  = "approve"
	VerbReject   = "reject"
	VerbAbort    = "abort"
	VerbSkipBake = "skip-bake"
)

// Errors of decisions.
var (
	// ErrRejected: a person rejected or aborted the rollout.
	ErrRejected = errors.New("rejected")
	// ErrExpired: nobody decided in time.
	ErrExpired = errors.New("approval expired")
)

// Hold is an approval that is being waited for.
type Hold struct {
	Step     string
	Approval string
	Since    time.Time
	Expires  time.Time
	Decision *journal.Decision // nil while it is pending
}

// newsInterval is how often the journal is read for decisions while the
// rollout waits for something else than a decision.
const newsInterval = 10 * time.Second

// decided takes in a decision that is on record. The first one of an approval
// counts.
func (j *Ledger) decided(d *journal.Decision) {
	switch d.Verb {
	case VerbAbort:
		if j.Aborted == nil {
			j.Aborted = d
		}
	case VerbSkipBake:
		if s := j.List(); j.Next < len(s) && s[j.Next].Do == strategy.ActionBake {
			if j.skipped == nil {
				j.skipped = map[string]string{}
			}
			j.skipped[s[j.Next].Name] = d.String()
		}
	case VerbApprove, VerbReject:
		if h := j.Hold; h != nil && h.Approval == d.Approval && h.Decision == nil {
			decided := *h
			decided.Decision = d
			j.Hold = &decided
		}
	}
}

// holdStep waits for a person's decision. When it expires is on record.
func (m *Machine) holdStep(now time.Time) {
	t, j := m.task, m.ledger
	switch t.at++; t.at {
	case 1:
		if j.Hold == nil || j.Hold.Step != t.step.Name {
			expires := now.Add(t.step.For).Round(0)
			event := m.stepEvent(EventHold, t.step.Name, fmt.Sprintf("waits for the approval %q until %s", t.step.Key, expires.UTC().Format(time.RFC3339)))
			m.record(journal.Record{Kind: journal.KindHold, Step: t.step.Name, Note: t.step.Key, NotAfter: expires}, event)
			return
		}
		t.at = 2
		fallthrough
	case 2:
		m.wait(now, waitHold, OpStatus).ready = m.readyFor(true)
	default:
		m.finished(t.note, t.err, now)
	}
}

// findHeld judges a poll while a decision is waited for. The endpoint is
// watched: if the target breaks, the rollout goes back.
func (m *Machine) findHeld(w *waiting, now time.Time) finding {
	h := m.ledger.Hold
	f, whole := m.findWatched(w, now)
	if !whole {
		return f
	}
	if _, err := m.verdict(now); err != nil {
		return finding{err: err}
	}
	switch {
	case h.Decision != nil && h.Decision.Verb == VerbReject:
		return finding{err: fmt.Errorf("%w: %s", ErrRejected, h.Decision)}
	case h.Decision != nil:
		m.task.note = h.Decision.String()
		return finding{done: true}
	case now.Before(h.Expires):
		return finding{note: fmt.Sprintf("waiting for the approval %q, %v left", h.Approval, h.Expires.Sub(now).Round(time.Second)), due: h.Expires}
	case m.task.step.Then == strategy.ExpiryContinue:
		m.task.note = "the approval expired, and the rollout goes on as planned"
		return finding{done: true}
	}
	return finding{err: fmt.Errorf("%w: %q was not decided in %v", ErrExpired, h.Approval, m.task.step.For)}
}

// wantsNews reports whether the journal has to be read for decisions now.
func (m *Machine) wantsNews(w *waiting, now time.Time) bool {
	if w.got.news || m.ledger.Restoring() {
		return false
	}
	return w.kind == waitHold || now.Sub(m.newsAt) >= newsInterval
}

// news takes in the records that other processes have appended.
func (m *Machine) news(records []journal.Record, now time.Time) {
	m.newsAt = now
	for i := range records {
		r := &records[i]
		if r.Seq <= m.ledger.Seq {
			continue
		}
		if r.Kind != journal.KindDecision || r.Decision == nil {
			m.conflict(fmt.Errorf("%w: record %d, a %s", journal.ErrConflict, r.Seq, r.Kind), now)
			return
		}
		if err := m.ledger.add(r); err != nil {
			m.fatal(err)
			return
		}
		m.tellDecision(r.Decision)
	}
}

func (m *Machine) tellDecision(d *journal.Decision) {
	m.emit(Event{Kind: EventDecision, Text: d.String()})
}

// aborted is the error of a rollout that a person aborted before its commit point.
func (m *Machine) aborted() error {
	if d := m.ledger.Aborted; d != nil {
		return fmt.Errorf("%w: %s", ErrRejected, d)
	}
	return nil
}
