package endpoint_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
)

func TestRevisionSame(t *testing.T) {
	full := endpoint.Revision{Kind: "template", ID: "a", Artifact: "acme/sdxl:v1", Digest: "sha256:1"}
	with := func(edit func(*endpoint.Revision)) endpoint.Revision {
		r := full
		edit(&r)
		return r
	}
	image := endpoint.Revision{Kind: "image", Artifact: "acme/sdxl:v1"}
	for _, tt := range []struct {
		name string
		a, b endpoint.Revision
		want bool
	}{
		{"itself", full, full, true},
		{"nothing and nothing", endpoint.Revision{}, endpoint.Revision{}, false},
		{"nothing and something", endpoint.Revision{}, full, false},
		{"other kind", full, with(func(r *endpoint.Revision) { r.Kind = "image" }), false},
		{"no kind", full, with(func(r *endpoint.Revision) { r.Kind = "" }), false},
		{"other ID", full, with(func(r *endpoint.Revision) { r.ID = "b" }), false},
		{"no ID", full, with(func(r *endpoint.Revision) { r.ID = "" }), false},
		{"other artifact", full, with(func(r *endpoint.Revision) { r.Artifact = "acme/sdxl:v2" }), false},
		{"artifact not known", full, with(func(r *endpoint.Revision) { r.Artifact = "" }), true},
		{"other digest", full, with(func(r *endpoint.Revision) { r.Digest = "sha256:2" }), false},
		{"digest not known", full, with(func(r *endpoint.Revision) { r.Digest = "" }), true},
		{
			"artifact of one and digest of the other not known",
			with(func(r *endpoint.Revision) { r.Artifact = "" }), with(func(r *endpoint.Revision) { r.Digest = "" }), true,
		},
		{
			"other digest, and the artifact not known",
			full, with(func(r *endpoint.Revision) { r.Artifact, r.Digest = "", "sha256:2" }), false,
		},
		{"only the name known", full, endpoint.Revision{Kind: "template", ID: "a"}, true},
		{"named by the artifact alone", image, image, true},
		{"named by another artifact", image, endpoint.Revision{Kind: "image", Artifact: "acme/sdxl:v2"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.a.Same(tt.b); got != tt.want {
				t.Errorf("Same = %t, want %t", got, tt.want)
			}
			if got := tt.b.Same(tt.a); got != tt.want {
				t.Errorf("Same the other way round = %t, want %t", got, tt.want)
			}
		})
	}
}

func TestRevisionString(t *testing.T) {
	for _, tt := range []struct {
		r    endpoint.Revision
		want string
		zero bool
	}{
		{endpoint.Revision{}, "nothing", true},
		{endpoint.Revision{Kind: "endpoint-config", ID: "sdxl-2"}, "endpoint-config sdxl-2", false},
		{endpoint.Revision{Kind: "image", Artifact: "acme/sdxl:v2"}, "image acme/sdxl:v2", false},
		{endpoint.Revision{Kind: "template", ID: "a", Artifact: "acme/sdxl:v2", Digest: "sha256:1"}, "template a (acme/sdxl:v2)", false},
	} {
		if got := tt.r.String(); got != tt.want {
			t.Errorf("String = %q, want %q", got, tt.want)
		}
		if got := tt.r.IsZero(); got != tt.zero {
			t.Errorf("IsZero of %s = %t, want %t", tt.r, got, tt.zero)
		}
	}
}

// TestJSON holds the documents that journals are made of: they are read back
// by other versions of the module.
func TestJSON(t *testing.T) {
	for _, tt := range []struct {
		name  string
		value any
		want  string
	}{
		{"revision", endpoint.Revision{Kind: "template", ID: "a"}, `{"kind":"template","id":"a"}`},
		{"no status", endpoint.Status{}, `{"phase":"unknown"}`},
		{
			"status",
			endpoint.Status{
				Phase: endpoint.PhaseUpdating, Desired: endpoint.Revision{Kind: "template", ID: "a"}, Mixed: true, Generation: "7",
				Settings:    endpoint.Settings{endpoint.WorkersMin: 0, endpoint.WorkersMax: 3},
				Pools:       []endpoint.Pool{{Name: "AllTraffic", Ready: 1, Stale: 2}},
				UpdateStage: endpoint.UpdateStage{Name: "Baking", For: 60}, Reason: "alarm",
			},
			`{"phase":"updating","desired":{"kind":"template","id":"a"},"mixed":true,"generation":"7",` +
				`"settings":{"workers.max":3,"workers.min":0},"pools":[{"name":"AllTraffic","ready":1,"stale":2}],` +
				`"updateStage":{"name":"Baking","for":60},"reason":"alarm"}`,
		},
		{"change", endpoint.Change{To: endpoint.Revision{Kind: "template", ID: "a"}}, `{"to":{"kind":"template","id":"a"}}`},
		{"jobs", endpoint.Jobs{}, `{"inFlight":0,"queued":0}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := json.Marshal(tt.value)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(b)); diff != "" {
				t.Errorf("document (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStatusJSONRoundTrip(t *testing.T) {
	want := endpoint.Status{
		Phase: endpoint.PhaseDegraded, Serving: endpoint.Revision{Kind: "image", Artifact: "acme/sdxl:v1", Digest: "sha256:1"},
		Settings: endpoint.Settings{"variant/A/instances": 2}, Pools: []endpoint.Pool{{Ready: 1, Unhealthy: 1}},
	}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got endpoint.Status
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}
