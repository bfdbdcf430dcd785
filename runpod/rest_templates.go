package runpod

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

type restTemplate struct {
	restContainer
	ID         string `json:"id"`
	Name       string `json:"name"`
	Serverless *bool  `json:"serverless"`
}

// source is a template whose settings can be copied into an endpoint.
type source struct {
	content
	cmd []string
}

func (t *restTemplate) source() *source {
	s := &source{content: t.content(t.ID, t.Name), cmd: t.Cmd}
	s.IsServerless = t.Serverless
	return s
}

// templates lists the account's own. One that cannot be read is not among them,
// unless it has the id that is wanted: then it is an error.
func (r *rest) templates(ctx context.Context, wanted string) ([]*source, error) {
	var all []*source
	err := r.pages(ctx, "templates", []string{"templates"}, nil, func(i int, item []byte) error {
		var id struct {
			ID any `json:"id"`
		}
		var t restTemplate
		err := shape(fmt.Sprintf("templates[%d]", i), item, &t)
		if err != nil && shape("", item, &id) == nil && id.ID != wanted {
			return nil
		}
		if err != nil || t.ID == "" {
			return err
		}
		s := t.source()
		r.secrets.keepContent(&s.content)
		r.secrets.AddCommand(s.cmd...)
		all = append(all, s)
		return nil
	})
	return all, err
}

// copyable finds a template of the account that can be copied into an endpoint.
func (r *rest) copyable(ctx context.Context, id string) (*source, error) {
	if !plainID(id) {
		return nil, fmt.Errorf("template id %q: %w", httpx.Clip(id), endpoint.ErrInvalid)
	}
	templates, err := r.templates(ctx, id)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(templates, func(t *source) bool { return t.ID == id })
	switch {
	case i < 0:
		if err := r.get(ctx, nil, "templates", id); errors.Is(err, endpoint.ErrNotFound) {
			return nil, noTemplate(id)
		} else if err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("template %s belongs to another account, who can change it at any time: make a copy: %w", id, endpoint.ErrInvalid)
	case templates[i].IsServerless != nil && !*templates[i].IsServerless:
		return nil, fmt.Errorf("template %s is for pods: make a serverless one: %w", id, endpoint.ErrInvalid)
	}
	return templates[i], nil
}

func noTemplate(id string) error {
	return fmt.Errorf("no template %s: it was deleted, or belongs to an account that the management key cannot see; "+
		"list yours under Templates in the RunPod console: %w", id, endpoint.ErrNotFound)
}
