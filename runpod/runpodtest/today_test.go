package runpodtest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

// TestPages reads a list by its cursors, with a limit and without.
func TestPages(t *testing.T) {
	a := newAccount(t, runpodtest.Endpoint{WorkersMax: 1}, runpodtest.WithBehaviour(runpodtest.Behaviour{PageSize: 2}))
	for range 4 {
		a.AddTemplate(runpodtest.Template{Image: "acme/x:1"})
	}
	for _, limit := range []string{"", "&limit=1", "&limit=5000"} {
		seen, cursor, pages := map[any]bool{}, "", 0
		for more := true; more; pages++ {
			r := a.rest(http.MethodGet, "templates?cursor="+cursor+limit, "")
			list, _ := r.field(t, "templates").([]any)
			for i := range list {
				seen[r.field(t, "templates", i, "id")] = true
			}
			more, _ = r.field(t, "pagination", "hasNextPage").(bool)
			cursor, _ = r.field(t, "pagination", "nextCursor").(string)
			if more != (cursor != "") || pages > 20 {
				t.Fatalf("page %d: %s", pages, r.Body)
			}
		}
		all, _ := a.rest(http.MethodGet, "templates?limit=2", "").field(t, "templates").([]any)
		if len(seen) < 4 || pages < 2 || len(all) != min(2, len(seen)) {
			t.Errorf("limit %q: %d templates on %d pages", limit, len(seen), pages)
		}
	}
}

// TestStagedEndOfGraphQL: first a narrow limit, then 410, and REST goes on.
func TestStagedEndOfGraphQL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, runpodtest.Endpoint{WorkersMax: 1}, runpodtest.WithBehaviour(runpodtest.Behaviour{GraphQLLimits: []runpodtest.Limit{{Name: "minute", Quota: 1, Window: time.Minute}}}))
		ask := func() answer {
			return send(t, a.Server, http.MethodPost, "https://api.runpod.io/graphql", "Bearer "+runpodtest.Key, `{"query":"{myself{id}}"}`)
		}
		if r := ask(); r.Status != 200 {
			t.Errorf("%d %s", r.Status, r.Body)
		}
		if r := ask(); r.Status != 429 {
			t.Errorf("%d %s", r.Status, r.Body)
		}
		a.Do(func(st *runpodtest.State) { st.Behaviour.GraphQLRetired = true })
		time.Sleep(time.Hour)
		if r := ask(); r.Status != 410 || !strings.Contains(r.Body, "retired") {
			t.Errorf("%d %s", r.Status, r.Body)
		}
		if r := a.rest(http.MethodGet, "serverless", ""); r.Status != 200 {
			t.Errorf("%d %s", r.Status, r.Body)
		}
	})
}

// TestBuildsAndBatchJobs: what RunPod does to an endpoint by itself.
func TestBuildsAndBatchJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := runpodtest.New()
		id := srv.AddEndpoint(runpodtest.Endpoint{TemplateID: srv.AddTemplate(runpodtest.Template{Image: "acme/x:1"}), WorkersMin: 1, WorkersMax: 3})
		srv.Do(func(st *runpodtest.State) { st.AddBatchWorkers(id, "batch1", "acme/batch:1", 2) })
		srv.Do(func(st *runpodtest.State) { st.Build(id, "bld1", "acme/x:git-2") })
		a := account{Server: srv, t: t}
		time.Sleep(10 * time.Minute)
		releases := a.rest(http.MethodGet, "serverless/"+id+"/releases", "")
		if releases.field(t, "releases", 0, "source") != "GIT_BUILD" || releases.field(t, "releases", 0, "buildId") != "bld1" {
			t.Error(releases.Body)
		}
		workers := a.rest(http.MethodGet, "serverless/"+id+"/workers", "")
		batch, own := 0, 0
		list, _ := workers.field(t, "workers").([]any)
		for i := range list {
			if workers.field(t, "workers", i, "batchJobId") != nil {
				batch++
			} else if own++; workers.field(t, "workers", i, "image") != "acme/x:git-2" {
				t.Errorf("worker %v", workers.field(t, "workers", i))
			}
		}
		if batch != 2 || own != 1 || workers.field(t, "summary", "total") != 3.0 {
			t.Errorf("%d of a batch job, %d of the endpoint: %s", batch, own, workers.Body)
		}
	})
}

// TestFlaps: every view shows the worker as ready, and only its start moves.
func TestFlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := runpodtest.New()
		srv.AddImage(runpodtest.Image{Ref: "acme/x:1", Fault: runpodtest.Flaps, After: 7 * time.Second})
		id := srv.AddEndpoint(runpodtest.Endpoint{TemplateID: srv.AddTemplate(runpodtest.Template{Image: "acme/x:1"}), WorkersMin: 1, WorkersMax: 1})
		a := account{Server: srv, t: t}
		starts := map[any]bool{}
		for range 20 {
			time.Sleep(5 * time.Second)
			r := a.rest(http.MethodGet, "serverless/"+id+"/workers", "")
			if r.field(t, "workers", 0, "status") != "IDLE" {
				t.Fatal(r.Body)
			}
			starts[r.field(t, "workers", 0, "startedAt")] = true
		}
		if len(starts) < 12 || len(starts) > 15 {
			t.Errorf("%d starts in 100s", len(starts))
		}
	})
}

// TestLogs: the stream replays the last lines and stays open.
func TestLogs(t *testing.T) {
	srv := runpodtest.New()
	srv.AddImage(runpodtest.Image{Ref: "acme/x:1", Log: []string{"hello", "world"}})
	id := srv.AddEndpoint(runpodtest.Endpoint{TemplateID: srv.AddTemplate(runpodtest.Template{Image: "acme/x:1"}), WorkersMin: 1, WorkersMax: 1})
	worker := srv.Workers(id)[0].ID
	a := account{Server: srv, t: t}
	path := "serverless/" + id + "/workers/" + worker + "/logs"
	if r := a.rest(http.MethodGet, path+"?tail=1", ""); r.Status != 200 || strings.Count(r.Body, "data:") != 1 || !strings.Contains(r.Body, `"source":"container","line":"world"`) {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	for _, wrong := range []string{"?tail=5001", "?tail=-1", "?tail=x"} {
		if r := a.rest(http.MethodGet, path+wrong, ""); r.Status != 422 {
			t.Errorf("%s: %d %s", wrong, r.Status, r.Body)
		}
	}
	if r := a.rest(http.MethodGet, "serverless/"+id+"/workers/none/logs", ""); r.Status != 404 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	socket := httptest.NewServer(srv)
	defer socket.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, socket.URL+"/v2/"+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+runpodtest.Key)
	res, err := socket.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, res.Body)
	}()
	select {
	case <-ended:
		t.Error("the stream ended by itself")
	case <-time.After(100 * time.Millisecond):
	}
	_ = res.Body.Close()
	<-ended
}
