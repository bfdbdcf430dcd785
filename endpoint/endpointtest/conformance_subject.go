package endpointtest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// patience bounds how long a change of the subject may take.
const patience = 2 * time.Hour

func pause(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // in the bubble's time

func (s Subject) status(t testing.TB) endpoint.Status {
	t.Helper()
	st, err := s.Updater.Status(t.Context())
	if err != nil {
		t.Fatalf("Status: %v", err)
	}
	return st
}

// until polls every second for at most d until good is true.
func (s Subject) until(t testing.TB, d time.Duration, what string, good func(endpoint.Status) bool) endpoint.Status {
	t.Helper()
	for end := time.Now().Add(d); ; pause(time.Second) {
		st := s.status(t)
		if good(st) {
			return st
		}
		if time.Now().After(end) {
			t.Fatalf("after %v there is no %s; the last poll: %s, desired %s, serving %s, settings %v",
				d, what, st.Phase, st.Desired, st.Serving, st.Settings)
		}
	}
}

// stays polls for as long as a read may lag, and fails at the first status that is not good.
func (s Subject) stays(t testing.TB, what string, good func(endpoint.Status) bool) {
	t.Helper()
	for end := time.Now().Add(s.Settle); !time.Now().After(end); pause(time.Second) {
		if st := s.status(t); !good(st) {
			t.Errorf("%s: %s, desired %s, serving %s, settings %v", what, st.Phase, st.Desired, st.Serving, st.Settings)
			return
		}
	}
}

func (s Subject) update(t testing.TB) {
	t.Helper()
	if err := s.Updater.Update(t.Context(), endpoint.Change{To: s.To}); err != nil {
		t.Fatalf("Update to %s: %v", s.To, err)
	}
}

func (s Subject) draft(t testing.TB, st endpoint.Stager) endpoint.Draft {
	t.Helper()
	d, err := st.Draft(t.Context(), s.Base, s.Artifact)
	if err != nil {
		t.Fatalf("Draft: %v", err)
	}
	return journaled(t, d)
}

func (s Subject) snapshot(t testing.TB, p endpoint.AutoscalingSuspender) endpoint.AutoscalingSnapshot {
	t.Helper()
	snapshot, err := p.SnapshotAutoscaling(t.Context(), endpoint.Change{To: s.To})
	if err != nil {
		t.Fatalf("Snapshot: %v", err)
	}
	return journaled(t, snapshot)
}

// missing is a revision that no provider has.
func (s Subject) missing() endpoint.Revision {
	return endpoint.Revision{Kind: s.To.Kind, ID: "changeover-no-such-revision", Artifact: "changeover.invalid/no/such:artifact"}
}

// lost makes a write whose answer is lost, and checks what the caller hears.
func (s Subject) lost(t testing.TB, applied bool, what string, write func() error) {
	t.Helper()
	s.DropResponse(applied)
	err := write()
	switch {
	case err == nil:
		t.Errorf("%s, its answer lost, applied %v: no error", what, applied)
	case endpoint.Unapplied(err):
		t.Errorf("%s, its answer lost, applied %v: %v, which claims that nothing was applied", what, applied, err)
	case !endpoint.Transient(err):
		t.Errorf("%s, its answer lost, applied %v: %v, want it to be %v", what, applied, err, endpoint.ErrUnavailable)
	}
}

// journaled is v as another process reads it from the journal.
func journaled[T any](t testing.TB, v T) (read T) {
	t.Helper()
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &read)
	}
	if err != nil {
		t.Fatalf("%T: %v", v, err)
	}
	return read
}
