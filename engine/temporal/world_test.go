package temporal_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

var errCut = errors.New("the machine is gone")

// machine is what a worker reaches the world by. Once it is cut nothing of it gets
// through any more, and nothing comes back: the worker does not know that, and the
// world does not see it end.
type machine struct {
	units []*unit
	store *journal.Memory

	mu    sync.Mutex
	at    string // the operation before or after which it is cut, like "after append intent"; "" for none
	cut   chan struct{}
	isCut bool
}

func newMachine(store *journal.Memory, at string, units ...*unit) *machine {
	return &machine{units: units, store: store, at: at, cut: make(chan struct{})}
}

// cuts reports whether the machine is cut, also by what happens now.
func (m *machine) cuts(now string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.isCut && now == m.at {
		m.isCut = true
		close(m.cut)
	}
	return m.isCut
}

// reaches lets an operation through, or reports that the machine is cut.
func (m *machine) reaches(ctx context.Context, op string, do func() error) error {
	if m.cuts("before " + op) {
		return m.lost(ctx)
	}
	err := do()
	if m.cuts("after " + op) { // it took effect, and nobody hears of it
		return m.lost(ctx)
	}
	return err
}

func (m *machine) lost(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-time.After(20 * time.Second):
	}
	return errors.Join(endpoint.ErrUnavailable, errCut)
}

// wait waits until the machine is cut, and fails if that does not happen.
func (m *machine) wait(t *testing.T) {
	t.Helper()
	select {
	case <-m.cut:
	case <-time.After(3 * time.Minute):
		t.Fatalf("there is no %s", m.at)
	}
}

// Load and Append are the store over a network: it has no lock.
func (m *machine) Load(ctx context.Context, name string) (records []journal.Record, err error) {
	err = m.reaches(ctx, "load", func() (err error) { records, err = m.store.Load(ctx, name); return err })
	return records, err
}

func (m *machine) Append(ctx context.Context, name string, r journal.Record) error {
	return m.reaches(ctx, "append "+string(r.Kind), func() error { return m.store.Append(ctx, name, r) })
}

// remote is an endpoint, as a machine reaches it.
type remote struct {
	*unit

	m *machine
}

func (r remote) Status(ctx context.Context) (s endpoint.Status, err error) {
	err = r.m.reaches(ctx, "status", func() (err error) { s, err = r.unit.Status(ctx); return err })
	return s, err
}

func (r remote) Update(ctx context.Context, c endpoint.Change) error {
	return r.m.reaches(ctx, "update", func() error { return r.unit.Update(ctx, c) })
}
