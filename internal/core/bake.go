package core

import (
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/journal"
)

// bakeStep watches the target for a while. When that ends is on record, so
// that a resume does not begin it again.
func (m *Machine) bakeStep(now time.Time) {
	t, j := m.task, m.ledger
	switch t.at++; t.at {
	case 1:
		for _, name := range j.Plan.Gates {
			if !m.policy.Gates[name] {
				m.finished("", fmt.Errorf("%w: %q is in the plan and was not given", ErrGate, name), now)
				return
			}
		}
		if j.BakeUntil.IsZero() && t.step.For > 0 {
			m.record(journal.Record{Kind: journal.KindBake, Step: t.step.Name, NotAfter: now.Add(t.step.For).Round(0)})
			return
		}
		t.at = 2
		fallthrough
	case 2:
		w := m.wait(now, waitBake, OpStatus)
		if w.ready, w.until = m.readyFor(true), j.BakeUntil; w.until.IsZero() {
			w.until = now
		}
	default:
		m.finished("", t.err, now)
	}
}

// findBaked judges a poll of the bake. The new revision has to stay ready, and
// every gate has to pass at each poll.
func (m *Machine) findBaked(w *waiting, now time.Time) finding {
	if w.read == OpCheck {
		if err := w.got.gate; err != nil {
			return finding{err: fmt.Errorf("%w: %s: %w", ErrGate, m.ledger.Plan.Gates[w.gate], err)}
		}
		w.gate++
	} else {
		if len(m.overridden(w.got.status, now)) > 0 {
			return finding{err: m.overriddenError(now)}
		}
		if f := found(w.ready.Judge(&w.got.status, now), now); !f.done || f.err != nil {
			return f
		}
		w.gate = 0
	}
	if w.gate < len(m.ledger.Plan.Gates) {
		return finding{more: OpCheck}
	}
	left := w.until.Sub(now)
	return finding{done: left <= 0, note: fmt.Sprintf("baking, %v left", max(0, left).Round(time.Second)), due: w.until}
}
