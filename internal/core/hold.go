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
func holdStep(m *Machine, now time.Time) {
	t, j := m.task, m.ledger
	switch t.at++; t.at {
	case 1:
		if j.Hold == nil || j.Hold.Step != t.step.Name {
			expires := now.Add(t.step.For).Round(0)
			event := stepEvent(m, EventHold, t.step.Name, fmt.Sprintf("waits for the approval %q until %s", t.step.Key, expires.UTC().Format(time.RFC3339)))
			m.rec.add(journal.Record{Kind: journal.KindHold, Step: t.step.Name, Note: t.step.Key, NotAfter: expires}, event)
			return
		}
		t.at = 2
		fallthrough
	case 2:
		m.wait(now, waitHold, OpStatus).ready = m.readyFor(true)
	default:
		t.finished(m, t.note, t.err, now)
	}
}

// findHeld judges a poll while a decision is waited for. The endpoint is
// watched: if the target breaks, the rollout goes back.
func findHeld(m *Machine, w *waiting, now time.Time) finding {
	h := m.ledger.Hold
	f, whole := findWatched(m, w, now)
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

func tellDecision(m *Machine, d *journal.Decision) {
	m.emit(Event{Kind: EventDecision, Text: d.String()})
}

// aborted is the error of a rollout that a person aborted before its commit point.
func (k *known) aborted() error {
	if d := k.ledger.Aborted; d != nil {
		return fmt.Errorf("%w: %s", ErrRejected, d)
	}
	return nil
}
