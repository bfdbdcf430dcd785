package endpointtest

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

func stages(t testing.TB, s Subject) {
	stager, ok := endpoint.As[endpoint.Stager](s.Updater)
	if !ok || s.Artifact == "" {
		t.Skip("skipped: no endpoint.Stager, or nothing to stage: targets have to exist before a rollout")
	}
	before, d := s.status(t), s.draft(t, stager)
	if d.Revision.Artifact != s.Artifact {
		t.Errorf("the draft runs %q, want %q", d.Revision.Artifact, s.Artifact)
	}
	err := stager.Staged(t.Context(), d)
	if !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("Staged of a draft that is not = %v, want %v", err, endpoint.ErrNotFound)
	}
	for range 2 { // a rollout that died may stage again
		err := stager.Stage(t.Context(), d)
		for end := time.Now().Add(s.Settle); endpoint.Transient(err) && time.Now().Before(end); pause(time.Second) {
			err = stager.Stage(t.Context(), d)
		}
		if err != nil && !errors.Is(err, endpoint.ErrPending) {
			t.Fatalf("Stage: %v", err)
		}
	}
	err = s.made(t, stager, d)
	if err != nil {
		t.Errorf("Staged after Stage = %v", err)
	}
	s.stays(t, "changed by staging", func(st endpoint.Status) bool {
		return st.Desired.Same(before.Desired) && maps.Equal(st.Settings, before.Settings)
	})
	if err := s.Updater.Update(t.Context(), endpoint.Change{To: d.Revision}); err != nil {
		t.Fatalf("Update to the staged revision: %v", err)
	}
	s.until(t, patience, "status that serves the staged "+d.Revision.String(), func(st endpoint.Status) bool { return st.Serving.Same(d.Revision) })
}

// made waits until a draft that was staged is there, which may take a while.
func (s Subject) made(t testing.TB, stager endpoint.Stager, d endpoint.Draft) (err error) {
	t.Helper()
	slow := false
	for end := time.Now().Add(s.Settle); ; pause(time.Second) {
		if err = stager.Staged(t.Context(), d); errors.Is(err, endpoint.ErrPending) && !slow {
			slow, end = true, time.Now().Add(patience)
		}
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

func unstages(t testing.TB, s Subject) {
	stager, ok := endpoint.As[endpoint.Stager](s.Updater)
	u, unstages := endpoint.As[endpoint.Unstager](s.Updater)
	if !ok || !unstages || s.Artifact == "" {
		t.Skip("skipped: no endpoint.Unstager, or nothing to stage")
	}
	before, d := s.status(t), s.draft(t, stager)
	if err := stager.Stage(t.Context(), d); err != nil && !errors.Is(err, endpoint.ErrPending) {
		t.Fatalf("Stage: %v", err)
	}
	for range 2 { // a rollout that died may take it back again
		if err := u.Unstage(t.Context(), d); err != nil {
			t.Errorf("Unstage: %v", err)
		}
	}
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); pause(time.Second) {
		if err = stager.Staged(t.Context(), d); errors.Is(err, endpoint.ErrNotFound) {
			break
		}
	}
	if !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("Staged of a draft that was taken back = %v, want %v", err, endpoint.ErrNotFound)
	}
	s.stays(t, "changed by taking back a draft", func(st endpoint.Status) bool {
		return st.Desired.Same(before.Desired) && maps.Equal(st.Settings, before.Settings)
	})
}

func keepsTaken(t testing.TB, s Subject) {
	stager, ok := endpoint.As[endpoint.Stager](s.Updater)
	if !ok || s.Artifact == "" || s.TakeName == nil {
		t.Skip("skipped: no endpoint.Stager, nothing to stage, or no third party to take a name")
	}
	d := s.draft(t, stager)
	s.TakeName(d)
	pause(s.Settle) // until reads show it
	if err := stager.Stage(t.Context(), d); err == nil || endpoint.Transient(err) {
		t.Errorf("Stage of %s, where there is something else = %v, want an error that stays", d.Revision, err)
	}
	pause(s.Settle)
	if err := stager.Staged(t.Context(), d); err == nil {
		t.Errorf("Staged of %s, where there was something else: no error", d.Revision)
	}
}
