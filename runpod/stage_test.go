package runpod_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

func TestResolve(t *testing.T) {
	srv := account(t)
	srv.AddTemplate(runpodtest.Template{ID: "podtemplat", Image: "acme/pod:v1", Pod: true})
	srv.AddTemplate(runpodtest.Template{ID: "foreigntpl", Image: "other/x:v1", Foreign: true, Public: true})
	srv.AddTemplate(runpodtest.Template{ID: "privatetpl", Image: "other/y:v1", Foreign: true})
	e := client(t, srv).Endpoint(endpointID)
	live, next := resolve(t, e, endpoint.Revision{ID: liveID}), resolve(t, e, endpoint.Revision{ID: nextID})
	if live.Kind != "template" || live.Artifact != imageV1 || live.Digest == "" || live != status(t, e).Desired {
		t.Errorf("Resolve = %+v, and is live as %+v", live, status(t, e).Desired)
	}
	other := live
	other.Digest = "0000"
	tests := []struct {
		name string
		give endpoint.Revision
		want endpoint.Revision // its digest is left out if it is predicted
		err  error
	}{
		{"already full", next, next, nil},
		{"id and kind", endpoint.Revision{Kind: "template", ID: nextID}, next, nil},
		{"image", endpoint.Revision{Artifact: imageV3}, endpoint.Revision{Kind: "template", ID: liveID, Artifact: imageV3}, nil},
		{"kind image", endpoint.Revision{Kind: "image", Artifact: imageV1}, live, nil},
		{"live with another image", endpoint.Revision{ID: liveID, Artifact: imageV3}, endpoint.Revision{Kind: "template", ID: liveID, Artifact: imageV3}, nil},
		{"idle with another image", endpoint.Revision{ID: nextID, Artifact: imageV3}, endpoint.Revision{}, errors.ErrUnsupported},
		{"nothing", endpoint.Revision{}, endpoint.Revision{}, endpoint.ErrInvalid},
		{"image with an id", endpoint.Revision{Kind: "image", ID: nextID}, endpoint.Revision{}, endpoint.ErrInvalid},
		{"another kind", endpoint.Revision{Kind: "endpoint-config", ID: "x"}, endpoint.Revision{}, endpoint.ErrInvalid},
		{"bad image", endpoint.Revision{Artifact: "Not An Image"}, endpoint.Revision{}, endpoint.ErrInvalid},
		{"impossible id", endpoint.Revision{ID: "../x"}, endpoint.Revision{}, endpoint.ErrInvalid},
		{"absent", endpoint.Revision{ID: "nosuchtmpl"}, endpoint.Revision{}, endpoint.ErrNotFound},
		{"for pods", endpoint.Revision{ID: "podtemplat"}, endpoint.Revision{}, endpoint.ErrInvalid},
		{"another account's, public", endpoint.Revision{ID: "foreigntpl"}, endpoint.Revision{}, endpoint.ErrInvalid},
		{"another account's, private", endpoint.Revision{ID: "privatetpl"}, endpoint.Revision{}, endpoint.ErrNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := e.Resolve(t.Context(), tt.give)
			if !errors.Is(err, tt.err) {
				t.Fatalf("Resolve = %v, want %v", err, tt.err)
			}
			if tt.want.Digest == "" && !got.IsZero() {
				if got.Digest == "" || got.Digest == live.Digest {
					t.Errorf("predicted digest %q", got.Digest)
				}
				got.Digest = ""
			}
			if got != tt.want {
				t.Errorf("Resolve = %+v, want %+v", got, tt.want)
			}
		})
	}
	t.Run("edited", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			if _, err := client(t, account(t)).Endpoint(endpointID).Resolve(t.Context(), other); !errors.Is(err, endpoint.ErrDrift) {
				t.Errorf("Resolve = %v, want ErrDrift", err)
			}
		})
	})
	if n := fields(srv); len(n) != 0 {
		t.Errorf("writes: %v", n)
	}
}

