package endpointtest

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
)

func setsOne(t testing.TB, s Subject) {
	sc, ok := endpoint.As[endpoint.Scaler](s.Updater)
	if !ok || s.Key == "" {
		t.Skip("skipped: no endpoint.Scaler, or no key to set: FlushToZero and Prescale cannot be used")
	}
	want, n := s.status(t).Settings, s.Mutations()
	want[s.Key] = s.Value
	if err := sc.Set(t.Context(), s.Key, s.Value); err != nil {
		t.Fatalf("Set(%s, %d): %v", s.Key, s.Value, err)
	}
	if got := s.Mutations() - n; got != 1 {
		t.Errorf("Set made %d remote writes, want 1", got)
	}
	st := s.until(t, s.Settle, fmt.Sprintf("status with %s=%d", s.Key, s.Value), func(st endpoint.Status) bool { return st.Settings[s.Key] == s.Value })
	if diff := cmp.Diff(want, st.Settings); diff != "" {
		t.Errorf("settings after Set(%s, %d) (-want +got):\n%s", s.Key, s.Value, diff)
	}
}

func losesSet(t testing.TB, s Subject) {
	sc, ok := endpoint.As[endpoint.Scaler](s.Updater)
	if !ok || s.Key == "" || s.DropResponse == nil {
		t.Skip("skipped: no endpoint.Scaler, no key to set, or no way to lose an answer")
	}
	s.lost(t, false, "Set", func() error { return sc.Set(t.Context(), s.Key, s.Value) })
	n := s.Mutations()
	s.lost(t, true, "Set", func() error { return sc.Set(t.Context(), s.Key, s.Value) })
	if got := s.Mutations() - n; got != 1 {
		t.Errorf("Set, its answer lost, made %d remote writes, want 1: what became of the first is not known", got)
	}
	s.until(t, s.Settle, "sign of a Set whose answer was lost", func(st endpoint.Status) bool { return st.Settings[s.Key] == s.Value })
}

// leavesOthers writes a setting, and another one just before it, when reads may
// not show that yet.
func leavesOthers(t testing.TB, s Subject) {
	sc, ok := endpoint.As[endpoint.Scaler](s.Updater)
	if !ok || s.Key == "" || len(s.Others) == 0 {
		t.Skip("skipped: no endpoint.Scaler, or no other setting: whether a write repeats another value is not tested")
	}
	for _, other := range s.Others.Keys() {
		want := s.status(t).Settings
		want[other], want[s.Key] = s.Others[other], s.Value
		for _, key := range []string{other, s.Key} {
			if err := sc.Set(t.Context(), key, want[key]); err != nil {
				t.Fatalf("Set(%s, %d): %v", key, want[key], err)
			}
		}
		s.until(t, s.Settle, fmt.Sprintf("status with %v", want), func(st endpoint.Status) bool { return cmp.Equal(want, st.Settings) })
	}
}
