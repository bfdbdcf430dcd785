package runpod

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/changeover-dev/changeover/endpoint"
)

// Resolve completes a revision.
//
// Over REST an image (kind "image" or none) becomes the endpoint's present
// settings with that image. A template's id is [errors.ErrUnsupported], as REST
// has no links to templates, unless [AllowTemplateCopy] is set: then it becomes
// what the endpoint's settings are once the template was copied into them.
//
// Over GraphQL a template's id (kind "template" or none) gets its image and
// digest. An image alone (kind "image" or none) becomes the endpoint's own live
// template with that image: moving to it replaces the template's image. A
// template's id with an image other than its own is [errors.ErrUnsupported],
// unless it is the live one: that has to be staged.
//
// Refused are, as [endpoint.ErrNotFound], a template that does not exist and,
// as [endpoint.ErrInvalid], one for pods, one of another account, and an image
// reference that cannot be read. A digest that the template does not have is
// [endpoint.ErrDrift].
func (e *Endpoint) Resolve(ctx context.Context, r endpoint.Revision) (endpoint.Revision, error) {
	const op = "resolve"
	if err := e.begin(ctx, op); err != nil {
		return endpoint.Revision{}, err
	}
	full, err := e.resolve(ctx, r)
	return full, e.wrap(op, err)
}

func (e *Endpoint) resolve(ctx context.Context, r endpoint.Revision) (endpoint.Revision, error) {
	if e.patches != nil {
		return e.resolveImage(ctx, r)
	}
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
	s, err := e.look(ctx)
	if err != nil {
		return none, err
	}
	id := r.ID
	if byImage {
		if id = s.templateID; id == "" {
			return none, fmt.Errorf("the endpoint has no template whose image could be replaced: %w", endpoint.ErrInvalid)
		}
	}
	t, _, err := e.usable(ctx, id, withDigest(r.Artifact, r.Digest))
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
func (e *Endpoint) usable(ctx context.Context, id string, expected func(*template) bool) (*template, *account, error) {
	t, err := e.believed(ctx, id, expected)
	if err != nil {
		return nil, nil, err
	}
	if t.IsServerless != nil && !*t.IsServerless {
		return nil, nil, fmt.Errorf("template %s is for pods: make a serverless one: %w", id, endpoint.ErrInvalid)
	}
	a, err := e.control.account(ctx)
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

// users names the endpoints that use a template, but for one.
func (a *account) users(template, except string) []string {
	var names []string
	for _, e := range a.endpoints {
		if e.templateID == template && e.id != except {
			names = append(names, fmt.Sprintf("%s (%s)", e.id, clip(e.name)))
		}
	}
	return names
}
