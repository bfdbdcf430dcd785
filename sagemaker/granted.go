package sagemaker

import (
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

// The time that a target is configured to take counts as time to wait: a
// rollout that gives up earlier would undo updates that end well.

// longest bounds what is computed of numbers that a file may hold.
const longest = 1000 * time.Hour

// times is n times d, at most [longest].
func times(d time.Duration, n int) time.Duration {
	if n > 0 && d > longest/time.Duration(n) {
		return longest
	}
	return d * time.Duration(n)
}

func addTimes(a, b time.Duration) time.Duration { return min(a+b, longest) }

// startTime is the longest time that an instance of a variant is given to
// start: to be provisioned, to load the model and to become healthy.
func startTime(v *types.ProductionVariant) time.Duration {
	return seconds(v.VariantInstanceProvisionTimeoutInSeconds) +
		seconds(v.ModelDataDownloadTimeoutInSeconds) + seconds(v.ContainerStartupHealthCheckTimeoutInSeconds)
}

// longestStart is that of the slowest variant.
func longestStart(in *sm.CreateEndpointConfigInput) time.Duration {
	var d time.Duration
	for _, vs := range [][]types.ProductionVariant{in.ProductionVariants, in.ShadowProductionVariants} {
		for i := range vs {
			d = max(d, startTime(&vs[i]))
		}
	}
	return d
}

// partsOf is how many parts of a size there are; of one that counts instances,
// of the smallest share that AWS allows.
func partsOf(s *types.CapacitySize, least int) int {
	percent := least
	if s.Type == types.CapacitySizeTypeCapacityPercent {
		percent = int(deref(s.Value))
	}
	if percent < 1 {
		return 1
	}
	return (100 + percent - 1) / percent
}

// parts is how many batches of a size n instances or copies make. A percentage
// is of whole ones, so that it may make fewer batches than it says.
func (s size) parts(n int) int {
	v := int(deref(s.size.Value))
	if n < 1 || v < 1 {
		return 1
	}
	if s.size.Type == types.CapacitySizeTypeInstanceCount {
		return (n + v - 1) / v
	}
	return (100 + v - 1) / v
}

// fewest is the least number of batches that a size can mean.
func (s size) fewest() int {
	if s.size.Type == types.CapacitySizeTypeCapacityPercent {
		return partsOf(s.size, s.least)
	}
	return (100 + s.most - 1) / s.most
}

// launches is how often one after the other a deployment starts instances.
func launches(c *types.DeploymentConfig, n int) int {
	if c == nil || c.RollingUpdatePolicy == nil {
		return 1
	}
	return sizes(c)[0].parts(n)
}

// granted is the longest time that an update may take by its configuration: for
// each launch the time that instances are given to start, and the waits, or the
// deployment's own time limit if that is longer.
func granted(used *types.DeploymentConfig, to *sm.CreateEndpointConfigInput, n int) time.Duration {
	_, limit := executionLimit(used)
	return max(limit, addTimes(times(longestStart(to), launches(used, n)), waits(used)))
}
