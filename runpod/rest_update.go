package runpod

import (
	"context"
	"fmt"

	"github.com/changeover-dev/changeover/endpoint"
)

// A revision over REST is an image, and a rollout writes the image alone. Where a
// template may be copied ([AllowTemplateCopy]) it is known by its content too, and
// how to get there is found when it is needed, from what RunPod shows at that
// moment, so that no value has to be written down for a rollback:
//
//  1. by the image alone, if nothing else differs;
//  2. by copying a template of the account that holds just that content;
//  3. by the old values that RunPod's history of releases shows.

// way is how to get to a revision.
type way struct {
	patch
	by   string    // for people
	to   *settings // what comes of it
	from *source   // the template that is copied, nil if none is
}

// unreachable is what there is no way to.
func unreachable(to endpoint.Revision) error {
	return fmt.Errorf("more than the image has to change to get to %s, and no template of the account and no release holds "+
		"what it was: the endpoint or the template was changed since: %w", to, endpoint.ErrDrift)
}

// reach finds the way from the settings as they are now.
func (o *restOperations) reach(ctx context.Context, now *settings, to endpoint.Revision) (*way, error) {
	if !o.allowCopy || to.Digest == "" || now.with(to.Artifact).digest() == to.Digest {
		return &way{patch: patch{Image: &to.Artifact}, by: "the image alone", to: now.with(to.Artifact)}, nil
	}
	templates, err := o.api.templates(ctx, "")
	if err != nil {
		return nil, err
	}
	if w := copyOf(now, to, templates); w != nil {
		return w, nil
	}
	history, err := o.api.releases(ctx, o.id)
	if err != nil {
		return nil, err
	}
	if s := history.unwind(now, to.Digest); s == nil && (o.justPatched() || history.lags(now)) {
		return nil, unclear("the history of releases does not show yet what was changed")
	} else if s != nil {
		return &way{patch: now.patchTo(s), by: "the values that the history of releases shows", to: s}, nil
	}
	return nil, unreachable(to)
}

// copyOf finds a template whose copy is the revision.
func copyOf(now *settings, to endpoint.Revision, templates []*source) *way {
	for _, t := range templates {
		if t.ImageName != to.Artifact || t.IsServerless != nil && !*t.IsServerless {
			continue
		}
		keep := now.platform(t)
		c := now.copied(t, keep)
		if c.digest() != to.Digest {
			continue
		}
		w := &way{patch: patch{TemplateID: t.ID}, by: "a copy of template " + t.ID, to: c, from: t}
		if len(keep) > 0 {
			w.Env = &keep // RunPod merges it into the copied environment
		}
		return w
	}
	return nil
}

// update goes the way to a revision. The answer of a write is fresh, which a read
// before it may not have been: if it shows that more was needed, the rest is
// written too.
func (o *restOperations) update(ctx context.Context, c endpoint.Change) error {
	if err := o.checkChange(c); err != nil {
		return err
	}
	to := c.To
	if !o.allowCopy {
		to.Digest = "" // of other settings, which the rollout does not write
	}
	s, err := o.readUntilChanged(ctx, to)
	if err != nil {
		return err
	}
	now := s.own
	for range 3 {
		w, err := o.reach(ctx, now, to)
		if err != nil {
			return err
		}
		answer, err := o.patchNow(ctx, w.patch)
		if err != nil {
			return err
		}
		now = answer.own
		if now.ImageName != to.Artifact {
			return unclear("the image was written, and the answer shows %q", now.ImageName)
		}
		if to.Digest == "" || now.digest() == to.Digest {
			return nil
		}
	}
	return unclear("the settings were written, and the answer still shows others")
}

// readUntilChanged reads until it sees another revision than the one that is to be
// written. The caller has seen another one: a read that shows it already is likely
// an old one, and the way from there would be taken for shorter than it is. In the
// end the last read has to do.
func (o *restOperations) readUntilChanged(ctx context.Context, to endpoint.Revision) (s *state, err error) {
	for _, gap := range readGaps {
		if err := pause(ctx, gap); err != nil {
			return nil, err
		}
		if s, err = o.read(ctx); err != nil || !s.revision().Same(to) {
			return s, err
		}
	}
	return s, nil
}
