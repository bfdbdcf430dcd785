package endpoint

import (
	"errors"
	"slices"
	"time"
)

// Conditions to branch on with [errors.Is].
var (
	// ErrNotFound: the endpoint, or a revision it was asked to serve, does not exist.
	ErrNotFound = errors.New("not found")
	// ErrInvalid: the provider or this module refused the request as wrong in itself.
	ErrInvalid = errors.New("invalid")
	// ErrUnauthorized: the key is missing, wrong, or lacks the right.
	ErrUnauthorized = errors.New("unauthorized")
	// ErrThrottled: too many requests. See [RetryAfter].
	ErrThrottled = errors.New("throttled")
	// ErrBusy: the endpoint is in a change already, the provider's or another rollout's.
	ErrBusy = errors.New("another change is in progress")
	// ErrQuota: an account limit stands in the way.
	ErrQuota = errors.New("quota exceeded")
	// ErrUnavailable: the provider could not be reached, or broke off, or
	// answered that it is at fault. Whether a write was applied is not known.
	ErrUnavailable = errors.New("unavailable")
	// ErrClamped: the provider accepted a value and set another one, such as the
	// most that it allows. [Scaler.Set] returns it if the answer of the write shows
	// that.
	ErrClamped = errors.New("set to another value than was asked for")
	// ErrPending: the revision is being made, which takes longer than a call.
	// [Stager] returns it.
	ErrPending = errors.New("being made")
	// ErrSameArtifact: the target runs the same artifact as the source, so a
	// rollout would change nothing that runs.
	ErrSameArtifact = errors.New("same artifact")
	// ErrMutable: the artifact's name may mean something else tomorrow.
	ErrMutable = errors.New("mutable artifact reference")
	// ErrShared: other endpoints use what would be changed.
	ErrShared = errors.New("shared with other endpoints")
	// ErrPaused: the endpoint is configured to run nothing.
	ErrPaused = errors.New("endpoint is paused")
	// ErrUnhealthy: capacity on the new revision fails.
	ErrUnhealthy = errors.New("unhealthy")
	// ErrFailed: the provider ended in a state that it does not leave by itself.
	ErrFailed = errors.New("provider reports failure")
	// ErrRolledBack: the endpoint serves the revision that it served before.
	ErrRolledBack = errors.New("rolled back")
	// ErrDrift: a third party changed the endpoint meanwhile.
	ErrDrift = errors.New("changed by someone else")
)

// Error says what was done to which endpoint when Err happened. A provider
// wraps its errors in it once, at its border.
type Error struct {
	Op       string // "status", "update", "set workers.max"
	Endpoint string // "runpod/i02xupws21hp6i"
	Err      error
}

func (e *Error) Error() string { return e.Op + " " + e.Endpoint + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Wrap returns err as an [*Error] with the operation and the endpoint's name. It
// is for a provider's border: an error that has an *Error in its tree already is
// returned as it is, and nil is nil.
func Wrap(op, endpoint string, err error) error {
	if err == nil || errors.As(err, new(*Error)) {
		return err
	}
	return &Error{Op: op, Endpoint: endpoint, Err: err}
}

// Unapplied reports whether err proves that the write it answers changed
// nothing. It is false for every error that it does not know: when in doubt,
// read. It speaks of one write, so it says nothing of a call that makes
// several, such as [AutoscalingSuspender.SuspendAutoscaling].
func Unapplied(err error) bool {
	return !errors.Is(err, ErrUnavailable) && slices.ContainsFunc([]error{
		ErrNotFound, ErrInvalid, ErrUnauthorized, ErrThrottled, ErrBusy, ErrQuota,
		ErrSameArtifact, ErrMutable, ErrShared, ErrPaused, errors.ErrUnsupported,
	}, func(e error) bool { return errors.Is(err, e) })
}

// Transient reports whether looking again may well succeed: [ErrThrottled],
// [ErrBusy] and [ErrUnavailable].
func Transient(err error) bool {
	return errors.Is(err, ErrThrottled) || errors.Is(err, ErrBusy) || errors.Is(err, ErrUnavailable)
}

// RetryAfter returns how long the provider asked to be left alone: what the
// first error in err's tree with a method RetryAfter() time.Duration answers,
// and zero if there is none.
func RetryAfter(err error) time.Duration {
	var r interface{ RetryAfter() time.Duration }
	if errors.As(err, &r) {
		return r.RetryAfter()
	}
	return 0
}
