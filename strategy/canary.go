package strategy

import (
	"fmt"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// CanaryByWeight serves the source and the target side by side and moves the
// traffic to the target in steps: after each it is watched, with the checks, and
// a person may have to approve. Then only the target is served. It costs the
// capacity of both while it lasts, and needs a provider that splits traffic
// ([endpoint.Shifter]).
type CanaryByWeight struct {
	// Steps are the shares of the target, in percent, in rising order.
	Steps []TrafficStep
}

// TrafficStep is one share of the traffic.
type TrafficStep struct {
	// Percent is the target's share, from 1 to 99.
	Percent int
	// Soak is how long the target is watched at this share.
	Soak time.Duration
	// Approval, if it has a name, is waited for after that.
	Approval Approval
}

func (CanaryByWeight) String() string { return "canary-by-weight" }

// SplitsTraffic marks the strategy as one that needs a revision that serves
// source and target side by side.
func (CanaryByWeight) SplitsTraffic() {}

// Plan implements [Strategy].
func (s CanaryByWeight) Plan(f Facts) (Plan, error) {
	if err := s.Check(); err != nil {
		return Plan{}, err
	}
	if f.Canary == nil {
		return Plan{}, fmt.Errorf("the endpoint does not split traffic: %w", endpoint.ErrInvalid)
	}
	var forward []Step
	if f.Draft != nil {
		forward = append(forward, f.Stage())
	}
	forward = append(forward, f.StageCanary(), f.UpdateCanary(), f.Await(UntilSplit))
	for _, step := range s.Steps {
		forward = append(forward, f.Shift(step.Percent), f.Watch(fmt.Sprintf("soak at %d%%", step.Percent), step.Soak))
		if step.Approval.Name != "" {
			forward = append(forward, f.Hold(step.Approval))
		}
	}
	forward = append(forward, f.Update(), f.AwaitTarget())
	forward = append(append(forward, f.Commit()...), f.Verify())
	return Plan{
		Forward:  forward,
		Rollback: slices.Concat([]Step{f.Shift(0), f.Update(), f.AwaitSource()}, f.Unstage(), []Step{f.Verify()}),
		Notes: []string{
			fmt.Sprintf("extra capacity: %s and %s run side by side until the target has all of the traffic", f.Status.Desired, f.Target),
			fmt.Sprintf("source variants: %v; target variants: %v", f.Canary.Source, f.Canary.Target),
		},
	}, nil
}

// Check refuses a strategy that means nothing, before anything is read.
func (s CanaryByWeight) Check() error {
	if len(s.Steps) == 0 {
		return fmt.Errorf("canary-by-weight: %w: no traffic steps", endpoint.ErrInvalid)
	}
	last := 0
	for _, step := range s.Steps {
		if step.Percent <= last || step.Percent > 99 {
			return fmt.Errorf("canary-by-weight: %w: step %d%% after %d%%: the shares have to rise, from 1 to 99", endpoint.ErrInvalid, step.Percent, last)
		}
		if step.Soak < 0 || step.Soak > longestBake {
			return fmt.Errorf("canary-by-weight: %w: a soak of %v", endpoint.ErrInvalid, step.Soak)
		}
		if step.Approval != (Approval{}) {
			if err := step.Approval.Validate(); err != nil {
				return err
			}
		}
		last = step.Percent
	}
	return nil
}

// UpdateCanary asks the provider to serve source and target side by side.
func (f Facts) UpdateCanary() Step {
	s := f.Update().Named("update to both")
	s.Do = ActionUpdateCanary
	return s
}

// Shift gives the target a share of the traffic, in percent.
func (f Facts) Shift(percent int) Step {
	return Step{Name: fmt.Sprintf("shift to %d%%", percent), Do: ActionShift, Value: percent, Timeout: f.writeTimeout() + f.StepTimeout}
}
