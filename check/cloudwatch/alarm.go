package cloudwatch

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/rollout"
)

// Alarm returns a check that passes while an alarm, a metric or a composite one, is
// OK and fails while it is in ALARM. INSUFFICIENT_DATA is unknown, and so is
// an alarm that does not exist. Missing data count as the alarm itself treats
// them.
func Alarm(api API, name string) (rollout.Check, error) {
	if api == nil || name == "" || len(name) > 255 {
		return nil, fmt.Errorf("cloudwatch: %w: an alarm needs a client, and a name of 1 to 255 characters, not %q", endpoint.ErrInvalid, name)
	}
	return rollout.CheckFunc(func(ctx context.Context, _ rollout.Sample) (rollout.Verdict, error) {
		out, err := api.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{
			AlarmNames: []string{name},
			// Without this CloudWatch leaves composite alarms out.
			AlarmTypes: []types.AlarmType{types.AlarmTypeMetricAlarm, types.AlarmTypeCompositeAlarm},
		})
		if err != nil {
			return rollout.Verdict{}, fmt.Errorf("CloudWatch: %w", err)
		}
		for i := range out.MetricAlarms {
			if a := &out.MetricAlarms[i]; aws.ToString(a.AlarmName) == name {
				return byState(name, a.StateValue), nil
			}
		}
		for i := range out.CompositeAlarms {
			if a := &out.CompositeAlarms[i]; aws.ToString(a.AlarmName) == name {
				return byState(name, a.StateValue), nil
			}
		}
		return rollout.Verdict{Reason: fmt.Sprintf("there is no alarm %q", name)}, nil
	}), nil
}

func byState(name string, state types.StateValue) rollout.Verdict {
	v := rollout.Verdict{Result: rollout.ResultUnknown, Reason: fmt.Sprintf("alarm %q is %.40s", name, state)}
	switch state {
	case types.StateValueOk:
		v.Result = rollout.ResultPass
	case types.StateValueAlarm:
		v.Result = rollout.ResultFail
	case types.StateValueInsufficientData:
	}
	return v
}
