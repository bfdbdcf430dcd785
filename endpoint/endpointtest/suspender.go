package endpointtest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
)

// snapshot is the document in [endpoint.AutoscalingSnapshot].
type snapshot struct {
	Deregister bool                `json:"deregister,omitempty"`
	Targets    map[string]Target   `json:"targets,omitempty"`
	Alarms     map[string][]string `json:"alarms,omitempty"` // those that reach a policy of the targets
}

func open(ctx context.Context, p endpoint.AutoscalingSnapshot) (snapshot, error) {
	var s snapshot
	if err := ended(ctx); err != nil {
		return s, err
	}
	if err := json.Unmarshal(p.Data, &s); err != nil {
		return s, fmt.Errorf("protection data: %w: %w", endpoint.ErrInvalid, err)
	}
	return s, nil
}

// variants returns the snapshot's targets in the order in which they are dealt with.
func (s snapshot) variants() []string { return slices.Sorted(maps.Keys(s.Targets)) }

// machine returns a service that holds nothing but the snapshot.
func (s snapshot) machine() *variants {
	return &variants{VariantsState: VariantsState{Targets: cloneTargets(s.Targets), Alarms: cloneAlarms(s.Alarms)}}
}

// protected returns one as SuspendAutoscaling leaves it.
func (s snapshot) protected() *variants {
	m := s.machine()
	for name, t := range m.Targets {
		if t.Suspended = frozen; s.Deregister {
			m.deregisterTarget(name)
			continue
		}
		m.Targets[name] = t
	}
	return m
}

// alone flattens one target.
func alone(name string, t Target) map[string]string {
	return (&variants{VariantsState: VariantsState{Targets: map[string]Target{name: t}}}).protective()
}

// SnapshotAutoscaling implements [endpoint.AutoscalingSuspender]. It takes in every target, since
// every revision has the same variants.
func (v *Variants) SnapshotAutoscaling(ctx context.Context, _ endpoint.Change) (p endpoint.AutoscalingSnapshot, err error) {
	err = v.read(ctx, "snapshot", func(m *variants) error {
		s := snapshot{Deregister: m.deregister, Targets: cloneTargets(m.Targets), Alarms: map[string][]string{}}
		p.Summary, p.Max = "nothing to protect", endpoint.Settings{}
		for _, name := range s.variants() {
			t := s.Targets[name]
			if t.moves() {
				p.Autoscaled = append(p.Autoscaled, instances(name))
				p.Max[instances(name)] = t.Max
			}
			for alarm, actions := range m.Alarms {
				if slices.ContainsFunc(t.Policies, func(p Policy) bool { return slices.Contains(actions, p.ARN) }) {
					s.Alarms[alarm] = slices.Clone(actions)
				}
			}
		}
		if names := strings.Join(s.variants(), ", "); s.Deregister && names != "" {
			p.Summary = "deregister and restore " + names
		} else if names != "" {
			p.Summary = "suspend " + names
		}
		var err error
		p.Data, err = json.Marshal(s)
		return err
	})
	return p, err
}

