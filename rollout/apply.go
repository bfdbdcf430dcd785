package rollout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// ErrStale means that what a plan was based on has moved. See [StaleError].
var ErrStale = errors.New("the plan is stale")

// StaleError refuses a plan and names each value that has moved since it was
// made. It is [ErrStale].
type StaleError struct {
	Endpoint string
	Moved    []Moved
}

// Moved is a value that is not any more what a plan was based on.
type Moved struct {
	Thing   string `json:"thing"`
	Planned string `json:"planned"`
	Found   string `json:"found"`
}

func (e *StaleError) Error() string {
	var lines []string
	for _, m := range e.Moved {
		lines = append(lines, fmt.Sprintf("%s was %s, is %s", m.Thing, m.Planned, m.Found))
	}
	return fmt.Sprintf("%s: %v: %s; make a new plan", e.Endpoint, ErrStale, strings.Join(lines, "; "))
}

func (*StaleError) Unwrap() error { return ErrStale }

// Apply carries out a plan that [Preview] made, as it is: with its steps, its
// names and its limits. It reads again what the plan was based on, and refuses
// the plan with a [*StaleError] that names each value that has moved. Otherwise
// it is as [Run]. The checks and the job that the plan names must be given;
// options that shape a plan are refused.
func Apply(ctx context.Context, store journal.Store, u endpoint.Updater, p *strategy.Plan, opts ...Option) (*Report, error) {
	o := newOptions(opts)
	err := errors.Join(o.check("Apply", shaping...), checkCall(store, u, func() error { return checkPlan(p, u, &o) }))
	if err != nil {
		return refused(nameOf(u), err)
	}
	o.settle = p.Settle
	return afterResume(ctx, store, u, o, func() (*Rollout, error) {
		r, err := open(ctx, store, u, o, core.Policy{})
		if err != nil {
			return nil, err
		}
		r.begin = func(ctx context.Context, status endpoint.Status) (*strategy.Plan, error) {
			if last := r.machine.Ledger().Plan; last != nil && last.Rollout == p.Rollout {
				return nil, fmt.Errorf("%s: %w: rollout %s was carried out already; make a new plan", p.Endpoint, ErrStale, p.Rollout)
			}
			return p, unchanged(ctx, p, u, status)
		}
		return r, nil
	})
}

// shaping are the options that shape a plan.
var shaping = []string{
	"WithBake", "WithSettle", "WithStepTimeout", "WithProof", "WithChangeOptions", "AllowPaused", "WithApproval", "WithRefresh",
}

// checkPlan refuses a plan that this call cannot carry out.
func checkPlan(p *strategy.Plan, u endpoint.Updater, o *options) error {
	switch {
	case p == nil:
		return invalid("plan", "it is nil")
	case p.Endpoint != u.Name():
		return invalid("plan", "it is for %s, not for %s", p.Endpoint, u.Name())
	case len(p.Forward) == 0:
		return invalid("plan", "it has no steps: %s", strings.Join(p.Notes, "; "))
	}
	if err := p.Check(); err != nil {
		return err
	}
	for _, c := range p.Checks {
		if o.checks[c.Name] == nil {
			return invalid("plan", "the check %q is not given", c.Name)
		}
	}
	for _, rule := range o.rules {
		if !slices.ContainsFunc(p.Checks, func(c strategy.Check) bool { return c == rule.WithDefaults() }) {
			return invalid("WithCheck", "the plan has no such check %q", rule.Name)
		}
	}
	if p.Probe != o.probe {
		return invalid("plan", "its job is %q, and the one that is given %q", p.Probe, o.probe)
	}
	return needs(p, u)
}

// unchanged refuses a plan if what it was based on has moved.
func unchanged(ctx context.Context, p *strategy.Plan, u endpoint.Updater, s endpoint.Status) error {
	var moved []Moved
	note := func(thing, planned, found string) {
		if planned != found {
			moved = append(moved, Moved{thing, planned, found})
		}
	}
	if p.Identity != "" && s.Identity != "" {
		note("the endpoint's identity", p.Identity, s.Identity)
	}
	if !s.Desired.Same(p.Source) {
		moved = append(moved, movedRevision(journal.ThingRevision, p.Source, s.Desired))
	}
	keys := maps.Clone(p.Settings)
	maps.Copy(keys, s.Settings)
	for _, key := range endpoint.Settings(keys).Keys() {
		if !p.ProviderSets(key) {
			note(key, value(p.Settings, key), value(s.Settings, key))
		}
	}
	target, err := targetNow(ctx, p, u)
	if err != nil {
		return err
	}
	if !target.Same(p.Target) {
		moved = append(moved, movedRevision("target", p.Target, target))
	}
	if len(moved) == 0 {
		moved, err = autoscalingMoved(ctx, p, u)
	}
	switch {
	case err != nil:
		return err
	case len(moved) > 0:
		return &StaleError{Endpoint: p.Endpoint, Moved: moved}
	}
	if err := p.Fits(s); err != nil {
		return err
	}
	if pre, ok := endpoint.As[endpoint.Preflighter](u); ok {
		_, err = call(ctx, "preflight", readTime, func(ctx context.Context) ([]string, error) {
			return pre.Preflight(ctx, core.Change(p, false), core.Highest(p))
		})
		if p.Refresh != "" && p.Draft == nil && errors.Is(err, endpoint.ErrSameArtifact) {
			err = nil // as it has to be
		}
	}
	return err
}

// targetNow is what the target of a plan means now. One that is going to be
// staged is compared with its draft when that is done.
func targetNow(ctx context.Context, p *strategy.Plan, u endpoint.Updater) (endpoint.Revision, error) {
	_, ok := endpoint.As[endpoint.Resolver](u)
	if !ok || p.Draft != nil {
		return p.Target, nil
	}
	name := endpoint.Revision{ID: p.Target.ID}
	if name.ID == "" {
		name.Artifact = p.Target.Artifact
	}
	return ability(ctx, u, "the read of the target", readTime,
		func(ctx context.Context, resolver endpoint.Resolver) (endpoint.Revision, error) {
			return resolver.Resolve(ctx, name)
		})
}

// autoscalingMoved names what is not any more as in the plan's snapshot.
func autoscalingMoved(ctx context.Context, p *strategy.Plan, u endpoint.Updater) ([]Moved, error) {
	_, ok := endpoint.As[endpoint.AutoscalingSuspender](u)
	if p.Autoscaling == nil || !ok {
		return nil, nil
	}
	now, err := snapshot(ctx, u, core.Change(p, false), readTime)
	if err != nil {
		return nil, err
	}
	var moved []Moved
	for _, x := range []struct {
		thing string
		a, b  any
	}{
		{"what is done to autoscaling", p.Autoscaling.Summary, now.Summary},
		{"autoscaling's limits", p.Autoscaling.Max, now.Max},
		{"autoscaling", compact(p.Autoscaling.Data), compact(now.Data)},
	} {
		if a, b := text(x.a), text(x.b); a != b {
			moved = append(moved, Moved{x.thing, a, b})
		}
	}
	return moved, nil
}

// compact is JSON without what its layout has to say.
func compact(raw json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}

func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// value is a setting's, in words.
func value(s endpoint.Settings, key string) string {
	if v, ok := s[key]; ok {
		return strconv.Itoa(v)
	}
	return "not there"
}

// movedRevision names two revisions, with their contents where the names are one.
func movedRevision(thing string, planned, found endpoint.Revision) Moved {
	m := Moved{thing, planned.String(), found.String()}
	if m.Planned == m.Found {
		m.Planned += " with content " + planned.Digest
		m.Found += " with content " + found.Digest
	}
	return m
}
