package journal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// history is what some rollouts of an endpoint leave in a journal, each of a
// plan, a claim and an end; the last one has not ended if unfinished.
func history(ctx context.Context, s journal.Store, name string, rollouts int, unfinished bool) error {
	var last journal.Record
	for i := range rollouts {
		for _, kind := range []journal.RecordKind{journal.KindPlan, journal.KindClaim, journal.KindEnd} {
			if unfinished && i == rollouts-1 && kind == journal.KindEnd {
				break
			}
			r := journal.Record{
				Version: strategy.FormatVersion, Seq: last.Seq + 1, Time: time.Now(),
				Rollout: fmt.Sprint("rollout-", i+1), Kind: kind,
			}
			if err := r.Seal(last.Sum); err != nil {
				return err
			}
			if err := s.Append(ctx, name, r); err != nil {
				return err
			}
			last = r
		}
	}
	return nil
}

// A service that starts asks which rollouts are to be resumed.
func ExampleLister() {
	ctx := context.Background()
	store := journal.NewMemory()
	for name, unfinished := range map[string]bool{"runpod/llm": true, "runpod/sdxl": false} {
		if err := history(ctx, store, name, 2, unfinished); err != nil {
			fmt.Println(err)
		}
	}
	list, err := store.List(ctx)
	if err != nil {
		fmt.Println(err)
	}
	for _, e := range list {
		fmt.Println(e.Endpoint, e.Last.Rollout, "unfinished:", e.Unfinished())
	}
	// Output:
	// runpod/llm rollout-2 unfinished: true
	// runpod/sdxl rollout-2 unfinished: false
}

// A journal is shortened to its newest rollouts. Numbers go on.
func ExampleTrimFinished() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		fmt.Println(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	store, err := journal.NewFiles(dir)
	if err != nil {
		fmt.Println(err)
	}
	if err := history(ctx, store, "runpod/sdxl", 9, false); err != nil {
		fmt.Println(err)
	}
	if err := journal.TrimFinished(ctx, store, "runpod/sdxl", 2); err != nil {
		fmt.Println(err)
	}
	records, err := journal.Load(ctx, store, "runpod/sdxl")
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(len(records), "records, from", records[0].Seq, "to", records[len(records)-1].Seq)
	// Output: 6 records, from 22 to 27
}

// audited is a store that tells an audit log of each append.
type audited struct {
	journal.Store
	log func(string)
}

func (a audited) Append(ctx context.Context, name string, r journal.Record) error {
	err := a.Store.Append(ctx, name, r)
	if err == nil {
		a.log(fmt.Sprint(name, " ", r.Seq, " ", r.Kind))
	}
	return err
}

// Unwrap shows the abilities of the store within.
func (a audited) Unwrap() journal.Store { return a.Store }

func ExampleAs() {
	ctx := context.Background()
	store := audited{journal.NewMemory(), func(line string) { fmt.Println(line) }}
	if err := history(ctx, store, "runpod/sdxl", 1, false); err != nil {
		fmt.Println(err)
	}
	if locker, ok := journal.As[journal.Locker](store); ok {
		unlock, err := locker.Lock(ctx, "runpod/sdxl")
		if err != nil {
			fmt.Println(err)
		}
		_, err = locker.Lock(ctx, "runpod/sdxl")
		fmt.Println("busy:", errors.Is(err, endpoint.ErrBusy))
		_ = unlock()
	}
	// Output:
	// runpod/sdxl 1 plan
	// runpod/sdxl 2 claim
	// runpod/sdxl 3 end
	// busy: true
}

// Of a journal that was damaged the beginning can still be shown.
func ExampleReadError() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		fmt.Println(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	store, err := journal.NewFiles(dir)
	if err != nil {
		fmt.Println(err)
	}
	if err := history(ctx, store, "runpod/sdxl", 2, false); err != nil {
		fmt.Println(err)
	}
	b, err := os.ReadFile(store.Path("runpod/sdxl"))
	if err != nil {
		fmt.Println(err)
	}
	b[len(b)-20] ^= 1
	if err := os.WriteFile(store.Path("runpod/sdxl"), b, 0o600); err != nil {
		fmt.Println(err)
	}
	_, err = journal.Load(ctx, store, "runpod/sdxl")
	var partly *journal.ReadError
	if errors.As(err, &partly) {
		fmt.Println(len(partly.Records), "records before line", partly.Line, errors.Is(err, journal.ErrDamaged))
	}
	// Output: 5 records before line 6 true
}
