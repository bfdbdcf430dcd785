package endpointtest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
)

func protects(t testing.TB, s Subject) {
	p, ok := endpoint.As[endpoint.Protector](s.Updater)
	if !ok || s.Protective == nil {
		t.Skip("SKIPPED: no endpoint.Protector, or nothing to compare: ScaleProtectedSwap protects nothing")
	}
	before := s.Protective()
	snapshot, err := p.Snapshot(t.Context(), endpoint.Change{To: s.To})
	if err != nil {
		t.Fatalf("Snapshot: %v", err)
	}
	snapshot = journaled(t, snapshot)
	inspect := func(when string, good func(endpoint.ProtectionState) bool) {
		t.Helper()
		var is endpoint.ProtectionState
		for end := time.Now().Add(s.Settle); ; pause(time.Second) {
			if is, err = p.Inspect(t.Context(), snapshot); err != nil {
				t.Fatalf("Inspect: %v", err)
			}
			if good(is) {
				return
			}
			if time.Now().After(end) {
				t.Errorf("Inspect %s = %+v", when, is)
				return
			}
		}
	}
	intact := func(is endpoint.ProtectionState) bool { return is.Intact && len(is.Differences) == 0 }
	inspect("before anything was done", intact)
	for range 2 { // a rollout that died may protect and restore again
		if err := p.Protect(t.Context(), snapshot); err != nil {
			t.Fatalf("Protect: %v", err)
		}
	}
	inspect("while it is protected", func(is endpoint.ProtectionState) bool { return is.Frozen && len(is.Foreign) == 0 })
	for range 2 {
		if err := p.Restore(t.Context(), snapshot); err != nil {
			t.Fatalf("Restore: %v", err)
		}
	}
	inspect("after it was restored", intact)
	if diff := cmp.Diff(before, s.Protective()); diff != "" {
		t.Errorf("after it was restored (-before +after):\n%s", diff)
	}
}
