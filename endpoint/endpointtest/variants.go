package endpointtest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// Variants is an endpoint in the shape of Amazon SageMaker with Application
// Auto Scaling. It serves the old revision until an update is done.
//
// It imitates:
//   - one change at a time: while an update, a capacity change or a move of the
//     autoscaler is in progress, every other one is [endpoint.ErrBusy]. Nothing
//     stops a change in progress.
//   - an update creates a second fleet, then bakes, then switches. Until then the
//     new revision is the desired one, and the old one is serving. One that goes
//     wrong rolls back by itself: the endpoint is ready again, desires and serves
//     the old revision, and its reason may be empty.
//   - an endpoint that ended failed accepts nothing more; one whose rollback
//     failed accepts an update.
//   - an update carries the live instance counts over, and needs the quota for
//     a second fleet for that time. It clears the last reason.
//   - "variant/NAME/instances" is one capacity change, which takes its time.
//   - the autoscaler of a registered target moves its count now and then, unless
//     it is suspended, has no policy, or the endpoint is in a change. Every
//     registration, also one that only suspends, moves a count that is out of
//     bounds into them. Deregistering loses policies, schedules, and the actions
//     of the alarms that named the policies; they come back only if they are put
//     back, with new ARNs.
//   - the generation counts what the endpoint's time of modification would show:
//     the start and the end of each change, no matter who began it.
//
// Its limits: every revision has the same variants; weights, traffic, tags and
// the alarms that the service makes for itself are left out; schedules never
// fire; a staged revision can be updated to once it is made.
type Variants struct{ fake[*variants] }

var (
	_ endpoint.Updater              = (*Variants)(nil)
	_ endpoint.Scaler               = (*Variants)(nil)
	_ endpoint.Stager               = (*Variants)(nil)
	_ endpoint.Shifter              = (*Variants)(nil)
	_ endpoint.Resolver             = (*Variants)(nil)
	_ endpoint.Preflighter          = (*Variants)(nil)
	_ endpoint.AutoscalingSuspender = (*Variants)(nil)
)

// VariantsConfig describes an endpoint that has been in service for a while.
type VariantsConfig struct {
	// Name is the endpoint's name; "fake/variants" if empty.
	Name string
	// Revisions maps the ID of each revision to its artifact.
	Revisions map[string]string
	// Live is the ID of the revision that is served.
	Live string
	// Counts maps each variant to its number of instances.
	Counts map[string]int
	// Targets maps variants to their scalable targets.
	Targets map[string]Target
	// Alarms maps alarms to their actions, the ARNs of policies.
	Alarms map[string][]string
	// Quota is the highest number of instances at any time; no limit if zero.
	Quota int
	// Build is how long a staged revision takes to be made; no time if zero.
	Build time.Duration
	// Create is how long the second fleet of an update takes to come up, or
	// to fail; 5 minutes if zero.
	Create time.Duration
	// Bake is how long the second fleet is watched then; zero for not at all.
	Bake time.Duration
	// Rollback is how long a failed update takes to clean up; 2 minutes if zero.
	Rollback time.Duration
	// Scale is how long a capacity change takes; 3 minutes if zero.
	Scale time.Duration
	// Autoscale is the time between two moves of the autoscaler, counted from
	// the making of the endpoint; zero if it never moves.
	Autoscale time.Duration
	// Deregister makes updates change the instance types: SuspendAutoscaling deregisters
	// the targets instead of suspending them, and an update is refused as long
	// as one is registered.
	Deregister bool
}

// VariantsState is the state of [Variants], as far as it can be seen and edited.
type VariantsState struct {
	Live      string            // ID of the revision that is served
	Revisions map[string]string // artifact of each revision
	// Pending is the ID of the revision that an update in progress goes to.
	// Editing it begins an update, or makes one in progress vanish.
	Pending string
	// Share is how many percent of the traffic the second of two revisions has
	// that are served side by side.
	Share      int
	Options    json.RawMessage // of the last update that was accepted
	Counts     map[string]int  // instances asked for; editing one begins a capacity change
	Failed     bool            // it ended failed
	Mixed      bool            // its rollback failed
	Reason     string
	Generation int
	Quota      int
	Targets    map[string]Target
	Alarms     map[string][]string
}

