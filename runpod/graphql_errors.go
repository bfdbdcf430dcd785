package runpod

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// writing marks the context of a mutation.
type writing struct{}

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

// sendError makes what the GraphQL client returned an error that says one thing:
// the context's if that is done, what RunPod answered if it did, and
// ErrUnavailable for everything in between.
func sendError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctxErr := httpx.ContextError(ctx); ctxErr != nil {
		return ctxErr
	}
	var api *APIError
	var sent *url.Error
	switch {
	case errors.As(err, &api):
		return api
	case !errors.As(err, &sent):
		// Nothing was wrong with sending: the answer could not be taken in. The
		// decoder's error repeats parts of it, which may be anything.
		return unclear("answer in another shape than was asked for")
	case errors.Is(sent.Err, endpoint.ErrUnavailable):
		return sent.Err
	}
	return fmt.Errorf("%w: %w", endpoint.ErrUnavailable, sent.Err)
}
