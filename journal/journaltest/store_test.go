package journaltest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

func TestMemory(t *testing.T) {
	Run(t, Harness{New: func(testing.TB) journal.Store { return journal.NewMemory() }})
}

func TestFiles(t *testing.T) {
	open := func(t testing.TB, dir string) journal.Store {
		t.Helper()
		s, err := journal.NewFiles(dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	Run(t, Harness{
		New: func(t testing.TB) journal.Store { return open(t, t.TempDir()) },
		Reopen: func(t testing.TB, s journal.Store) journal.Store {
			return open(t, filepath.Dir(s.(*journal.Files).Path("x")))
		},
	})
}

// shelf is a store that keeps lines, as one over a network would, and breaks a
// promise if it is told to.
type shelf struct {
	mu    sync.Mutex
	lines map[string][]line
	held  map[string]bool

	key                                func(name string) string                 // where a journal is kept
	taken                              func(have []line, r journal.Record) bool // what it takes for a conflict
	sorted                             func(a, b line) int                      // the order it loads in
	edit                               func(*journal.Record)                    // what becomes of a record
	limit                              int                                      // how much of a record it keeps
	empty                              error                                    // of a journal that does not exist
	shared                             []journal.Record                         // what it hands out more than once, if not nil
	replaces, racy, deaf, buffers, lax bool

	stamps map[string]journal.Heartbeat
	first  bool // keeps the first stamp
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
	if s.shared != nil && len(s.shared) == len(lines) {
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
	return records, nil
}

func (s *shelf) Append(ctx context.Context, name string, r journal.Record) error {
	if err := ctx.Err(); err != nil && !s.deaf {
		return err
	}
	if s.edit != nil {
		s.edit(&r)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if s.limit > 0 {
		b = b[:min(len(b), s.limit)]
	}
	key := s.name(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.lines[key]
	if s.racy {
		s.mu.Unlock()
		time.Sleep(time.Millisecond)
		s.mu.Lock()
	}
	if s.taken == nil && slices.ContainsFunc(have, func(l line) bool { return l.seq == r.Seq }) || s.taken != nil && s.taken(have, r) {
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
	left := &shelf{lines: map[string][]line{}, held: s.held, stamps: s.stamps}
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

func (s *shelf) Heartbeat(ctx context.Context, name string, stamp journal.Heartbeat) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, have := s.stamps[name]; !have || !s.first {
		s.stamps[name] = stamp
	}
	return nil
}

func (s *shelf) LastHeartbeat(ctx context.Context, name string) (journal.Heartbeat, error) {
	if err := ctx.Err(); err != nil {
		return journal.Heartbeat{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stamp, ok := s.stamps[name]
	if !ok {
		return journal.Heartbeat{}, endpoint.ErrNotFound
	}
	return stamp, nil
}

// Each of these stores breaks one promise, and the subtest that is meant to
// catch it does.
func TestBrokenStores(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(*shelf)
		want []string // the subtest that is meant to catch it, and those that may too
	}{
		"none": {func(*shelf) {}, nil},
		"a journal that does not exist is an error": {
			func(s *shelf) { s.empty = errors.New("no such key") },
			[]string{"a journal that does not exist is empty", "of appends at once one wins"},
		},
		"sorts numbers as text": {
			func(s *shelf) {
				s.sorted = func(a, b line) int {
					return strings.Compare(strconv.Itoa(a.seq), strconv.Itoa(b.seq))
				}
			},
			[]string{"records come back in order", "of appends at once one wins"},
		},
		"rounds times": {
			func(s *shelf) { s.edit = func(r *journal.Record) { r.NotAfter = r.NotAfter.Truncate(time.Second) } },
			[]string{"records come back as they were"},
		},
		"cuts records off": {
			func(s *shelf) { s.limit = 1 << 16 },
			[]string{"large records come back whole"},
		},
		"looks for a conflict at the last record only": {
			func(s *shelf) {
				s.taken = func(have []line, r journal.Record) bool { return len(have) > 0 && have[len(have)-1].seq == r.Seq }
			},
			[]string{"a number that is taken is a conflict", "a conflict changes nothing"},
		},
		"takes its own record for a repeated one": {
			func(s *shelf) {
				s.taken = func(have []line, r journal.Record) bool {
					b, _ := json.Marshal(r)
					return len(have) >= r.Seq && !bytes.Equal(have[r.Seq-1].text, b)
				}
			},
			[]string{"a number that is taken is a conflict"},
		},
		"overwrites, and says so": {
			func(s *shelf) { s.replaces = true },
			[]string{"a conflict changes nothing", "of appends at once one wins"},
		},
		"looks, and appends later": {
			func(s *shelf) { s.racy = true },
			[]string{"of appends at once one wins"},
		},
		"folds names": {
			func(s *shelf) {
				s.key = func(n string) string { return strings.NewReplacer("/", "-", " ", "-").Replace(n) }
			},
			[]string{"endpoints are kept apart"},
		},
		"keeps the last record in memory": {
			func(s *shelf) { s.buffers = true },
			[]string{
				"an append survives its process", "records come back as they were", "a number that is taken is a conflict",
				"of appends at once one wins", "endpoints are kept apart",
			},
		},
		"goes on with a done context": {
			func(s *shelf) { s.deaf = true },
			[]string{"a done context appends nothing"},
		},
		"hands out what it keeps": {
			func(s *shelf) { s.shared = []journal.Record{} },
			[]string{"what was loaded is the caller's"},
		},
		"locks for nobody": {
			func(s *shelf) { s.lax = true },
			[]string{"a lock has one holder"},
		},
		"keeps the first stamp": {
			func(s *shelf) { s.first = true },
			[]string{"the newest stamp is the stamp"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := storeSuite.Broken(t, Harness{
				New: func(testing.TB) journal.Store {
					s := &shelf{lines: map[string][]line{}, held: map[string]bool{}, stamps: map[string]journal.Heartbeat{}}
					tt.edit(s)
					return s
				},
				Reopen: func(_ testing.TB, s journal.Store) journal.Store {
					if s := s.(*shelf); s.buffers {
						return s.crashed()
					}
					return s
				},
			})
			if len(tt.want) > 0 && !slices.Contains(got, tt.want[0]) {
				t.Errorf("not caught by %q", tt.want[0])
			}
			for _, g := range got {
				if !slices.Contains(tt.want, g) {
					t.Errorf("caught by %q too", g)
				}
			}
		})
	}
}
