package fleet_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// A cancelled fleet rolls back what is under way, keeps what is done, and begins
// the others again when it is gone on with; none of them has failed.
func TestCancelAndGoOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, store := newPark(4), journal.NewMemory()
		ctx, cancel := context.WithCancel(t.Context())
		report, err := fleet.Run(ctx, store, p.fleet(2), fleet.WithObserver(func(e fleet.Event) {
			if e.Kind == fleet.EventMember && e.Wave == "w2" && e.Rollout.Kind == rollout.EventWrite {
				cancel()
			}
		}))
		if !errors.Is(err, context.Canceled) || report.Outcome != fleet.Cancelled {
			t.Fatalf("report %v, error %v", report, err)
		}
		p.want(t, "bbaa")
		report, err = fleet.Run(t.Context(), store, p.fleet(2))
		if err != nil {
			t.Fatalf("%v\n%s", err, report)
		}
		p.want(t, "bbbb")
		wantOutcomes(t, report, fleet.Succeeded, fleet.Succeeded, fleet.Succeeded, fleet.Succeeded)
	})
}

// Members that another runner is rolling are waited for, or skipped.
func TestBusyMembers(t *testing.T) {
	for policy, want := range map[fleet.OnBusy]fleet.Outcome{fleet.BusyWait: fleet.NoOp, fleet.BusySkip: fleet.Skipped} {
		t.Run(string(policy), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p, store := newPark(2), journal.NewMemory()
				ended := make(chan error)
				go func() {
					_, err := rollout.Run(t.Context(), store, p.eps[0], strategy.InPlace{}, rollout.ToRevision("b"), rollout.WithBake(20*time.Minute))
					ended <- err
				}()
				time.Sleep(time.Minute)
				report, err := fleet.Run(t.Context(), store, p.fleet(2, func(f *fleet.Fleet) { f.OnBusy = policy }))
				if err != nil {
					t.Fatal(err)
				}
				wantOutcomes(t, report, want, fleet.Succeeded)
				if err := <-ended; err != nil {
					t.Errorf("the other runner: %v", err)
				}
				p.want(t, "bb")
			})
		})
	}
}

// An endpoint that others have moved since is not undone.
func TestUndoLeavesLaterRolloutsAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, store := newPark(2), journal.NewMemory()
		p.eps[1].FailOn(goal, "image pull backoff")
		report, err := fleet.Run(t.Context(), store, p.fleet(1, func(f *fleet.Fleet) { f.Waves[0].Soak = time.Hour }),
			fleet.WithObserver(func(e fleet.Event) {
				if e.Kind == fleet.EventSoak {
					p.eps[0].Foreign(func(s *endpointtest.WorkersState) { s.Templates["c"], s.Live = "acme/sdxl:v9", "c" })
				}
			}))
		if !errors.Is(err, fleet.ErrBreached) {
			t.Fatal(err)
		}
		wantOutcomes(t, report, fleet.NotUndone, fleet.RolledBack)
		p.want(t, "ca")
	})
}

func TestAnotherFleetIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, store := newPark(2), journal.NewMemory()
		ctx, cancel := context.WithCancel(t.Context())
		_, _ = fleet.Run(ctx, store, p.fleet(1), fleet.WithObserver(func(fleet.Event) { cancel() }))
		if _, err := fleet.Run(t.Context(), store, p.fleet(2)); !errors.Is(err, endpoint.ErrInvalid) {
			t.Errorf("other waves under the same ID: %v", err)
		}
	})
}

func TestPreview(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPark(3)
		p.eps[2].Foreign(func(s *endpointtest.WorkersState) { s.Live = "b" })
		f := p.fleet(2)
		f.Members[1].Target = rollout.ToRevision("nowhere")
		all, err := fleet.Preview(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		if all[0].Plan == nil || all[0].Plan.Label != "night" || all[1].Refused == "" || all[2].Wave != "w2" {
			t.Errorf("preview is %+v", all)
		}
		t.Log(fleet.Summary(all))
	})
}

func TestValidation(t *testing.T) {
	for name, edit := range map[string]func(*fleet.Fleet){
		"id":             func(f *fleet.Fleet) { f.ID = "a/b" },
		"no members":     func(f *fleet.Fleet) { f.Members = nil },
		"share":          func(f *fleet.Fleet) { f.Budget.Share = 1.5 },
		"twice":          func(f *fleet.Fleet) { f.Members[1].Endpoint = f.Members[0].Endpoint },
		"no strategy":    func(f *fleet.Fleet) { f.Members[0].Strategy = nil },
		"nil option":     func(f *fleet.Fleet) { f.Members[0].Options = []rollout.Option{nil} },
		"account":        func(f *fleet.Fleet) { f.Members[0].Account = "eu" },
		"in two waves":   func(f *fleet.Fleet) { f.Waves[1].Members = f.Waves[0].Members },
		"in no wave":     func(f *fleet.Fleet) { f.Waves = f.Waves[:1] },
		"at once":        func(f *fleet.Fleet) { f.Waves[0].AtOnce = -1 },
		"soak":           func(f *fleet.Fleet) { f.Waves[0].Soak = -1 },
		"both":           func(f *fleet.Fleet) { f.Waves[0].Select = fleet.Labelled("a", "b") },
		"nameless check": func(f *fleet.Fleet) { f.Waves[0].Checks = []fleet.Check{{}} },
		"on busy":        func(f *fleet.Fleet) { f.OnBusy = "shrug" },
		"burst alone":    func(f *fleet.Fleet) { f.Accounts = map[string]fleet.Account{"eu": {Burst: 2}} },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := newPark(2)
				_, err := fleet.Run(t.Context(), journal.NewMemory(), p.fleet(1, edit))
				if !errors.Is(err, endpoint.ErrInvalid) || len(p.eps[0].Calls()) > 0 {
					t.Errorf("error is %v after %d calls, want ErrInvalid after none", err, len(p.eps[0].Calls()))
				}
				t.Log(err)
			})
		})
	}
}

// What remained of a member on its way, so that it failed, is tried again when the
// fleet is rolled back, and once.
func TestUndoTriesWhatRemained(t *testing.T) {
	for name, tt := range map[string]struct {
		ends bool
		live string
		want fleet.Outcome
	}{"refused for a while": {true, "aaa", fleet.RolledBack}, "refused for ever": {false, "aba", fleet.Incomplete}} {
		for _, by := range []string{"Run", "Advance", "Advance, twice"} {
			t.Run(name+", by "+by, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					p, store := newPark(3), journal.NewMemory()
					p.eps[1].FailOn(goal, "image pull backoff")
					refused := true
					observe := fleet.WithObserver(func(e fleet.Event) {
						if e.Kind == fleet.EventBreach && tt.ends {
							refused = false
						}
					})
					p.eps[1].OnMutation(func(n int, _ string) endpointtest.Fault {
						if n > 1 && refused {
							return endpointtest.Refuse(endpoint.ErrInvalid)
						}
						return endpointtest.Fault{}
					})
					f := p.fleet(1)
					var report *fleet.Report
					var err error
					if by == "Run" {
						report, err = fleet.Run(t.Context(), store, f, observe)
					} else {
						report, err = (&engine{store: store, f: f, twice: by != "Advance", options: []fleet.Option{observe}}).run(t, t.Context())
					}
					if !errors.Is(err, fleet.ErrBreached) || report.Outcome != tt.want || p.live() != tt.live {
						t.Errorf("%v, %v, serving %s", report, err, p.live())
					}
				})
			})
		}
	}
}
