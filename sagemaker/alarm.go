package sagemaker

import (
	"context"
	"maps"
	"slices"

	aastypes "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// A step policy acts when an alarm, made by a person, names the policy's ARN
// as an action. Deregistering takes that action off the alarm and leaves the
// alarm, so restoring means to put the action back, with the ARN that the
// policy has then. Nothing else of an alarm is this package's.

// maxAlarmNames is how many names AWS takes in one DescribeAlarms.
const maxAlarmNames = 100

// describeAlarms reads alarms by their names. Those that do not exist are left out.
func (as *autoscaling) describeAlarms(ctx context.Context, names []string) ([]cwtypes.MetricAlarm, error) {
	var all []cwtypes.MetricAlarm
	for chunk := range slices.Chunk(names, maxAlarmNames) {
		err := as.eachAlarm(ctx, cw.DescribeAlarmsInput{AlarmNames: chunk, AlarmTypes: []cwtypes.AlarmType{cwtypes.AlarmTypeMetricAlarm}},
			func(out *cw.DescribeAlarmsOutput) { all = append(all, out.MetricAlarms...) })
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (as *autoscaling) eachAlarm(ctx context.Context, in cw.DescribeAlarmsInput, page func(*cw.DescribeAlarmsOutput)) error {
	return pages(func(token *string) (*string, error) {
		in.NextToken = token
		out, err := call(ctx, as.cw.DescribeAlarms, &in)
		if err != nil {
			return nil, err
		}
		page(out)
		return out.NextToken, nil
	})
}

func alarmOf(a *cwtypes.MetricAlarm) *alarm {
	return &alarm{
		Name:  deref(a.AlarmName),
		Alarm: slices.Clone(a.AlarmActions), OK: slices.Clone(a.OKActions), InsufficientData: slices.Clone(a.InsufficientDataActions),
	}
}

// alarmsOf finds the alarms that reach one of the step policies: those that
// the policy itself names, and those that name the policy.
func (as *autoscaling) alarmsOf(ctx context.Context, policies []policy) ([]*alarm, error) {
	found := map[string]*alarm{}
	add := func(alarms []cwtypes.MetricAlarm) {
		for i := range alarms {
			a := alarmOf(&alarms[i])
			if slices.ContainsFunc(policies, func(p policy) bool { return a.reaches(p.ARN) }) {
				found[a.Name] = a
			}
		}
	}
	for _, p := range policies {
		if p.Type != aastypes.PolicyTypeStepScaling {
			continue
		}
		alarms, err := as.describeAlarms(ctx, p.Alarms)
		if err != nil {
			return nil, err
		}
		add(alarms)
		err = as.eachAlarm(ctx, cw.DescribeAlarmsInput{ActionPrefix: &p.ARN, AlarmTypes: []cwtypes.AlarmType{cwtypes.AlarmTypeMetricAlarm}},
			func(out *cw.DescribeAlarmsOutput) { add(out.MetricAlarms) })
		if err != nil {
			return nil, err
		}
	}
	var all []*alarm
	for _, name := range slices.Sorted(maps.Keys(found)) {
		all = append(all, found[name])
	}
	return all, nil
}

func (a *alarm) reaches(arn string) bool {
	return slices.ContainsFunc([][]string{a.Alarm, a.OK, a.InsufficientData}, func(actions []string) bool { return slices.Contains(actions, arn) })
}

// repaired is the alarm as it is now with the actions put back that reach
// policies of was by the ARNs that those of have have. It is nil if there is
// nothing to put back.
func repaired(then, now *alarm, was, have *target) *alarm {
	lists := func(a *alarm) []*[]string { return []*[]string{&a.Alarm, &a.OK, &a.InsufficientData} }
	fixed := *now
	changed := false
	for i, list := range lists(&fixed) {
		if r := relink(*lists(then)[i], *list, was, have); r != nil {
			*list, changed = r, true
		}
	}
	if !changed {
		return nil
	}
	return &fixed
}

// relink puts lost actions back where they were; nil if none is lost.
func relink(then, now []string, was, have *target) []string {
	arns := map[string]string{} // of the policies, old to new
	for _, p := range was.Policies {
		if q := have.policy(p.Name); q != nil && slices.Contains(then, p.ARN) {
			arns[p.ARN] = q.ARN
		}
	}
	lost := false
	for _, arn := range arns {
		lost = lost || !slices.Contains(now, arn)
	}
	if !lost {
		return nil
	}
	var list []string
	add := func(action string) {
		if !slices.Contains(list, action) {
			list = append(list, action)
		}
	}
	for _, action := range then {
		if arn, restored := arns[action]; restored {
			add(arn)
		} else if slices.Contains(now, action) {
			add(action)
		}
	}
	for _, action := range now {
		if _, restored := arns[action]; !restored {
			add(action)
		}
	}
	return list
}

// putAlarm writes an alarm's actions. AWS replaces the whole alarm, so all the
// rest is read once more, right before; its state and its tags stay.
func (as *autoscaling) putAlarm(ctx context.Context, then *alarm, was, have *target) error {
	alarms, err := as.describeAlarms(ctx, []string{then.Name})
	if err != nil {
		return err
	}
	if len(alarms) == 0 {
		return nil // it was removed by another program since
	}
	fixed := repaired(then, alarmOf(&alarms[0]), was, have)
	if fixed == nil {
		return nil
	}
	in := alarmInput(&alarms[0])
	in.AlarmActions, in.OKActions, in.InsufficientDataActions = fixed.Alarm, fixed.OK, fixed.InsufficientData
	_, err = call(ctx, as.cw.PutMetricAlarm, in, onceCW)
	return err
}

// alarmInput is what would make an alarm like a. Every field that describes
// an alarm's configuration is copied; a test holds it to that.
func alarmInput(a *cwtypes.MetricAlarm) *cw.PutMetricAlarmInput {
	return &cw.PutMetricAlarmInput{
		AlarmName:                        a.AlarmName,
		ActionConfiguration:              a.ActionConfiguration,
		ActionsEnabled:                   a.ActionsEnabled,
		AlarmActions:                     a.AlarmActions,
		AlarmDescription:                 a.AlarmDescription,
		ComparisonOperator:               a.ComparisonOperator,
		DatapointsToAlarm:                a.DatapointsToAlarm,
		Dimensions:                       a.Dimensions,
		EvaluateLowSampleCountPercentile: a.EvaluateLowSampleCountPercentile,
		EvaluationCriteria:               a.EvaluationCriteria,
		EvaluationInterval:               a.EvaluationInterval,
		EvaluationPeriods:                a.EvaluationPeriods,
		EvaluationWindow:                 a.EvaluationWindow,
		ExtendedStatistic:                a.ExtendedStatistic,
		InsufficientDataActions:          a.InsufficientDataActions,
		MetricName:                       a.MetricName,
		Metrics:                          a.Metrics,
		Namespace:                        a.Namespace,
		OKActions:                        a.OKActions,
		Period:                           a.Period,
		Statistic:                        a.Statistic,
		Threshold:                        a.Threshold,
		ThresholdMetricId:                a.ThresholdMetricId,
		TreatMissingData:                 a.TreatMissingData,
		Unit:                             a.Unit,
		WarmUpConfiguration:              a.WarmUpConfiguration,
	}
}
