package endpointtest_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
)

const (
	pageARN = "arn:policy/page"
	stepARN = "arn:policy/step"
)

// newVariants returns an endpoint with two variants, the first autoscaled.
func newVariants(edit func(*endpointtest.VariantsConfig)) *endpointtest.Variants {
	c := endpointtest.VariantsConfig{
		Name:      "fake/v",
		Revisions: map[string]string{"c1": v1, "c2": v2}, Live: "c1",
		Counts: map[string]int{"A": 2, "B": 1},
		Targets: map[string]endpointtest.Target{"A": {
			Min: 1, Max: 4, Suspended: endpointtest.Suspended{Scheduled: true},
			Policies: []endpointtest.Policy{
				{Name: "page", ARN: pageARN, Config: "track 70"},
				{Name: "step", ARN: stepARN, Config: "step +2"},
			},
			Schedules: []endpointtest.Schedule{{Name: "night", Expression: "cron(0 22 * * ? *)", Min: 1, Max: 2}},
		}},
		Alarms: map[string][]string{"backlog": {stepARN, "arn:sns/pager"}, "other": {"arn:sns/pager"}},
		Bake:   time.Minute,
	}
	if edit != nil {
		edit(&c)
	}
	return endpointtest.NewVariants(c)
}

// sight is what a test wants to know of a variants status.
type sight struct {
	Phase            endpoint.Phase
	Desired, Serving string
	Mixed            bool
	Stage            string
	For              time.Duration
	Reason           string
	Generation       string
}

func view(t *testing.T, v *endpointtest.Variants) sight {
	t.Helper()
	s := status(t, v)
	return sight{s.Phase, s.Desired.ID, s.Serving.ID, s.Mixed, s.UpdateStage.Name, s.UpdateStage.For, s.Reason, s.Generation}
}

func TestVariantsUpdate(t *testing.T) {
	const (
		up, re, fa = endpoint.PhaseUpdating, endpoint.PhaseReady, endpoint.PhaseFailed
		m          = time.Minute
	)
	type at struct {
		after time.Duration
		want  sight
	}
	creating := at{0, sight{up, "c2", "c1", false, "Creating", 0, "", "2"}}
	almost := at{5*m - 1, creating.want}
	tests := map[string]struct {
		spoil func(*endpointtest.Variants)
		sees  []at
	}{
		"success": {func(*endpointtest.Variants) {}, []at{
			creating, almost,
			{1, sight{up, "c2", "c1", false, "Baking", m, "", "2"}},
			{m - 1, sight{up, "c2", "c1", false, "Baking", m, "", "2"}},
			{1, sight{re, "c2", "c2", false, "", 0, "", "3"}},
			{1000 * time.Hour, sight{re, "c2", "c2", false, "", 0, "", "3"}},
		}},
		"rolled back": {func(v *endpointtest.Variants) { v.FailOn(v2, "ping failed") }, []at{
			creating, almost,
			{1, sight{up, "c2", "c1", false, "Deleting", 0, "", "2"}},
			{2*m - 1, sight{up, "c2", "c1", false, "Deleting", 0, "", "2"}},
			{1, sight{re, "c1", "c1", false, "", 0, "ping failed", "3"}},
		}},
		"rolled back in silence": {func(v *endpointtest.Variants) { v.FailOn(v2, "") }, []at{
			creating, {7 * m, sight{re, "c1", "c1", false, "", 0, "", "3"}},
		}},
		"failed": {func(v *endpointtest.Variants) { v.BreakOn(v2, "internal error") }, []at{
			creating, almost,
			{1, sight{fa, "c1", "", false, "", 0, "internal error", "3"}},
			{1000 * time.Hour, sight{fa, "c1", "", false, "", 0, "internal error", "3"}},
		}},
		"rollback failed": {func(v *endpointtest.Variants) { v.MixOn(v2, "no capacity") }, []at{
			creating,
			{7*m - 1, sight{up, "c2", "c1", false, "Deleting", 0, "", "2"}},
			{1, sight{fa, "c1", "", true, "", 0, "no capacity", "3"}},
		}},
		"stuck": {func(v *endpointtest.Variants) { v.StallOn(v2) }, []at{
			creating, {1000 * time.Hour, creating.want},
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVariants(nil)
				tt.spoil(v)
				do(t, v.Update(t.Context(), endpoint.Change{To: resolve(t, v, "c2")}))
				for _, at := range tt.sees {
					time.Sleep(at.after)
					if d := cmp.Diff(at.want, view(t, v)); d != "" {
						t.Errorf("%v later (-want +got):\n%s", at.after, d)
					}
				}
			})
		})
	}
}

func TestNextUpdateClearsTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, ctx := newVariants(nil), t.Context()
		v.FailOn(v2, "ping failed")
		do(t, v.Update(ctx, endpoint.Change{To: resolve(t, v, "c2")}))
		time.Sleep(7 * time.Minute)
		do(t, v.Set(ctx, "variant/A/instances", 3))
		if s := status(t, v); s.Reason != "ping failed" {
			t.Errorf("after a capacity change: %q", s.Reason)
		}
		time.Sleep(3 * time.Minute)
		do(t, v.Update(ctx, endpoint.Change{To: resolve(t, v, "c2")}))
		if s := status(t, v); s.Reason != "" {
			t.Errorf("after the next update: %q", s.Reason)
		}
	})
}

func TestVariantsPools(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVariants(nil)
		v.FailOn("m3", "")
		v.Foreign(func(s *endpointtest.VariantsState) { s.Revisions["c3"] = "m3" })
		a, b := endpoint.Pool{Name: "A"}, endpoint.Pool{Name: "B"}
		for _, tt := range []struct {
			to    string
			after time.Duration
			edit  func()
		}{
			{"c2", 0, func() { a.Ready, b.Ready = 2, 1 }},
			{"", 0, func() { a.Stale, b.Stale, a.Ready, b.Ready, a.Starting, b.Starting = 2, 1, 0, 0, 2, 1 }},
			{"", 5 * time.Minute, func() { a.Ready, b.Ready, a.Starting, b.Starting = 2, 1, 0, 0 }},
			{"c3", time.Minute, func() { a.Stale, b.Stale = 0, 0 }},
			{"", 5 * time.Minute, func() { a.Stale, b.Stale, a.Ready, b.Ready = 2, 1, 0, 0 }},
			{"", 2 * time.Minute, func() { a.Stale, b.Stale, a.Ready, b.Ready = 0, 0, 2, 1 }},
		} {
			time.Sleep(tt.after)
			tt.edit()
			if d := cmp.Diff([]endpoint.Pool{a, b}, status(t, v).Pools); d != "" {
				t.Errorf("%v later (-want +got):\n%s", tt.after, d)
			}
			if tt.to != "" {
				do(t, v.Update(t.Context(), endpoint.Change{To: resolve(t, v, tt.to)}))
			}
		}
	})
}

func TestVariantsAfterFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, tt := range map[string]struct {
			spoil func(*endpointtest.Variants, string, string)
			want  error
		}{
			"failed": {(*endpointtest.Variants).BreakOn, endpoint.ErrInvalid},
			"mixed":  {(*endpointtest.Variants).MixOn, nil},
		} {
			v := newVariants(nil)
			tt.spoil(v, v2, "")
			do(t, v.Update(t.Context(), endpoint.Change{To: resolve(t, v, "c2")}))
			time.Sleep(time.Hour)
			if err := v.Set(t.Context(), "variant/A/instances", 3); !errors.Is(err, endpoint.ErrInvalid) {
				t.Errorf("%s: Set: %v", name, err)
			}
			err := v.Update(t.Context(), endpoint.Change{To: resolve(t, v, "c1")})
			if d := cmp.Diff(tt.want, err, cmpopts.EquateErrors()); d != "" {
				t.Errorf("%s: Update (-want +got):\n%s", name, d)
			}
			time.Sleep(time.Hour)
			if s := view(t, v); tt.want == nil && (s.Phase != endpoint.PhaseReady || s.Mixed) {
				t.Errorf("%s: after the update: %+v", name, s)
			}
		}
	})
}

func TestVariantsOneChangeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, ctx := newVariants(nil), t.Context()
		c2 := resolve(t, v, "c2")
		do(t, v.Set(ctx, "variant/B/instances", 3))
		s := status(t, v)
		if d := cmp.Diff(endpoint.Settings{"variant/A/instances": 2, "variant/B/instances": 3}, s.Settings); d != "" {
			t.Errorf("settings (-want +got):\n%s", d)
		}
		if d := cmp.Diff([]endpoint.Pool{{Name: "A", Ready: 2}, {Name: "B", Ready: 1, Starting: 2}}, s.Pools); d != "" {
			t.Errorf("pools (-want +got):\n%s", d)
		}
		time.Sleep(3*time.Minute - 1)
		for _, err := range []error{v.Update(ctx, endpoint.Change{To: c2}), v.Set(ctx, "variant/A/instances", 1)} {
			if !errors.Is(err, endpoint.ErrBusy) || !endpoint.Unapplied(err) {
				t.Errorf("in a capacity change: %v", err)
			}
		}
		time.Sleep(time.Nanosecond)
		if s := status(t, v); s.Phase != endpoint.PhaseReady || s.Live() != 5 {
			t.Errorf("after it: %+v", s)
		}
		do(t, v.Update(ctx, endpoint.Change{To: c2}))
		for _, err := range []error{v.Update(ctx, endpoint.Change{To: c2}), v.Set(ctx, "variant/A/instances", 1)} {
			if !errors.Is(err, endpoint.ErrBusy) {
				t.Errorf("in an update: %v", err)
			}
		}
		time.Sleep(6 * time.Minute)
		if s := status(t, v); s.Serving.ID != "c2" || s.Settings["variant/B/instances"] != 3 || s.Live() != 5 {
			t.Errorf("live counts were not retained: %+v", s)
		}
	})
}

func TestVariantsForeign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, ctx := newVariants(nil), t.Context()
		v.At(time.Now().Add(time.Minute), func(s *endpointtest.VariantsState) { s.Pending = "c2" })
		time.Sleep(90 * time.Second)
		if err := v.Set(ctx, "variant/A/instances", 3); !errors.Is(err, endpoint.ErrBusy) {
			t.Errorf("Set in a third party's update: %v", err)
		}
		time.Sleep(5*time.Minute + 30*time.Second - 1)
		if s := view(t, v); s.Serving != "c1" {
			t.Errorf("too early: %+v", s)
		}
		time.Sleep(time.Nanosecond) // the edit landed at 1m although nobody looked before 1m30s
		if s := view(t, v); s.Serving != "c2" || s.Generation != "3" {
			t.Errorf("after a third party's update: %+v", s)
		}
		v.Foreign(func(s *endpointtest.VariantsState) { s.Counts["B"] = 4 })
		if s := view(t, v); s.Phase != endpoint.PhaseUpdating || s.Generation != "4" {
			t.Errorf("in a third party's capacity change: %+v", s)
		}
	})
}

func TestForeignChangesInAnUpdate(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(*endpointtest.VariantsState)
		want sight
	}{
		"it vanishes": {
			func(s *endpointtest.VariantsState) { s.Pending = "" },
			sight{endpoint.PhaseReady, "c1", "c1", false, "", 0, "", "3"},
		},
		"the endpoint fails": {
			func(s *endpointtest.VariantsState) { s.Failed, s.Reason = true, "gone" },
			sight{endpoint.PhaseFailed, "c1", "", false, "", 0, "gone", "3"},
		},
		"it goes elsewhere": {
			func(s *endpointtest.VariantsState) { s.Pending = "c1" },
			sight{endpoint.PhaseUpdating, "c1", "c1", false, "Creating", 0, "", "3"},
		},
		"counts change": {
			func(s *endpointtest.VariantsState) { s.Counts["B"] = 2 },
			sight{endpoint.PhaseUpdating, "c2", "c1", false, "Creating", 0, "", "3"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVariants(nil)
				do(t, v.Update(t.Context(), endpoint.Change{To: resolve(t, v, "c2")}))
				v.Foreign(tt.edit)
				if d := cmp.Diff(tt.want, view(t, v)); d != "" {
					t.Errorf("(-want +got):\n%s", d)
				}
			})
		})
	}
}

func TestForeignChangesComeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, in := newVariants(nil), time.Now().Add(time.Minute)
		reason := func(s string) func(*endpointtest.VariantsState) {
			return func(v *endpointtest.VariantsState) { v.Reason += s }
		}
		v.At(in.Add(time.Second), reason("c"))
		v.At(in, reason("a"))
		v.At(in, reason("b"))
		do(t, v.Set(t.Context(), "variant/A/instances", 3)) // done in 3 minutes
		v.At(in.Add(2*time.Minute), func(s *endpointtest.VariantsState) { s.Counts["B"] = 2 })
		time.Sleep(time.Minute)
		if got := v.Truth().Reason; got != "ab" {
			t.Errorf("after a minute: %q", got)
		}
		time.Sleep(time.Minute)
		if got := v.Truth().Reason; got != "abc" {
			t.Errorf("after two: %q", got)
		}
		time.Sleep(time.Minute) // the service's own change was done before the one of that moment
		if s := status(t, v); s.Phase != endpoint.PhaseUpdating || s.Pools[1].Starting != 1 {
			t.Errorf("after three: %+v", s)
		}
	})
}
