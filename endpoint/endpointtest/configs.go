package endpointtest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
)

// Draft implements [endpoint.Stager]. The name is minted each time.
func (v *Variants) Draft(ctx context.Context, base endpoint.Revision, artifact string) (d endpoint.Draft, err error) {
	err = v.read(ctx, "draft "+base.ID, func(m *variants) error {
		have, err := m.find(base)
		switch {
		case err != nil:
			return err
		case artifact == "":
			return fmt.Errorf("no artifact: %w", endpoint.ErrInvalid)
		}
		id := ""
		for taken := true; taken; _, taken = m.Revisions[id] {
			v.drafts++
			id = base.ID + "-" + strconv.Itoa(v.drafts)
		}
		d = endpoint.Draft{Revision: endpoint.Revision{Kind: have.Kind, ID: id, Artifact: artifact}, Base: have}
		d.Body, err = json.Marshal(body{id, artifact})
		return err
	})
	return d, err
}

// Stage implements [endpoint.Stager].
func (v *Variants) Stage(ctx context.Context, d endpoint.Draft) error {
	var pending error
	err := v.mutate(ctx, "stage "+d.Revision.ID, func(m *variants) error {
		if err := m.staged(d); !errors.Is(err, endpoint.ErrNotFound) {
			return err
		}
		m.Revisions[d.Revision.ID] = d.Revision.Artifact
		if m.build > 0 {
			m.made[d.Revision.ID] = m.now.Add(m.build)
			pending = m.staged(d)
		}
		return nil
	})
	return cmp.Or(err, pending)
}

// Builder is a [Variants] on which a staged revision costs money until it is taken
// back, though nothing serves it.
type Builder struct{ *Variants }

var _ endpoint.Unstager = Builder{}

// Unstage implements [endpoint.Unstager].
func (b Builder) Unstage(ctx context.Context, d endpoint.Draft) error {
	return b.mutate(ctx, "unstage "+d.Revision.ID, func(m *variants) error {
		if err := m.staged(d); err != nil && !errors.Is(err, endpoint.ErrPending) {
			if errors.Is(err, endpoint.ErrNotFound) {
				return nil
			}
			return err
		}
		if id := d.Revision.ID; m.serves(m.Live, id) || m.serves(m.Pending, id) {
			return fmt.Errorf("%s is served: %w", d.Revision, endpoint.ErrBusy)
		}
		delete(m.Revisions, d.Revision.ID)
		delete(m.made, d.Revision.ID)
		return nil
	})
}

// serves reports whether the revision live is id, or serves it beside another one.
func (m *variants) serves(live, id string) bool {
	return live == id || strings.HasSuffix(m.Revisions[live], both+m.Revisions[id])
}

// Staged implements [endpoint.Stager].
func (v *Variants) Staged(ctx context.Context, d endpoint.Draft) error {
	return v.read(ctx, "staged "+d.Revision.ID, func(m *variants) error { return m.staged(d) })
}

func (m *variants) staged(d endpoint.Draft) error {
	var b body
	if err := json.Unmarshal(d.Body, &b); err != nil || b != (body{d.Revision.ID, d.Revision.Artifact}) || b.Name == "" {
		return fmt.Errorf("draft of %s: %w", d.Revision, endpoint.ErrInvalid)
	}
	artifact, ok := m.Revisions[b.Name]
	switch {
	case !ok:
		return fmt.Errorf("%s is not staged: %w", d.Revision, endpoint.ErrNotFound)
	case artifact != b.Artifact:
		return fmt.Errorf("%s exists and runs %s: %w", b.Name, artifact, endpoint.ErrInvalid)
	case m.made[b.Name].After(m.now):
		return fmt.Errorf("%s: %w", d.Revision, endpoint.ErrPending)
	}
	return nil
}

// Resolve implements [endpoint.Resolver] for revisions that are named by ID.
func (v *Variants) Resolve(ctx context.Context, r endpoint.Revision) (full endpoint.Revision, err error) {
	err = v.read(ctx, "resolve", func(m *variants) error {
		switch {
		case r.ID != "":
			full, err = m.find(r)
			return err
		case r.Artifact == "":
			return fmt.Errorf("nothing named: %w", endpoint.ErrInvalid)
		}
		return fmt.Errorf("%s has to be staged: %w", r.Artifact, errors.ErrUnsupported)
	})
	return full, err
}

// Preflight implements [endpoint.Preflighter]. It refuses a target that runs
// what is running already, and counts that the quota does not allow.
func (v *Variants) Preflight(ctx context.Context, c endpoint.Change, settings endpoint.Settings) (cautions []string, err error) {
	err = v.read(ctx, "preflight", func(m *variants) error {
		if live := m.revision(m.Live); c.To.ID != live.ID && c.To.Artifact == live.Artifact {
			return fmt.Errorf("%s and %s: %w", live, c.To, endpoint.ErrSameArtifact)
		}
		highest := map[string]int{}
		for name, n := range m.Counts {
			highest[instances(name)] = n
		}
		for _, key := range settings.Keys() {
			if _, ok := highest[key]; !ok {
				return fmt.Errorf("setting %s: %w", key, endpoint.ErrInvalid)
			}
			highest[key] = max(highest[key], settings[key])
		}
		if n := 2 * total(highest); m.Quota > 0 && n > m.Quota {
			return fmt.Errorf("limit is %d instances, the update needs %d: %w", m.Quota, n, endpoint.ErrQuota)
		}
		for name, t := range m.Targets {
			if n := highest[instances(name)]; n > t.Max {
				cautions = append(cautions, fmt.Sprintf("%s=%d is above the %d of its scalable target", instances(name), n, t.Max))
			}
		}
		return nil
	})
	return cautions, err
}
