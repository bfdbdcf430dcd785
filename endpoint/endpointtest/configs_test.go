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

func TestVariantsRefuse(t *testing.T) {
	tests := map[string]struct {
		edit func(*endpointtest.VariantsConfig)
		call func(context.Context, *endpointtest.Variants) error
		want error
	}{
		"unknown revision": {nil, func(ctx context.Context, v *endpointtest.Variants) error {
			return v.Update(ctx, endpoint.Change{To: endpoint.Revision{Kind: "endpoint-config", ID: "c3"}})
		}, endpoint.ErrNotFound},
		"other artifact": {nil, func(ctx context.Context, v *endpointtest.Variants) error {
			return v.Update(ctx, endpoint.Change{To: endpoint.Revision{ID: "c2", Artifact: v1}})
		}, endpoint.ErrInvalid},
		"options": {nil, func(ctx context.Context, v *endpointtest.Variants) error {
			return v.Update(ctx, endpoint.Change{To: endpoint.Revision{ID: "c2"}, Options: []byte("[")})
		}, endpoint.ErrInvalid},
		"no quota for a second fleet": {
			func(c *endpointtest.VariantsConfig) { c.Quota = 5 },
			func(ctx context.Context, v *endpointtest.Variants) error {
				return v.Update(ctx, endpoint.Change{To: endpoint.Revision{ID: "c2"}})
			}, endpoint.ErrQuota,
		},
		"no quota for more instances": {
			func(c *endpointtest.VariantsConfig) { c.Quota = 5 },
			func(ctx context.Context, v *endpointtest.Variants) error { return v.Set(ctx, "variant/A/instances", 5) },
			endpoint.ErrQuota,
		},
		"still registered": {
			func(c *endpointtest.VariantsConfig) { c.Deregister = true },
			func(ctx context.Context, v *endpointtest.Variants) error {
				return v.Update(ctx, endpoint.Change{To: endpoint.Revision{ID: "c2"}})
			}, endpoint.ErrInvalid,
		},
		"unknown variant": {nil, func(ctx context.Context, v *endpointtest.Variants) error {
			return v.Set(ctx, "variant/C/instances", 1)
		}, endpoint.ErrInvalid},
		"bare variant": {nil, func(ctx context.Context, v *endpointtest.Variants) error {
			return v.Set(ctx, "A", 1)
		}, endpoint.ErrInvalid},
		"no instance": {nil, func(ctx context.Context, v *endpointtest.Variants) error {
			return v.Set(ctx, "variant/A/instances", 0)
		}, endpoint.ErrInvalid},
		"resolve an artifact": {nil, func(ctx context.Context, v *endpointtest.Variants) error {
			_, err := v.Resolve(ctx, endpoint.Revision{Artifact: v1})
			return err
		}, errors.ErrUnsupported},
		"resolve unknown": {nil, func(ctx context.Context, v *endpointtest.Variants) error {
			_, err := v.Resolve(ctx, endpoint.Revision{ID: "c3"})
			return err
		}, endpoint.ErrNotFound},
		"preflight quota": {
			func(c *endpointtest.VariantsConfig) { c.Quota = 6 },
			func(ctx context.Context, v *endpointtest.Variants) error {
				_, err := v.Preflight(ctx, endpoint.Change{}, endpoint.Settings{"variant/A/instances": 3})
				return err
			}, endpoint.ErrQuota,
		},
		"preflight same artifact": {nil, func(ctx context.Context, v *endpointtest.Variants) error {
			_, err := v.Preflight(ctx, endpoint.Change{To: endpoint.Revision{ID: "c3", Artifact: v1}}, nil)
			return err
		}, endpoint.ErrSameArtifact},
		"preflight unknown setting": {nil, func(ctx context.Context, v *endpointtest.Variants) error {
			_, err := v.Preflight(ctx, endpoint.Change{}, endpoint.Settings{"workers.max": 3})
			return err
		}, endpoint.ErrInvalid},
		"draft of nothing": {nil, func(ctx context.Context, v *endpointtest.Variants) error {
			_, err := v.Draft(ctx, endpoint.Revision{ID: "c1"}, "")
			return err
		}, endpoint.ErrInvalid},
		"protect by a document of a third party's": {nil, func(ctx context.Context, v *endpointtest.Variants) error {
			return v.SuspendAutoscaling(ctx, endpoint.AutoscalingSnapshot{Data: []byte("[]")})
		}, endpoint.ErrInvalid},
		"stage other content": {nil, func(ctx context.Context, v *endpointtest.Variants) error {
			d, err := v.Draft(ctx, endpoint.Revision{ID: "c1"}, "m3")
			v.Foreign(func(s *endpointtest.VariantsState) { s.Revisions[d.Revision.ID] = "m4" })
			err = errors.Join(err, v.Stage(ctx, d), v.Staged(ctx, d))
			v.Foreign(func(s *endpointtest.VariantsState) { delete(s.Revisions, d.Revision.ID) })
			return err
		}, endpoint.ErrInvalid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVariants(tt.edit)
				before := v.Truth()
				if d := cmp.Diff(tt.want, tt.call(t.Context(), v), cmpopts.EquateErrors()); d != "" {
					t.Errorf("error (-want +got):\n%s", d)
				}
				if d := cmp.Diff(before, v.Truth()); d != "" {
					t.Errorf("changed (-before +after):\n%s", d)
				}
			})
		})
	}
}

func TestVariantsStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, ctx := newVariants(nil), t.Context()
		d, err := v.Draft(ctx, resolve(t, v, "c1"), "m3")
		do(t, err)
		again, err := v.Draft(ctx, resolve(t, v, "c1"), "m3")
		do(t, err)
		if d.Revision.ID == again.Revision.ID {
			t.Errorf("the name %s was minted twice", d.Revision.ID)
		}
		if err := v.Staged(ctx, d); !errors.Is(err, endpoint.ErrNotFound) {
			t.Errorf("Staged before: %v", err)
		}
		do(t, v.Stage(ctx, d))
		do(t, v.Stage(ctx, d))
		do(t, v.Staged(ctx, d))
		if got := resolve(t, v, d.Revision.ID); got != d.Revision {
			t.Errorf("staged %+v, want %+v", got, d.Revision)
		}
	})
}

func TestVariantsPreflight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVariants(nil)
		got, err := v.Preflight(t.Context(), endpoint.Change{To: endpoint.Revision{ID: "c2"}}, endpoint.Settings{"variant/A/instances": 5})
		do(t, err)
		if d := cmp.Diff([]string{"variant/A/instances=5 is above the 4 of its scalable target"}, got); d != "" {
			t.Errorf("cautions (-want +got):\n%s", d)
		}
	})
}
