package runpod_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/strategy"
)

// TestNeighbourOfAnotherShape: what another endpoint or template of the account
// looks like stops no rollout, nor does hardware in a shape that is not known.
func TestNeighbourOfAnotherShape(t *testing.T) {
	for _, object := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, routes()[0], runpodtest.WithBehaviour(runpodtest.Behaviour{CPUObject: object}))
			w.Do(func(st *runpodtest.State) {
				st.AddEndpoint(runpodtest.Endpoint{ID: "another", TemplateID: nextID, WorkersMax: 2, InstanceIDs: []string{"cpu3g-2-8"}})
				st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.InstanceIDs = []string{"cpu3g-4-16"} })
			})
			w.before = w.truth()
			r, err := w.run(t.Context(), strategy.InPlace{})
			w.wantServing(t, r, err)
		})
	}
	for name, body := range map[string]string{
		"odd bounds": `{"endpoints":[{"id":"` + endpointID + `","workers":{"max":3}},{"id":"x","name":7,"workers":[1]}]}`,
		"odd fields": `{"endpoints":[{"id":"` + endpointID + `","workers":{"max":3}},null,{"id":"x","gpu":"a","cpu":7,"env":[],"ports":{},"workers":{"max":"three"}}]}`,
	} {
		srv := account(t)
		srv.Fail(runpodtest.Call{Field: "listEndpoints", Times: -1}, runpodtest.Fault{Body: body})
		e := restClient(t, srv).Endpoint(endpointID)
		if _, err := e.Preflight(t.Context(), endpoint.Change{To: resolve(t, e, endpoint.Revision{Artifact: imageV2})}, endpoint.Settings{endpoint.WorkersMax: 3}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	srv := account(t)
	srv.Fail(runpodtest.Call{Field: "listTemplates", Times: -1}, runpodtest.Fault{
		Body: `{"templates":[{"id":"odd","disk":"big"},{"id":7},{"id":"` + nextID + `","image":"` + imageV2 + `","disk":20}]}`,
	})
	if _, err := restClient(t, srv).Endpoint(endpointID, runpod.AllowTemplateCopy()).Resolve(t.Context(), endpoint.Revision{ID: nextID}); err != nil {
		t.Errorf("a template beside an odd one: %v", err)
	}
	_, err := restClient(t, srv).Endpoint(endpointID, runpod.AllowTemplateCopy()).Resolve(t.Context(), endpoint.Revision{ID: "odd"})
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "templates[0] (odd).disk") {
		t.Errorf("the odd one itself: %v", err)
	}
}

// TestUnknownShape: an answer that decides and cannot be read is an error at once,
// which says where, for the wait would be in vain.
func TestUnknownShape(t *testing.T) {
	for field, tt := range map[string]struct{ body, says string }{
		"getEndpoint":          {`{"id":"` + endpointID + `","image":"a/b:1","workers":{"min":"one","max":3}}`, "workers.min is a JSON string"},
		"listEndpointWorkers":  {`{"endpointVersion":7,"workers":[{"id":"w1","status":"IDLE"},{"id":"w2","status":7}]}`, "workers[1] (w2).status"},
		"listEndpointReleases": {`{"endpointVersion":7,"releases":[{"version":"v7"}]}`, "releases[0].version"},
		"listEndpoints":        {`{"endpoints":[{"id":7}]}`, "endpoints[0].id"},
	} {
		t.Run(field, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, routes()[0])
				w.Fail(runpodtest.Call{Field: field, Times: -1}, runpodtest.Fault{Body: tt.body})
				start := time.Now()
				_, err := w.run(t.Context(), strategy.InPlace{})
				if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "runpod/"+endpointID) {
					t.Errorf("Run = %v, want it to say %s", err, tt.says)
				}
				if took := time.Since(start); took > 30*time.Second {
					t.Errorf("said after %v", took)
				}
				if n := fields(w.Server); len(n) > 0 {
					t.Errorf("it wrote %v", n)
				}
			})
		})
	}
}

