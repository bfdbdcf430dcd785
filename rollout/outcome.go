package rollout

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// Outcome is how a rollout ended.
type Outcome string

// The outcomes. Nothing, no-op and succeeded come with a nil error, and so does
// abandoned, which only [Abandon] returns. All others are an [*Error].
const (
	OutcomeRefused    Outcome = "refused"     // nothing was begun: this call changed nothing
	OutcomeNothing    Outcome = "nothing"     // there was nothing to resume
	OutcomeNoOp       Outcome = "no-op"       // the endpoint served the target already; nothing was sent
	OutcomeSucceeded  Outcome = "succeeded"   // serves the target, every guarded value as before; see Report.Drift
	OutcomeRolledBack Outcome = "rolled back" // serves the source, every guarded value as before
	OutcomeSuperseded Outcome = "superseded"  // serves a third party's revision; the rollout's own changes are undone
	OutcomeDetached   Outcome = "detached"    // left to run, as was asked for; can be resumed
	// OutcomeGone: the endpoint was deleted, or another one has its name. The rollout
	// can be resumed if it comes back, and be closed by [Abandon].
	OutcomeGone Outcome = "gone"
	// OutcomeAbandoned: a person gave the rollout up ([Abandon]); Report.Residue remains.
	OutcomeAbandoned  Outcome = "abandoned"
	OutcomeIncomplete Outcome = "incomplete" // Report.Residue remains to be done; can be resumed
)

// The errors of the outcomes. Of these five, [errors.Is] finds exactly one in an
// [*Error]. The cause, with the provider's own errors in it, is found by [Cause].
var (
	// ErrRolledBack: the endpoint serves the source, with every guarded value as before.
	ErrRolledBack = errors.New("rolled back")
	// ErrSuperseded: the endpoint serves another party's revision, and the
	// rollout's own changes are undone.
	ErrSuperseded = errors.New("superseded")
	// ErrIncomplete: something remains to be done. See [Error.Residue].
	ErrIncomplete = errors.New("incomplete")
	// ErrDetached: the rollout was left as it is, and can be resumed.
	ErrDetached = errors.New("detached")
	// ErrRefused: nothing was begun, and nothing was changed by this call.
	ErrRefused = errors.New("refused")
)

// Causes of rollouts, beside those of package endpoint.
var (
	// ErrGone: the endpoint does not exist any more, or another one has its name. It
	// is never written to.
	ErrGone = core.ErrGone
	// ErrUnfinished: the journal holds a rollout that has not ended.
	ErrUnfinished = core.ErrUnfinished
	// ErrNotReady: the endpoint did not come to rest in time to begin.
	ErrNotReady = core.ErrNotReady
	// ErrCheck: a check or the probe did not pass, or is missing.
	ErrCheck = core.ErrCheck
	// ErrNotConverged: the provider's own rolling release did not replace every
	// worker in time. It comes with the workers that stayed. [strategy.FlushToZero]
	// would replace them, with downtime: that is the caller's choice, and never made here.
	ErrNotConverged = core.ErrNotConverged
	// ErrNoCapacity: new workers waited for the provider's hardware until the time
	// was over. Another strategy would need the same hardware.
	ErrNoCapacity = core.ErrNoCapacity
	// ErrTimeout: the time of the forward part was over. See [WithTimeout].
	ErrTimeout = core.ErrTimeout
	// ErrPanic: code that the rollout was given panicked, such as the endpoint, the
	// store, a gate or an observer. The step that it belongs to has failed; the
	// stack is in the error's text.
	ErrPanic = core.ErrPanic
	// ErrStepTimeout: the time of one step was over. See [WithStepTimeout]. The
	// deadline of the caller's context is [context.DeadlineExceeded].
	ErrStepTimeout = core.ErrStepTimeout
	// ErrNotStarted: workers of the new revision were there, and not one of them
	// became ready in time. It comes with how long, and how many.
	ErrNotStarted = core.ErrNotStarted
	// ErrHardStop: the rollback was told to stop at once.
	ErrHardStop = core.ErrHardStop
)

