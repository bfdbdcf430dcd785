package core

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/strategy"
)

// Cursor returns what the machine has gathered since the newest record of its
// journal, as JSON, nil if there is nothing.
func (m *Machine) Cursor() []byte {
	t := m.task
	if m.course.end != nil || len(m.rec.queue) > 0 || t != nil && t.kind == taskTakeOver {
		return nil // which begins once more
	}
	c := Cursor{Seq: m.ledger.Seq, ForwardBy: m.deadlines.forwardBy, RestoreBy: m.deadlines.restoreBy, AnotherRound: m.course.anotherRound, Seen: m.seen, Step: m.course.step}
	switch {
	case m.ledger.Unfinished():
		c.Rollout = m.ledger.Plan.Rollout
	case t != nil && t.plan != nil:
		c.Rollout = t.plan.Rollout
	}
	c.Traffic, c.CheckDue, c.NewsAt, c.Foreign = m.guard.traffic, m.guard.checkDue, m.guard.newsAt, m.foreign
	if m.absence != nil {
		c.GoneSince, c.GonePolls, c.GoneLast = m.absence.since, m.absence.polls, m.absence.last
	}
	if t != nil {
		c.Task = t.save()
	}
	b, err := json.Marshal(c)
	if err != nil {
		return nil // losing it costs time
	}
	return b
}

func (t *task) save() *savedTask {
	s := &savedTask{
		Kind: t.kind, Step: t.step.Name, At: t.at, Began: t.began, By: t.by, Left: t.left, Waited: t.waited, Extended: t.extended, Polled: t.polled,
		Wait: t.wait.save(), Interrupted: t.interrupted.save(), Repairing: t.repairing, Worker: t.worker, Note: t.note, Plan: t.plan,
	}
	if r := t.repairs; r != nil {
		s.Repairs = &savedRepairs{Todo: saveMismatches(r.todo), Fixing: r.fixing.saved(), Failed: saveError(r.failed)}
	}
	if w := t.write; w != nil {
		s.Write = &savedWrite{
			Write: w.Write, Phase: w.phase, CallErr: saveError(w.callErr), Answered: w.answered, Open: w.open, Showed: w.showed, Found: w.found, Refusals: w.refusals,
		}
		if w.retry != nil {
			retry := w.retry.State()
			s.Write.Retry = &retry
		}
	}
	if set := t.setting; set != nil {
		s.Setting = &savedSetting{Key: set.key, Value: set.value, Queue: set.queue, Err: saveError(set.err), Phase: set.phase}
	}
	return s
}

func (w *waiting) save() *savedWait {
	if w == nil {
		return nil
	}
	s := &savedWait{
		Kind: w.kind, Pace: w.pace.State(), Read: w.read, Refusals: w.refusals, Since: w.since, Until: w.until, Paused: w.paused, Good: w.good,
		Wrong: saveMismatches(w.wrong), Ready: !w.ready.Want.IsZero(), Unproven: w.ready.Unproven, Last: w.last, Err: saveError(w.err), Check: w.check,
		Polling: w.polling,
	}
	s.Bad, s.Else, s.ElseRev = w.ready.Since()
	g := w.got
	if g == nil {
		return s
	}
	if s.Watched, s.News = g.watched, g.news; g.watched {
		s.Ruling = &savedFinding{g.ruling.done, g.ruling.note, g.ruling.due}
	}
	s.Got = savedReading{Jobs: g.jobs, NoJobs: g.noJobs}
	if !g.status.Desired.IsZero() || g.status.Phase != endpoint.PhaseUnknown {
		s.Got.Status = &g.status
	}
	if g.inspected {
		s.Got.Autoscaling = &g.autoscaling
	}
	return s
}

func (x mismatch) saved() savedMismatch {
	return savedMismatch{Drift: x.Drift, Verdict: x.verdict, Repair: x.repair}
}

func (s savedMismatch) restore() mismatch {
	return mismatch{Drift: s.Drift, verdict: s.Verdict, repair: s.Repair}
}

func saveMismatches(all []mismatch) []savedMismatch {
	var saved []savedMismatch
	for _, x := range all {
		saved = append(saved, x.saved())
	}
	return saved
}

func restoreMismatches(saved []savedMismatch) []mismatch {
	var all []mismatch
	for _, s := range saved {
		all = append(all, s.restore())
	}
	return all
}

