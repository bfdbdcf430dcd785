package fleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/internal/sampled"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// engine moves a fleet as a durable workflow would: what it keeps is JSON, and a call
// that dies is made again, with what it was made with.
type engine struct {
	store   journal.Store
	f       fleet.Fleet
	options []fleet.Option
	alive   func() bool // nil for always
	twice   bool        // each step is asked for twice, as if the first answer was lost
	died    int
}

type underWay struct {
	fleet.Move

	due time.Time
}

// call makes a call until it survives. It reports whether it did.
func (e *engine) call(f func()) bool {
	for {
		if e.alive != nil && !e.alive() {
			return false
		}
		if !survive(f) {
			return true
		}
		e.died++
		time.Sleep(time.Second)
	}
}

func (e *engine) opts(more ...fleet.Option) []fleet.Option {
	return append(append([]fleet.Option{fleet.WithOwner("engine")}, e.options...), more...)
}

// run returns nil if the engine is no longer alive.
func (e *engine) run(t *testing.T, ctx context.Context) (report *fleet.Report, err error) { //nolint:revive // a context that ends
	t.Helper()
	var cursor []byte
	var moved []fleet.MemberReport
	var moves []underWay
	for {
		var step *fleet.Step
		if !e.call(func() {
			if e.twice {
				_, _ = fleet.Advance(ctx, e.store, e.f, moved, e.opts(fleet.WithCursor(cursor))...)
			}
			step, err = fleet.Advance(ctx, e.store, e.f, moved, e.opts(fleet.WithCursor(cursor))...)
		}) {
			return nil, nil
		}
		if step == nil || step.Report != nil {
			if step != nil {
				report = step.Report
			}
			return report, err
		}
		var again fleet.Step
		if text, err := json.Marshal(step); err != nil || json.Unmarshal(text, &again) != nil {
			t.Fatal(err)
		}
		cursor, moved = again.Cursor, nil
		for _, m := range again.Move {
			moves = append(moves, underWay{Move: m})
		}
		for len(moved) == 0 && len(moves) > 0 {
			slices.SortStableFunc(moves, func(a, b underWay) int { return a.due.Compare(b.due) })
			if moves[0].due.After(again.Next) {
				break
			}
			time.Sleep(time.Until(moves[0].due))
			if ended := e.move(t, ctx, &moves[0], again.Back); ended != nil {
				moved, moves = append(moved, *ended), moves[1:]
			} else if moves[0].due.IsZero() {
				return nil, nil
			}
		}
		if len(moved) == 0 {
			time.Sleep(time.Until(again.Next))
		}
	}
}

// move goes on with one move by one call.
func (e *engine) move(t *testing.T, ctx context.Context, m *underWay, back bool) (ended *fleet.MemberReport) { //nolint:revive // a context that ends
	t.Helper()
	if back {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		cancel()
	}
	var next underWay
	if !e.call(func() {
		mover, err := fleet.NewMover(ctx, e.store, e.f, m.Move, e.opts()...)
		if err != nil {
			t.Error(err)
			return
		}
		defer mover.Close()
		next.due, ended = mover.Advance(ctx)
		next.Move = mover.Move()
	}) {
		m.due = time.Time{}
		return nil
	}
	*m = next
	return ended
}

func TestAdvance(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, store := newPark(6), journal.NewMemory()
		asked := 0
		e := &engine{store: store, twice: true, f: p.fleet(3, func(f *fleet.Fleet) {
			w := &f.Waves[0]
			w.AtOnce, w.Soak = 2, 10*time.Minute
			w.Checks = []fleet.Check{{Name: "p95", Interval: 3 * time.Minute, Ask: func(context.Context, fleet.Sample) (rollout.Verdict, error) {
				asked++
				return rollout.Verdict{Result: rollout.ResultPass}, nil
			}}}
		})}
		report, err := e.run(t, t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.want(t, "bbbbbb")
		wantOutcomes(t, report, slices.Repeat([]fleet.Outcome{fleet.Succeeded}, 6)...)
		wantNothingTwice(t, store, "the end")
		if asked != 5+4 {
			t.Errorf("the check was asked %d times in ten minutes, want 5: each three minutes, and at the end, when the answer counts; the others again", asked)
		}
		step, err := fleet.Advance(t.Context(), store, e.f, nil, fleet.WithOwner("another"))
		if err != nil || step.Report == nil || step.Report.Outcome != fleet.Succeeded {
			t.Errorf("a fleet that has ended: %v, %v", step, err)
		}
	})
}

