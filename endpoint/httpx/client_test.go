package httpx_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// round answers every request the same way, and keeps what it was asked.
type round struct {
	status int
	header http.Header
	body   string
	err    error
	sent   []*http.Request
}

func (r *round) RoundTrip(req *http.Request) (*http.Response, error) {
	r.sent = append(r.sent, req)
	if r.err != nil {
		return nil, r.err
	}
	h := r.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	return &http.Response{StatusCode: r.status, Header: h, Body: io.NopCloser(strings.NewReader(r.body)), Request: req}, nil
}

func (r *round) client() *httpx.Client {
	return &httpx.Client{
		URL: "https://api.example.com/v1/", HTTP: &http.Client{Transport: r},
		Authorize: func(h http.Header) { h.Set("Authorization", "Bearer hunter2") },
		Hide:      func(s string) string { return strings.ReplaceAll(s, "hunter2", "[redacted]") },
	}
}

func TestClassification(t *testing.T) {
	page := "<html><title>Error</title></html>"
	own := `{"message":"no such thing","code":"X1"}`
	retry := func(v string) http.Header { return http.Header{"Retry-After": {v}} }
	for _, tt := range []struct {
		name  string
		round round
		want  error
		after time.Duration
		text  string
	}{
		{"401", round{status: 401, body: own}, endpoint.ErrUnauthorized, 0, "401 Unauthorized: no such thing (X1)"},
		{"403", round{status: 403, body: own}, endpoint.ErrUnauthorized, 0, ""},
		{"404", round{status: 404, body: own}, endpoint.ErrNotFound, 0, ""},
		{"410", round{status: 410, body: own}, endpoint.ErrNotFound, 0, ""},
		{"409", round{status: 409, body: own}, endpoint.ErrBusy, 0, ""},
		{"422", round{status: 422, body: own}, endpoint.ErrInvalid, 0, ""},
		{"429", round{status: 429, body: own, header: retry("7")}, endpoint.ErrThrottled, 7 * time.Second, ""},
		{"429 as a page", round{status: 429, body: page, header: retry("7")}, endpoint.ErrThrottled, 7 * time.Second, ""},
		{"429 with a date", round{status: 429, header: http.Header{
			"Date": {"Tue, 06 Oct 2026 10:00:00 GMT"}, "Retry-After": {"Tue, 06 Oct 2026 10:01:30 GMT"},
		}}, endpoint.ErrThrottled, 90 * time.Second, ""},
		{"429 with nonsense", round{status: 429, header: retry("soon")}, endpoint.ErrThrottled, 0, ""},
		{"429 for a day", round{status: 429, header: retry("86400")}, endpoint.ErrThrottled, 2 * time.Minute, "asked for 24h0m0s of rest"},
		{"408", round{status: 408}, endpoint.ErrUnavailable, 0, ""},
		{"500", round{status: 500, body: own}, endpoint.ErrUnavailable, 0, ""},
		{"503", round{status: 503, body: page, header: retry("3")}, endpoint.ErrUnavailable, 3 * time.Second, ""},
		{"401 as a page", round{status: 401, body: page}, endpoint.ErrUnavailable, 0, "check the URL"},
		{"404 as text", round{status: 404, body: "404 page not found\n"}, endpoint.ErrUnavailable, 0, "check the URL"},
		{"404 of another's JSON", round{status: 404, body: `{"path":"/x"}`}, endpoint.ErrUnavailable, 0, "check the URL"},
		{"410 as a page", round{status: 410, body: page}, endpoint.ErrUnavailable, 0, ""},
		{"422 cut off", round{status: 422, body: own[:10]}, endpoint.ErrUnavailable, 0, ""},
		{"302", round{status: 302, header: http.Header{"Location": {"https://elsewhere.example/"}}}, nil, 0, "redirects are not followed"},
		{"307", round{status: 307, header: http.Header{"Location": {"/other"}}}, nil, 0, ""},
		{"202", round{status: 202, body: own}, endpoint.ErrUnavailable, 0, "without a result"},
		{"204", round{status: 204}, endpoint.ErrUnavailable, 0, ""},
		{"a page", round{status: 200, body: page}, endpoint.ErrUnavailable, 0, "HTML"},
		{"empty", round{status: 200}, endpoint.ErrUnavailable, 0, ""},
		{"cut off", round{status: 200, body: `{"name":"x`}, endpoint.ErrUnavailable, 0, ""},
		{"too large", round{status: 200, body: `{}` + strings.Repeat(" ", 5<<20)}, endpoint.ErrUnavailable, 0, "4 MiB"},
		{"another shape", round{status: 200, body: `{"workers":{"max":"three"}}`}, errors.ErrUnsupported, 0, "workers.max is a JSON string, want int"},
		{"a list", round{status: 200, body: `[]`}, endpoint.ErrUnavailable, 0, ""},
		{"broken", round{err: io.ErrUnexpectedEOF}, endpoint.ErrUnavailable, 0, ""},
		{"the client's own time limit", round{err: context.DeadlineExceeded}, endpoint.ErrUnavailable, 0, ""},
		{"a protocol error with the key", round{err: errors.New(`malformed HTTP response "hunter2"`)}, endpoint.ErrUnavailable, 0, `"[redacted]"`},
		{"the key in a refusal", round{status: 400, body: `{"message":"hunter2 is wrong"}`}, endpoint.ErrInvalid, 0, "[redacted] is wrong"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out struct {
				Workers struct {
					Max int `json:"max"`
				} `json:"workers"`
			}
			err := tt.round.client().Do(t.Context(), http.MethodGet, "things/a", nil, &out)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Fatalf("Do = %v, want %v", err, tt.want)
			}
			for _, c := range []error{
				endpoint.ErrNotFound, endpoint.ErrInvalid, endpoint.ErrUnauthorized, endpoint.ErrThrottled, endpoint.ErrBusy,
				endpoint.ErrUnavailable, errors.ErrUnsupported, context.DeadlineExceeded,
			} {
				if errors.Is(err, c) && !errors.Is(c, tt.want) {
					t.Errorf("%v is %v too", err, c)
				}
			}
			if got := endpoint.RetryAfter(err); got != tt.after {
				t.Errorf("RetryAfter = %v, want %v", got, tt.after)
			}
			if s := err.Error(); !strings.Contains(s, tt.text) || strings.Contains(s, "hunter2") || len(s) > 2<<10 || strings.Contains(s, "<html") {
				t.Errorf("text %q, want %q in it", s, tt.text)
			}
			if len(tt.round.sent) != 1 {
				t.Errorf("%d requests were sent", len(tt.round.sent))
			}
		})
	}
}

