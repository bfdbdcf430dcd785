package journaltest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

func stamps(t testing.TB, h Harness) {
	s := h.New(t)
	first, ok := s.(journal.Heartbeater)
	if !ok {
		t.Skip("SKIPPED: the store keeps no stamp; without a lock either, nobody can see whether a rollout is being driven")
	}
	second, ok := h.second(t, s).(journal.Heartbeater)
	if !ok {
		t.Fatal("the store keeps a stamp, and reopened it does not")
	}
	if stamp, err := second.LastHeartbeat(t.Context(), journalName); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("Stamped before there is one = %v, %v, want %v", stamp, err, endpoint.ErrNotFound)
	}
	add(t, s, journalName, record(1, "ours"))
	for i := range 3 {
		want := journal.Heartbeat{
			Rollout: "20260102-030405-abcdef", Owner: "host \"a\", process 1",
			Time: time.Date(2026, 1, 2, 3, 4, 5+i, 123456789, time.UTC),
		}
		if err := first.Heartbeat(t.Context(), journalName, want); err != nil {
			t.Fatalf("Stamp: %v", err)
		}
		for _, s := range []journal.Heartbeater{first, second} {
			if got, err := s.LastHeartbeat(t.Context(), journalName); err != nil || !got.Time.Equal(want.Time) || got.Owner != want.Owner || got.Rollout != want.Rollout {
				t.Errorf("Stamped = %+v, %v, want %+v", got, err, want)
			}
		}
	}
	if stamp, err := second.LastHeartbeat(t.Context(), journalName+"/c"); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("Stamped of another endpoint = %v, %v, want %v", stamp, err, endpoint.ErrNotFound)
	}
	same(t, []journal.Record{record(1, "ours")}, load(t, s, journalName))
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := first.Heartbeat(done, journalName, journal.Heartbeat{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Stamp with a done context = %v, want %v", err, context.Canceled)
	}
	if _, err := first.LastHeartbeat(done, journalName); !errors.Is(err, context.Canceled) {
		t.Errorf("Stamped with a done context = %v, want %v", err, context.Canceled)
	}
}
