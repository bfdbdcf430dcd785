package runpod

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
)

var _ endpoint.Lister = (*Client)(nil)

// List looks at all endpoints of the account by one query, for
// [endpoint.Lister]: links, images, bounds, versions and workers. The health
// of workers is the job plane's to tell, one endpoint at a time: an endpoint
// with live workers is Partial.
//
// It is GraphQL's query whatever the transport, since REST's list shows no
// workers. Where GraphQL may not be asked, it is [errors.ErrUnsupported].
func (c *Client) List(ctx context.Context) (map[string]endpoint.Sighting, error) {
	type lister interface {
		list(ctx context.Context) (map[string]endpoint.Sighting, error)
	}
	l, ok := c.control.(lister)
	if !ok {
		l, ok = c.peers.(lister)
	}
	if !ok {
		return nil, fmt.Errorf("runpod: list: %w", errors.ErrUnsupported)
	}
	found, err := l.list(ctx)
	if err != nil {
		return found, fmt.Errorf("runpod: list: %w", err)
	}
	return found, nil
}

// listQuery asks for what Status is made of, but for the rest of the template:
// RunPod counts the endpoint's version up when that changes.
const listQuery = `{"query":"{myself{endpoints{id templateId type workersMin workersMax version template{id imageName} ` +
	`pods{id imageName desiredStatus slsVersion lastStatusChange}}}}"}`

// list sends a plain query: the GraphQL client takes 24,000 allocations to
// decode a hundred endpoints.
func (g *graphQL) list(ctx context.Context) (map[string]endpoint.Sighting, error) {
	if err := contextError(ctx); err != nil {
		return nil, err
	}
	found, err := g.listed(ctx)
	return found, managementError(ctx, err)
}

func (g *graphQL) listed(ctx context.Context) (map[string]endpoint.Sighting, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url, strings.NewReader(listQuery))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := g.send(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	var answer struct {
		Data struct {
			Myself *struct {
				Endpoints []json.RawMessage `json:"endpoints"`
			} `json:"myself"`
		} `json:"data"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Data.Myself == nil {
		return nil, unclear("answer without an account")
	}
	return sightings(answer.Data.Myself.Endpoints)
}

// liveness reads the status of a worker without keeping its text.
type liveness bool

// UnmarshalJSON is [live] of the status.
func (l *liveness) UnmarshalJSON(b []byte) error {
	*l = liveness(live(string(bytes.Trim(b, `"`))))
	return nil
}

// sightings takes the very bytes for the fingerprint, whatever they mean. One
// endpoint that cannot be read leaves the others readable.
func sightings(endpoints []json.RawMessage) (map[string]endpoint.Sighting, error) {
	found := make(map[string]endpoint.Sighting, len(endpoints))
	unread := 0
	for _, raw := range endpoints {
		var e struct {
			ID   string `json:"id"`
			Pods []struct {
				Live liveness `json:"desiredStatus"`
			} `json:"pods"`
		}
		if err := json.Unmarshal(raw, &e); err != nil || e.ID == "" {
			unread++
			continue
		}
		sum := sha256.Sum256(raw)
		s := endpoint.Sighting{Fingerprint: string(sum[:8])}
		for _, p := range e.Pods {
			s.Partial = s.Partial || bool(p.Live)
		}
		found["runpod/"+e.ID] = s
	}
	if unread > 0 {
		return found, unclear("%d of %d endpoints cannot be read", unread, len(endpoints))
	}
	return found, nil
}
