// Package showcase has rollouts of every strategy and outcome, for the tests of
// what shows rollouts.
package showcase

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// Case is one rollout that was carried out, in a store of its own.
type Case struct {
	Name     string // the strategy and the outcome
	Store    *journal.Memory
	Endpoint string
	Outcome  rollout.Outcome // "" for one in progress
}

// Name is the endpoint of every case.
const Name = "runpod/i02xupws21hp6i"

// Cases are rollouts of every strategy, by every outcome that it can have.
func Cases(t *testing.T) []Case {
	t.Helper()
	var all []Case
	for _, s := range subjects() {
		for _, e := range ends() {
			if c := s.play(t, e); c != nil {
				all = append(all, *c)
			}
		}
	}
	return append(all, Canaries(t)...)
}

// subject is a strategy with an endpoint for it.
type subject struct {
	name     string
	strategy strategy.Strategy
	target   rollout.Target
	workers  bool
}

func subjects() []subject {
	return []subject{
		{"in-place", strategy.InPlace{}, rollout.ToRevision("b"), true},
		{"flush-to-zero", strategy.FlushToZero{}, rollout.ToRevision("b"), true},
		{"alternating-template", strategy.AlternatingTemplate{Templates: [2]string{"a", "b"}}, rollout.ToArtifact("acme/sdxl:v2"), true},
		{"scale-protected", strategy.ScaleProtectedSwap{Prescale: 3}, rollout.ToRevision("b"), false},
	}
}

// end is how a rollout is made to end.
type end struct {
	outcome rollout.Outcome
	prepare func(w *endpointtest.Workers, v *endpointtest.Variants, cancel func()) func(n int, name string) endpointtest.Fault
	detach  bool
	resume  bool
	gone    bool   // the endpoint is deleted after the first write
	abandon string // why a person gives it up
}

func ends() []end {
	none := func(*endpointtest.Workers, *endpointtest.Variants, func()) func(int, string) endpointtest.Fault {
		return nil
	}
	return []end{
		{outcome: rollout.OutcomeSucceeded, prepare: none},
		{outcome: rollout.OutcomeRolledBack, prepare: func(w *endpointtest.Workers, v *endpointtest.Variants, _ func()) func(int, string) endpointtest.Fault {
			if w != nil {
				w.FailOn("acme/sdxl:v2", "CUDA error: out of memory")
			} else {
				v.FailOn("acme/sdxl:v2", "The primary container did not pass the ping health check")
			}
			return nil
		}},
		{outcome: rollout.OutcomeIncomplete, prepare: refusing},
		{outcome: rollout.OutcomeDetached, detach: true, prepare: func(_ *endpointtest.Workers, _ *endpointtest.Variants, cancel func()) func(int, string) endpointtest.Fault {
			return func(int, string) endpointtest.Fault { return endpointtest.RunAfter(cancel) }
		}},
		{outcome: "resumed", detach: true, resume: true, prepare: func(_ *endpointtest.Workers, _ *endpointtest.Variants, cancel func()) func(int, string) endpointtest.Fault {
			return func(n int, _ string) endpointtest.Fault {
				if n > 1 {
					return endpointtest.Fault{}
				}
				return endpointtest.RunAfter(cancel)
			}
		}},
		{outcome: rollout.OutcomeSuperseded, prepare: overtaken},
		{outcome: rollout.OutcomeGone, gone: true, prepare: none},
		{outcome: rollout.OutcomeAbandoned, detach: true, abandon: "its project was closed", prepare: func(_ *endpointtest.Workers, _ *endpointtest.Variants, cancel func()) func(int, string) endpointtest.Fault {
			return func(int, string) endpointtest.Fault { return endpointtest.RunAfter(cancel) }
		}},
	}
}

// refusing lets the target fail, and then has the provider refuse the rollback.
func refusing(w *endpointtest.Workers, v *endpointtest.Variants, _ func()) func(int, string) endpointtest.Fault {
	updates := 0
	if w != nil {
		w.FailOn("acme/sdxl:v2", "CUDA error: out of memory")
	} else {
		v.FailOn("acme/sdxl:v2", "The primary container did not pass the ping health check")
	}
	return func(_ int, name string) endpointtest.Fault {
		if len(name) < 6 || name[:6] != "update" {
			if v != nil && updates > 0 {
				return endpointtest.Refuse(endpoint.ErrQuota)
			}
			return endpointtest.Fault{}
		}
		if updates++; updates > 1 || v != nil && updates > 1 {
			return endpointtest.Refuse(endpoint.ErrQuota)
		}
		return endpointtest.Fault{}
	}
}

