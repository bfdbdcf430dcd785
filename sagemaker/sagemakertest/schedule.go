package sagemakertest

import (
	"fmt"
	"slices"
	"time"

	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
)

// schedule is a scheduled action of a target.
type schedule struct {
	name, arn  string
	expression string
	zone       *string
	start, end *time.Time
	action     *types.ScalableTargetAction
	created    time.Time
	when       timetable
	next       time.Time // zero: never again
}

func (t *target) schedule(name string) int {
	return slices.IndexFunc(t.schedules, func(s *schedule) bool { return s.name == name })
}

// plan finds when the action is due next after a time.
func (s *schedule) plan(after time.Time) {
	if s.start != nil && s.start.After(after) {
		after = s.start.Add(-time.Nanosecond)
	}
	s.next = s.when.next(after)
	if s.end != nil && s.next.After(*s.end) {
		s.next = time.Time{}
	}
}

// runSchedules does what is due. Suspended actions are missed, not put off.
func (a *account) runSchedules() {
	for _, t := range a.allTargets() {
		for _, s := range t.schedules {
			for !s.next.IsZero() && !s.next.After(a.now) {
				s.plan(s.next)
				if t.suspended.scheduled {
					continue
				}
				if s.action.MinCapacity != nil {
					t.min = *s.action.MinCapacity
					t.max = max(t.max, t.min)
				}
				if s.action.MaxCapacity != nil {
					t.max = *s.action.MaxCapacity
					t.min = min(t.min, t.max)
				}
				t.clampDue = true
			}
		}
	}
}

func (a *account) putScheduledAction(in *aas.PutScheduledActionInput) (*aas.PutScheduledActionOutput, error) {
	t, err := a.target(in.ServiceNamespace, in.ResourceId, in.ScalableDimension)
	if err != nil {
		return nil, err
	}
	// What is left out on a change is kept, but for the times.
	s := &schedule{name: str(in.ScheduledActionName), created: a.now}
	i := t.schedule(s.name)
	if i >= 0 {
		s = ref(*t.schedules[i])
	}
	if in.Schedule != nil {
		s.expression = *in.Schedule
	}
	if in.Timezone != nil {
		s.zone = in.Timezone
	}
	if in.ScalableTargetAction != nil {
		s.action = in.ScalableTargetAction
	}
	s.start, s.end = in.StartTime, in.EndTime
	if err := a.checkSchedule(s); err != nil {
		return nil, err
	}
	if i >= 0 {
		t.schedules[i] = s
		return &aas.PutScheduledActionOutput{}, nil
	}
	if len(t.schedules) >= maxSchedules {
		return nil, refuse("LimitExceededException", "Scheduled action limit of %d for the scalable target exceeded", maxSchedules)
	}
	s.arn = arn("autoscaling", "scheduledAction:"+a.id()+":resource/sagemaker/"+t.resource+":scheduledActionName/"+s.name)
	t.schedules = append(t.schedules, s)
	return &aas.PutScheduledActionOutput{}, nil
}

// checkSchedule checks an action and plans it.
func (a *account) checkSchedule(s *schedule) error {
	if s.expression == "" {
		return invalid("Schedule is required")
	}
	act := s.action
	if act == nil || act.MinCapacity == nil && act.MaxCapacity == nil {
		return invalid("At least one of MinCapacity and MaxCapacity of ScalableTargetAction is required")
	}
	least, most := num(act.MinCapacity), num(act.MaxCapacity)
	if act.MaxCapacity == nil {
		most = least
	}
	if err := checkBounds(least, most); err != nil {
		return err
	}
	zone := time.UTC
	if s.zone != nil {
		var err error
		if zone, err = time.LoadLocation(*s.zone); err != nil {
			return invalid("Timezone %s is not valid", *s.zone)
		}
	}
	var err error
	if s.when, err = parseTimetable(s.expression, zone, orTime(s.start, s.created)); err != nil {
		return invalid("Schedule %s is not valid: %v", s.expression, err)
	}
	s.plan(a.now)
	if a.behaviour.Lenient {
		return nil
	}
	switch {
	case s.start != nil && s.start.Before(a.now):
		return invalid("StartTime cannot be in the past")
	case s.end != nil && s.end.Before(a.now):
		return invalid("EndTime cannot be in the past")
	case s.start != nil && s.end != nil && s.end.Before(*s.start):
		return invalid("EndTime cannot be before StartTime")
	case s.when.at != nil && s.next.IsZero():
		return invalid("Schedule %s cannot be in the past", s.expression)
	}
	return nil
}

func orTime(t *time.Time, def time.Time) time.Time {
	if t == nil {
		return def
	}
	return *t
}

func (a *account) deleteScheduledAction(in *aas.DeleteScheduledActionInput) (*aas.DeleteScheduledActionOutput, error) {
	t, err := a.target(in.ServiceNamespace, in.ResourceId, in.ScalableDimension)
	if err != nil {
		return nil, err
	}
	i := t.schedule(str(in.ScheduledActionName))
	if i < 0 {
		return nil, refuse("ObjectNotFoundException", "No scheduled action found for service namespace: %s, resource ID: %s, scheduled action name: %s",
			in.ServiceNamespace, t.resource, str(in.ScheduledActionName))
	}
	t.schedules = slices.Delete(t.schedules, i, i+1)
	return &aas.DeleteScheduledActionOutput{}, nil
}

func (a *account) describeScheduledActions(in *aas.DescribeScheduledActionsInput) (*aas.DescribeScheduledActionsOutput, error) {
	var all []types.ScheduledAction
	for _, t := range a.allTargets() {
		if !chosen(t, in.ServiceNamespace, in.ResourceId, in.ScalableDimension) {
			continue
		}
		for _, s := range t.schedules {
			if len(in.ScheduledActionNames) > 0 && !slices.Contains(in.ScheduledActionNames, s.name) {
				continue
			}
			all = append(all, types.ScheduledAction{
				ScheduledActionName: &s.name, ScheduledActionARN: &s.arn, ServiceNamespace: types.ServiceNamespaceSagemaker, ResourceId: &t.resource,
				ScalableDimension: t.dimension, Schedule: &s.expression, Timezone: s.zone, StartTime: s.start, EndTime: s.end,
				ScalableTargetAction: s.action, CreationTime: &s.created,
			})
		}
	}
	name := fmt.Sprint("schedules", str(in.ResourceId), in.ScalableDimension, in.ScheduledActionNames)
	items, next, err := scalingPage(all, name, in.NextToken, in.MaxResults, 50)
	return &aas.DescribeScheduledActionsOutput{ScheduledActions: items, NextToken: next}, err
}
