package runpod_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

// answers is a server that says the same to everything.
type answers struct {
	status int
	header http.Header
	body   string
	err    error
	sent   []*http.Request
}

func (a *answers) RoundTrip(req *http.Request) (*http.Response, error) {
	a.sent = append(a.sent, req)
	if a.err != nil {
		return nil, a.err
	}
	h := a.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	return &http.Response{StatusCode: a.status, Header: h, Body: io.NopCloser(strings.NewReader(a.body)), Request: req}, nil
}

func (a *answers) endpoint(t *testing.T) *runpod.Endpoint {
	t.Helper()
	c, err := runpod.New(runpodtest.Key, runpod.WithHTTPClient(&http.Client{Transport: a}), runpod.WithTransport(runpod.GraphQL))
	if err != nil {
		t.Fatal(err)
	}
	return c.Endpoint(endpointID)
}

const quotaRefusal = "Max workers across all endpoints must not exceed your workers quota (10). Reduce the max workers for other endpoints " +
	"or lower the max worker count for this endpoint to at most 4."

func TestErrors(t *testing.T) {
	page := "<!DOCTYPE html><html><body>" + strings.Repeat("an error page ", 500) + "</body></html>"
	refused := func(message, code string) string {
		return `{"errors":[{"message":"` + message + `","extensions":{"code":"` + code + `"}}],"data":{"myself":null}}`
	}
	tests := []struct {
		name   string
		answer answers
		want   error
		after  time.Duration
	}{
		{"401", answers{status: 401, body: "Unauthorized\n"}, endpoint.ErrUnauthorized, 0},
		{"403", answers{status: 403, body: "Forbidden\n"}, endpoint.ErrUnauthorized, 0},
		{"404", answers{status: 404, body: `{"error":"endpoint not found","status":404}`}, endpoint.ErrNotFound, 0},
		// A gateway's page is no fact about the key or the endpoint.
		{"401 as a page", answers{status: 401, body: page}, endpoint.ErrUnavailable, 0},
		{"401 as another's text", answers{status: 401, body: "who goes there?"}, endpoint.ErrUnavailable, 0},
		{"403 as a page", answers{status: 403, body: page}, endpoint.ErrUnavailable, 0},
		{"404 as text", answers{status: 404, body: "404 page not found"}, endpoint.ErrUnavailable, 0},
		{"404 as a page", answers{status: 404, body: page}, endpoint.ErrUnavailable, 0},
		{"410 as a page", answers{status: 410, body: page}, endpoint.ErrUnavailable, 0},
		{"410", answers{status: 410, body: `{"error":"GraphQL has been retired"}`}, errors.ErrUnsupported, 0},
		{"400 as a page", answers{status: 400, body: page}, endpoint.ErrUnavailable, 0},
		{"422 without a body", answers{status: 422}, endpoint.ErrUnavailable, 0},
		{"409", answers{status: 409, body: `{"title":"Conflict","detail":"busy","code":"X"}`}, endpoint.ErrBusy, 0},
		{"429", answers{status: 429, header: http.Header{"Retry-After": {"7"}}, body: page}, endpoint.ErrThrottled, 7 * time.Second},
		{"429 with a date", answers{status: 429, header: http.Header{
			"Date": {"Tue, 06 Oct 2026 10:00:00 GMT"}, "Retry-After": {"Tue, 06 Oct 2026 10:01:30 GMT"},
		}}, endpoint.ErrThrottled, 90 * time.Second},
		{"429 with nonsense", answers{status: 429, header: http.Header{"Retry-After": {"soon"}}}, endpoint.ErrThrottled, 0},
		{"429 with a negative", answers{status: 429, header: http.Header{"Retry-After": {"-4"}}}, endpoint.ErrThrottled, 0},
		{"429 with a century", answers{status: 429, header: http.Header{"Retry-After": {"9000000000"}}}, endpoint.ErrThrottled, 2 * time.Minute},
		{"429 about a quota", answers{status: 429, body: `{"message":"request quota of 100 per minute"}`}, endpoint.ErrThrottled, 0},
		{"400", answers{status: 400, body: refused("Cannot query field", "GRAPHQL_VALIDATION_FAILED")}, endpoint.ErrInvalid, 0},
		{"400 with a quota refusal", answers{status: 400, body: `{"error":"` + quotaRefusal + `"}`}, endpoint.ErrQuota, 0},
		{"500 with a quota refusal", answers{status: 500, body: `{"error":"` + quotaRefusal + `","status":500}`}, endpoint.ErrQuota, 0},
		{"500", answers{status: 500}, endpoint.ErrUnavailable, 0},
		{"502 as a page", answers{status: 502, body: page}, endpoint.ErrUnavailable, 0},
		{"503", answers{status: 503, header: http.Header{"Retry-After": {"3"}}}, endpoint.ErrUnavailable, 3 * time.Second},
		{"408", answers{status: 408}, endpoint.ErrUnavailable, 0},
		{"302", answers{status: 302, header: http.Header{"Location": {"https://elsewhere.example/"}}}, nil, 0},
		{"202", answers{status: 202, body: `{"data":{"x":"` + secret + `"}}`}, endpoint.ErrUnavailable, 0},
		{"204", answers{status: 204}, endpoint.ErrUnavailable, 0},
		{"200 key as a field", answers{status: 200, body: `{"data":{"` + runpodtest.Key + `":1}}`}, endpoint.ErrUnavailable, 0},
		{"200 unauthorized", answers{status: 200, body: refused("Unauthorized", "RUNPOD")}, endpoint.ErrUnauthorized, 0},
		{"200 quota", answers{status: 200, body: refused(quotaRefusal, "RUNPOD")}, endpoint.ErrQuota, 0},
		{
			"200 older quota wording",
			answers{status: 200, body: refused("Your worker concurrency cannot go beyond the maximum limit of (20)", "RUNPOD")},
			endpoint.ErrQuota, 0,
		},
		{"200 not found", answers{status: 200, body: refused("Template not found", "RUNPOD")}, endpoint.ErrNotFound, 0},
		{"200 refused", answers{status: 200, body: refused("Name must be unique", "RUNPOD")}, endpoint.ErrInvalid, 0},
		{"200 try again", answers{status: 200, body: refused("Something went wrong. Please try again later.", "RUNPOD")}, endpoint.ErrUnavailable, 0},
		{"200 internal", answers{status: 200, body: refused("oops", "INTERNAL_SERVER_ERROR")}, endpoint.ErrUnavailable, 0},
		{"200 too many", answers{status: 200, body: refused("Too Many Requests", "RUNPOD")}, endpoint.ErrThrottled, 0},
		{
			"200 one doubt among refusals",
			answers{status: 200, body: `{"errors":[{"message":"Name must be unique"},{"message":"internal server error"}],"data":null}`},
			endpoint.ErrUnavailable, 0,
		},
		{"200 refused without a word", answers{status: 200, body: `{"errors":[{}],"data":null}`}, endpoint.ErrInvalid, 0},
		{"200 unreadable errors", answers{status: 200, body: `{"errors":"boom","data":null}`}, endpoint.ErrUnavailable, 0},
		{"200 null data", answers{status: 200, body: `{"data":null}`}, endpoint.ErrUnavailable, 0},
		{"200 no data", answers{status: 200, body: `{}`}, endpoint.ErrUnavailable, 0},
		{"200 another shape", answers{status: 200, body: `{"data":{"myself":[1],"saveTemplate":1,"updateEndpointTemplate":1,"Answer":2}}`}, endpoint.ErrUnavailable, 0},
		{"200 array", answers{status: 200, body: `[]`}, endpoint.ErrUnavailable, 0},
		{"200 page", answers{status: 200, body: page}, endpoint.ErrUnavailable, 0},
		{"200 empty", answers{status: 200}, endpoint.ErrUnavailable, 0},
		{"200 truncated", answers{status: 200, body: `{"data":{"myself":{"endpo`}, endpoint.ErrUnavailable, 0},
		{"200 and more", answers{status: 200, body: `{"data":{}} {"data":{}}`}, endpoint.ErrUnavailable, 0},
		{"200 too large", answers{status: 200, body: `{"data":{}}` + strings.Repeat(" ", 5<<20)}, endpoint.ErrUnavailable, 0},
		{"connection", answers{err: io.ErrUnexpectedEOF}, endpoint.ErrUnavailable, 0},
		{"the client's own timeout", answers{err: context.DeadlineExceeded}, endpoint.ErrUnavailable, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := tt.answer.endpoint(t)
			_, err := e.Status(t.Context())
			checkError(t, err, tt.want)
			if got := endpoint.RetryAfter(err); got != tt.after {
				t.Errorf("RetryAfter = %v, want %v", got, tt.after)
			}
			if n := len(tt.answer.sent); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		})
	}
}

