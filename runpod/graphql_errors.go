package runpod

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// writing marks the context of a mutation.
type writing struct{}

type graphQLError struct {
	Message    string `json:"message"`
	Extensions struct {
		Code string `json:"code"`
	} `json:"extensions"`
}

// judgeGraphQL, a [httpx.Client.Judge], looks for errors[] and for an answer without data.
func judgeGraphQL(ctx context.Context, body []byte) *httpx.ResponseError {
	// An answer that does not speak of errors is taken apart once, by the caller: a list
	// of a whole account is long.
	if data, ok := bytes.CutPrefix(body, []byte(`{"data":{"`)); ok && !bytes.Contains(data, []byte(`"errors"`)) {
		return nil
	}
	var answer struct {
		Data   json.RawMessage `json:"data"`
		Errors json.RawMessage `json:"errors"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return httpx.Unclear("answer that is not GraphQL's")
	}
	if e := firstError(answer.Errors); e != nil {
		var fields map[string]json.RawMessage
		_ = json.Unmarshal(answer.Data, &fields) // not an object: no fields
		applied := false
		for _, f := range fields {
			applied = applied || string(f) != "null"
		}
		// A mutation that failed in part has been carried out in part.
		if applied && ctx.Value(writing{}) != nil {
			e.Condition = endpoint.ErrUnavailable
		}
		return e
	}
	inside, object := bytes.CutPrefix(bytes.TrimSpace(answer.Data), []byte("{"))
	if !object || bytes.HasPrefix(bytes.TrimSpace(inside), []byte("}")) {
		return httpx.Unclear("answer without data")
	}
	return nil
}

// firstError joins errors[] to one, under the code of the first. A single
// error that leaves the outcome open makes the whole open.
func firstError(raw json.RawMessage) *httpx.ResponseError {
	if len(raw) == 0 || string(raw) == "null" || string(raw) == "[]" {
		return nil
	}
	var list []graphQLError
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

// classifyGraphQL is classify, and says what it means that the API is gone.
func classifyGraphQL(e *httpx.ResponseError) error {
	err := classify(e)
	if e.StatusCode == http.StatusGone {
		if errors.Is(e.Condition, endpoint.ErrUnavailable) {
			e.Message = "it may be that RunPod has retired GraphQL: " + e.Message
			return err
		}
		e.Condition = errors.ErrUnsupported
		e.Message = strings.TrimSuffix("RunPod has retired GraphQL: use the REST transport, and move to images instead of templates: "+e.Message, ": ")
	}
	return err
}
