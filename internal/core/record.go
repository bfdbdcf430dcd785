package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// recorder gets records into the journal, in order, before anything else goes on.
type recorder struct { //nolint:recvcheck // as its methods need it
	queue []entry
	phase recordPhase
	// lost is true if the journal cannot be written any more, by err. The rollout
	// goes on without it: whatever it still writes is on record as the value of before.
	lost bool
	// unacked are records whose append failed and that may be there all the same.
	unacked []journal.Record
	err     error        // of the last append
	retry   *waiter.Wait // paces appends again, or reads, while the store is away
	until   time.Time    // for how long
}

// entry is a record that is to be appended, and what happens with it.
type entry struct {
	record journal.Record
	events []Event // to emit once it is there
	once   bool    // it is not worth waiting for a store that is away
}

type recordPhase uint8

const (
	appending   recordPhase = iota
	looking                 // whether the record is there although its append failed
	catchingUp              // reading which record is there instead
	unreachable             // the store is away: append again until it is back
)

// record queues a record, and events that tell of it once it is there.
func (r *recorder) add(record journal.Record, events ...Event) {
	r.queue = append(r.queue, entry{record: record, events: events})
}

// next is the operation that gets the first queued record into the journal.
func (r *recorder) next(m *Machine, now time.Time) (Op, bool) {
	for len(r.queue) > 0 && m.course.end == nil {
		e := &r.queue[0].record
		number(m.ledger, e, now)
		if r.lost {
			r.recorded(m, now)
			continue
		}
		if r.phase == unreachable && m.hardStop {
			r.unrecorded(m, r.err, now)
			continue
		}
		if r.retry != nil && now.Before(r.retry.Due()) {
			return Op{Kind: OpSleep, Until: r.retry.Due()}, true
		}
		if r.phase == looking || r.phase == catchingUp {
			return Op{Kind: OpLoad, Within: storeTime}, true
		}
		record := *e
		return Op{Kind: OpAppend, Record: &record, Within: storeTime}, true
	}
	return Op{}, false
}

// number gives a record its place and, once, its time.
func number(j *Ledger, r *journal.Record, now time.Time) {
	r.Version, r.Seq = strategy.FormatVersion, j.Seq+1
	if r.Time.IsZero() {
		r.Time = now.Round(0)
	}
	if r.Kind == journal.KindPlan {
		r.Rollout = r.Plan.Rollout
	} else if j.Plan != nil {
		r.Rollout = j.Plan.Rollout
	}
}

// appended takes in what came of an append.
func (r *recorder) appended(m *Machine, err error, now time.Time) {
	switch {
	case err == nil:
		r.unacked = nil
		r.recorded(m, now)
	case errors.Is(err, journal.ErrConflict):
		r.err, r.phase = err, catchingUp
		r.pause(now, nil)
	case r.phase == unreachable:
		r.err = err
		if _, _ = r.retry.Observe(now, waiter.Observation{}, false, atMost(err, now, maxStoreRest)); now.Before(r.until) && !m.hardStop {
			return
		}
		r.retry, r.phase = nil, looking // for the last time
		r.until = now
	default:
		r.err, r.phase = err, looking
	}
}

// pause begins to retry, for as long as a store may be away.
func (r *recorder) pause(now time.Time, m *Machine) {
	r.until = now.Add(storeOutage)
	if m == nil {
		r.retry = nil
		return
	}
	r.retry = m.newWait(now, brisk)
	_, _ = r.retry.Observe(now, waiter.Observation{}, false, atMost(r.err, now, maxStoreRest))
}

// loaded takes in the journal, which tells what became of an append that failed.
func (r *recorder) loaded(m *Machine, records []journal.Record, err error, now time.Time) {
	own := r.queue[0].record
	switch {
	case r.phase == catchingUp && err == nil:
		r.catchUp(m, records, now)
	case r.phase == catchingUp:
		if r.retry == nil {
			r.retry = m.newWait(now, brisk)
		}
		_, _ = r.retry.Observe(now, waiter.Observation{}, false, atMost(err, now, maxStoreRest))
		if !now.Before(r.until) || m.hardStop {
			m.course.conflict(m, r.err, now)
		}
	case err == nil && isLast(records, &own):
		r.unacked = nil
		r.recorded(m, now)
	default:
		r.failed(m, own, now)
	}
}

