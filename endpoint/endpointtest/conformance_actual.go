package endpointtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// describe is a status for people.
func describe(s endpoint.Status) string {
	return fmt.Sprintf("%s, desired %s, serving %s, mixed %t, pools %+v, reason %q", s.Phase, s.Desired, s.Serving, s.Mixed, pools(s), s.Reason)
}

// String describes what the endpoint is, for people.
func (a Actual) String() string {
	var units []string
	for _, u := range a.Units {
		state := "starting"
		switch {
		case u.Failed:
			state = "failed"
		case u.Serves:
			state = "serving"
		case u.Up:
			state = "up"
		}
		units = append(units, state+" "+u.Runs.ID)
	}
	return fmt.Sprintf("desired %s, units [%s], updating %t, paused %t, failed %t, reason %q",
		a.Desired, strings.Join(units, ", "), a.Updating, a.Paused, a.Failed, a.Reason)
}

func (s Subject) watcher(t testing.TB) *watcher {
	t.Helper()
	if s.Actual == nil {
		t.Skip("skipped: the subject does not say what its endpoint really is: whether the status is true is not tested")
	}
	return &watcher{Subject: s, every: time.Second}
}

// tellsTruth watches the status through an update.
func tellsTruth(t testing.TB, s Subject) {
	w := s.watcher(t)
	never := func(endpoint.Status) bool { return false }
	w.watch(t, s.Settle, never)
	s.update(t)
	w.watch(t, patience, func(st endpoint.Status) bool { return st.Phase == endpoint.PhaseReady && st.Serving.Same(s.To) })
	w.watch(t, 2*s.Settle, never)
}

// showsFailure watches the status through an update that fails. It ends with
// the failure for the provider to have settled, at the latest after an hour.
func showsFailure(t testing.TB, s Subject) {
	if s.BreakTarget == nil {
		t.Skip("skipped: the subject cannot spoil its target: whether a failure shows is not tested")
	}
	w := s.watcher(t)
	source := s.status(t).Desired
	w.remember()
	s.BreakTarget()
	if err := s.Updater.Update(t.Context(), endpoint.Change{To: s.To}); err != nil {
		t.Logf("refused at once: %v", err)
		return
	}
	accepted, seen := false, time.Time{}
	w.watch(t, time.Hour, func(st endpoint.Status) bool {
		accepted = accepted || st.Desired.Same(s.To)
		failed := st.Phase == endpoint.PhaseFailed || st.Unhealthy() > 0
		switch back := accepted && st.Phase == endpoint.PhaseReady && st.Desired.Same(source); {
		case seen.IsZero() && (failed || back):
			seen = time.Now()
		case seen.IsZero():
			return false
		case failed && st.Reason == "" && time.Since(seen) > s.Settle:
			t.Errorf("it is seen to fail, and no reason is given: %s", describe(st))
			return true
		}
		return time.Since(seen) > 2*s.Settle
	})
	if seen.IsZero() {
		t.Error("the target does not come up, and after an hour the status shows neither a failure, nor unhealthy capacity, nor that the provider went back")
	}
}

// showsNothing watches the status while the endpoint loses its capacity, and
// for half an hour after that.
func showsNothing(t testing.TB, h Harness) {
	skipped := true
	for what, lose := range map[string]func(s Subject) func(){
		"paused": func(s Subject) func() { return s.Pause }, "emptied": func(s Subject) func() { return s.Empty },
	} {
		s := h.subject(t)
		if s.Actual == nil || lose(s) == nil {
			continue
		}
		skipped = false
		w := s.watcher(t)
		w.every = 5 * time.Second // a claim that is not true stays so for longer
		w.remember()
		lose(s)()
		w.watch(t, 30*time.Minute, func(endpoint.Status) bool { return false })
		if n := len(s.Actual().Units); n > 0 {
			t.Errorf("half an hour after it was %s, the endpoint has %d units: the subject does not do it", what, n)
		}
	}
	if skipped {
		t.Skip("skipped: the subject cannot be paused or emptied: what is then shown as serving is not tested")
	}
}

func staysUnknown(t testing.TB, s Subject) {
	if s.Confuse == nil {
		t.Skip("skipped: the subject's provider reports no unknown state: what that is taken for is not tested")
	}
	s.Confuse()
	pause(s.Settle)
	st, err := s.Updater.Status(t.Context())
	switch {
	case err != nil && endpoint.Unapplied(err):
		t.Errorf("Status in a state that is not known: %v, which is a refusal", err)
	case err == nil && (st.Phase != endpoint.PhaseUnknown || !st.Serving.IsZero()):
		t.Errorf("the provider is in a state that is not known, and the status says: %s", describe(st))
	}
}
