package sagemaker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
)

// snapshotVersion is the version of snapshot documents that this package
// writes. It reads that version and every earlier one.
const snapshotVersion = 1

// snapshot is the document in [endpoint.AutoscalingSnapshot.Data].
type snapshot struct {
	Version  int
	Endpoint string
	ARN      string    // of the endpoint or component
	Created  time.Time `json:"Created,omitzero"`
	Taken    time.Time
	Targets  []*target
	// Alarms are those of people that reach a step policy which is going to be
	// deregistered.
	Alarms []*alarm
}

// SnapshotAutoscaling reads every scalable target of every variant, in both dimensions
// that variants have, and of every inference component of the endpoint, with
// policies, scheduled actions, tags, and the alarms of people that reach step
// policies which have to be put back. What cannot be read makes it an error.
//
// Which targets are going to be suspended and which deregistered follows from
// the mode ([WithAutoscalingMode]) and from how c.To differs from the live endpoint
// configuration.
func (e *Endpoint) SnapshotAutoscaling(ctx context.Context, c endpoint.Change) (endpoint.AutoscalingSnapshot, error) {
	p, err := e.snapshot(ctx, c)
	return p, e.wrap("snapshot", err)
}

func (e *Endpoint) snapshot(ctx context.Context, c endpoint.Change) (endpoint.AutoscalingSnapshot, error) {
	var none endpoint.AutoscalingSnapshot
	o, err := e.optionsOf(c)
	if err != nil {
		return none, err
	}
	live, err := e.describe(ctx)
	if err != nil {
		return none, err
	}
	from, err := e.liveConfig(ctx, live)
	if err != nil {
		return none, err
	}
	to, err := e.wanted(ctx, c)
	if err != nil {
		return none, err
	}
	ids, err := e.resources(ctx, live)
	if err != nil {
		return none, err
	}
	s, err := e.take(ctx, ownerOf(live), ids, func(t *target) AutoscalingMode {
		switch {
		case e.mode != AutoscalingAuto && e.mode != AutoscalingDeregister:
			return e.mode
		case t.Variant != "" && (e.mode == AutoscalingDeregister || obstacle(t.Variant, from, to) != ""):
			return AutoscalingDeregister
		}
		return AutoscalingSuspend
	})
	if err != nil {
		return none, err
	}
	p := endpoint.AutoscalingSnapshot{Summary: s.summary(time.Now()), Max: endpoint.Settings{}}
	for _, t := range s.Targets {
		if key := t.setting(); key != "" {
			p.Max[key] = int(t.Max)
			if t.moves() {
				p.Autoscaled = append(p.Autoscaled, key)
			}
		}
	}
	p.Autoscaled = append(p.Autoscaled, movedBy(live, from, to, o)...)
	slices.Sort(p.Autoscaled)
	p.Autoscaled = slices.Compact(p.Autoscaled)
	p.ResetTo = resetBy(live, from, to)
	p.Data, err = encode(s)
	return p, err
}

// resetBy are the values that variants get by the change, or by going back from
// it, where AWS has nothing to retain, or does not say that it does: the count of
// a variant that is removed and made again, a count of zero, and provisioned
// concurrency.
func resetBy(live *sm.DescribeEndpointOutput, from, to *sm.CreateEndpointConfigInput) map[string][]int {
	values := map[string][]int{}
	for i := range live.ProductionVariants {
		v := &live.ProductionVariants[i]
		name := deref(v.VariantName)
		was, is := variant(from, name), variant(to, name)
		switch {
		case was == nil:
		case keepsConcurrency(v, was, is):
			for _, c := range concurrencies(was, is) {
				values[concurrencyKey(name)] = append(values[concurrencyKey(name)], int(deref(c.ProvisionedConcurrency)))
			}
		case v.DesiredInstanceCount != nil && (is == nil || *v.DesiredInstanceCount == 0):
			for _, c := range []*types.ProductionVariant{was, is} {
				if c != nil && c.InitialInstanceCount != nil {
					values[instancesKey(name)] = append(values[instancesKey(name)], int(*c.InitialInstanceCount))
				}
			}
		}
	}
	return values
}

