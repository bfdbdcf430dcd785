package endpointtest

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
)

// both joins the artifacts of a revision that serves two side by side.
const both = " and "

// DraftCanary implements [endpoint.Shifter].
func (v *Variants) DraftCanary(ctx context.Context, source, target endpoint.Revision, _ *endpoint.Draft) (c endpoint.Canary, err error) {
	err = v.read(ctx, "draft "+source.ID+" and "+target.ID, func(m *variants) error {
		id := ""
		for taken := true; taken; _, taken = m.Revisions[id] {
			v.drafts++
			id = "canary-" + strconv.Itoa(v.drafts)
		}
		artifact := source.Artifact + both + target.Artifact
		c = endpoint.Canary{
			Draft:  endpoint.Draft{Revision: endpoint.Revision{Kind: "endpoint-config", ID: id, Artifact: artifact}, Base: source},
			Source: []string{"main"}, Target: []string{"main-canary"},
		}
		c.Body, err = json.Marshal(body{id, artifact})
		return err
	})
	return c, err
}

// Shift implements [endpoint.Shifter].
func (v *Variants) Shift(ctx context.Context, c endpoint.Canary, percent int) error {
	return v.mutate(ctx, fmt.Sprintf("shift to %d%%", percent), func(m *variants) error {
		switch {
		case percent < 0 || percent > 100:
			return fmt.Errorf("a share of %d%%: %w", percent, endpoint.ErrInvalid)
		case m.Live != c.Revision.ID:
			return fmt.Errorf("%s is not in service: %w", c.Revision, endpoint.ErrInvalid)
		}
		if err := m.accepts(false); err != nil {
			return err
		}
		m.Share = percent
		m.enter(updating, m.scale, fmt.Sprintf("Moving %d%% of the traffic.", percent))
		m.Generation++
		return nil
	})
}

// share is the share of the second of two revisions that are served side by
// side, nil if only one is.
func (m *variants) share() *int {
	if !strings.Contains(m.Revisions[m.Live], both) {
		return nil
	}
	n := m.Share
	return &n
}