// TestCmd: the command over REST is part of what a copy changes, and of what a
// rollback brings back.
func TestCmd(t *testing.T) {
	for _, bad := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, routes()[1])
			w.Do(func(st *runpodtest.State) {
				st.EditTemplate(liveID, func(t *runpodtest.Template) { t.Cmd = []string{"serve", secret} })
				st.EditTemplate(nextID, func(t *runpodtest.Template) { t.Cmd = []string{"serve", "--fast", secret} })
			})
			// The endpoint gets settings of its own, which no template of the account has.
			if err := w.ep.Update(t.Context(), endpoint.Change{To: endpoint.Revision{Kind: runpod.KindImage, Artifact: imageV3}}); err != nil {
				t.Fatal(err)
			}
			w.Do(func(st *runpodtest.State) {
				st.EditTemplate(liveID, func(t *runpodtest.Template) { t.Cmd = []string{"something", "else"} })
				editContent(st, func(t *runpodtest.Template) { t.Cmd = nil })
				editContent(st, func(t *runpodtest.Template) { // which the history of releases shows
					t.Cmd, t.DockerArgs, t.ContainerDiskInGb = []string{"serve", secret}, "now", 30
					t.Env = map[string]string{"MODEL": "now", "PORT": "8000"}
				})
			})
			time.Sleep(10 * time.Minute)
			w.before = w.truth()
			cmd := func() string { return strings.Join(w.Template(w.Endpoint(endpointID).TemplateID).Cmd, " ") }
			if bad {
				w.AddImage(runpodtest.Image{Ref: w.goal, Fault: runpodtest.TurnsUnhealthy})
			}
			r, err := w.run(t.Context(), strategy.InPlace{})
			if bad {
				w.wantRolledBack(t, r, err, endpoint.ErrUnhealthy)
				if cmd() != "serve "+secret {
					t.Errorf("the command is %q after a rollback", cmd())
				}
				return
			}
			w.wantServing(t, r, err)
			if cmd() != "serve --fast "+secret {
				t.Errorf("the command is %q", cmd())
			}
		})
	}
}

// TestCommandAloneIsAnotherRevision: a copy that differs in the command only.
func TestCommandAloneIsAnotherRevision(t *testing.T) {
	srv := account(t)
	srv.Do(func(st *runpodtest.State) {
		st.EditTemplate(nextID, func(t *runpodtest.Template) { t.Image, t.Cmd = imageV1, []string{"other"} })
	})
	e := restClient(t, srv).Endpoint(endpointID, runpod.AllowTemplateCopy())
	to := resolve(t, e, endpoint.Revision{ID: nextID})
	if now := status(t, e).Desired; now.Same(to) {
		t.Errorf("%+v and %+v are the same", now, to)
	}
}

// TestFractionalQueueDelay: half a second is a queue delay as well.
func TestFractionalQueueDelay(t *testing.T) {
	srv := account(t)
	srv.Do(func(st *runpodtest.State) {
		st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.QueueDelay = 0.5 })
	})
	if got := status(t, restClient(t, srv).Endpoint(endpointID)).Fields["scaling"]; got != `{"queueDelay":0.5,"type":"QUEUE_DELAY"}` {
		t.Errorf("scaling is %s", got)
	}
}

// TestWhiteSpaceIsShown: a message does not hide what it is about.
func TestWhiteSpaceIsShown(t *testing.T) {
	srv := account(t)
	for ref, shown := range map[string]string{
		"acme/tts:2\n": `"acme/tts:2\n": white space`, "acme/tts:2 ": `"acme/tts:2 "`, " acme/tts:2": `" acme/tts:2"`, "acme/\u200btts:2": `"acme/\u200btts:2"`,
	} {
		_, err := restClient(t, srv).Endpoint(endpointID).Resolve(t.Context(), endpoint.Revision{Artifact: ref})
		checkError(t, err, endpoint.ErrInvalid)
		if !strings.Contains(err.Error(), shown) {
			t.Errorf("%q: %v", ref, err)
		}
	}
}
