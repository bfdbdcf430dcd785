package journaltest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

func heartbeats(t testing.TB, h Harness) {
	s := h.New(t)
	first, ok := journal.As[journal.Heartbeater](s)
	if !ok {
		t.Skip("SKIPPED: the store keeps no heartbeat; without a lock either, it is unknown whether a rollout's runner is alive")
	}
	second, ok := journal.As[journal.Heartbeater](h.second(t, s))
	if !ok {
		t.Fatal("the store keeps a heartbeat, and reopened it does not")
	}
	if last, err := second.LastHeartbeat(t.Context(), journalName); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("LastHeartbeat before there is one = %v, %v, want %v", last, err, endpoint.ErrNotFound)
	}
	all := chain(t, 1)
	add(t, s, journalName, all...)
	for i := range 3 {
		want := journal.Heartbeat{
			Rollout: "20260102-030405-abcdef", Owner: "host \"a\", process 1",
			Time: time.Date(2026, 1, 2, 3, 4, 5+i, 123456789, time.UTC),
		}
		if err := first.Heartbeat(t.Context(), journalName, want); err != nil {
			t.Fatalf("Heartbeat: %v", err)
		}
		for _, s := range []journal.Heartbeater{first, second} {
			if got, err := s.LastHeartbeat(t.Context(), journalName); err != nil || !got.Time.Equal(want.Time) || got.Owner != want.Owner || got.Rollout != want.Rollout {
				t.Errorf("LastHeartbeat = %+v, %v, want %+v", got, err, want)
			}
		}
	}
	if last, err := second.LastHeartbeat(t.Context(), journalName+"/c"); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("LastHeartbeat of another endpoint = %v, %v, want %v", last, err, endpoint.ErrNotFound)
	}
	same(t, all, load(t, s, journalName))
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := first.Heartbeat(done, journalName, journal.Heartbeat{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Heartbeat with a done context = %v, want %v", err, context.Canceled)
	}
	if _, err := first.LastHeartbeat(done, journalName); !errors.Is(err, context.Canceled) {
		t.Errorf("LastHeartbeat with a done context = %v, want %v", err, context.Canceled)
	}
}
