package runpod

import (
	"context"
	"errors"
	"fmt"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// checkChange refuses what no update over REST can be.
func (o *restOperations) checkChange(c endpoint.Change) error {
	switch {
	case hasOptions(c):
		return fmt.Errorf("RunPod takes no options with an update: %w", endpoint.ErrInvalid)
	case c.To.Kind == KindTemplate:
		return o.noLink(c.To.ID)
	case c.To.Kind != KindImage || c.To.ID != "" || c.To.Artifact == "":
		return fmt.Errorf("revision %s, want one of kind %q with an image: resolve it first: %w", c.To, KindImage, endpoint.ErrInvalid)
	}
	_, err := parseImage(c.To.Artifact)
	return err
}

// noLink is what REST cannot do, with what can be done instead.
func (o *restOperations) noLink(id string) error {
	return fmt.Errorf("template %s: RunPod's REST API keeps no link from an endpoint to a template: "+
		"move to an image instead, or copy the template's settings once (AllowTemplateCopy)%s: %w",
		httpx.Clip(id), o.instead, errors.ErrUnsupported)
}

func (o *restOperations) noStaging() error {
	return fmt.Errorf("nothing can be staged over RunPod's REST API: an endpoint is not linked to a template there, so that there is none to alternate with: "+
		"move to the image in place%s: %w", o.instead, errors.ErrUnsupported)
}

func (o *restOperations) resolve(ctx context.Context, r endpoint.Revision) (endpoint.Revision, error) {
	var none endpoint.Revision
	if r.Artifact != "" {
		if _, err := parseImage(r.Artifact); err != nil {
			return none, err
		}
	}
	var full endpoint.Revision
	switch {
	case r.ID != "" && (r.Kind == "" || r.Kind == KindTemplate):
		if !o.allowCopy {
			return none, o.noLink(r.ID)
		}
		now, err := o.readSettled(ctx)
		if err != nil {
			return none, err
		}
		t, err := o.api.copyable(ctx, r.ID)
		if err != nil {
			return none, err
		}
		if r.Artifact != "" && r.Artifact != t.ImageName {
			return none, fmt.Errorf("template %s has image %s, not %s: %w", r.ID, t.ImageName, r.Artifact, errors.ErrUnsupported)
		}
		full = now.own.copied(t, now.own.platform(t)).revision()
	case r.ID == "" && r.Artifact != "" && (r.Kind == "" || r.Kind == KindImage):
		now, err := o.readSettled(ctx)
		if err != nil {
			return none, err
		}
		if full = (endpoint.Revision{Kind: KindImage, Artifact: r.Artifact}); !o.allowCopy {
			return full, nil
		}
		full = now.own.revisionWith(r.Artifact)
		if r.Digest != "" && r.Digest != full.Digest { // what a template's id became
			templates, err := o.api.templates(ctx, "")
			if err != nil {
				return none, err
			}
			if w := copyOf(now.own, endpoint.Revision{Kind: KindImage, Artifact: r.Artifact, Digest: r.Digest}, templates); w != nil {
				full = w.to.revision()
			}
		}
	default:
		return none, fmt.Errorf("%s: name an image: %w", r, endpoint.ErrInvalid)
	}
	if r.Digest != "" && r.Digest != full.Digest {
		return none, fmt.Errorf("%s was edited since it was read: %w", full, endpoint.ErrDrift)
	}
	return full, nil
}
