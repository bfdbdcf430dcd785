package core

import (
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// bakeStep watches the target for a while. When that ends is on record, so
// that a resume does not begin it again.
func bakeStep(m *Machine, now time.Time) {
	t, j := m.task, m.ledger
	switch t.at++; t.at {
	case 1:
		if err := m.missingCheck(); err != nil {
			t.finished(m, "", err, now)
			return
		}
		if until, ok := j.bakes[t.step.Name]; !ok && t.step.For > 0 || until.IsZero() && t.step.For > 0 {
			m.rec.add(journal.Record{Kind: journal.KindBake, Step: t.step.Name, NotAfter: now.Add(t.step.For).Round(0)})
			return
		}
		t.at = 2
		fallthrough
	case 2:
		w := m.wait(now, waitBake, OpStatus)
		if w.ready, w.until = m.readyFor(t.step.Until != strategy.UntilServing), j.bakes[t.step.Name]; w.until.IsZero() {
			w.until = now
		}
	default:
		t.finished(m, t.note, t.err, now)
	}
}

// findBaked judges a poll of the bake. The new revision has to stay ready, and
// every check has to pass.
func findBaked(m *Machine, w *waiting, now time.Time) finding {
	f, whole := findWatched(m, w, now)
	if !whole {
		return f
	}
	hold, err := m.verdict(now)
	left := w.until.Sub(now)
	due := w.until
	if next := m.guard.nextCheck(m); !next.IsZero() && next.Before(due) {
		due = next
	}
	skipped := m.ledger.skipped[m.task.step.Name]
	switch {
	case err != nil:
		return finding{err: err}
	case hold != "" && (left <= 0 || skipped != ""):
		return finding{note: hold, due: due}
	case skipped != "":
		m.task.note = "the rest is skipped: " + skipped
		return finding{done: true}
	}
	note := fmt.Sprintf("baking, %v left", max(0, left).Round(time.Second))
	if hold != "" {
		note += "; " + hold
	}
	return finding{done: left <= 0, note: note, due: due}
}

// stays judges whether the target is as it has to stay while it is watched.
func stays(m *Machine, w *waiting, now time.Time) finding {
	until := m.task.step.Until
	if until != strategy.UntilAccepted && until != strategy.UntilRunning {
		return found(w.ready.Judge(&w.got.status, now), now)
	}
	s, want := w.got.status, w.ready.Want
	ok := s.Desired.Same(want) && (until == strategy.UntilAccepted || runsAlone(s, want))
	return finding{done: ok, note: "on " + s.Desired.String()}
}

// findWatched judges the status of a poll while the target is watched, reads
// what a person has decided, and asks the checks that are due. It reports
// whether the poll is complete.
func findWatched(m *Machine, w *waiting, now time.Time) (finding, bool) {
	if !w.got.watched {
		if len(m.overridden(w.got.status, now)) > 0 {
			return finding{err: m.overriddenError(now)}, false
		}
		if f, paused := pausedByAnother(m, w, now); paused {
			return f, false
		}
		if f := stays(m, w, now); !f.done || f.err != nil {
			return f, false
		}
		w.got.watched = true
		m.guard.noteTraffic(m, w.got.status, now)
	}
	if m.guard.wantsNews(m, w, now) {
		return finding{more: OpNews}, false
	}
	if m.guard.dueCheck(m, w, now) >= 0 {
		return finding{more: OpCheck}, false
	}
	return finding{}, true
}
