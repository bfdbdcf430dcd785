package runpodtest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

const restURL = "https://api.runpod.io/v2/"

// rest sends a REST request with the default key.
func (a account) rest(method, path, body string) answer {
	a.t.Helper()
	return send(a.t, a.Server, method, restURL+path, "Bearer "+runpodtest.Key, body)
}

// field digs a value out of a JSON answer.
func (r answer) field(t *testing.T, path ...any) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(r.Body), &v); err != nil {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			list, _ := v.([]any)
			if p >= len(list) {
				t.Fatalf("no element %d in %s", p, r.Body)
			}
			v = list[p]
		}
	}
	return v
}

func TestRESTRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		method, path, body string
		status             int
		says               string
	}{
		"unknown key":         {http.MethodPatch, "serverless/i02xupws21hp6i", `{"imageName":"x"}`, 422, "$: additional properties 'imageName' not allowed"},
		"unknown nested key":  {http.MethodPatch, "serverless/i02xupws21hp6i", `{"workers":{"minimum":1}}`, 422, "$.workers: additional properties 'minimum' not allowed"},
		"another type":        {http.MethodPatch, "serverless/i02xupws21hp6i", `{"image":5}`, 422, "image"},
		"no object":           {http.MethodPatch, "serverless/i02xupws21hp6i", `[]`, 422, "want object"},
		"negative":            {http.MethodPatch, "serverless/i02xupws21hp6i", `{"workers":{"max":-1}}`, 422, "minimum: got -1"},
		"quota":               {http.MethodPatch, "serverless/i02xupws21hp6i", `{"workers":{"max":11}}`, 400, "to at most 10"},
		"min above max":       {http.MethodPatch, "serverless/i02xupws21hp6i", `{"workers":{"min":4}}`, 400, "must not exceed max"},
		"unknown template":    {http.MethodPatch, "serverless/i02xupws21hp6i", `{"templateId":"zz"}`, 404, "not found"},
		"pod template":        {http.MethodPatch, "serverless/i02xupws21hp6i", `{"templateId":"podtemplat"}`, 422, "pod template"},
		"other compute":       {http.MethodPatch, "serverless/i02xupws21hp6i", `{"cpu":[{}]}`, 400, "immutable"},
		"unknown endpoint":    {http.MethodGet, "serverless/nosuch", "", 404, "resource not found"},
		"unknown path":        {http.MethodGet, "serverless/i02xupws21hp6i/nosuch", "", 404, "resource not found"},
		"creating":            {http.MethodPost, "serverless", `{}`, 405, "not allowed for this path"},
		"creating a template": {http.MethodPost, "templates", `{}`, 405, "not allowed for this path"},
		"deleting":            {http.MethodDelete, "serverless/i02xupws21hp6i", "", 405, "not allowed for this path"},
		"method":              {http.MethodPut, "serverless/i02xupws21hp6i", "", 405, "not allowed for this path"},
		"template in use":     {http.MethodDelete, "templates/aaaaaaaaaa", "", 400, "in use"},
		"name that is taken":  {http.MethodPatch, "templates/aaaaaaaaaa", `{"name":"two"}`, 400, "unique"},
		"template of nothing": {http.MethodGet, "templates/zz", "", 404, "resource not found"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t, runpodtest.Endpoint{WorkersMax: 3})
			a.AddTemplate(runpodtest.Template{ID: "podtemplat", Image: "a/b:c", Pod: true})
			before := a.Endpoint(a.id)
			got := a.rest(tt.method, tt.path, tt.body)
			if got.Status != tt.status || !strings.Contains(got.Body, tt.says) || got.field(t, "status") != float64(tt.status) || got.field(t, "title") == "" {
				t.Errorf("%d %s, want %d with %q", got.Status, got.Body, tt.status, tt.says)
			}
			if diff := cmp.Diff(before, a.Endpoint(a.id)); diff != "" {
				t.Errorf("changed all the same (-before +after):\n%s", diff)
			}
		})
	}
}

