package rollouttest

import (
	"time"
)

// Fault is what befalls one remote write. The zero Fault is none.
type Fault struct {
	Kind FaultKind
	// Applied, for Lost: the write takes effect. Otherwise nothing arrives.
	Applied bool
	// Then, for Fine, Lost and Late, if it is not nil: it is called after the
	// write took effect, or where it would have, and before the answer. It may
	// panic, as if the process died, end the context of the call, or change
	// the endpoint.
	Then func()
	// After, for Late: when the write takes effect, counted from now. For
	// Throttled: how long the provider asks to be left alone.
	After time.Duration
}

// FaultKind is what the caller of a write hears.
type FaultKind int

// The kinds of faults.
const (
	Fine      FaultKind = iota
	Lost                // an endpoint.ErrUnavailable that tells nothing
	Late                // the same, and the write takes effect later
	Refused             // an error for which endpoint.Unapplied is true and endpoint.Transient false
	Throttled           // endpoint.ErrThrottled
	Forgotten           // success, and the write takes no effect
)

// FaultCase is what the sweep lets happen at one write after the other.
type FaultCase string

// The misfortunes.
const (
	DiesBefore      FaultCase = "death before"
	DiesAfter       FaultCase = "death after"
	DiesSending     FaultCase = "death while sending"
	HangsSending    FaultCase = "hang while sending" // and nobody knows that it died
	LostBefore      FaultCase = "lost before"
	LostAfter       FaultCase = "lost after"
	LandsLate       FaultCase = "late"
	RefusedOnce     FaultCase = "refused"
	RefusedAlways   FaultCase = "refused each time"
	RefusedForGood  FaultCase = "refused from then on, as is all else"
	ThrottledOnce   FaultCase = "throttled"
	AcceptedOnly    FaultCase = "accepted and forgotten"
	CancelledBefore FaultCase = "cancelled before"
	CancelledAfter  FaultCase = "cancelled after"
	ForeignChange   FaultCase = "somebody else's change"

	DiesReading      FaultCase = "death at a read"
	CancelledReading FaultCase = "cancelled at a read"
	// ForeignReading befalls the reads that are the first of their moment: a change
	// between two reads of one look is one of what was read a moment ago, which
	// nobody can see.
	ForeignReading FaultCase = "somebody else's change at a read"
)

// reading reports whether it befalls reads.
func (m FaultCase) reading() bool {
	return m == DiesReading || m == CancelledReading || m == ForeignReading
}

// faults says what befalls a write. How late a write may land is bounded by
// the settle time, which has to be longer.
func (m FaultCase) fault(cancel func()) Fault {
	die := func() { panic(death{}) }
	switch m {
	case DiesBefore, DiesAfter:
		return Fault{Kind: Lost, Applied: m == DiesAfter, Then: die}
	case LostBefore, LostAfter:
		return Fault{Kind: Lost, Applied: m == LostAfter}
	case LandsLate:
		return Fault{Kind: Late, After: 7 * time.Second}
	case DiesSending:
		return Fault{Kind: Late, After: 7 * time.Second, Then: die}
	case HangsSending: // a call ends after a minute
		return Fault{Kind: Late, After: 55 * time.Second, Then: die}
	case RefusedOnce, RefusedAlways, RefusedForGood:
		return Fault{Kind: Refused}
	case ThrottledOnce:
		return Fault{Kind: Throttled, After: 40 * time.Second}
	case AcceptedOnly:
		return Fault{Kind: Forgotten}
	case CancelledBefore, CancelledAfter:
		return Fault{Kind: Lost, Applied: m == CancelledAfter, Then: cancel}
	case ForeignChange, DiesReading, CancelledReading, ForeignReading:
	}
	return Fault{}
}
