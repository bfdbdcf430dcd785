package page

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// story is what the records of a rollout amount to over time.
type story struct {
	t       *Timeline
	steps   []*step // that began, and of a rollout in progress those to come
	runners []*runner
	marks   []mark // what happened at one moment
	checks  []*check
	holds   []*hold
	began   time.Time
	until   time.Time // the end, or up to when anything is known
	ended   bool

	cursor *step     // that is being carried out
	since  time.Time // since when nothing else was
}

// state is how a step, or a rollout, stands.
type state string

const (
	pending state = "to come"
	running state = "running"
	done    state = "done"
	failed  state = "failed"
	stopped state = "stopped" // it has no runner
)

// step is one step of either list.
type step struct {
	strategy.Step
	n, of        int
	rollback     bool
	state        state
	began, ended time.Time
	text         string
	writes       []write
}

// write is one write of a step.
type write struct {
	at      time.Time
	what    string
	applied string // what became of it
}

// runner is one process that drove the rollout.
type runner struct {
	name         string
	began, ended time.Time
}

// mark is something that happened at one moment.
type mark struct {
	at    time.Time
	kind  journal.RecordKind
	title string
	text  string
}

func newStory(t *Timeline) *story {
	s := &story{t: t, began: t.records[0].Time}
	s.plan(t.plan.Forward, false)
	for i := range t.records {
		s.add(&t.records[i])
	}
	s.finish()
	return s
}

// plan adds the steps of a list, none of which has begun.
func (s *story) plan(list []strategy.Step, rollback bool) {
	for i, st := range list {
		s.steps = append(s.steps, &step{Step: st, n: i + 1, of: len(list), rollback: rollback, state: pending})
	}
}

// add takes in the next record.
func (s *story) add(r *journal.Record) {
	if r.Time.After(s.until) {
		s.until = r.Time
	}
	if n := len(s.runners); n > 0 && s.runners[n-1].ended.Before(r.Time) && r.Kind != journal.KindClaim {
		s.runners[n-1].ended = r.Time
	}
	switch r.Kind {
	case journal.KindPlan:
		s.since = r.Time
	case journal.KindClaim:
		s.claim(r)
	case journal.KindIntent:
		s.begin(r.Step, r.Time).writes = append(s.begin(r.Step, r.Time).writes, write{at: r.Time, what: r.Write.String(), applied: "open"})
	case journal.KindDone, journal.KindCommit:
		s.complete(r)
	case journal.KindFailed:
		s.fail(r)
	case journal.KindBake:
		s.begin(r.Step, r.Time).text = "until " + clock(r.NotAfter)
	case journal.KindRollback:
		s.rollback(r)
	case journal.KindDrift, journal.KindOverridden:
		s.mark(r, "")
	case journal.KindStop, journal.KindEnd:
		s.end(r)
	case journal.KindCheck, journal.KindHold, journal.KindDecision:
		s.judged(r)
	}
}

func (s *story) mark(r *journal.Record, title string) {
	s.marks = append(s.marks, mark{at: r.Time, kind: r.Kind, title: title, text: rollout.Describe(r)})
}

// claim hands over to a runner.
func (s *story) claim(r *journal.Record) {
	s.runners = append(s.runners, &runner{name: r.Owner, began: r.Time, ended: r.Time})
	if s.cursor == nil {
		s.since = r.Time
	}
}

// find is the step of that name in the list that is being carried out, or one
// made for it if the plan has none.
func (s *story) find(name string) *step {
	back := s.rollsBack()
	for _, st := range slices.Backward(s.steps) {
		if st.Name == name && st.rollback == back {
			return st
		}
	}
	st := &step{Step: strategy.Step{Name: cmp.Or(name, "a write")}, rollback: back, state: pending}
	s.steps = append(s.steps, st)
	return st
}

func (s *story) rollsBack() bool { return len(s.steps) > 0 && s.steps[len(s.steps)-1].rollback }

// begin notes that a step is being carried out.
func (s *story) begin(name string, at time.Time) *step {
	st := s.find(name)
	if st.began.IsZero() {
		st.began = s.since
		if st.began.IsZero() || st.began.After(at) {
			st.began = at
		}
	}
	if st.state == pending {
		st.state = running
	}
	s.cursor = st
	return st
}

// complete ends a step, or only its write.
func (s *story) complete(r *journal.Record) {
	s.resolve("applied")
	if r.Step == "" {
		return
	}
	st := s.begin(r.Step, r.Time)
	st.state, st.ended, st.text = done, r.Time, r.Note
	s.release(r, r.Note)
	if r.Kind == journal.KindCommit {
		s.mark(r, "commit point")
	}
}