// checkError holds what is true of every error.
func checkError(t *testing.T, err, want error) {
	t.Helper()
	var e *endpoint.Error
	if !errors.As(err, &e) || e.Endpoint != "runpod/"+endpointID || errors.As(e.Err, new(*endpoint.Error)) {
		t.Fatalf("error %v is not wrapped once", err)
	}
	matched := []error{}
	for _, s := range []error{
		endpoint.ErrNotFound, endpoint.ErrInvalid, endpoint.ErrUnauthorized, endpoint.ErrThrottled, endpoint.ErrBusy,
		endpoint.ErrQuota, endpoint.ErrUnavailable, endpoint.ErrDrift, endpoint.ErrShared, context.DeadlineExceeded, context.Canceled,
		errors.ErrUnsupported,
	} {
		if errors.Is(err, s) {
			matched = append(matched, s)
		}
	}
	wanted := []error{}
	if want != nil {
		wanted = append(wanted, want)
	}
	if diff := cmp.Diff(wanted, matched, cmpopts.EquateErrors()); diff != "" {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	if len(err.Error()) > 1<<11 || strings.Contains(err.Error(), "<html") {
		t.Errorf("error of %d bytes: %.200s", len(err.Error()), err)
	}
	noSecret(t, err.Error())
}

// A mutation whose outcome is open must never look as if it was refused.
func TestMutationErrors(t *testing.T) {
	tests := []struct {
		name      string
		fault     runpodtest.Fault
		want      error
		unapplied bool
	}{
		{"connection lost after", runpodtest.Dropped(true), endpoint.ErrUnavailable, false},
		{"connection lost before", runpodtest.Dropped(false), endpoint.ErrUnavailable, false},
		{"truncated", runpodtest.Fault{Truncate: true}, endpoint.ErrUnavailable, false},
		{"null", runpodtest.Fault{Null: true, Applied: true}, endpoint.ErrUnavailable, false},
		{"too large", runpodtest.Fault{Pad: 5 << 20}, endpoint.ErrUnavailable, false},
		{"502", runpodtest.HTTPStatus(502), endpoint.ErrUnavailable, false},
		{"page", runpodtest.Fault{Status: 200, Body: "<html></html>", Applied: true}, endpoint.ErrUnavailable, false},
		{"redirect", runpodtest.Fault{Status: 307, Header: http.Header{"Location": {"/elsewhere"}}, Body: " "}, nil, false},
		{"fault in words", runpodtest.Refused("Internal server error"), endpoint.ErrUnavailable, false},
		{"slow", runpodtest.Fault{Delay: time.Hour, Applied: true}, endpoint.ErrUnavailable, false},
		{
			"in part",
			runpodtest.Fault{Body: `{"errors":[{"message":"Name must be unique"}],"data":{"m":{"id":"x"}}}`},
			endpoint.ErrUnavailable, false,
		},
		{"401", runpodtest.Fault{Status: 401, Body: "Unauthorized\n"}, endpoint.ErrUnauthorized, true},
		{"403", runpodtest.Fault{Status: 403, Body: "Forbidden\n"}, endpoint.ErrUnauthorized, true},
		{"404", runpodtest.Fault{Status: 404, Body: `{"error":"not found"}`}, endpoint.ErrNotFound, true},
		{"401 by a gateway", runpodtest.HTTPStatus(401), endpoint.ErrUnavailable, false},
		{"403 by a gateway", runpodtest.HTTPStatus(403), endpoint.ErrUnavailable, false},
		{"404 by a gateway", runpodtest.HTTPStatus(404), endpoint.ErrUnavailable, false},
		{"429", runpodtest.RateLimited(time.Second), endpoint.ErrThrottled, true},
		{"refused", runpodtest.Refused("Name must be unique"), endpoint.ErrInvalid, true},
		{"quota", runpodtest.Refused(quotaRefusal), endpoint.ErrQuota, true},
	}
	draft := func(t *testing.T, e *runpod.Endpoint) endpoint.Draft {
		t.Helper()
		d, err := e.Draft(t.Context(), endpoint.Revision{Kind: "template", ID: nextID}, imageV3)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	writes := map[string]func(*testing.T, context.Context, *runpod.Endpoint) error{
		"updateEndpointTemplate": func(_ *testing.T, ctx context.Context, e *runpod.Endpoint) error {
			return e.Update(ctx, endpoint.Change{To: endpoint.Revision{Kind: "template", ID: nextID}})
		},
		"updateEndpointWorkersMin": func(_ *testing.T, ctx context.Context, e *runpod.Endpoint) error {
			return e.Set(ctx, endpoint.WorkersMin, 1)
		},
		"updateEndpointWorkersMax": func(_ *testing.T, ctx context.Context, e *runpod.Endpoint) error {
			return e.Set(ctx, endpoint.WorkersMax, 4)
		},
		"saveTemplate": func(t *testing.T, ctx context.Context, e *runpod.Endpoint) error {
			t.Helper()
			return e.Stage(ctx, draft(t, e))
		},
	}
	for field, write := range writes {
		for _, tt := range tests {
			t.Run(field+"/"+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := account(t)
					hc := srv.Client()
					hc.Timeout = 30 * time.Second
					e := client(t, srv, runpod.WithHTTPClient(hc)).Endpoint(endpointID)
					srv.Fail(runpodtest.Call{Field: field, Times: -1}, tt.fault)
					err := write(t, t.Context(), e)
					checkError(t, err, tt.want)
					if got := endpoint.Unapplied(err); got != tt.unapplied {
						t.Errorf("Unapplied(%v) = %v, want %v", err, got, tt.unapplied)
					}
					if n := len(srv.Mutations()); n != 1 {
						t.Errorf("%d mutations sent, want 1", n)
					}
				})
			})
		}
	}
}