// What an engine moves ends as what Run moves does, with the engine's calls dying at
// every operation: each is made again. So it does if the engine dies for good, and Run
// goes on, and the other way round.
func TestAdvanceSweep(t *testing.T) {
	for name, sc := range map[string]struct {
		budget  int
		breach  fleet.OnBreach
		live    string
		outcome fleet.Outcome
	}{
		"breach":            {0, fleet.BreachRollback, "aaaaaa", fleet.RolledBack},
		"breach that stops": {0, fleet.BreachStop, "bbbaaa", fleet.Stopped},
		"within budget":     {1, fleet.BreachRollback, "bbbabb", fleet.Succeeded},
	} {
		for _, end := range []string{"made again", "Run goes on", "after Run"} {
			t.Run(name+", "+end, func(t *testing.T) {
				step, total := 3*sampled.OneIn(5), 0
				if testing.Short() {
					step *= 4
				}
				for at, died := 1, true; died; at += step {
					bubble(t, func(t *testing.T) {
						c := &cuts{at: at}
						p := newPark(6)
						p.eps[3].FailOn(goal, "image pull backoff")
						for _, ep := range p.eps {
							ep.OnMutation(c.hook)
							ep.OnRead(c.hook)
						}
						e := &engine{
							store: cutStore{journal.NewMemory(), c},
							f:     p.fleet(2, func(f *fleet.Fleet) { f.Budget.Failures, f.OnBreach = sc.budget, sc.breach }),
						}
						var report *fleet.Report
						var err error
						switch end {
						case "made again":
							report, err = e.run(t, t.Context())
							died = e.died > 0
						case "Run goes on":
							e.alive = func() bool { return e.died == 0 }
							report, err = e.run(t, t.Context())
							if died = e.died > 0; died {
								time.Sleep(5 * time.Minute)
								report, err = fleet.Run(t.Context(), e.store, e.f, fleet.WithCalls(1), fleet.WithOwner("the next one"))
							}
						case "after Run":
							died = survive(func() { _, _ = fleet.Run(t.Context(), e.store, e.f, fleet.WithCalls(1)) })
							time.Sleep(5 * time.Minute)
							report, err = e.run(t, t.Context())
						}
						total = c.n
						if report == nil {
							t.Fatalf("died at operation %d: %v", at, err)
						}
						if p.want(t, sc.live); report.Outcome != sc.outcome || sc.outcome == fleet.Succeeded != (err == nil) {
							t.Errorf("outcome %s, error %v", report.Outcome, err)
						}
						wantNothingTwice(t, e.store, sc.live)
						begun := slices.ContainsFunc(p.eps[5].Calls(), func(c endpointtest.Call) bool { return c.Write > 0 })
						if sc.budget == 0 && begun {
							t.Error("the last wave was begun")
						}
						if t.Failed() {
							t.Fatalf("died at operation %d\n%s", at, report)
						}
					})
				}
				t.Logf("swept one in %d of %d operations", step, total)
			})
		}
	}
}

// wantNothingTwice holds the journal to one record of each thing that became of a member.
func wantNothingTwice(t *testing.T, store journal.Store, what string) {
	t.Helper()
	records, err := store.Load(t.Context(), "fleet/night")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range records {
		if key := r.Step + " " + r.Outcome; r.Kind == "member" {
			if seen[key] {
				t.Errorf("twice on record, on the way to %s: %s", what, key)
			}
			seen[key] = true
		}
	}
}

