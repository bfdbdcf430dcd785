package runpod

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/changeover-dev/changeover/endpoint"
)

var _ endpoint.Lister = (*Client)(nil)

// List reads all endpoints of the account, for [endpoint.Lister], by one query of
// GraphQL while there is such a thing: links, images, bounds, versions and workers.
// The health of workers is the job plane's to tell, one endpoint at a time: an
// endpoint with live workers is Incomplete. Where GraphQL may not be asked, refuses
// the key or is gone, it reads the pages of REST's list, which shows no workers:
// there every endpoint that may have some is Incomplete.
func (c *Client) List(ctx context.Context) (map[string]endpoint.ListEntry, error) {
	found, err := c.list(ctx)
	if err != nil {
		return found, fmt.Errorf("runpod: list: %w", c.secrets.hideIn(err))
	}
	return found, nil
}

// list is the list by REST.
func (r *rest) list(ctx context.Context) (map[string]endpoint.ListEntry, error) {
	found := map[string]endpoint.ListEntry{}
	err := r.pages(ctx, "endpoints", []string{"serverless"}, nil, func(i int, item []byte) error {
		var e struct {
			ID      string `json:"id"`
			Workers any    `json:"workers"`
		}
		if err := shape(fmt.Sprintf("endpoints[%d]", i), item, &e); err != nil || e.ID == "" {
			return err
		}
		workers, _ := e.Workers.(map[string]any)
		most, ok := workers["max"].(float64)
		sum := sha256.Sum256(canonical(item))
		found["runpod/"+e.ID] = endpoint.ListEntry{Fingerprint: string(sum[:8]), Incomplete: !ok || most > 0}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}
