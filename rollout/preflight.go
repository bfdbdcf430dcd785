package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/strategy"
)

// changeOptions are the options that were given for the change, or else those of
// the endpoint, so that another process that resumes makes the same change.
func changeOptions(u endpoint.Updater, o options) (json.RawMessage, error) {
	holder, ok := endpoint.As[endpoint.OptionsHolder](u)
	if !ok || len(o.change) > 0 {
		return o.change, nil
	}
	raw, err := holder.ChangeOptions()
	if err != nil {
		return nil, fmt.Errorf("%s: its options for changes: %w", u.Name(), err)
	}
	return raw, nil
}

// changes are the updates that the forward part makes, in order.
func changes(p *strategy.Plan) []endpoint.Change {
	last := core.Change(p, false)
	if p.Canary == nil {
		return []endpoint.Change{last}
	}
	both := last
	both.To, both.Draft = p.Canary.Revision, &p.Canary.Draft
	return []endpoint.Change{both, last}
}

// duration is the longest time that the provider is configured to give one of
// the updates.
func duration(ctx context.Context, p *strategy.Plan, u endpoint.Updater) (longest time.Duration, err error) {
	pacer, ok := endpoint.As[endpoint.DurationEstimator](u)
	if !ok {
		return 0, nil
	}
	for _, c := range changes(p) {
		d, err := call(ctx, "the estimate of the duration", readTime, func(ctx context.Context) (time.Duration, error) {
			return pacer.EstimateDuration(ctx, c)
		})
		if err != nil {
			return 0, err
		}
		longest = max(longest, d)
	}
	return longest, nil
}

// preflight has each of the updates checked, and notes what the plan should say.
func preflight(ctx context.Context, p *strategy.Plan, u endpoint.Updater) error {
	pre, ok := endpoint.As[endpoint.Preflighter](u)
	if !ok {
		return nil
	}
	for _, c := range changes(p) {
		cautions, err := call(ctx, "preflight", readTime, func(ctx context.Context) ([]string, error) {
			return pre.Preflight(ctx, c, core.Highest(p))
		})
		if err != nil {
			return err
		}
		for _, text := range cautions {
			if p.Canary != nil && c.To.Same(p.Canary.Revision) {
				text = "update to both: " + text
			}
			p.Notes = append(p.Notes, text)
		}
	}
	return nil
}
