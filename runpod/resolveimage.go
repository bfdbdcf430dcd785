package runpod

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/changeover-dev/changeover/endpoint"
)

// checkImageChange is checkChange over REST.
func checkImageChange(c endpoint.Change) error {
	switch {
	case hasOptions(c):
		return fmt.Errorf("RunPod takes no options with an update: %w", endpoint.ErrInvalid)
	case c.To.Kind == KindTemplate:
		return noLink(c.To.ID)
	case c.To.Kind != KindImage || c.To.ID != "" || c.To.Artifact == "":
		return fmt.Errorf("revision %s, want one of kind %q with an image: resolve it first: %w", c.To, KindImage, endpoint.ErrInvalid)
	}
	_, err := parseImage(c.To.Artifact)
	return err
}

// noLink is what REST cannot do, with what can be done instead.
func noLink(id string) error {
	return fmt.Errorf("template %s: RunPod's REST API keeps no link from an endpoint to a template: "+
		"move to an image instead, copy the template's settings once (AllowTemplateCopy), or use the GraphQL transport, which RunPod retires in %s: %w",
		clip(id), graphQLRetires, errors.ErrUnsupported)
}

func noStaging() error {
	return fmt.Errorf("nothing can be staged over RunPod's REST API: an endpoint is not linked to a template there, so that there is none to alternate with: "+
		"move to the image in place, or use the GraphQL transport, which RunPod retires in %s: %w", graphQLRetires, errors.ErrUnsupported)
}

// resolveImage is resolve over REST.
func (e *Endpoint) resolveImage(ctx context.Context, r endpoint.Revision) (endpoint.Revision, error) {
	var none endpoint.Revision
	if r.Artifact != "" {
		if _, err := parseImage(r.Artifact); err != nil {
			return none, err
		}
	}
	var full endpoint.Revision
	switch {
	case r.ID != "" && (r.Kind == "" || r.Kind == KindTemplate):
		if !e.allowCopy {
			return none, noLink(r.ID)
		}
		now, err := e.settled(ctx)
		if err != nil {
			return none, err
		}
		t, err := e.copyable(ctx, r.ID)
		if err != nil {
			return none, err
		}
		if r.Artifact != "" && r.Artifact != t.ImageName {
			return none, fmt.Errorf("template %s has image %s, not %s: %w", r.ID, t.ImageName, r.Artifact, errors.ErrUnsupported)
		}
		full = now.copied(t, now.platform(t)).revision()
	case r.ID == "" && r.Artifact != "" && (r.Kind == "" || r.Kind == KindImage):
		now, err := e.settled(ctx)
		if err != nil {
			return none, err
		}
		full = now.revisionWith(r.Artifact)
		if e.allowCopy && r.Digest != "" && r.Digest != full.Digest { // what a template's id became
			templates, err := e.patches.templates(ctx)
			if err != nil {
				return none, err
			}
			if w := copyOf(now, endpoint.Revision{Kind: KindImage, Artifact: r.Artifact, Digest: r.Digest}, templates); w != nil {
				full = w.to.revision()
			}
		}
	default:
		return none, fmt.Errorf("%s: name an image: %w", r, endpoint.ErrInvalid)
	}
	if r.Digest != "" && r.Digest != full.Digest {
		return none, fmt.Errorf("%s was edited since it was looked at: %w", full, endpoint.ErrDrift)
	}
	return full, nil
}

// copyable finds a template of the account that can be copied into an endpoint.
func (e *Endpoint) copyable(ctx context.Context, id string) (*template, error) {
	if !plainID(id) {
		return nil, fmt.Errorf("template id %q: %w", clip(id), endpoint.ErrInvalid)
	}
	templates, err := e.patches.templates(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(templates, func(t *template) bool { return t.ID == id })
	switch {
	case i < 0:
		if _, err := e.control.template(ctx, id); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("template %s belongs to another account, who can change it at any time: make a copy: %w", id, endpoint.ErrInvalid)
	case templates[i].IsServerless != nil && !*templates[i].IsServerless:
		return nil, fmt.Errorf("template %s is for pods: make a serverless one: %w", id, endpoint.ErrInvalid)
	}
	return templates[i], nil
}

// settled reads the endpoint's settings until two reads in a row agree: a
// digest of an old read means nothing.
func (e *Endpoint) settled(ctx context.Context) (*settings, error) {
	var last *settings
	for _, gap := range lookGaps {
		if err := pause(ctx, gap); err != nil {
			return nil, err
		}
		s, err := e.lookWhole(ctx)
		if err != nil {
			return nil, err
		}
		if last != nil && last.digest() == s.own.digest() {
			return s.own, nil
		}
		last = s.own
	}
	return nil, unclear("the endpoint reads differently each time")
}
