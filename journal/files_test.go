package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// next is the record behind last, of kind and of last's rollout; the zero
// value is before the first one.
func next(t testing.TB, last journal.Record, kind journal.RecordKind) journal.Record {
	t.Helper()
	r := journal.Record{
		Version: strategy.FormatVersion, Seq: last.Seq + 1, Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Rollout: last.Rollout, Kind: kind, Note: "line one\nline two",
	}
	if kind == journal.KindPlan {
		r.Rollout = fmt.Sprint("r", r.Seq)
	}
	if err := r.Seal(last.Sum); err != nil {
		t.Fatal(err)
	}
	return r
}

// grow appends n records to a journal, in rollouts of ten, and returns them.
func grow(t testing.TB, s journal.Store, name string, last journal.Record, n int) []journal.Record {
	t.Helper()
	var all []journal.Record
	for range n {
		kind := journal.KindDone
		switch last.Seq % 10 {
		case 0:
			kind = journal.KindPlan
		case 9:
			kind = journal.KindEnd
		}
		last = next(t, last, kind)
		if err := s.Append(t.Context(), name, last); err != nil {
			t.Fatal(err)
		}
		all = append(all, last)
	}
	return all
}

func open(t testing.TB, dir string) *journal.Files {
	t.Helper()
	s, err := journal.NewFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Two processes without the lock append at the same moment: one of them wins.
func TestFilesAppendAtOnce(t *testing.T) {
	dir := t.TempDir()
	var last journal.Record
	for range 20 {
		r := next(t, last, journal.KindPlan)
		errs := make(chan error)
		for range 4 {
			s := open(t, dir)
			go func() { errs <- s.Append(t.Context(), "e", r) }()
		}
		won := 0
		for range 4 {
			switch err := <-errs; {
			case err == nil:
				won++
			case !errors.Is(err, journal.ErrConflict):
				t.Error(err)
			}
		}
		if won != 1 {
			t.Fatalf("record %d was appended %d times", r.Seq, won)
		}
		last = r
	}
}

// A process that is stopped in the middle of an append holds its lock for as
// long as it is. An append of that endpoint gives up after a minute, and one of
// another endpoint does not wait at all.
func TestFilesAppendHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := open(t, t.TempDir())
		held := flock.New(store.Path("fake/prod") + ".append")
		if ok, err := held.TryLock(); !ok || err != nil {
			t.Fatal(ok, err)
		}
		defer func() { _ = held.Unlock() }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		var wg sync.WaitGroup
		for range 3 { // in this process they wait for each other, and no longer
			wg.Go(func() {
				err := store.Append(ctx, "fake/prod", next(t, journal.Record{}, journal.KindPlan))
				if took := time.Since(began); !errors.Is(err, endpoint.ErrBusy) || took != time.Minute {
					t.Errorf("Append = %v after %v, want ErrBusy after 1m", err, took)
				}
			})
		}
		synctest.Wait()
		for range 100 {
			grow(t, store, "fake/other", journal.Record{}, 1)
			if _, err := store.Load(t.Context(), "fake/prod"); err != nil {
				t.Errorf("Load = %v", err)
			}
			if err := os.Remove(store.Path("fake/other")); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("another endpoint waited %v", took)
		}
		wg.Wait()
	})
}

// A last line without an end is not there, however long it is, and the next
// append takes its place.
func TestTornLastLine(t *testing.T) {
	for _, torn := range []string{"{", `{"v":2,"seq":2,"kind":"inte`, strings.Repeat("x", 4096), strings.Repeat("\x00", 10000)} {
		s := open(t, t.TempDir())
		want := grow(t, s, "e", journal.Record{}, 1)
		f, err := os.OpenFile(s.Path("e"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(torn); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Load(t.Context(), "e"); err != nil || len(got) != 1 {
			t.Fatalf("Load = %v, %v; want the one whole record", got, err)
		}
		want = append(want, grow(t, s, "e", want[0], 1)...)
		if b, err := os.ReadFile(s.Path("e")); err != nil || !bytes.HasSuffix(b, []byte("}\n")) {
			t.Errorf("the file ends with %.20q, %v, want the end of a record", b[max(0, len(b)-20):], err)
		}
		got, err := s.Load(t.Context(), "e")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Load (-want +got):\n%s", diff)
		}
	}
}

func TestUnusableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", file, filepath.Join(file, "below")} {
		if _, err := journal.NewFiles(dir); err == nil {
			t.Errorf("NewFiles(%q) succeeded", dir)
		}
	}
}