// Restore lets a machine that has done nothing yet go on from a cursor. One that
// does not fit the journal is ignored: the machine then begins as without it.
func (m *Machine) Restore(c *Cursor, now time.Time) {
	j, t := m.ledger, m.task
	if c.Seq != j.Seq || t == nil || t.at != 0 {
		return
	}
	switch {
	case t.kind == taskPlan && !j.Unfinished():
		if c.Task == nil || c.Task.Kind != taskPlan || c.Task.Plan != nil && (c.Task.Plan.Check() != nil || c.Task.Plan.Endpoint != j.Endpoint) {
			return
		}
		m.planned = c.Task.Plan
	case t.kind == taskTakeOver && m.mayContinue() && c.Rollout == j.Plan.Rollout:
		if c.Task != nil && !m.fits(c.Task) {
			return
		}
		m.course.begun = true
	default:
		return
	}
	m.deadlines.forwardBy, m.deadlines.restoreBy, m.course.anotherRound, m.seen, m.course.step = c.ForwardBy, c.RestoreBy, c.AnotherRound, c.Seen, c.Step
	m.guard.traffic, m.guard.checkDue, m.guard.newsAt, m.foreign = c.Traffic, c.CheckDue, c.NewsAt, c.Foreign
	if !c.GoneSince.IsZero() {
		m.absence = &absence{c.GoneSince, c.GonePolls, c.GoneLast}
	}
	if len(m.guard.checkDue) > 0 && len(m.guard.checkDue) != len(m.ledger.Plan.Checks) {
		m.guard.checkDue = nil
	}
	if m.task = nil; c.Task != nil {
		restoreTask(m, c.Task, now)
	}
}

// fits reports whether a task is the one that the journal is at.
func (k *known) fits(s *savedTask) bool {
	j := k.ledger
	switch s.Kind {
	case taskOpenWrite:
		return j.Pending != nil && s.Write != nil
	case taskStep:
		list := j.List()
		return j.Next < len(list) && list[j.Next].Name == s.Step &&
			(j.Pending == nil) == (s.Write == nil || s.Write.Phase != confirming && s.Write.Phase != calling)
	case taskPlan, taskTakeOver:
	}
	return false
}

func restoreTask(m *Machine, s *savedTask, now time.Time) {
	t := &task{
		kind: s.Kind, at: s.At, began: s.Began, by: s.By, left: s.Left, waited: s.Waited, extended: s.Extended, polled: s.Polled, repairing: s.Repairing,
		worker: s.Worker, note: s.Note, plan: s.Plan,
	}
	if t.step.Name = s.Step; t.kind == taskStep {
		i := slices.IndexFunc(m.ledger.List(), func(step strategy.Step) bool { return step.Name == s.Step })
		t.step = m.ledger.List()[i]
	}
	m.task = t
	if r := s.Repairs; r != nil {
		t.repairs = &repairs{todo: restoreMismatches(r.Todo), fixing: r.Fixing.restore(), failed: r.Failed.restore()}
	}
	if w := s.Write; w != nil {
		t.write = &writing{
			Write: w.Write, phase: w.Phase, callErr: w.CallErr.restore(), answered: w.Answered, open: w.Open, showed: w.Showed, found: w.Found, refusals: w.Refusals,
		}
		t.write.want = m.wanted(&t.write.Write)
		if w.Retry != nil {
			t.write.retry = m.newWait(now, brisk)
			t.write.retry.Restore(*w.Retry)
		}
	}
	if set := s.Setting; set != nil {
		t.setting = &setting{key: set.Key, value: set.Value, queue: set.Queue, err: set.Err.restore(), phase: set.Phase}
	}
	t.wait, t.interrupted = restoreWait(m, s.Wait, now), restoreWait(m, s.Interrupted, now)
}

func restoreWait(m *Machine, s *savedWait, now time.Time) *waiting {
	if s == nil {
		return nil
	}
	w := &waiting{
		kind: s.Kind, read: s.Read, pace: pace(m, now, s.Kind), refusals: s.Refusals, since: s.Since, until: s.Until, paused: s.Paused, good: s.Good,
		wrong: restoreMismatches(s.Wrong), last: s.Last, err: s.Err.restore(), check: s.Check, polling: s.Polling,
	}
	w.pace.Restore(s.Pace)
	if s.Ready {
		w.ready = m.readyFor(s.Unproven)
		w.ready.Restore(s.Bad, s.Else, s.ElseRev)
	}
	if !s.Polling {
		return w
	}
	g := &reading{jobs: s.Got.Jobs, noJobs: s.Got.NoJobs, watched: s.Watched, news: s.News}
	if w.got = g; s.Got.Status != nil {
		g.status = *s.Got.Status
	}
	if s.Ruling != nil {
		g.ruling = finding{done: s.Ruling.Done, note: s.Ruling.Note, due: s.Ruling.Due}
	}
	if s.Got.Autoscaling != nil {
		g.autoscaling, g.inspected = *s.Got.Autoscaling, true
	}
	return w
}

// mayContinue reports whether the rollout goes on without a claim: the journal
// names this runner.
func (k *known) mayContinue() bool {
	return k.policy.Continue && k.ledger.Unfinished() && k.ledger.Owner == k.policy.Owner && k.ledger.Last == nil
}
