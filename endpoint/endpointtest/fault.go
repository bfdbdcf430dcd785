package endpointtest

import (
	"context"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// Fault is what goes wrong with one call of a provider. The zero Fault is none.
//
// It is the vocabulary of every kit: the endpoints of this package and [Wire]
// carry faults out, a sweep of package rollouttest asks for them, and a
// provider's own fake translates them by their Kind.
type Fault struct {
	Kind FaultKind
	// Err is what a [FaultRefused] call is refused with, such as
	// [endpoint.ErrQuota]; [endpoint.ErrInvalid] if nil.
	Err error
	// After is, for [FaultThrottled], how long the provider asks to be left
	// alone, for [FaultLate] when the write takes effect, and for
	// [FaultHangBefore] and [FaultHangAfter] how much longer the call takes.
	After time.Duration
	// Answer is the answer of [FaultAnswerBefore] and [FaultAnswerAfter].
	Answer *Answer

	// Before, if not nil, runs before the request is sent. If it ends the
	// call's context, nothing is sent; if it panics, the process died before
	// the call.
	Before func()
	// Then, if not nil, runs once the write took effect, or where it would
	// have, and before the answer arrives. If it ends the call's context, the
	// answer is lost; if it panics, the process died after the call.
	Then func()
}

// FaultKind says what becomes of a call and of its answer.
type FaultKind int

const (
	// FaultNone lets the call be carried out and answered.
	FaultNone FaultKind = iota
	// FaultRefused applies nothing, and the answer proves it.
	FaultRefused
	// FaultThrottled applies nothing, and the answer is [endpoint.ErrThrottled].
	FaultThrottled
	// FaultLostBefore loses the request. Nothing is applied, and the caller gets
	// an [endpoint.ErrUnavailable] that could as well be the one of
	// FaultLostAfter.
	FaultLostBefore
	// FaultLostAfter loses the answer. The write is applied if it is valid.
	FaultLostAfter
	// FaultLate is FaultLostBefore for the caller, but the write takes effect
	// later, if it is valid then.
	FaultLate
	// FaultForgotten accepts the write, if it is valid, and loses it: success is
	// answered, and nothing is applied. For a read it is no fault.
	FaultForgotten
	// FaultHangBefore keeps the request under way for longer. Nothing is applied
	// if the call's context ends first.
	FaultHangBefore
	// FaultHangAfter keeps the answer under way for longer, after the write was
	// applied.
	FaultHangAfter
	// FaultGarbage applies the write, and the answer cannot be understood.
	FaultGarbage
	// FaultAnswerBefore applies nothing, and the answer is Fault.Answer, over
	// HTTP. Elsewhere it is FaultLostBefore.
	FaultAnswerBefore
	// FaultAnswerAfter applies the write, and the answer is Fault.Answer, over
	// HTTP. Elsewhere it is FaultLostAfter.
	FaultAnswerAfter
)

var faultKinds = [...]string{
	"none", "refused", "throttled", "lost before", "lost after", "late", "forgotten", "hang before", "hang after", "garbage",
	"answer before", "answer after",
}

// String names the kind in lower case.
func (k FaultKind) String() string {
	if k < 0 || int(k) >= len(faultKinds) {
		return fmt.Sprintf("fault %d", int(k))
	}
	return faultKinds[k]
}

// Applies reports whether the call takes effect in spite of the fault, at once.
func (k FaultKind) Applies() bool {
	switch k {
	case FaultNone, FaultLostAfter, FaultHangBefore, FaultHangAfter, FaultGarbage, FaultAnswerAfter:
		return true
	case FaultRefused, FaultThrottled, FaultLostBefore, FaultLate, FaultForgotten, FaultAnswerBefore:
	}
	return false
}

// Refuse answers err, such as [endpoint.ErrQuota], and applies nothing.
func Refuse(err error) Fault { return Fault{Kind: FaultRefused, Err: err} }

// Throttle answers [endpoint.ErrThrottled] and applies nothing.
// [endpoint.RetryAfter] of the answer is after.
func Throttle(after time.Duration) Fault { return Fault{Kind: FaultThrottled, After: after} }

// LostBefore loses the request: see [FaultLostBefore].
func LostBefore() Fault { return Fault{Kind: FaultLostBefore} }

// LostAfter loses the answer: see [FaultLostAfter].
func LostAfter() Fault { return Fault{Kind: FaultLostAfter} }

// Late loses the request for the caller, and applies it after d: see [FaultLate].
func Late(d time.Duration) Fault { return Fault{Kind: FaultLate, After: d} }

// Forget accepts the write and loses it: see [FaultForgotten].
func Forget() Fault { return Fault{Kind: FaultForgotten} }

// HangBefore lets the request take d longer: see [FaultHangBefore].
func HangBefore(d time.Duration) Fault { return Fault{Kind: FaultHangBefore, After: d} }

// HangAfter lets the answer take d longer: see [FaultHangAfter].
func HangAfter(d time.Duration) Fault { return Fault{Kind: FaultHangAfter, After: d} }

// Garbage applies the write and answers what cannot be understood: see [FaultGarbage].
func Garbage() Fault { return Fault{Kind: FaultGarbage} }

// RunBefore runs f before the request is sent. If f ends the call's context,
// nothing is applied; if f panics, the process died before the write.
func RunBefore(f func()) Fault { return Fault{Before: f} }

// RunAfter runs f after the write was applied or the read was done, and before
// the answer arrives. If f ends the call's context, the answer is lost; if f
// panics, the process died after the write.
func RunAfter(f func()) Fault { return Fault{Then: f} }

// answer is the error that the caller gets; nil if the call's own answer
// arrives.
func (f Fault) answer() error {
	switch f.Kind {
	case FaultRefused:
		return f.refusal()
	case FaultThrottled:
		return throttled(f.After)
	case FaultLostBefore, FaultLostAfter, FaultLate, FaultGarbage, FaultAnswerBefore, FaultAnswerAfter:
		return errLost
	case FaultNone, FaultForgotten, FaultHangBefore, FaultHangAfter:
	}
	return nil
}

// refusal is what a refused call is refused with.
func (f Fault) refusal() error {
	if f.Err == nil {
		return endpoint.ErrInvalid
	}
	return f.Err
}

// before runs Before.
func (f Fault) before() {
	if f.Before != nil {
		f.Before()
	}
}

// then runs Then.
func (f Fault) then() {
	if f.Then != nil {
		f.Then()
	}
}

// errLost is one error for all, so that no caller can tell the cases apart.
var errLost = fmt.Errorf("connection broke off: %w", endpoint.ErrUnavailable)

type throttled time.Duration

func (t throttled) Error() string             { return "rate exceeded" }
func (t throttled) Is(target error) bool      { return target == endpoint.ErrThrottled }
func (t throttled) RetryAfter() time.Duration { return time.Duration(t) }

// request waits until the request has arrived, and reply until the answer has.
// The error is the context's, if it ends first.
func (f Fault) request(ctx context.Context) error { return sleep(ctx, f.hang(FaultHangBefore)) }
func (f Fault) reply(ctx context.Context) error   { return sleep(ctx, f.hang(FaultHangAfter)) }

// hang is how long a call takes by the fault, if that is of the kind.
func (f Fault) hang(k FaultKind) time.Duration {
	if f.Kind == k {
		return f.After
	}
	return 0
}

// sleep returns the context's error if it ends first.
func sleep(ctx context.Context, d time.Duration) error {
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
	return ended(ctx)
}

// ended is the error of a done context, with its cause if that says more.
func ended(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); err != nil && cause != err { //nolint:errorlint // whether it is the very same error
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}
