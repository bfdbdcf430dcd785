package rollout

import (
	"context"

	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/journal"
)

// book is the journal of one endpoint, as a rollout reads and writes it.
type book struct {
	store journal.Store
	name  string
	sum   string // the checksum of the newest record
}

// append adds a record, chained to the one before.
func (b *book) append(ctx context.Context, op core.Op) error {
	record := *op.Record
	if err := record.Seal(b.sum); err != nil {
		return err
	}
	err := do(ctx, "the store's Append", op.Within, func(ctx context.Context) error { return b.store.Append(ctx, b.name, record) })
	if err == nil {
		b.sum = record.Sum
	}
	return err
}

// records reads all of it.
func (b *book) records(ctx context.Context) ([]journal.Record, error) {
	return b.newest(loadJournal(ctx, b.store, b.name))
}

// news reads what other processes have appended.
func (b *book) news(ctx context.Context, op core.Op) ([]journal.Record, error) {
	after := op.After // alone, as the call may outlive the operation
	return b.newest(call(ctx, "the store's LoadAfter", op.Within, func(ctx context.Context) ([]journal.Record, error) {
		return journal.LoadAfter(ctx, b.store, b.name, after)
	}))
}

// newest notes the last of the records that were read.
func (b *book) newest(records []journal.Record, err error) ([]journal.Record, error) {
	if err == nil && len(records) > 0 {
		b.sum = records[len(records)-1].Sum
	}
	return records, err
}

// series goes on with the series of the runner before, if there was one.
func (b *book) series(ctx context.Context, rollout string) *Series {
	s, err := call(context.WithoutCancel(ctx), "the store's Attachment", seriesTimeout, func(ctx context.Context) (*Series, error) {
		return LoadSeries(ctx, b.store, b.name, rollout)
	})
	if err != nil {
		return &Series{Rollout: rollout}
	}
	return s
}

// loadJournal reads a journal, and checks it.
func loadJournal(ctx context.Context, store journal.Store, name string) ([]journal.Record, error) {
	return call(ctx, "the store's Load", storeTime, func(ctx context.Context) ([]journal.Record, error) { return journal.Load(ctx, store, name) })
}
