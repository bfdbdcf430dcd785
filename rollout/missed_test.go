package rollout_test

import (
	"context"
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

// calendar has a scheduled action every hour, and notes for which time it was asked.
type calendar struct {
	*endpointtest.Variants
	from, to time.Time
	panics   bool
}

func (c *calendar) Missed(_ endpoint.AutoscalingSnapshot, from, to time.Time) ([]string, error) {
	if c.panics {
		panic("no calendar")
	}
	c.from, c.to = from, to
	var all []string
	for due := from.Truncate(time.Hour).Add(time.Hour); !due.After(to); due = due.Add(time.Hour) {
		all = append(all, "was due at "+due.UTC().Format(time.TimeOnly))
	}
	return all, nil
}

// suspension is when suspending began and restoring ended, by the records.
func suspension(t *testing.T, store journal.Store, name string) (from, to time.Time) {
	t.Helper()
	records, err := store.Load(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	restoring := false
	for _, r := range records {
		switch {
		case r.Kind == journal.KindIntent && r.Write.Suspend != nil && from.IsZero():
			from = r.Time
		case r.Kind == journal.KindIntent:
			restoring = r.Write.Thing == journal.ThingAutoscaling
		case r.Kind == journal.KindDone && restoring:
			to, restoring = r.Time, false
		}
	}
	return from, to
}

func TestMissedIsOfTheTimeOfSuspension(t *testing.T) {
	for _, dies := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			store, ep := journal.NewMemory(), &calendar{Variants: newVariants()}
			var told []string
			hear := rollout.WithObserver(func(_ context.Context, e rollout.Event) {
				if e.Kind == rollout.EventMissed || e.Kind == rollout.EventEnd {
					told = append(told, string(e.Kind))
				}
			})
			time.Sleep(30 * time.Minute)
			var r *rollout.Report
			var err error
			if dies {
				begun, berr := rollout.Begin(t.Context(), store, ep, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"), hear)
				for berr == nil && ep.Truth().Live != "c2" {
					var next time.Time
					next, _, berr = begun.Advance(t.Context())
					time.Sleep(time.Until(next))
				}
				if berr != nil {
					t.Fatal(berr)
				}
				begun.Close()
				time.Sleep(time.Hour)
				r, err = rollout.Resume(t.Context(), store, ep, rollout.WithForward(), hear)
			} else {
				r, err = rollout.Run(t.Context(), store, ep, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"), rollout.WithBake(time.Hour), hear)
			}
			if err != nil {
				t.Fatal(err)
			}
			from, to := suspension(t, store, ep.Name())
			if !ep.from.Equal(from) || !ep.to.Equal(to) || from.IsZero() || to.IsZero() {
				t.Errorf("asked for %v to %v, want %v to %v", ep.from, ep.to, from, to)
			}
			if diff := cmp.Diff([]string{"was due at 01:00:00"}, r.Missed); diff != "" {
				t.Errorf("missed (-want +got):\n%s", diff)
			}
			if !slices.Equal(told, []string{"missed", "end"}) {
				t.Errorf("told %v", told)
			}
		})
	}
}

// Without suspension nothing is missed, and what cannot be said is no failure.
func TestMissedIsNoReasonToFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep := &calendar{Variants: newVariants(), panics: true}
		r, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.InPlace{}, rollout.ToRevision("c2"))
		if err != nil || r.Missed != nil {
			t.Errorf("Run = %+v, %v", r, err)
		}
		ep = &calendar{Variants: newVariants(), panics: true}
		r, err = rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"))
		if err != nil || len(r.Missed) != 1 || !strings.Contains(r.Missed[0], "no calendar") {
			t.Errorf("Run = %+v, %v", r, err)
		}
	})
}
