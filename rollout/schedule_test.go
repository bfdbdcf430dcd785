package rollout_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// rollOnce moves a new endpoint whose workers take four minutes to start, and
// returns how many looks it had while the rollout waited for it to serve, the
// longest time between two of all looks, and the shortest.
func rollOnce(t *testing.T, name string, opts ...rollout.Option) (waiting int, longest, shortest time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
			Name: name, Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a",
			Min: 1, Max: 3, Start: 4 * time.Minute,
		})
		var last time.Time
		shortest = time.Hour
		ep.OnRead(func(int, string) endpointtest.Fault {
			if gap := time.Since(last); !last.IsZero() {
				longest = max(longest, gap)
				if gap > 0 { // what a step reads at once after another is not a wait
					shortest = min(shortest, gap)
				}
			}
			last = time.Now()
			return endpointtest.Fault{}
		})
		opts := append(opts, rollout.WithHook(func(e rollout.Event) {
			if e.Kind == rollout.EventPoll && e.Step == "await serving" {
				waiting++
			}
		}))
		_, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.InPlace{}, rollout.ToRevision("b"), opts...)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := ep.Status(t.Context()); err != nil || !s.Serving.Same(endpoint.Revision{Kind: "template", ID: "b"}) {
			t.Errorf("serves %s, %v", s.Serving, err)
		}
	})
	return waiting, longest, shortest
}

func TestDefaultScheduleIsBounded(t *testing.T) {
	_, longest, shortest := rollOnce(t, "fake/1")
	if longest > waiter.MaxInterval || shortest < 500*time.Millisecond {
		t.Errorf("looks %v to %v apart, want 500ms to %v", shortest, longest, waiter.MaxInterval)
	}
}

func TestIntervalIsFixed(t *testing.T) {
	_, longest, shortest := rollOnce(t, "fake/1", rollout.WithInterval(7*time.Second))
	if longest != 7*time.Second || shortest != 7*time.Second {
		t.Errorf("looks %v to %v apart, want 7s", shortest, longest)
	}
}

// TestHistoryMakesRolloutsCheaper keeps a history between runs, as JSON.
func TestHistoryMakesRolloutsCheaper(t *testing.T) {
	first, _, _ := rollOnce(t, "fake/new")
	var doc []byte
	for i := range 6 {
		var h waiter.History
		if doc != nil {
			if err := json.Unmarshal(doc, &h); err != nil {
				t.Fatal(err)
			}
		}
		rollOnce(t, fmt.Sprint("fake/", i%3), rollout.WithHistory(&h))
		var err error
		if doc, err = json.Marshal(&h); err != nil {
			t.Fatal(err)
		}
	}
	var h waiter.History
	if err := json.Unmarshal(doc, &h); err != nil {
		t.Fatal(err)
	}
	if n := len(h.Durations("in-place await serving", "fake/0")); n != 2 {
		t.Errorf("%d durations of the endpoint are remembered, want 2:\n%s", n, doc)
	}
	for _, name := range []string{"fake/0", "fake/new"} { // on others it takes as long
		if n, longest, _ := rollOnce(t, name, rollout.WithHistory(&h)); n >= first*3/4 || longest > waiter.MaxInterval {
			t.Errorf("%s: %d looks with a history, at most %v apart; %d without", name, n, longest, first)
		}
	}
}

// lister lists the one endpoint that there is.
type lister struct {
	ep    *endpointtest.Workers
	lists atomic.Int64 // a list may be under way when a rollout ends
}

func (l *lister) List(ctx context.Context) (map[string]endpoint.ListEntry, error) {
	l.lists.Add(1)
	s, err := l.ep.Status(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]endpoint.ListEntry{l.ep.Name(): {Fingerprint: fmt.Sprintf("%+v", s), Updating: s.Phase == endpoint.PhaseUpdating}}, nil
}

func TestRolloutBySharedPoller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
			Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3, Start: 4 * time.Minute,
		})
		l := &lister{ep: ep}
		_, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.InPlace{}, rollout.ToRevision("b"),
			rollout.WithShared(waiter.NewShared(l, 0)))
		if err != nil {
			t.Fatal(err)
		}
		if n := l.lists.Load(); n < 20 {
			t.Errorf("%d lists, want the wait to have looked by them", n)
		}
	})
}
