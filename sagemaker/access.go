package sagemaker

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Access says what a program does with an endpoint, so that it can be given
// the rights for that and no others.
type Access struct {
	// Component is the name of the inference component that is updated instead
	// of the endpoint's configuration; empty if there is none.
	Component string
	// Suspend is true for strategies that suspend autoscaling, as Mode says.
	Suspend bool
	Mode    AutoscalingMode
	// Stage is true if new endpoint configurations are made.
	Stage bool
	// Prescale is true if instance counts are raised for the time of the update,
	// and where an update does not retain all of them: of endpoints that are
	// serverless, and of variants that it removes, if the rollout goes back. For
	// a component it is true if counts of copies are set.
	Prescale bool
	// RollbackAlarms is true if deployments have alarms.
	RollbackAlarms bool
	// Reservations is true if variants have reserved capacity, and Shadows if the
	// endpoint has a shadow variant, which an inference experiment may own.
	// Without these rights a plan says that the one or the other was not read.
	Reservations, Shadows bool
	// CleanUp is true if old endpoint configurations are deleted.
	CleanUp bool
	// List is true if waits share a [Lister].
	List bool
}

// Actions are the IAM actions that the code calls, in order. Each is one
// request of this package.
func (a Access) Actions() []string {
	all := []string{
		"sagemaker:DescribeEndpoint", "sagemaker:DescribeModel", "sagemaker:ListInferenceComponents",
		// What autoscaling moves is no change of another's, whether it is suspended or not.
		"application-autoscaling:DescribeScalableTargets", "application-autoscaling:DescribeScalingPolicies",
		"application-autoscaling:DescribeScheduledActions", "application-autoscaling:ListTagsForResource",
	}
	add := func(is bool, actions ...string) {
		if is {
			all = append(all, actions...)
		}
	}
	component := a.Component != ""
	add(!component, "sagemaker:DescribeEndpointConfig", "sagemaker:UpdateEndpoint")
	add(component, "sagemaker:DescribeInferenceComponent", "sagemaker:UpdateInferenceComponent")
	add(a.Reservations, "sagemaker:DescribeTrainingPlan")
	add(a.Shadows, "sagemaker:ListInferenceExperiments", "sagemaker:DescribeInferenceExperiment")
	add(a.Stage, "sagemaker:ListTags", "sagemaker:CreateEndpointConfig")
	add(a.Prescale && !component, "sagemaker:UpdateEndpointWeightsAndCapacities")
	add(a.Prescale && component, "sagemaker:UpdateInferenceComponentRuntimeConfig")
	add(a.RollbackAlarms, "cloudwatch:DescribeAlarms")
	add(a.List, "sagemaker:ListEndpoints")
	add(a.CleanUp, "sagemaker:ListTags", "sagemaker:ListEndpoints", "sagemaker:ListEndpointConfigs", "sagemaker:DeleteEndpointConfig")
	add(a.Suspend && a.Mode != AutoscalingRetain, "application-autoscaling:RegisterScalableTarget")
	add(a.deregisters(), "application-autoscaling:DeregisterScalableTarget", "application-autoscaling:PutScalingPolicy",
		"application-autoscaling:PutScheduledAction", "application-autoscaling:TagResource",
		"cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm")
	slices.Sort(all)
	return slices.Compact(all)
}

func (a Access) deregisters() bool {
	return a.Component == "" && a.Suspend && (a.Mode == AutoscalingDeregister || a.Mode == AutoscalingAuto || a.Mode == "")
}

// Implied are the IAM actions that AWS checks on behalf of the calls, without
// a request of their own: tags and roles of new configurations, and the alarms
// of target-tracking policies.
func (a Access) Implied() []string {
	var all []string
	if a.Stage {
		all = append(all, "iam:PassRole", "sagemaker:AddTags")
	}
	if a.deregisters() {
		all = append(all, "cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm", "iam:CreateServiceLinkedRole")
	}
	slices.Sort(all)
	return all
}

