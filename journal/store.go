package journal

import "context"

// Store keeps journals, one per endpoint. It is safe for concurrent use. A call
// that is not answered for two minutes has failed.
//
// A store keeps what [Encode] returns and hands it to [Decode], so that damage
// is found.
type Store interface {
	// Load returns the records of an endpoint's journal in order. A journal
	// that does not exist yet is empty. If only its beginning can be read the
	// error is a [*ReadError].
	Load(ctx context.Context, endpoint string) ([]Record, error)
	// Append adds a sealed record and returns once it would survive a crash.
	// If a record of the same Seq exists, or has existed, it changes nothing,
	// and its error is [ErrConflict]; it may be so too if the record before is
	// not the one that Prev names. It needs no lock: a process that only has a
	// decision to record appends it beside the runner.
	Append(ctx context.Context, endpoint string, r Record) error
}

// Locker is an optional ability of a [Store]: a lock that dies with its
// holder, so that the process that gets it knows that no other runner is alive.
type Locker interface {
	// Lock takes the lock on an endpoint's journal, or fails at once with an
	// error that is [endpoint.ErrBusy].
	Lock(ctx context.Context, endpoint string) (unlock func() error, err error)
}

// As returns the store's ability T, such as [Locker]. A store that wraps
// another one shows the abilities of that by a method Unwrap() Store.
func As[T any](s Store) (T, bool) {
	for s != nil {
		if t, ok := s.(T); ok {
			return t, true
		}
		w, ok := s.(interface{ Unwrap() Store })
		if !ok {
			break
		}
		s = w.Unwrap()
	}
	var none T
	return none, false
}