func TestStage(t *testing.T) {
	for name, behaviour := range map[string]runpodtest.Behaviour{
		"at once": {}, "lag": {ReadLag: 3 * time.Second}, "flapping": {ReadLag: 3 * time.Second, ReadFlaps: true},
		"blank": {BlankDockerArgs: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := account(t, runpodtest.WithBehaviour(behaviour))
				time.Sleep(time.Minute)
				e := client(t, srv).Endpoint(endpointID)
				was := srv.Template(nextID)
				d, err := e.Draft(t.Context(), endpoint.Revision{Kind: "template", ID: nextID}, imageV3)
				if err != nil {
					t.Fatal(err)
				}
				noSecret(t, string(d.Body))
				if d.Revision.ID != nextID || d.Revision.Artifact != imageV3 || d.Base.Artifact != imageV2 ||
					!strings.Contains(string(d.Body), "HF_TOKEN") {
					t.Errorf("Draft = %+v %s", d, d.Body)
				}
				if err := e.Staged(t.Context(), d); !errors.Is(err, endpoint.ErrNotFound) {
					t.Errorf("Staged before = %v, want ErrNotFound", err)
				}
				for range 2 { // the second time it is there
					if err := e.Stage(t.Context(), d); err != nil {
						t.Fatal(err)
					}
					time.Sleep(behaviour.ReadLag) // when all reads are new
					if err := e.Staged(t.Context(), d); err != nil {
						t.Errorf("Staged after = %v", err)
					}
				}
				was.Image = imageV3
				if diff := cmp.Diff(was, srv.Template(nextID)); diff != "" {
					t.Errorf("template (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff([]string{"saveTemplate"}, fields(srv)); diff != "" {
					t.Errorf("writes (-want +got):\n%s", diff)
				}
				if got := resolve(t, e, endpoint.Revision{ID: nextID}); got != d.Revision {
					t.Errorf("staged %v, drafted %v", got, d.Revision)
				}
			})
		})
	}
}

func TestStageRefusesWhatWasEdited(t *testing.T) {
	for name, edit := range map[string]func(*runpodtest.Template){
		"env":   func(tm *runpodtest.Template) { tm.Env["MODEL"] = "other" },
		"image": func(tm *runpodtest.Template) { tm.Image = "acme/sdxl:v9" },
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := account(t)
			e := client(t, srv).Endpoint(endpointID)
			d, err := e.Draft(t.Context(), resolve(t, e, endpoint.Revision{ID: nextID}), imageV3)
			if err != nil {
				t.Fatal(err)
			}
			srv.Do(func(st *runpodtest.State) { st.EditTemplate(nextID, edit) })
			_, err = e.Draft(t.Context(), d.Base, imageV3)
			for call, err := range map[string]error{"Stage": e.Stage(t.Context(), d), "Staged": e.Staged(t.Context(), d), "Draft": err} {
				if !errors.Is(err, endpoint.ErrDrift) {
					t.Errorf("%s: %s = %v, want ErrDrift", name, call, err)
				}
			}
			if n := fields(srv); len(n) != 0 {
				t.Errorf("%s: writes: %v", name, n)
			}
		})
	}
}

func TestStageRefusesWhatIsLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account(t)
		c := client(t, srv)
		e := c.Endpoint(endpointID)
		if _, err := e.Draft(t.Context(), endpoint.Revision{ID: liveID}, imageV3); !errors.Is(err, endpoint.ErrShared) {
			t.Errorf("Draft of the live template = %v, want ErrShared", err)
		}
		d, err := e.Draft(t.Context(), endpoint.Revision{ID: nextID}, imageV3)
		if err != nil {
			t.Fatal(err)
		}
		srv.AddEndpoint(runpodtest.Endpoint{ID: "otherendpoint1", TemplateID: nextID, WorkersMax: 1})
		err = e.Stage(t.Context(), d)
		if !errors.Is(err, endpoint.ErrShared) || !strings.Contains(err.Error(), "otherendpoint1") {
			t.Errorf("Stage = %v, want ErrShared naming the endpoint", err)
		}
		if err := c.Endpoint(endpointID, runpod.AllowSharedTemplate()).Stage(t.Context(), d); err != nil {
			t.Errorf("Stage with leave = %v", err)
		}
	})
}

// A write that was carried out although its answer was lost is found by looking.
func TestStageAfterLostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account(t)
		e := client(t, srv).Endpoint(endpointID)
		d, err := e.Draft(t.Context(), endpoint.Revision{ID: nextID}, imageV3)
		if err != nil {
			t.Fatal(err)
		}
		srv.Fail(runpodtest.Call{Field: "saveTemplate"}, runpodtest.Dropped(true))
		if err := e.Stage(t.Context(), d); !errors.Is(err, endpoint.ErrUnavailable) {
			t.Errorf("Stage = %v, want ErrUnavailable", err)
		}
		if err := e.Staged(t.Context(), d); err != nil {
			t.Errorf("Staged = %v", err)
		}
	})
}
