package journal

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/changeover-dev/changeover/endpoint"
)

// Memory is a [Store] that forgets everything when the process ends: a crash
// cannot be resumed. Use it where that is intended.
type Memory struct {
	mu          sync.Mutex
	journals    map[string][]Record
	held        map[string]bool
	heartbeats  map[string]Heartbeat
	attachments map[attachment][]byte
}

type attachment struct{ endpoint, rollout string }

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{
		journals: map[string][]Record{}, held: map[string]bool{},
		heartbeats: map[string]Heartbeat{}, attachments: map[attachment][]byte{},
	}
}

var (
	_ Locker      = (*Memory)(nil)
	_ Heartbeater = (*Memory)(nil)
	_ Tailer      = (*Memory)(nil)
	_ Lister      = (*Memory)(nil)
	_ Trimmer     = (*Memory)(nil)
	_ Attacher    = (*Memory)(nil)
)

// Load implements [Store].
func (m *Memory) Load(ctx context.Context, name string) ([]Record, error) {
	return m.LoadAfter(ctx, name, 0)
}

// LoadAfter implements [Tailer].
func (m *Memory) LoadAfter(ctx context.Context, name string, after int) ([]Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	records := m.journals[name]
	if len(records) == 0 {
		return nil, nil
	}
	return slices.Clone(records[min(max(0, after+1-records[0].Seq), len(records)):]), nil
}

// Append implements [Store].
func (m *Memory) Append(ctx context.Context, name string, r Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := Encode(r); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	records := m.journals[name]
	var last Record
	if len(records) > 0 {
		last = records[len(records)-1]
	}
	if err := continues(&last, &r); err != nil {
		return err
	}
	m.journals[name] = append(records, r)
	return nil
}

// continues is [ErrConflict] unless r continues last, which is
// the zero value for an empty journal.
func continues(last, r *Record) error {
	switch {
	case r.Seq != last.Seq+1:
		return fmt.Errorf("record %d after %d: %w", r.Seq, last.Seq, ErrConflict)
	case r.Prev != last.Sum:
		return fmt.Errorf("record %d continues another record %d than the journal has: %w", r.Seq, last.Seq, ErrConflict)
	}
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
func (m *Memory) Heartbeat(ctx context.Context, name string, h Heartbeat) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heartbeats[name] = h
	return nil
}

// LastHeartbeat implements [Heartbeater].
func (m *Memory) LastHeartbeat(ctx context.Context, name string) (Heartbeat, error) {
	if err := ctx.Err(); err != nil {
		return Heartbeat{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	h, ok := m.heartbeats[name]
	if !ok {
		return Heartbeat{}, fmt.Errorf("heartbeat of %s: %w", name, endpoint.ErrNotFound)
	}
	return h, nil
}

// List implements [Lister].
func (m *Memory) List(ctx context.Context) ([]Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []Entry
	for _, name := range slices.Sorted(maps.Keys(m.journals)) {
		records := m.journals[name]
		list = append(list, Entry{Endpoint: name, Last: records[len(records)-1]})
	}
	return list, nil
}

// Trim implements [Trimmer].
func (m *Memory) Trim(ctx context.Context, name string, first int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	records := m.journals[name]
	n, err := trimAt(records, first)
	if err != nil {
		return err
	}
	for _, rollout := range trimmedRollouts(records, n) {
		delete(m.attachments, attachment{name, rollout})
	}
	if n > 0 {
		m.journals[name] = slices.Clone(records[n:])
	}
	return nil
}

// trimAt is the number of records below first.
func trimAt(records []Record, first int) (int, error) {
	n := 0
	for n < len(records) && records[n].Seq < first {
		n++
	}
	if n > 0 && n == len(records) {
		return 0, fmt.Errorf("journal trim: %w: first is %d, above the last record %d", endpoint.ErrInvalid, first, records[n-1].Seq)
	}
	return n, nil
}

// trimmedRollouts are the rollouts of which no record is left without the first n.
func trimmedRollouts(records []Record, n int) []string {
	var gone []string
	for _, r := range records[:n] {
		if r.Rollout == records[n].Rollout || slices.Contains(gone, r.Rollout) {
			continue
		}
		gone = append(gone, r.Rollout)
	}
	return gone
}

// Attach implements [Attacher].
func (m *Memory) Attach(ctx context.Context, name, rollout string, document []byte) error {
	if err := checkAttachment(ctx, document); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.attachments[attachment{name, rollout}] = slices.Clone(document)
	return nil
}

// checkAttachment refuses a document that is too long.
func checkAttachment(ctx context.Context, document []byte) error {
	if len(document) > MaxAttachment {
		return fmt.Errorf("attachment: %w: %d bytes, more than %d", endpoint.ErrInvalid, len(document), MaxAttachment)
	}
	return ctx.Err()
}

// Attachment implements [Attacher].
func (m *Memory) Attachment(ctx context.Context, name, rollout string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	document, ok := m.attachments[attachment{name, rollout}]
	if !ok {
		return nil, fmt.Errorf("attachment of %s, rollout %s: %w", name, rollout, endpoint.ErrNotFound)
	}
	return slices.Clone(document), nil
}
