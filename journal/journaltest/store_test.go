package journaltest

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

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
			[]string{"a journal that does not exist is empty", "of appends at once one wins", "a record that is not sealed is refused", "the newest records can be read alone"},
		},
		"sorts numbers as text": {
			func(s *shelf) {
				s.sorted = func(a, b line) int {
					return strings.Compare(strconv.Itoa(a.seq), strconv.Itoa(b.seq))
				}
			},
			[]string{"records come back in order", "of appends at once one wins", "a trimmed journal goes on", "the newest records can be read alone"},
		},
		"rounds times": {
			func(s *shelf) { s.edit = func(r *journal.Record) { r.NotAfter = r.NotAfter.Truncate(time.Second) } },
			[]string{"records come back as they were", "a record that is not sealed is refused"},
		},
		"cuts records off": {
			func(s *shelf) { s.limit = 1 << 16 },
			[]string{"large records come back whole"},
		},
		"compares a number with the last record only": {
			func(s *shelf) {
				s.taken = func(have []line, r journal.Record) bool { return len(have) > 0 && have[len(have)-1].seq == r.Seq }
			},
			[]string{
				"a number that is taken is a conflict", "a conflict changes nothing", "a trimmed journal goes on",
				"a decision is appended beside the runner",
			},
		},
		"takes its own record for a repeated one": {
			func(s *shelf) {
				s.taken = func(have []line, r journal.Record) bool {
					b, _ := json.Marshal(r)
					i := slices.IndexFunc(have, func(l line) bool { return l.seq == r.Seq })
					return i >= 0 && !bytes.Equal(have[i].text, b)
				}
			},
			[]string{"a number that is taken is a conflict", "a trimmed journal goes on"},
		},
		"overwrites, and says so": {
			func(s *shelf) { s.replaces = true },
			[]string{"a conflict changes nothing", "of appends at once one wins", "a decision is appended beside the runner", "a trimmed journal goes on"},
		},
		"checks, and appends later": {
			func(s *shelf) { s.racy = true },
			[]string{"of appends at once one wins"},
		},
		"folds names": {
			func(s *shelf) {
				s.key = func(n string) string { return strings.NewReplacer("/", "-", " ", "-").Replace(n) }
			},
			[]string{"endpoints are kept apart", "every journal is listed", "a rollout has one attachment"},
		},
		"keeps the last record in memory": {
			func(s *shelf) { s.buffers = true },
			[]string{
				"an append survives its process", "records come back as they were", "a number that is taken is a conflict",
				"of appends at once one wins", "endpoints are kept apart", "the newest records can be read alone",
				"a trimmed journal goes on", "a decision is appended beside the runner",
			},
		},
		"goes on with a done context": {
			func(s *shelf) { s.deaf = true },
			[]string{"a done context appends nothing", "the newest records can be read alone"},
		},
		"hands out what it keeps": {
			func(s *shelf) { s.shared = []journal.Record{} },
			[]string{"a loaded journal is the caller's", "the newest records can be read alone", "a trimmed journal goes on"},
		},
		"gives the lock to everybody": {
			func(s *shelf) { s.lax = true },
			[]string{"a lock has one holder", "a lease has one holder"},
		},
		"keeps the first heartbeat": {
			func(s *shelf) { s.first = true },
			[]string{"the newest heartbeat counts"},
		},
		"keeps a record without its checksum": {
			func(s *shelf) { s.unchecked = true },
			[]string{"a record that is not sealed is refused"},
		},
		"lets only the holder of the lock append": {
			func(s *shelf) { s.gated = true },
			[]string{"a decision is appended beside the runner"},
		},
		"leaves a new record out": {
			func(s *shelf) { s.skips = true },
			[]string{"the newest records can be read alone", "a trimmed journal goes on"},
		},
		"lists what has ended": {
			func(s *shelf) { s.finished = true },
			[]string{"every journal is listed"},
		},
		"trims one record less": {
			func(s *shelf) { s.leavesOne = true },
			[]string{"a trimmed journal goes on", "a rollout has one attachment"},
		},
		"gives trimmed numbers away again": {
			func(s *shelf) {
				s.taken = func(have []line, r journal.Record) bool {
					return slices.ContainsFunc(have, func(l line) bool { return l.seq == r.Seq })
				}
			},
			[]string{"a trimmed journal goes on"},
		},
		"keeps one attachment for an endpoint": {
			func(s *shelf) { s.merges = true },
			[]string{"a rollout has one attachment"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := storeSuite.Broken(t, Harness{
				New: func(testing.TB) journal.Store {
					s := &shelf{
						lines: map[string][]line{}, held: map[string]bool{},
						heartbeats: map[string]journal.Heartbeat{}, attachments: map[string][]byte{},
					}
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
