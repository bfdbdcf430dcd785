package journaltest

import (
	"context"
	"errors"
	"testing"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

// hold is [journal.Locker.Lock] or [journal.Leaser.Lease].
type hold = func(ctx context.Context, endpoint string) (func() error, error)

func locks(t testing.TB, h Harness) {
	s := h.New(t)
	first, ok := journal.As[journal.Locker](s)
	if !ok {
		t.Skip("SKIPPED: the store has no lock; a takeover waits until a dead runner's last call must be over")
	}
	second, ok := journal.As[journal.Locker](h.second(t, s))
	if !ok {
		t.Fatal("the store has a lock, and reopened it has none")
	}
	hasOneHolder(t, s, "Lock", first.Lock, second.Lock)
}

func leases(t testing.TB, h Harness) {
	s := h.New(t)
	first, ok := journal.As[journal.Leaser](s)
	if !ok {
		t.Skip("SKIPPED: the store has no lease")
	}
	second, ok := journal.As[journal.Leaser](h.second(t, s))
	if !ok {
		t.Fatal("the store has a lease, and reopened it has none")
	}
	hasOneHolder(t, s, "Lease", first.Lease, second.Lease)
}

func hasOneHolder(t testing.TB, s journal.Store, what string, first, second hold) {
	t.Helper()
	take := func(h hold, name string) func() error {
		t.Helper()
		release, err := h(t.Context(), name)
		if err != nil {
			t.Fatalf("%s(%q) = %v", what, name, err)
		}
		return release
	}
	release := take(first, journalName)
	for _, h := range []hold{first, second} {
		if _, err := h(t.Context(), journalName); !errors.Is(err, endpoint.ErrBusy) {
			t.Errorf("%s while it is held = %v, want %v", what, err, endpoint.ErrBusy)
		}
	}
	add(t, s, journalName, next(t, journal.Record{}, "by the holder"))
	other := take(second, "runpod/other")
	if err := errors.Join(release(), other()); err != nil {
		t.Errorf("release: %v", err)
	}
	for _, h := range []hold{second, first} {
		release = take(h, journalName)
		if err := release(); err != nil {
			t.Errorf("release: %v", err)
		}
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := first(done, journalName); !errors.Is(err, context.Canceled) {
		t.Errorf("%s with a done context = %v, want %v", what, err, context.Canceled)
	}
}

func appendsBesideTheRunner(t testing.TB, h Harness) {
	s := h.New(t)
	release := func() error { return nil }
	var err error
	if l, ok := journal.As[journal.Locker](s); ok {
		release, err = l.Lock(t.Context(), journalName)
	} else if l, ok := journal.As[journal.Leaser](s); ok {
		release, err = l.Lease(t.Context(), journalName)
	}
	if err != nil {
		t.Fatal(err)
	}
	all := chain(t, 3)
	add(t, s, journalName, all[0])
	add(t, h.second(t, s), journalName, all[1])
	if err := s.Append(t.Context(), journalName, next(t, all[0], "the runner's")); !errors.Is(err, journal.ErrConflict) {
		t.Errorf("Append by the runner, which has not seen the other process's record = %v, want %v", err, journal.ErrConflict)
	}
	add(t, s, journalName, all[2])
	same(t, all, load(t, h.second(t, s), journalName))
	if err := release(); err != nil {
		t.Errorf("release: %v", err)
	}
}
