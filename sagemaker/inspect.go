package sagemaker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// InspectAutoscaling compares autoscaling with the snapshot. Left out are what AWS gives
// out again: ARNs, times, and the alarms that target-tracking policies make for
// themselves. What [Endpoint.RestoreAutoscaling] would leave as it is counts as foreign.
func (e *Endpoint) InspectAutoscaling(ctx context.Context, p endpoint.AutoscalingSnapshot) (endpoint.AutoscalingState, error) {
	is, err := e.inspect(ctx, p)
	return is, e.wrap("inspect autoscaling", err)
}

func (as *autoscaling) inspect(ctx context.Context, p endpoint.AutoscalingSnapshot) (endpoint.AutoscalingState, error) {
	var is endpoint.AutoscalingState
	s, err := as.openSnapshot(p.Data)
	if err != nil {
		return is, err
	}
	st, err := as.read(ctx, s)
	if err != nil {
		return is, err
	}
	now := time.Now()
	is.Suspended = s.suspended(st)
	is.Differences = s.differences(st, now)
	is.Restored = len(is.Differences) == 0
	for _, was := range s.Targets {
		for w := as.nextWrite(s, was, st, now, nil); w != nil; w = as.nextWrite(s, was, st, now, nil) {
			w.apply()
		}
	}
	is.Foreign = s.differences(st, now)
	// What is foreign may have been hidden by this package's writes.
	is.Differences = append(is.Differences, is.Foreign...)
	slices.Sort(is.Differences)
	is.Differences = slices.Compact(is.Differences)
	return is, nil
}

// suspended reports whether all targets are as SuspendAutoscaling leaves them.
func (s *snapshot) suspended(st *state) bool {
	return !slices.ContainsFunc(s.Targets, func(was *target) bool {
		have := st.targets[was.key()]
		switch {
		case st.gone(was), was.Mode == AutoscalingRetain:
			return false
		case was.Mode == AutoscalingDeregister:
			return have != nil
		}
		return have != nil && have.Suspended != allSuspended
	})
}

// differences name, in order, what is not as it was.
func (s *snapshot) differences(st *state, now time.Time) []string {
	var all []string
	for _, was := range s.Targets {
		if st.gone(was) {
			continue
		}
		have := st.targets[was.key()]
		if have == nil {
			all = append(all, s.absent(was, now)...)
			continue
		}
		for _, d := range differ(flattenTarget(was, now), flattenTarget(have, now)) {
			all = append(all, was.String()+": "+d)
		}
		for _, then := range s.Alarms {
			if d := then.difference(st.alarms[then.Name], was, have); d != "" {
				all = append(all, was.String()+": "+d)
			}
		}
	}
	return all
}

// absent names everything that is gone with a target that is not registered.
func (s *snapshot) absent(was *target, now time.Time) []string {
	all := []string{fmt.Sprintf("%s is not registered: RegisterScalableTarget with %d to %d", was, was.Min, was.Max)}
	for _, d := range differ(flattenTarget(was, now), nil) {
		if !strings.HasPrefix(d, "bounds ") && !strings.HasPrefix(d, "suspended ") {
			all = append(all, was.String()+": "+d)
		}
	}
	for _, then := range s.Alarms {
		for _, p := range was.Policies {
			if then.reaches(p.ARN) {
				all = append(all, was.String()+": alarm "+then.Name+" does not reach "+p.Name+remedyOf("alarm"))
			}
		}
	}
	return all
}

// remedyOf says by which call a missing part is put back.
func remedyOf(key string) string {
	kind, _, _ := strings.Cut(key, " ")
	call := map[string]string{"tag": "TagResource", "policy": "PutScalingPolicy", "scheduled": "PutScheduledAction", "alarm": "PutMetricAlarm"}[kind]
	if call == "" {
		return ""
	}
	return ": " + call
}

// difference says which of the target's policies an alarm does not reach any more.
func (a *alarm) difference(now *alarm, was, have *target) string {
	var lost []string
	for _, p := range was.Policies {
		if !a.reaches(p.ARN) {
			continue
		}
		if now == nil {
			return "alarm " + a.Name + " is gone"
		}
		q := have.policy(p.Name)
		misses := func(then, now []string) bool {
			return slices.Contains(then, p.ARN) && (q == nil || !slices.Contains(now, q.ARN))
		}
		if misses(a.Alarm, now.Alarm) || misses(a.OK, now.OK) || misses(a.InsufficientData, now.InsufficientData) {
			lost = append(lost, p.Name)
		}
	}
	if lost == nil {
		return ""
	}
	return "alarm " + a.Name + " does not reach " + strings.Join(lost, ", ") + remedyOf("alarm")
}

// flattenTarget names every value of a target that a rollout answers for.
func flattenTarget(t *target, now time.Time) map[string]string {
	all := map[string]string{
		"bounds":    fmt.Sprintf("%d to %d", t.Min, t.Max),
		"suspended": t.Suspended.String(),
	}
	for k, v := range t.Tags {
		all["tag "+k] = v
	}
	for _, p := range t.Policies {
		p.ARN, p.Alarms = "", nil
		all["policy "+p.Name] = text(p)
	}
	for _, a := range t.Schedules {
		if a.over(now) {
			continue
		}
		a.Created = time.Time{}
		if a.Start != nil && !a.Start.After(now) {
			a.Start = nil
		}
		all["scheduled action "+a.Name] = text(a)
	}
	return all
}

// differ names, in order, what is not as it was.
func differ(was, is map[string]string) []string {
	var all []string
	for key, old := range was {
		switch now, ok := is[key]; {
		case !ok:
			all = append(all, clip(key+" is missing"+remedyOf(key)))
		case now != old:
			all = append(all, clip(key+" is "+now+", was "+old))
		}
	}
	for key := range is {
		if _, ok := was[key]; !ok {
			all = append(all, clip(key+" was added"))
		}
	}
	slices.Sort(all)
	return all
}
