package sagemakertest

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	aas "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// policy is a scaling policy of a target.
type policy struct {
	name, arn string
	kind      types.PolicyType
	step      *types.StepScalingPolicyConfiguration
	tracking  *types.TargetTrackingScalingPolicyConfiguration
	created   time.Time
	alarms    []string // that the service made for it
}

func (t *target) policy(name string) int {
	return slices.IndexFunc(t.policies, func(p *policy) bool { return p.name == name })
}

// metrics are the predefined metrics that suit a dimension.
var metrics = map[types.ScalableDimension][]types.MetricType{
	instanceCount: {types.MetricTypeSageMakerVariantInvocationsPerInstance, types.MetricTypeSageMakerVariantConcurrentRequestsPerModelHighResolution},
	concurrency:   {types.MetricTypeSageMakerVariantProvisionedConcurrencyUtilization},
	copyCount:     {types.MetricTypeSageMakerInferenceComponentInvocationsPerCopy, types.MetricTypeSageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution},
}

func (a *account) putScalingPolicy(in *aas.PutScalingPolicyInput) (*aas.PutScalingPolicyOutput, error) {
	t, err := a.target(in.ServiceNamespace, in.ResourceId, in.ScalableDimension)
	if err != nil {
		return nil, err
	}
	i := t.policy(str(in.PolicyName))
	p := &policy{name: str(in.PolicyName), kind: in.PolicyType, created: a.now, step: in.StepScalingPolicyConfiguration, tracking: in.TargetTrackingScalingPolicyConfiguration}
	if p.kind == "" {
		p.kind = types.PolicyTypeStepScaling
	}
	if i >= 0 {
		old := t.policies[i]
		p.arn, p.created, p.alarms = old.arn, old.created, old.alarms
		if in.PolicyType == "" {
			p.kind = old.kind
		}
		if p.kind != old.kind {
			return nil, invalid("The policy type of the existing policy %s cannot be changed", p.name)
		}
	}
	if err := checkPolicy(t, p, in); err != nil {
		return nil, err
	}
	if i < 0 {
		if len(t.policies) >= maxPolicies {
			return nil, refuse("LimitExceededException", "Scaling policy limit of %d for the scalable target exceeded", maxPolicies)
		}
		p.arn = a.policyARN(t, p.name)
		t.policies = append(t.policies, p)
	} else {
		t.policies[i] = p
	}
	if p.tracking != nil {
		a.track(t, p)
	}
	return &aas.PutScalingPolicyOutput{PolicyARN: &p.arn, Alarms: a.alarmsOf(p)}, nil
}

func checkPolicy(t *target, p *policy, in *aas.PutScalingPolicyInput) error {
	switch p.kind {
	case types.PolicyTypeStepScaling:
		switch {
		case p.step == nil || p.tracking != nil:
			return invalid("StepScalingPolicyConfiguration, and no other configuration, is required for policy type StepScaling")
		case len(p.step.StepAdjustments) == 0:
			return invalid("At least one step adjustment must be specified")
		case len(p.step.StepAdjustments) > maxSteps:
			return refuse("LimitExceededException", "Step adjustment limit of %d exceeded", maxSteps)
		case p.step.AdjustmentType == "":
			return invalid("AdjustmentType must be specified")
		}
	case types.PolicyTypeTargetTrackingScaling:
		switch {
		case p.tracking == nil || p.step != nil:
			return invalid("TargetTrackingScalingPolicyConfiguration, and no other configuration, is required for policy type TargetTrackingScaling")
		case (p.tracking.PredefinedMetricSpecification == nil) == (p.tracking.CustomizedMetricSpecification == nil):
			return invalid("Exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification must be specified")
		}
		if m := p.tracking.PredefinedMetricSpecification; m != nil && !slices.Contains(metrics[t.dimension], m.PredefinedMetricType) {
			return invalid("Predefined metric type %s is not valid for scalable dimension %s", m.PredefinedMetricType, t.dimension)
		}
	case types.PolicyTypePredictiveScaling:
		return invalid("Predictive scaling is not supported for service namespace sagemaker")
	}
	if in.PredictiveScalingPolicyConfiguration != nil {
		return invalid("Predictive scaling is not supported for service namespace sagemaker")
	}
	return nil
}

// policyARN makes the ARN of a new policy.
func (a *account) policyARN(t *target, name string) string {
	id := a.id()
	if a.behaviour.SamePolicyARNs {
		sum := sha256.Sum256([]byte(t.resource + string(t.dimension) + name))
		id = fmt.Sprintf("%x-%x-4000-8000-%x", sum[:4], sum[4:6], sum[6:12])
	}
	return arn("autoscaling", "scalingPolicy:"+id+":resource/sagemaker/"+t.resource+":policyName/"+name)
}

