package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// Planned is one member in a preview.
type Planned struct {
	Endpoint string         `json:"endpoint"`
	Wave     string         `json:"wave"`
	Plan     *strategy.Plan `json:"plan,omitempty"`
	// Refused says why its rollout would be refused.
	Refused string `json:"refused,omitempty"`
}

// Preview plans every member, in the order of the waves, and changes nothing. It
// reads no journal. A member that would be refused has no plan, and hides no
// other one. [WithCalls] says how many members are planned at once.
func Preview(ctx context.Context, f Fleet, opts ...Option) ([]Planned, error) {
	set, err := newSettings(opts)
	if err != nil {
		return nil, err
	}
	if len(set.cursor) > 0 {
		return nil, errCursor
	}
	waves, err := f.plan()
	if err != nil {
		return nil, err
	}
	byName := make(map[string]Member, len(f.Members))
	for _, m := range f.Members {
		byName[m.Endpoint.Name()] = m
	}
	var all []Planned
	for _, w := range waves {
		for _, name := range w.Members {
			all = append(all, Planned{Endpoint: name, Wave: w.Name})
		}
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, set.calls)
	for i := range all {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			m := byName[all[i].Endpoint]
			plan, err := rollout.Preview(ctx, m.Endpoint, m.Strategy, m.Target, append(slices.Clip(m.Options), rollout.WithLabel(f.ID))...)
			if err != nil {
				all[i].Refused = err.Error()
			}
			all[i].Plan = plan
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return all, nil
}

// Summary says in lines for people what a preview found: what is refused, by
// reason, and how many members each wave moves.
func Summary(all []Planned) string {
	var b strings.Builder
	var refused []MemberReport
	order, moves := []string{}, map[string][2]int{}
	for _, p := range all {
		n, seen := moves[p.Wave]
		if !seen {
			order = append(order, p.Wave)
		}
		switch {
		case p.Refused != "":
			refused = append(refused, MemberReport{Endpoint: p.Endpoint, Outcome: Refused, Reason: p.Refused})
		case len(p.Plan.Forward) == 0:
			n[1]++
		default:
			n[0]++
		}
		moves[p.Wave] = n
	}
	for _, w := range order {
		fmt.Fprintf(&b, "wave %s: %d to move, %d serve the target already\n", w, moves[w][0], moves[w][1])
	}
	for _, r := range group(refused) {
		fmt.Fprintf(&b, "refused: %s: %s\n", r.Text, strings.Join(r.Members, ", "))
	}
	return b.String()
}
