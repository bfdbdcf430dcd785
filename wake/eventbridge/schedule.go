package eventbridge

import (
	"time"

	"github.com/changeover-dev/changeover/waiter"
)

// DefaultNet is how often a wait polls that no event wakes.
const DefaultNet = 5 * time.Minute

// SafetyNet polls every so often while no event comes, and otherwise as
// [waiter.Learned] does: soon, where a second poll has to confirm the first or
// something is due. Zero or less means [DefaultNet].
func SafetyNet(every time.Duration) waiter.Schedule {
	if every <= 0 {
		every = DefaultNet
	}
	return net{waiter.Learned(0), every}
}

type net struct {
	waiter.Schedule

	every time.Duration
}

func (n net) Next(p waiter.Progress) time.Duration {
	if p.Held > 0 || p.Observed.Due > 0 {
		return min(n.Schedule.Next(p), n.every)
	}
	return n.every
}