// failed decides what a record that is not there means. Steps that must not be
// left undone go on without it if no other runner can be alive: the journal
// holds each value that they write. Where another runner may have taken over,
// only the journal tells, so the store is given some time to come back.
func (r *recorder) failed(m *Machine, own journal.Record, now time.Time) {
	r.unacked = append(r.unacked, own)
	restoring := m.ledger.Restoring() || own.Kind == journal.KindRollback
	switch {
	case restoring && !m.policy.Exclusive && !m.policy.RestoreUnrecorded && len(m.ledger.writes) > 0:
		if r.until.Equal(now) || r.queue[0].once {
			r.unrecorded(m, r.err, now)
			return
		}
		r.phase = unreachable
		r.pause(now, m)
	case restoring:
		r.lost = true
		m.emit(Event{Kind: EventFail, Text: "the journal cannot be written any more: " + r.err.Error()})
		r.recorded(m, now)
	default:
		r.unrecorded(m, r.err, now)
	}
}

// catchUp takes in the records that are there instead of the queued one. If
// they are the runner's own, whose append had failed, no other runner drives.
func (r *recorder) catchUp(m *Machine, records []journal.Record, now time.Time) {
	conflict := r.err
	for _, there := range records {
		if there.Seq <= m.ledger.Seq {
			continue
		}
		i := slices.IndexFunc(r.unacked, func(own journal.Record) bool { return same(&own, &there) })
		mine := same(&r.queue[0].record, &there)
		if i < 0 && !mine && there.Kind == journal.KindDecision {
			if err := m.ledger.add(&there); err != nil {
				m.course.fatal(m, err)
				return
			}
			tellDecision(m, there.Decision)
			continue
		}
		if i < 0 && !mine {
			m.course.conflict(m, conflict, now)
			return
		}
		if mine {
			r.unacked = nil
			r.recorded(m, now)
			break
		}
		r.unacked = nil
		if err := m.ledger.add(&there); err != nil {
			m.course.fatal(m, err)
			return
		}
		if there.Kind == journal.KindIntent {
			m.ledger.setOver(there.Write.Thing, now) // its call was never made
		}
	}
	r.phase, r.retry = appending, nil
	if len(r.queue) > 0 && r.queue[0].record.Kind == journal.KindRollback && m.ledger.Committed {
		r.queue = r.queue[1:] // there is no rollback any more
		m.course.cause, m.course.step = nil, ""
	}
}

// recorded takes in that the first queued record is in the journal.
func (r *recorder) recorded(m *Machine, now time.Time) {
	e := r.queue[0]
	if r.queue = r.queue[1:]; len(r.queue) == 0 {
		r.queue = nil // lets go of the records
	}
	r.phase, r.retry = appending, nil
	if err := m.ledger.add(&e.record); err != nil {
		m.course.fatal(m, err)
		return
	}
	for _, event := range e.events {
		m.emit(event)
	}
	m.course.onRecord(m, &e.record, now)
}

// unrecorded drops what is queued: the record cannot be written, and the
// rollout does not go on without it.
func (r *recorder) unrecorded(m *Machine, err error, now time.Time) {
	dropped := r.queue[0]
	r.queue, r.phase, r.retry, r.until = nil, appending, nil, time.Time{}
	m.course.withoutRecord(m, &dropped.record, &journalError{fmt.Errorf("journal of %s: %w", m.ledger.Endpoint, err)}, now)
}

// isLast reports whether r is the last of the records.
func isLast(records []journal.Record, r *journal.Record) bool {
	return len(records) > 0 && same(&records[len(records)-1], r)
}

// same reports whether two records are one. Checksums are the store's business.
func same(a, b *journal.Record) bool {
	if a.Seq != b.Seq || a.Kind != b.Kind || !a.Time.Equal(b.Time) {
		return false
	}
	own, other := *a, *b
	own.Prev, own.Sum, other.Prev, other.Sum = "", "", "", ""
	x, xerr := json.Marshal(own)
	y, yerr := json.Marshal(other)
	return xerr == nil && yerr == nil && bytes.Equal(x, y)
}

// journalError is the error of a store. Whatever class the store gives it, it
// says nothing of the provider, and no write is tried again for it.
type journalError struct{ error }

func (e *journalError) Unwrap() error { return e.error }