// TestWriteOfAnotherShape: a write whose answer cannot be read may have been applied.
func TestWriteOfAnotherShape(t *testing.T) {
	r := round{status: 200, body: `{"name":1}`}
	err := r.client().Do(t.Context(), http.MethodPatch, "x", struct{}{}, &struct{ Name string }{})
	if !errors.Is(err, endpoint.ErrUnavailable) || endpoint.Unapplied(err) {
		t.Errorf("Do = %v, want the outcome open", err)
	}
}

func TestRequest(t *testing.T) {
	r := round{status: 200, body: `{"name":"a"}`}
	c := r.client()
	var out struct{ Name string }
	if err := c.Do(t.Context(), http.MethodPut, "things/a%2Fb", map[string]int{"n": 1}, &out); err != nil || out.Name != "a" {
		t.Fatalf("Do = %v, %+v", err, out)
	}
	req := r.sent[0]
	if req.URL.String() != "https://api.example.com/v1/things/a%2Fb" || req.Header.Get("Authorization") != "Bearer hunter2" ||
		req.Header.Get("Content-Type") != "application/json" {
		t.Errorf("sent %s %v", req.URL, req.Header)
	}
	// A body that net/http can produce again, it may send again.
	if req.Body == nil || req.Body == http.NoBody || req.GetBody != nil {
		t.Error("net/http could send the body twice")
	}
}

