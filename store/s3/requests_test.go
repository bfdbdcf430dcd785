package s3_test

import (
	"testing"

	"github.com/changeover-dev/changeover/journal"
)

// A long journal that was trimmed costs no more requests than a short one, and
// a poll of one in which nothing was appended costs one.
func TestRequests(t *testing.T) {
	svc := newService(t)
	svc.page = 20
	store := svc.store()
	count := func(do func() (int, error)) (records, gets, lists int) {
		t.Helper()
		svc.gets.Store(0)
		svc.lists.Store(0)
		records, err := do()
		if err != nil {
			t.Fatal(err)
		}
		return records, int(svc.gets.Load()), int(svc.lists.Load())
	}
	load := func(after int) func() (int, error) {
		return func() (int, error) {
			got, err := store.LoadAfter(t.Context(), name, after)
			return len(got), err
		}
	}
	last := grow(t, store, journal.Record{}, 290)
	if records, gets, lists := count(load(0)); records != 290 || gets != 290 || lists < 15 {
		t.Errorf("before it was trimmed: %d records, %d gets, %d lists", records, gets, lists)
	}
	for _, first := range []int{31, 151, 281} {
		if err := store.Trim(t.Context(), name, first); err != nil {
			t.Fatal(err)
		}
	}
	if records, gets, lists := count(load(0)); records != 10 || gets != 10 || lists != 3 {
		t.Errorf("trimmed: %d records, %d gets, %d lists, want 10, 10 and 3", records, gets, lists)
	}
	if records, gets, lists := count(load(last.Seq)); records != 0 || gets != 0 || lists != 1 {
		t.Errorf("poll: %d records, %d gets, %d lists, want 0, 0 and 1", records, gets, lists)
	}
	if n, gets, lists := count(func() (int, error) {
		list, err := store.List(t.Context())
		return len(list), err
	}); n != 1 || gets != 1 || lists != 4 {
		t.Errorf("List: %d journals, %d gets, %d lists, want 1, 1 and 4", n, gets, lists)
	}
}
