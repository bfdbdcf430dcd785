package runpod

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
)

func (o *graphQLOperations) preflight(ctx context.Context, p *preflight) error {
	if err := errors.Join(checkChange(p.change), checkSettings(p.settings)); err != nil {
		return err
	}
	s, err := o.read(ctx)
	if err != nil {
		return err
	}
	to := p.change.To
	t, a, err := o.usable(ctx, to.ID, withDigest(to.Artifact, to.Digest))
	if err != nil {
		return err
	}
	image := cmp.Or(to.Artifact, t.ImageName)
	// What is live already needs no permission to stay.
	if s.templateID == t.ID && t.ImageName == image {
		p.unchanged(image)
	} else {
		if err := errors.Join(p.images(s, image), p.sharing(s, t, a)); err != nil {
			return err
		}
	}
	if s.template != nil && s.templateID != t.ID {
		p.compare(s.template, &t.content, false)
	}
	if err := p.quota(ctx, a, o.api.workerQuota); err != nil {
		return err
	}
	if err := p.jobsPlane(ctx, s); err != nil {
		return err
	}
	if err := o.evidence(ctx, p, s); err != nil {
		return err
	}
	p.caution("the GraphQL API, which alone links templates, retires in %s, as RunPod has announced, and is rate-limited in stages since September 2026: move to images over REST by then", graphQLRetires)
	return nil
}

// evidence says so where less than usual shows what workers run.
func (o *graphQLOperations) evidence(ctx context.Context, p *preflight, s *state) error {
	if view := o.workerView(); view != nil {
		if err := o.addWorkers(ctx, s, view); err != nil {
			return err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.unseen != nil {
		p.caution("what workers run is judged by GraphQL alone: REST, which tells which of them are outdated and since when each runs, does not show them, and a crash loop that is shown as running is not noticed: %v", o.unseen)
	}
	return nil
}

func (p *preflight) sharing(s *state, t *template, a *account) error {
	users := a.users(t.ID, p.id)
	if len(users) == 0 {
		return nil
	}
	effect := "a later change of it would roll them all"
	if s.templateID == t.ID {
		effect = "replacing its image rolls them too"
	}
	message := fmt.Sprintf("template %s is in use by %s: %s", t.ID, strings.Join(users, ", "), effect)
	if p.allowShared {
		p.caution("%s", message)
		return nil
	}
	return fmt.Errorf("%s: %w", message, endpoint.ErrShared)
}
