package runpod_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/strategy"
)

// TestOldWorkerOnALaterPage: a worker of the old revision is seen wherever it is
// in the list.
func TestOldWorkerOnALaterPage(t *testing.T) {
	for _, size := range []int{1, 2, 0} {
		synctest.Test(t, func(t *testing.T) {
			srv := account(t, runpodtest.WithBehaviour(runpodtest.Behaviour{StuckActive: true, PageSize: size}))
			for i := range 20 { // there is work all the time, so that new workers come
				srv.At(time.Now().Add(time.Duration(i)*30*time.Second), func(s *runpodtest.State) { s.AddJobs(endpointID, 20*time.Second, 20*time.Second) })
			}
			r, err := rollout.Run(t.Context(), journal.NewMemory(), restClient(t, srv).Endpoint(endpointID), strategy.InPlace{}, rollout.ToArtifact(imageV2))
			if r.Outcome == rollout.OutcomeSucceeded || !errors.Is(err, rollout.ErrNotConverged) {
				t.Errorf("pages of %d: %v: %v", size, r.Outcome, err)
			}
		})
	}
}

// TestRolloutWithManyWorkers replaces 300 workers, which are listed on pages of 100.
func TestRolloutWithManyWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := runpodtest.New(runpodtest.WithQuota(1000), runpodtest.WithBehaviour(runpodtest.Behaviour{PageSize: 100}))
		id := srv.AddEndpoint(runpodtest.Endpoint{TemplateID: srv.AddTemplate(runpodtest.Template{Image: imageV1}), WorkersMin: 300, WorkersMax: 330})
		srv.AddImage(runpodtest.Image{Ref: imageV2})
		r, err := rollout.Run(t.Context(), journal.NewMemory(), restClient(t, srv).Endpoint(id), strategy.InPlace{}, rollout.ToArtifact(imageV2))
		if err != nil || r.Outcome != rollout.OutcomeSucceeded {
			t.Fatal(err)
		}
		n := 0
		for _, w := range srv.Workers(id) {
			if w.Image != imageV2 {
				t.Fatalf("worker %s runs %s", w.ID, w.Image)
			}
			n++
		}
		if n < 300 || r.Status.Live() < 300 {
			t.Errorf("%d workers, of which the report has %d", n, r.Status.Live())
		}
	})
}

// TestEveryListIsPaged reads templates, releases and the account page by page.
func TestEveryListIsPaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account(t, runpodtest.WithQuota(10), runpodtest.WithBehaviour(runpodtest.Behaviour{PageSize: 1, QuotaField: true}))
		srv.Do(func(st *runpodtest.State) {
			st.AddEndpoint(runpodtest.Endpoint{ID: "another", TemplateID: nextID, WorkersMax: 8})
			for i := range 5 {
				editContent(st, func(t *runpodtest.Template) { t.Image = fmt.Sprintf("acme/sdxl:old%d", i) })
			}
			editContent(st, func(t *runpodtest.Template) { t.Image = imageV1 })
		})
		time.Sleep(10 * time.Minute)
		c := restClient(t, srv)
		for _, tmpl := range []string{liveID, nextID} {
			if _, err := c.Endpoint(endpointID, runpod.AllowTemplateCopy()).Resolve(t.Context(), endpoint.Revision{ID: tmpl}); err != nil {
				t.Errorf("own template %s: %v", tmpl, err)
			}
		}
		if s := status(t, c.Endpoint(endpointID)); !s.Serving.Same(s.Desired) {
			t.Errorf("Status = %+v", s)
		}
		found, err := restClient(t, srv, runpod.WithRESTURL("https://proxy.example/v2")).List(t.Context())
		if err != nil || len(found) != 2 {
			t.Errorf("List = %v, %v", found, err)
		}
	})
}

