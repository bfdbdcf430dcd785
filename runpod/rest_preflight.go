package runpod

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

func (o *restOperations) preflight(ctx context.Context, p *preflight) error {
	if err := errors.Join(o.checkChange(p.change), checkSettings(p.settings)); err != nil {
		return err
	}
	s, err := o.readSettled(ctx)
	if err != nil {
		return err
	}
	to := p.change.To
	// What is live already needs no permission to stay.
	if s.revision().Same(to) {
		p.unchanged(to.Artifact)
	} else {
		if err := p.images(s, to.Artifact); err != nil {
			return err
		}
		if err := o.forwardAndBack(ctx, p, s.own, to); err != nil {
			return err
		}
		if err := o.linked(ctx, p); err != nil {
			return err
		}
	}
	if err := o.writers(ctx, p, s); err != nil {
		return err
	}
	a, err := o.api.account(ctx)
	if err != nil {
		return err
	}
	if err := p.quota(ctx, a, noQuota); err != nil {
		return err
	}
	return p.jobsPlane(ctx, s)
}

// writers names what RunPod itself may do to the endpoint while it is moved.
func (o *restOperations) writers(ctx context.Context, p *preflight, s *state) error {
	history, err := o.api.releases(ctx, o.id)
	if err != nil {
		return err
	}
	if built := history.built(0); built != "" {
		p.caution("this endpoint is built from GitHub (%s): a push there makes a release over this rollout, which then ends as superseded", built)
	}
	if s.models {
		p.caution("the endpoint has model references: RunPod puts a worker where the model is cached, and a new worker may wait for that")
	}
	if s.affinity {
		p.caution("the endpoint has worker affinity: requests may go on going to a worker of the old revision until it is replaced")
	}
	return nil
}

// forwardAndBack refuses a rollout that could not be rolled back: a copy of a
// template replaces more than the image, and what it replaces has to be
// readable at RunPod afterwards, as it is written down nowhere else.
func (o *restOperations) forwardAndBack(ctx context.Context, p *preflight, now *settings, to endpoint.Revision) error {
	w, err := o.reach(ctx, now, to)
	if err != nil || w.from == nil {
		return err
	}
	if !p.allowCopy {
		return o.noLink(w.from.ID)
	}
	p.caution("template %s is copied once: later changes of it do not reach the endpoint", w.from.ID)
	p.compare(&now.content, &w.from.content, true)
	changes := slices.DeleteFunc(now.differing(w.to), func(name string) bool { return name == "image" })
	if len(changes) == 0 {
		return nil
	}
	templates, err := o.api.templates(ctx, "")
	if err != nil {
		return err
	}
	if back := copyOf(w.to, now.revision(), templates); back != nil {
		p.caution("the copy changes %s too: a rollback is by %s", strings.Join(changes, ", "), back.by)
		return nil
	}
	history, err := o.api.releases(ctx, o.id)
	if err != nil {
		return err
	}
	if history.shows(now, changes) {
		p.caution("the copy changes %s too: a rollback is by the values that RunPod's history of releases shows", strings.Join(changes, ", "))
		return nil
	}
	return fmt.Errorf("a copy of template %s changes %s, and RunPod would not show the present values to a rollback: "+
		"make a template of them first, or move to the image alone%s: %w",
		w.from.ID, strings.Join(changes, ", "), o.instead, errors.ErrUnsupported)
}

// linked finds out who else is linked to the endpoint's template. A
// PATCH may well write that template, and REST does not show the links; the
// older API does, while it lives and as far as the key may use it.
func (o *restOperations) linked(ctx context.Context, p *preflight) error {
	if o.links == nil {
		p.caution("REST does not tell whether other endpoints are linked to this one's template, which the change may reach")
		return nil
	}
	a, err := o.links(ctx)
	if ctxErr := httpx.ContextError(ctx); ctxErr != nil {
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

// noQuota is the worker quota over REST, which tells it in a refusal only.
func noQuota(context.Context) (int, error) { return 0, nil }
