package core

import (
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

// guard watches the target while it has traffic: it has the checks asked that are
// due, and reads what people have decided.
type guard struct {
	traffic  time.Time   // since when the target has some
	checkDue []time.Time // when each check is due
	newsAt   time.Time   // when the journal was read for decisions
}

// noteTraffic notes since when the target has traffic.
func (g *guard) noteTraffic(m *Machine, s endpoint.Status, now time.Time) bool {
	has := m.hasTraffic(s)
	if has && g.traffic.IsZero() {
		g.traffic = now
	}
	return has
}

// sample describes the endpoint for a check.
func (g *guard) sample(m *Machine, now time.Time) Sample {
	p := m.ledger.Plan
	s := Sample{Step: m.task.step.Name, Source: p.Source, Target: p.Target, Status: m.seen, Elapsed: now.Sub(g.traffic)}
	if p.Canary != nil {
		s.SourceNames, s.TargetNames = p.Canary.Source, p.Canary.Target
	}
	switch {
	case m.seen.Share != nil:
		s.Share = *m.seen.Share
	case m.seen.Serving.Same(p.Target):
		s.Share = 100
	}
	return s
}

// dueCheck is the next check of the poll that is due, -1 if none is.
func (g *guard) dueCheck(m *Machine, w *waiting, now time.Time) int {
	checks := m.ledger.Plan.Checks
	if g.checkDue == nil {
		g.checkDue = make([]time.Time, len(checks))
	}
	for ; w.check < len(checks); w.check++ {
		c := checks[w.check]
		if now.Before(g.checkDue[w.check]) || now.Sub(g.traffic) < c.Delay || !m.policy.Checks[c.Name] {
			continue
		}
		return w.check
	}
	return -1
}

// nextCheck is when the next check is due; zero if there is none.
func (g *guard) nextCheck(m *Machine) time.Time {
	var next time.Time
	for i, c := range m.ledger.Plan.Checks {
		due := later(g.checkDue[i], g.traffic.Add(c.Delay))
		if c.Interval+c.Delay > 0 && (next.IsZero() || due.Before(next)) {
			next = due
		}
	}
	return next
}

// asked takes in what a check said. It goes on record if it counts: a resume
// goes on counting.
func (g *guard) asked(m *Machine, w *waiting, r Result, now time.Time) {
	c := m.ledger.Plan.Checks[w.check]
	v := r.Verdict
	if v.Check = c.Name; r.Err != nil {
		v = journal.Verdict{Check: c.Name, Result: resultUnknown, Reason: r.Err.Error()}
	}
	if v.Result != resultPass && v.Result != resultFail {
		v.Result = resultUnknown
	}
	g.checkDue[w.check] = now.Add(c.Interval)
	w.check++
	w.rejudge = true
	event := stepEvent(m, EventCheck, m.task.step.Name, v.String())
	event.Verdict = &v
	t := m.ledger.tallies[c.Name]
	if v.Result == t.last.Result && (v.Result == resultUnknown || v.Result == resultPass && t.passes >= c.Passes) {
		m.emit(event)
		return
	}
	m.rec.add(journal.Record{Kind: journal.KindCheck, Step: m.task.step.Name, Verdict: &v}, event)
}

// wantsNews reports whether the journal has to be read for decisions now.
func (g *guard) wantsNews(m *Machine, w *waiting, now time.Time) bool {
	if w.got.news || m.ledger.Restoring() {
		return false
	}
	return w.kind == waitHold || now.Sub(g.newsAt) >= newsInterval
}

// news takes in the records that other processes have appended.
func (g *guard) news(m *Machine, records []journal.Record, now time.Time) {
	g.newsAt = now
	for i := range records {
		r := &records[i]
		if r.Seq <= m.ledger.Seq {
			continue
		}
		if r.Kind != journal.KindDecision || r.Decision == nil {
			m.course.conflict(m, fmt.Errorf("%w: record %d, a %s", journal.ErrConflict, r.Seq, r.Kind), now)
			return
		}
		if err := m.ledger.add(r); err != nil {
			m.course.fatal(m, err)
			return
		}
		tellDecision(m, r.Decision)
	}
}
