package rollouttest

import (
	"runtime"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
)

// FaultCase is what a sweep lets happen at one write, or one read, after the
// other.
type FaultCase string

// The cases.
const (
	DiesBefore      FaultCase = "death before"
	DiesAfter       FaultCase = "death after"
	DiesSending     FaultCase = "death while sending"
	HangsSending    FaultCase = "hang while sending" // and no other process knows that it died
	LostBefore      FaultCase = "lost before"
	LostAfter       FaultCase = "lost after"
	Late            FaultCase = "late"
	RefusedOnce     FaultCase = "refused"
	RefusedAlways   FaultCase = "refused each time"
	RefusedForGood  FaultCase = "refused from then on, as is all else"
	ThrottledOnce   FaultCase = "throttled"
	Forgotten       FaultCase = "accepted and forgotten"
	CancelledBefore FaultCase = "cancelled before"
	CancelledAfter  FaultCase = "cancelled after"
	ForeignChange   FaultCase = "foreign change"
	// PanicsBefore and the next three: the code of the provider panics, or does not
	// return for half an hour, whatever becomes of its context. The write was not
	// sent, or was carried out.
	PanicsBefore      FaultCase = "panic before"
	PanicsAfter       FaultCase = "panic after"
	NeverReturns      FaultCase = "never returns"
	NeverReturnsAfter FaultCase = "carried out and never returns"
	// Clamped happens from this write on: the provider gives settings other values
	// than it was asked for, until the rollout has ended.
	Clamped FaultCase = "other values are set from then on"
	// Deleted happens just after the write, or after the next one at which the
	// provider allows it.
	Deleted FaultCase = "endpoint deleted"

	DiesReading      FaultCase = "death at a read"
	CancelledReading FaultCase = "cancelled at a read"
	PanicsReading    FaultCase = "panic at a read"
	SilentReading    FaultCase = "read that never returns"
	// ForeignReading happens at the reads that are the first of their moment: a
	// change between two reads of one poll is one of a value that was read a
	// moment ago, which no poll can see.
	ForeignReading FaultCase = "foreign change at a read"
)

// reading reports whether it happens at reads.
func (m FaultCase) reading() bool {
	switch m { //nolint:exhaustive // all others happen at writes
	case DiesReading, CancelledReading, ForeignReading, PanicsReading, SilentReading:
		return true
	default:
		return false
	}
}

// panics reports whether the code of the provider panics.
func (m FaultCase) panics() bool { return m == PanicsBefore || m == PanicsAfter || m == PanicsReading }

// panicking is what code of the provider does that has a bug.
func panicking() { panic("a bug of the provider's code") }

// silent is what code of the provider does that heeds no context.
func silent() { time.Sleep(30 * time.Minute) } //nolint:forbidigo // in the bubble's time

// fault is the fault of a write. How late a write may take effect is bounded
// by the settle time, which has to be longer.
func (m FaultCase) fault(cancel func()) endpointtest.Fault {
	f := endpointtest.Fault{}
	switch m {
	case DiesBefore:
		f = endpointtest.LostBefore()
		f.Then = runtime.Goexit
	case DiesAfter:
		f = endpointtest.LostAfter()
		f.Then = runtime.Goexit
	case LostBefore:
		f = endpointtest.LostBefore()
	case LostAfter:
		f = endpointtest.LostAfter()
	case Late:
		f = endpointtest.Late(7 * time.Second)
	case DiesSending:
		f = endpointtest.Late(7 * time.Second)
		f.Then = runtime.Goexit
	case HangsSending: // a call ends after a minute
		f = endpointtest.Late(55 * time.Second)
		f.Then = runtime.Goexit
	case RefusedOnce, RefusedAlways, RefusedForGood:
		f = endpointtest.Refuse(endpoint.ErrInvalid)
	case ThrottledOnce:
		f = endpointtest.Throttle(40 * time.Second)
	case Forgotten:
		f = endpointtest.Forget()
	case CancelledBefore:
		f = endpointtest.LostBefore()
		f.Then = cancel
	case CancelledAfter:
		f = endpointtest.LostAfter()
		f.Then = cancel
	case PanicsBefore:
		f = endpointtest.LostBefore()
		f.Then = panicking
	case PanicsAfter:
		f = endpointtest.LostAfter()
		f.Then = panicking
	case NeverReturns:
		f = endpointtest.LostBefore()
		f.Then = silent
	case NeverReturnsAfter:
		f = endpointtest.LostAfter()
		f.Then = silent
	case ForeignChange, Clamped, Deleted, DiesReading, CancelledReading, ForeignReading, PanicsReading, SilentReading:
	}
	return f
}
