package runpod_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

func TestPreflight(t *testing.T) {
	byID := endpoint.Revision{ID: nextID}
	byImage := func(s string) endpoint.Revision { return endpoint.Revision{Artifact: s} }
	next := func(f func(*runpodtest.Template)) func(*runpodtest.State) {
		return func(st *runpodtest.State) { st.EditTemplate(nextID, f) }
	}
	share := func(template string) func(*runpodtest.State) {
		return func(st *runpodtest.State) {
			st.AddEndpoint(runpodtest.Endpoint{ID: "otherendpoint1", Name: "other", TemplateID: template, WorkersMax: 6})
		}
	}
	restore := endpoint.Settings{endpoint.WorkersMin: 2, endpoint.WorkersMax: 3}
	quota := runpodtest.Behaviour{QuotaField: true}
	tests := []struct {
		name      string
		to        endpoint.Revision
		setup     func(*runpodtest.State)
		options   []runpod.EndpointOption
		behaviour runpodtest.Behaviour
		settings  endpoint.Settings
		want      error
		says      string // in the error, or else in the cautions
	}{
		{name: "fine", to: byID, behaviour: quota, settings: restore},
		{name: "image", to: byImage(imageV3)},
		{name: "already there", to: byImage(imageV1), says: "Push it under a new tag"},
		{name: "digest", to: byImage(imageV1 + "@sha256:" + strings.Repeat("a", 64)), want: endpoint.ErrSameArtifact},
		{
			name: "same name and tag", to: byID, want: endpoint.ErrSameArtifact, says: "name:tag",
			setup: next(func(tm *runpodtest.Template) { tm.Image = "docker.io/" + imageV1 }),
		},
		{name: "same, spelled out", to: byImage("docker.io/" + imageV1), want: endpoint.ErrSameArtifact},
		{name: "no tag", to: byImage("acme/sdxl"), want: endpoint.ErrMutable},
		{name: "latest", to: byImage("acme/sdxl:latest"), want: endpoint.ErrMutable},
		{name: "latest with a digest", to: byImage("acme/sdxl:latest@sha256:" + strings.Repeat("a", 64))},
		{name: "latest allowed", to: byImage("acme/sdxl:latest"), options: []runpod.EndpointOption{runpod.AllowMutableTag()}, says: "no fixed tag"},
		{
			name: "from latest", to: byID, says: "rolling back may bring",
			setup: func(st *runpodtest.State) {
				st.EditTemplate(liveID, func(tm *runpodtest.Template) { tm.Image = "acme/sdxl:latest" })
			},
		},
		{name: "shared target", to: byID, setup: share(nextID), want: endpoint.ErrShared, says: "otherendpoint1 (other)"},
		{name: "shared live template, rewritten", to: byImage(imageV3), setup: share(liveID), want: endpoint.ErrShared, says: "otherendpoint1"},
		{name: "shared live template, left", to: byID, setup: share(liveID)},
		{
			name: "shared allowed", to: byID, setup: share(nextID), says: "otherendpoint1",
			options: []runpod.EndpointOption{runpod.AllowSharedTemplate()},
		},
		{name: "quota", to: byID, setup: share(liveID), behaviour: quota, settings: endpoint.Settings{endpoint.WorkersMax: 5}, want: endpoint.ErrQuota, says: "10"},
		{name: "quota reached", to: byID, setup: share(liveID), behaviour: quota, settings: endpoint.Settings{endpoint.WorkersMax: 4}},
		{name: "quota not told", to: byID, settings: restore, says: "quota"},
		{name: "unknown setting", to: byID, settings: endpoint.Settings{"workers": 1}, want: endpoint.ErrInvalid},
		{name: "negative setting", to: byID, settings: endpoint.Settings{endpoint.WorkersMax: -1}, want: endpoint.ErrInvalid},
		{name: "min above max", to: byID, settings: endpoint.Settings{endpoint.WorkersMin: 4, endpoint.WorkersMax: 3}, want: endpoint.ErrInvalid},
		{name: "no registry", to: byID, setup: next(func(tm *runpodtest.Template) { tm.RegistryAuthID = "" }), says: "registry"},
		{name: "small disk", to: byID, setup: next(func(tm *runpodtest.Template) { tm.ContainerDiskInGb = 10 }), says: "10 GB"},
		{name: "missing env", to: byID, setup: next(func(tm *runpodtest.Template) { delete(tm.Env, "HF_TOKEN") }), says: "HF_TOKEN"},
		{name: "missing port", to: byID, setup: next(func(tm *runpodtest.Template) { delete(tm.Env, "PORT") }), says: "PORT"},
		{
			name: "absent", to: endpoint.Revision{Kind: "template", ID: "nosuchtmpl", Artifact: imageV2, Digest: "1"},
			want: endpoint.ErrNotFound, says: "nosuchtmpl",
		},
		{
			name: "edited", to: endpoint.Revision{Kind: "template", ID: nextID, Artifact: imageV2, Digest: "1"},
			want: endpoint.ErrDrift,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := account(t, runpodtest.WithBehaviour(tt.behaviour))
				if tt.setup != nil {
					srv.Do(tt.setup)
				}
				e := client(t, srv).Endpoint(endpointID, tt.options...)
				to := tt.to
				if to.Digest == "" {
					to = resolve(t, e, to)
				}
				cautions, err := e.Preflight(t.Context(), endpoint.Change{To: to}, tt.settings)
				if !errors.Is(err, tt.want) {
					t.Fatalf("Preflight = %v, want %v", err, tt.want)
				}
				if err == nil {
					cautions = withoutRetirement(t, cautions)
				}
				text := strings.Join(cautions, "\n")
				if err != nil {
					text = err.Error()
				} else if tt.says == "" && text != "" {
					t.Errorf("cautions: %s", text)
				}
				if !strings.Contains(text, tt.says) {
					t.Errorf("%q does not say %q", text, tt.says)
				}
				noSecret(t, text)
				if n := fields(srv); len(n) != 0 {
					t.Errorf("writes: %v", n)
				}
			})
		})
	}
}

