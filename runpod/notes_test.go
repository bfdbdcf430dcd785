package runpod_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
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

// TestTheSameTagAgain: a rollout to what is served already ends with nothing sent, and
// what it says last is what that means for content that was pushed again.
func TestTheSameTagAgain(t *testing.T) {
	const says = "nothing was sent, as the endpoint serves " + imageV1 + " already. If new content was pushed under this name, it is not deployed: " +
		"providers keep what they have under a name and tag. Push it under a new tag and roll out to that, or refresh the endpoint"
	synctest.Test(t, func(t *testing.T) {
		for _, s := range []strategy.Strategy{strategy.InPlace{}, strategy.FlushToZero{}} {
			w := newWorld(t, routeNamed("rest"))
			w.target = rollout.ToArtifact(imageV1)
			r, err := w.run(t.Context(), s)
			if err != nil || r.Outcome != rollout.OutcomeNoOp || len(w.Mutations()) > 0 {
				t.Fatalf("Run = %v, %v, with %d writes", r.Outcome, err, len(w.Mutations()))
			}
			if last := w.events[len(w.events)-1].String(); last != says || strings.Join(r.Plan.Notes, "\n") != says {
				t.Errorf("it ends with %q, and notes %q", last, r.Plan.Notes)
			}
		}
	})
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

// TestBuildThatOvertakes: the release of a build in the middle is named by the report
// and by what is told while it runs.
func TestBuildThatOvertakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, routes()[0])
		w.onFirst(func(st *runpodtest.State) { st.Build(endpointID, "bld7", "acme/sdxl:git-1a2b") })
		r, _ := w.run(t.Context(), strategy.InPlace{})
		if r.Outcome != rollout.OutcomeSuperseded {
			t.Fatal(r.Outcome)
		}
		const build = "release 9 by GitHub build bld7"
		if got := status(t, w.ep).Fields["build"]; got != build {
			t.Errorf("build is %q", got)
		}
		if !slices.Contains(r.Drift, journal.Drift{Thing: "build", Want: "none", Found: build}) {
			t.Errorf("drift %v does not name the build", r.Drift)
		}
		if !slices.ContainsFunc(w.events, func(e rollout.Event) bool { return strings.Contains(e.String(), "build: found "+build) }) {
			t.Error("no event names the build")
		}
	})
}

// TestGraphQLsEndIsForeseen: a plan over GraphQL says already now that it retires.
func TestGraphQLsEndIsForeseen(t *testing.T) {
	srv := account(t)
	for name, tt := range map[string]struct {
		client *runpod.Client
		to     endpoint.Revision
		says   bool
	}{
		"rest":    {restClient(t, srv), endpoint.Revision{Artifact: imageV2}, false},
		"graphql": {client(t, srv), endpoint.Revision{ID: nextID}, true},
	} {
		e := tt.client.Endpoint(endpointID)
		notes, err := e.Preflight(t.Context(), endpoint.Change{To: resolve(t, e, tt.to)}, nil)
		all := strings.Join(notes, "\n")
		if err != nil || strings.Contains(all, "retires in early 2027") != tt.says || strings.Contains(all, "rate-limited in stages") != tt.says {
			t.Errorf("%s: Preflight = %s, %v", name, all, err)
		}
	}
}