// NewVariants returns an endpoint in service. It panics if the configuration
// is one that the service would not have accepted.
func NewVariants(c VariantsConfig) *Variants {
	c.Name = cmp.Or(c.Name, "fake/variants")
	_, ok := c.Revisions[c.Live]
	for _, n := range c.Counts {
		ok = ok && n > 0
	}
	for v, t := range c.Targets {
		n := c.Counts[v]
		ok = ok && n > 0 && t.Min <= n && n <= t.Max
	}
	if !ok || len(c.Counts) == 0 {
		panic(fmt.Sprintf("endpointtest: invalid configuration of %s", c.Name))
	}
	now := time.Now()
	m := (&variants{
		VariantsState: VariantsState{
			Live: c.Live, Revisions: c.Revisions, Counts: c.Counts, Generation: 1, Quota: c.Quota,
			Targets: c.Targets, Alarms: c.Alarms,
		},
		epoch: now, now: now, running: c.Counts,
		create: cmp.Or(c.Create, 5*time.Minute), bake: c.Bake, rollback: cmp.Or(c.Rollback, 2*time.Minute),
		scale: cmp.Or(c.Scale, 3*time.Minute), autoscale: c.Autoscale, deregister: c.Deregister, fates: newFates(),
		build: c.Build, made: map[string]time.Time{},
	}).clone() // so that nothing of the caller's is ever changed
	return &Variants{newFake(c.Name, m, m.fates)}
}

func instances(variant string) string { return "variant/" + variant + "/instances" }

// Status implements [endpoint.Updater].
func (v *Variants) Status(ctx context.Context) (s endpoint.Status, err error) {
	err = v.read(ctx, "status", func(m *variants) error {
		s = m.status()
		return nil
	})
	return s, err
}

// Update implements [endpoint.Updater]. Options are any JSON object.
func (v *Variants) Update(ctx context.Context, c endpoint.Change) error {
	return v.mutate(ctx, "update "+c.To.ID, func(m *variants) error {
		var options map[string]json.RawMessage
		if len(c.Options) > 0 && json.Unmarshal(c.Options, &options) != nil {
			return fmt.Errorf("options %s: %w", c.Options, endpoint.ErrInvalid)
		}
		if _, err := m.find(c.To); err != nil {
			return err
		}
		if m.made[c.To.ID].After(m.now) {
			return fmt.Errorf("%s is being made: %w", c.To, endpoint.ErrInvalid)
		}
		if err := m.accepts(m.Mixed); err != nil {
			return err
		}
		if m.deregister && len(m.Targets) > 0 {
			return fmt.Errorf("instance type of %s, which is registered as a scalable target: %w",
				slices.Sorted(maps.Keys(m.Targets))[0], endpoint.ErrInvalid)
		}
		if n := 2 * total(m.Counts); m.Quota > 0 && n > m.Quota {
			return fmt.Errorf("limit is %d instances, the update needs %d: %w", m.Quota, n, endpoint.ErrQuota)
		}
		m.Options = slices.Clone(c.Options)
		m.begin(c.To.ID)
		return nil
	})
}

// Set implements [endpoint.Scaler] for "variant/NAME/instances".
func (v *Variants) Set(ctx context.Context, key string, value int) error {
	return v.mutate(ctx, "set "+key+"="+strconv.Itoa(value), func(m *variants) error {
		name := strings.TrimSuffix(strings.TrimPrefix(key, "variant/"), "/instances")
		was, ok := m.Counts[name]
		if !ok || key != instances(name) || value < 1 {
			return fmt.Errorf("%s=%d: %w", key, value, endpoint.ErrInvalid)
		}
		if err := m.accepts(false); err != nil {
			return err
		}
		if n := total(m.Counts) - was + value; m.Quota > 0 && value > was && n > m.Quota {
			return fmt.Errorf("limit is %d instances, not %d: %w", m.Quota, n, endpoint.ErrQuota)
		}
		m.resize(name, value)
		return nil
	})
}

// BreakOn makes updates to the artifact leave the endpoint failed for good.
func (v *Variants) BreakOn(artifact, reason string) { v.setFate(artifact, breaks, reason) }

// MixOn makes updates to the artifact fail, and their rollback as well: the
// endpoint ends failed, with both revisions in service.
func (v *Variants) MixOn(artifact, reason string) { v.setFate(artifact, mixes, reason) }

// Truth returns the state as it is now, whatever reads are shown.
func (v *Variants) Truth() (s VariantsState) {
	v.truth(func(m *variants) { s = m.clone().VariantsState })
	return s
}

// Protective returns everything that a rollout has to leave as it was, to be
// compared before and after: targets, policies, schedules, alarm actions by the
// policy they reach, and the counts that no autoscaler moves.
func (v *Variants) Protective() (all map[string]string) {
	v.truth(func(m *variants) {
		all = m.protective()
		for name, n := range m.Counts {
			if !m.Targets[name].moves() {
				all[instances(name)] = strconv.Itoa(n)
			}
		}
	})
	return all
}

// Foreign lets a third party change the endpoint now, past every check and hook.
func (v *Variants) Foreign(edit func(*VariantsState)) { v.At(time.Time{}, edit) }

// At is [Variants.Foreign] at time t, or now if that is past.
func (v *Variants) At(t time.Time, edit func(*VariantsState)) {
	v.edit(t, func(m *variants) {
		was := m.clone()
		edit(&m.VariantsState)
		m.follow(was)
	})
}

func total(counts map[string]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}
