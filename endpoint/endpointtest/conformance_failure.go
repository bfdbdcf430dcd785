package endpointtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

func heedsContext(t testing.TB, s Subject) {
	before := s.status(t)
	calls := s.reads(t)
	delete(calls, "Pace") // which may know it from the change alone
	calls["Update"] = func(ctx context.Context) (any, error) { return nil, s.Updater.Update(ctx, endpoint.Change{To: s.To}) }
	if sc, ok := endpoint.As[endpoint.Scaler](s.Updater); ok && s.Key != "" {
		calls["Set"] = func(ctx context.Context) (any, error) { return nil, sc.Set(ctx, s.Key, s.Value) }
	}
	if st, ok := endpoint.As[endpoint.Stager](s.Updater); ok && s.Artifact != "" {
		d := s.draft(t, st)
		calls["Stage"] = func(ctx context.Context) (any, error) { return nil, st.Stage(ctx, d) }
	}
	if p, ok := endpoint.As[endpoint.AutoscalingSuspender](s.Updater); ok {
		snapshot := s.snapshot(t, p)
		calls["SuspendAutoscaling"] = func(ctx context.Context) (any, error) { return nil, p.SuspendAutoscaling(ctx, snapshot) }
		calls["RestoreAutoscaling"] = func(ctx context.Context) (any, error) { return nil, p.RestoreAutoscaling(ctx, snapshot) }
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n := s.Mutations()
	for name, call := range calls {
		if _, err := call(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a done context = %v, want %v", name, err, context.Canceled)
		}
		if got := s.Mutations(); got != n {
			t.Errorf("%s with a done context made %d remote writes", name, got-n)
			n = got
		}
	}
	s.stays(t, "changed by calls with a done context", func(st endpoint.Status) bool {
		return st.Desired == before.Desired && maps.Equal(st.Settings, before.Settings)
	})
}

func refuses(t testing.TB, s Subject) {
	before := s.status(t)
	err := s.Updater.Update(t.Context(), endpoint.Change{To: s.missing()})
	if err == nil || !endpoint.Unapplied(err) {
		t.Errorf("Update to a revision that does not exist = %v, want an error that proves that nothing was applied", err)
	}
	if sc, ok := endpoint.As[endpoint.Scaler](s.Updater); ok {
		if err := sc.Set(t.Context(), "changeover.no.such.setting", 1); err == nil || !endpoint.Unapplied(err) {
			t.Errorf("Set of a setting that does not exist = %v, want an error that proves that nothing was applied", err)
		}
	}
	s.stays(t, "changed by calls that were refused", func(st endpoint.Status) bool {
		return st.Desired == before.Desired && maps.Equal(st.Settings, before.Settings)
	})
}

func wrapsErrors(t testing.TB, s Subject) {
	done, cancel := context.WithCancel(t.Context())
	cancel()
	_, statusErr := s.Updater.Status(done)
	for call, err := range map[string]error{
		"Update": s.Updater.Update(t.Context(), endpoint.Change{To: s.missing()}), "Status": statusErr,
	} {
		var e *endpoint.Error
		if !errors.As(err, &e) || e.Endpoint != s.Updater.Name() || e.Op == "" {
			t.Errorf("the error of %s is %q, want an *endpoint.Error that names %s", call, err, s.Updater.Name())
		}
	}
}

func losesAnswers(t testing.TB, s Subject) {
	if s.DropResponse == nil {
		t.Skip("skipped: the subject cannot lose an answer: what an error then claims is not tested")
	}
	update := func() error { return s.Updater.Update(t.Context(), endpoint.Change{To: s.To}) }
	before := s.status(t).Desired
	s.lost(t, false, "Update", update)
	s.stays(t, "changed by an update that did not arrive", func(st endpoint.Status) bool { return st.Desired == before })
	s.lost(t, true, "Update", update)
	s.until(t, s.Settle, "sign of an update whose answer was lost", func(st endpoint.Status) bool { return st.Desired.Same(s.To) })
}

// endsWithContext lets answers hang longer than their calls may take.
func endsWithContext(t testing.TB, h Harness) {
	if s := h.subject(t); s.HangResponse == nil {
		t.Skip("skipped: the subject cannot hang: whether a call ends with its context is not tested")
	}
	for _, applied := range []bool{false, true} {
		s := h.subject(t)
		s.hangs(t, applied, "Update", func(ctx context.Context) error {
			return s.Updater.Update(ctx, endpoint.Change{To: s.To})
		}, func(st endpoint.Status) bool { return st.Desired.Same(s.To) })

		s = h.subject(t)
		if sc, ok := endpoint.As[endpoint.Scaler](s.Updater); ok && s.Key != "" {
			s.hangs(t, applied, "Set", func(ctx context.Context) error {
				return sc.Set(ctx, s.Key, s.Value)
			}, func(st endpoint.Status) bool { return st.Settings[s.Key] == s.Value })
		}
	}
}

// hangs makes a write that hangs, whose effect took shows.
func (s Subject) hangs(t testing.TB, applied bool, what string, write func(context.Context) error, took func(endpoint.Status) bool) {
	t.Helper()
	what = fmt.Sprintf("%s, its answer hanging, applied %v", what, applied)
	s.HangResponse(applied)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	begin := time.Now()
	err := write(ctx)
	switch late := time.Since(begin) - time.Minute; {
	case late > 0:
		t.Errorf("%s: it ended %v after its context", what, late)
	case err == nil:
		t.Errorf("%s: no error", what)
	case endpoint.Unapplied(err):
		t.Errorf("%s: %v, which claims that nothing was applied", what, err)
	case late == 0 && !errors.Is(err, context.DeadlineExceeded):
		t.Errorf("%s: %v, want it to be %v", what, err, context.DeadlineExceeded)
	}
	if applied {
		s.until(t, s.Settle, "sign of the "+what, took)
		return
	}
	s.stays(t, "changed by the "+what, func(st endpoint.Status) bool { return !took(st) })
}
