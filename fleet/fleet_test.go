package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/internal/sampled"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

const goal = "acme/sdxl:v2"

// park is a fleet's endpoints, in RunPod's shape.
type park struct {
	eps    []*endpointtest.Workers
	before []map[string]string
}

func newPark(n int) *park {
	p := &park{}
	for i := range n {
		ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
			Name: fmt.Sprintf("fake/%05d", i), Templates: map[string]string{"a": "acme/sdxl:v1", "b": goal}, Live: "a", Min: 1, Max: 2,
		})
		p.eps, p.before = append(p.eps, ep), append(p.before, ep.Protective())
	}
	return p
}

// fleet has the park in waves of so many members.
func (p *park) fleet(size int, edit ...func(*fleet.Fleet)) fleet.Fleet {
	f := fleet.Fleet{ID: "night"}
	for i, ep := range p.eps {
		f.Members = append(f.Members, fleet.Member{Endpoint: ep, Strategy: strategy.InPlace{}, Target: rollout.ToRevision("b")})
		if i%size == 0 {
			f.Waves = append(f.Waves, fleet.Wave{Name: fmt.Sprintf("w%d", i/size+1)})
		}
		w := &f.Waves[len(f.Waves)-1]
		w.Members = append(w.Members, ep.Name())
	}
	for _, e := range edit {
		e(&f)
	}
	return f
}

// live is what each endpoint serves.
func (p *park) live() string {
	var all []byte
	for _, ep := range p.eps {
		all = append(all, ep.Truth().Live...)
	}
	return string(all)
}

func (p *park) want(t *testing.T, live string) {
	t.Helper()
	if got := p.live(); got != live {
		t.Errorf("the endpoints serve %s, want %s", got, live)
	}
	for i, ep := range p.eps {
		if diff := cmp.Diff(p.before[i], ep.Protective()); diff != "" {
			t.Errorf("%s: guarded values (-before +after):\n%s", ep.Name(), diff)
		}
	}
}

func outcomes(r *fleet.Report) []fleet.Outcome {
	var all []fleet.Outcome
	for _, m := range r.Members {
		all = append(all, m.Outcome)
	}
	return all
}

func wantOutcomes(t *testing.T, r *fleet.Report, want ...fleet.Outcome) {
	t.Helper()
	if diff := cmp.Diff(want, outcomes(r)); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s\n%s", diff, r)
	}
}

func bubble(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

// survive calls f on a goroutine of its own, and reports whether that died.
func survive(f func()) (crashed bool) {
	crashed = true
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f()
		crashed = false
	}()
	<-ended
	return crashed
}

func TestRunMovesEveryWave(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, store := newPark(6), journal.NewMemory()
		var most int
		report, err := fleet.Run(t.Context(), store, p.fleet(3, func(f *fleet.Fleet) {
			f.Waves[0].AtOnce, f.Waves[0].Soak = 2, 10*time.Minute
		}), fleet.WithObserver(func(e fleet.Event) { most = max(most, e.Progress.UnderWay) }))
		if err != nil {
			t.Fatal(err)
		}
		p.want(t, "bbbbbb")
		wantOutcomes(t, report, slices.Repeat([]fleet.Outcome{fleet.Succeeded}, 6)...)
		if most != 3 {
			t.Errorf("%d members were under way at once, want 3", most)
		}
		records, err := store.Load(t.Context(), p.eps[0].Name())
		if err != nil || records[0].Plan.Label != "night" {
			t.Errorf("the plan's label is %v, %v, want night", records, err)
		}
		again, err := fleet.Run(t.Context(), store, p.fleet(3))
		if err != nil || again.Outcome != fleet.Succeeded || !again.Finished.Equal(report.Finished) {
			t.Errorf("a fleet that has ended: %v, %v", again, err)
		}
	})
}

func TestBreachUndoesNewestFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPark(6)
		p.eps[4].FailOn(goal, "image pull backoff")
		var back []string
		report, err := fleet.Run(t.Context(), journal.NewMemory(), p.fleet(2, func(f *fleet.Fleet) { f.Waves[0].AtOnce = 1 }),
			fleet.WithObserver(func(e fleet.Event) {
				if e.Outcome == fleet.Undone {
					back = append(back, e.Endpoint)
				}
			}))
		if !errors.Is(err, fleet.ErrBreached) {
			t.Fatalf("error is %v, want ErrBreached", err)
		}
		p.want(t, "aaaaaa")
		if n := len(back); n < 4 || back[n-2] != "fake/00001" || back[n-1] != "fake/00000" {
			t.Errorf("undone in the order %v", back)
		}
		if report.Outcome != fleet.RolledBack || report.Members[4].Outcome != fleet.RolledBack {
			t.Errorf("report is %s", report)
		}
	})
}

