package waiter

import "time"

// DefaultInterval is the time between two looks if no schedule is given.
const DefaultInterval = 5 * time.Second

// Schedule decides when to look again. It is asked after each look that
// succeeded without ending the wait, and must be safe for concurrent use if
// several waits share it.
type Schedule interface {
	// Next returns how long to sleep. It is a pure function of p.
	Next(p Progress) time.Duration
}

// Every looks again after d each time. It must be positive: less than a
// millisecond counts as one.
func Every(d time.Duration) Schedule { return every(max(d, time.Millisecond)) }

type every time.Duration

func (e every) Next(Progress) time.Duration { return time.Duration(e) }
