package runpod

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/changeover-dev/changeover/endpoint/httpx"
)

const (
	// maxPages and maxItems bound a list. An account is far below them: a page
	// holds up to 1000 entries.
	maxPages = 1000
	maxItems = 50_000
)

// pagination is what RunPod says at the end of each page of a list.
type pagination struct {
	NextCursor  *string `json:"nextCursor"`
	HasNextPage *bool   `json:"hasNextPage"`
}

// pages reads a list to its end: each entry goes to each, with its number from 0,
// and each page as a whole to page first, if that is not nil. A list that says
// there is more and does not show it is unclear, and so is one that does not end.
func (r *rest) pages(ctx context.Context, key string, path []string, page func(doc map[string]json.RawMessage) error, each func(i int, item []byte) error) error {
	at, query := 0, ""
	seen := map[string]bool{}
	for range maxPages {
		var doc map[string]json.RawMessage
		if err := restError(r.api.Do(ctx, http.MethodGet, joined(path)+query, nil, &doc)); err != nil {
			return err
		}
		if page != nil {
			if err := page(doc); err != nil {
				return err
			}
		}
		var items []json.RawMessage
		if json.Unmarshal(doc[key], &items) != nil || items == nil {
			return unclear("answer without a list of %s", key)
		}
		for _, item := range items {
			if string(item) != "null" {
				if err := each(at, item); err != nil {
					return err
				}
			}
			at++
		}
		next, err := following(key, at, doc["pagination"], seen)
		if err != nil || next == "" {
			return err
		}
		query = "?cursor=" + url.QueryEscape(next)
	}
	return unclear("the list of %s does not end: %d pages with %d entries", key, maxPages, at)
}

// following is the cursor of the next page, "" if there is none.
func following(key string, read int, raw json.RawMessage, seen map[string]bool) (string, error) {
	var p pagination
	if len(raw) > 0 && json.Unmarshal(raw, &p) != nil {
		return "", unclear("the list of %s has a pagination in a shape that is not known", key)
	}
	next := text(p.NextCursor)
	switch more := p.HasNextPage != nil && *p.HasNextPage; {
	case !more && (p.HasNextPage != nil || next == ""):
		return "", nil
	case next == "":
		return "", unclear("the list of %s goes on after %d entries, and the answer has no cursor to go on by", key, read)
	case seen[next]:
		return "", unclear("the list of %s goes round in a circle: the cursor %.40q came before, after %d entries in all", key, next, read)
	case read >= maxItems:
		return "", unclear("the list of %s does not end: it goes on after %d entries", key, read)
	}
	seen[next] = true
	return next, nil
}

// shape decodes a part of an answer to a read. What has another shape than is
// known is [errors.ErrUnsupported] and says where, as it would be the same the
// next time.
func shape(where string, doc []byte, out any) error {
	err := json.Unmarshal(doc, out)
	if err == nil {
		return nil
	}
	var kind *json.UnmarshalTypeError
	var id struct {
		ID string `json:"id"`
	}
	_ = json.Unmarshal(doc, &id)
	if id.ID != "" {
		where = fmt.Sprintf("%s (%s)", where, httpx.Clip(id.ID))
	}
	what := "it cannot be read"
	if errors.As(err, &kind) {
		if kind.Field != "" {
			where += "." + strings.TrimPrefix(kind.Field, "restContainer.")
		}
		what = fmt.Sprintf("it is a JSON %s, want %s", kind.Value, kind.Type)
	}
	return &APIError{ResponseError: &httpx.ResponseError{
		StatusCode: http.StatusOK, Condition: errors.ErrUnsupported,
		Message: httpx.Clip(fmt.Sprintf("RunPod's answer has a shape that this version of the library does not know: %s: %s", where, what)),
	}}
}
