package rollout

import (
	"context"
	"errors"
	"fmt"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/strategy"
)

// Target is where a rollout goes: see [ToRevision], [ToArtifact], [ToExact] and
// [ToDraft]. The zero Target is refused.
type Target struct {
	id, artifact string
	exact        *endpoint.Revision
	draft        *endpoint.Draft
}

// check refuses a target that says nothing.
func (t Target) check() error {
	switch {
	case t.exact != nil && t.exact.IsZero(), t.draft != nil && t.draft.Revision.IsZero():
		return invalid("target", "its revision is empty")
	case t.id == "" && t.artifact == "" && t.exact == nil && t.draft == nil:
		return invalid("target", "it is empty")
	}
	return nil
}

// ToRevision goes to a revision that exists, by the provider's identifier. An
// endpoint that is no [endpoint.Resolver] gets it as it is.
func ToRevision(id string) Target { return Target{id: id} }

// ToArtifact goes to a revision that runs the artifact and is otherwise like
// the live one, or like the one that the strategy stages into.
func ToArtifact(artifact string) Target { return Target{artifact: artifact} }

// ToExact goes to a revision that is given in full: it is handed to the provider
// as it is, and compared with what the provider shows ([endpoint.Revision.Same]).
func ToExact(r endpoint.Revision) Target { return Target{exact: &r} }

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
	case t.exact != nil && stages:
		return endpoint.Revision{}, nil, fmt.Errorf("%s stages an artifact, it does not go to %s: %w", s, t.exact, endpoint.ErrInvalid)
	case t.exact != nil:
		return *t.exact, nil, nil
	case t.id != "" && stages:
		return endpoint.Revision{}, nil, fmt.Errorf("%s stages an artifact, it does not go to revision %s: %w", s, t.id, endpoint.ErrInvalid)
	case t.id != "":
		r, err := resolve(ctx, u, endpoint.Revision{ID: t.id}, live)
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
		r, err := resolve(ctx, u, endpoint.Revision{Artifact: t.artifact}, live)
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

// resolve completes a revision, or takes it as it is where the endpoint resolves none.
// One that is known by its artifact alone is staged if the endpoint can.
func resolve(ctx context.Context, u endpoint.Updater, r, live endpoint.Revision) (endpoint.Revision, error) {
	resolver, ok := endpoint.As[endpoint.Resolver](u)
	if !ok {
		if _, stages := endpoint.As[endpoint.Stager](u); stages && r.ID == "" {
			return r, errors.ErrUnsupported
		}
		r.Kind = live.Kind
		return r, nil
	}
	return call(ctx, "the read of the target", readTime, func(ctx context.Context) (endpoint.Revision, error) {
		return resolver.Resolve(ctx, r)
	})
}

func draft(ctx context.Context, u endpoint.Updater, base endpoint.Revision, artifact string) (endpoint.Draft, error) {
	return ability(ctx, u, "the draft", readTime,
		func(ctx context.Context, stager endpoint.Stager) (endpoint.Draft, error) {
			return stager.Draft(ctx, base, artifact)
		})
}
