package sagemakertest

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

const (
	alarmAlarm = types.StateValueAlarm
	unchecked  = "Unchecked: Initial alarm creation"
)

// alarm is a metric alarm. Its state changes only when it is told to.
type alarm struct {
	in         *cloudwatch.PutMetricAlarmInput
	tags       []types.Tag // ignored on a change
	side       string      // "High" or "Low" if it is a target tracking policy's own
	configured time.Time
	changed    time.Time
	state      types.StateValue
	reason     string
	data       *string
}

func alarmARN(name string) string { return arn("cloudwatch", "alarm:"+name) }

// unlink takes a policy away from the actions.
func (al *alarm) unlink(policy string) {
	gone := func(action string) bool { return action == policy }
	in := clone(al.in)
	for _, actions := range []*[]string{&in.AlarmActions, &in.OKActions, &in.InsufficientDataActions} {
		*actions = slices.DeleteFunc(*actions, gone)
	}
	al.in = in
}

func (a *account) putMetricAlarm(in *cloudwatch.PutMetricAlarmInput) (*cloudwatch.PutMetricAlarmOutput, error) {
	if err := checkAlarm(in); err != nil {
		return nil, err
	}
	if in.ActionsEnabled == nil {
		in.ActionsEnabled = ref(true)
	}
	al := &alarm{in: in, tags: in.Tags, configured: a.now, changed: a.now, state: types.StateValueInsufficientData, reason: unchecked}
	if old := a.alarms[*in.AlarmName]; old != nil {
		al.tags, al.side, al.changed, al.state, al.reason, al.data = old.tags, old.side, old.changed, old.state, old.reason, old.data
	}
	a.alarms[*in.AlarmName] = al
	return &cloudwatch.PutMetricAlarmOutput{}, nil
}

func checkAlarm(in *cloudwatch.PutMetricAlarmInput) error {
	combination := func(text string) error { return refuse("InvalidParameterCombination", "%s", text) }
	byMetric, byQueries := in.MetricName != nil, len(in.Metrics) > 0
	switch {
	case in.EvaluationCriteria != nil:
		if byMetric || byQueries {
			return combination("EvaluationCriteria cannot be specified together with MetricName or Metrics.")
		}
		return nil
	case byMetric == byQueries:
		return combination("Exactly one of MetricName and Metrics must be specified.")
	case byQueries && (in.Namespace != nil || in.Period != nil || in.Statistic != "" || in.ExtendedStatistic != nil || len(in.Dimensions) > 0):
		return combination("Namespace, Dimensions, Period, Statistic and ExtendedStatistic cannot be specified together with Metrics.")
	case byMetric && (in.Namespace == nil || in.Period == nil):
		return refuse("MissingParameter", "Namespace and Period are required together with MetricName.")
	case byMetric && (in.Statistic == "") == (in.ExtendedStatistic == nil):
		return combination("Exactly one of Statistic and ExtendedStatistic must be specified.")
	case in.ComparisonOperator == "" || in.EvaluationPeriods == nil:
		return refuse("MissingParameter", "ComparisonOperator and EvaluationPeriods are required.")
	case (in.Threshold == nil) == (in.ThresholdMetricId == nil):
		return combination("Exactly one of Threshold and ThresholdMetricId must be specified.")
	case in.DatapointsToAlarm != nil && *in.DatapointsToAlarm > *in.EvaluationPeriods:
		return refuse("InvalidParameterValue", "DatapointsToAlarm cannot be greater than EvaluationPeriods.")
	case byMetric && *in.Period%60 != 0 && !slices.Contains([]int32{10, 20, 30}, *in.Period):
		return refuse("InvalidParameterValue", "Period must be 10, 20, 30 or a multiple of 60.")
	}
	return nil
}

