package endpointtest

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Target is the scalable target of one variant.
type Target struct {
	Min, Max  int
	Suspended Suspended
	Policies  []Policy
	Schedules []Schedule
}

// Suspended are the kinds of scaling that a target does not carry out.
type Suspended struct{ In, Out, Scheduled bool }

// frozen is how SuspendAutoscaling leaves a target that it suspends.
var frozen = Suspended{In: true, Out: true, Scheduled: true}

// Policy is a scaling policy. The service gives it another ARN each time the
// policy is made.
type Policy struct{ Name, ARN, Config string }

// Schedule is a scheduled action.
type Schedule struct {
	Name, Expression string
	Min, Max         int
}

func (t Target) equal(o Target) bool {
	return t.Min == o.Min && t.Max == o.Max && t.Suspended == o.Suspended &&
		slices.Equal(t.Policies, o.Policies) && slices.Equal(t.Schedules, o.Schedules)
}

// moves reports whether the autoscaler may move the target's count.
func (t Target) moves() bool {
	return len(t.Policies) > 0 && (!t.Suspended.In || !t.Suspended.Out)
}

func (t Target) policy(name string) int {
	return slices.IndexFunc(t.Policies, func(p Policy) bool { return p.Name == name })
}

func (t Target) schedule(name string) int {
	return slices.IndexFunc(t.Schedules, func(s Schedule) bool { return s.Name == name })
}

func cloneTargets(ts map[string]Target) map[string]Target {
	c := make(map[string]Target, len(ts))
	for name, t := range ts {
		t.Policies, t.Schedules = slices.Clone(t.Policies), slices.Clone(t.Schedules)
		c[name] = t
	}
	return c
}

func cloneAlarms(as map[string][]string) map[string][]string {
	c := make(map[string][]string, len(as))
	for name, actions := range as {
		c[name] = slices.Clone(actions)
	}
	return c
}

// nextMove is when the autoscaler moves next, if it has anything to move.
func (m *variants) nextMove() (time.Time, bool) {
	if _, _, ok := m.plan(); !ok {
		return time.Time{}, false
	}
	return m.now.Add(m.autoscale - m.now.Sub(m.epoch)%m.autoscale), true
}

// move is one tick of the autoscaler. It moves one count, since that makes the
// endpoint refuse to have another one moved.
func (m *variants) move() {
	if m.autoscale <= 0 || m.now.Sub(m.epoch)%m.autoscale != 0 || m.change.stage != "" || m.Failed {
		return
	}
	if name, n, ok := m.plan(); ok {
		m.resize(name, n)
	}
}

// plan is what the autoscaler moves at its next tick: the variants take turns,
// and each goes up one by one to its maximum and from there to its minimum.
func (m *variants) plan() (variant string, n int, ok bool) {
	if m.autoscale <= 0 {
		return "", 0, false
	}
	names := slices.Sorted(maps.Keys(m.Targets))
	next := int(m.now.Sub(m.epoch) / m.autoscale)
	for i := range names {
		name := names[(next+i)%len(names)]
		t, have := m.Targets[name], m.Counts[name]
		switch {
		case !t.moves():
		case have < t.Max && !t.Suspended.Out:
			return name, have + 1, true
		case have > t.Min && !t.Suspended.In:
			return name, t.Min, true
		}
	}
	return "", 0, false
}

// register makes or changes a target, which moves its count into bounds.
func (m *variants) register(variant string, t Target) {
	m.Targets[variant] = t
	m.clamp = append(m.clamp, variant)
}

// moveInside moves one count into its bounds, as soon as the endpoint lets it.
func (m *variants) moveInside() {
	for len(m.clamp) > 0 && m.change.stage == "" && !m.Failed {
		name := m.clamp[0]
		m.clamp = m.clamp[1:]
		t, ok := m.Targets[name]
		if n := max(t.Min, min(t.Max, m.Counts[name])); ok && n != m.Counts[name] {
			m.resize(name, n)
		}
	}
}

// deregisterTarget loses everything that hangs on a target. Alarms that users
// made stay, without the actions.
func (m *variants) deregisterTarget(variant string) {
	for _, p := range m.Targets[variant].Policies {
		for name, actions := range m.Alarms {
			m.Alarms[name] = slices.DeleteFunc(actions, func(arn string) bool { return arn == p.ARN })
		}
	}
	delete(m.Targets, variant)
}

// mint gives out the ARN of a new policy.
func (m *variants) mint(variant, policy string) string {
	m.arns++
	return "arn:aws:autoscaling:eu-west-1:111122223333:scalingPolicy:restored-" + strconv.Itoa(m.arns) +
		":resource/sagemaker/variant/" + variant + ":policyName/" + policy
}

// protective flattens everything that belongs to the targets. Actions are named after the
// policy they reach, since ARNs do not survive a restore.
func (m *variants) protective() map[string]string {
	all := map[string]string{}
	reach := map[string]string{}
	for name, t := range m.Targets {
		at := "target/" + name + "/"
		all[at+"bounds"] = strconv.Itoa(t.Min) + ".." + strconv.Itoa(t.Max)
		all[at+"suspended"] = t.Suspended.String()
		for _, p := range t.Policies {
			all[at+"policy/"+p.Name] = p.Config
			reach[p.ARN] = name + "/" + p.Name
		}
		for _, s := range t.Schedules {
			all[at+"schedule/"+s.Name] = s.Expression + " " + strconv.Itoa(s.Min) + ".." + strconv.Itoa(s.Max)
		}
	}
	for name, actions := range m.Alarms {
		var to []string
		for _, arn := range actions {
			to = append(to, cmp.Or(reach[arn], arn))
		}
		slices.Sort(to)
		all["alarm/"+name] = strings.Join(to, " ")
	}
	return all
}

// String names the kinds of scaling that are suspended.
func (s Suspended) String() string {
	var on []string
	for _, k := range []struct {
		name string
		on   bool
	}{{"in", s.In}, {"out", s.Out}, {"scheduled", s.Scheduled}} {
		if k.on {
			on = append(on, k.name)
		}
	}
	return cmp.Or(strings.Join(on, " "), "nothing")
}
