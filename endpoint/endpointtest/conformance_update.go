package endpointtest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
)

func showsDesired(t testing.TB, s Subject) {
	s.update(t)
	s.until(t, s.Settle, "status that desires "+s.To.String(), func(st endpoint.Status) bool { return st.Desired.Same(s.To) })
}

func comesToServe(t testing.TB, s Subject) {
	kept := s.status(t).Settings
	s.update(t)
	st := s.until(t, patience, "status that is ready, serving "+s.To.String(), func(st endpoint.Status) bool {
		if st.Serving.Same(s.To) && st.Mixed {
			t.Errorf("all that is in service is proven to run %s, and yet it is mixed", st.Serving)
		}
		return st.Phase == endpoint.PhaseReady && st.Serving.Same(s.To) && st.Desired.Same(s.To)
	})
	if diff := cmp.Diff(kept, st.Settings); diff != "" {
		t.Errorf("an update changed settings (-before +after):\n%s", diff)
	}
}

func failsAloud(t testing.TB, s Subject) {
	if s.BreakTarget == nil {
		t.Skip("skipped: the subject cannot spoil its target: whether a failed update is reported as one is not tested")
	}
	s.BreakTarget()
	if err := s.Updater.Update(t.Context(), endpoint.Change{To: s.To}); err != nil {
		t.Logf("refused at once: %v", err)
	}
	for end := time.Now().Add(time.Hour); time.Now().Before(end); pause(5 * time.Second) {
		if st := s.status(t); st.Phase == endpoint.PhaseReady && (st.Serving.Same(s.To) || st.Desired.Same(s.To)) {
			t.Fatalf("ready, desired %s, serving %s, of which nothing has come up", st.Desired, st.Serving)
		}
	}
}

func countsGenerations(t testing.TB, s Subject) {
	before := s.status(t)
	if before.Generation == "" {
		t.Skip("skipped: the provider has no generation: an update that it undid by itself looks like one that was never made")
	}
	if again := s.status(t); again.Generation != before.Generation {
		t.Errorf("generation %s, then %s, with nothing changed", before.Generation, again.Generation)
	}
	s.update(t)
	s.until(t, s.Settle, "other generation than "+before.Generation, func(st endpoint.Status) bool { return st.Generation != before.Generation })
}
