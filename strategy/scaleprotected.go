package strategy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
)

// ScaleProtectedSwap moves an endpoint whose provider scales it: it makes the
// new revision, freezes autoscaling, optionally raises the capacity for the
// time of the update, lets the provider swap, and puts capacity and
// autoscaling back exactly as they were.
//
// It is the procedure "Update Endpoints that Use Automatic Scaling" of the
// Amazon SageMaker Developer Guide, in seven steps, in a safer order. With a
// Prescale, and a provider that is told to deregister, it has the same effects:
//
//	in the guide                               here
//	1 DeregisterScalableTarget                 protect, after the snapshot of everything that
//	                                           deregistering destroys is in the journal
//	2 UpdateEndpointWeightsAndCapacities       raise, one variant at a time, and never above what
//	  for more instances                       autoscaling allows, which would be taken back at 7
//	3 DescribeEndpoint until InService         await, after each variant: the provider takes one
//	                                           change at a time
//	4 DescribeEndpointConfig                   read when the plan is made, with all that it says
//	5 CreateEndpointConfig with the counts     stage, and first of all: a configuration that the
//	  of now                                   provider does not take costs no autoscaling then
//	6 UpdateEndpoint                           update, await, and commit; it retains the counts of
//	                                           now, so those of step 5 are advice only
//	7 RegisterScalableTarget                   return the counts, restore, verify: policies,
//	                                           schedules, tags and alarm actions are made again
//	                                           as well, and all of it is read back
//
// The guide's later editions ask for 1 and 7 only where the instance type of a
// variant changes or a variant is removed. How far protecting goes is the
// provider's option; by default package sagemaker suspends, and deregisters
// only those. The guide has no word on an update that fails: here the count and
// the autoscaling of before are put back however it ends.
type ScaleProtectedSwap struct {
	// Prescale is the least number of instances of each variant while the
	// update runs. A variant that has more keeps them, and none goes above
	// what autoscaling allows. Zero leaves the capacity alone.
	Prescale int
}

func (ScaleProtectedSwap) String() string { return "scale-protected" }

// SuspendsAutoscaling marks the strategy as one that needs a snapshot of autoscaling.
func (ScaleProtectedSwap) SuspendsAutoscaling() {}

// instances ends the keys of the settings that Prescale raises.
const instances = "/instances"

// Check refuses a strategy that means nothing, before anything is read.
func (s ScaleProtectedSwap) Check() error {
	if s.Prescale < 0 {
		return fmt.Errorf("prescale %d: %w: it must not be negative", s.Prescale, endpoint.ErrInvalid)
	}
	return nil
}

// Plan implements [Strategy].
func (s ScaleProtectedSwap) Plan(f Facts) (Plan, error) {
	if err := s.Check(); err != nil {
		return Plan{}, err
	}
	var raise, lower []Step
	if s.Prescale > 0 {
		for _, key := range f.Status.Settings.Keys() {
			if !strings.HasSuffix(key, instances) {
				continue
			}
			least := s.Prescale
			if f.Autoscaling != nil {
				if most, ok := f.Autoscaling.Max[key]; ok {
					least = min(least, most)
				}
			}
			raise = append(raise, f.Raise(key, least), f.Await(UntilSettled).Named("await "+key))
			lower = append(lower, f.RestoreSetting(key), f.Await(UntilSettled).Named("await "+key+" again"))
		}
		if raise == nil {
			return Plan{}, fmt.Errorf("prescale %d: no variant has an instance count: %w", s.Prescale, endpoint.ErrInvalid)
		}
	}
	notes := []string{"a provider's update in progress cannot be stopped: cancelling waits for its end before it goes back"}
	if f.Autoscaling != nil {
		notes = append(notes, "autoscaling: "+f.Autoscaling.Summary)
	}
	if s.Prescale > 0 {
		notes = append(notes, fmt.Sprintf("extra capacity: at least %d instances of each variant while the update runs", s.Prescale))
	}
	forward := slices.Concat(f.Suspend(), raise, []Step{f.Update(), f.AwaitTarget()}, f.Commit(), lower, f.Restore(), []Step{f.Verify()})
	if f.Draft != nil {
		forward = slices.Insert(forward, 0, f.Stage())
	}
	return Plan{
		Forward:  forward,
		Rollback: slices.Concat([]Step{f.Update(), f.AwaitSource()}, lower, f.Restore(), f.Unstage(), []Step{f.Verify()}),
		Notes:    notes,
	}, nil
}