// A context that is done cancels the fleet: what is under way goes back, and begins
// again when the fleet is gone on with.
func TestAdvanceCancelled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, store := newPark(4), journal.NewMemory()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		e := &engine{store: store, f: p.fleet(2), options: []fleet.Option{fleet.WithObserver(func(e fleet.Event) {
			if e.Kind == fleet.EventMember && e.Endpoint == p.eps[2].Name() && e.Rollout.Kind == rollout.EventWrite {
				cancel()
			}
		})}}
		report, err := e.run(t, ctx)
		if !errors.Is(err, context.Canceled) || report.Outcome != fleet.Cancelled {
			t.Fatalf("report %v, error %v", report, err)
		}
		p.want(t, "bbaa")
		e.options = nil
		if report, err = e.run(t, t.Context()); err != nil {
			t.Fatalf("%v\n%s", err, report)
		}
		p.want(t, "bbbb")
	})
}

func TestAdvanceApproval(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, store := newPark(2), journal.NewMemory()
		e := &engine{store: store, f: p.fleet(1, func(f *fleet.Fleet) {
			f.Waves[0].Approval = &strategy.Approval{Name: "lead", Expires: time.Hour}
		})}
		var decided time.Time
		time.AfterFunc(30*time.Minute, func() {
			decided = time.Now()
			if err := fleet.Decide(t.Context(), store, "night", rollout.Decision{Verb: rollout.Approve, By: "dana"}); err != nil {
				t.Error(err)
			}
		})
		report, err := e.run(t, t.Context())
		if err != nil || p.eps[1].Calls()[0].At.Sub(decided) > time.Minute {
			t.Errorf("%v, %v; decided %v", report, err, decided)
		}
		p.want(t, "bb")
	})
}

// An engine that another runner has taken over from leaves the fleet to it.
func TestAdvanceTakenOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPark(2)
		memory := journal.NewMemory()
		store := struct { // which has no lock
			journal.Store
			journal.Heartbeater
		}{memory, memory}
		f := p.fleet(1)
		first, err := fleet.Advance(t.Context(), store, f, nil, fleet.WithOwner("first"))
		if err != nil || len(first.Move) != 1 {
			t.Fatal(first, err)
		}
		if _, err := fleet.Advance(t.Context(), store, f, nil, fleet.WithOwner("second")); !errors.Is(err, endpoint.ErrBusy) {
			t.Errorf("a second engine beside the first: %v, want ErrBusy", err)
		}
		time.Sleep(10 * time.Minute)
		if _, err := fleet.Advance(t.Context(), store, f, nil, fleet.WithOwner("second")); err != nil {
			t.Errorf("a second engine, with the first silent: %v", err)
		}
		step, err := fleet.Advance(t.Context(), store, f, nil, fleet.WithOwner("first"), fleet.WithCursor(first.Cursor))
		if !errors.Is(err, fleet.ErrTakenOver) || step.Report.Outcome != fleet.TakenOver {
			t.Errorf("the first one again: %v, %v, want ErrTakenOver", step, err)
		}
	})
}

