package runpod

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// listQuery asks for what Status is made of, but for the rest of the template:
// RunPod counts the endpoint's version up when that changes.
const listQuery = `{"query":"{myself{endpoints{id templateId type workersMin workersMax version template{id imageName} ` +
	`pods{id imageName desiredStatus slsVersion lastStatusChange}}}}"}`

// list sends a plain query: the GraphQL client takes 24,000 allocations to
// decode a hundred endpoints.
func (g *graphQL) list(ctx context.Context) (map[string]endpoint.ListEntry, error) {
	if err := httpx.ContextError(ctx); err != nil {
		return nil, err
	}
	found, err := g.listed(ctx)
	return found, managementError(ctx, err)
}

// retired reports whether GraphQL is not to be had, so that REST has to do.
func retired(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, endpoint.ErrUnauthorized)
}

func (g *graphQL) listed(ctx context.Context) (map[string]endpoint.ListEntry, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.api.URL, strings.NewReader(listQuery))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	body, _, err := g.api.Send(req)
	if err != nil {
		return nil, err
	}
	return listEntries(body)
}

// liveness reads the status of a worker without keeping its text.
type liveness bool

// UnmarshalJSON is [live] of the status.
func (l *liveness) UnmarshalJSON(b []byte) error {
	*l = liveness(live(string(bytes.Trim(b, `"`))))
	return nil
}

// listEntries reads the list in one pass. It takes the very bytes of an endpoint
// for its fingerprint, whatever they mean. One endpoint that cannot be read
// leaves the others readable.
func listEntries(body []byte) (map[string]endpoint.ListEntry, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	for _, key := range []string{"data", "myself", "endpoints"} {
		if !enter(d, key) {
			return nil, unclear("answer without the endpoints of an account")
		}
	}
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return nil, unclear("answer without a list of endpoints")
	}
	found := map[string]endpoint.ListEntry{}
	unread, all := 0, 0
	for d.More() {
		var e struct {
			ID   string `json:"id"`
			Pods []struct {
				Live liveness `json:"desiredStatus"`
			} `json:"pods"`
		}
		all++
		from := d.InputOffset()
		err := d.Decode(&e)
		var kind *json.UnmarshalTypeError
		if err != nil && !errors.As(err, &kind) {
			return nil, err
		}
		if err != nil || e.ID == "" {
			unread++
			continue
		}
		sum := sha256.Sum256(bytes.Trim(body[from:d.InputOffset()], ", \t\r\n"))
		s := endpoint.ListEntry{Fingerprint: string(sum[:8])}
		for _, p := range e.Pods {
			s.Incomplete = s.Incomplete || bool(p.Live)
		}
		found["runpod/"+e.ID] = s
	}
	if err := closed(d, 4); err != nil {
		return nil, err
	}
	if unread > 0 {
		return found, unclear("%d of %d endpoints cannot be read", unread, all)
	}
	return found, nil
}

// enter goes into an object as far as the value of a key, if there is one.
func enter(d *json.Decoder, key string) bool {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return false
	}
	for d.More() {
		t, err := d.Token()
		if err != nil || t == key {
			return err == nil
		}
		var other json.RawMessage
		if err := d.Decode(&other); err != nil {
			return false
		}
	}
	return false
}

// closed reads until so many brackets are closed: an answer that was cut off is none.
func closed(d *json.Decoder, depth int) error {
	for depth > 0 {
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
	return nil
}