// Each byte of a journal is flipped, bit by bit: what is loaded then is what
// was appended, or the error names the line and carries the records before it.
func TestFlippedBits(t *testing.T) {
	s := open(t, t.TempDir())
	want := grow(t, s, "e", journal.Record{}, 4)
	good, err := os.ReadFile(s.Path("e"))
	if err != nil {
		t.Fatal(err)
	}
	step := 1
	if testing.Short() {
		step = 13
	}
	for i := 0; i < len(good); i += step {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			if err := os.WriteFile(s.Path("e"), bad, 0o600); err != nil {
				t.Fatal(err)
			}
			line := 1 + bytes.Count(good[:i], []byte("\n"))
			got, err := journal.Load(t.Context(), s, "e")
			var partly *journal.ReadError
			switch {
			case err == nil && line == len(want) && i == len(good)-1: // its end is lost: torn
				want := want[:len(want)-1]
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("bit %d of byte %d (-want +got):\n%s", bit, i, diff)
				}
			case err == nil && cmp.Diff(want, got) != "":
				t.Fatalf("bit %d of byte %d, %q for %q: read otherwise", bit, i, bad[i], good[i])
			case err == nil: // the case of a letter in a field's name
			case !errors.As(err, &partly) || partly.Line != line || cmp.Diff(want[:line-1], partly.Records, cmp.Transformer("", keepEmpty)) != "":
				t.Fatalf("bit %d of byte %d: %v, want line %d and the records before it", bit, i, err, line)
			case !strings.Contains(err.Error(), fmt.Sprint("line ", line)):
				t.Fatalf("%q does not name line %d", err, line)
			}
		}
	}
}

func keepEmpty(r []journal.Record) []journal.Record { return append([]journal.Record{}, r...) }