func TestBreachStops(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPark(4)
		p.eps[1].FailOn(goal, "image pull backoff")
		report, err := fleet.Run(t.Context(), journal.NewMemory(), p.fleet(2, func(f *fleet.Fleet) { f.OnBreach = fleet.BreachStop }))
		if !errors.Is(err, fleet.ErrBreached) || report.Outcome != fleet.Stopped {
			t.Fatalf("report is %v, error %v", report, err)
		}
		p.want(t, "baaa")
		wantOutcomes(t, report, fleet.Succeeded, fleet.RolledBack, fleet.Pending, fleet.Pending)
	})
}

func TestBudgetLetsSomeFail(t *testing.T) {
	for name, budget := range map[string]fleet.Budget{"number": {Failures: 2}, "share": {Share: 0.5}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := newPark(4)
				p.eps[0].FailOn(goal, "image pull backoff")
				p.eps[1].FailOn(goal, "image pull backoff")
				report, err := fleet.Run(t.Context(), journal.NewMemory(), p.fleet(2, func(f *fleet.Fleet) { f.Budget = budget }))
				if err != nil {
					t.Fatal(err)
				}
				p.want(t, "aabb")
				if len(report.Reasons) != 1 || len(report.Reasons[0].Members) != 2 {
					t.Errorf("reasons are %+v, want one of two members", report.Reasons)
				}
			})
		})
	}
}

// cuts counts the operations of a fleet, and ends the goroutine at one of them.
type cuts struct{ n, at int }

func (c *cuts) op() bool { c.n++; return c.n == c.at }

// cutStore is a store whose appends are operations.
type cutStore struct {
	*journal.Memory

	c *cuts
}

func (s cutStore) Append(ctx context.Context, name string, r journal.Record) error {
	if s.c.op() {
		runtime.Goexit()
	}
	err := s.Memory.Append(ctx, name, r)
	if s.c.op() {
		runtime.Goexit()
	}
	return err
}

func (c *cuts) hook(int, string) endpointtest.Fault {
	switch {
	case c.op():
		return endpointtest.RunBefore(runtime.Goexit)
	case c.op():
		return endpointtest.RunAfter(runtime.Goexit)
	}
	return endpointtest.Fault{}
}

// The runner is killed at every operation of a fleet of six in three waves with
// one failing member, before and after it: no member is lost, the budget is kept,
// and a breach is undone.
func TestSweep(t *testing.T) {
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
		t.Run(name, func(t *testing.T) {
			step := sampled.OneIn(7)
			total := 0
			for at := 1; ; at += step {
				crashed := false
				bubble(t, func(t *testing.T) {
					c := &cuts{at: at}
					p, store := newPark(6), cutStore{journal.NewMemory(), c}
					p.eps[3].FailOn(goal, "image pull backoff")
					for _, ep := range p.eps {
						ep.OnMutation(c.hook)
						ep.OnRead(c.hook)
					}
					f := p.fleet(2, func(f *fleet.Fleet) { f.Budget.Failures, f.OnBreach = sc.budget, sc.breach })
					crashed = survive(func() { _, _ = fleet.Run(t.Context(), store, f, fleet.WithCalls(1)) })
					total = c.n
					c.at = 0
					time.Sleep(time.Minute)
					report, err := fleet.Run(t.Context(), store, f, fleet.WithCalls(1), fleet.WithOwner("the next one"))
					if report == nil {
						t.Fatalf("killed at operation %d: %v", at, err)
					}
					if p.want(t, sc.live); report.Outcome != sc.outcome {
						t.Errorf("outcome %s, error %v", report.Outcome, err)
					}
					if wrote := p.eps[5].Calls(); sc.budget == 0 && slices.ContainsFunc(wrote, func(c endpointtest.Call) bool { return c.Write > 0 }) {
						t.Error("the last wave was begun")
					}
					if t.Failed() {
						t.Fatalf("killed at operation %d\n%s", at, report)
					}
				})
				if !crashed {
					break
				}
			}
			t.Logf("killed at one in %d of %d operations", step, total)
		})
	}
}

// Of two runners of a fleet one wins, and the other changes nothing.
func TestTwoRunners(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, store := newPark(3), journal.NewMemory()
		f := p.fleet(3)
		first := make(chan error)
		go func() { _, err := fleet.Run(t.Context(), store, f, fleet.WithOwner("first")); first <- err }()
		time.Sleep(time.Minute)
		if _, err := fleet.Run(t.Context(), store, f, fleet.WithOwner("second")); !errors.Is(err, endpoint.ErrBusy) {
			t.Errorf("the second runner got %v, want ErrBusy", err)
		}
		if err := <-first; err != nil {
			t.Errorf("the first runner got %v", err)
		}
		p.want(t, "bbb")
	})
}