// statement is one statement of an IAM policy.
type statement struct {
	Sid       string
	Effect    string
	Action    []string
	Resource  []string
	Condition map[string]map[string]string `json:",omitempty"`
}

// Policy returns an IAM policy document with the least rights for a on one
// endpoint. Partition is "aws" in most regions. A configuration with a key of
// AWS KMS needs that key's own grants beside it.
func (a Access) Policy(partition, region, account, endpointName string) ([]byte, error) {
	arn := func(service, rest string) string {
		return fmt.Sprintf("arn:%s:%s:%s:%s:%s", partition, service, region, account, rest)
	}
	// AWS matches endpoint names in lower case.
	name := strings.ToLower(endpointName)
	configs := []string{arn("sagemaker", "endpoint-config/*")}
	resources := map[string][]string{
		"sagemaker:DescribeEndpointConfig":             configs,
		"sagemaker:CreateEndpointConfig":               configs,
		"sagemaker:DeleteEndpointConfig":               {arn("sagemaker", "endpoint-config/"+strings.ToLower(namePrefix(endpointName))+nameMark+"*")},
		"sagemaker:ListTags":                           configs,
		"sagemaker:AddTags":                            configs,
		"sagemaker:DescribeModel":                      {arn("sagemaker", "model/*")},
		"sagemaker:DescribeEndpoint":                   {arn("sagemaker", "endpoint/"+name)},
		"sagemaker:UpdateEndpointWeightsAndCapacities": {arn("sagemaker", "endpoint/"+name)},
		"sagemaker:UpdateEndpoint":                     {arn("sagemaker", "endpoint/"+name), configs[0]},
		"cloudwatch:PutMetricAlarm":                    {arn("cloudwatch", "alarm:*")},
		"cloudwatch:DeleteAlarms":                      {arn("cloudwatch", "alarm:TargetTracking-*")},
	}
	for _, action := range []string{"UpdateInferenceComponent", "UpdateInferenceComponentRuntimeConfig"} {
		resources["sagemaker:"+action] = []string{arn("sagemaker", "inference-component/"+a.Component)}
	}
	// Whether others are its adapters is read, too.
	resources["sagemaker:DescribeInferenceComponent"] = []string{arn("sagemaker", "inference-component/*")}
	resources["sagemaker:DescribeTrainingPlan"] = []string{arn("sagemaker", "training-plan/*")}
	resources["sagemaker:DescribeInferenceExperiment"] = []string{arn("sagemaker", "inference-experiment/*")}
	for _, action := range []string{"RegisterScalableTarget", "DeregisterScalableTarget", "PutScalingPolicy", "PutScheduledAction", "TagResource", "ListTagsForResource"} {
		resources["application-autoscaling:"+action] = []string{arn("application-autoscaling", "scalable-target/*")}
	}
	if a.CleanUp { // which configurations all endpoints use is read
		resources["sagemaker:DescribeEndpoint"] = []string{arn("sagemaker", "endpoint/*")}
	}
	conditions := map[string]map[string]map[string]string{
		"iam:PassRole":                {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
		"iam:CreateServiceLinkedRole": {"StringEquals": {"iam:AWSServiceName": "sagemaker.application-autoscaling.amazonaws.com"}},
	}
	var all []statement
	actions := slices.Concat(a.Actions(), a.Implied())
	slices.Sort(actions)
	for _, action := range slices.Compact(actions) {
		on := resources[action]
		if on == nil {
			on = []string{"*"} // AWS defines no narrower resource for it
		}
		same := func(s statement) bool { return slices.Equal(s.Resource, on) && s.Condition == nil }
		if i := slices.IndexFunc(all, same); i >= 0 && conditions[action] == nil {
			all[i].Action = append(all[i].Action, action)
			continue
		}
		all = append(all, statement{
			Sid: fmt.Sprintf("Changeover%d", len(all)+1), Effect: "Allow", Action: []string{action}, Resource: on, Condition: conditions[action],
		})
	}
	return json.MarshalIndent(struct {
		Version   string
		Statement []statement
	}{"2012-10-17", all}, "", "  ")
}
