package endpointtest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
)

// body is what staging writes, in both shapes.
type body struct {
	Name     string `json:"name"`
	Artifact string `json:"artifact"`
}

// Draft implements [endpoint.Stager]. base has to be an idle template, since
// staging rewrites it in place: the live one is [endpoint.ErrShared], and one
// with another digest than base's is [endpoint.ErrDrift].
func (w *Workers) Draft(ctx context.Context, base endpoint.Revision, artifact string) (d endpoint.Draft, err error) {
	err = w.read(ctx, "draft "+base.ID, func(m *workers) error {
		have, err := m.find(base.ID)
		switch {
		case err != nil:
			return err
		case artifact == "":
			return fmt.Errorf("no artifact: %w", endpoint.ErrInvalid)
		case base.Digest != "" && base.Digest != have.Digest:
			return fmt.Errorf("%s was edited: %w", base, endpoint.ErrDrift)
		case base.ID == m.Live:
			return fmt.Errorf("%s is live: %w", base, endpoint.ErrShared)
		}
		d = endpoint.Draft{Revision: template(base.ID, artifact), Base: have}
		d.Body, err = json.Marshal(body{base.ID, artifact})
		return err
	})
	return d, err
}

// Stage implements [endpoint.Stager]. The live template is not rewritten, which
// is [endpoint.ErrShared], nor one that holds neither the base's content nor the
// draft's, which is [endpoint.ErrDrift].
func (w *Workers) Stage(ctx context.Context, d endpoint.Draft) error {
	return w.mutate(ctx, "stage "+d.Revision.ID, func(m *workers) error {
		switch err := m.staged(d); {
		case err == nil || !errors.Is(err, endpoint.ErrNotFound):
			return err
		case d.Revision.ID == m.Live:
			return fmt.Errorf("%s is live: %w", d.Base, endpoint.ErrShared)
		}
		m.Templates[d.Revision.ID] = d.Revision.Artifact
		return nil
	})
}

// Staged implements [endpoint.Stager].
func (w *Workers) Staged(ctx context.Context, d endpoint.Draft) error {
	return w.read(ctx, "staged "+d.Revision.ID, func(m *workers) error { return m.staged(d) })
}

func (m *workers) staged(d endpoint.Draft) error {
	var b body
	if err := json.Unmarshal(d.Body, &b); err != nil || b != (body{d.Revision.ID, d.Revision.Artifact}) || d.Base.ID != b.Name {
		return fmt.Errorf("draft of %s: %w", d.Revision, endpoint.ErrInvalid)
	}
	have, err := m.find(b.Name)
	switch {
	case err != nil:
		return fmt.Errorf("%s is gone: %w", d.Base, endpoint.ErrDrift)
	case have == d.Revision:
		return nil
	case have == d.Base:
		return fmt.Errorf("%s is not staged: %w", d.Revision, endpoint.ErrNotFound)
	}
	return fmt.Errorf("template %s was edited: %w", b.Name, endpoint.ErrDrift)
}

// Resolve implements [endpoint.Resolver]. A template is named by its ID. An
// artifact alone means the live template, once it has that artifact: moving to
// it replaces what the template has. Into any other template it has to be staged.
func (w *Workers) Resolve(ctx context.Context, r endpoint.Revision) (full endpoint.Revision, err error) {
	err = w.read(ctx, "resolve", func(m *workers) error {
		if r.Kind != "" && r.Kind != kindTemplate || r.ID == "" && r.Artifact == "" {
			return fmt.Errorf("%s: %w", r, endpoint.ErrInvalid)
		}
		have, err := m.find(cmp.Or(r.ID, m.Live))
		if err != nil {
			return err
		}
		if r.Artifact != "" && r.Artifact != have.Artifact {
			if have.ID != m.Live {
				return fmt.Errorf("%s has to be staged into template %s: %w", r.Artifact, have.ID, errors.ErrUnsupported)
			}
			have = template(have.ID, r.Artifact)
		}
		if r.Digest != "" && r.Digest != have.Digest {
			return fmt.Errorf("%s was edited: %w", r, endpoint.ErrDrift)
		}
		full = have
		return nil
	})
	return full, err
}

// Preflight implements [endpoint.Preflighter]. It refuses a target that runs
// what is running already, and a max that the quota does not allow.
func (w *Workers) Preflight(ctx context.Context, c endpoint.Change, settings endpoint.Settings) (cautions []string, err error) {
	err = w.read(ctx, "preflight", func(m *workers) error {
		live := m.live()
		if _, err := m.find(c.To.ID); err != nil {
			return err
		}
		if c.To.ID != live.ID && c.To.Artifact == live.Artifact {
			return fmt.Errorf("%s and %s: %w", live, c.To, endpoint.ErrSameArtifact)
		}
		for _, key := range settings.Keys() {
			switch v := settings[key]; {
			case key != endpoint.WorkersMin && key != endpoint.WorkersMax:
				return fmt.Errorf("setting %s: %w", key, endpoint.ErrInvalid)
			case v > m.Max && m.Quota > 0 && v > m.Quota:
				return fmt.Errorf("%s=%d, at most %d: %w", key, v, m.Quota, endpoint.ErrQuota)
			}
		}
		if strings.HasSuffix(c.To.Artifact, ":latest") {
			cautions = append(cautions, c.To.Artifact+" may mean something else tomorrow")
		}
		return nil
	})
	return cautions, err
}
