package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// verify reads the whole snapshot back, until it is as it has to be and no
// write of ours can still be on its way into view. What it finds to be ours
// and not as it has to be, it sets right; what is somebody else's it notes.
func (d *driver) verify(ctx context.Context, s strategy.Step) error {
	for {
		wrong, err := d.readBack(ctx, s)
		if err != nil {
			return err
		}
		if wrong == nil {
			return nil
		}
		if err := d.correct(ctx, s, wrong); err != nil {
			return err
		}
	}
}

// wrongness is one thing that is not as it has to be.
type wrongness struct {
	journal.Drift
	verdict verdict
	fix     journal.Write
}

// readBack looks until all is well for good, or until what is wrong has been
// so for longer than reads may lag. A nil slice means that all is well.
func (d *driver) readBack(ctx context.Context, s strategy.Step) ([]wrongness, error) {
	var wrong []wrongness
	var since time.Time
	good := 0
	quiet := d.j.lastQuiet()
	_, err := d.until(ctx, s, func(ctx context.Context) (string, bool, error) {
		was := things(wrong)
		var err error
		if wrong, err = d.compare(ctx); err != nil {
			return "", false, err
		}
		now := time.Now()
		if len(wrong) == 0 {
			good++
			d.due = quiet
			return "waiting until reads can be believed", good >= 2 && !now.Before(quiet), nil
		}
		good = 0
		if since.IsZero() || !slices.Equal(was, things(wrong)) {
			since = now
		}
		d.due = later(since.Add(d.j.plan.Settle), quiet)
		lasts := !now.Before(d.due)
		fixable := slices.ContainsFunc(wrong, func(w wrongness) bool { return w.verdict != unsure })
		return fmt.Sprintf("%s is %s, want %s", wrong[0].Thing, wrong[0].Found, wrong[0].Want), lasts && fixable, nil
	})
	return wrong, err
}

func things(wrong []wrongness) []journal.Drift {
	ds := make([]journal.Drift, len(wrong))
	for i, w := range wrong {
		ds[i] = w.Drift
	}
	return ds
}

// correct sets right what is ours, and notes what is not. That the provider
// went back by itself after the commit point is for the end to say: first
// everything else has to be right.
func (d *driver) correct(ctx context.Context, s strategy.Step, wrong []wrongness) error {
	var reverted error
	for _, w := range wrong {
		switch {
		case w.verdict == unsure:
		case w.verdict == ours && w.Thing == journal.ThingRevision && !d.j.back:
			reverted = fmt.Errorf("%w to %s after the commit point: %s", endpoint.ErrRolledBack, w.Found, orUnknown(d.seen.Reason))
		case w.verdict == ours:
			if err := d.write(ctx, s, w.fix); err != nil {
				return err
			}
		default:
			if err := d.noteDrift(ctx, w.Drift); err != nil {
				return err
			}
		}
	}
	if len(wrong) > 1 {
		return nil // to be read back
	}
	return reverted
}

// compare looks once at everything that the rollout answers for.
func (d *driver) compare(ctx context.Context) ([]wrongness, error) {
	st, err := d.status(ctx)
	if err != nil {
		return nil, err
	}
	if !d.j.back && len(d.taken(st)) > 0 {
		return nil, d.gaveUp(st)
	}
	wrong := d.compareRevision(st)
	for _, key := range d.j.plan.Settings.Keys() {
		want, have := d.j.plan.Settings[key], st.Settings[key]
		if have == want || d.j.moves(key) || d.j.drifted(key) || d.gone(st, key) {
			continue
		}
		v := foreign
		if d.j.ours(key, have) && d.j.wrote(key) || d.j.imposes(key, have) || d.j.resets(key, have) {
			v = ours
		}
		wrong = append(wrong, wrongness{journal.Drift{Thing: key, Want: fmt.Sprint(want), Found: fmt.Sprint(have)}, v, journal.Write{Thing: key, Value: &want}})
	}
	if !d.j.wrote(journal.ThingAutoscaling) || d.j.drifted(journal.ThingAutoscaling) {
		return wrong, nil
	}
	is, err := inspect(ctx, d.u, d.j.protected)
	if err != nil {
		return nil, err
	}
	if !is.Restored {
		v := ours
		if len(is.Foreign) == len(is.Differences) {
			v = foreign
		}
		wrong = append(wrong, wrongness{
			journal.Drift{Thing: journal.ThingAutoscaling, Want: "as it was", Found: strings.Join(is.Differences, ", ")}, v, journal.Write{Thing: journal.ThingAutoscaling},
		})
	}
	return wrong, nil
}

// compareRevision checks identity: health was proven before the commit point.
func (d *driver) compareRevision(st endpoint.Status) []wrongness {
	want := changeTo(d.j.plan, d.j.back).To
	if d.j.drifted(journal.ThingRevision) {
		return nil
	}
	w := wrongness{Drift: journal.Drift{Thing: journal.ThingRevision, Want: want.String(), Found: st.Desired.String()}, fix: journal.Write{Thing: journal.ThingRevision, Revision: &want}}
	source, target := st.Desired.Same(d.j.plan.Source), st.Desired.Same(d.j.plan.Target)
	switch {
	case st.Desired.IsZero() || st.Phase == endpoint.PhaseUnknown:
		w.verdict = unsure
	case st.Desired.Same(want):
		if d.j.back || st.Serving.Same(want) || mayIdle(d.j.plan, st) {
			return nil
		}
		w.Found, w.verdict = "not proven to run", unsure
	case (source || target) && d.j.wrote(journal.ThingRevision):
		w.verdict = ours
	default:
		w.verdict = foreign
	}
	return []wrongness{w}
}