// An append fails as long as the last record is damaged, and names its line.
func TestAppendToDamage(t *testing.T) {
	s := open(t, t.TempDir())
	all := grow(t, s, "e", journal.Record{}, 3)
	b, err := os.ReadFile(s.Path("e"))
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-10] ^= 1
	if err := os.WriteFile(s.Path("e"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	err = s.Append(t.Context(), "e", next(t, all[2], journal.KindDone))
	var partly *journal.ReadError
	if !errors.As(err, &partly) || partly.Line != 3 || len(partly.Records) != 2 {
		t.Errorf("Append = %v, want line 3", err)
	}
	if list, err := s.List(t.Context()); err != nil || len(list) != 1 || !errors.Is(list[0].Err, journal.ErrDamaged) || !list[0].Unfinished() {
		t.Errorf("List = %v, %v, want one entry that is damaged", list, err)
	}
}

// A Trim that is interrupted at any point loses nothing and puts nothing into
// the archive twice.
func TestInterruptedTrim(t *testing.T) {
	for _, interrupted := range []string{"archived", "archived in part", "rewritten in part"} {
		t.Run(interrupted, func(t *testing.T) {
			s := open(t, t.TempDir())
			all := grow(t, s, "e", journal.Record{}, 30)
			before, err := os.ReadFile(s.Path("e"))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Trim(t.Context(), "e", 11); err != nil {
				t.Fatal(err)
			}
			// All of the journal is there again, as if the rewrite had not been reached.
			if err := os.WriteFile(s.Path("e"), before, 0o600); err != nil {
				t.Fatal(err)
			}
			archived, err := os.ReadFile(s.ArchivePath("e"))
			if err != nil {
				t.Fatal(err)
			}
			switch interrupted {
			case "archived in part":
				if err := os.WriteFile(s.ArchivePath("e"), archived[:len(archived)-700], 0o600); err != nil {
					t.Fatal(err)
				}
			case "rewritten in part":
				if err := os.WriteFile(s.Path("e")+".new", before[:100], 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Trim(t.Context(), "e", 21); err != nil {
				t.Fatal(err)
			}
			left, err := journal.Load(t.Context(), s, "e")
			if err != nil || cmp.Diff(all[20:], left) != "" {
				t.Errorf("left: %d records, %v, want the last 10", len(left), err)
			}
			archived, err = os.ReadFile(s.ArchivePath("e"))
			if err != nil {
				t.Fatal(err)
			}
			for i, line := range strings.Split(strings.TrimSuffix(string(archived), "\n"), "\n") {
				if r, err := journal.Decode([]byte(line)); err != nil || r.Seq != i+1 {
					t.Errorf("line %d of the archive: record %d, %v", i+1, r.Seq, err)
				}
			}
			if n := bytes.Count(archived, []byte("\n")); n != 20 {
				t.Errorf("%d records in the archive, want 20", n)
			}
		})
	}
}

// Trim deletes the attachments of rollouts that it takes out whole.
func TestTrimDeletesAttachments(t *testing.T) {
	for _, s := range []journal.Store{open(t, t.TempDir()), journal.NewMemory()} {
		grow(t, s, "e", journal.Record{}, 30)
		a := s.(journal.Attacher)
		for _, rollout := range []string{"r1", "r11", "r21"} {
			if err := a.Attach(t.Context(), "e", rollout, []byte(rollout)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.(journal.Trimmer).Trim(t.Context(), "e", 15); err != nil {
			t.Fatal(err)
		}
		if b, err := a.Attachment(t.Context(), "e", "r1"); !errors.Is(err, endpoint.ErrNotFound) {
			t.Errorf("%T: attachment of a trimmed rollout = %s, %v", s, b, err)
		}
		for _, rollout := range []string{"r11", "r21"} {
			if b, err := a.Attachment(t.Context(), "e", rollout); err != nil || string(b) != rollout {
				t.Errorf("%T: attachment of %s = %s, %v", s, rollout, b, err)
			}
		}
	}
}

// What an append costs does not depend on the length of the journal, which would be
// thousands of allocations. Some more are pools that the collector emptied meanwhile.
func TestAppendCostsTheSame(t *testing.T) {
	cost := func(rollouts int) float64 {
		s := open(t, t.TempDir())
		last := long(t, s, rollouts)
		return testing.AllocsPerRun(20, func() { last = grow(t, s, "e", last, 1)[0] })
	}
	if first, thousandth := cost(1), cost(1000); thousandth > 1.5*first {
		t.Errorf("%v allocations for an append in the 1,000th rollout, %v in the first", thousandth, first)
	}
}

// long is a journal of some rollouts of ten records. It returns the last one.
func long(t testing.TB, s *journal.Files, rollouts int) journal.Record {
	t.Helper()
	var lines bytes.Buffer
	var last journal.Record
	for i := range 10 * rollouts {
		kind := []journal.RecordKind{journal.KindPlan, journal.KindDone}[min(1, i%10)]
		last = next(t, last, kind)
		b, err := journal.Encode(last)
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(b, '\n'))
	}
	if err := os.WriteFile(s.Path("e"), lines.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return last
}

func BenchmarkFilesAppend(b *testing.B) {
	for _, rollouts := range []int{1, 1000} {
		b.Run(fmt.Sprint("rollout ", rollouts), func(b *testing.B) {
			s := open(b, b.TempDir())
			last := long(b, s, rollouts)
			for b.Loop() {
				last = grow(b, s, "e", last, 1)[0]
			}
		})
	}
}

// At least the newest rollout is kept, whole, whether it has ended or not.
func TestTrimFinishedKeepsTheNewest(t *testing.T) {
	for _, n := range []int{31, 35, 40} { // records, of four rollouts
		for keep, want := range map[int]int{-1: 31, 0: 31, 1: 31, 2: 21, 4: 1, 100: 1} {
			s := journal.NewMemory()
			grow(t, s, "e", journal.Record{}, n)
			if err := journal.TrimFinished(t.Context(), s, "e", keep); err != nil {
				t.Fatal(err)
			}
			got, err := journal.Load(t.Context(), s, "e")
			if err != nil || got[0].Seq != want || got[len(got)-1].Seq != n {
				t.Errorf("%d kept of %d records: %d records, %v, want %d to %d", keep, n, len(got), err, want, n)
			}
		}
	}
}

// BenchmarkFilesLoad reads a journal of 100,000 records.
func BenchmarkFilesLoad(b *testing.B) {
	s := open(b, b.TempDir())
	long(b, s, 10_000)
	for b.Loop() {
		if records, err := journal.Load(b.Context(), s, "e"); err != nil || len(records) != 100_000 {
			b.Fatal(len(records), err)
		}
	}
}
