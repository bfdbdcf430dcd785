package endpointtest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// split has the endpoint serve what it serves and To side by side.
func (s Subject) split(t testing.TB) (endpoint.Shifter, endpoint.Canary, endpoint.Status) {
	t.Helper()
	shifter, ok := endpoint.As[endpoint.Shifter](s.Updater)
	if !ok {
		t.Skip("skipped: no endpoint.Shifter")
	}
	before, writes := s.status(t), s.Mutations()
	c, err := shifter.DraftCanary(t.Context(), before.Desired, s.To, nil)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("skipped: this endpoint cannot split its traffic: " + err.Error())
	}
	if err != nil {
		t.Fatalf("DraftCanary: %v", err)
	}
	if n := s.Mutations() - writes; n != 0 {
		t.Errorf("DraftCanary, which only reads, sent %d writes", n)
	}
	c = journaled(t, c)
	if len(c.Source) == 0 || len(c.Target) == 0 {
		t.Errorf("the canary does not name what runs source and target: %q, %q", c.Source, c.Target)
	}
	stager, err := endpoint.Need[endpoint.Stager](s.Updater)
	if err != nil {
		t.Fatalf("an endpoint.Shifter stages what serves both: %v", err)
	}
	if err := s.again(func() error { return stager.Stage(t.Context(), c.Draft) }); err != nil && !errors.Is(err, endpoint.ErrPending) {
		t.Fatalf("Stage: %v", err)
	}
	if err := s.made(t, stager, c.Draft); err != nil {
		t.Fatalf("Staged after Stage = %v", err)
	}
	if err := s.again(func() error { return s.Updater.Update(t.Context(), endpoint.Change{To: c.Revision}) }); err != nil {
		t.Fatalf("Update to %s: %v", c.Revision, err)
	}
	s.until(t, patience, "status of both that shows the target's share of 0%", func(st endpoint.Status) bool {
		return s.unmixed(t, st) && st.Desired.Same(c.Revision) && st.Phase == endpoint.PhaseReady && shareIs(st, 0)
	})
	return shifter, c, before
}

// again repeats a call that fails for a while.
func (s Subject) again(f func() error) error {
	err := f()
	for end := time.Now().Add(s.Settle); endpoint.Transient(err) && time.Now().Before(end); pause(time.Second) {
		err = f()
	}
	return err
}

func shareIs(st endpoint.Status, percent int) bool { return st.Share != nil && *st.Share == percent }

// unmixed fails at a status that calls a mix one of the two.
func (s Subject) unmixed(t testing.TB, st endpoint.Status) bool {
	t.Helper()
	if st.Share != nil && *st.Share > 0 && st.Serving.Same(s.To) {
		t.Errorf("it has %d%% of the traffic, and Serving is %s", *st.Share, st.Serving)
	}
	return true
}

func shifts(t testing.TB, s Subject) {
	shifter, c, before := s.split(t)
	for _, percent := range []int{10, 50, 0} {
		writes := s.Mutations()
		if err := s.again(func() error { return shifter.Shift(t.Context(), c, percent) }); err != nil {
			t.Fatalf("Shift to %d%%: %v", percent, err)
		}
		if n := s.Mutations() - writes; n != 1 {
			t.Errorf("Shift to %d%% sent %d writes, want one", percent, n)
		}
		s.until(t, patience, fmt.Sprintf("status that shows a share of %d%%", percent), func(st endpoint.Status) bool {
			return s.unmixed(t, st) && shareIs(st, percent) && st.Phase == endpoint.PhaseReady
		})
	}
	if err := s.again(func() error {
		return s.Updater.Update(t.Context(), endpoint.Change{To: before.Desired, Rollback: true})
	}); err != nil {
		t.Fatalf("Update back to %s: %v", before.Desired, err)
	}
	after := s.until(t, patience, "status that serves the source, unsplit", func(st endpoint.Status) bool {
		return st.Serving.Same(before.Desired) && st.Share == nil && st.Phase == endpoint.PhaseReady
	})
	for key, want := range before.Settings {
		if have := after.Settings[key]; have != want {
			t.Errorf("after the canary %s is %d, want %d as before", key, have, want)
		}
	}
}

func losesShift(t testing.TB, s Subject) {
	shifter, c, _ := s.split(t)
	for _, applied := range []bool{true, false} {
		percent := map[bool]int{true: 10, false: 50}[applied]
		s.lost(t, applied, "Shift", func() error { return shifter.Shift(t.Context(), c, percent) })
		pause(s.Settle)
		if !applied {
			percent = 10
		}
		s.until(t, patience, fmt.Sprintf("status that shows a share of %d%%", percent), func(st endpoint.Status) bool { return shareIs(st, percent) })
	}
}
