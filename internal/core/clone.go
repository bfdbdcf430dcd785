package core

import (
	"maps"
	"slices"
)

// Clone returns a copy that shares nothing that changes. It goes on by itself.
func (m *Machine) Clone() *Machine {
	c := *m
	c.ledger = m.ledger.Clone()
	c.rec, c.guard.checkDue = m.rec.clone(), slices.Clone(m.guard.checkDue)
	c.task = m.task.clone()
	c.events, c.foreign = slices.Clone(m.events), maps.Clone(m.foreign)
	if m.absence != nil {
		a := *m.absence
		c.absence = &a
	}
	if m.course.ending != nil {
		ending := *m.course.ending
		c.course.ending = &ending
		if m.course.end == m.course.ending {
			c.course.end = c.course.ending
		}
	}
	return &c
}

func (r recorder) clone() recorder {
	r.queue, r.unacked = slices.Clone(r.queue), slices.Clone(r.unacked)
	if r.retry != nil {
		r.retry = r.retry.Clone()
	}
	return r
}

func (t *task) clone() *task {
	if t == nil {
		return nil
	}
	c := *t
	c.wait, c.interrupted = t.wait.clone(), t.interrupted.clone()
	if t.write != nil {
		w := *t.write
		if c.write = &w; w.retry != nil {
			w.retry = t.write.retry.Clone()
		}
	}
	if t.setting != nil {
		s := *t.setting
		s.queue, c.setting = slices.Clone(s.queue), &s
	}
	if t.beat != nil {
		b := *t.beat
		c.beat = &b
	}
	if t.repairs != nil {
		r := *t.repairs
		c.repairs = &r
	}
	return &c
}

func (w *waiting) clone() *waiting {
	if w == nil {
		return nil
	}
	c := *w
	if c.pace = w.pace.Clone(); w.got != nil {
		got := *w.got
		c.got = &got
	}
	return &c
}
