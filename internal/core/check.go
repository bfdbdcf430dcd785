package core

import (
	"errors"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// The results of a check.
const (
	resultPass    = "pass"
	resultFail    = "fail"
	resultUnknown = "unknown"
)

// tally is what a check has said so far, by the records.
type tally struct {
	passes, failures int
	last             journal.Verdict
	unknownSince     time.Time // zero unless the last verdict is unknown
}

// judged takes in a verdict that is on record.
func (j *Ledger) judged(r *journal.Record) {
	if j.tallies == nil {
		j.tallies = map[string]tally{}
	}
	t := j.tallies[r.Verdict.Check]
	t.last = *r.Verdict
	switch r.Verdict.Result {
	case resultPass:
		t.passes++
		t.unknownSince = time.Time{}
	case resultFail:
		t.failures++
		t.unknownSince = time.Time{}
	default:
		if t.unknownSince.IsZero() {
			t.unknownSince = r.Time
		}
	}
	j.tallies[r.Verdict.Check] = t
}

// Sample is what a check is asked about.
type Sample struct {
	Step           string
	Source, Target endpoint.Revision
	// SourceNames and TargetNames are the parts of the endpoint that run each.
	SourceNames, TargetNames []string
	// Share is the target's share of the traffic, in percent; 0 if the provider
	// moves the traffic by itself and does not say.
	Share   int
	Elapsed time.Duration // since the target has traffic
	Status  endpoint.Status
}

// sample describes the endpoint for a check.
func (m *Machine) sample(now time.Time) Sample {
	p := m.ledger.Plan
	s := Sample{Step: m.task.step.Name, Source: p.Source, Target: p.Target, Status: m.seen, Elapsed: now.Sub(m.traffic)}
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
func (m *Machine) dueCheck(w *waiting, now time.Time) int {
	checks := m.ledger.Plan.Checks
	if m.checkDue == nil {
		m.checkDue = make([]time.Time, len(checks))
	}
	for ; w.check < len(checks); w.check++ {
		c := checks[w.check]
		if now.Before(m.checkDue[w.check]) || now.Sub(m.traffic) < c.Delay || !m.policy.Checks[c.Name] {
			continue
		}
		return w.check
	}
	return -1
}

// nextCheck is when the next check is due; zero if there is none.
func (m *Machine) nextCheck() time.Time {
	var next time.Time
	for i, c := range m.ledger.Plan.Checks {
		due := later(m.checkDue[i], m.traffic.Add(c.Delay))
		if c.Interval+c.Delay > 0 && (next.IsZero() || due.Before(next)) {
			next = due
		}
	}
	return next
}

// asked takes in what a check said. It goes on record if it counts: a resume
// goes on counting.
func (m *Machine) asked(w *waiting, r Result, now time.Time) {
	c := m.ledger.Plan.Checks[w.check]
	v := r.Verdict
	if v.Check = c.Name; r.Err != nil {
		v = journal.Verdict{Check: c.Name, Result: resultUnknown, Reason: r.Err.Error()}
	}
	if v.Result != resultPass && v.Result != resultFail {
		v.Result = resultUnknown
	}
	m.checkDue[w.check] = now.Add(c.Interval)
	w.check++
	w.rejudge = true
	event := m.stepEvent(EventCheck, m.task.step.Name, v.String())
	event.Verdict = &v
	t := m.ledger.tallies[c.Name]
	if v.Result == t.last.Result && (v.Result == resultUnknown || v.Result == resultPass && t.passes >= c.Passes) {
		m.emit(event)
		return
	}
	m.record(journal.Record{Kind: journal.KindCheck, Step: m.task.step.Name, Verdict: &v}, event)
}

// verdict is what all checks come to: an error if one failed, or whether the
// rollout has to hold, and why.
func (m *Machine) verdict(now time.Time) (hold string, err error) {
	for _, c := range m.ledger.Plan.Checks {
		t := m.ledger.tallies[c.Name]
		unknown := t.last.Result == resultUnknown
		switch {
		case t.failures > c.Failures:
			return "", fmt.Errorf("%w: %s%s", ErrCheck, t.last, tolerated(t.failures, c.Failures))
		case unknown && c.Unknown == strategy.UnknownRollback:
			return "", fmt.Errorf("%w: %s", ErrCheck, t.last)
		case unknown && c.Unknown == strategy.UnknownContinue:
		case unknown:
			if passed := now.Sub(t.unknownSince); passed >= c.UnknownLimit {
				return "", fmt.Errorf("%w: it could not tell for %v whether the new revision is good: %s", ErrCheck, passed.Round(time.Second), t.last)
			}
			hold = "holding, since a check cannot tell: " + t.last.String()
		case t.passes < c.Passes:
			hold = fmt.Sprintf("holding until %s has passed %d of %d times", c.Name, t.passes, c.Passes)
		}
	}
	return hold, nil
}

func tolerated(failures, tolerated int) string {
	if tolerated == 0 {
		return ""
	}
	return fmt.Sprintf(" (failed %d times, %d are tolerated)", failures, tolerated)
}

// missingCheck is the error of a check that is in the plan and was not given.
func (m *Machine) missingCheck() error {
	for _, c := range m.ledger.Plan.Checks {
		if !m.policy.Checks[c.Name] {
			return fmt.Errorf("%w: %q is in the plan and was not given", ErrCheck, c.Name)
		}
	}
	return nil
}

// ErrCheck means that a check or the probe did not pass, or is missing.
var ErrCheck = errors.New("check did not pass")

// hasTraffic reports whether the target serves some of the requests by now.
func (m *Machine) hasTraffic(s endpoint.Status) bool {
	if m.wants() != m.ledger.Plan.Target || s.Share != nil {
		return s.Share != nil && *s.Share > 0
	}
	return s.Mixed || s.Serving.Same(m.ledger.Plan.Target) || s.UpdateStage.Name != ""
}

// noteTraffic notes since when the target has traffic.
func (m *Machine) noteTraffic(s endpoint.Status, now time.Time) bool {
	has := m.hasTraffic(s)
	if has && m.traffic.IsZero() {
		m.traffic = now
	}
	return has
}
