package sagemaker

import (
	"slices"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

// AutoscalingMode says how Application Auto Scaling is kept from interfering
// with a rollout that suspends it.
type AutoscalingMode string

const (
	// AutoscalingAuto deregisters the targets of variants whose instance type
	// changes or that disappear, since AWS refuses the update otherwise, and
	// suspends all others.
	AutoscalingAuto AutoscalingMode = "auto"
	// AutoscalingRetain leaves autoscaling as it is. SageMaker blocks it while the
	// endpoint is updating; it may act before and after that.
	AutoscalingRetain AutoscalingMode = "retain"
	// AutoscalingSuspend suspends the scaling of every target, and puts back which
	// kinds were suspended before. Nothing is lost by it.
	AutoscalingSuspend AutoscalingMode = "suspend"
	// AutoscalingDeregister takes every variant's target away and registers it again,
	// which AWS's older documentation asks for. Policies, scheduled actions
	// and tags are made again; ARNs, and the names of the alarms that
	// target-tracking policies make for themselves, change. The targets of
	// inference components are suspended.
	AutoscalingDeregister AutoscalingMode = "deregister"
)

// ParseAutoscalingMode reads a mode's name.
func ParseAutoscalingMode(s string) (AutoscalingMode, error) {
	if l := AutoscalingMode(s); slices.Contains([]AutoscalingMode{AutoscalingAuto, AutoscalingRetain, AutoscalingSuspend, AutoscalingDeregister}, l) {
		return l, nil
	}
	return "", invalid("autoscaling mode %q: want auto, retain, suspend or deregister", s)
}

// hardware is what AWS means by the instance type of a variant.
func hardware(v *types.ProductionVariant) string {
	h := struct {
		Type  types.ProductionVariantInstanceType
		Pools []types.InstancePool
		Kind  string
	}{Type: v.InstanceType}
	for _, p := range v.InstancePools {
		h.Pools = append(h.Pools, types.InstancePool{InstanceType: p.InstanceType, Priority: p.Priority})
	}
	if v.ServerlessConfig != nil {
		h.Kind = "serverless"
	}
	return text(h)
}

// obstacle says why a variant's target stands in the way of an update; empty
// if it does not.
func obstacle(name string, from, to *sm.CreateEndpointConfigInput) string {
	was, is := variant(from, name), variant(to, name)
	switch {
	case is == nil:
		return "variant " + name + " disappears"
	case was != nil && hardware(was) != hardware(is):
		return "the instance type of variant " + name + " changes"
	}
	return ""
}
