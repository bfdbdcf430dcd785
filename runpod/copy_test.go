package runpod_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/strategy"
)

// A copy that changes more than the image needs a way back that RunPod shows.
func TestTemplateCopyNeedsAWayBack(t *testing.T) {
	own := func(st *runpodtest.State) { // settings that no template has
		st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.Env = map[string]string{"OWN": secret + "5"} })
		otherSettings(st)
	}
	sameArgs := func(st *runpodtest.State) {
		own(st)
		st.EditTemplate(nextID, func(t *runpodtest.Template) {
			t.DockerArgs, t.ContainerDiskInGb = "python handler.py --token "+secret, 20
		})
	}
	r := routes()[1]
	t.Run("refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r.changing = own
			w := newWorld(t, r)
			_, err := w.run(t.Context(), strategy.InPlace{})
			if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "env") || len(fields(w.Server)) > 0 {
				t.Errorf("Run = %v, want it refused because of env", err)
			}
			w.wantNoSecret(t, nil, err)
		})
	})
	t.Run("by the history", func(t *testing.T) {
		for _, lag := range []time.Duration{0, 20 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				r.changing = sameArgs
				w := newWorld(t, r, runpodtest.WithBehaviour(runpodtest.Behaviour{ReadLag: lag, ReadFlaps: true}))
				putEnv(t, w, map[string]string{"MODEL": "sdxl", "HF_TOKEN": secret, "PORT": "8000", "LATER": secret + "6"})
				w.AddImage(runpodtest.Image{Ref: imageV2, Fault: runpodtest.TurnsUnhealthy})
				report, err := w.run(t.Context(), strategy.InPlace{})
				w.wantRolledBack(t, report, err, endpoint.ErrUnhealthy)
				if !strings.Contains(strings.Join(report.Plan.Notes, " "), "history of releases") {
					t.Errorf("notes %q", report.Plan.Notes)
				}
				last := w.Mutations()[len(w.Mutations())-1]
				if !slices.Contains(last.Fields, "env") {
					t.Errorf("the way back wrote %v", last.Fields)
				}
			})
		}
	})
	t.Run("history without values", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r.changing = sameArgs
			w := newWorld(t, r, runpodtest.WithBehaviour(runpodtest.Behaviour{HideReleaseValues: true}))
			putEnv(t, w, map[string]string{"MODEL": "sdxl", "LATER": secret + "6"})
			if _, err := w.run(t.Context(), strategy.InPlace{}); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("Run = %v, want it refused", err)
			}
		})
	})
}

// putEnv gives the endpoint another environment as its owner would.
func putEnv(t *testing.T, w *world, env map[string]string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"env": env})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, runpod.DefaultRESTURL+"/serverless/"+endpointID, strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+runpodtest.Key)
	res, err := w.Client().Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res, err)
	}
	_ = res.Body.Close()
	time.Sleep(5 * time.Minute)
	w.before = w.truth()
}
