package endpointtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// tinyService is a provider with three requests, over the workers of a fake:
// GET shows the endpoint, PUT changes its template, PATCH its bounds.
type tinyService struct {
	w        *Workers
	confused bool
}

func (s *tinyService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/endpoint" {
		http.NotFound(w, r)
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+theKey {
		s.answer(w, http.StatusUnauthorized, map[string]string{"error": "who are you?"})
		return
	}
	var in struct {
		Template string
		Bounds   endpoint.Settings
	}
	err := json.NewDecoder(r.Body).Decode(&in)
	switch {
	case r.Method == http.MethodGet:
		err = nil
	case err != nil:
	case r.Method == http.MethodPut:
		err = s.w.Update(r.Context(), endpoint.Change{To: endpoint.Revision{Kind: kindTemplate, ID: in.Template}})
	default:
		for _, key := range in.Bounds.Keys() {
			err = errors.Join(err, s.w.Set(r.Context(), key, in.Bounds[key]))
		}
	}
	if err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, endpoint.ErrNotFound) {
			status = http.StatusNotFound
		}
		s.answer(w, status, map[string]string{"error": err.Error()})
		return
	}
	st, _ := s.w.Status(r.Context())
	out := map[string]any{"id": "prod", "status": st}
	if s.confused {
		b, _ := json.Marshal(st)
		out["status"] = json.RawMessage(strings.Replace(string(b), `"phase":"`, `"phase":"re`, 1))
	}
	s.answer(w, http.StatusOK, out)
}

func (*tinyService) answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// tiny is its updater, which breaks what breaks names.
type tiny struct {
	client *http.Client
	breaks string

	mu  sync.Mutex
	old endpoint.Settings // of the first read
}

// tinyError is an answer.
type tinyError struct {
	condition error
	text      string
	rest      time.Duration
}

func (e *tinyError) Error() string             { return e.text }
func (e *tinyError) Is(target error) bool      { return target == e.condition }
func (e *tinyError) RetryAfter() time.Duration { return e.rest }

func (*tiny) Name() string { return "tiny/prod" }

func (u *tiny) Status(ctx context.Context) (endpoint.Status, error) {
	st, err := u.do(ctx, http.MethodGet, nil)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.old == nil {
		u.old = st.Settings.Clone()
	}
	return st, u.wrap("status", err)
}

func (u *tiny) Update(ctx context.Context, c endpoint.Change) error {
	_, err := u.do(ctx, http.MethodPut, map[string]string{"template": c.To.ID})
	return u.wrap("update", err)
}

func (u *tiny) Set(ctx context.Context, key string, value int) error {
	bounds := endpoint.Settings{key: value}
	if u.breaks == "old bound" {
		u.mu.Lock()
		for other, v := range u.old {
			if other != key {
				bounds[other] = v
			}
		}
		u.mu.Unlock()
	}
	_, err := u.do(ctx, http.MethodPatch, map[string]any{"bounds": bounds})
	return u.wrap("set", err)
}

func (u *tiny) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &endpoint.Error{Op: op, Endpoint: u.Name(), Err: err}
}

