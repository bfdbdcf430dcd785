package rollout

import (
	"context"
	"fmt"
	"slices"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/strategy"
)

// WithRefresh moves what is served to new capacity, although nothing else would
// change, such as when a provider asks to leave machines that it cannot patch. The
// reason must not be empty; it goes into the plan, and so into the journal. The
// target has to be what is served: the zero [Target] will do.
//
// An endpoint that is an [endpoint.Refresher] gets a copy of its revision under
// another name, and has to show, before the commit point, that all capacity was
// started since the rollout's first write. Any other one has to be flushed
// ([strategy.FlushToZero]): all its workers go before the first new one comes.
func WithRefresh(reason string) Option {
	return func(o *options) {
		o.set("WithRefresh")
		if reason == "" {
			o.refuse("WithRefresh", "the reason is empty")
		}
		o.refresh, o.refreshes = reason, true
	}
}

// refreshTarget is the target of a refresh: a copy of what is served, or, for a
// flush, what is served itself.
func refreshTarget(
	ctx context.Context, u endpoint.Updater, t Target, live endpoint.Revision, reason string,
) (endpoint.Revision, *endpoint.Draft, error) {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("refresh of %s: %w: %s", u.Name(), endpoint.ErrInvalid, fmt.Sprintf(format, args...))
	}
	switch {
	case t.draft != nil, t.exact != nil && !t.exact.Same(live), t.id != "" && t.id != live.ID, t.artifact != "" && t.artifact != live.Artifact:
		return endpoint.Revision{}, nil, bad("the target is not %s, which is served; a refresh moves that to new capacity", live)
	}
	if _, ok := endpoint.As[endpoint.Refresher](u); !ok {
		return live, nil, nil // see refreshes
	}
	d, err := ability(ctx, u, "the draft", readTime, func(ctx context.Context, r endpoint.Refresher) (endpoint.Draft, error) {
		return r.DraftRefresh(ctx, live, reason)
	})
	if err != nil {
		return endpoint.Revision{}, nil, err
	}
	d.Refresh = reason
	return d.Revision, &d, nil
}

// checkRefresh refuses a refresh that would leave old capacity: without a revision of
// its own, every worker has to go before the first new one comes.
func checkRefresh(p *strategy.Plan) error {
	empties := slices.ContainsFunc(p.Forward, func(s strategy.Step) bool { return s.Do == strategy.ActionAwait && s.Until == strategy.UntilEmpty })
	if p.Draft != nil || empties {
		return nil
	}
	return fmt.Errorf("refresh of %s: %w: this endpoint is refreshed by a strategy that takes every worker away first, such as %s, and %s does not",
		p.Endpoint, endpoint.ErrInvalid, strategy.FlushToZero{}, p.Strategy)
}

// refreshNote is what a plan says of a refresh.
func refreshNote(reason string, notes []string) []string {
	note := "refresh: the same artifact on new capacity: " + reason
	return append(slices.Clip([]string{note}), notes...)
}
