package page

import (
	"time"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// check is what one check said over time.
type check struct {
	name     string
	verdicts []verdict
}

// verdict is one answer of a check.
type verdict struct {
	at           time.Time
	result       string // "pass", "fail" or "unknown"
	value, limit *float64
	reason       string
}

// hold is a stop of the rollout until a person decides.
type hold struct {
	name         string // of the approval
	step         string
	began, ended time.Time // ended is zero while it waits
	expires      time.Time
	decision     string // what was decided, and by which person
}

// judged takes in a record of a check, a hold or a decision.
func (s *story) judged(r *journal.Record) {
	switch {
	case r.Kind == journal.KindCheck && r.Verdict != nil:
		s.checked(r.Time, r.Verdict)
	case r.Kind == journal.KindHold:
		s.begin(r.Step, r.Time)
		s.holds = append(s.holds, &hold{name: r.Note, step: r.Step, began: r.Time, expires: r.NotAfter})
	case r.Kind == journal.KindDecision && r.Decision != nil:
		s.mark(r, "")
		if h := s.open(); h != nil && (r.Decision.Approval == h.name || r.Decision.Verb == string(rollout.Abort)) {
			h.decision, h.ended = r.Decision.String(), r.Time
		}
	}
}

// checked takes in what a check said.
func (s *story) checked(at time.Time, v *journal.Verdict) {
	d := verdict{at: at, result: v.Result, value: v.Value, limit: v.Limit, reason: v.Reason}
	for _, c := range s.checks {
		if c.name == v.Check {
			c.verdicts = append(c.verdicts, d)
			return
		}
	}
	s.checks = append(s.checks, &check{name: v.Check, verdicts: []verdict{d}})
}
