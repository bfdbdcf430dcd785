package runpod

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
)

// runREST is the preflight over REST.
func (p *preflight) runREST(ctx context.Context) error {
	if err := errors.Join(checkImageChange(p.change), checkSettings(p.settings)); err != nil {
		return err
	}
	now, err := p.settled(ctx)
	if err != nil {
		return err
	}
	s, err := p.look(ctx)
	if err != nil {
		return err
	}
	to := p.change.To
	// What is live already needs no permission to stay.
	if !now.revision().Same(to) {
		if err := p.images(s, to.Artifact); err != nil {
			return err
		}
		if err := p.wayThereAndBack(ctx, now, to); err != nil {
			return err
		}
		if err := p.sharedOverGraphQL(ctx); err != nil {
			return err
		}
	}
	a, err := p.control.account(ctx)
	if err != nil {
		return err
	}
	if err := p.quota(ctx, a); err != nil {
		return err
	}
	return p.jobsPlane(ctx, s)
}

// wayThereAndBack refuses a rollout that could not be rolled back: a copy of a
// template replaces more than the image, and what it replaces has to be
// readable at RunPod afterwards, as it is written down nowhere else.
func (p *preflight) wayThereAndBack(ctx context.Context, now *settings, to endpoint.Revision) error {
	w, err := p.reach(ctx, now, to)
	if err != nil || w.from == nil {
		return err
	}
	if !p.allowCopy {
		return noLink(w.from.ID)
	}
	p.caution("template %s is copied once: later changes of it do not reach the endpoint", w.from.ID)
	p.compare(&now.content, &w.from.content)
	changes := slices.DeleteFunc(now.differing(w.to), func(name string) bool { return name == "image" })
	if len(changes) == 0 {
		return nil
	}
	templates, err := p.patches.templates(ctx)
	if err != nil {
		return err
	}
	if back := copyOf(w.to, now.revision(), templates); back != nil {
		p.caution("the copy changes %s too: the way back is %s", strings.Join(changes, ", "), back.by)
		return nil
	}
	history, err := p.watch.releases(ctx, p.id)
	if err != nil {
		return err
	}
	if history.shows(now, changes) {
		p.caution("the copy changes %s too: the way back is by the values that RunPod's history of releases shows", strings.Join(changes, ", "))
		return nil
	}
	return fmt.Errorf("a copy of template %s changes %s, and RunPod would not show the present values to a rollback: "+
		"make a template of them first, move to the image alone, or use the GraphQL transport, which RunPod retires in %s: %w",
		w.from.ID, strings.Join(changes, ", "), graphQLRetires, errors.ErrUnsupported)
}

// sharedOverGraphQL finds out who else is linked to the endpoint's template. A
// PATCH may well write that template, and REST does not show the links; the
// older API does, while it lives and as far as the key may use it.
func (p *preflight) sharedOverGraphQL(ctx context.Context) error {
	if p.peers == nil {
		p.caution("REST does not tell whether other endpoints are linked to this one's template, which the change may reach")
		return nil
	}
	a, err := p.peers.account(ctx)
	if ctxErr := contextError(ctx); ctxErr != nil {
		return ctxErr
	}
	if err != nil {
		p.caution("whether other endpoints are linked to this one's template, which the change may reach, could not be read: %v", err)
		return nil
	}
	i := slices.IndexFunc(a.endpoints, func(e accountEndpoint) bool { return e.id == p.id })
	if i < 0 || a.endpoints[i].templateID == "" {
		return nil
	}
	id := a.endpoints[i].templateID
	users := a.users(id, p.id)
	if len(users) == 0 {
		return nil
	}
	message := fmt.Sprintf("the endpoint is linked to template %s, as are %s: RunPod does not promise that a change of this endpoint leaves them alone",
		id, strings.Join(users, ", "))
	if p.allowShared {
		p.caution("%s", message)
		return nil
	}
	return fmt.Errorf("%s: %w", message, endpoint.ErrShared)
}
