package sagemaker

import (
	"slices"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

// Level says how autoscaling is kept from interfering with a rollout.
type Level string

const (
	// LevelAuto deregisters the targets of variants whose instance type
	// changes or that disappear, since AWS refuses the update otherwise, and
	// suspends all others.
	LevelAuto Level = "auto"
	// LevelRetain leaves autoscaling as it is. SageMaker blocks it while the
	// endpoint is updating; it may act before and after that.
	LevelRetain Level = "retain"
	// LevelSuspend suspends the scaling of every target, and puts back which
	// kinds were suspended before. Nothing is lost by it.
	LevelSuspend Level = "suspend"
	// LevelDeregister takes every variant's target away and registers it again,
	// which AWS's older documentation asks for. Policies, scheduled actions
	// and tags are made anew; ARNs, and the names of the alarms that
	// target-tracking policies make for themselves, change. The targets of
	// inference components are suspended.
	LevelDeregister Level = "deregister"
)

// ParseLevel reads a level's name.
func ParseLevel(s string) (Level, error) {
	if l := Level(s); slices.Contains([]Level{LevelAuto, LevelRetain, LevelSuspend, LevelDeregister}, l) {
		return l, nil
	}
	return "", invalid("protection level %q: want auto, retain, suspend or deregister", s)
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
