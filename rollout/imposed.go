package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// A provider that takes capacity away because nothing comes of it but failures
// leaves values that look like anybody's. It tells of them while the failures
// can be seen ([endpoint.Status.ProviderOverrides]), and at no other time: so that goes on
// record with the first look that shows it, for whoever drives by the time that
// the values are found.

// errImposed: the provider took capacity away by itself.
var errImposed = errors.New("the provider took capacity away by itself")

// remember puts on record what the provider sets by itself, and why.
func (d *driver) remember(ctx context.Context, s endpoint.Status) error {
	if len(s.ProviderOverrides) == 0 || d.j.failed(s.Desired) {
		return nil
	}
	return d.append(ctx, journal.Record{Kind: journal.KindOverridden, Before: &s, Note: s.Reason})
}

// taken are the settings that have the provider's own value, where the rollout
// has to leave another; the maximum before the minimum. A read that may be
// older than a write of ours says nothing: it must not be taken for the
// provider's doing the same once more.
func (d *driver) taken(s endpoint.Status) []string {
	now := time.Now()
	return slices.DeleteFunc(d.j.plan.Settings.Keys(), func(key string) bool {
		have := s.Settings[key]
		return !d.j.imposes(key, have) || have == d.j.plan.Settings[key] || now.Before(d.j.quiet(key))
	})
}

// gaveUp is the error of a rollout whose target the provider has given up on.
func (d *driver) gaveUp(s endpoint.Status) error {
	var found []string
	for _, key := range d.taken(s) {
		found = append(found, fmt.Sprintf("%s is %d", key, s.Settings[key]))
	}
	return fmt.Errorf("%w: %w (%s): %s", endpoint.ErrFailed, errImposed, strings.Join(found, ", "), orUnknown(d.j.failure))
}

// ready waits until a revision is ready. What the provider did to the capacity
// because of another revision it undoes: without that nothing could become
// ready. If it was because of the target, the target has failed. Only the wait
// ends with wctx: what is begun by ctx is not to be left half-way.
func (d *driver) ready(ctx, wctx context.Context, s strategy.Step, want endpoint.Revision, opts []waiter.Option) (endpoint.Status, error) {
	for {
		seen, err := d.watched(wctx, want, d.observer(s), opts)
		if len(d.taken(seen)) == 0 || !errors.Is(err, errImposed) && !errors.Is(err, endpoint.ErrFailed) {
			return seen, err
		}
		if !d.j.back && d.j.failed(want) {
			return seen, d.gaveUp(seen)
		}
		d.seen = seen
		if err := d.giveBack(ctx, s); err != nil {
			return d.seen, err
		}
	}
}

// watched is [waiter.Ready], but that it remembers what the provider sets by
// itself, and ends with errImposed when it has.
func (d *driver) watched(ctx context.Context, want endpoint.Revision, watch func(waiter.Progress), opts []waiter.Option) (endpoint.Status, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var end error
	seen, err := waiter.Ready(ctx, d.u, want, append(slices.Clone(opts), waiter.WithObserver(func(p waiter.Progress) {
		watch(p)
		if end = d.remember(ctx, p.Observed.Status); end == nil && len(d.taken(p.Observed.Status)) > 0 {
			end = errImposed
		}
		if end != nil {
			cancel()
		}
	}))...)
	if end != nil {
		return seen, end
	}
	return seen, err
}

// giveBack sets right what was taken, as far as the last look shows.
func (d *driver) giveBack(ctx context.Context, s strategy.Step) error {
	for _, key := range d.taken(d.seen) {
		want := d.j.plan.Settings[key]
		if err := d.setBack(ctx, s, journal.Write{Thing: key, Value: &want}); err != nil {
			return err
		}
	}
	return nil
}

// setBack sets a setting back. If that does not fit what the provider did
// meanwhile, which reads may not have shown yet, that is undone first.
func (d *driver) setBack(ctx context.Context, s strategy.Step, w journal.Write) error {
	err := d.write(ctx, s, w)
	if !errors.Is(err, endpoint.ErrInvalid) {
		return err
	}
	if serr := d.letSettle(ctx, s); serr != nil {
		return err
	}
	for _, key := range append(d.taken(d.seen), w.Thing) {
		value := d.j.plan.Settings[key]
		if key == w.Thing {
			value = *w.Value
		}
		if err := d.write(ctx, s, journal.Write{Thing: key, Value: &value}); err != nil {
			return err
		}
	}
	return nil
}

// letSettle looks on until reads can be believed.
func (d *driver) letSettle(ctx context.Context, s strategy.Step) error {
	end := time.Now().Add(max(d.j.plan.Settle, d.errorGap))
	_, err := d.until(ctx, s, func(ctx context.Context) (string, bool, error) {
		_, err := d.status(ctx)
		return "waiting until reads can be believed", !time.Now().Before(end), err
	})
	return err
}
