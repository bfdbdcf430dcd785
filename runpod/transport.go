package runpod

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
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// maxBody is the largest answer that is read. An account with a thousand
// endpoints stays far below it.
const maxBody = 4 << 20

// maxRetryAfter bounds what a server can ask for.
const maxRetryAfter = 24 * time.Hour

// transport authorizes requests and turns every answer that is not plainly
// good into an *APIError, so that the GraphQL client above it, which reports
// errors as text and reads bodies without a limit, only ever sees good ones.
//
// The key lives in closures alone: no formatting of any struct can print it.
type transport struct {
	base      http.RoundTripper
	authorize func(http.Header)
	hide      func(string) string
	// check finds fault with the body of a good answer, and always with one
	// that is not JSON.
	check  func(ctx context.Context, body []byte) *APIError
	limits *limits // nil if RunPod does not tell any
}

// authorized returns a copy of c that sends key, and answers whose body check
// has nothing to say about.
func authorized(c *http.Client, key string, s secrets, check func(context.Context, []byte) *APIError, l *limits) *http.Client {
	base := c.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	authorized := *c
	authorized.Transport = &transport{
		base:      base,
		authorize: func(h http.Header) { h.Set("Authorization", "Bearer "+key) },
		hide:      s.hide,
		check:     check,
		limits:    l,
	}
	return &authorized
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.admit(req.Context()); err != nil {
		return nil, err
	}
	out := req.WithContext(req.Context()) // a shallow copy
	out.Header = req.Header.Clone()
	t.authorize(out.Header)
	res, err := t.base.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	if t.limits != nil {
		t.limits.note(res, time.Now())
	}
	body, err := readBody(res)
	if err == nil {
		err = t.judge(req.Context(), res, body)
	}
	if api, ok := asType[*APIError](err); ok {
		// What it means is in RunPod's own words, of which one may be an
		// environment's value too. And a secret that was cut would not be found.
		meant := api.decision()
		api.decided = &meant
		api.Message = clip(t.hide(api.Message))
		api.Code = clip(t.hide(api.Code))
	}
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}

// admit refuses what RunPod is sure to refuse, and counts what polling spends.
func (t *transport) admit(ctx context.Context) error {
	if t.limits == nil {
		return nil
	}
	if wait := t.limits.exhausted(time.Now()); wait > 0 {
		return &APIError{
			StatusCode: http.StatusTooManyRequests, RetryAfterDelay: wait,
			Message: "not sent: the account's rate limit is used up for now",
		}
	}
	if ctx.Value(polling{}) != nil {
		t.limits.spend()
	}
	return nil
}

func readBody(res *http.Response) ([]byte, error) {
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case res.StatusCode >= 300:
		// The status says more than how the body ended.
		return body, nil
	case err != nil:
		return nil, fmt.Errorf("answer broke off: %w", err)
	case len(body) > maxBody:
		return nil, unclear("answer of more than %d MiB", maxBody>>20)
	}
	return body, nil
}

func (t *transport) judge(ctx context.Context, res *http.Response, body []byte) error {
	if res.StatusCode >= 300 {
		e := &APIError{StatusCode: res.StatusCode, RetryAfterDelay: retryAfter(res.Header, time.Now())}
		e.Code, e.Message = explain(res.Header, body)
		if t.limits != nil && res.StatusCode == http.StatusTooManyRequests {
			e.RetryAfterDelay = max(e.RetryAfterDelay, t.limits.exhausted(time.Now()))
		}
		if location := res.Header.Get("Location"); e.Message == "" && location != "" {
			e.Message = "redirects are not followed"
		}
		return e
	}
	if res.StatusCode != http.StatusOK {
		return &APIError{StatusCode: res.StatusCode, Message: "answer without a result", vague: true}
	}
	if e := t.check(ctx, body); e != nil {
		if !json.Valid(body) {
			what := "answer that is not complete JSON"
			if isHTML(res.Header, body) {
				what = "answer in HTML"
			}
			return unclear("%s", what)
		}
		e.StatusCode = http.StatusOK
		e.RetryAfterDelay = retryAfter(res.Header, time.Now())
		return e
	}
	return nil
}