// A PATCH changes what it names; the environment is replaced as a whole.
func TestRESTPatch(t *testing.T) {
	a := newAccount(t, runpodtest.Endpoint{WorkersMin: 1, WorkersMax: 3, Env: map[string]string{"OWN": "1"}})
	a.Do(func(st *runpodtest.State) {
		st.EditTemplate(a.v1, func(t *runpodtest.Template) { t.Env = map[string]string{"A": "b"} })
		st.EditTemplate(a.v2, func(t *runpodtest.Template) { t.Env, t.DockerArgs = map[string]string{"C": "d"}, "other" })
	})
	show := func() map[string]any {
		r := a.rest(http.MethodGet, "serverless/"+a.id, "")
		return map[string]any{"image": r.field(t, "image"), "args": r.field(t, "args"), "env": r.field(t, "env"), "workers": r.field(t, "workers")}
	}
	bounds := map[string]any{"min": 1.0, "max": 3.0, "idleTimeout": 5.0}
	for _, tt := range []struct {
		body string
		want map[string]any
	}{
		{`{}`, map[string]any{"image": "acme/sdxl:v1", "args": "serve", "env": map[string]any{"A": "b", "OWN": "1"}, "workers": bounds}},
		{`{"image":"acme/sdxl:v2"}`, map[string]any{"image": "acme/sdxl:v2", "args": "serve", "env": map[string]any{"A": "b", "OWN": "1"}, "workers": bounds}},
		{`{"env":{"X":"y"}}`, map[string]any{"image": "acme/sdxl:v2", "args": "serve", "env": map[string]any{"X": "y"}, "workers": bounds}},
		{`{"templateId":"bbbbbbbbbb","env":{"C":"mine"}}`, map[string]any{"image": "acme/sdxl:v2", "args": "other", "env": map[string]any{"C": "mine"}, "workers": bounds}},
		{`{"workers":{"min":0}}`, map[string]any{
			"image": "acme/sdxl:v2", "args": "other", "env": map[string]any{"C": "mine"}, "workers": map[string]any{"min": 0.0, "max": 3.0, "idleTimeout": 5.0},
		}},
	} {
		if r := a.rest(http.MethodPatch, "serverless/"+a.id, tt.body); r.Status != 200 {
			t.Fatalf("%s: %d %s", tt.body, r.Status, r.Body)
		}
		if diff := cmp.Diff(tt.want, show()); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", tt.body, diff)
		}
	}
	if got := a.Template(a.v1).Image; got != "acme/sdxl:v1" {
		t.Errorf("the template was written: %s", got)
	}
	a.rest(http.MethodPatch, "templates/"+a.v2, `{"image":"acme/sdxl:v9"}`)
	if got := show()["image"]; got != "acme/sdxl:v2" {
		t.Errorf("an edit of the copied template reached the endpoint: %v", got)
	}
	if n := len(a.rest(http.MethodGet, "templates", "").field(t, "templates").([]any)); n != 2 {
		t.Errorf("%d templates are listed, want the two that were made", n)
	}
}

func TestPatchWritesTemplate(t *testing.T) {
	a := newAccount(t, runpodtest.Endpoint{WorkersMax: 3}, runpodtest.WithBehaviour(runpodtest.Behaviour{PatchWritesTemplate: true}))
	other := a.AddEndpoint(runpodtest.Endpoint{TemplateID: a.v1, WorkersMax: 1})
	a.rest(http.MethodPatch, "serverless/"+a.id, `{"image":"acme/sdxl:v2"}`)
	if got := a.rest(http.MethodGet, "serverless/"+other, "").field(t, "image"); got != "acme/sdxl:v2" {
		t.Errorf("the other endpoint runs %v", got)
	}
}

func TestRESTWorkersAndReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, runpodtest.Endpoint{WorkersMin: 2, WorkersMax: 3, Version: 7})
		a.AddImage(runpodtest.Image{Ref: "acme/sdxl:v2", Fault: runpodtest.CrashLoops})
		a.rest(http.MethodPatch, "serverless/"+a.id, `{"image":"acme/sdxl:v2"}`)
		wait(20 * time.Second)
		r := a.rest(http.MethodGet, "serverless/"+a.id+"/releases", "")
		want := map[string]any{"field": "template.imageName", "old": "acme/sdxl:v1", "new": "acme/sdxl:v2"}
		if diff := cmp.Diff(want, r.field(t, "releases", 0, "diff", 0)); diff != "" || r.field(t, "releases", 0, "version") != 8.0 || r.field(t, "rollout", "inProgress") != true {
			t.Errorf("releases %s\n%s", r.Body, diff)
		}
		w := a.rest(http.MethodGet, "serverless/"+a.id+"/workers", "")
		if w.field(t, "endpointVersion") != 8.0 || w.field(t, "workers", 0, "isStale") != true || w.field(t, "workers", 0, "version") != 7.0 {
			t.Errorf("workers %s", w.Body)
		}
		wait(5 * time.Minute)
		shown := func() (status, started any) {
			w := a.rest(http.MethodGet, "serverless/"+a.id+"/workers", "")
			return w.field(t, "workers", 0, "status"), w.field(t, "workers", 0, "startedAt")
		}
		status, first := shown()
		wait(time.Minute)
		if _, second := shown(); status != "RUNNING" || first == second {
			t.Errorf("a crash loop is shown as %v, started %v and %v", status, first, second)
		}
		a.Do(func(st *runpodtest.State) { st.Behaviour.DegradedWorkers = true })
		w = a.rest(http.MethodGet, "serverless/"+a.id+"/workers", "")
		if w.field(t, "endpointVersion") != nil || w.field(t, "workers", 0, "version") != nil || w.field(t, "workers", 0, "isStale") != false {
			t.Errorf("degraded: %s", w.Body)
		}
	})
}

