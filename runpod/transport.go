package runpod

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
	"github.com/changeover-dev/changeover/internal/redact"
)

// newAPI returns a client of one of RunPod's APIs. The key lives in a closure
// alone: no formatting of any struct can print it.
func newAPI(o *config, url, key string, secrets *redact.Redactor) *httpx.Client {
	return &httpx.Client{
		URL: strings.TrimRight(url, "/"), HTTP: o.http, MaxDelay: o.maxDelay,
		Authorize: func(h http.Header) { h.Set("Authorization", "Bearer "+key) },
		Explain:   explain, Classify: classify, Hide: secrets.Hide,
	}
}

// roundTripper lets a client of another package send by c: it sees good answers
// alone, and no key.
type roundTripper struct{ c *httpx.Client }

func (t roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	body, h, err := t.c.Send(req)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Header: h, Body: io.NopCloser(bytes.NewReader(body)), Request: req}, nil
}

// refusal is the body of a refusal. RunPod's services have several ways to put it.
type refusal struct {
	Errors  json.RawMessage `json:"errors"`
	Error   any             `json:"error"`
	Message any             `json:"message"`
	Title   any             `json:"title"`
	Detail  any             `json:"detail"`
	Code    any             `json:"code"`
	Status  any             `json:"status"`
}

// explain finds RunPod's words in the body of a refusal, for GraphQL and the job
// plane. Their 401 and 403 may be a line of text.
func explain(status int, h http.Header, body []byte) (code, message string, own bool) {
	var doc refusal
	if err := json.Unmarshal(body, &doc); err == nil {
		code, message = doc.words()
		return code, message, code != "" || message != ""
	}
	text := string(bytes.TrimSpace(body))
	if status != http.StatusUnauthorized && status != http.StatusForbidden || httpx.IsHTML(h, body) || !says(text, authWords) {
		return "", "", false
	}
	return "", text, true
}

// explainREST is explain for REST, which answers by RFC 9457: with a title and
// details, or at least with the status in the body as well.
func explainREST(status int, _ http.Header, body []byte) (code, message string, own bool) {
	var doc refusal
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", "", false
	}
	_, title := doc.Title.(string)
	_, detail := doc.Detail.(string)
	if n, ok := doc.Status.(float64); !title && !detail && !(ok && int(n) == status) {
		return "", "", false
	}
	code, message = doc.words()
	return code, message, true
}

func (doc *refusal) words() (code, message string) {
	var violations []string
	if json.Unmarshal(doc.Errors, &violations) != nil {
		if e := firstError(doc.Errors); e != nil && e.Condition != endpoint.ErrUnavailable { //nolint:errorlint // it is the sentinel itself
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
