package sagemaker

import (
	"context"
	"errors"
	"fmt"

	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
)

// rollbackAlarms refuses rollback alarms that would end a deployment at once,
// because they are in ALARM already, or never, because they do not exist.
func (as *autoscaling) rollbackAlarms(ctx context.Context, c *types.AutoRollbackConfig, caution func(string, ...any)) error {
	if c == nil {
		return nil
	}
	var names []string
	for _, a := range c.Alarms {
		names = append(names, deref(a.AlarmName))
	}
	states := map[string]cwtypes.StateValue{}
	err := as.eachAlarm(ctx, cw.DescribeAlarmsInput{
		AlarmNames: names, AlarmTypes: []cwtypes.AlarmType{cwtypes.AlarmTypeMetricAlarm, cwtypes.AlarmTypeCompositeAlarm},
	}, func(out *cw.DescribeAlarmsOutput) {
		for _, a := range out.MetricAlarms {
			states[deref(a.AlarmName)] = a.StateValue
		}
		for _, a := range out.CompositeAlarms {
			states[deref(a.AlarmName)] = a.StateValue
		}
	})
	if err != nil {
		return fmt.Errorf("rollback alarms: %w", err)
	}
	var errs []error
	for i, name := range names {
		at := fmt.Sprintf("DeploymentConfig.AutoRollbackConfiguration.Alarms[%d].AlarmName %s", i, name)
		switch state, ok := states[name]; {
		case !ok:
			errs = append(errs, invalid("%s: there is no such alarm in the account and region", at))
		case state == cwtypes.StateValueAlarm:
			errs = append(errs, fmt.Errorf("%s is in ALARM, which would end the deployment at once: %w", at, endpoint.ErrUnhealthy))
		case state == cwtypes.StateValueInsufficientData:
			caution("rollback alarm %s has no data now", name)
		}
	}
	return errors.Join(errs...)
}