// concurrencies are the serverless configurations that a variant is going to
// have and may come back to; none unless it is serverless throughout.
func concurrencies(was, is *types.ProductionVariant) []*types.ProductionVariantServerlessConfig {
	if was == nil || was.ServerlessConfig == nil {
		return nil
	}
	all := []*types.ProductionVariantServerlessConfig{was.ServerlessConfig}
	if is != nil {
		all = append(all, is.ServerlessConfig)
	}
	return all
}

// keepsConcurrency reports whether the provisioned concurrency of now can be
// set again under the configuration that comes and the one that was: AWS has no
// way to set none, nor more than they allow in all.
func keepsConcurrency(live *types.ProductionVariantSummary, was, is *types.ProductionVariant) bool {
	now := serverless(live)
	all := concurrencies(was, is)
	return now != nil && deref(now.ProvisionedConcurrency) > 0 && len(all) > 0 &&
		!slices.ContainsFunc(all, func(c *types.ProductionVariantServerlessConfig) bool {
			return c == nil || *now.ProvisionedConcurrency > deref(c.MaxConcurrency)
		})
}

// movedBy are the settings that the change itself moves for good, or that
// SageMaker moves by itself: of variants that become serverless or stop being
// it, and of those whose count is not retained or whose concurrency cannot be.
func movedBy(live *sm.DescribeEndpointOutput, from, to *sm.CreateEndpointConfigInput, o UpdateOptions) []string {
	var keys []string
	for i := range live.ProductionVariants {
		v := &live.ProductionVariants[i]
		name := deref(v.VariantName)
		was, is := variant(from, name), variant(to, name)
		switch {
		case was != nil && is != nil && (was.ServerlessConfig == nil) != (is.ServerlessConfig == nil),
			serverless(v) != nil && !keepsConcurrency(v, was, is),
			!o.retains(types.VariantPropertyTypeDesiredInstanceCount):
			keys = append(keys, instancesKey(name), concurrencyKey(name))
		}
	}
	known := settingsOf(live)
	return slices.DeleteFunc(keys, func(key string) bool {
		_, ok := known[key]
		return !ok
	})
}

// liveConfig is the configuration that the endpoint is in service with. One
// that was deleted is empty: nothing can be compared with it.
func (e *Endpoint) liveConfig(ctx context.Context, live *sm.DescribeEndpointOutput) (*sm.CreateEndpointConfigInput, error) {
	out, err := e.describeConfig(ctx, deref(live.EndpointConfigName))
	if err != nil {
		return nil, fmt.Errorf("the endpoint's own configuration: %w", err)
	}
	return meaning(out)
}

// wanted is the configuration that a change goes to, which may be a draft.
func (e *Endpoint) wanted(ctx context.Context, c endpoint.Change) (*sm.CreateEndpointConfigInput, error) {
	if c.Draft != nil {
		in, err := opened(*c.Draft)
		if err == nil {
			pinDefaults(in, time.Now())
		}
		return in, err
	}
	if c.To.Kind != KindEndpointConfig {
		return nil, invalid("revision %s: want one of kind %q: resolve it first", c.To, KindEndpointConfig)
	}
	out, err := e.describeConfig(ctx, c.To.ID)
	if err != nil {
		return nil, err
	}
	return meaning(out)
}

// take reads a snapshot of all targets.
func (as *autoscaling) take(ctx context.Context, of owner, ids map[string]string, mode func(*target) AutoscalingMode) (*snapshot, error) {
	s := &snapshot{Version: snapshotVersion, Endpoint: as.subject, ARN: of.arn, Created: of.created, Taken: time.Now().UTC()}
	var err error
	if s.Targets, err = as.targets(ctx, ids); err != nil {
		return nil, err
	}
	var policies []policy
	for _, t := range s.Targets {
		t.Mode = mode(t)
		if err := as.complete(ctx, t); err != nil {
			return nil, err
		}
		if t.Mode == AutoscalingDeregister {
			if err := t.kind(); err != nil {
				return nil, err
			}
			policies = append(policies, t.Policies...)
		}
	}
	s.Alarms, err = as.alarmsOf(ctx, policies)
	return s, err
}

