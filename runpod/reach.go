package runpod

import (
	"context"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// graphQLRetires is when RunPod takes the GraphQL API away, as it has announced.
const graphQLRetires = "early 2027"

// A revision over REST is known by its content. The way to it is found when it
// is needed, from what RunPod shows at that moment, so that no value has to be
// written down on the way there for the way back:
//
//  1. by the image alone, if nothing else differs;
//  2. by copying a template of the account that holds just that content;
//  3. by the old values that RunPod's history of releases shows.

// way is how to get to a revision.
type way struct {
	patch
	by   string    // for people
	to   *settings // what comes of it
	from *template // the template that is copied, nil if none is
}

// unreachable is what there is no way to.
func unreachable(to endpoint.Revision) error {
	return fmt.Errorf("more than the image has to change to get to %s, and no template of the account and no release holds "+
		"what it was: somebody changed the endpoint or the template since: %w", to, endpoint.ErrDrift)
}

// reach finds the way from the settings as they are now.
func (e *Endpoint) reach(ctx context.Context, now *settings, to endpoint.Revision) (*way, error) {
	if to.Digest == "" || now.with(to.Artifact).digest() == to.Digest {
		return &way{patch: patch{Image: &to.Artifact}, by: "the image alone", to: now.with(to.Artifact)}, nil
	}
	templates, err := e.patches.templates(ctx)
	if err != nil {
		return nil, err
	}
	if w := copyOf(now, to, templates); w != nil {
		return w, nil
	}
	history, err := e.watch.releases(ctx, e.id)
	if err != nil {
		return nil, err
	}
	if s := history.unwind(now, to.Digest); s == nil && (e.justPatched() || history.lags(now)) {
		return nil, unclear("the history of releases does not show yet what was changed")
	} else if s != nil {
		return &way{patch: now.patchTo(s), by: "the values that the history of releases shows", to: s}, nil
	}
	return nil, unreachable(to)
}

// readLag is longer than reads lag behind writes.
const readLag = 2 * time.Minute

func (e *Endpoint) justPatched() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.patched.IsZero() && time.Since(e.patched) < readLag
}

// copyOf looks for a template whose copy is the revision.
func copyOf(now *settings, to endpoint.Revision, templates []*template) *way {
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

// patchTo goes the way to a revision. The answer of a write is fresh, which a
// read before it may not have been: if it shows that more was needed, the rest
// is written too.
func (e *Endpoint) patchTo(ctx context.Context, to endpoint.Revision) error {
	s, err := e.lookPast(ctx, to)
	if err != nil {
		return err
	}
	now := s.own
	for range 3 {
		w, err := e.reach(ctx, now, to)
		if err != nil {
			return err
		}
		e.mu.Lock()
		e.patched, e.target = time.Now(), targetOf{}
		e.mu.Unlock()
		secrets := append(now.secrets(), w.to.secrets()...)
		answer, err := e.patches.patch(hiding(ctx, secrets), e.id, w.patch)
		if err != nil {
			return err
		}
		answer.own.unseen = now.unseen // as an answer does not show it either
		now = answer.own
		if now.ImageName != to.Artifact {
			return unclear("the image was written, and the answer shows %s", clip(now.ImageName))
		}
		if to.Digest == "" || now.digest() == to.Digest {
			return nil
		}
	}
	return unclear("the settings were written, and the answer still shows others")
}
