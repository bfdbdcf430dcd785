package fleet

import (
	"context"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/rollout"
)

// Check judges a wave during its soak.
type Check struct {
	Name string
	// Interval is the time between two evaluations, a minute if zero.
	Interval time.Duration
	// UnknownLimit is how long a check that cannot tell holds the fleet before
	// that counts as a failure, 15 minutes if zero.
	UnknownLimit time.Duration
	// Ask is called on a goroutine of its own, with a minute to answer. One that
	// fails is a breach; an error and a panic mean that the check cannot tell.
	Ask func(ctx context.Context, s Sample) (rollout.Verdict, error)
}

// Sample is what a check is asked about.
type Sample struct {
	Fleet, Wave string
	// Moved are the members of the wave that serve the target.
	Moved []string
	// Elapsed is for how long the wave has been watched.
	Elapsed time.Duration
}

const (
	checkTimeout         = time.Minute
	defaultCheckInterval = time.Minute
	defaultUnknownLimit  = 15 * time.Minute
)

func (c Check) interval() time.Duration {
	if c.Interval == 0 {
		return defaultCheckInterval
	}
	return c.Interval
}

func (c Check) unknownLimit() time.Duration {
	if c.UnknownLimit == 0 {
		return defaultUnknownLimit
	}
	return c.UnknownLimit
}

// ask asks the check. What it cannot tell is unknown, with the reason.
func (c Check) ask(ctx context.Context, s Sample) (v rollout.Verdict) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			v = rollout.Verdict{Result: rollout.ResultUnknown, Reason: fmt.Sprintf("it panicked: %v", p)}
		}
	}()
	v, err := c.Ask(ctx, s)
	if err != nil {
		return rollout.Verdict{Result: rollout.ResultUnknown, Reason: err.Error()}
	}
	if v.Result == "" {
		v.Result = rollout.ResultUnknown
	}
	return v
}
