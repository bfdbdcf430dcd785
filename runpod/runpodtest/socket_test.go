package runpodtest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

// The same server behind a socket, with many clients at once.
func TestSocket(t *testing.T) {
	a := newAccount(t, runpodtest.Endpoint{WorkersMin: 1, WorkersMax: 3}, runpodtest.WithBehaviour(runpodtest.Behaviour{ReadLag: time.Millisecond}))
	ts := httptest.NewServer(a)
	defer ts.Close()
	do := func(method, path, body string) (int, string, error) {
		req, err := http.NewRequestWithContext(t.Context(), method, ts.URL+path, strings.NewReader(body))
		if err != nil {
			return 0, "", err
		}
		req.Header = http.Header{"Authorization": {"Bearer " + runpodtest.Key}, "Content-Type": {"application/json"}}
		res, err := ts.Client().Do(req)
		if err != nil {
			return 0, "", err
		}
		defer func() { _ = res.Body.Close() }()
		b, err := io.ReadAll(res.Body)
		return res.StatusCode, string(b), err
	}
	write := `{"query":"mutation{updateEndpointWorkersMax(input:{endpointId:\"` + a.id + `\",workerCount:3}){id}}"}`
	read := `{"query":"{a:myself{endpoints{id pods{id}}} b:myself{podTemplates{id}} podTemplate(id:\"` + a.v1 + `\"){id}}"}`
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				for _, r := range [][3]string{{"POST", "/graphql", write}, {"POST", "/graphql", read}, {"GET", "/v2/" + a.id + "/health", ""}} {
					if status, body, err := do(r[0], r[1], r[2]); err != nil || status != 200 || strings.Contains(body, "errors") {
						t.Errorf("%v: %d %s %v", r, status, body, err)
					}
				}
				a.Workers(a.id)
				a.Requests()
			}
		})
	}
	wg.Wait()
	if got := len(a.Mutations()); got != 20 {
		t.Errorf("%d mutations, want 20", got)
	}
	a.Fail(runpodtest.Call{}, runpodtest.Dropped(true))
	if status, body, err := do("POST", "/graphql", write); err == nil {
		t.Errorf("dropped: %d %s", status, body)
	}
	a.Fail(runpodtest.Call{}, runpodtest.Fault{Truncate: true})
	if status, body, err := do("POST", "/graphql", write); status != 200 || body == "" || err == nil {
		t.Errorf("truncated: %d %q %v", status, body, err)
	}
}
