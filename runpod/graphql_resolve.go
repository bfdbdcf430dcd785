package runpod

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/changeover-dev/changeover/endpoint"
)

func (o *graphQLOperations) resolve(ctx context.Context, r endpoint.Revision) (endpoint.Revision, error) {
	var none endpoint.Revision
	if r.Artifact != "" {
		if _, err := parseImage(r.Artifact); err != nil {
			return none, err
		}
	}
	byImage := r.ID == "" && r.Artifact != "" && (r.Kind == "" || r.Kind == KindTemplate || r.Kind == "image")
	byTemplate := r.ID != "" && (r.Kind == "" || r.Kind == KindTemplate)
	if !byImage && !byTemplate {
		return none, fmt.Errorf("%s: name a template by its id, or an image: %w", r, endpoint.ErrInvalid)
	}
	s, err := o.read(ctx)
	if err != nil {
		return none, err
	}
	id := r.ID
	if byImage {
		if id = s.templateID; id == "" {
			return none, fmt.Errorf("the endpoint has no template whose image could be replaced: %w", endpoint.ErrInvalid)
		}
	}
	t, _, err := o.usable(ctx, id, withDigest(r.Artifact, r.Digest))
	if err != nil {
		return none, err
	}
	full := t.revision()
	if r.Artifact != "" && r.Artifact != t.ImageName {
		if id != s.templateID {
			return none, fmt.Errorf("template %s has image %s: stage %s into it first: %w", id, t.ImageName, r.Artifact, errors.ErrUnsupported)
		}
		full = t.revisionWith(r.Artifact)
	}
	return full, nil
}

// usable reads a template that the endpoint can be linked to: an existing
// one, for serverless, of this account. A stranger could change any other.
func (o *graphQLOperations) usable(ctx context.Context, id string, expected func(*template) bool) (*template, *account, error) {
	t, err := o.readStable(ctx, id, expected)
	if err != nil {
		return nil, nil, err
	}
	if t.IsServerless != nil && !*t.IsServerless {
		return nil, nil, fmt.Errorf("template %s is for pods: make a serverless one: %w", id, endpoint.ErrInvalid)
	}
	a, err := o.api.account(ctx)
	if err != nil {
		return nil, nil, err
	}
	if !a.owns(id) {
		return nil, nil, fmt.Errorf("template %s belongs to another account, who can change it at any time: make a copy: %w", id, endpoint.ErrInvalid)
	}
	return t, a, nil
}

// owns counts templates that endpoints of the account use too: RunPod leaves
// those that are bound to one out of some lists.
func (a *account) owns(template string) bool {
	return slices.Contains(a.templates, template) ||
		slices.ContainsFunc(a.endpoints, func(e accountEndpoint) bool { return e.templateID == template })
}