func TestScalingReleases(t *testing.T) {
	for _, on := range []bool{false, true} {
		a := newAccount(t, runpodtest.Endpoint{WorkersMin: 1, WorkersMax: 3}, runpodtest.WithBehaviour(runpodtest.Behaviour{ScalingReleases: on}))
		a.rest(http.MethodPatch, "serverless/"+a.id, `{"workers":{"max":5}}`)
		w := a.rest(http.MethodGet, "serverless/"+a.id+"/workers", "")
		if bumped := w.field(t, "endpointVersion") == 2.0; bumped != on || w.field(t, "workers", 0, "isStale") != false {
			t.Errorf("switched %t: %s", on, w.Body)
		}
	}
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, runpodtest.Endpoint{}, runpodtest.WithBehaviour(runpodtest.Behaviour{Limits: []runpodtest.Limit{
			{Name: "minute", Quota: 2, Window: time.Minute}, {Name: "hour", Quota: 3, Window: time.Hour},
		}}))
		get := func() (status int, limit, policy, after string) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, restURL+"serverless", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+runpodtest.Key)
			res, err := a.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			return res.StatusCode, res.Header.Get("RateLimit"), res.Header.Get("RateLimit-Policy"), res.Header.Get("Retry-After")
		}
		for i, want := range []struct {
			status       int
			limit, after string
		}{
			{200, `"minute";r=1;t=60, "hour";r=2;t=3600`, ""},
			{200, `"minute";r=0;t=50, "hour";r=1;t=3590`, ""},
			{429, `"minute";r=0;t=40, "hour";r=1;t=3580`, "40"},
			{429, `"minute";r=0;t=30, "hour";r=1;t=3570`, "30"},
			{429, `"minute";r=0;t=20, "hour";r=1;t=3560`, "20"},
			{429, `"minute";r=0;t=10, "hour";r=1;t=3550`, "10"},
			{200, `"minute";r=1;t=60, "hour";r=0;t=3540`, ""},
			{429, `"minute";r=1;t=50, "hour";r=0;t=3530`, "3530"},
		} {
			status, limit, policy, after := get()
			if status != want.status || limit != want.limit || after != want.after || policy != `"minute";q=2;w=60, "hour";q=3;w=3600` {
				t.Errorf("request %d: %d %s %s %q, want %+v", i+1, status, limit, policy, after, want)
			}
			wait(10 * time.Second)
		}
	})
}

func TestRESTScopes(t *testing.T) {
	for scope, want := range map[runpodtest.Scope][3]int{ // GET, PATCH, GraphQL
		runpodtest.FullAccess: {200, 200, 200}, runpodtest.JobsOnly: {403, 403, 403}, runpodtest.ReadOnly: {200, 403, 200},
		runpodtest.GraphQLOnly: {403, 403, 200}, runpodtest.RESTOnly: {200, 200, 403},
	} {
		a := newAccount(t, runpodtest.Endpoint{}, runpodtest.WithKey(runpodtest.Key, scope))
		got := [3]int{
			a.rest(http.MethodGet, "serverless/"+a.id, "").Status, a.rest(http.MethodPatch, "serverless/"+a.id, "{}").Status,
			gql(t, a.Server, `{myself{id}}`).Status,
		}
		if got != want {
			t.Errorf("scope %d: %v, want %v", scope, got, want)
		}
	}
}

// One server stands in for every base URL, behind a socket too: the job plane
// and the REST API are both at /v2.
func TestRESTBehindASocket(t *testing.T) {
	a := newAccount(t, runpodtest.Endpoint{WorkersMax: 3})
	srv := httptest.NewServer(a.Server)
	defer srv.Close()
	for path, want := range map[string]string{
		"/v2/serverless/" + a.id: `"image":"acme/sdxl:v1"`, "/v2/" + a.id + "/health": `"jobs":`, "/v2/templates/" + a.v1: `"serverless":true`,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+runpodtest.Key)
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != 200 || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s %s", path, res.Status, body)
		}
	}
}
