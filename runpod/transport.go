package runpod

import (
	"bytes"
	"encoding/json"
	"errors"
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

// spokenError is one of the errors that an answer has under "errors".
type spokenError struct {
	Message    string `json:"message"`
	Extensions struct {
		Code string `json:"code"`
	} `json:"extensions"`
}

// firstError joins errors[] to one, under the code of the first. A single
// error that leaves the outcome open makes the whole open.
func firstError(raw json.RawMessage) *httpx.ResponseError {
	if len(raw) == 0 || string(raw) == "null" || string(raw) == "[]" {
		return nil
	}
	var list []spokenError
	if err := json.Unmarshal(raw, &list); err != nil || len(list) == 0 {
		return httpx.Unclear("answer with errors that cannot be read")
	}
	e := &httpx.ResponseError{Code: list[0].Extensions.Code}
	var texts []string
	for _, g := range list {
		if len(list) > 1 && errors.Is(spoken(g.Extensions.Code, g.Message), endpoint.ErrUnavailable) {
			e.Condition = endpoint.ErrUnavailable
		}
		texts = append(texts, g.Message)
	}
	e.Message = strings.Join(texts, "; ")
	return e
}
