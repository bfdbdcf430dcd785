package runpod_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
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
		"edited since":        {to: edited, want: endpoint.ErrDrift},
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
	for name, tt := range map[string]struct {
		opts  []strategy.Option
		proof string
		jobs  int
	}{
		"the configuration": {nil, "configuration", 0},
		"a worker":          {[]strategy.Option{strategy.WithProof(strategy.ProveBoot)}, "workers", 0},
		"a job":             {nil, "configuration", 1},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range routesFor(strategy.InPlace{}) {
				t.Run(r.name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t, r)
						w.Do(func(st *runpodtest.State) {
							st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.WorkersMin = 0 })
						})
						time.Sleep(time.Hour)
						w.before = w.truth()
						opts := tt.opts
						if tt.jobs > 0 {
							opts = append(opts, strategy.WithGate("a job of our own", w.probe(t)))
						}
						report, err := w.run(t.Context(), strategy.InPlace{}, opts...)
						w.wantServing(t, report, err)
						if report.Proof != tt.proof || w.Jobs(endpointID).Completed != tt.jobs {
							t.Errorf("proof %q and %+v, want %q and %d jobs", report.Proof, w.Jobs(endpointID), tt.proof, tt.jobs)
						}
					})
				})
			}
		})
	}
}

// probe is a gate as a caller may have one: it sends a job, once, and passes
// when a worker of the new revision has done it.
func (w *world) probe(t *testing.T) strategy.Gate {
	t.Helper()
	sent := false
	return func(ctx context.Context, s endpoint.Status) error {
		if !sent {
			sent = true
			w.AddJobs(endpointID, 30*time.Second)
		}
		for w.Jobs(endpointID).Completed == 0 {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(5 * time.Second):
			}
		}
		if s.Desired.Artifact != w.goal || s.Mixed {
			return errors.New("the job may have been done by another revision")
		}
		return nil
	}
}
