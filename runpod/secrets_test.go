package runpod_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

// What was read of an environment shows in no error, whatever that is about,
// and not even in part where a long text is cut.
func TestNoErrorRepeatsTheEnvironment(t *testing.T) {
	old := secret + "-of-last-week"
	for name, transport := range map[string]runpod.Transport{"rest": runpod.REST, "graphql": runpod.GraphQL} {
		t.Run(name, func(t *testing.T) {
			srv := account(t)
			ep := client(t, srv, runpod.WithTransport(transport)).Endpoint(endpointID)
			if transport == runpod.REST {
				srv.Do(func(st *runpodtest.State) {
					st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.Env = map[string]string{"OWN": old} })
				})
				srv.Do(func(st *runpodtest.State) {
					st.EditEndpoint(endpointID, func(e *runpodtest.Endpoint) { e.Env = map[string]string{"OWN": secret} })
				})
			}
			if _, err := ep.Status(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, words := range []string{"bad: " + secret, strings.Repeat("x", 1<<10-len(secret)) + secret, "was " + old} {
				srv.OnMutation(func(int, string) runpodtest.Fault { return runpodtest.Refused(words) })
				err := ep.Set(t.Context(), endpoint.WorkersMax, 4)
				checkError(t, err, endpoint.ErrInvalid)
				noSecret(t, err.Error())
				if strings.Contains(err.Error(), secret[:6]) {
					t.Errorf("a part of a secret shows in %q", err)
				}
			}
		})
	}
}

// An environment has ordinary words too, which are not to be taken out of what
// tells whether a write was applied.
func TestEnvironmentDoesNotChangeWhatErrorsMean(t *testing.T) {
	srv := account(t)
	srv.Do(func(st *runpodtest.State) {
		st.EditTemplate(liveID, func(t *runpodtest.Template) { t.Env = map[string]string{"LOG_LEVEL": "error"} })
	})
	ep := client(t, srv).Endpoint(endpointID, runpod.AllowSharedTemplate())
	status, err := ep.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	srv.Fail(runpodtest.Call{Field: "saveTemplate"}, runpodtest.Refused("Internal error"))
	to := status.Desired
	to.Artifact, to.Digest = imageV2, ""
	err = ep.Update(t.Context(), endpoint.Change{To: to})
	if !errors.Is(err, endpoint.ErrUnavailable) || endpoint.Unapplied(err) {
		t.Errorf("error is %v, and is taken to prove that nothing was applied: %t", err, endpoint.Unapplied(err))
	}
}

// Nor out of what is read from RunPod's words beside that.
func TestEnvironmentDoesNotChangeWhatIsReadFromErrors(t *testing.T) {
	srv := account(t)
	srv.Do(func(st *runpodtest.State) {
		st.EditTemplate(liveID, func(t *runpodtest.Template) { t.Env = map[string]string{"SHOW": "ports", "KEEP": "at most 2"} })
	})
	ep := client(t, srv).Endpoint(endpointID, runpod.AllowSharedTemplate())
	status, err := ep.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	srv.Fail(runpodtest.Call{Field: "updateEndpointWorkersMax"}, runpodtest.Refused("above your quota of 5: at most 2 workers here"))
	err = ep.Set(t.Context(), endpoint.WorkersMax, 4)
	var api *runpod.APIError
	if !errors.As(err, &api) {
		t.Fatal(err)
	}
	if n, ok := api.AtMost(); n != 2 || !ok {
		t.Errorf("%v: at most %d, %t; want 2", err, n, ok)
	}
	to := status.Desired
	to.Artifact, to.Digest = imageV2, ""
	if err := ep.Update(t.Context(), endpoint.Change{To: to}); err != nil {
		t.Errorf("the schema is one without portsConfig: %v", err)
	}
}

// wordy is a transport on which what became of a worker is told with a secret.
type wordy struct{ base http.RoundTripper }

func (w wordy) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := w.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(strings.NewReader(strings.ReplaceAll(string(body), `"lastStatusChange":"`, `"lastStatusChange":"bad HF_TOKEN `+secret+` `)))
	return res, nil
}

func TestWorkersDoNotRepeatTheEnvironment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account(t, runpodtest.WithKey(runpodtest.Key, runpodtest.GraphQLOnly))
		time.Sleep(time.Hour)
		ep := client(t, srv, runpod.WithHTTPClient(&http.Client{Transport: wordy{srv.Client().Transport}})).Endpoint(endpointID)
		err := ep.InspectWorker(t.Context(), srv.Workers(endpointID)[0].ID, endpoint.Revision{Kind: runpod.KindTemplate, ID: nextID})
		checkError(t, err, endpoint.ErrDrift)
		if !strings.Contains(err.Error(), "bad HF_TOKEN [redacted]") {
			t.Errorf("%q does not tell what became of the worker", err)
		}
		noSecret(t, err.Error())
	})
}
