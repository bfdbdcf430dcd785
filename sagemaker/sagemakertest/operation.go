package sagemakertest

import (
	"reflect"
	"strings"
)

// operation is one operation of one service.
type operation struct {
	service Service
	name    string
	write   bool
	input   reflect.Type
	call    func(a *account, in any) (any, error)
}

// reading and writing make an operation of a function. A reading one is shown
// an account that may be a past one, and is not to change it.
func reading[I, O any](s Service, f func(*account, *I) (*O, error)) operation {
	in := reflect.TypeFor[I]()
	return operation{
		service: s, name: strings.TrimSuffix(in.Name(), "Input"), input: in,
		call: func(a *account, v any) (any, error) {
			out, err := f(a, v.(*I))
			if err != nil {
				return nil, err
			}
			return clone(out), nil // nothing of the account's leaves it
		},
	}
}

func writing[I, O any](s Service, f func(*account, *I) (*O, error)) operation {
	op := reading(s, f)
	op.write = true
	return op
}

// action is the operation's name in IAM.
func (op operation) action() string { return string(op.service) + ":" + op.name }

// signingName is the service in the scope of a signature.
func (op operation) signingName() string {
	if op.service == CloudWatch {
		return "monitoring"
	}
	return string(op.service)
}

// decode checks a message against the service model and makes the input of it.
func (op operation) decode(t any) (any, error) {
	if err := validate(op.service, op.input, t); err != nil {
		return nil, err
	}
	in := reflect.New(op.input)
	if err := fromTree(t, in.Elem()); err != nil {
		return nil, err
	}
	return in.Interface(), nil
}

// operations are all that are served, by their actions.
var operations = byAction(
	reading(SageMaker, (*account).describeEndpoint),
	writing(SageMaker, (*account).createEndpoint),
	writing(SageMaker, (*account).updateEndpoint),
	writing(SageMaker, (*account).updateWeightsAndCapacities),
	writing(SageMaker, (*account).deleteEndpoint),
	reading(SageMaker, (*account).listEndpoints),
	reading(SageMaker, (*account).describeEndpointConfig),
	writing(SageMaker, (*account).createEndpointConfig),
	writing(SageMaker, (*account).deleteEndpointConfig),
	reading(SageMaker, (*account).listEndpointConfigs),
	reading(SageMaker, (*account).describeModel),
	writing(SageMaker, (*account).createModel),
	writing(SageMaker, (*account).deleteModel),
	reading(SageMaker, (*account).listTags),
	writing(SageMaker, (*account).addTags),
	writing(SageMaker, (*account).deleteTags),
	reading(SageMaker, (*account).describeTrainingPlan),
	reading(SageMaker, (*account).describeInferenceExperiment),
	reading(SageMaker, (*account).listInferenceExperiments),
	reading(SageMaker, (*account).describeInferenceComponent),
	writing(SageMaker, (*account).createInferenceComponent),
	writing(SageMaker, (*account).updateInferenceComponent),
	writing(SageMaker, (*account).updateInferenceComponentRuntimeConfig),
	writing(SageMaker, (*account).deleteInferenceComponent),
	reading(SageMaker, (*account).listInferenceComponents),

	reading(AutoScaling, (*account).describeScalableTargets),
	writing(AutoScaling, (*account).registerScalableTarget),
	writing(AutoScaling, (*account).deregisterScalableTarget),
	reading(AutoScaling, (*account).describeScalingPolicies),
	writing(AutoScaling, (*account).putScalingPolicy),
	writing(AutoScaling, (*account).deleteScalingPolicy),
	reading(AutoScaling, (*account).describeScheduledActions),
	writing(AutoScaling, (*account).putScheduledAction),
	writing(AutoScaling, (*account).deleteScheduledAction),
	reading(AutoScaling, (*account).listTagsForResource),
	writing(AutoScaling, (*account).tagResource),
	writing(AutoScaling, (*account).untagResource),

	reading(CloudWatch, (*account).describeAlarms),
	reading(CloudWatch, (*account).getMetricData),
	writing(CloudWatch, (*account).putMetricAlarm),
	writing(CloudWatch, (*account).setAlarmState),
	writing(CloudWatch, (*account).deleteAlarms),
)

func byAction(ops ...operation) map[string]operation {
	all := map[string]operation{}
	for _, op := range ops {
		all[op.action()] = op
	}
	return all
}

// operationFor finds the operation that an SDK input is for.
func operationFor(input any) (operation, bool) {
	t := reflect.TypeOf(input)
	if t == nil || t.Kind() != reflect.Pointer {
		return operation{}, false
	}
	for _, op := range operations {
		if op.input == t.Elem() {
			return op, true
		}
	}
	return operation{}, false
}
