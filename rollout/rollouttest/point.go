package rollouttest

import (
	"fmt"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/rollout"
)

// hit puts a case on a write, counted from the one that was hit before.
type hit struct {
	FaultCase
	at      int
	foreign int // which of Environment.Foreign
}

func (h hit) String() string { return fmt.Sprintf("%s at %d", h.FaultCase, h.at) }

// point is one run of a sweep.
type point struct {
	hits  []hit
	delay time.Duration // from a death to the resume
	opts  []rollout.Option
	label string
	// clock is by how much the clock of the resume is behind that of the runner that
	// died. One that is ahead by more than the settle time is against what is assumed
	// of clocks: what the runner wrote a moment ago would count as settled.
	clock time.Duration
}

func (p point) panics() bool { return p.hits[0].panics() }

func (p point) String() string {
	var parts []string
	for _, h := range p.hits {
		parts = append(parts, h.String())
	}
	return strings.Join(parts, ", then ") + p.label
}

// points are the runs for one case at one place, one for each of its
// kinds if it has any.
func points(h hit, kinds []string) []point {
	once := point{hits: []hit{h}}
	resumed := []point{
		once,
		{hits: []hit{h}, delay: 10 * time.Minute, label: ", resumed after ten minutes"},
		{hits: []hit{h}, delay: 24 * time.Hour, label: ", resumed after a day"},
		{hits: []hit{h}, opts: []rollout.Option{rollout.WithForward()}, label: ", resumed forward"},
		{hits: []hit{h}, label: ", resumed with the clock put back by an hour", clock: time.Hour},
	}
	switch h.FaultCase {
	case DiesReading: // the clock at one read in eight: most reads are polls, and one is as the next
		if h.at%8 != 0 {
			return resumed[:4]
		}
		return resumed
	case DiesSending, HangsSending:
		return resumed
	case DiesBefore, DiesAfter:
		all := resumed
		for at := 1; at <= 3; at++ {
			all = append(all, point{hits: []hit{h, {FaultCase: DiesAfter, at: at}}, delay: time.Second})
		}
		return all
	case ForeignChange, ForeignReading:
		var all []point
		for i, kind := range kinds {
			h.foreign = i
			all = append(all, point{hits: []hit{h}, label: ": " + kind})
		}
		return all
	case LostBefore, LostAfter, Late, RefusedOnce, RefusedAlways, RefusedForGood, ThrottledOnce, Forgotten, CancelledBefore, CancelledAfter, CancelledReading,
		PanicsBefore, PanicsAfter, NeverReturns, NeverReturnsAfter, PanicsReading, SilentReading, Clamped, Deleted:
	}
	return []point{once}
}