// summary says in a line what suspending does.
func (s *snapshot) summary(now time.Time) string {
	names := map[AutoscalingMode][]string{}
	actions := 0
	var next time.Time
	for _, t := range s.Targets {
		names[t.Mode] = append(names[t.Mode], t.String())
		if t.Mode == AutoscalingRetain || t.Suspended.Scheduled {
			continue
		}
		for _, a := range t.Schedules {
			actions++
			if due, ok := a.next(now); ok && (next.IsZero() || due.Before(next)) {
				next = due
			}
		}
	}
	var parts []string
	for _, m := range []struct {
		mode AutoscalingMode
		verb string
	}{{AutoscalingRetain, "left as it is"}, {AutoscalingSuspend, "suspended and resumed"}, {AutoscalingDeregister, "deregistered and restored"}} {
		if n := names[m.mode]; n != nil {
			parts = append(parts, strings.Join(n, ", ")+" "+m.verb)
		}
	}
	if parts == nil {
		return "no scalable target to suspend"
	}
	if actions > 0 {
		due := fmt.Sprintf("%d scheduled actions do not fire until then", actions)
		if !next.IsZero() {
			due += ", the next would at " + next.UTC().Format(time.RFC3339)
		}
		parts = append(parts, due)
	}
	return strings.Join(parts, "; ")
}

// openSnapshot reads a snapshot document of this endpoint.
func (as *autoscaling) openSnapshot(data json.RawMessage) (*snapshot, error) {
	var s snapshot
	if err := decode(data, &s); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	switch {
	case s.Version < 1 || s.Version > snapshotVersion:
		return nil, invalid("snapshot of version %d, this program knows up to %d", s.Version, snapshotVersion)
	case s.Endpoint != as.subject:
		return nil, invalid("snapshot of endpoint %q", s.Endpoint)
	case slices.Contains(s.Targets, nil), slices.Contains(s.Alarms, nil):
		return nil, invalid("snapshot with an empty entry")
	}
	for _, t := range s.Targets {
		if t.Mode != AutoscalingRetain && t.Mode != AutoscalingSuspend && t.Mode != AutoscalingDeregister {
			return nil, invalid("snapshot of %s has mode %q", t, t.Mode)
		}
	}
	return &s, nil
}

// read is what there is now of what the snapshot holds.
func (as *autoscaling) read(ctx context.Context, s *snapshot) (*state, error) {
	of, err := as.owner(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case s.ARN != "" && of.arn != s.ARN:
		return nil, invalid("snapshot of %s, and this is %s", s.ARN, of.arn)
	case !s.Created.IsZero() && !of.created.IsZero() && !of.created.Equal(s.Created):
		return nil, invalid("snapshot of %s as it was made at %s, and it was deleted and made again at %s", s.ARN, moment(s.Created), moment(of.created))
	}
	st := &state{targets: map[string]*target{}, alarms: map[string]*alarm{}, variants: map[string]bool{}}
	for _, v := range of.variants {
		st.variants[v] = true
	}
	ids := map[string]string{}
	held := map[string]bool{}
	for _, t := range s.Targets {
		ids[t.ResourceID] = t.Variant
		held[t.key()] = true
	}
	targets, err := as.targets(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		if !held[t.key()] {
			continue
		}
		if err := as.complete(ctx, t); err != nil {
			return nil, err
		}
		st.targets[t.key()] = t
	}
	var names []string
	for _, a := range s.Alarms {
		names = append(names, a.Name)
	}
	alarms, err := as.describeAlarms(ctx, names)
	for i := range alarms {
		st.alarms[deref(alarms[i].AlarmName)] = alarmOf(&alarms[i])
	}
	return st, err
}
