package rollout

import (
	"context"
	"errors"
	"fmt"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/strategy"
)

// Target is where a rollout goes: see [ToRevision], [ToArtifact] and [ToDraft].
type Target struct {
	id, artifact string
	draft        *endpoint.Draft
}

// ToRevision goes to a revision that exists, by the provider's identifier.
func ToRevision(id string) Target { return Target{id: id} }

// ToArtifact goes to a revision that runs the artifact and is otherwise like
// the live one, or like the one that the strategy stages into.
func ToArtifact(artifact string) Target { return Target{artifact: artifact} }

// ToDraft goes to a revision that the caller drafted.
func ToDraft(d endpoint.Draft) Target { return Target{draft: &d} }

// resolve completes the target by reading.
func (t Target) resolve(ctx context.Context, u endpoint.Updater, s strategy.Strategy, live endpoint.Revision) (endpoint.Revision, *endpoint.Draft, error) {
	into, stages := s.(interface {
		Base(live endpoint.Revision) (endpoint.Revision, error)
	})
	switch {
	case t.draft != nil:
		return t.draft.Revision, t.draft, nil
	case t.id != "" && stages:
		return endpoint.Revision{}, nil, fmt.Errorf("%s stages an artifact, it does not go to revision %s: %w", s, t.id, endpoint.ErrInvalid)
	case t.id != "":
		r, err := resolve(ctx, u, endpoint.Revision{ID: t.id})
		return r, nil, err
	case t.artifact == "":
		return endpoint.Revision{}, nil, fmt.Errorf("the target is empty: %w", endpoint.ErrInvalid)
	}
	base := live
	if stages {
		var err error
		if base, err = into.Base(live); err != nil {
			return endpoint.Revision{}, nil, unsupported(ctx, u, live, t.artifact, err)
		}
	} else {
		r, err := resolve(ctx, u, endpoint.Revision{Artifact: t.artifact})
		if !errors.Is(err, errors.ErrUnsupported) {
			return r, nil, err
		}
	}
	d, err := draft(ctx, u, base, t.artifact)
	if err != nil {
		return endpoint.Revision{}, nil, err
	}
	return d.Revision, &d, nil
}

// unsupported prefers the provider's own reason why it stages nothing, and what
// to do instead, to the strategy's that live is not what it knows.
func unsupported(ctx context.Context, u endpoint.Updater, live endpoint.Revision, artifact string, err error) error {
	if _, serr := endpoint.Need[endpoint.Stager](u); serr != nil {
		return serr
	}
	if live.ID != "" {
		return err
	}
	if _, derr := draft(ctx, u, live, artifact); errors.Is(derr, errors.ErrUnsupported) {
		return derr
	}
	return err
}

func resolve(ctx context.Context, u endpoint.Updater, r endpoint.Revision) (endpoint.Revision, error) {
	return ability(ctx, u, "the read of the target", readTime,
		func(ctx context.Context, resolver endpoint.Resolver) (endpoint.Revision, error) {
			return resolver.Resolve(ctx, r)
		})
}

func draft(ctx context.Context, u endpoint.Updater, base endpoint.Revision, artifact string) (endpoint.Draft, error) {
	return ability(ctx, u, "the draft", readTime,
		func(ctx context.Context, stager endpoint.Stager) (endpoint.Draft, error) {
			return stager.Draft(ctx, base, artifact)
		})
}