func TestAtMost(t *testing.T) {
	srv := account(t)
	err := client(t, srv).Endpoint(endpointID).Set(t.Context(), endpoint.WorkersMax, 11)
	var api *runpod.APIError
	if !errors.Is(err, endpoint.ErrQuota) || !errors.As(err, &api) {
		t.Fatalf("Set = %v, want ErrQuota from RunPod", err)
	}
	if n, ok := api.AtMost(); n != 10 || !ok {
		t.Errorf("AtMost = %d, %v, want 10, true", n, ok)
	}
	if _, ok := (&runpod.APIError{}).AtMost(); ok {
		t.Error("AtMost found a number where there is none")
	}
}

// GraphQL servers quote the variables that they refuse.
func TestRefusalQuotingSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := account(t)
		e := client(t, srv).Endpoint(endpointID)
		d, err := e.Draft(t.Context(), endpoint.Revision{ID: nextID}, imageV3)
		if err != nil {
			t.Fatal(err)
		}
		noSecret(t, string(d.Body))
		srv.Fail(runpodtest.Call{Field: "saveTemplate"}, runpodtest.Refused(
			`Variable "$input" got invalid value "`+secret+`" at "input.env[0].value"; key `+runpodtest.Key))
		checkError(t, e.Stage(t.Context(), d), endpoint.ErrInvalid)
	})
}

