package waiter

import (
	"math"
	"time"
)

// DefaultInterval is the time between two polls of a plain fixed schedule. The
// default schedule is [Learned].
const DefaultInterval = 5 * time.Second

// Schedule decides when to poll again. It is asked after each poll that
// succeeded without ending the wait, and must be safe for concurrent use if
// several waits share it.
type Schedule interface {
	// Next returns how long to sleep. It is a pure function of p.
	Next(p Progress) time.Duration
}

// pacer is a schedule that is shown the state of a wait where it is: a copy would
// make the stack of each of thousands of waiting goroutines twice as large.
type pacer interface {
	next(p *Progress) time.Duration
}

func pacerOf(s Schedule) pacer {
	if p, ok := s.(pacer); ok {
		return p
	}
	return handed{s}
}

// handed is a schedule of the caller's, which is handed a copy.
type handed struct{ Schedule }

func (h handed) next(p *Progress) time.Duration { return h.Next(*p) }

// Every polls again after d each time. It must be positive: less than a
// millisecond counts as one.
func Every(d time.Duration) Schedule { return every(max(d, time.Millisecond)) }

type every time.Duration

func (e every) Next(Progress) time.Duration { return time.Duration(e) }

// The bounds and the default of [Learned].
const (
	// DefaultPrice is what a poll is worth.
	DefaultPrice = 100 * time.Millisecond
	// MaxInterval is the longest time between two polls: whatever happens, the
	// end of a wait among it, is noticed within it.
	MaxInterval = time.Minute
	// shortest is the shortest time between two polls.
	shortest = 500 * time.Millisecond
	// rest is what every gap is longer than the forecast asks for: services
	// limit the rate of calls, so that polls close together are the dearer ones.
	rest = 0.4 // seconds
	// again is the time between two polls that both have to find the condition.
	again = 2 * time.Second
	// scatter is by how much a gap is made longer or shorter, so that waits
	// that began together do not poll together.
	scatter = 0.05
)

// Learned polls when the end is likely, as far as earlier waits tell: rarely
// while nothing can be ready, often when it is due, and less so the later it
// gets. A wait with [WithHistory] knows the durations of the same operation on
// the same endpoint, and on others. Without one, or the first time, it is
// ready for anything between seconds and an hour.
//
// Where the provider shows the stage that an update is in, what was learned of
// that stage counts, and the configured length of a stage is waited out. The
// time between two polls is at least half a second and at most [MaxInterval].
// It never grows because the answer was "not yet".
//
// The price is the one knob: how much lag one poll less is worth. A higher
// price means fewer polls and later notice, each by its square root. Zero or
// less means [DefaultPrice].
func Learned(price time.Duration) Schedule {
	if price <= 0 {
		price = DefaultPrice
	}
	return &learned{price.Seconds()}
}

type learned struct{ price float64 }

func (l *learned) Next(p Progress) time.Duration { return l.next(&p) }

func (l *learned) next(p *Progress) time.Duration {
	if p.Held > 0 {
		return again
	}
	t := p.Elapsed
	if p.Stage != "" {
		t = p.InStage - p.Observed.Status.UpdateStage.For
	}
	next := p.Forecast.After(t.Seconds(), l.price, max(0, -t.Seconds())+MaxInterval.Seconds())
	gap := bounded((rest + next - t.Seconds()) * (1 + scatter*p.Jitter))
	if p.Observed.Due > 0 {
		gap = min(gap, max(p.Observed.Due, shortest))
	}
	return gap
}

// bounded is a gap of so many seconds, within the bounds.
func bounded(s float64) time.Duration {
	if math.IsNaN(s) {
		return MaxInterval
	}
	return time.Duration(min(max(s*float64(time.Second), float64(shortest)), float64(MaxInterval)))
}