func (a *account) setAlarmState(in *cloudwatch.SetAlarmStateInput) (*cloudwatch.SetAlarmStateOutput, error) {
	al := a.alarms[str(in.AlarmName)]
	if al == nil {
		return nil, refuse("ResourceNotFound", "Unknown alarm %s", str(in.AlarmName))
	}
	was := al.state
	al.state, al.reason, al.data, al.changed = in.StateValue, str(in.StateReason), in.StateReasonData, a.now
	// A policy acts when its alarm goes off, not while it is on.
	if al.state == alarmAlarm && was != alarmAlarm && yes(al.in.ActionsEnabled) {
		for _, action := range al.in.AlarmActions {
			a.trigger(action)
		}
	}
	return &cloudwatch.SetAlarmStateOutput{}, nil
}

func (a *account) deleteAlarms(in *cloudwatch.DeleteAlarmsInput) (*cloudwatch.DeleteAlarmsOutput, error) {
	for _, n := range in.AlarmNames {
		if a.alarms[n] == nil {
			return nil, refuse("ResourceNotFound", "Unknown alarm %s", n)
		}
	}
	for _, n := range in.AlarmNames {
		delete(a.alarms, n)
	}
	return &cloudwatch.DeleteAlarmsOutput{}, nil
}

func (a *account) describeAlarms(in *cloudwatch.DescribeAlarmsInput) (*cloudwatch.DescribeAlarmsOutput, error) {
	if in.AlarmNamePrefix != nil && len(in.AlarmNames) > 0 {
		return nil, refuse("InvalidParameterCombination", "AlarmNamePrefix and AlarmNames cannot be specified together.")
	}
	var all []types.MetricAlarm
	for _, name := range slices.Sorted(maps.Keys(a.alarms)) {
		al := a.alarms[name]
		aimed := func(action string) bool { return strings.HasPrefix(action, str(in.ActionPrefix)) }
		if len(in.AlarmNames) > 0 && !slices.Contains(in.AlarmNames, name) || !strings.HasPrefix(name, str(in.AlarmNamePrefix)) ||
			in.StateValue != "" && in.StateValue != al.state || in.ActionPrefix != nil && !slices.ContainsFunc(al.in.AlarmActions, aimed) ||
			len(in.AlarmTypes) > 0 && !slices.Contains(in.AlarmTypes, types.AlarmTypeMetricAlarm) {
			continue
		}
		all = append(all, al.describe(name))
	}
	items, next, err := page(all, "alarms", in.NextToken, size(in.MaxRecords, 100), refuse("InvalidNextToken", "The next token is invalid"))
	return &cloudwatch.DescribeAlarmsOutput{MetricAlarms: items, NextToken: next}, err
}

func (al *alarm) describe(name string) types.MetricAlarm {
	in := al.in
	return types.MetricAlarm{
		AlarmName: &name, AlarmArn: ref(alarmARN(name)), AlarmConfigurationUpdatedTimestamp: &al.configured,
		StateValue: al.state, StateReason: &al.reason, StateReasonData: al.data, StateUpdatedTimestamp: &al.changed, StateTransitionedTimestamp: &al.changed,
		// An alarm without actions has empty lists of them.
		AlarmActions: orEmpty(in.AlarmActions), OKActions: orEmpty(in.OKActions), InsufficientDataActions: orEmpty(in.InsufficientDataActions),
		Dimensions: orEmpty(in.Dimensions), ActionConfiguration: in.ActionConfiguration, ActionsEnabled: in.ActionsEnabled,
		AlarmDescription: in.AlarmDescription, ComparisonOperator: in.ComparisonOperator, DatapointsToAlarm: in.DatapointsToAlarm,
		EvaluateLowSampleCountPercentile: in.EvaluateLowSampleCountPercentile, EvaluationCriteria: in.EvaluationCriteria,
		EvaluationInterval: in.EvaluationInterval, EvaluationPeriods: in.EvaluationPeriods, EvaluationWindow: in.EvaluationWindow,
		ExtendedStatistic: in.ExtendedStatistic, MetricName: in.MetricName, Metrics: in.Metrics, Namespace: in.Namespace, Period: in.Period,
		Statistic: in.Statistic, Threshold: in.Threshold, ThresholdMetricId: in.ThresholdMetricId, TreatMissingData: in.TreatMissingData,
		Unit: in.Unit, WarmUpConfiguration: in.WarmUpConfiguration,
	}
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
