package core

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

// mismatch is one thing that is not as it has to be.
type mismatch struct {
	journal.Drift

	verdict verdict // unknown, notApplied (the rollout's own doing) or drifted
	repair  journal.Write
}

// repairs are what a verification found to be wrong.
type repairs struct {
	todo   []mismatch
	fixing mismatch // the one that is repaired now
	failed error    // what could not be repaired
}

// verifyStep reads everything back, until it is as it has to be and no write
// of the rollout can still be on its way into view. What it finds to be the
// rollout's own and wrong, it repairs; what is foreign it notes.
func verifyStep(m *Machine, w *waiting, now time.Time) {
	t := m.task
	switch {
	case w != nil && t.err != nil:
		t.finished(m, "", t.err, now)
		return
	case w != nil: // a poll came to an end
		if len(w.wrong) == 0 {
			t.finished(m, "", nil, now)
			return
		}
		t.at = len(w.wrong)
		t.repairs = &repairs{todo: w.wrong}
	case t.err != nil:
		notRepaired(m, t.err)
	}
	repair(m, now)
}

// notRepaired takes in that a repair failed. What else is wrong is repaired all
// the same, and a foreign value that was found instead is kept.
func notRepaired(m *Machine, err error) {
	t := m.task
	var drift *driftError
	if errors.As(err, &drift) {
		m.rec.noteDrift(m, drift.Drift)
		return
	}
	r := t.repairs
	r.failed = errors.Join(r.failed, fmt.Errorf("%s is %s, want %s: %w", r.fixing.Thing, r.fixing.Found, r.fixing.Want, err))
}

// repair goes through what is wrong. That the provider went back by itself
// after the commit point is for the end to say: first everything else has to be right.
func repair(m *Machine, now time.Time) {
	t, r := m.task, m.task.repairs
	for r != nil && len(r.todo) > 0 {
		x := r.todo[0]
		r.todo, r.fixing = r.todo[1:], x
		switch {
		case x.verdict == unknown:
		case x.verdict == drifted:
			m.rec.noteDrift(m, x.Drift)
		case x.Thing != journal.ThingRevision || m.ledger.RollingBack:
			m.write(now, x.repair)
			return
		case t.at == 1:
			t.finished(m, "", fmt.Errorf("%w to %s after the commit point: %s", endpoint.ErrRolledBack, x.Found, orUnknown(m.seen.Reason)), now)
			return
		}
	}
	if r != nil && r.failed != nil {
		t.finished(m, "", r.failed, now)
		return
	}
	w := m.wait(now, waitVerify, OpStatus)
	w.until, w.ready = m.ledger.allConsistentAfter(), m.readyFor(true)
}

// findVerified judges a poll of everything: it has to be right twice, and what
// is wrong has to be so for longer than reads may lag.
func findVerified(m *Machine, w *waiting, now time.Time) finding {
	j := m.ledger
	inspect := j.wrote(journal.ThingAutoscaling) && !j.drifted(journal.ThingAutoscaling)
	if !w.got.inspected && !j.RollingBack && len(m.overridden(w.got.status, now)) > 0 {
		return finding{err: m.overriddenError(now)}
	}
	if inspect && !w.got.inspected {
		return finding{more: OpAutoscaling}
	}
	was := w.wrong
	w.wrong = m.mismatches(w.got, inspect)
	if left := w.ready.Stays(&w.got.status, now); left > 0 && !j.RollingBack && len(w.wrong) == 0 { // a crash loop proves nothing
		w.good = 0
		return finding{note: "its workers have to stay up", due: now.Add(left)}
	}
	if len(w.wrong) == 0 {
		w.good++
		return finding{done: w.good >= 2 && !now.Before(w.until), note: catchingUpNote, due: w.until}
	}
	w.good = 0
	if w.since.IsZero() || !slices.EqualFunc(was, w.wrong, func(a, b mismatch) bool { return a.Drift == b.Drift }) {
		w.since = now
	}
	due := later(w.since.Add(j.Plan.Settle), w.until)
	repairable := slices.ContainsFunc(w.wrong, func(x mismatch) bool { return x.verdict != unknown })
	return finding{
		done: !now.Before(due) && repairable, due: due,
		note: fmt.Sprintf("%s is %s, want %s", w.wrong[0].Thing, w.wrong[0].Found, w.wrong[0].Want),
	}
}

// mismatches compares everything that the rollout answers for with a poll.
func (k *known) mismatches(g *reading, inspected bool) []mismatch {
	j := k.ledger
	wrong := k.mismatchedRevision(g.status)
	for _, key := range j.Plan.Settings.Keys() {
		want, have := j.Plan.Settings[key], g.status.Settings[key]
		if have == want || j.moves(key) || j.drifted(key) || k.gone(g.status, key) {
			continue
		}
		v := drifted
		if j.known(key, have) && j.wrote(key) || j.overrides(key, have) || j.resets(key, have) {
			v = notApplied
		}
		wrong = append(wrong, mismatch{
			journal.Drift{Thing: key, Want: strconv.Itoa(want), Found: strconv.Itoa(have)}, v, journal.Write{Thing: key, Value: &want},
		})
	}
	wrong = append(wrong, k.movedFields(g.status)...)
	if is := g.autoscaling; inspected && !is.Restored {
		v := notApplied
		if len(is.Foreign) == len(is.Differences) {
			v = drifted
		}
		wrong = append(wrong, mismatch{
			journal.Drift{Thing: journal.ThingAutoscaling, Want: "as it was", Found: strings.Join(is.Differences, ", ")},
			v,
			journal.Write{Thing: journal.ThingAutoscaling},
		})
	}
	return wrong
}

// movedFields are the settings that no rollout writes, and that another has
// changed, added or taken away in the meantime.
func (k *known) movedFields(s endpoint.Status) []mismatch {
	j := k.ledger
	if len(j.Plan.Fields) == 0 || len(s.Fields) == 0 { // the provider did not tell
		return nil
	}
	all := maps.Clone(j.Plan.Fields)
	maps.Copy(all, s.Fields)
	var moved []mismatch
	for _, name := range slices.Sorted(maps.Keys(all)) {
		want, had := j.Plan.Fields[name]
		have, has := s.Fields[name]
		if had == has && have == want || j.drifted(name) {
			continue
		}
		d := journal.Drift{Thing: name, Want: cmp.Or(want, "none"), Found: cmp.Or(have, "none")}
		moved = append(moved, mismatch{d, drifted, journal.Write{}})
	}
	return moved
}

// mismatchedRevision checks identity: health was proven before the commit point.
func (k *known) mismatchedRevision(s endpoint.Status) []mismatch {
	j := k.ledger
	if j.drifted(journal.ThingRevision) {
		return nil
	}
	want := Change(j.Plan, j.RollingBack).To
	x := mismatch{
		Drift:  journal.Drift{Thing: journal.ThingRevision, Want: want.String(), Found: s.Desired.String()},
		repair: journal.Write{Thing: journal.ThingRevision, Revision: &want},
	}
	source, target := s.Desired.Same(j.Plan.Source), s.Desired.Same(j.Plan.Target)
	switch {
	case s.Desired.IsZero() || s.Phase == endpoint.PhaseUnknown:
		x.verdict = unknown
	case s.Desired.Same(want):
		if j.RollingBack || s.Serving.Same(want) || mayIdle(j.Plan, s) {
			return nil
		}
		x.Found, x.verdict = "not proven to run", unknown
	case (source || target || isCanary(j.Plan, s.Desired)) && j.wrote(journal.ThingRevision):
		x.verdict = notApplied
	default:
		x.verdict = drifted
	}
	return []mismatch{x}
}
