package core

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/waiter"
)

// AppendFingerprint appends to b a canonical form of all that the machine's
// later decisions depend on. Two machines of one plan and policy with the same
// form decide alike from now on, given the same results. Times are relative to
// now, and one that lies further back than any decision reaches is as good as
// any other. Texts, and what only they are made of, are left out.
func (m *Machine) AppendFingerprint(b []byte, now time.Time) []byte {
	f := fingerprintTask(m, b, now)
	f.ledger(m.ledger)
	m.rec.fingerprint(f)
	m.task.fingerprint(f)
	f.flags(m.course.cause != nil, m.course.anotherRound, m.cancelled != nil, m.hardStop, m.course.begun, m.woken, m.planned != nil, m.broken != nil)
	f.time(m.deadlines.forwardBy)
	f.time(m.deadlines.restoreBy)
	f.time(m.guard.newsAt)
	if f.flags(m.frozen != nil, m.absence != nil); m.frozen != nil {
		f.time(m.frozen.Until)
	}
	if m.absence != nil {
		f.time(m.absence.since)
		f.time(m.absence.last)
		f.int(min(m.absence.polls, goneAfter))
	}
	if len(m.guard.checkDue) > 0 {
		f.time(m.guard.traffic)
	}
	for _, due := range m.guard.checkDue {
		f.time(due)
	}
	f.status(&m.seen)
	bag := uint64(0)
	for thing, t := range m.foreign {
		if left := t.Add(m.settle()).Sub(now); left > 0 {
			bag += mix(thing, int(left))
		}
	}
	f.b = binary.LittleEndian.AppendUint64(f.b, bag)
	for _, e := range []*End{m.course.ending, m.course.end} {
		if f.flags(e != nil); e != nil {
			f.text(string(e.Outcome))
			f.err(e.Err)
			f.int(len(e.Residue))
		}
	}
	return f.b
}

// AppendFingerprint appends a canonical form of the ledger, as for [Machine.AppendFingerprint].
func (j *Ledger) AppendFingerprint(b []byte, now time.Time) []byte {
	f := &fingerprint{b: b, now: now, reach: time.Minute}
	if j.Plan != nil {
		f.reach = j.Plan.Settle + time.Second
	}
	f.ledger(j)
	return f.b
}

func fingerprintTask(m *Machine, b []byte, now time.Time) *fingerprint {
	f := &fingerprint{b: b, now: now, reach: max(m.settle(), newsInterval) + time.Second}
	if m.task != nil && m.task.planning() {
		f.reach = max(f.reach, 5*time.Minute) // which planning waits errors out
	}
	return f
}

// fingerprint builds a canonical form.
type fingerprint struct {
	b     []byte
	now   time.Time
	reach time.Duration // how far back a time makes a difference
}

func (f *fingerprint) int(n int) { f.b = binary.AppendVarint(f.b, int64(n)) }

func (f *fingerprint) flags(flags ...bool) {
	bits := 0
	for i, set := range flags {
		if set {
			bits |= 1 << i
		}
	}
	f.int(bits)
}

func (f *fingerprint) text(s string) {
	f.int(len(s))
	f.b = append(f.b, s...)
}

func (f *fingerprint) time(t time.Time) {
	if t.IsZero() {
		f.b = append(f.b, 0)
		return
	}
	f.b = append(f.b, 1)
	f.b = binary.AppendVarint(f.b, int64(max(t.Sub(f.now), -f.reach)))
}

// err tells the errors apart that decisions tell apart.
func (f *fingerprint) err(err error) {
	if err == nil {
		f.b = append(f.b, 0)
		return
	}
	f.flags(true, endpoint.Transient(err), endpoint.Unapplied(err), errors.Is(err, endpoint.ErrDrift), errors.Is(err, endpoint.ErrRolledBack),
		errors.Is(err, errNotApplied), errors.Is(err, endpoint.ErrInvalid), errors.Is(err, endpoint.ErrQuota), errors.Is(err, journal.ErrConflict),
		isLate(err))
}

func (f *fingerprint) settings(s endpoint.Settings) {
	bag := uint64(0) // in any order
	for key, value := range s {
		bag += mix(key, value)
	}
	f.b = binary.LittleEndian.AppendUint64(f.b, bag)
}

// mix is FNV-1a over a key and a value, stirred.
func mix(key string, value int) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	h ^= uint64(value) * 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	return h ^ h>>27
}

func (f *fingerprint) revision(r endpoint.Revision) {
	f.text(r.ID)
	f.text(r.Artifact)
	f.text(r.Digest)
}

func (f *fingerprint) status(s *endpoint.Status) {
	f.int(int(s.Phase))
	f.revision(s.Desired)
	f.revision(s.Serving)
	f.flags(s.Mixed)
	f.text(s.Generation)
	f.settings(s.Settings)
	f.settings(s.ProviderOverrides)
	f.time(s.UpSince)
	f.int(s.Restarts)
	if f.flags(s.Share != nil); s.Share != nil {
		f.int(*s.Share)
	}
	f.int(len(s.Pools))
	for _, p := range s.Pools {
		f.b = append(f.b, byte(p.Ready), byte(p.Starting), byte(p.Throttled), byte(p.Unhealthy), byte(p.Stale))
	}
}

func (f *fingerprint) write(w *journal.Write) {
	f.text(w.Thing)
	f.flags(w.AtLeast, w.Suspend != nil, w.Value != nil, w.Revision != nil)
	if w.Value != nil {
		f.int(*w.Value)
	}
	if w.Revision != nil {
		f.revision(*w.Revision)
	}
}

func (f *fingerprint) wait(w *waiter.Wait) {
	if f.flags(w != nil); w == nil {
		return
	}
	s := w.State()
	f.time(s.Due)
	f.int(s.Held)
	if f.int(s.Failures); s.Failures > 0 {
		f.time(s.Failing)
	}
	f.flags(s.Err != "", s.Vouched)
}