// A message is cut, and made one line: that must not keep a secret in it from
// being found.
func TestRefusalQuotingLongSecrets(t *testing.T) {
	pem := "-----BEGIN KEY-----\n" + strings.Repeat(secret, 4) + "\n\"end\" <&>\n-----END KEY-----"
	quoted, err := json.Marshal(pem)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"cut":             strings.Repeat("x", 1<<10-len(pem)/2) + pem,
		"of many lines":   "value " + pem,
		"quoted":          "value " + string(quoted),
		"quoted by a web": "value " + strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(quoted)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := account(t)
				srv.Do(func(st *runpodtest.State) {
					st.EditTemplate(nextID, func(t *runpodtest.Template) { t.Env["PEM"] = pem })
				})
				e := client(t, srv).Endpoint(endpointID)
				d, err := e.Draft(t.Context(), endpoint.Revision{ID: nextID}, imageV3)
				if err != nil {
					t.Fatal(err)
				}
				srv.Fail(runpodtest.Call{Field: "saveTemplate"}, runpodtest.Refused(text))
				err = e.Stage(t.Context(), d)
				checkError(t, err, endpoint.ErrInvalid)
				for _, part := range []string{"hunter2", "BEGIN KEY"} {
					if strings.Contains(err.Error(), part) {
						t.Errorf("a part of a secret shows in %v", err)
					}
				}
			})
		})
	}
}

func TestWhichKeyIsRefused(t *testing.T) {
	tests := []struct {
		name string
		opts []runpodtest.Option
		want string
	}{
		{"management", []runpodtest.Option{runpodtest.WithKey("rpa_JOB", runpodtest.JobsOnly)}, "RUNPOD_API_KEY"},
		{"management may not", []runpodtest.Option{
			runpodtest.WithKey("rpa_JOB", runpodtest.JobsOnly), runpodtest.WithKey(runpodtest.Key, runpodtest.JobsOnly),
		}, "RUNPOD_API_KEY"},
		{"job", []runpodtest.Option{runpodtest.WithKey(runpodtest.Key, runpodtest.FullAccess)}, "RUNPOD_JOB_KEY"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := account(t, tt.opts...)
			_, err := client(t, srv, runpod.WithJobKey("rpa_JOB")).Endpoint(endpointID).Status(t.Context())
			checkError(t, err, endpoint.ErrUnauthorized)
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "rpa_JOB") {
				t.Errorf("Status = %v, want a word about %s", err, tt.want)
			}
		})
	}
}