func checkJSON(_ context.Context, body []byte) *APIError {
	if json.Valid(body) {
		return nil
	}
	return &APIError{vague: true}
}

// writing marks the context of a mutation.
type writing struct{}

type graphQLError struct {
	Message    string `json:"message"`
	Extensions struct {
		Code string `json:"code"`
	} `json:"extensions"`
}

// checkGraphQL looks for errors[] and for an answer without data.
func checkGraphQL(ctx context.Context, body []byte) *APIError {
	// What does not speak of errors is taken apart once, by whoever asked: a list
	// of a whole account is long.
	if data, ok := bytes.CutPrefix(body, []byte(`{"data":{"`)); ok && !bytes.Contains(data, []byte(`"errors"`)) {
		return nil
	}
	var answer struct {
		Data   json.RawMessage `json:"data"`
		Errors json.RawMessage `json:"errors"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return &APIError{Message: "answer that is not GraphQL's", vague: true}
	}
	if e := firstError(answer.Errors); e != nil {
		var fields map[string]json.RawMessage
		_ = json.Unmarshal(answer.Data, &fields) // not an object: no fields
		applied := false
		for _, f := range fields {
			applied = applied || string(f) != "null"
		}
		// A mutation that failed in part has been carried out in part.
		e.vague = e.vague || applied && ctx.Value(writing{}) != nil
		return e
	}
	inside, object := bytes.CutPrefix(bytes.TrimSpace(answer.Data), []byte("{"))
	if !object || bytes.HasPrefix(bytes.TrimSpace(inside), []byte("}")) {
		return &APIError{Message: "answer without data", vague: true}
	}
	return nil
}

// firstError joins errors[] to one, under the code of the first. A single
// error that leaves the outcome open makes the whole open.
func firstError(raw json.RawMessage) *APIError {
	if len(raw) == 0 || string(raw) == "null" || string(raw) == "[]" {
		return nil
	}
	var list []graphQLError
	if err := json.Unmarshal(raw, &list); err != nil || len(list) == 0 {
		return &APIError{Message: "answer with errors that cannot be read", vague: true}
	}
	e := &APIError{Code: list[0].Extensions.Code}
	var texts []string
	for _, g := range list {
		one := &APIError{Code: g.Extensions.Code, Message: g.Message}
		e.vague = e.vague || len(list) > 1 && errors.Is(one.spoken(), endpoint.ErrUnavailable)
		texts = append(texts, g.Message)
	}
	e.Message = strings.Join(texts, "; ")
	return e
}

// explain finds RunPod's words in the body of a refusal. Its services have
// several ways to put them.
func explain(h http.Header, body []byte) (code, message string) {
	var doc struct {
		Errors  json.RawMessage `json:"errors"`
		Error   any             `json:"error"`
		Message any             `json:"message"`
		Title   any             `json:"title"`
		Detail  any             `json:"detail"`
		Code    any             `json:"code"`
	}
	if json.Unmarshal(body, &doc) == nil {
		var violations []string
		if json.Unmarshal(doc.Errors, &violations) != nil {
			if e := firstError(doc.Errors); e != nil && !e.vague {
				return e.Code, e.Message
			}
		}
		code, _ = doc.Code.(string)
		for _, v := range []any{doc.Detail, doc.Message, doc.Error, doc.Title} {
			if s, ok := v.(string); ok && s != "" {
				return code, strings.Join(append([]string{s}, violations...), " ")
			}
		}
		return code, strings.Join(violations, " ")
	}
	if isHTML(h, body) || bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		return "", ""
	}
	return "", string(body)
}

func isHTML(h http.Header, body []byte) bool {
	return strings.Contains(h.Get("Content-Type"), "html") || bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}

// retryAfter reads a Retry-After header: seconds, or a date by the server's
// own clock where it shows that.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if s, err := strconv.ParseInt(v, 10, 64); err == nil {
		return time.Duration(min(max(s, 0), int64(maxRetryAfter/time.Second))) * time.Second
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	if served, err := http.ParseTime(h.Get("Date")); err == nil {
		now = served
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
