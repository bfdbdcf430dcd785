package runpod_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

// The suite's answers over RunPod's REST API.
func TestAnswers(t *testing.T) {
	endpointtest.RunAnswers(t, endpointtest.Harness{New: func(t testing.TB) endpointtest.Subject {
		w := newWorld(t, routeNamed("rest"))
		wire := &endpointtest.Wire{
			Service: w.Server,
			Write: func(r *http.Request, body []byte) string {
				r = r.Clone(r.Context())
				r.Body = io.NopCloser(bytes.NewReader(body))
				r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
				if !mutates(r) {
					return ""
				}
				return r.Method + " " + r.URL.Path + " " + string(body)
			},
			Refusal: func(status int, message string) endpointtest.Answer {
				body, _ := json.Marshal(map[string]any{"title": http.StatusText(status), "status": status, "detail": message})
				return endpointtest.Answer{Status: status, Header: http.Header{"Content-Type": {"application/problem+json"}}, Body: string(body)}
			},
		}
		c, err := runpod.New(runpodtest.Key, append([]runpod.Option{runpod.WithHTTPClient(wire.Client())}, w.opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		ep := c.Endpoint(endpointID, w.allow...)
		to, err := ep.Resolve(t.Context(), endpoint.Revision{Artifact: imageV2})
		if err != nil {
			t.Fatal(err)
		}
		return endpointtest.Subject{
			Updater: ep, Wire: wire, To: to, Key: endpoint.WorkersMax, Value: 4,
			Secrets: []string{runpodtest.Key},
		}
	}})
}