func (s *story) fail(r *journal.Record) {
	s.resolve("not applied")
	if r.Step == "" {
		return
	}
	st := s.begin(r.Step, r.Time)
	st.state, st.ended, st.text = failed, r.Time, r.Error
	s.release(r, r.Error)
}

// release notes that no step is being carried out, so that no decision is
// waited for.
func (s *story) release(r *journal.Record, why string) {
	s.cursor, s.since = nil, r.Time
	if h := s.open(); h != nil {
		h.ended, h.decision = r.Time, why
	}
}

// resolve notes what became of the open write.
func (s *story) resolve(what string) {
	if s.cursor != nil && len(s.cursor.writes) > 0 {
		if w := &s.cursor.writes[len(s.cursor.writes)-1]; w.applied == "open" {
			w.applied = what
		}
	}
}

func (s *story) rollback(r *journal.Record) {
	s.mark(r, "rollback")
	switch {
	case r.Step != "":
		st := s.begin(r.Step, r.Time)
		st.state, st.ended, st.text = failed, r.Time, r.Error
	case s.cursor != nil:
		s.cursor.state, s.cursor.ended = failed, r.Time
	}
	s.plan(s.t.plan.Rollback, true)
	s.release(r, r.Error)
}

func (s *story) end(r *journal.Record) {
	s.ended = r.Kind == journal.KindEnd
	if !s.ended {
		s.mark(r, "stopped")
	}
	if s.cursor != nil {
		s.cursor.state, s.cursor.ended = stopped, r.Time
	}
}

// finish settles what is open at the end of the records.
func (s *story) finish() {
	beat := s.t.heartbeat
	if n := len(s.runners); beat != nil && n > 0 && beat.Owner == s.runners[n-1].name && s.t.last().Kind != journal.KindStop && !s.ended {
		s.runners[n-1].ended = later(s.runners[n-1].ended, beat.Time)
		s.until = later(s.until, beat.Time)
	}
	if s.t.series != nil && !s.ended {
		s.until = later(s.until, s.t.series.Until)
	}
	if s.live() {
		s.until = later(s.until, s.t.read)
	}
	if i := slices.IndexFunc(s.steps, func(st *step) bool { return st.state == pending && st.rollback == s.rollsBack() }); i >= 0 &&
		s.cursor == nil && !s.ended && s.t.last().Kind != journal.KindStop && !s.since.IsZero() {
		s.steps[i].state, s.steps[i].began = running, s.since
	}
	s.steps = slices.DeleteFunc(s.steps, func(st *step) bool { return st.state == pending && (s.ended || st.rollback != s.rollsBack()) })
	if !s.until.After(s.began) {
		s.until = s.began.Add(time.Second)
	}
}

// live reports whether a runner was alive when the journal was read, as far as
// that is known.
func (s *story) live() bool {
	if s.ended || s.t.damage != nil || s.t.last().Kind == journal.KindStop {
		return false
	}
	last := s.t.last().Time
	if s.t.heartbeat != nil {
		last = later(last, s.t.heartbeat.Time)
	}
	return s.t.read.Sub(last) < 3*journal.HeartbeatInterval+s.t.plan.Settle
}

// outcome is how the rollout stands, in one word or two, and its class.
func (s *story) outcome() (text, class string) {
	last := s.t.last()
	switch {
	case s.ended || last.Kind == journal.KindStop:
		switch rollout.Outcome(last.Outcome) {
		case rollout.OutcomeSucceeded, rollout.OutcomeNoOp:
			return last.Outcome, "good"
		case rollout.OutcomeRolledBack, rollout.OutcomeSuperseded:
			return last.Outcome, "back"
		case rollout.OutcomeDetached, rollout.OutcomeIncomplete, rollout.OutcomeNothing, rollout.OutcomeRefused, rollout.OutcomeGone, rollout.OutcomeAbandoned:
		}
		return last.Outcome, "bad"
	case s.t.damage != nil:
		return "cannot be read", "bad"
	case !s.live():
		return "has no runner", "bad"
	case s.open() != nil:
		return "waits for a decision", "back"
	case s.rollsBack():
		return "rolling back", "back"
	}
	return "in progress", "live"
}

// headline says how the rollout stands, with its duration.
func (s *story) headline() string {
	text, _ := s.outcome()
	text = strings.ToUpper(text[:1]) + text[1:]
	if s.ended {
		return text + " after " + human(s.until.Sub(s.began))
	}
	return text + ", begun " + clock(s.began)
}

// unserved is for how long no capacity was ready, as far as the polls showed.
func (s *story) unserved() (d time.Duration) {
	if s.t.series == nil {
		return 0
	}
	points := s.t.series.Points
	for i, p := range points {
		to := s.t.series.Until
		if i+1 < len(points) {
			to = points[i+1].At
		}
		if p.Ready() == 0 {
			d += max(0, to.Sub(p.At))
		}
	}
	return d
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
