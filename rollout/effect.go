package rollout

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
)

// verdict is what a look says about a thing that is about to be written, or
// may have been.
type verdict int

const (
	unsure  verdict = iota
	inForce         // the thing is as wanted
	ours            // it is as this rollout found it, or once wrote it
	foreign         // somebody else's value
)

// effect is a write together with how to see it and how to do it.
type effect struct {
	journal.Write
	want string
	look func(ctx context.Context) (v verdict, found string, err error)
	call func(ctx context.Context) error
}

// effectOf gives a write its look and its call. A write that was read from a
// journal gets the same ones.
func (d *driver) effectOf(w journal.Write) (effect, error) {
	switch {
	case w.Revision != nil:
		return d.revisionEffect(w), nil
	case w.Value != nil:
		return d.settingEffect(w)
	case w.Thing == journal.ThingDraft:
		return d.draftEffect(w)
	case w.Thing == journal.ThingAutoscaling:
		return d.protectionEffect(w)
	}
	return effect{}, fmt.Errorf("a write of %q: %w", w.Thing, journal.ErrDamaged)
}

func (d *driver) revisionEffect(w journal.Write) effect {
	to := *w.Revision
	c := endpoint.Change{To: to, Options: d.j.plan.Options, Rollback: to == d.j.plan.Source}
	return effect{
		Write: w, want: to.String(),
		look: func(ctx context.Context) (verdict, string, error) {
			s, err := d.status(ctx)
			switch {
			case err != nil:
				return unsure, "", err
			case s.Desired.IsZero():
				return unsure, "", nil
			case s.Desired.Same(to):
				return inForce, s.Desired.String(), nil
			case s.Desired.Same(d.j.plan.Source), s.Desired.Same(d.j.plan.Target):
				return ours, s.Desired.String(), nil
			}
			return foreign, s.Desired.String(), nil
		},
		call: func(ctx context.Context) error { return d.u.Update(ctx, c) },
	}
}

func (d *driver) settingEffect(w journal.Write) (effect, error) {
	scaler, err := endpoint.Need[endpoint.Scaler](d.u)
	if err != nil {
		return effect{}, err
	}
	key, value := w.Thing, *w.Value
	return effect{
		Write: w, want: strconv.Itoa(value),
		look: func(ctx context.Context) (verdict, string, error) {
			s, err := d.status(ctx)
			if err != nil {
				return unsure, "", err
			}
			have, ok := s.Settings[key]
			switch {
			case d.gone(s, key):
				return inForce, "gone with the update", nil
			case !ok:
				return unsure, "", fmt.Errorf("%s has no setting %s any more: %w", d.u.Name(), key, endpoint.ErrInvalid)
			case have == value, w.AtLeast && have > value:
				return inForce, strconv.Itoa(have), nil
			case d.j.ours(key, have), w.AtLeast && d.j.moves(key), d.j.imposes(key, have), d.j.resets(key, have):
				return ours, strconv.Itoa(have), nil
			}
			return foreign, strconv.Itoa(have), nil
		},
		call: func(ctx context.Context) error { return scaler.Set(ctx, key, value) },
	}, nil
}

// gone reports whether the target has no such setting. Of one that the rollout
// has lowered that is not believed: where it only does not show, what was taken
// away would stay away.
func (d *driver) gone(s endpoint.Status, key string) bool {
	_, ok := s.Settings[key]
	return !ok && !d.j.back && s.Desired.Same(d.j.plan.Target) && !d.j.lowered(key)
}

func (d *driver) draftEffect(w journal.Write) (effect, error) {
	stager, err := endpoint.Need[endpoint.Stager](d.u)
	if err != nil {
		return effect{}, err
	}
	draft := *d.j.plan.Draft
	return effect{
		Write: w, want: draft.Revision.String(),
		look: func(ctx context.Context) (verdict, string, error) {
			_, err := answered(ctx, lookTime, func(ctx context.Context) (endpoint.Draft, error) { return draft, stager.Staged(ctx, draft) })
			switch {
			case err == nil:
				return inForce, "", nil
			case errors.Is(err, endpoint.ErrNotFound):
				return ours, "", nil
			case errors.Is(err, endpoint.ErrDrift), errors.Is(err, endpoint.ErrInvalid):
				return foreign, err.Error(), nil
			}
			return unsure, "", err
		},
		call: func(ctx context.Context) error { return stager.Stage(ctx, draft) },
	}, nil
}

func (d *driver) protectionEffect(w journal.Write) (effect, error) {
	protector, err := endpoint.Need[endpoint.AutoscalingSuspender](d.u)
	if err != nil {
		return effect{}, err
	}
	call, words := protector.RestoreAutoscaling, "autoscaling as it was"
	snapshot, freezing := w.Suspend, w.Suspend != nil
	if freezing {
		call, words = protector.SuspendAutoscaling, "autoscaling frozen"
	} else {
		snapshot = d.j.protected
	}
	return effect{
		Write: w, want: words,
		look: func(ctx context.Context) (verdict, string, error) {
			is, err := inspect(ctx, d.u, snapshot)
			switch {
			case err != nil:
				return unsure, "", err
			case freezing && is.Suspended, !freezing && is.Restored:
				return inForce, "", nil
			case !freezing && len(is.Foreign) == len(is.Differences):
				return foreign, strings.Join(is.Foreign, ", "), nil
			}
			return ours, "", nil
		},
		call: func(ctx context.Context) error { return call(ctx, *snapshot) },
	}, nil
}
