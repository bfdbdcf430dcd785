package endpointtest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
)

func TestWorkersRefuse(t *testing.T) {
	tmpl := func(id, artifact, digest string) endpoint.Revision {
		return endpoint.Revision{Kind: "template", ID: id, Artifact: artifact, Digest: digest}
	}
	tests := map[string]struct {
		call func(context.Context, *endpointtest.Workers) error
		want error
	}{
		"unknown template": {func(ctx context.Context, w *endpointtest.Workers) error {
			return w.Update(ctx, endpoint.Change{To: endpoint.Revision{Kind: "template", ID: "c"}})
		}, endpoint.ErrNotFound},
		"another kind": {func(ctx context.Context, w *endpointtest.Workers) error {
			return w.Update(ctx, endpoint.Change{To: endpoint.Revision{ID: "b"}})
		}, endpoint.ErrInvalid},
		"live template that would not become what is meant": {func(ctx context.Context, w *endpointtest.Workers) error {
			return w.Update(ctx, endpoint.Change{To: tmpl("a", v2, "sha256:other")})
		}, endpoint.ErrDrift},
		"options": {func(ctx context.Context, w *endpointtest.Workers) error {
			return w.Update(ctx, endpoint.Change{To: tmpl("b", "", ""), Options: []byte(`{"x":1}`)})
		}, endpoint.ErrInvalid},
		"unknown setting": {func(ctx context.Context, w *endpointtest.Workers) error {
			return w.Set(ctx, "workers.idle", 1)
		}, endpoint.ErrInvalid},
		"negative": {func(ctx context.Context, w *endpointtest.Workers) error {
			return w.Set(ctx, "workers.min", -1)
		}, endpoint.ErrInvalid},
		"min above max": {func(ctx context.Context, w *endpointtest.Workers) error {
			return w.Set(ctx, "workers.min", 4)
		}, endpoint.ErrInvalid},
		"max below min": {func(ctx context.Context, w *endpointtest.Workers) error {
			return w.Set(ctx, "workers.max", 0)
		}, endpoint.ErrInvalid},
		"above the quota": {func(ctx context.Context, w *endpointtest.Workers) error {
			w.Foreign(func(s *endpointtest.WorkersState) { s.Quota = 3 })
			return w.Set(ctx, "workers.max", 4)
		}, endpoint.ErrQuota},
		"draft on the live template": {func(ctx context.Context, w *endpointtest.Workers) error {
			_, err := w.Draft(ctx, tmpl("a", "", ""), "acme/sdxl:v3")
			return err
		}, endpoint.ErrShared},
		"draft on an edited template": {func(ctx context.Context, w *endpointtest.Workers) error {
			_, err := w.Draft(ctx, tmpl("b", "", "sha256:other"), "acme/sdxl:v3")
			return err
		}, endpoint.ErrDrift},
		"draft of nothing": {func(ctx context.Context, w *endpointtest.Workers) error {
			_, err := w.Draft(ctx, tmpl("b", "", ""), "")
			return err
		}, endpoint.ErrInvalid},
		"stage what is no draft": {func(ctx context.Context, w *endpointtest.Workers) error {
			return w.Stage(ctx, endpoint.Draft{Revision: tmpl("b", "x", ""), Base: tmpl("b", "", "")})
		}, endpoint.ErrInvalid},
		"resolve nothing": {func(ctx context.Context, w *endpointtest.Workers) error {
			_, err := w.Resolve(ctx, endpoint.Revision{})
			return err
		}, endpoint.ErrInvalid},
		"resolve an edited template": {func(ctx context.Context, w *endpointtest.Workers) error {
			_, err := w.Resolve(ctx, tmpl("b", "", "sha256:other"))
			return err
		}, endpoint.ErrDrift},
		"preflight unknown": {func(ctx context.Context, w *endpointtest.Workers) error {
			_, err := w.Preflight(ctx, endpoint.Change{To: tmpl("c", "", "")}, nil)
			return err
		}, endpoint.ErrNotFound},
		"preflight unknown setting": {func(ctx context.Context, w *endpointtest.Workers) error {
			_, err := w.Preflight(ctx, endpoint.Change{To: tmpl("b", "", "")}, endpoint.Settings{"idle": 1})
			return err
		}, endpoint.ErrInvalid},
		"resolve unknown": {func(ctx context.Context, w *endpointtest.Workers) error {
			_, err := w.Resolve(ctx, endpoint.Revision{ID: "c"})
			return err
		}, endpoint.ErrNotFound},
		"resolve an artifact to stage": {func(ctx context.Context, w *endpointtest.Workers) error {
			_, err := w.Resolve(ctx, endpoint.Revision{ID: "b", Artifact: "acme/sdxl:v3"})
			return err
		}, errors.ErrUnsupported},
		"preflight quota": {func(ctx context.Context, w *endpointtest.Workers) error {
			w.Foreign(func(s *endpointtest.WorkersState) { s.Quota = 3 })
			_, err := w.Preflight(ctx, endpoint.Change{To: endpoint.Revision{ID: "b"}}, endpoint.Settings{"workers.max": 4})
			return err
		}, endpoint.ErrQuota},
		"preflight same artifact": {func(ctx context.Context, w *endpointtest.Workers) error {
			_, err := w.Preflight(ctx, endpoint.Change{To: endpoint.Revision{ID: "b", Artifact: v1}}, nil)
			return err
		}, endpoint.ErrSameArtifact},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorkers(1, 3)
				before := w.Truth()
				if d := cmp.Diff(tt.want, tt.call(t.Context(), w), cmpopts.EquateErrors()); d != "" {
					t.Errorf("error (-want +got):\n%s", d)
				}
				after := w.Truth()
				after.Quota = before.Quota
				if d := cmp.Diff(before, after); d != "" {
					t.Errorf("changed (-before +after):\n%s", d)
				}
			})
		})
	}
}

func TestWorkersStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ctx := newWorkers(1, 3), t.Context()
		d, err := w.Draft(ctx, resolve(t, w, "b"), "acme/sdxl:v3")
		do(t, err)
		if err := w.Staged(ctx, d); !errors.Is(err, endpoint.ErrNotFound) {
			t.Errorf("Staged before: %v", err)
		}
		do(t, w.Stage(ctx, d))
		do(t, w.Stage(ctx, d))
		do(t, w.Staged(ctx, d))
		if got := resolve(t, w, "b"); got != d.Revision {
			t.Errorf("template b is %+v, want %+v", got, d.Revision)
		}
		do(t, w.Update(ctx, endpoint.Change{To: d.Revision}))
		w.Foreign(func(s *endpointtest.WorkersState) { s.Templates["b"] = "acme/sdxl:v9" })
		for what, err := range map[string]error{"Stage": w.Stage(ctx, d), "Staged": w.Staged(ctx, d)} {
			if !errors.Is(err, endpoint.ErrDrift) {
				t.Errorf("%s over a third party's content: %v", what, err)
			}
		}
		if g := status(t, w).Generation; g != "3" {
			t.Errorf("generation %s after the live template was edited, want 3", g)
		}
	})
}

func TestWorkersPreflight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(1, 3)
		w.Foreign(func(s *endpointtest.WorkersState) { s.Templates["b"] = "acme/sdxl:latest" })
		got, err := w.Preflight(t.Context(), endpoint.Change{To: resolve(t, w, "b")}, endpoint.Settings{"workers.max": 3})
		do(t, err)
		if d := cmp.Diff([]string{"acme/sdxl:latest may mean something else tomorrow"}, got); d != "" {
			t.Errorf("cautions (-want +got):\n%s", d)
		}
	})
}
