package journaltest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

func tails(t testing.TB, h Harness) {
	s := h.New(t)
	if _, ok := journal.As[journal.Tailer](s); !ok {
		t.Skip("SKIPPED: the store cannot read the newest records alone; all are read")
	}
	if got, err := journal.LoadAfter(t.Context(), s, journalName, 0); err != nil || len(got) > 0 {
		t.Errorf("LoadAfter of a journal that does not exist = %v, %v, want no record", got, err)
	}
	all := chain(t, 12)
	add(t, s, journalName, all...)
	for _, s := range []journal.Store{s, h.second(t, s)} {
		for _, after := range []int{0, 1, 9, 11, 12, 13} {
			got, err := journal.LoadAfter(t.Context(), s, journalName, after)
			if err != nil {
				t.Errorf("LoadAfter %d = %v", after, err)
			}
			same(t, all[min(after, 12):], got)
		}
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := journal.LoadAfter(done, s, journalName, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("LoadAfter with a done context = %v, want %v", err, context.Canceled)
	}
}

func lists(t testing.TB, h Harness) {
	s := h.New(t)
	l, ok := journal.As[journal.Lister](s)
	if !ok {
		t.Skip("SKIPPED: the store cannot list its journals; unfinished rollouts are found by endpoint alone")
	}
	want := func(names ...string) {
		t.Helper()
		list, err := l.List(t.Context())
		var got []string
		for _, e := range list {
			got = append(got, e.Endpoint)
			if e.Err != nil {
				t.Errorf("List: %s: %v", e.Endpoint, e.Err)
			}
		}
		if err != nil || !slices.Equal(got, names) {
			t.Errorf("List = %q, %v, want %q", got, err, names)
		}
	}
	want()
	names := []string{"a", "a.journal/b", "a.jsonl", "runpod/a b", "runpod/a%2Fb", "runpod/a/b", "runpod/a\nb"}
	all := rollouts(t, 2)
	for i, name := range names {
		add(t, s, name, all[:3+i%2]...)
		if b, ok := journal.As[journal.Heartbeater](s); ok {
			if err := b.Heartbeat(t.Context(), name, journal.Heartbeat{Owner: "alive"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	slices.Sort(names)
	want(names...)
	list, err := l.List(t.Context())
	if err != nil || len(list) != len(names) {
		t.Fatalf("List = %v, %v", list, err)
	}
	for _, e := range list {
		records := load(t, s, e.Endpoint)
		same(t, records[len(records)-1:], []journal.Record{e.Last})
		if e.Unfinished() != (len(records) == 4) {
			t.Errorf("%s, which ends with %s: unfinished is %v", e.Endpoint, e.Last.Kind, e.Unfinished())
		}
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.List(done); !errors.Is(err, context.Canceled) {
		t.Errorf("List with a done context = %v, want %v", err, context.Canceled)
	}
}

func trims(t testing.TB, h Harness) {
	s := h.New(t)
	trimmer, ok := journal.As[journal.Trimmer](s)
	if !ok {
		t.Skip("SKIPPED: the store cannot trim; journals grow for as long as the endpoint lives")
	}
	all := rollouts(t, 7) // 21 records
	add(t, s, journalName, all[:19]...)
	add(t, s, "runpod/other", all[:3]...)
	if err := trimmer.Trim(t.Context(), journalName, 20); !errors.Is(err, endpoint.ErrInvalid) {
		t.Errorf("Trim beyond the last record = %v, want %v", err, endpoint.ErrInvalid)
	}
	same(t, all[:19], load(t, s, journalName))
	for _, first := range []int{1, 4, 16, 7, 16} { // also below what was trimmed before
		if err := trimmer.Trim(t.Context(), journalName, first); err != nil {
			t.Fatalf("Trim to %d: %v", first, err)
		}
	}
	for _, s := range []journal.Store{s, h.second(t, s)} {
		same(t, all[15:19], load(t, s, journalName))
		same(t, all[:3], load(t, s, "runpod/other"))
		for _, r := range []journal.Record{all[0], all[9], all[14], all[15], all[18]} {
			if err := s.Append(t.Context(), journalName, r); !errors.Is(err, journal.ErrConflict) {
				t.Errorf("Append of record %d, of 19 the first 15 trimmed = %v, want %v", r.Seq, err, journal.ErrConflict)
			}
		}
		if got, err := journal.LoadAfter(t.Context(), s, journalName, 17); err != nil {
			t.Errorf("LoadAfter: %v", err)
		} else {
			same(t, all[17:19], got)
		}
	}
	add(t, s, journalName, all[19:]...)
	same(t, all[15:], load(t, h.second(t, s), journalName))
	if err := journal.TrimFinished(t.Context(), s, journalName, 1); err != nil {
		t.Errorf("TrimFinished: %v", err)
	}
	same(t, all[18:], load(t, s, journalName))
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := trimmer.Trim(done, journalName, 20); !errors.Is(err, context.Canceled) {
		t.Errorf("Trim with a done context = %v, want %v", err, context.Canceled)
	}
	same(t, all[18:], load(t, s, journalName))
}

func attaches(t testing.TB, h Harness) {
	s := h.New(t)
	first, ok := journal.As[journal.Attacher](s)
	if !ok {
		t.Skip("SKIPPED: the store keeps no attachments; a finished rollout is drawn without its capacity over time")
	}
	second, ok := journal.As[journal.Attacher](h.second(t, s))
	if !ok {
		t.Fatal("the store keeps attachments, and reopened it does not")
	}
	all := rollouts(t, 3)
	add(t, s, journalName, all...)
	if got, err := second.Attachment(t.Context(), journalName, "rollout-1"); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("Attachment before there is one = %q, %v, want %v", got, err, endpoint.ErrNotFound)
	}
	largest := bytes.Repeat([]byte{0, 0xff, '\n', '"'}, journal.MaxAttachment/4)
	for _, want := range [][]byte{[]byte("{}"), largest, []byte("shorter")} {
		if err := first.Attach(t.Context(), journalName, "rollout-1", want); err != nil {
			t.Fatalf("Attach: %v", err)
		}
		if got, err := second.Attachment(t.Context(), journalName, "rollout-1"); err != nil || !bytes.Equal(got, want) {
			t.Errorf("Attachment = %.20q, %v, want %.20q", got, err, want)
		}
	}
	if err := first.Attach(t.Context(), journalName, "rollout-1", append(largest, 0)); !errors.Is(err, endpoint.ErrInvalid) {
		t.Errorf("Attach of %d bytes = %v, want %v", len(largest)+1, err, endpoint.ErrInvalid)
	}
	if err := first.Attach(t.Context(), journalName, "rollout-3", []byte("three")); err != nil {
		t.Fatalf("Attach: %v", err)
	}
	for _, of := range [][2]string{{journalName, "rollout-2"}, {journalName + "/c", "rollout-1"}} {
		if got, err := second.Attachment(t.Context(), of[0], of[1]); !errors.Is(err, endpoint.ErrNotFound) {
			t.Errorf("Attachment of %q = %q, %v, want %v", of, got, err, endpoint.ErrNotFound)
		}
	}
	same(t, all, load(t, s, journalName))
	keepsAttachments(t, s, second)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := first.Attach(done, journalName, "rollout-3", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Attach with a done context = %v, want %v", err, context.Canceled)
	}
	if _, err := first.Attachment(done, journalName, "rollout-3"); !errors.Is(err, context.Canceled) {
		t.Errorf("Attachment with a done context = %v, want %v", err, context.Canceled)
	}
}

// keepsAttachments trims the first rollout away, and not the other ones' attachments.
func keepsAttachments(t testing.TB, s journal.Store, a journal.Attacher) {
	t.Helper()
	trimmer, ok := journal.As[journal.Trimmer](s)
	if !ok {
		return
	}
	if err := trimmer.Trim(t.Context(), journalName, 4); err != nil {
		t.Fatalf("Trim: %v", err)
	}
	if got, err := a.Attachment(t.Context(), journalName, "rollout-3"); err != nil || string(got) != "three" {
		t.Errorf("Attachment of a rollout that was kept = %q, %v", got, err)
	}
}
