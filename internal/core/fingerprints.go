package core

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

// The canonical forms of what a machine consists of; see [Machine.AppendFingerprint].

func (f *fingerprint) ledger(j *Ledger) {
	f.text(j.Owner)
	f.flags(j.Plan != nil, j.RollingBack, j.Committed, j.snapshot != nil, j.Last != nil, j.Pending != nil, j.Reason != "")
	f.int(j.Next)
	f.text(string(j.Proof))
	for step, until := range j.bakes {
		f.b = append(f.b, step...) // there is one, or they follow each other
		f.time(until)
	}
	f.int(len(j.skipped))
	f.bag(j.tallies)
	if f.flags(j.Hold != nil, j.Aborted != nil); j.Hold != nil {
		f.text(j.Hold.Step)
		f.time(j.Hold.Expires)
		if d := j.Hold.Decision; d != nil {
			f.text(d.Verb)
		}
	}
	if j.Last != nil {
		f.text(string(j.Last.Kind) + j.Last.Outcome)
	}
	if p := j.Pending; p != nil {
		f.text(p.Step)
		f.write(p.Write)
		f.time(p.NotAfter)
		if p.Before != nil {
			f.text(p.Before.Generation)
		}
	}
	f.int(len(j.Drift))
	for _, d := range j.Drift {
		f.text(d.Thing)
		f.text(d.Found)
	}
	f.int(len(j.Failures))
	for _, failed := range j.Failures {
		f.text(failed.Step.Name)
	}
	f.int(len(j.failing))
	for _, r := range j.failing {
		f.revision(r)
	}
	if j.Plan != nil && j.Plan.Refresh != "" {
		f.time(j.firstWrite)
	}
	f.settings(j.origin)
	f.settings(j.overridden)
	var buf [8]string
	things := buf[:0]
	for i := range j.writes {
		things = append(things, j.writes[i].Thing)
	}
	slices.Sort(things)
	things = slices.Compact(things)
	f.int(len(things))
	for _, thing := range things {
		f.writes(j, thing)
	}
}

// writes of one thing: the latest one counts, and of those before which values
// they had and when their calls were over.
func (f *fingerprint) writes(j *Ledger, thing string) {
	latest := j.latest(thing)
	f.write(&latest.Write)
	f.time(latest.over)
	f.flags(latest.confirmed, latest.unknown)
	var over time.Time
	var values []int
	for i := range j.writes {
		w := &j.writes[i]
		if w.Thing != thing || w == latest {
			continue
		}
		if over = later(over, w.over); w.Value != nil {
			values = append(values, *w.Value)
		}
	}
	f.time(over)
	slices.Sort(values)
	for _, v := range slices.Compact(values) {
		f.int(v)
	}
	f.b = append(f.b, 0xff)
}

func (r *recorder) fingerprint(f *fingerprint) {
	f.int(len(r.queue))
	for i := range r.queue {
		f.record(&r.queue[i].record)
		f.flags(r.queue[i].once)
	}
	f.int(len(r.unacked))
	for i := range r.unacked {
		f.record(&r.unacked[i])
	}
	f.int(int(r.phase))
	f.flags(r.err != nil, r.lost)
	f.wait(r.retry)
	f.time(r.until)
}

func (f *fingerprint) record(r *journal.Record) {
	f.text(string(r.Kind))
	f.text(r.Step)
	f.time(r.NotAfter)
	f.text(r.Outcome)
	f.flags(r.Write != nil, r.Drift != nil, r.Note != "")
	if r.Write != nil {
		f.write(r.Write)
	}
	if r.Drift != nil {
		f.text(r.Drift.Thing)
	}
}

func (t *task) fingerprint(f *fingerprint) {
	if f.flags(t != nil); t == nil {
		return
	}
	f.int(int(t.kind))
	f.text(t.step.Name)
	f.int(t.at)
	f.err(t.err)
	f.time(t.by)
	f.flags(t.extended > 0)
	if f.int(int(t.left)); t.left > 0 {
		f.time(t.polled)
	}
	if t.kind == taskPlan {
		f.time(t.began)
	}
	if r := t.repairs; r != nil {
		f.wrong(r.todo)
		f.text(r.fixing.Thing)
		f.err(r.failed)
	}
	f.text(t.worker)
	f.flags(t.repairing, t.plan != nil, t.repairs != nil, t.beat != nil)
	if b := t.beat; b != nil {
		f.flags(b.held, b.first == b.now)
		f.time(b.dead)
		f.time(b.first.Time)
	}
	f.waiting(t.wait)
	f.waiting(t.interrupted)
	if f.flags(t.write != nil); t.write != nil {
		t.write.fingerprint(f)
	}
	if s := t.setting; s != nil {
		f.text(s.key)
		f.int(s.value)
		f.int(int(s.phase))
		f.err(s.err)
		for i := range s.queue {
			f.write(&s.queue[i])
		}
	}
}

func (w *writing) fingerprint(f *fingerprint) {
	f.write(&w.Write)
	f.int(int(w.phase))
	f.flags(w.callErr != nil, w.open, w.showed, errors.Is(w.callErr, endpoint.ErrClamped), errors.Is(w.callErr, ErrPanic))
	f.text(w.found)
	f.time(w.answered)
	f.int(w.refusals)
	f.wait(w.retry)
}

func (f *fingerprint) waiting(w *waiting) {
	if f.flags(w != nil); w == nil {
		return
	}
	f.int(int(w.kind))
	f.int(int(w.read))
	f.wait(w.pace)
	got := w.got
	if got == nil {
		got = &reading{}
	}
	f.flags(w.rejudge, w.polling, w.moved, got.noJobs, got.inspected, got.autoscaling.Suspended, got.autoscaling.Restored,
		len(got.autoscaling.Foreign) == len(got.autoscaling.Differences))
	f.status(&got.status)
	f.int(got.jobs.InFlight + got.jobs.Queued)
	for _, err := range []error{got.staged, got.worker, got.refreshed, w.err, got.ruling.err, got.ruling.fail} {
		f.err(err)
	}
	f.int(w.refusals)
	f.time(w.since)
	f.time(w.until)
	f.time(w.paused)
	f.int(min(w.good, 2))
	f.wrong(w.wrong)
	unhealthy, elsewhere, rev := w.ready.Since()
	f.time(unhealthy)
	f.time(elsewhere)
	f.revision(rev)
	f.flags(w.ready.Unproven, w.last != nil)
	if w.last != nil && w.kind == waitRest {
		f.status(w.last)
	}
	f.int(w.check)
	f.flags(got.watched, got.news, got.ruling.done)
	f.time(got.ruling.due)
}

// bag adds what checks have said, in any order.
func (f *fingerprint) bag(tallies map[string]tally) {
	bag := uint64(0)
	for name, t := range tallies {
		since := 0
		if !t.unknownSince.IsZero() {
			since = int(f.now.Sub(t.unknownSince)) + 1
		}
		bag += mix(name+t.last.Result, t.passes<<8+t.failures) ^ mix(name, since)
	}
	f.b = binary.LittleEndian.AppendUint64(f.b, bag)
}

func (f *fingerprint) wrong(all []mismatch) {
	if f.int(len(all)); len(all) == 0 {
		return
	}
	for _, x := range slices.SortedFunc(slices.Values(all), func(a, b mismatch) int { return cmp.Compare(a.Thing, b.Thing) }) {
		f.text(x.Thing)
		f.text(x.Found)
		f.int(int(x.verdict))
	}
}