func TestStatuses(t *testing.T) {
	r := round{status: 204}
	c := r.client()
	c.OK = []int{200, 204}
	if err := c.Do(t.Context(), http.MethodPost, "x/pause", nil, &struct{}{}); err != nil {
		t.Errorf("Do = %v", err)
	}
	r.status = 202
	if err := c.Do(t.Context(), http.MethodPost, "x/pause", nil, nil); !errors.Is(err, endpoint.ErrUnavailable) {
		t.Errorf("Do = %v", err)
	}
}

// TestHooks: the provider's reading of a refusal is before anything is hidden.
func TestHooks(t *testing.T) {
	r := round{status: 418, body: "teapot hunter2"}
	c := r.client()
	c.Explain = func(status int, _ http.Header, body []byte) (string, string, bool) {
		return "T", string(body), status == 418
	}
	type wrapped struct{ *httpx.ResponseError }
	c.Classify = func(e *httpx.ResponseError) error {
		if e.Message != "teapot hunter2" {
			t.Errorf("Classify sees %q", e.Message)
		}
		e.Condition = endpoint.ErrQuota
		return wrapped{e}
	}
	var w wrapped
	if err := c.Do(t.Context(), http.MethodGet, "x", nil, nil); !errors.As(err, &w) || !errors.Is(err, endpoint.ErrQuota) || w.Message != "teapot [redacted]" {
		t.Errorf("Do = %v", err)
	}
	r.status, r.body = 200, `{"error":"no hunter2"}`
	c.Judge = func(context.Context, []byte) *httpx.ResponseError {
		return &httpx.ResponseError{Message: "no hunter2", Condition: endpoint.ErrBusy}
	}
	c.Classify = nil
	if err := c.Do(t.Context(), http.MethodGet, "x", nil, nil); !errors.Is(err, endpoint.ErrBusy) || err.Error() != "no [redacted]" {
		t.Errorf("Do = %v", err)
	}
}

func TestDoneContext(t *testing.T) {
	cause := errors.New("stopped by hand")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	r := round{status: 200}
	if err := r.client().Do(ctx, http.MethodGet, "x", nil, nil); !errors.Is(err, cause) || !errors.Is(err, context.Canceled) || len(r.sent) > 0 {
		t.Errorf("Do = %v, with %d requests", err, len(r.sent))
	}
}

// TestRealServer: over a socket too, a redirect is not followed and a broken
// connection is not tried again.
func TestRealServer(t *testing.T) {
	var mu sync.Mutex // an aborted request is over for the client while its handler goes on
	var paths []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		paths = append(paths, r.Method+" "+r.URL.Path)
		mu.Unlock()
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		case "/drop":
			panic(http.ErrAbortHandler)
		default:
			_, _ = io.WriteString(w, `{}`)
		}
	}))
	defer srv.Close()
	c := &httpx.Client{URL: srv.URL}
	if err := c.Do(t.Context(), http.MethodGet, "good", nil, nil); err != nil {
		t.Error(err)
	}
	if err := c.Do(t.Context(), http.MethodPost, "redirect", 1, nil); err == nil || endpoint.Transient(err) || endpoint.Unapplied(err) {
		t.Errorf("a redirect is %v", err)
	}
	if err := c.Do(t.Context(), http.MethodPost, "drop", 1, nil); !errors.Is(err, endpoint.ErrUnavailable) {
		t.Errorf("a broken connection is %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(paths, " "); got != "GET /good POST /redirect POST /drop" {
		t.Errorf("the server saw %s", got)
	}
}

func TestOpen(t *testing.T) {
	r := round{status: 200, body: "data: 1\n\n"}
	c := r.client()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.URL+"logs", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Open(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if b, _ := io.ReadAll(res.Body); string(b) != r.body {
		t.Errorf("read %q", b)
	}
	r.status, r.body = 404, `{"message":"hunter2 has no logs"}`
	if _, err := c.Open(req); !errors.Is(err, endpoint.ErrNotFound) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("Open = %v", err)
	}
}