func (u *tiny) do(ctx context.Context, method string, in any) (st endpoint.Status, err error) {
	if err := ctx.Err(); err != nil {
		return st, err
	}
	b, _ := json.Marshal(in)
	req, err := http.NewRequestWithContext(ctx, method, "https://api.tiny.example/v1/endpoint", bytes.NewReader(b))
	if err != nil {
		return st, err
	}
	req.Header.Set("Authorization", "Bearer "+theKey)
	client := *u.client
	if u.breaks != "redirect" {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	res, err := client.Do(req)
	if err != nil {
		return st, u.lost(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	limit := int64(1 << 20)
	if u.breaks == "huge" {
		limit = 1 << 40
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, limit))
	switch {
	case err != nil && u.breaks == "cut" && method != http.MethodGet:
		return st, endpoint.ErrInvalid
	case err != nil && res.StatusCode < 300:
		return st, u.lost(ctx, err)
	case res.StatusCode >= 300:
		return st, u.refusal(res, body)
	}
	return u.decode(body)
}

func (u *tiny) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", endpoint.ErrUnavailable, err)
}

func (u *tiny) decode(body []byte) (endpoint.Status, error) {
	var out struct {
		ID     string
		Status endpoint.Status
	}
	err := json.Unmarshal(body, &out)
	switch bad := err != nil || out.ID != "prod"; {
	case bad && u.breaks == "any 200":
		return out.Status, nil
	case bad:
		return endpoint.Status{}, fmt.Errorf("%w: an answer that is not the endpoint", endpoint.ErrUnavailable)
	}
	if u.breaks == "unknown is ready" && out.Status.Phase == endpoint.PhaseUnknown {
		out.Status.Phase = endpoint.PhaseReady
	}
	if out.Status.Phase == endpoint.PhaseUnknown {
		out.Status.Serving = endpoint.Revision{}
	}
	return out.Status, nil
}

// condition is what a status means.
func (u *tiny) condition(status int, own bool) error {
	switch {
	case status == http.StatusNotFound && u.breaks == "404 is an outage":
		return endpoint.ErrUnavailable
	case !own && status == http.StatusNotFound && u.breaks == "any 404":
		return endpoint.ErrNotFound
	case status >= 500 && u.breaks == "5xx is a refusal":
		return endpoint.ErrInvalid
	case status < 400, !own && status < 500 && status != http.StatusTooManyRequests, status >= 500:
		return endpoint.ErrUnavailable
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		if u.breaks == "401 is a mistake" {
			return endpoint.ErrInvalid
		}
		return endpoint.ErrUnauthorized
	case status == http.StatusNotFound:
		return endpoint.ErrNotFound
	case status == http.StatusConflict:
		return map[string]error{"409 is an outage": endpoint.ErrUnavailable, "409 is a mistake": endpoint.ErrInvalid, "": endpoint.ErrBusy}[u.of("409")]
	case status == http.StatusTooManyRequests:
		if u.breaks == "429 is a mistake" {
			return endpoint.ErrInvalid
		}
		return endpoint.ErrThrottled
	case status == http.StatusUnprocessableEntity && u.breaks == "422 is an outage":
		return endpoint.ErrUnavailable
	}
	return endpoint.ErrInvalid
}

// of is what the updater breaks, if it is about prefix.
func (u *tiny) of(prefix string) string {
	if strings.HasPrefix(u.breaks, prefix) {
		return u.breaks
	}
	return ""
}

func (u *tiny) refusal(res *http.Response, body []byte) error {
	var out struct{ Error string }
	own := json.Unmarshal(body, &out) == nil && out.Error != ""
	e := &tinyError{condition: u.condition(res.StatusCode, own), text: res.Status + ": " + out.Error}
	if u.breaks != "shows the key" {
		e.text = strings.ReplaceAll(e.text, theKey, "[hidden]")
	}
	e.text = e.text[:min(len(e.text), 1<<10)]
	if u.breaks == "says nothing" {
		e.text = res.Status
	}
	h := res.Header.Get("Retry-After")
	if n, err := strconv.Atoi(h); err == nil {
		e.rest = max(0, time.Duration(n)*time.Second)
	}
	if at, err := http.ParseTime(h); err == nil && u.breaks != "no dates" {
		e.rest = max(0, time.Until(at))
	}
	if u.breaks == "no rest" || u.breaks == "no rest after 503" && res.StatusCode != http.StatusTooManyRequests ||
		u.breaks == "no rest after 429" && res.StatusCode == http.StatusTooManyRequests {
		e.rest = 0
	}
	return e
}

func tinySubject(breaks string) Subject {
	w, s := workersSubject()
	service := &tinyService{w: w}
	wire := &Wire{Service: service, Write: func(r *http.Request, body []byte) string {
		if r.Method == http.MethodGet {
			return ""
		}
		return r.Method + " " + string(body)
	}}
	return Subject{
		Updater: &tiny{client: wire.Client(), breaks: breaks}, Wire: wire, To: s.To, BreakTarget: s.BreakTarget, Key: s.Key, Value: s.Value,
		Others: s.Others, Secrets: []string{theKey}, Actual: s.Actual, Pause: s.Pause, Empty: s.Empty,
		Confuse: func() { service.confused = true },
	}
}

func tinyHarness(breaks string) Harness {
	return Harness{New: func(testing.TB) Subject { return tinySubject(breaks) }}
}

func TestConformanceOverHTTP(t *testing.T) {
	Run(t, tinyHarness(""))
	RunAnswers(t, tinyHarness(""))
}
