package rollout_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// processes carries a rollout out with a process for each Advance: each one
// begins or attaches, advances once, and is gone. carry says whether the cursor
// goes along.
func (fx *fixture) processes(ctx context.Context, t *testing.T, store journal.Store, opts ...rollout.Option) (*rollout.Report, error) {
	t.Helper()
	var cursor []byte
	opts = append(opts, rollout.WithOwner("engine"))
	for range 10000 {
		o := append(slices.Clone(opts), rollout.WithCursor(cursor))
		r, err := rollout.Begin(t.Context(), store, fx, fx.strategy, fx.target, o...)
		if err != nil {
			t.Fatal(err)
		}
		next, report, err := r.Advance(ctx)
		cursor = r.Cursor()
		r.Close()
		if next.IsZero() {
			return report, err
		}
		if len(cursor) > 8<<10 {
			t.Errorf("a cursor of %d bytes", len(cursor))
		}
		time.Sleep(time.Until(next))
	}
	t.Fatal("the rollout does not end")
	return nil, nil
}

// called are all calls of the endpoint with their times.
func (fx *fixture) called(began time.Time) []string {
	var calls []string
	for _, c := range fx.Calls() {
		calls = append(calls, c.At.Sub(began).String()+" "+c.Name)
	}
	return calls
}

// A rollout with a process for each Advance makes the calls that one process
// makes, at the same times.
func TestCursorCarriesEverything(t *testing.T) {
	kinds := map[string]func(fx *fixture){
		"healthy":        func(*fixture) {},
		"broken target":  func(fx *fixture) { fx.FailOn(fx.goal, "image pull backoff") },
		"reads that lag": func(fx *fixture) { fx.StaleReads(20 * time.Second) },
		"lost answers": func(fx *fixture) {
			fx.OnMutation(func(n int, _ string) endpointtest.Fault {
				if n%2 == 1 {
					return endpointtest.LostAfter()
				}
				return endpointtest.Fault{}
			})
		},
	}
	for kind, prepare := range kinds {
		t.Run(kind, func(t *testing.T) {
			eachWay(t, func(t *testing.T, one *fixture) {
				opts := []rollout.Option{rollout.WithBake(time.Minute)}
				prepare(one)
				began := time.Now()
				want, werr := rollout.Run(t.Context(), journal.NewMemory(), one, one.strategy, one.target, opts...)

				many := flushFixture()
				many.way = one.way
				prepare(many)
				later := time.Now()
				got, err := many.processes(t.Context(), t, journal.NewMemory(), opts...)
				if got.Outcome != want.Outcome || (err == nil) != (werr == nil) || errors.Is(err, rollout.ErrRolledBack) != errors.Is(werr, rollout.ErrRolledBack) {
					t.Errorf("outcome %s, %v\nwant %s, %v", got.Outcome, err, want.Outcome, werr)
				}
				if diff := cmp.Diff(one.called(began), many.called(later)); diff != "" {
					t.Errorf("calls (-one process +a process for each Advance):\n%s", diff)
				}
			})
		})
	}
}

// An intent never stays without its call: each Advance that puts one on record
// makes the call too, so that no process finds an intent of one before.
func TestAdvanceWritesWhatItIntends(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		store := journal.NewMemory()
		if _, err := fx.processes(t.Context(), t, store); err != nil {
			t.Fatal(err)
		}
		records, err := store.Load(t.Context(), fx.Name())
		if err != nil {
			t.Fatal(err)
		}
		intents := 0
		for i, r := range records {
			if r.Kind != journal.KindIntent {
				continue
			}
			intents++
			if next := records[i+1]; next.Kind != journal.KindDone || next.Step != "" {
				t.Errorf("after the intent on %v: %s, want its write done", r.Write, next.Kind)
			}
		}
		if writes := fx.writes(); intents != len(writes) || intents == 0 {
			t.Errorf("%d intents and %d writes: %v", intents, len(writes), writes)
		}
	})
}

// A cursor that is lost, or that is older than the journal, costs time alone.
func TestCursorLost(t *testing.T) {
	for _, every := range []int{3, 5, 7} {
		eachWay(t, func(t *testing.T, fx *fixture) {
			store := journal.NewMemory()
			var cursor, old []byte
			for n := 1; ; n++ {
				if n > 3000 {
					t.Fatal("the rollout does not end")
				}
				use := cursor
				if n%every == 0 {
					use = old
				}
				opts := []rollout.Option{rollout.WithOwner("engine"), rollout.WithCursor(use)}
				r, err := rollout.Begin(t.Context(), store, fx, fx.strategy, fx.target, opts...)
				if errors.Is(err, rollout.ErrUnfinished) {
					r, err = rollout.Attach(t.Context(), store, fx, opts...)
				}
				if err != nil {
					t.Fatal(err)
				}
				next, report, err := r.Advance(t.Context())
				old, cursor = cursor, r.Cursor()
				r.Close()
				if errors.Is(err, rollout.ErrUnfinished) { // its cursor was lost: the journal knows
					r, err = rollout.Attach(t.Context(), store, fx, opts...)
					if err != nil {
						t.Fatal(err)
					}
					next, report, err = r.Advance(t.Context())
					cursor = r.Cursor()
					r.Close()
				}
				if next.IsZero() {
					if err != nil || report.Outcome != rollout.OutcomeSucceeded {
						t.Errorf("outcome %v, error %v", report, err)
					}
					break
				}
				time.Sleep(time.Until(next))
			}
			writes := fx.writes()
			if again := slices.Compact(slices.Sorted(slices.Values(writes))); len(again) != len(writes) && fx.strategy.String() == "in-place" {
				t.Errorf("a write was repeated: %v", writes)
			}
		})
	}
}

// What is no cursor is refused, and so is one where it means nothing.
func TestCursorRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		_, err := rollout.Attach(t.Context(), journal.NewMemory(), fx, rollout.WithCursor([]byte("nonsense")))
		if !errors.Is(err, endpoint.ErrInvalid) {
			t.Errorf("attached with nonsense: %v", err)
		}
		_, err = rollout.Resume(t.Context(), journal.NewMemory(), fx, rollout.WithCursor([]byte("{}")))
		if !errors.Is(err, endpoint.ErrInvalid) {
			t.Errorf("resumed with a cursor: %v", err)
		}
	})
}
