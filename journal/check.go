package journal

import (
	"context"
	"errors"
	"fmt"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/strategy"
)

// Errors of stores and journals.
var (
	// ErrConflict: a record of that number exists, so another runner appended it.
	ErrConflict = errors.New("the journal was written by another runner")
	// ErrDamaged: the journal cannot be read as a journal.
	ErrDamaged = errors.New("damaged journal")
	// ErrForeignJournal: the journal is of another endpoint.
	ErrForeignJournal = errors.New("journal of another endpoint")
)

// ReadError is the error of a journal of which only the beginning can be read.
type ReadError struct {
	// Records are those before Line. They may be shown; a rollout must not be
	// resumed from them.
	Records []Record
	// Line is the first record that cannot be read, counted from 1 where the
	// journal begins: a line of a file, a row, an object.
	Line int
	// Err says why. It is [ErrDamaged], or [endpoint.ErrInvalid] for a record
	// that a newer version of this module wrote.
	Err error
}

func (e *ReadError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

func (e *ReadError) Unwrap() error { return e.Err }

func damaged(err error) error {
	if errors.Is(err, ErrDamaged) {
		return err
	}
	return fmt.Errorf("%w: %v", ErrDamaged, err) //nolint:errorlint // what the decoder says is for people
}

// errNoStore is the error of whoever reads a journal without a store.
var errNoStore = fmt.Errorf("the store is nil: %w", endpoint.ErrInvalid)

// Load returns the records of an endpoint's journal, and checks them by [Check].
func Load(ctx context.Context, s Store, name string) ([]Record, error) {
	if s == nil {
		return nil, errNoStore
	}
	records, err := s.Load(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := Check(records); err != nil {
		return nil, fmt.Errorf("journal of %s, %w", name, err)
	}
	return records, nil
}

// Check returns a [*ReadError] unless the records are numbered without a gap,
// each carries the checksum of the one before, the first one begins a rollout,
// and this version of the module knows their format. Of each record's own
// checksum it takes for granted that [Decode] has compared it.
func Check(records []Record) error {
	for i := range records {
		var last *Record
		if i > 0 {
			last = &records[i-1]
		}
		if err := follows(last, &records[i]); err != nil {
			return &ReadError{Records: records[:i], Line: i + 1, Err: err}
		}
	}
	return nil
}

// follows reports why r cannot be the record behind last, or the first one of a
// journal if last is nil.
func follows(last, r *Record) error {
	switch {
	case r.Version < 1 || r.Version > strategy.FormatVersion:
		return fmt.Errorf("its format is version %d, this program knows up to %d: %w", r.Version, strategy.FormatVersion, endpoint.ErrInvalid)
	case last == nil && r.Seq == 1 && r.Prev == "", last == nil && r.Seq > 1 && r.Kind == KindPlan:
		return nil // the beginning, or what a Trim has left
	case last == nil:
		return fmt.Errorf("record %d, of kind %s, begins no journal: %w", r.Seq, r.Kind, ErrDamaged)
	case r.Seq != last.Seq+1:
		return fmt.Errorf("its number is %d where %d is due: %w", r.Seq, last.Seq+1, ErrDamaged)
	case r.Prev != last.Sum:
		return fmt.Errorf("record %d does not continue record %d, by their checksums: %w", r.Seq, last.Seq, ErrDamaged)
	}
	return nil
}
