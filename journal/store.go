package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/changeover-dev/changeover/endpoint"
)

// Errors of stores and journals.
var (
	// ErrConflict: a record of that number exists, so somebody else appended.
	ErrConflict = errors.New("somebody else wrote to the journal")
	// ErrDamaged: the journal cannot be read as a journal.
	ErrDamaged = errors.New("damaged journal")
	// ErrForeignJournal: the journal is of another endpoint.
	ErrForeignJournal = errors.New("journal of another endpoint")
)

// Store keeps journals, one per endpoint. It is safe for concurrent use. A call
// that is not answered for two minutes has failed.
type Store interface {
	// Load returns the records of an endpoint's journal in order. A journal
	// that does not exist yet is empty.
	Load(ctx context.Context, endpoint string) ([]Record, error)
	// Append adds a record and returns once it would survive a crash. If a
	// record of the same Seq exists it changes nothing, and its error is
	// [ErrConflict].
	Append(ctx context.Context, endpoint string, r Record) error
}

// Locker is an optional ability of a [Store]: a lock that dies with its
// holder, so that whoever gets it knows that no other driver is alive.
type Locker interface {
	// Lock takes the lock on an endpoint's journal, or fails at once with an
	// error that is [endpoint.ErrBusy].
	Lock(ctx context.Context, endpoint string) (unlock func() error, err error)
}

// Memory is a [Store] that forgets everything when the process ends: a crash
// cannot be resumed. To use it is to say so.
type Memory struct {
	mu       sync.Mutex
	journals map[string][]Record
	held     map[string]bool
	stamps   map[string]Heartbeat
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{journals: map[string][]Record{}, held: map[string]bool{}, stamps: map[string]Heartbeat{}}
}

// Load implements [Store].
func (m *Memory) Load(ctx context.Context, name string) ([]Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.journals[name]), nil
}

// Append implements [Store].
func (m *Memory) Append(ctx context.Context, name string, r Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if have := len(m.journals[name]); r.Seq != have+1 {
		return fmt.Errorf("record %d after %d: %w", r.Seq, have, ErrConflict)
	}
	m.journals[name] = append(m.journals[name], r)
	return nil
}

// Lock implements [Locker].
func (m *Memory) Lock(ctx context.Context, name string) (func() error, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held[name] {
		return nil, fmt.Errorf("journal of %s: %w", name, endpoint.ErrBusy)
	}
	m.held[name] = true
	return func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.held, name)
		return nil
	}, nil
}

// Heartbeat implements [Heartbeater].
func (m *Memory) Heartbeat(ctx context.Context, name string, s Heartbeat) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stamps[name] = s
	return nil
}

// Stamped implements [Heartbeater].
func (m *Memory) LastHeartbeat(ctx context.Context, name string) (Heartbeat, error) {
	if err := ctx.Err(); err != nil {
		return Heartbeat{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.stamps[name]
	if !ok {
		return Heartbeat{}, fmt.Errorf("stamp of %s: %w", name, endpoint.ErrNotFound)
	}
	return s, nil
}
