package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

const (
	storeTimeout  = 2 * time.Minute // of one call of the store
	appendRetries = 6               // about a minute in all
)

// append puts a record into the fleet's journal. If that cannot be done, or
// another runner writes there, r.lost says so, and the fleet is left as it is:
// the members' journals say how far each is.
func (r *runner) append(rec journal.Record) {
	wait := time.Second
	for try := 0; r.lost == nil; try++ {
		rec.Version, rec.Seq, rec.Rollout, rec.Time = strategy.FormatVersion, r.ledger.seq+1, r.f.ID, time.Now().Round(0)
		if err := rec.Seal(r.ledger.sum); err != nil {
			r.lost = err
			return
		}
		err := r.store1(func(ctx context.Context) error { return r.store.Append(ctx, journalName(r.f.ID), rec) })
		there, conflict := r.catchUp(&rec, err)
		switch {
		case there:
			return
		case conflict != nil:
			r.lost = conflict
			return
		case errors.Is(err, journal.ErrConflict):
			// decisions were there; the record follows them
		case try == appendRetries:
			r.lost = fmt.Errorf("journal of fleet %s: %w", r.f.ID, err)
			return
		default:
			time.Sleep(wait) //nolint:forbidigo // what is under way goes on, and nothing else may begin
			wait *= 2
		}
	}
}

// catchUp takes in what an append came to: whether the record is there although
// the append failed, and what others have appended.
func (r *runner) catchUp(rec *journal.Record, err error) (there bool, conflict error) {
	if err == nil {
		return true, r.take(rec)
	}
	var records []journal.Record
	lerr := r.store1(func(ctx context.Context) (err error) {
		records, err = journal.LoadAfter(ctx, r.store, journalName(r.f.ID), r.ledger.seq)
		return err
	})
	if lerr != nil {
		return false, nil //nolint:nilerr // it is tried again
	}
	for i := range records {
		if records[i].Sum == rec.Sum {
			return true, r.take(rec)
		}
		if err := r.news(&records[i]); err != nil {
			return false, err
		}
	}
	return false, nil
}

// take adds a record of this runner to the ledger.
func (r *runner) take(rec *journal.Record) error {
	if err := r.ledger.add(rec); err != nil {
		r.lost = err
		return err
	}
	return nil
}

// news takes in a record that another process has appended.
func (r *runner) news(rec *journal.Record) error {
	switch {
	case rec.Seq <= r.ledger.seq:
		return nil
	case r.engine && rec.Kind != journal.KindDecision && (rec.Kind != journal.KindClaim || rec.Owner == r.set.owner):
		return fmt.Errorf("%w: record %d is by a call before this one, which was still under way", endpoint.ErrUnavailable, rec.Seq)
	case rec.Kind != journal.KindDecision || rec.Decision == nil:
		return fmt.Errorf("%w: record %d, a %s, by %q", ErrTakenOver, rec.Seq, rec.Kind, rec.Owner)
	}
	r.emit(Event{Kind: EventDecision, Text: rec.Decision.String()})
	return r.ledger.add(rec)
}

// store1 makes one call of the store, whatever has become of the caller's context.
func (v *mover) store1(f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(v.base, storeTimeout)
	defer cancel()
	return f(ctx)
}
