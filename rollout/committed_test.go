package rollout_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// onCommit calls f when the commit point is passed.
func onCommit(f func()) rollout.Option {
	return rollout.WithHook(func(e rollout.Event) {
		if e.Kind == rollout.EventCommit {
			f()
		}
	})
}

// names reports whether one line of the residue begins with what.
func names(residue []rollout.Remainder, what string) bool {
	return slices.ContainsFunc(residue, func(r rollout.Remainder) bool { return strings.HasPrefix(r.String(), what) })
}

// What cannot be put back after the commit point is named, stays on record, and
// is put back by a resume. The new revision stays.
func TestRestoreRefusedAfterTheCommit(t *testing.T) {
	for _, tt := range []struct {
		name     string
		strategy strategy.Strategy
		refused  string // write
		err      error
		residue  string
	}{
		{"autoscaling", strategy.ScaleProtectedSwap{}, "restore main", endpoint.ErrUnauthorized, "restore"},
		{"capacity", strategy.ScaleProtectedSwap{Prescale: 4}, "set variant/shadow/instances=1", endpoint.ErrQuota, "set variant/shadow/instances to 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ep := newVariants()
				before := ep.Protective()
				ep.OnMutation(func(_ int, name string) endpointtest.Fault {
					if name == tt.refused {
						return endpointtest.Refuse(tt.err)
					}
					return endpointtest.Fault{}
				})
				store := journal.NewMemory()
				r, err := rollout.Run(t.Context(), store, ep, tt.strategy, rollout.ToRevision("c2"))
				if !errors.Is(err, rollout.ErrIncomplete) || !errors.Is(err, tt.err) || r.Outcome != rollout.OutcomeIncomplete {
					t.Fatalf("Run = %s, %v; want it incomplete by %v", r.Outcome, err, tt.err)
				}
				if !names(r.Residue, tt.residue) {
					t.Errorf("residue %q does not name %q", r.Residue, tt.residue)
				}
				var re *rollout.Error
				if !errors.As(err, &re) || !slices.Equal(re.Residue, r.Residue) || re.Next == "" {
					t.Errorf("error %#v does not say what remains and what is next", re)
				}
				s := ep.Truth()
				if s.Live != "c2" {
					t.Errorf("serves %s after the commit point", s.Live)
				}
				if got := s.Targets["main"].Suspended; tt.name == "capacity" && got != (endpointtest.Suspended{Scheduled: true}) {
					t.Errorf("a refused capacity kept autoscaling from being restored: suspended %v", got)
				}
				// It was not the last try: as long as it is refused it stays incomplete.
				if r, err := rollout.Resume(t.Context(), store, ep); !errors.Is(err, rollout.ErrIncomplete) || !names(r.Residue, tt.residue) {
					t.Errorf("resumed while it is still refused: %v, residue %q", err, r.Residue)
				}
				ep.OnMutation(nil)
				r, err = rollout.Resume(t.Context(), store, ep)
				if err != nil || r.Outcome != rollout.OutcomeSucceeded || ep.Truth().Live != "c2" {
					t.Errorf("Resume = %s, %v; serves %s", r.Outcome, err, ep.Truth().Live)
				}
				if diff := cmp.Diff(before, ep.Protective()); diff != "" {
					t.Errorf("protective values (-before +after):\n%s", diff)
				}
			})
		})
	}
}

// A provider that goes back to the source by itself after the commit point is
// no success, however late it is.
func TestRevertedAfterTheCommit(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		r, err := rollout.Run(t.Context(), journal.NewMemory(), fx, fx.strategy, fx.target, onCommit(func() {
			fx.Foreign(func(s *endpointtest.WorkersState) { s.Live = "a" })
		}))
		fx.wantRolledBack(t, err, rollout.ErrRolledBack)
		if r.Outcome != rollout.OutcomeRolledBack || !strings.Contains(err.Error(), "after the commit point") {
			t.Errorf("Run = %s, %v", r.Outcome, err)
		}
	})
	t.Run("scale-protected", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ep := newVariants()
			before := ep.Protective()
			r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.ScaleProtectedSwap{Prescale: 4}, rollout.ToRevision("c2"), onCommit(func() {
				ep.Foreign(func(s *endpointtest.VariantsState) { s.Live = "c1" })
			}))
			if !errors.Is(err, rollout.ErrRolledBack) || r.Outcome != rollout.OutcomeRolledBack {
				t.Errorf("Run = %s, %v; want it rolled back", r.Outcome, err)
			}
			if diff := cmp.Diff(before, ep.Protective()); diff != "" {
				t.Errorf("protective values (-before +after):\n%s", diff)
			}
		})
	})
}

// That it went back by itself does not hide what could not be put back.
func TestRevertedWithSomethingLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep, store := newVariants(), journal.NewMemory()
		before := ep.Protective()
		ep.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name == "set variant/main/instances=2" { // which autoscaling moves too, in time
				return endpointtest.Refuse(endpoint.ErrQuota)
			}
			return endpointtest.Fault{}
		})
		r, err := rollout.Run(t.Context(), store, ep, strategy.ScaleProtectedSwap{Prescale: 4}, rollout.ToRevision("c2"), onCommit(func() {
			ep.Foreign(func(s *endpointtest.VariantsState) { s.Live = "c1" })
		}))
		if !errors.Is(err, rollout.ErrIncomplete) || !names(r.Residue, "set variant/main/instances to 2") {
			t.Errorf("Run = %s, %v, residue %q; want it to name the instances of main", r.Outcome, err, r.Residue)
		}
		ep.OnMutation(nil)
		r, err = rollout.Resume(t.Context(), store, ep)
		if !errors.Is(err, rollout.ErrRolledBack) || r.Outcome != rollout.OutcomeRolledBack {
			t.Errorf("Resume = %s, %v; want it rolled back", r.Outcome, err)
		}
		if diff := cmp.Diff(before, ep.Protective()); diff != "" {
			t.Errorf("protective values (-before +after):\n%s", diff)
		}
	})
}

