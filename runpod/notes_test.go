package runpod_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/strategy"
)

// TestNotes has what the plan says of an endpoint, and what it does not say.
func TestNotes(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare  func(*runpodtest.State)
		to       endpoint.Revision
		says     string
		saysNot  string
		goalPort string
	}{
		"built from GitHub": {
			prepare: func(st *runpodtest.State) { st.Build(endpointID, "bld7", "acme/sdxl:git-1a2b") },
			to:      endpoint.Revision{Artifact: imageV2},
			says:    "built from GitHub (release 8 by GitHub build bld7): a push there makes a release over this rollout",
		},
		"made by hand":       {to: endpoint.Revision{Artifact: imageV2}, saysNot: "GitHub"},
		"the same tag again": {to: endpoint.Revision{Artifact: imageV1}, says: "Push it under a new tag"},
		"a copy carries PORT over": {
			prepare: func(st *runpodtest.State) {
				st.EditTemplate(nextID, func(t *runpodtest.Template) { t.Env = map[string]string{"MODEL": "sdxl-2", "HF_TOKEN": secret} })
			},
			to: endpoint.Revision{ID: nextID}, saysNot: "lacks PORT", goalPort: "8000",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := account(t)
				if tt.prepare != nil {
					srv.Do(tt.prepare)
				}
				e := restClient(t, srv).Endpoint(endpointID, runpod.AllowTemplateCopy())
				to := resolve(t, e, tt.to)
				notes, err := e.Preflight(t.Context(), endpoint.Change{To: to}, nil)
				all := strings.Join(notes, "\n")
				if err != nil || !strings.Contains(all, tt.says) || tt.saysNot != "" && strings.Contains(all, tt.saysNot) {
					t.Errorf("Preflight = %s, %v", all, err)
				}
				if tt.goalPort == "" {
					return
				}
				if err := e.Update(t.Context(), endpoint.Change{To: to}); err != nil {
					t.Fatal(err)
				}
				if got := srv.Template(srv.Endpoint(endpointID).TemplateID).Env["PORT"]; got != tt.goalPort {
					t.Errorf("PORT is %q", got)
				}
			})
		})
	}
}

// TestModelsAndAffinityAreNamed where REST shows them.
func TestModelsAndAffinityAreNamed(t *testing.T) {
	srv := account(t)
	srv.Fail(runpodtest.Call{Field: "getEndpoint", Times: -1}, runpodtest.Fault{Body: `{"id":"` + endpointID + `","type":"QUEUE","image":"` + imageV1 + `",
		"workers":{"min":1,"max":3},"modelReferences":["hf://acme/sdxl"],"workerAffinity":{"enabled":true}}`})
	e := restClient(t, srv).Endpoint(endpointID)
	notes, err := e.Preflight(t.Context(), endpoint.Change{To: endpoint.Revision{Kind: runpod.KindImage, Artifact: imageV2}}, nil)
	all := strings.Join(notes, "\n")
	if err != nil || !strings.Contains(all, "model references") || !strings.Contains(all, "worker affinity") {
		t.Errorf("Preflight = %s, %v", all, err)
	}
}

// TestBuildThatOvertakes: the release of a build in the middle is named as a field
// that moved.
func TestBuildThatOvertakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, routes()[0])
		w.onFirst(func(st *runpodtest.State) { st.Build(endpointID, "bld7", "acme/sdxl:git-1a2b") })
		r, _ := w.run(t.Context(), strategy.InPlace{})
		if r.Outcome != rollout.OutcomeSuperseded {
			t.Fatal(r.Outcome)
		}
		if got := status(t, w.ep).Fields["build"]; got != "release 9 by GitHub build bld7" {
			t.Errorf("build is %q", got)
		}
	})
}
