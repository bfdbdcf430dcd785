package fleet_test

import (
	"context"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

func ExampleRun() {
	f := fleet.Fleet{ID: "sdxl-v2", Waves: []fleet.Wave{{Name: "canary", Members: []string{"fake/0"}}, {Name: "rest"}}}
	for i := range 3 {
		ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
			Name: fmt.Sprintf("fake/%d", i), Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a",
			Min: 1, Max: 2, Tick: time.Millisecond, Start: time.Millisecond,
		})
		f.Members = append(f.Members, fleet.Member{
			Endpoint: ep, Strategy: strategy.InPlace{}, Target: rollout.ToRevision("b"),
			Options: []rollout.Option{rollout.WithInterval(5 * time.Millisecond), rollout.WithSettle(20 * time.Millisecond)},
		})
	}
	report, err := fleet.Run(context.Background(), journal.NewMemory(), f)
	fmt.Print(report)
	fmt.Println(err)
	// Output:
	// fleet sdxl-v2: succeeded
	//      3  succeeded
	// <nil>
}

func ExampleInspect() {
	store := journal.NewMemory()
	ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
		Name: "fake/0", Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a",
		Min: 1, Max: 2, Tick: time.Millisecond, Start: time.Millisecond,
	})
	f := fleet.Fleet{ID: "sdxl-v2", Waves: []fleet.Wave{{Name: "all"}}, Members: []fleet.Member{{
		Endpoint: ep, Strategy: strategy.InPlace{}, Target: rollout.ToRevision("b"),
		Options: []rollout.Option{rollout.WithInterval(5 * time.Millisecond), rollout.WithSettle(20 * time.Millisecond)},
	}}}
	if _, err := fleet.Run(context.Background(), store, f); err != nil {
		fmt.Println(err)
		return
	}
	s, err := fleet.Inspect(context.Background(), store, "sdxl-v2") // in any process with the same store
	fmt.Print(s)
	fmt.Println(err)
	// Output:
	// fleet sdxl-v2: succeeded, 0 failed, 0 allowed
	//   all: passed, 1 of 1 ended
	// <nil>
}

// A small engine: it moves one member after the other. What it keeps in between, the
// cursor and the moves, is data, and may go to another process.
func ExampleAdvance() {
	store := journal.NewMemory()
	f := fleet.Fleet{ID: "sdxl-v2", Waves: []fleet.Wave{{Name: "canary", Members: []string{"fake/0"}}, {Name: "rest"}}}
	for i := range 2 {
		ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
			Name: fmt.Sprintf("fake/%d", i), Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a",
			Min: 1, Max: 2, Tick: time.Millisecond, Start: time.Millisecond,
		})
		f.Members = append(f.Members, fleet.Member{
			Endpoint: ep, Strategy: strategy.InPlace{}, Target: rollout.ToRevision("b"),
			Options: []rollout.Option{rollout.WithInterval(5 * time.Millisecond), rollout.WithSettle(20 * time.Millisecond)},
		})
	}
	ctx, owner := context.Background(), fleet.WithOwner("my engine")
	var cursor []byte
	var moved []fleet.MemberReport
	for {
		step, err := fleet.Advance(ctx, store, f, moved, owner, fleet.WithCursor(cursor))
		if err != nil {
			fmt.Println(err)
			return
		}
		if step.Report != nil {
			fmt.Print(step.Report)
			return
		}
		cursor, moved = step.Cursor, nil
		for _, move := range step.Move {
			mover, err := fleet.NewMover(ctx, store, f, move, owner)
			if err != nil {
				fmt.Println(err)
				return
			}
			for next, ended := mover.Advance(ctx); ; next, ended = mover.Advance(ctx) {
				if ended != nil {
					fmt.Printf("%s: %s\n", ended.Endpoint, ended.Outcome)
					moved = append(moved, *ended)
					break
				}
				time.Sleep(time.Until(next))
			}
			mover.Close()
		}
	}
	// Output:
	// fake/0: succeeded
	// fake/1: succeeded
	// fleet sdxl-v2: succeeded
	//      2  succeeded
}