// Report is what a rollout came to.
type Report struct {
	Outcome Outcome        `json:"outcome"`
	Plan    *strategy.Plan `json:"plan,omitempty"`
	// Proof says what showed that the target works: "workers", "probe" or
	// "configuration". Empty if the rollout did not get there.
	Proof strategy.Proof `json:"proof,omitempty"`
	// Drift is what somebody else changed meanwhile. It was left alone.
	Drift []journal.Drift `json:"drift,omitempty"`
	// Missed are the scheduled changes of capacity that were due while autoscaling
	// was suspended, for people: the provider does not make up for them.
	Missed []string `json:"missed,omitempty"`
	// Leftovers are things that the rollout made and did not remove. They do no harm.
	Leftovers []Remainder `json:"leftovers,omitempty"`
	// Residue is what remains to be done.
	Residue []Remainder `json:"residue,omitempty"`
	// Resumed is what a rollout came to that was unfinished before; see
	// [WithResumeFirst]. Nil if none was.
	Resumed *Report `json:"resumed,omitempty"`
	// Status is the endpoint as last seen.
	Status   endpoint.Status `json:"status,omitzero"`
	Began    time.Time       `json:"began,omitzero"`
	Finished time.Time       `json:"finished,omitzero"`
	// DroppedEvents counts the events that an observer did not get, and those on
	// which one panicked: ObserverPanic is the first of these, with its stack.
	DroppedEvents int    `json:"droppedEvents,omitempty"`
	ObserverPanic string `json:"observerPanic,omitempty"`
}

// Error says how a rollout ended that did not succeed, and why. It is the one
// of [ErrRolledBack], [ErrSuperseded], [ErrDetached], [ErrIncomplete] and
// [ErrRefused] that its Outcome says. It is also what its Cause is, except for
// [endpoint.ErrRolledBack], which says what the provider did and nothing of how
// the rollout ended: [Cause] has it.
type Error struct {
	Endpoint string
	Strategy string // empty if it is not known
	Outcome  Outcome
	// Step is where the forward part ended; empty if that is not known any more.
	Step string
	// Cause is why.
	Cause error
	// Residue is what remains to be done, and Next says how.
	Residue []Remainder
	Next    string
}

func (e *Error) Error() string {
	if e.Outcome == OutcomeRefused && e.Cause != nil {
		return e.Cause.Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s: %s", e.Strategy, e.Endpoint, e.Outcome)
	if e.Cause != nil {
		b.WriteString(": ")
		if e.Step != "" {
			b.WriteString(e.Step + ": ")
		}
		b.WriteString(e.Cause.Error())
	}
	for i, r := range e.Residue {
		b.WriteString([]string{"; remaining: ", "; "}[min(i, 1)] + r.String())
	}
	if e.Next != "" {
		b.WriteString("; next: " + e.Next)
	}
	return b.String()
}

// Unwrap returns the error of the outcome, and the cause.
func (e *Error) Unwrap() []error {
	var is []error
	switch e.Outcome {
	case OutcomeRolledBack:
		is = append(is, ErrRolledBack)
	case OutcomeSuperseded:
		is = append(is, ErrSuperseded)
	case OutcomeDetached:
		is = append(is, ErrDetached)
	case OutcomeIncomplete:
		is = append(is, ErrIncomplete)
	case OutcomeRefused:
		is = append(is, ErrRefused)
	case OutcomeGone:
		is = append(is, ErrGone)
	case OutcomeNothing, OutcomeNoOp, OutcomeSucceeded, OutcomeAbandoned:
	}
	if e.Cause != nil {
		is = append(is, cause{e.Cause})
	}
	return is
}

// cause is the cause of an [Error] without what could be taken for its outcome.
type cause struct{ err error }

func (c cause) Error() string { return c.err.Error() }

func (c cause) Is(target error) bool {
	return target != endpoint.ErrRolledBack && errors.Is(c.err, target)
}

func (c cause) As(target any) bool { return errors.As(c.err, target) }

// Cause returns why a rollout ended as err says: the Cause of the [*Error] in
// err, in which [errors.Is] also finds [endpoint.ErrRolledBack] if the provider
// rolled back by itself. It returns err if there is none.
func Cause(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Cause != nil {
		return e.Cause
	}
	return err
}

// refused is the report and the error of a call that began nothing.
func refused(name string, err error) (*Report, error) {
	return &Report{Outcome: OutcomeRefused, Finished: time.Now()}, refusal(name, err)
}

// refusal is the error of a call that began nothing.
func refusal(name string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return &Error{Endpoint: name, Outcome: OutcomeRefused, Cause: err}
}
