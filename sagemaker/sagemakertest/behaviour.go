package sagemakertest

import "time"

// Behaviour is how long things take, and switches what the real services do
// only sometimes, or what is not known about them. The zero value is the
// documented behaviour, strict where the documentation leaves a choice, with
// every lag off and an autoscaler that never moves.
type Behaviour struct {
	// Launch is how long instances take to start, or to fail to. 5 minutes if zero.
	Launch time.Duration
	// Shift is how long it takes to move traffic. 10 s if zero.
	Shift time.Duration
	// Terminate is how long instances take to go. 1 minute if zero.
	Terminate time.Duration
	// Scale is how long a change of capacity or weights takes. 3 minutes if zero.
	Scale time.Duration

	// ReadLag: for so long after each write, the reads of the service that it
	// was sent to show the account as it was just before it.
	ReadLag time.Duration
	// ReadFlaps makes every second read within the ReadLag of a write fresh.
	ReadFlaps bool
	// ConfigLag is how long after its creation an endpoint config is not found
	// by UpdateEndpoint and CreateEndpoint.
	ConfigLag time.Duration
	// TargetLag is how long after its registration a scalable target is not
	// found by the calls that need one.
	TargetLag time.Duration

	// Autoscale is the time between two moves of the autoscaler, counted from
	// the making of the server. It moves one variant at a time, of those that
	// have a policy, are not suspended and belong to an endpoint in service:
	// up one by one to the maximum, and from there to the minimum.
	Autoscale time.Duration

	// NewNameWhileUpdating: DescribeEndpoint names the new config already while
	// the endpoint is Updating.
	NewNameWhileUpdating bool
	// NewDefaults: endpoint configs that are made from now on have the defaults that
	// AWS has given them since 2026-06-16, and do not show them:
	// EnableDetailedObservability is true.
	NewDefaults bool
	// HideDefaultMetrics: DescribeEndpointConfig leaves out a MetricsConfig that
	// says no more than the default.
	HideDefaultMetrics bool
	// ShowDefaultWeights: DescribeEndpointConfig shows an InitialVariantWeight of
	// 1 where none was given.
	ShowDefaultWeights bool
	// ShowRollingBack: an endpoint is RollingBack while a deployment is being
	// rolled back, instead of Updating.
	ShowRollingBack bool
	// RareTimes: the LastModifiedTime of an endpoint changes with the beginning
	// of an UpdateEndpoint alone, and neither when that ends nor with a change
	// of capacity.
	RareTimes bool
	// DropZeroCounts: an update that retains variant properties does not carry
	// over a count of zero.
	DropZeroCounts bool
	// SuspendedMayChange: an update may change the instance type of a variant,
	// or remove it, whose scalable target is suspended altogether.
	SuspendedMayChange bool
	// NewSpecificationWhileUpdating: DescribeInferenceComponent shows the new
	// specification already while the component is Updating.
	NewSpecificationWhileUpdating bool
	// ShowModelEnvironment: DescribeInferenceComponent shows the environment and
	// artifact of a component's model as those of its container.
	ShowModelEnvironment bool
	// OldSpecificationWhenFailed: an inference component whose update ended Failed
	// shows the specification of before.
	OldSpecificationWhenFailed bool
	// FailedMayUpdate: an inference component that is Failed may be updated.
	FailedMayUpdate bool
	// OtherBusyWords: a change of an inference component that is in progress is
	// refused in words that are nowhere documented.
	OtherBusyWords bool
	// SamePolicyARNs: a policy that is made again has its old ARN.
	SamePolicyARNs bool
	// Lenient accepts what no documentation says is refused: a deployment
	// config together with RetainDeploymentConfig, excluded properties without
	// retention, guardrails on a single instance by percent, rollback alarms
	// that do not exist, and schedules that are past.
	Lenient bool
}

func (b Behaviour) launch() time.Duration    { return orDefault(b.Launch, 5*time.Minute) }
func (b Behaviour) shift() time.Duration     { return orDefault(b.Shift, 10*time.Second) }
func (b Behaviour) terminate() time.Duration { return orDefault(b.Terminate, time.Minute) }
func (b Behaviour) scale() time.Duration     { return orDefault(b.Scale, 3*time.Minute) }