func TestAdvanceRefuses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, store := newPark(2), journal.NewMemory()
		f := p.fleet(1)
		_, errCursor := fleet.Advance(t.Context(), store, f, nil, fleet.WithCursor([]byte("{")))
		_, errRun := fleet.Run(t.Context(), store, f, fleet.WithCursor([]byte("{}")))
		_, errPreview := fleet.Preview(t.Context(), f, fleet.WithCursor([]byte("{}")))
		_, errMoved := fleet.Advance(t.Context(), store, f, []fleet.MemberReport{{Endpoint: "fake/none", Outcome: fleet.Succeeded}})
		_, errOutcome := fleet.Advance(t.Context(), store, f, []fleet.MemberReport{{Endpoint: p.eps[0].Name()}})
		_, errMember := fleet.NewMover(t.Context(), store, f, fleet.Move{Endpoint: "fake/none"})
		_, errMove := fleet.NewMover(t.Context(), store, f, fleet.Move{Endpoint: p.eps[0].Name(), Cursor: []byte("{")})
		_, errStore := fleet.NewMover(t.Context(), nil, f, fleet.Move{Endpoint: p.eps[0].Name()})
		for i, err := range []error{errCursor, errRun, errPreview, errMoved, errOutcome, errMember, errMove, errStore} {
			if !errors.Is(err, endpoint.ErrInvalid) {
				t.Errorf("%d: %v, want ErrInvalid", i, err)
			}
		}
		if records, err := store.Load(t.Context(), "fleet/night"); len(records) > 0 || err != nil {
			t.Errorf("the journal has %v, %v", records, err)
		}
	})
}

// awayStore is a store that cannot be written at times.
type awayStore struct {
	*journal.Memory

	away bool
}

func (s *awayStore) Append(ctx context.Context, name string, r journal.Record) error {
	if s.away {
		return errors.New("no space left on device")
	}
	return s.Memory.Append(ctx, name, r)
}

// With the store away there is no step, and the call is made again.
func TestAdvanceWithTheStoreAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, store := newPark(2), &awayStore{Memory: journal.NewMemory()}
		f := p.fleet(1)
		step, err := fleet.Advance(t.Context(), store, f, nil)
		if err != nil {
			t.Fatal(err)
		}
		moved := []fleet.MemberReport{{Endpoint: p.eps[0].Name(), Outcome: fleet.Succeeded}}
		store.away = true
		if step, err := fleet.Advance(t.Context(), store, f, moved, fleet.WithCursor(step.Cursor)); err == nil || step != nil {
			t.Errorf("with the store away: %v, %v", step, err)
		}
		store.away = false
		again, err := fleet.Advance(t.Context(), store, f, moved, fleet.WithCursor(step.Cursor))
		if err != nil || again.Progress.Moved != 1 || len(again.Move) != 1 {
			t.Errorf("with the store back: %+v, %v", again, err)
		}
	})
}

// racingStore is a store that another call of the same engine writes to in the middle.
type racingStore struct {
	*journal.Memory

	race func()
}

func (s *racingStore) Append(ctx context.Context, name string, r journal.Record) error {
	if race := s.race; race != nil {
		s.race = nil
		race()
	}
	return s.Memory.Append(ctx, name, r)
}

// A call that was given up, and goes on all the same, is no other runner: the one that
// was made in its place is made again.
func TestAdvanceBesideItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, memory := newPark(2), journal.NewMemory()
		unlocked := func(s journal.Store) journal.Store { return struct{ journal.Store }{s} }
		f := p.fleet(1)
		step, err := fleet.Advance(t.Context(), unlocked(memory), f, nil)
		if err != nil {
			t.Fatal(err)
		}
		moved := []fleet.MemberReport{{Endpoint: p.eps[0].Name(), Outcome: fleet.Succeeded}}
		call := func(s journal.Store) (*fleet.Step, error) {
			return fleet.Advance(t.Context(), unlocked(s), f, moved, fleet.WithCursor(step.Cursor))
		}
		_, err = call(&racingStore{memory, func() {
			time.Sleep(time.Second) // its record differs by its time
			if _, err := call(memory); err != nil {
				t.Errorf("the call that was given up: %v", err)
			}
		}})
		if !endpoint.Transient(err) {
			t.Errorf("the call in its place: %v, want it to be made again", err)
		}
		again, err := call(memory)
		if err != nil || again.Progress.Moved != 1 || len(again.Move) != 1 {
			t.Errorf("made again: %+v, %v", again, err)
		}
		wantNothingTwice(t, memory, "the end")
	})
}
