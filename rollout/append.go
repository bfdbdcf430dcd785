package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// append puts a record into the journal. What must not be left undone goes on
// without one if the store cannot be written and no other driver can be alive:
// whatever is still written is a value that the journal holds already, so that
// a later resume stays right. Where another driver may have taken over, only
// the journal tells, so the store is given some time to come back.
func (d *driver) append(ctx context.Context, r journal.Record) error {
	r.Version, r.Seq, r.Time = strategy.FormatVersion, d.j.seq+1, time.Now().Round(0)
	if d.j.plan != nil && r.Kind != journal.KindPlan {
		r.Rollout = d.j.plan.Rollout
	}
	if d.lost != nil {
		return d.j.add(&r)
	}
	if err := r.Seal(d.j.sum); err != nil {
		return journalFailed(d.u, err)
	}
	restoring := d.j.restoring() || r.Kind == journal.KindRollback
	err := d.put(context.WithoutCancel(ctx), r)
	if err != nil && d.landed(ctx, &r) {
		err = nil
	}
	if err != nil && !errors.Is(err, journal.ErrConflict) {
		d.unheard = append(d.unheard, r)
		if restoring && !d.alone && len(d.j.writes) > 0 {
			err = d.insist(ctx, r)
			restoring = false // there is no going on without it
		}
	}
	switch {
	case err == nil:
		d.unheard = nil
		return d.j.add(&r)
	case errors.Is(err, journal.ErrConflict):
		return d.catchUp(ctx, &r, err)
	case !restoring:
		return journalFailed(d.u, err)
	}
	d.lost = err
	d.emit(Event{Kind: EventFail, Text: "the journal cannot be written any more: " + err.Error()})
	return d.j.add(&r)
}

// storeTime is how long one call of a store may take to be answered. Nothing
// else ends one that has to be made whatever becomes of the rollout's context.
const storeTime = 2 * time.Minute

// put appends a record as it is.
func (d *driver) put(ctx context.Context, r journal.Record) error {
	_, err := answered(ctx, storeTime, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, d.store.Append(ctx, d.u.Name(), r)
	})
	return err
}

// records are those of the endpoint's journal.
func (d *driver) records(ctx context.Context) ([]journal.Record, error) {
	return answered(ctx, storeTime, func(ctx context.Context) ([]journal.Record, error) { return journal.Load(ctx, d.store, d.u.Name()) })
}

// catchUp takes in the record that was there when r was appended, if it is this
// driver's own, which arrived although its append failed: then nobody else
// drives. Otherwise its error is the conflict.
func (d *driver) catchUp(ctx context.Context, r *journal.Record, conflict error) error {
	if len(d.unheard) == 0 {
		return journalFailed(d.u, conflict)
	}
	uctx, cancel := d.undoContext(ctx, outage)
	defer cancel()
	var records []journal.Record
	_, err := waiter.Until(uctx, func(ctx context.Context) (_ waiter.Observation, _ bool, err error) {
		records, err = d.records(ctx)
		return waiter.Observation{}, err == nil, err
	}, append(d.brisk(d.u), waiter.WithTransient(func(error) bool { return true }, forever))...)
	i := slices.IndexFunc(d.unheard, func(own journal.Record) bool { return isLast(records, &own) })
	if err != nil || i < 0 {
		return journalFailed(d.u, conflict)
	}
	own := d.unheard[i]
	d.unheard = nil
	if err := d.j.add(&own); err != nil || own.Kind == r.Kind && own.Time.Equal(r.Time) {
		return err
	}
	if own.Kind == journal.KindIntent {
		d.j.setQuiet(own.Write.Thing, time.Now()) // its call was never made
	}
	if r.Kind == journal.KindRollback && d.j.committed {
		return nil // there is no way back any more
	}
	return d.append(ctx, *r)
}

// outage is how long a store may be down that has to be written.
const outage = 10 * time.Minute

// insist appends a record again and again, until it is there or somebody
// else's is.
func (d *driver) insist(ctx context.Context, r journal.Record) error {
	ctx, cancel := d.undoContext(ctx, outage)
	defer cancel()
	_, err := waiter.Until(ctx, func(ctx context.Context) (waiter.Observation, bool, error) {
		err := d.put(ctx, r)
		return waiter.Observation{}, err == nil, err
	}, append(d.brisk(d.u), waiter.WithTransient(func(err error) bool {
		return !errors.Is(err, journal.ErrConflict)
	}, forever))...)
	if err != nil && d.landed(ctx, &r) {
		return nil
	}
	return err
}

// landed reports whether a record is in the journal although the store answered
// with an error.
func (d *driver) landed(ctx context.Context, r *journal.Record) bool {
	records, err := d.records(context.WithoutCancel(ctx))
	return err == nil && isLast(records, r)
}

// isLast reports whether r is the last of the records.
func isLast(records []journal.Record, r *journal.Record) bool {
	return len(records) > 0 && records[len(records)-1].Seq == r.Seq && records[len(records)-1].Sum == r.Sum
}

// journalError is the error of a store. Whatever class the store gives it, it
// says nothing of the provider, and no write is tried again for it.
type journalError struct{ error }

func (e *journalError) Unwrap() error { return e.error }

func journalFailed(u endpoint.Updater, err error) error {
	return &journalError{fmt.Errorf("journal of %s: %w", u.Name(), err)}
}
