package runpodtest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

const (
	graphqlURL = "https://api.runpod.io/graphql"
	jobURL     = "https://api.runpod.ai/v2/"
)

// answer is what came back of a request.
type answer struct {
	Status int
	Body   string
	Err    error
}

func send(t *testing.T, srv *runpodtest.Server, method, url, auth, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", auth)
	req.Header.Set("Content-Type", "application/json")
	res, err := srv.Client().Do(req)
	if err != nil {
		return answer{Err: errors.Unwrap(err)}
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, string(bytes.TrimSpace(b)), err}
}

// gql sends a GraphQL document with the default key.
func gql(t *testing.T, srv *runpodtest.Server, query string) answer {
	t.Helper()
	b, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		t.Fatal(err)
	}
	return send(t, srv, http.MethodPost, graphqlURL, "Bearer "+runpodtest.Key, string(b))
}

func health(t *testing.T, srv *runpodtest.Server, id string) string {
	t.Helper()
	return send(t, srv, http.MethodGet, jobURL+id+"/health", runpodtest.Key, "").Body
}

// account is a server with an endpoint on image v1, and a template with v2.
type account struct {
	*runpodtest.Server
	t          *testing.T
	v1, v2, id string
}

func newAccount(t *testing.T, e runpodtest.Endpoint, opts ...runpodtest.Option) account {
	t.Helper()
	a := account{Server: runpodtest.New(opts...), t: t, v1: "aaaaaaaaaa", v2: "bbbbbbbbbb", id: "i02xupws21hp6i"}
	a.AddTemplate(runpodtest.Template{ID: a.v1, Name: "one", Image: "acme/sdxl:v1", DockerArgs: "serve"})
	a.AddTemplate(runpodtest.Template{ID: a.v2, Name: "two", Image: "acme/sdxl:v2", DockerArgs: "serve"})
	e.ID, e.TemplateID = a.id, a.v1
	a.AddEndpoint(e)
	return a
}

// states shows the workers: image tag and state.
func (a account) states() []string {
	out := []string{}
	for _, w := range a.Workers(a.id) {
		out = append(out, w.Image[len("acme/sdxl:"):]+" "+string(w.State))
	}
	return out
}

func (a account) link(template string) answer {
	a.t.Helper()
	return gql(a.t, a.Server, `mutation{updateEndpointTemplate(input:{endpointId:"`+a.id+`",templateId:"`+template+`"}){id templateId version}}`)
}

func (a account) setMin(n string) {
	a.t.Helper()
	gql(a.t, a.Server, `mutation{updateEndpointWorkersMin(input:{endpointId:"`+a.id+`",workerCount:`+n+`}){workersMin workersMax}}`)
}

func (a account) setMax(n string) answer {
	a.t.Helper()
	return gql(a.t, a.Server, `mutation{updateEndpointWorkersMax(input:{endpointId:"`+a.id+`",workerCount:`+n+`}){workersMin workersMax}}`)
}

func (a account) run() answer {
	a.t.Helper()
	return send(a.t, a.Server, http.MethodPost, jobURL+a.id+"/run", runpodtest.Key, `{"input":{}}`)
}

// wait lets time pass.
func wait(d time.Duration) { time.Sleep(d) } // in a synctest bubble only