// SuspendAutoscaling implements [endpoint.AutoscalingSuspender] with one write for each target,
// "protect NAME". A target of which it would lose a third party's change
// since the snapshot is not touched: [endpoint.ErrDrift]. Those are the flags
// of one that is to be suspended, and everything of one that is to be
// deregistered.
func (v *Variants) SuspendAutoscaling(ctx context.Context, p endpoint.AutoscalingSnapshot) error {
	s, err := open(ctx, p)
	if err != nil {
		return &endpoint.Error{Op: "protect", Endpoint: v.name, Err: err}
	}
	for _, name := range s.variants() {
		if err := v.mutate(ctx, "protect "+name, func(m *variants) error {
			t, ok := m.Targets[name]
			was := s.Targets[name]
			switch {
			case !ok && s.Deregister:
				return nil // gone already
			case !ok, s.Deregister && !maps.Equal(alone(name, t), alone(name, was)),
				t.Suspended != was.Suspended && t.Suspended != frozen:
				return fmt.Errorf("scalable target of %s: %w", name, endpoint.ErrDrift)
			case s.Deregister:
				m.deregisterTarget(name)
			default:
				t.Suspended = frozen
				m.register(name, t)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// RestoreAutoscaling implements [endpoint.AutoscalingSuspender]. A suspended target takes one write,
// "restore NAME". A deregistered one takes "register NAME", which leaves it
// suspended, "put policy NAME/POLICY", "put schedule NAME/SCHEDULE" and "repair
// alarm ALARM" for each, and "resume NAME". A write that finds its value there,
// as it was or as a third party made it, changes nothing. An error of
// one target does not keep the others from being restored.
func (v *Variants) RestoreAutoscaling(ctx context.Context, p endpoint.AutoscalingSnapshot) error {
	s, err := open(ctx, p)
	if err != nil {
		return &endpoint.Error{Op: "restore", Endpoint: v.name, Err: err}
	}
	var errs []error
	for _, name := range s.variants() {
		for _, w := range s.restore(name) {
			if err := v.mutate(ctx, w.name, w.do); err != nil {
				if ctx.Err() != nil {
					return err
				}
				errs = append(errs, err)
				break
			}
		}
	}
	return errors.Join(errs...)
}

// write is one remote write.
type write struct {
	name string
	do   func(*variants) error
}

// restore lists the writes that put one target back. Each reads before it
// writes, so that the list can be begun again anywhere.
func (s snapshot) restore(name string) []write {
	was := s.Targets[name]
	resume := func(m *variants, t Target) {
		if t.Suspended == frozen && was.Suspended != frozen {
			t.Suspended = was.Suspended
			m.register(name, t)
		}
	}
	if !s.Deregister {
		return []write{{"restore " + name, func(m *variants) error {
			if t, ok := m.Targets[name]; ok { // its flags were ours to set, whatever else was changed
				resume(m, t)
			}
			return nil
		}}}
	}
	// on carries out what belongs to the target, no matter who registered it.
	on := func(do func(*variants, Target)) func(*variants) error {
		return func(m *variants) error {
			t, ok := m.Targets[name]
			if !ok {
				return fmt.Errorf("scalable target of %s: %w", name, endpoint.ErrNotFound)
			}
			do(m, t)
			return nil
		}
	}
	all := []write{{"register " + name, func(m *variants) error {
		if _, ok := m.Targets[name]; !ok {
			m.register(name, Target{Min: was.Min, Max: was.Max, Suspended: frozen})
		}
		return nil
	}}}
	for _, p := range was.Policies {
		all = append(all, write{"put policy " + name + "/" + p.Name, on(func(m *variants, t Target) {
			if t.policy(p.Name) < 0 {
				p.ARN = m.mint(name, p.Name)
				t.Policies = append(t.Policies, p)
				m.Targets[name] = t
			}
		})})
	}
	for _, a := range was.Schedules {
		all = append(all, write{"put schedule " + name + "/" + a.Name, on(func(m *variants, t Target) {
			if t.schedule(a.Name) < 0 {
				t.Schedules = append(t.Schedules, a)
				m.Targets[name] = t
			}
		})})
	}
	for _, alarm := range slices.Sorted(maps.Keys(s.Alarms)) {
		all = append(all, write{"repair alarm " + alarm, on(func(m *variants, t Target) { s.repair(m, alarm, t, was) })})
	}
	return append(all, write{"resume " + name, on(resume)})
}

// repair lets an alarm reach the policies of t that it reached when they were
// those of was. An alarm that is gone stays gone.
func (s snapshot) repair(m *variants, alarm string, t, was Target) {
	actions, ok := m.Alarms[alarm]
	if !ok {
		return
	}
	for _, p := range was.Policies {
		if i := t.policy(p.Name); i >= 0 && slices.Contains(s.Alarms[alarm], p.ARN) && !slices.Contains(actions, t.Policies[i].ARN) {
			actions = append(actions, t.Policies[i].ARN)
		}
	}
	m.Alarms[alarm] = actions
}

// InspectAutoscaling implements [endpoint.AutoscalingSuspender]. What
// RestoreAutoscaling would leave as it is counts as foreign.
func (v *Variants) InspectAutoscaling(ctx context.Context, p endpoint.AutoscalingSnapshot) (is endpoint.AutoscalingState, err error) {
	err = v.read(ctx, "inspect", func(m *variants) error {
		s, err := open(ctx, p)
		if err != nil {
			return err
		}
		have, want := s.only(m.protective()), s.machine().protective()
		is.Differences = differ(want, have)
		is.Restored = len(is.Differences) == 0
		is.Suspended = maps.Equal(have, s.protected().protective())
		restored := m.clone()
		for _, name := range s.variants() {
			for _, w := range s.restore(name) {
				if w.do(restored) != nil {
					break
				}
			}
		}
		is.Foreign = differ(want, s.only(restored.protective()))
		return nil
	})
	return is, err
}

// only leaves out the alarms that are none of the snapshot's.
func (s snapshot) only(values map[string]string) map[string]string {
	maps.DeleteFunc(values, func(key, _ string) bool {
		alarm, ok := strings.CutPrefix(key, "alarm/")
		return ok && s.Alarms[alarm] == nil
	})
	return values
}

// differ names, in order, what is not as it was.
func differ(was, is map[string]string) []string {
	var all []string
	for key, old := range was {
		switch now, ok := is[key]; {
		case !ok:
			all = append(all, key+" is missing, was "+old)
		case now != old:
			all = append(all, key+" is "+cmp.Or(now, "nothing")+", was "+cmp.Or(old, "nothing"))
		}
	}
	for key, now := range is {
		if _, ok := was[key]; !ok {
			all = append(all, key+" was added: "+now)
		}
	}
	slices.Sort(all)
	return all
}
