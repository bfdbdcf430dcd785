package runpod_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
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

// spellings are the ways in which a secret was seen to come back.
func spellings(s string) map[string]string {
	var unicode strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&unicode, "\\u%04x", c)
	}
	return map[string]string{
		"clear": s, "a prefix": s[:8] + "...", "query": url.QueryEscape(s), "HTML": html.EscapeString(s), "\\u": unicode.String(),
		"base64": base64.StdEncoding.EncodeToString([]byte(s)), "basic authorization": base64.StdEncoding.EncodeToString([]byte("user:" + s)),
	}
}

// TestNoSpellingOfASecret: keys, variables and arguments of the start command, as
// RunPod, a gateway or net/http may spell them, in a refusal, an answer that is not
// understood and a broken protocol, on every plane of both transports.
func TestNoSpellingOfASecret(t *testing.T) {
	const (
		variable = "s3cr<et&value\"of it"
		line     = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj"
		argument = "tok+en/=1234567"
	)
	for _, transport := range []runpod.Transport{runpod.REST, runpod.GraphQL} {
		for name, s := range map[string]string{"key": runpodtest.Key, "job key": "rpa_JOBJOBJOBJOB", "variable": variable, "line of a PEM": line, "argument": argument} {
			for spelled, text := range spellings(s) {
				for how, answer := range map[string]func(*answers){
					"refusal": func(a *answers) {
						b, _ := json.Marshal(map[string]any{"title": "Bad Request", "status": 400, "detail": "no: " + text, "message": "no: " + text})
						a.status, a.body = 400, string(b)
					},
					"another id": func(a *answers) {
						b, _ := json.Marshal(map[string]any{"id": text, "image": imageV1, "workers": map[string]int{"min": 1, "max": 3}})
						a.status, a.body = 200, string(b)
					},
					"protocol": func(a *answers) { a.err = errors.New("malformed HTTP response " + text) },
				} {
					srv := account(t, runpodtest.WithKey(runpodtest.Key, runpodtest.FullAccess), runpodtest.WithKey("rpa_JOBJOBJOBJOB", runpodtest.JobsOnly))
					srv.Do(func(st *runpodtest.State) {
						st.EditTemplate(liveID, func(t *runpodtest.Template) {
							t.Env["OWN"], t.Env["PEM"] = variable+"\n", "-----BEGIN KEY-----\n"+line+"\nabc\n-----END KEY-----\n"
							t.DockerArgs = "serve --token=" + argument
						})
					})
					a := &answers{}
					hc := &http.Client{Transport: &swap{first: srv.Client().Transport, then: a}}
					e := client(t, srv, runpod.WithHTTPClient(hc), runpod.WithTransport(transport), runpod.WithJobKey("rpa_JOBJOBJOBJOB")).Endpoint(endpointID)
					if _, err := e.Status(t.Context()); err != nil {
						t.Fatal(err)
					}
					answer(a)
					hc.Transport.(*swap).swapped.Store(true)
					_, serr := e.Status(t.Context())
					_, jerr := e.Jobs(t.Context())
					for _, err := range []error{serr, jerr, e.Set(t.Context(), endpoint.WorkersMax, 4)} {
						if err == nil {
							t.Fatalf("%v/%s/%s/%s: no error", transport, name, spelled, how)
						}
						for _, shown := range []string{err.Error(), fmt.Sprintf("%+v %#v", err, err)} {
							if strings.Contains(shown, text[:8]) || strings.Contains(shown, s[:8]) {
								t.Errorf("%v/%s/%s/%s: %s", transport, name, spelled, how, shown)
							}
						}
					}
				}
			}
		}
	}
}

// swap is one transport first, and another one then.
type swap struct {
	first, then http.RoundTripper
	swapped     atomic.Bool
}

func (s *swap) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.swapped.Load() {
		return s.then.RoundTrip(r)
	}
	return s.first.RoundTrip(r)
}