// A draft is checked before it is staged.
func TestPreflightOfDraft(t *testing.T) {
	srv := account(t)
	e := client(t, srv).Endpoint(endpointID)
	for artifact, want := range map[string]error{imageV3: nil, "docker.io/" + imageV1: endpoint.ErrSameArtifact, "acme/sdxl": endpoint.ErrMutable} {
		d, err := e.Draft(t.Context(), endpoint.Revision{ID: nextID}, artifact)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Preflight(t.Context(), endpoint.Change{To: d.Revision}, nil); !errors.Is(err, want) {
			t.Errorf("Preflight of %s = %v, want %v", artifact, err, want)
		}
	}
}

func TestPreflightAsksTheJobPlane(t *testing.T) {
	srv := account(t, runpodtest.WithKey(runpodtest.Key, runpodtest.FullAccess))
	c := endpoint.Change{To: endpoint.Revision{Kind: "template", ID: nextID}}
	_, err := client(t, srv, runpod.WithJobKey("rpa_WRONG")).Endpoint(endpointID).Preflight(t.Context(), c, nil)
	if !errors.Is(err, endpoint.ErrUnauthorized) {
		t.Errorf("Preflight = %v, want ErrUnauthorized", err)
	}
	srv.Fail(runpodtest.Call{Field: "health"}, runpodtest.HTTPStatus(503))
	cautions, err := client(t, srv).Endpoint(endpointID).Preflight(t.Context(), c, nil)
	if cautions = withoutRetirement(t, cautions); err != nil || len(cautions) != 1 || !strings.Contains(cautions[0], "job plane") {
		t.Errorf("Preflight = %q, %v, want a caution", cautions, err)
	}
}