// overtaken has another release begin right after the update.
func overtaken(w *endpointtest.Workers, v *endpointtest.Variants, _ func()) func(int, string) endpointtest.Fault {
	changed := false
	if w == nil {
		v.Foreign(func(s *endpointtest.VariantsState) { s.Revisions["c"] = "acme/sdxl:hotfix" })
		return func(_ int, name string) endpointtest.Fault {
			if name != "update b" || changed {
				return endpointtest.Fault{}
			}
			changed = true
			return endpointtest.RunAfter(func() { v.Foreign(func(s *endpointtest.VariantsState) { s.Pending = "c" }) })
		}
	}
	w.Foreign(func(s *endpointtest.WorkersState) { s.Templates["c"] = "acme/sdxl:hotfix" })
	return func(_ int, name string) endpointtest.Fault {
		if name != "update b" || changed {
			return endpointtest.Fault{}
		}
		changed = true
		return endpointtest.RunAfter(func() { w.Foreign(func(s *endpointtest.WorkersState) { s.Live = "c" }) })
	}
}

// play carries the rollout out, in a time that does not pass. It returns nil if
// the strategy cannot end so here.
func (s subject) play(t *testing.T, e end) *Case {
	t.Helper()
	c := &Case{Name: s.name + ", " + string(e.outcome), Store: journal.NewMemory(), Endpoint: Name, Outcome: e.outcome}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		u := s.open(e, cancel)
		opts := []rollout.Option{rollout.WithOwner("ci job 4711"), rollout.WithSchedule(waiter.Every(5 * time.Second))}
		if e.detach {
			opts = append(opts, rollout.WithDetach())
		}
		report, err := rollout.Run(ctx, c.Store, u, s.strategy, s.target, opts...)
		if e.resume {
			c.Outcome = rollout.OutcomeRolledBack
			<-time.NewTimer(26 * time.Hour).C
			report, err = rollout.Resume(t.Context(), c.Store, u, append(opts, rollout.WithOwner("an operator's laptop"))...)
		}
		if e.abandon != "" {
			report, err = rollout.Abandon(t.Context(), c.Store, Name, e.abandon)
		}
		if report == nil || report.Outcome != c.Outcome || errors.Is(err, rollout.ErrUnfinished) {
			t.Fatalf("%s: %v, %v; want %s", c.Name, report, err, c.Outcome)
		}
	})
	return c
}

// open makes the endpoint for a rollout that is to end like e.
func (s subject) open(e end, cancel func()) endpoint.Updater {
	if s.workers {
		w := endpointtest.NewWorkers(endpointtest.WorkersConfig{
			Name: Name, Templates: map[string]string{"a": "acme/sdxl:v1", "b": templateB(s.name)}, Live: "a", Min: 3, Max: 5, Quota: 10,
		})
		w.OnMutation(e.prepare(w, nil, cancel))
		if e.gone {
			g := &goneWorkers{Workers: w}
			w.OnMutation(func(int, string) endpointtest.Fault { return endpointtest.RunAfter(func() { g.gone = true }) })
			return g
		}
		return w
	}
	v := endpointtest.NewVariants(endpointtest.VariantsConfig{
		Name: Name, Revisions: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Counts: map[string]int{"AllTraffic": 2},
		Targets: map[string]endpointtest.Target{"AllTraffic": {Min: 1, Max: 6, Policies: []endpointtest.Policy{{Name: "track", Config: "70"}}}},
	})
	v.OnMutation(e.prepare(nil, v, cancel))
	if e.gone {
		g := &goneVariants{Variants: v}
		v.OnMutation(func(int, string) endpointtest.Fault { return endpointtest.RunAfter(func() { g.gone = true }) })
		return g
	}
	return v
}

// goneWorkers and goneVariants are endpoints that may be deleted.
type goneWorkers struct {
	*endpointtest.Workers
	gone bool
}

type goneVariants struct {
	*endpointtest.Variants
	gone bool
}

func deleted(name string) error {
	return &endpoint.Error{Op: "status", Endpoint: name, Err: fmt.Errorf("%w: 404 Not Found: there is no such endpoint", endpoint.ErrNotFound)}
}

func (g *goneWorkers) Status(ctx context.Context) (endpoint.Status, error) {
	if g.gone {
		return endpoint.Status{}, deleted(g.Name())
	}
	return g.Workers.Status(ctx)
}

func (g *goneVariants) Status(ctx context.Context) (endpoint.Status, error) {
	if g.gone {
		return endpoint.Status{}, deleted(g.Name())
	}
	return g.Variants.Status(ctx)
}

func templateB(name string) string {
	if name == "alternating-template" {
		return "acme/sdxl:v0"
	}
	return "acme/sdxl:v2"
}
