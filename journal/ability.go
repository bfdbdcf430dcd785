package journal

import (
	"context"
	"slices"
)

// Leaser is an optional ability of a [Store] whose lock ends when its holder's
// connection does. It keeps other runners out while the connection lasts, and
// proves nothing of a holder that was cut off, which may be alive: unlike after
// [Locker], a takeover waits for the heartbeats to end.
type Leaser interface {
	// Lease takes the lease on an endpoint's journal, or fails at once with an
	// error that is [endpoint.ErrBusy].
	Lease(ctx context.Context, endpoint string) (release func() error, err error)
}

// Tailer is an optional ability of a [Store]: it reads the newest records
// without those before. [LoadAfter] does without it.
type Tailer interface {
	// LoadAfter returns the records with a Seq above after, in order.
	LoadAfter(ctx context.Context, endpoint string, after int) ([]Record, error)
}

// LoadAfter returns the records of an endpoint's journal with a Seq above
// after, in order: what was appended since a caller has read up to there. It
// does not check the chain to the record before.
func LoadAfter(ctx context.Context, s Store, name string, after int) ([]Record, error) {
	if s == nil {
		return nil, errNoStore
	}
	if t, ok := As[Tailer](s); ok {
		return t.LoadAfter(ctx, name, after)
	}
	records, err := s.Load(ctx, name)
	i := slices.IndexFunc(records, func(r Record) bool { return r.Seq > after })
	if err != nil || i < 0 {
		return nil, err
	}
	return records[i:], nil
}

// Lister is an optional ability of a [Store]: it lists its journals.
type Lister interface {
	// List returns the state of each journal, in order of the endpoints' names.
	// A journal that cannot be read has its own error and hides no other one.
	List(ctx context.Context) ([]Entry, error)
}

// Entry is one journal in a list.
type Entry struct {
	Endpoint string
	Last     Record // the newest record
	Err      error  // why Last could not be read
}

// Unfinished reports whether the endpoint's newest rollout has not ended, which
// an entry that could not be read may not have.
func (e Entry) Unfinished() bool { return e.Err != nil || e.Last.Kind != KindEnd }

// Trimmer is an optional ability of a [Store]: it shortens a journal.
// [TrimFinished] says where.
type Trimmer interface {
	// Trim takes the records with a Seq below first out of the journal, and may
	// delete the attachments of rollouts that have none left. Numbers are not
	// used again: an Append below first is still [ErrConflict]. A journal that
	// has none of these records is left as it is. If first is above the last
	// record's Seq the error is [endpoint.ErrInvalid].
	Trim(ctx context.Context, endpoint string, first int) error
}

// KeepRollouts is how many rollouts of an endpoint a journal keeps by default,
// the newest one among them.
const KeepRollouts = 5

// TrimFinished trims an endpoint's journal to its newest rollouts, keep of
// them, at least one. It does nothing if the store cannot trim. It may be
// called at any time: only rollouts that ended before the newest one began are
// taken out.
func TrimFinished(ctx context.Context, s Store, name string, keep int) error {
	t, ok := As[Trimmer](s)
	if !ok {
		return nil
	}
	records, err := Load(ctx, s, name)
	if err != nil {
		return err
	}
	keep = max(1, keep)
	for i, r := range slices.Backward(records) {
		if r.Kind != KindPlan {
			continue
		}
		if keep--; keep == 0 {
			if i == 0 {
				return nil
			}
			return t.Trim(ctx, name, r.Seq)
		}
	}
	return nil
}

// Attacher is an optional ability of a [Store]: one small document for each
// rollout, beside the journal, that is replaced as a whole. It fences nothing
// and need not be durable: a rollout is right without it.
type Attacher interface {
	// Attach replaces the rollout's document, of [MaxAttachment] bytes at most;
	// a longer one is [endpoint.ErrInvalid].
	Attach(ctx context.Context, endpoint, rollout string, document []byte) error
	// Attachment returns the rollout's document. If there is none, its error is
	// [endpoint.ErrNotFound].
	Attachment(ctx context.Context, endpoint, rollout string) ([]byte, error)
}

// MaxAttachment is the longest document of an [Attacher], in bytes.
const MaxAttachment = 8 << 10
