package runpodtest_test

import (
	"net/http"
	"testing"

	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

func TestAuthorization(t *testing.T) {
	a := newAccount(
		t,
		runpodtest.Endpoint{WorkersMax: 3},
		runpodtest.WithKey("full", runpodtest.FullAccess), runpodtest.WithKey("jobs", runpodtest.JobsOnly), runpodtest.WithKey("read", runpodtest.ReadOnly),
	)
	const read, write = `{"query":"{myself{id}}"}`, `{"query":"mutation{updateEndpointWorkersMax(input:{endpointId:\"i02xupws21hp6i\",workerCount:1}){workersMax}}"}`
	tests := []struct {
		name, method, url, auth, body string
		status                        int
		want                          string // of the body, if not empty
	}{
		{"full", "POST", graphqlURL, "Bearer full", write, 200, `{"data":{"updateEndpointWorkersMax":{"workersMax":1}}}`},
		{"no key", "POST", graphqlURL, "", read, 401, ""},
		{"wrong key", "POST", graphqlURL, "Bearer nope", read, 401, ""},
		{"default key is not known beside others", "POST", graphqlURL, "Bearer " + runpodtest.Key, read, 401, ""},
		{"raw key on the management plane", "POST", graphqlURL, "full", read, 401, ""},
		{"jobs-only key on the management plane", "POST", graphqlURL, "Bearer jobs", read, 403, ""},
		{"read-only reads", "POST", graphqlURL, "Bearer read", read, 200, ""},
		{
			"read-only writes", "POST", graphqlURL, "Bearer read", write, 200,
			`{"errors":[{"message":"Unauthorized","path":["updateEndpointWorkersMax"],"extensions":{"code":"RUNPOD"}}],"data":{"updateEndpointWorkersMax":null}}`,
		},
		{"key in the URL", "POST", graphqlURL + "?api_key=full", "", read, 400, ""},
		{"GET", "GET", graphqlURL, "Bearer full", "", 405, ""},
		{"jobs with a bearer", "GET", jobURL + a.id + "/health", "Bearer jobs", "", 200, ""},
		{"jobs with a raw key", "GET", jobURL + a.id + "/health", "jobs", "", 200, ""},
		{"jobs without", "GET", jobURL + a.id + "/health", "", "", 401, ""},
		{"read-only health", "GET", jobURL + a.id + "/health", "read", "", 200, ""},
		{"read-only run", "POST", jobURL + a.id + "/run", "read", `{"input":{}}`, 403, ""},
	}
	for _, tt := range tests {
		got := send(t, a.Server, tt.method, tt.url, tt.auth, tt.body)
		if got.Status != tt.status || tt.want != "" && got.Body != tt.want {
			t.Errorf("%s: %+v, want %d %s", tt.name, got, tt.status, tt.want)
		}
	}
	inURL := 0
	for _, r := range a.Requests() {
		if r.KeyInURL {
			inURL++
		}
	}
	if inURL != 1 || len(a.Requests()) != len(tests) {
		t.Errorf("%d requests logged, %d with a key in the URL; want %d and 1", len(a.Requests()), inURL, len(tests))
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, graphqlURL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer full")
	res, err := a.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("without a content type: %d, want 400", res.StatusCode)
	}
}
