package showcase

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// FleetID is the fleet of [Fleet].
const FleetID = "sdxl-v2-december"

// Fleet has a fleet of 24 endpoints in three waves run, of which one has failed and
// the second wave waits for the approval "go-wide". It returns the store as it was then.
func Fleet(t *testing.T) *journal.Memory {
	t.Helper()
	return playFleet(t, fleetNames, "")
}

// EndedFleet is [Fleet] after the second wave was approved or rejected.
func EndedFleet(t *testing.T, decision rollout.Verb) *journal.Memory {
	t.Helper()
	return playFleet(t, fleetNames, decision)
}

// FleetNamed is [Fleet] where everything that a caller may name has the name.
func FleetNamed(t *testing.T, name string) *journal.Memory {
	t.Helper()
	return playFleet(t, names{wave: name, approval: name, owner: name, reason: name}, "")
}

type names struct{ wave, approval, owner, reason string }

var fleetNames = names{wave: "quarter", approval: "go-wide", owner: "ci job 4712", reason: "image pull backoff"}

func playFleet(t *testing.T, n names, decision rollout.Verb) *journal.Memory {
	t.Helper()
	kept := journal.NewMemory()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(began)) //nolint:forbidigo // from the bubble's own beginning
		store := journal.NewMemory()
		f := newFleet(n)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, err := fleet.Run(ctx, store, f, fleet.WithOwner(n.owner))
			if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, fleet.ErrBreached) { // it is cut short, or rejected
				t.Error(err)
			}
		}()
		time.Sleep(2 * time.Hour) //nolint:forbidigo // in the bubble
		if s, err := fleet.Inspect(t.Context(), store, FleetID); err != nil || s.Waves[1].Phase != fleet.WaveHeld {
			t.Fatalf("%v: %v", err, s)
		}
		if decision != "" {
			if err := fleet.Decide(t.Context(), store, FleetID, rollout.Decision{Verb: decision, By: "dana"}); err != nil {
				t.Fatal(err)
			}
			<-ended
		}
		copyStore(t, kept, store)
		cancel()
		<-ended
	})
	return kept
}

func newFleet(n names) fleet.Fleet {
	f := fleet.Fleet{ID: FleetID, Budget: fleet.Budget{Failures: 2}}
	for i := range 24 {
		ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
			Name: fmt.Sprintf("runpod/sdxl-%02d", i+1), Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3, Quota: 10,
		})
		if i == 4 {
			ep.FailOn("acme/sdxl:v2", n.reason)
		}
		f.Members = append(f.Members, fleet.Member{
			Endpoint: ep, Strategy: strategy.InPlace{}, Target: rollout.ToRevision("b"), Options: []rollout.Option{rollout.WithOwner(n.owner)},
		})
	}
	members := func(from, to int) (all []string) {
		for _, m := range f.Members[from:to] {
			all = append(all, m.Endpoint.Name())
		}
		return all
	}
	f.Waves = []fleet.Wave{
		{Name: "canary", Members: members(0, 2), Soak: 10 * time.Minute},
		{Name: n.wave, Members: members(2, 8), AtOnce: 3, Approval: &strategy.Approval{Name: n.approval, Expires: 4 * time.Hour}},
		{Name: "rest", AtOnce: 8},
	}
	return f
}

// copyStore copies all journals of a store.
func copyStore(t *testing.T, to, from *journal.Memory) {
	t.Helper()
	entries, err := from.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		records, err := from.Load(t.Context(), e.Endpoint)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if err := to.Append(t.Context(), e.Endpoint, r); err != nil {
				t.Fatal(err)
			}
		}
	}
}