// track makes the alarms of a target tracking policy. Those of one that is
// changed stay.
func (a *account) track(t *target, p *policy) {
	for _, side := range []string{"High", "Low"} {
		i := slices.IndexFunc(p.alarms, func(n string) bool { return a.alarms[n] != nil && a.alarms[n].side == side })
		if side == "Low" && yes(p.tracking.DisableScaleIn) {
			if i >= 0 {
				delete(a.alarms, p.alarms[i])
				p.alarms = slices.Delete(slices.Clone(p.alarms), i, i+1)
			}
			continue
		}
		if i >= 0 {
			continue
		}
		name := fmt.Sprintf("TargetTracking-%s-Alarm%s-%s", t.resource, side, a.id())
		compare := cwtypes.ComparisonOperatorGreaterThanThreshold
		if side == "Low" {
			compare = cwtypes.ComparisonOperatorLessThanThreshold
		}
		metric := "CustomMetric"
		if m := p.tracking.PredefinedMetricSpecification; m != nil {
			metric = string(m.PredefinedMetricType)
		}
		a.alarms[name] = &alarm{
			in: &cloudwatch.PutMetricAlarmInput{
				AlarmName: &name, ActionsEnabled: ref(true), AlarmActions: []string{p.arn}, ComparisonOperator: compare,
				AlarmDescription:  ref("DO NOT EDIT OR DELETE. For TargetTrackingScaling policy " + p.arn + "."),
				EvaluationPeriods: ref(int32(3)), MetricName: &metric, Namespace: ref("AWS/SageMaker"), Period: ref(int32(60)),
				Statistic: cwtypes.StatisticSum, Threshold: p.tracking.TargetValue,
			},
			side: side, configured: a.now, changed: a.now, state: cwtypes.StateValueInsufficientData, reason: unchecked,
		}
		p.alarms = append(slices.Clone(p.alarms), name)
	}
}

// alarmsOf are the alarms that a policy has or that users aim at it.
func (a *account) alarmsOf(p *policy) []types.Alarm {
	var out []types.Alarm
	for _, name := range slices.Sorted(maps.Keys(a.alarms)) {
		if slices.Contains(a.alarms[name].in.AlarmActions, p.arn) {
			out = append(out, types.Alarm{AlarmName: ref(name), AlarmARN: ref(alarmARN(name))})
		}
	}
	return out
}

// removePolicy takes a policy's own alarms with it, and its actions from those
// of users.
func (a *account) removePolicy(p *policy) {
	for _, name := range p.alarms {
		delete(a.alarms, name)
	}
	for _, al := range a.alarms {
		al.unlink(p.arn)
	}
}

func (a *account) deleteScalingPolicy(in *aas.DeleteScalingPolicyInput) (*aas.DeleteScalingPolicyOutput, error) {
	t, err := a.target(in.ServiceNamespace, in.ResourceId, in.ScalableDimension)
	if err != nil {
		return nil, err
	}
	i := t.policy(str(in.PolicyName))
	if i < 0 {
		return nil, refuse("ObjectNotFoundException", "No scaling policy found for service namespace: %s, resource ID: %s, scalable dimension: %s, policy name: %s",
			in.ServiceNamespace, t.resource, t.dimension, str(in.PolicyName))
	}
	a.removePolicy(t.policies[i])
	t.policies = slices.Delete(t.policies, i, i+1)
	return &aas.DeleteScalingPolicyOutput{}, nil
}

func (a *account) describeScalingPolicies(in *aas.DescribeScalingPoliciesInput) (*aas.DescribeScalingPoliciesOutput, error) {
	var all []types.ScalingPolicy
	for _, t := range a.allTargets() {
		if !chosen(t, in.ServiceNamespace, in.ResourceId, in.ScalableDimension) {
			continue
		}
		for _, p := range t.policies {
			if len(in.PolicyNames) > 0 && !slices.Contains(in.PolicyNames, p.name) {
				continue
			}
			all = append(all, types.ScalingPolicy{
				PolicyName: &p.name, PolicyARN: &p.arn, PolicyType: p.kind, CreationTime: &p.created, ServiceNamespace: types.ServiceNamespaceSagemaker,
				ResourceId: &t.resource, ScalableDimension: t.dimension, Alarms: a.alarmsOf(p),
				StepScalingPolicyConfiguration: p.step, TargetTrackingScalingPolicyConfiguration: p.tracking,
			})
		}
	}
	name := fmt.Sprint("policies", str(in.ResourceId), in.ScalableDimension, in.PolicyNames)
	items, next, err := scalingPage(all, name, in.NextToken, in.MaxResults, 10)
	return &aas.DescribeScalingPoliciesOutput{ScalingPolicies: items, NextToken: next}, err
}

// chosen reports whether a describing call is about a target.
func chosen(t *target, ns types.ServiceNamespace, resource *string, dim types.ScalableDimension) bool {
	return ns == types.ServiceNamespaceSagemaker && (resource == nil || *resource == t.resource) && (dim == "" || dim == t.dimension)
}
