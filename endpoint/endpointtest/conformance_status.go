package endpointtest

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
)

func named(t testing.TB, s Subject) {
	provider, id, ok := strings.Cut(s.Updater.Name(), "/")
	if !ok || provider == "" || id == "" {
		t.Errorf("Name = %q, want provider/id", s.Updater.Name())
	}
	name := s.Updater.Name()
	s.update(t)
	if got := s.Updater.Name(); got != name {
		t.Errorf("Name = %q, and %q after an update", name, got)
	}
}

func restsReady(t testing.TB, s Subject) {
	st := s.status(t)
	if st.Phase != endpoint.PhaseReady || !st.Desired.Same(st.Serving) || st.Mixed || st.Live() == 0 {
		t.Errorf("at rest: %s, desired %s, serving %s, mixed %v, %d live; want it ready, serving what is desired",
			st.Phase, st.Desired, st.Serving, st.Mixed, st.Live())
	}
	if st.Desired.Same(s.To) {
		t.Errorf("it serves %s already", s.To)
	}
}

func handsOutStatus(t testing.TB, s Subject) {
	st := s.status(t)
	want := maps.Clone(st.Settings)
	for key := range st.Settings {
		st.Settings[key] = -1
	}
	for i := range st.Pools {
		st.Pools[i] = endpoint.Pool{}
	}
	again := s.status(t)
	if diff := cmp.Diff(want, again.Settings); diff != "" || again.Live() == 0 {
		t.Errorf("what a caller did to one status shows in the next; settings (-before +after):\n%s%d live", diff, again.Live())
	}
}
