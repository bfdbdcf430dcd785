package rollouttest

import (
	"context"
	"time"

	"github.com/changeover-dev/changeover/journal"
)

// clocked is a store of which the records up to one were dated by a clock that has
// been put back since.
type clocked struct {
	journal.Store

	until int
	at    time.Time
	by    time.Duration
}

// Unwrap shows the abilities of the store.
func (c clocked) Unwrap() journal.Store { return c.Store }

// Load implements [journal.Store].
func (c clocked) Load(ctx context.Context, name string) ([]journal.Record, error) {
	records, err := c.Store.Load(ctx, name)
	return c.dated(records), err
}

// LoadAfter implements [journal.Tailer].
func (c clocked) LoadAfter(ctx context.Context, name string, after int) ([]journal.Record, error) {
	records, err := journal.LoadAfter(ctx, c.Store, name, after)
	return c.dated(records), err
}

func (c clocked) dated(records []journal.Record) []journal.Record {
	for i := range records {
		if r := &records[i]; r.Seq <= c.until {
			r.Time = r.Time.Add(c.by)
			if !r.NotAfter.IsZero() {
				r.NotAfter = r.NotAfter.Add(c.by)
			}
		}
	}
	return records
}

// Heartbeat implements [journal.Heartbeater].
func (c clocked) Heartbeat(ctx context.Context, name string, h journal.Heartbeat) error {
	b, _ := journal.As[journal.Heartbeater](c.Store)
	return b.Heartbeat(ctx, name, h)
}

// LastHeartbeat implements [journal.Heartbeater].
func (c clocked) LastHeartbeat(ctx context.Context, name string) (journal.Heartbeat, error) {
	b, _ := journal.As[journal.Heartbeater](c.Store)
	h, err := b.LastHeartbeat(ctx, name)
	if !h.Time.After(c.at) {
		h.Time = h.Time.Add(c.by)
	}
	return h, err
}
