package runpod_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/strategy"
)

func TestPreflightOverREST(t *testing.T) {
	image := func(ref string) endpoint.Revision { return endpoint.Revision{Kind: runpod.KindImage, Artifact: ref} }
	edited := image(imageV2)
	edited.Digest = "0123456789abcdef"
	for name, tt := range map[string]struct {
		to       endpoint.Revision
		settings endpoint.Settings
		allow    []runpod.EndpointOption
		want     error
	}{
		"fine":                {to: image(imageV2)},
		"already there":       {to: image(imageV1)},
		"same name and tag":   {to: image("docker.io/" + imageV1), want: endpoint.ErrSameArtifact},
		"no tag":              {to: image("acme/sdxl"), want: endpoint.ErrMutable},
		"no tag, allowed":     {to: image("acme/sdxl"), allow: []runpod.EndpointOption{runpod.AllowMutableTag()}},
		"edited since":        {to: edited, allow: []runpod.EndpointOption{runpod.AllowTemplateCopy()}, want: endpoint.ErrDrift},
		"a template":          {to: endpoint.Revision{Kind: runpod.KindTemplate, ID: nextID, Artifact: imageV2}, want: errors.ErrUnsupported},
		"no image":            {to: endpoint.Revision{Kind: runpod.KindImage}, want: endpoint.ErrInvalid},
		"bounds the wrong":    {to: image(imageV2), settings: endpoint.Settings{endpoint.WorkersMin: 2, endpoint.WorkersMax: 1}, want: endpoint.ErrInvalid},
		"a setting of nobody": {to: image(imageV2), settings: endpoint.Settings{"workers.idle": 2}, want: endpoint.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := account(t)
				_, err := restClient(t, srv).Endpoint(endpointID, tt.allow...).Preflight(t.Context(), endpoint.Change{To: tt.to}, tt.settings)
				if !errors.Is(err, tt.want) {
					t.Errorf("Preflight = %v, want %v", err, tt.want)
				}
				if n := fields(srv); len(n) > 0 {
					t.Errorf("it wrote %v", n)
				}
			})
		})
	}
}

// An endpoint without a worker proves nothing: what is to be believed is the
// caller's choice, and the report says which it was.
func TestNothingRuns(t *testing.T) {
	for proof, opts := range map[strategy.Proof][]rollout.Option{
		"configuration": nil,
		"workers":       {rollout.WithProof(strategy.ProofWorkers)},
	} {
		t.Run(string(proof), func(t *testing.T) {
			for _, r := range routesFor(strategy.InPlace{}) {
				t.Run(r.name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := idleWorld(t, r, runpodtest.Behaviour{})
						report, err := w.run(t.Context(), strategy.InPlace{}, opts...)
						w.wantServing(t, report, err)
						if report.Proof != proof {
							t.Errorf("proof %q, want %q", report.Proof, proof)
						}
					})
				})
			}
		})
	}
}
