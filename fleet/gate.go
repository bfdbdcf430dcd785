package fleet

import (
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// gate is what has to hold before the next wave.
type gate struct {
	wave   *wave
	since  time.Time // the soak's beginning
	until  time.Time // and its end
	checks []checkState
	due    time.Time // when to judge again; zero if only an answer leads on
}

// checkState is how far a check is.
type checkState struct {
	due     time.Time
	asking  bool
	passed  bool      // the last answer, asked for at the end of the soak
	unknown time.Time // since when it cannot tell; zero if it can
	last    rollout.Result
	reason  string
}

// pass reports whether a wave whose members have ended has passed.
func (r *runner) pass(w *wave, now time.Time) bool {
	if r.gate == nil {
		r.gate = r.newGate(w, now)
		if r.lost != nil {
			return false
		}
	}
	g := r.gate
	if g.due = (time.Time{}); now.Before(g.until) {
		g.due = g.until
	}
	if passed := r.askChecks(g, now); r.ledger.breach != "" || now.Before(g.until) || !passed {
		return false
	}
	return w.Approval == nil || r.approved(g, now)
}

// newGate begins the soak of a wave, or goes on with it.
func (r *runner) newGate(w *wave, now time.Time) *gate {
	g := &gate{wave: w, since: now, until: now, checks: make([]checkState, len(w.Checks))}
	if until, begun := r.ledger.soaks[w.Name]; begun {
		g.until, g.since = until, until.Add(-w.Soak)
	} else if w.Soak > 0 {
		g.until = now.Add(w.Soak).Round(0)
		r.append(journal.Record{Kind: journal.KindBake, Step: w.Name, NotAfter: g.until})
		r.emit(Event{Kind: EventSoak, Wave: w.Name, Text: fmt.Sprintf("watched for %v", w.Soak)})
	}
	return g
}

// askChecks asks the checks that are due, and reports whether all have passed at
// the end of the soak.
func (r *runner) askChecks(g *gate, now time.Time) bool {
	passed := true
	for i := range g.checks {
		c, s := g.wave.Checks[i], &g.checks[i]
		switch {
		case s.asking:
		case s.passed && !now.Before(g.until):
			continue
		case !now.Before(s.due):
			r.ask(g, i, now)
		default:
			g.wakeAt(s.due)
		}
		if !s.unknown.IsZero() && now.Sub(s.unknown) >= c.unknownLimit() {
			r.breach(fmt.Sprintf("wave %s: check %s cannot tell for %v: %s", g.wave.Name, c.Name, c.unknownLimit(), s.reason))
			return false
		}
		passed = false
	}
	return passed
}

func (g *gate) wakeAt(t time.Time) {
	if g.due.IsZero() || t.Before(g.due) {
		g.due = t
	}
}

// ask asks the ith check.
func (r *runner) ask(g *gate, i int, now time.Time) {
	c, s := g.wave.Checks[i], &g.checks[i]
	s.asking = true
	sample := Sample{Fleet: r.f.ID, Wave: g.wave.Name, Elapsed: now.Sub(g.since)}
	for _, m := range g.wave.members {
		if m.outcome == Succeeded || m.outcome == NoOp {
			sample.Moved = append(sample.Moved, m.name)
		}
	}
	r.call(func() applied {
		v := c.ask(r.ctx, sample)
		return func() {
			if s.asking = false; r.gate == g {
				r.answered(g, i, v, now)
			}
		}
	})
}

// answered takes in what a check said that was asked at the time at.
func (r *runner) answered(g *gate, i int, v rollout.Verdict, at time.Time) {
	c, s := g.wave.Checks[i], &g.checks[i]
	now := time.Now()
	if s.due = at.Add(c.interval()); at.Before(g.until) && s.due.After(g.until) {
		s.due = g.until
	}
	verdict := &journal.Verdict{Check: c.Name, Result: string(v.Result), Value: v.Value, Limit: v.Limit, Reason: v.Reason}
	if v.Result != s.last {
		r.append(journal.Record{Kind: journal.KindCheck, Step: g.wave.Name, Verdict: verdict})
	}
	s.last, s.reason = v.Result, v.Reason
	r.emit(Event{Kind: EventCheck, Wave: g.wave.Name, Text: verdict.String(), Verdict: verdict})
	switch v.Result {
	case rollout.ResultPass:
		s.unknown, s.passed = time.Time{}, !at.Before(g.until)
	case rollout.ResultFail:
		r.breach(fmt.Sprintf("wave %s: %s", g.wave.Name, verdict))
	case rollout.ResultUnknown:
		if s.passed = false; s.unknown.IsZero() {
			s.unknown = now
		}
	}
}

// approved reports whether the wave's approval was given. If it was not, and will
// not be, that is a breach.
func (r *runner) approved(g *gate, now time.Time) bool {
	a, w := g.wave.Approval, g.wave
	h := r.ledger.holds[w.Name]
	if h == nil {
		expires := now.Add(a.Expires).Round(0)
		r.append(journal.Record{Kind: journal.KindHold, Step: w.Name, Note: a.Name, NotAfter: expires})
		r.emit(Event{Kind: EventHold, Wave: w.Name, Text: fmt.Sprintf("waits for the approval %q until %s", a.Name, expires.UTC().Format(time.RFC3339))})
		g.due = expires
		return false
	}
	switch {
	case h.decision != nil && h.decision.Verb == string(rollout.Approve):
		return true
	case h.decision != nil:
		r.breach(fmt.Sprintf("wave %s: %s", w.Name, h.decision))
		return false
	case now.Before(h.expires):
		g.due = h.expires
		return false
	case a.Then == strategy.ExpiryContinue:
		return true
	}
	r.breach(fmt.Sprintf("wave %s: the approval %q was not decided in %v", w.Name, a.Name, a.Expires))
	return false
}
