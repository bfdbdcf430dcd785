package journaltest

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

// shelf is a store that keeps lines, as one over a network would, and breaks a
// promise where a test sets that.
type shelf struct {
	mu          sync.Mutex
	lines       map[string][]line
	held        map[string]bool
	heartbeats  map[string]journal.Heartbeat
	attachments map[string][]byte

	key                                func(name string) string                 // where a journal is kept
	taken                              func(have []line, r journal.Record) bool // what it takes for a conflict
	sorted                             func(a, b line) int                      // the order it loads in
	edit                               func(*journal.Record)                    // what becomes of a record
	limit                              int                                      // how much of a record it keeps
	empty                              error                                    // of a journal that does not exist
	shared                             []journal.Record                         // what it hands out more than once, if not nil
	replaces, racy, deaf, buffers, lax bool
	unchecked, first, gated, leavesOne bool
	skips, finished, merges            bool
}

type line struct {
	seq  int
	text []byte
}

func (s *shelf) name(n string) string {
	if s.key != nil {
		return s.key(n)
	}
	return n
}

func (s *shelf) Load(ctx context.Context, name string) ([]journal.Record, error) {
	return s.LoadAfter(ctx, name, 0)
}

func (s *shelf) LoadAfter(ctx context.Context, name string, after int) ([]journal.Record, error) {
	if err := ctx.Err(); err != nil && !s.deaf {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := slices.Clone(s.lines[s.name(name)])
	if len(lines) == 0 && s.empty != nil {
		return nil, s.empty
	}
	if s.sorted != nil {
		slices.SortFunc(lines, s.sorted)
	}
	if s.shared != nil && len(s.shared) == len(lines) && after == 0 {
		return s.shared, nil
	}
	var records []journal.Record
	for _, l := range lines {
		var r journal.Record
		if err := json.Unmarshal(l.text, &r); err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	if s.shared != nil {
		s.shared = records
	}
	if s.skips && after > 0 {
		after++
	}
	return slices.DeleteFunc(records, func(r journal.Record) bool { return r.Seq <= after }), nil
}

func (s *shelf) Append(ctx context.Context, name string, r journal.Record) error {
	if err := ctx.Err(); err != nil && !s.deaf {
		return err
	}
	if s.edit != nil {
		s.edit(&r)
	}
	b, err := journal.Encode(r)
	if s.edit != nil || s.unchecked {
		b, err = json.Marshal(r)
	}
	if err != nil {
		return err
	}
	if s.limit > 0 {
		b = b[:min(len(b), s.limit)]
	}
	key := s.name(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gated && s.held[name] && len(s.lines[key]) > 0 {
		return endpoint.ErrBusy
	}
	have := s.lines[key]
	if s.racy {
		s.mu.Unlock()
		time.Sleep(time.Millisecond)
		s.mu.Lock()
	}
	taken := len(have) > 0 && r.Seq <= have[len(have)-1].seq
	if s.taken != nil {
		taken = s.taken(have, r)
	}
	if taken {
		if s.replaces {
			have[min(len(have), r.Seq)-1].text = b
		}
		return journal.ErrConflict
	}
	s.lines[key] = append(slices.Clip(have), line{r.Seq, b})
	return nil
}

// crashed is what a process that begins after this one died finds: the last
// record of each journal had not been written out yet.
func (s *shelf) crashed() *shelf {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := &shelf{lines: map[string][]line{}, held: s.held, heartbeats: s.heartbeats, attachments: s.attachments}
	for name, lines := range s.lines {
		left.lines[name] = lines[:len(lines)-1]
	}
	return left
}

func (s *shelf) Lock(ctx context.Context, name string) (func() error, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[name] && !s.lax {
		return nil, endpoint.ErrBusy
	}
	s.held[name] = true
	return func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.held, name)
		return nil
	}, nil
}

func (s *shelf) Lease(ctx context.Context, name string) (func() error, error) {
	return s.Lock(ctx, name)
}

func (s *shelf) Heartbeat(ctx context.Context, name string, h journal.Heartbeat) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, have := s.heartbeats[name]; !have || !s.first {
		s.heartbeats[name] = h
	}
	return nil
}

func (s *shelf) LastHeartbeat(ctx context.Context, name string) (journal.Heartbeat, error) {
	if err := ctx.Err(); err != nil {
		return journal.Heartbeat{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.heartbeats[name]
	if !ok {
		return journal.Heartbeat{}, endpoint.ErrNotFound
	}
	return h, nil
}

func (s *shelf) List(ctx context.Context) ([]journal.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []journal.Entry
	for _, name := range slices.Sorted(maps.Keys(s.lines)) {
		lines := s.lines[name]
		last, err := journal.Decode(lines[len(lines)-1].text)
		if s.finished && last.Kind != journal.KindEnd {
			continue
		}
		list = append(list, journal.Entry{Endpoint: name, Last: last, Err: err})
	}
	return list, nil
}

func (s *shelf) Trim(ctx context.Context, name string, first int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name = s.name(name)
	lines := s.lines[name]
	n := slices.IndexFunc(lines, func(l line) bool { return l.seq >= first })
	switch {
	case n < 0:
		return endpoint.ErrInvalid
	case s.leavesOne:
		n = max(0, n-1)
	}
	if s.leavesOne { // and takes too much with it
		clear(s.attachments)
	}
	s.lines[name] = slices.Clone(lines[n:])
	return nil
}

func (s *shelf) attachment(name, rollout string) string {
	if s.merges {
		return name + "|"
	}
	return name + "|" + rollout
}

func (s *shelf) Attach(ctx context.Context, name, rollout string, document []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(document) > journal.MaxAttachment {
		return endpoint.ErrInvalid
	}
	if ctx.Err() == nil {
		s.attachments[s.attachment(name, rollout)] = slices.Clone(document)
	}
	return ctx.Err()
}

func (s *shelf) Attachment(ctx context.Context, name, rollout string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	document, ok := s.attachments[s.attachment(name, rollout)]
	if !ok {
		return nil, endpoint.ErrNotFound
	}
	return document, ctx.Err()
}