// A third party's revision after the commit point is theirs: neither the
// rollout nor its resume writes over it.
func TestForeignRevisionAfterTheCommit(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		fx.Foreign(func(s *endpointtest.WorkersState) { s.Templates["c"] = "acme/sdxl:v9" })
		store := journal.NewMemory()
		_, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, onCommit(func() {
			fx.Foreign(func(s *endpointtest.WorkersState) { s.Live = "c" })
		}))
		if !errors.Is(err, endpoint.ErrDrift) || !strings.Contains(err.Error(), "acme/sdxl:v9") {
			t.Errorf("Run = %v, want %v that names the revision", err, endpoint.ErrDrift)
		}
		writes := fx.writes()
		if r, err := rollout.Resume(t.Context(), store, fx); err == nil && r.Outcome != rollout.OutcomeNothing {
			t.Errorf("Resume = %s: a third party's revision is no success", r.Outcome)
		}
		if diff := cmp.Diff(writes, fx.writes()); diff != "" {
			t.Errorf("the resume wrote (-before +after):\n%s", diff)
		}
		if diff := cmp.Diff(fx.before, fx.Protective()); diff != "" {
			t.Errorf("protective values (-before +after):\n%s", diff)
		}
		if got := fx.Truth().Live; got != "c" {
			t.Errorf("serves %s: the third party's choice was overwritten", got)
		}
	})
}

// A context that is cancelled after the commit point, at each event up to the
// last step's end, does not keep what is left from being done.
func TestCancelledAfterTheCommit(t *testing.T) {
	for _, sc := range scenarios() {
		if sc.fails {
			continue
		}
		t.Run(sc.name, func(t *testing.T) {
			for at, reached := 0, true; reached; at++ {
				synctest.Test(t, func(t *testing.T) {
					w := sc.world()
					before := w.ep.Protective()
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					since := -1
					r, err := rollout.Run(ctx, journal.NewMemory(), w.ep, sc.strategy, sc.target, append(sc.opts, rollout.WithHook(func(e rollout.Event) {
						if e.Kind == rollout.EventCommit || since >= 0 {
							if since++; since == at {
								cancel()
							}
						}
					}))...)
					reached = since >= at
					sc.check(t, w, before, r, err)
					if r.Outcome != rollout.OutcomeSucceeded {
						t.Errorf("cancelled %d events after the commit point: %s, %v", at, r.Outcome, err)
					}
				})
			}
		})
	}
}

// A third party's revision after the commit point is left alone, and does not
// keep the rollout from ending.
func TestSupersededAfterTheCommit(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		fx.Foreign(func(s *endpointtest.WorkersState) { s.Templates["c"] = "acme/sdxl:v9" })
		store := journal.NewMemory()
		r, err := rollout.Run(t.Context(), store, fx, fx.strategy, fx.target, onCommit(func() {
			fx.Foreign(func(s *endpointtest.WorkersState) { s.Live = "c" })
		}))
		if r.Outcome != rollout.OutcomeSuperseded || !errors.Is(err, rollout.ErrSuperseded) {
			t.Errorf("Run = %s, %v; want it superseded", r.Outcome, err)
		}
		if r, err := rollout.Resume(t.Context(), store, fx); err != nil || r.Outcome != rollout.OutcomeNothing {
			t.Errorf("Resume = %v, %v; want nothing left", r, err)
		}
	})
}

// The provider goes back by itself after the commit point, and takes our own
// earlier bounds with it: the bounds are put right first.
func TestRevertedWithItsBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fx := flushFixture()
		_, err := rollout.Run(t.Context(), journal.NewMemory(), fx, fx.strategy, fx.target, onCommit(func() {
			fx.Foreign(func(s *endpointtest.WorkersState) { s.Live, s.Min, s.Max = "a", 0, 0 })
		}))
		fx.wantRolledBack(t, err, rollout.ErrRolledBack)
	})
}

// A job that wakes a scale-to-zero endpoint after the commit point does not make it incomplete.
func TestColdStartDuringTheVerification(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
			Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 0, Max: 2, Start: 6 * time.Minute,
		})
		r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.InPlace{}, rollout.ToRevision("b"), rollout.WithHook(func(e rollout.Event) {
			if e.Kind == rollout.EventCommit {
				if err := ep.Enqueue(1, time.Minute); err != nil {
					t.Error(err)
				}
			}
		}))
		if err != nil {
			t.Errorf("a healthy endpoint with a cold start: %s, %v", r.Outcome, err)
		}
	})
}

type brokenLater struct {
	*endpointtest.Workers
	failed *bool
}

func (f brokenLater) Status(ctx context.Context) (endpoint.Status, error) {
	s, err := f.Workers.Status(ctx)
	if *f.failed && err == nil {
		s.Phase, s.Serving, s.Pools, s.Reason = endpoint.PhaseFailed, endpoint.Revision{}, nil, "account suspended"
	}
	return s, err
}

func TestFailedAfterTheCommitIsNoSuccess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		failed := false
		ep := brokenLater{fx.Workers, &failed}
		r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, fx.strategy, fx.target, rollout.WithHook(func(e rollout.Event) {
			if e.Kind == rollout.EventCommit {
				failed = true
			}
		}))
		if err == nil {
			t.Errorf("%s, nil error: endpoint is %s, %s", r.Outcome, r.Status.Phase, r.Status.Reason)
		}
	})
}