// TestListsWithoutEnd: what says that there is more and does not lead to it is
// unavailable, and says what was seen.
func TestListsWithoutEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		cursors runpodtest.CursorFault
		says    string
	}{
		"no cursor":         {runpodtest.NoCursor, "no cursor to go on by"},
		"the same again":    {runpodtest.SameCursor, "came before"},
		"two in turn":       {runpodtest.TwoCursors, "came before"},
		"always another":    {runpodtest.EndlessCursors, "does not end"},
		"as it is promised": {runpodtest.NoCursorFault, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := account(t, runpodtest.WithBehaviour(runpodtest.Behaviour{PageSize: 1, Cursors: tt.cursors}))
				_, err := restClient(t, srv).Endpoint(endpointID).Status(t.Context())
				if tt.says == "" {
					if err != nil {
						t.Error(err)
					}
					return
				}
				checkError(t, err, endpoint.ErrUnavailable)
				if !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "workers") {
					t.Errorf("error %q, want it to say %q of the workers", err, tt.says)
				}
				if n := len(srv.Requests()); n > 1100 {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}

// TestNoListIsTakenForTheWhole: each of the lists that says there is more, and gives
// no way on, is unavailable, and names what it was.
func TestNoListIsTakenForTheWhole(t *testing.T) {
	entry := map[string]string{
		"endpoints": `{"id":"` + endpointID + `","workers":{"max":3}}`, "templates": `{"id":"` + nextID + `","image":"` + imageV2 + `"}`,
		"workers": `{"id":"a","status":"IDLE","image":"` + imageV1 + `"}`, "releases": `{"version":7}`,
	}
	for key, field := range map[string]string{
		"endpoints": "listEndpoints", "templates": "listTemplates", "workers": "listEndpointWorkers", "releases": "listEndpointReleases",
	} {
		for page, want := range map[string]string{
			`{"hasNextPage":true}`:                     "goes on after 1 entries, and the answer has no cursor",
			`{"hasNextPage":true,"nextCursor":""}`:     "goes on after 1 entries, and the answer has no cursor",
			`{"hasNextPage":true,"nextCursor":"same"}`: "came before, after 2 entries",
		} {
			srv := account(t)
			srv.Fail(runpodtest.Call{Field: field, Times: -1}, runpodtest.Fault{Body: `{"` + key + `":[` + entry[key] + `],"pagination":` + page + `}`})
			c := restClient(t, srv, runpod.WithRESTURL("https://proxy.example/v2"))
			var err error
			switch e := c.Endpoint(endpointID, runpod.AllowTemplateCopy()); key {
			case "endpoints":
				_, err = c.List(t.Context())
			case "templates":
				_, err = e.Resolve(t.Context(), endpoint.Revision{ID: nextID})
			default:
				_, err = e.Status(t.Context())
			}
			if !errors.Is(err, endpoint.ErrUnavailable) || !strings.Contains(err.Error(), "the list of "+key) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s with %s: %v, want it unavailable, and to say %q", key, page, err, want)
			}
		}
	}
}

// TestListsAreHeldAgainstTheirSummary: a worker that is counted and not listed is
// not overlooked.
func TestListsAreHeldAgainstTheirSummary(t *testing.T) {
	worker := `{"id":"a","status":"IDLE","isStale":false,"version":7,"image":"` + imageV1 + `"}`
	for body, want := range map[string]error{
		`{"endpointVersion":7,"workers":[` + worker + `],"summary":{"total":2}}`:                                 endpoint.ErrUnavailable,
		`{"endpointVersion":7,"workers":[` + worker + `],"summary":{"total":1}}`:                                 nil,
		`{"endpointVersion":7,"workers":[` + worker + `],"summary":null}`:                                        nil,
		`{"endpointVersion":7,"workers":[` + worker + `]}`:                                                       nil,
		`{"endpointVersion":7,"workers":[` + worker + `],"pagination":7}`:                                        endpoint.ErrUnavailable,
		`{"endpointVersion":7,"workers":[` + worker + `],"pagination":{"hasNextPage":true}}`:                     endpoint.ErrUnavailable,
		`{"endpointVersion":7,"workers":[` + worker + `],"pagination":{"hasNextPage":false,"nextCursor":"x"}}`:   nil,
		`{"endpointVersion":7,"workers":[` + worker + `],"summary":{"total":"many"}}`:                            errors.ErrUnsupported,
		`{"endpointVersion":7,"workers":[` + strings.Repeat(worker+",", 9999) + worker + `]}`:                    nil,
		`{"endpointVersion":7,"workers":[` + strings.Repeat(worker+",", 9999) + worker + `],"summary":{"total":`: endpoint.ErrUnavailable,
	} {
		srv := account(t)
		srv.Fail(runpodtest.Call{Field: "listEndpointWorkers", Times: -1}, runpodtest.Fault{Body: body})
		if _, err := restClient(t, srv).Endpoint(endpointID).Status(t.Context()); !errors.Is(err, want) {
			t.Errorf("%.150s: Status = %v, want %v", body, err, want)
		}
	}
}

// Ten thousand workers, on pages as long as RunPod makes them, are a bounded answer.
func TestTenThousandWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := runpodtest.New(runpodtest.WithQuota(20_000), runpodtest.WithBehaviour(runpodtest.Behaviour{PageSize: 1000, Tick: time.Millisecond}))
		tpl := srv.AddTemplate(runpodtest.Template{Image: imageV1})
		id := srv.AddEndpoint(runpodtest.Endpoint{TemplateID: tpl, WorkersMin: 10_000, WorkersMax: 10_000})
		client, err := runpod.New(runpodtest.Key, runpod.WithHTTPClient(srv.Client()))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		n := len(srv.Requests())
		s, err := client.Endpoint(id).Status(t.Context())
		if err != nil || s.Live() != 10_000 || s.Phase != endpoint.PhaseReady {
			t.Errorf("Status = %v with %d workers, %v", s.Phase, s.Live(), err)
		}
		if n = len(srv.Requests()) - n; n > 20 {
			t.Errorf("%d requests for one status", n)
		}
	})
}
