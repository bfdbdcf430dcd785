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

// The outcomes. Only the first three come with a nil error.
const (
	OutcomeNothing    Outcome = "nothing"     // there was nothing to resume
	OutcomeNoOp       Outcome = "no-op"       // the endpoint served the target already; nothing was sent
	OutcomeSucceeded  Outcome = "succeeded"   // serves the target, everything protective as before; see Report.Drift
	OutcomeRolledBack Outcome = "rolled back" // serves the source, everything protective as before
	OutcomeSuperseded Outcome = "superseded"  // serves a third party's revision; everything of ours is undone
	OutcomeDetached   Outcome = "detached"    // left to run, as was asked for; can be resumed
	// OutcomeGone: the endpoint was deleted, or another one has its name. The rollout
	// can be resumed if it comes back, and be closed by [Abandon].
	OutcomeGone Outcome = "gone"
	// OutcomeAbandoned: a person gave the rollout up ([Abandon]); Report.Residue remains.
	OutcomeAbandoned  Outcome = "abandoned"
	OutcomeIncomplete Outcome = "incomplete" // Report.Residue remains to be done; can be resumed
)

// Errors of rollouts, beside those of package endpoint.
var (
	// ErrIncomplete: something remains to be done. See [Error].
	ErrIncomplete = errors.New("incomplete")
	// ErrDetached: the rollout was left to run.
	ErrDetached = errors.New("detached")
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
	// ErrTimeout: the time of the forward part was over.
	ErrTimeout = core.ErrTimeout
	// ErrPanic: code that the rollout was given panicked, such as the endpoint, the
	// store, a gate or an observer. The step that it belongs to has failed; the
	// stack is in the error's text.
	ErrPanic = core.ErrPanic
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
	// Leftovers are things the rollout made and did not remove. They do no harm.
	Leftovers []string `json:"leftovers,omitempty"`
	// Residue is what remains to be done, one line each.
	Residue []string `json:"residue,omitempty"`
	// Status is the endpoint as last seen.
	Status   endpoint.Status `json:"status,omitzero"`
	Began    time.Time       `json:"began,omitzero"`
	Finished time.Time       `json:"finished,omitzero"`
}

// Error says how a rollout that began did not succeed, and why. It is
// [endpoint.ErrRolledBack], [endpoint.ErrDrift] (superseded), [ErrDetached] or
// [ErrIncomplete], and also whatever its Cause is.
type Error struct {
	Endpoint string
	Strategy string
	Outcome  Outcome
	// Step is where the way forward ended; empty if that is not known any more.
	Step string
	// Cause is why.
	Cause error
	// Residue is what remains to be done, and Next says how.
	Residue []string
	Next    string
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s: %s", e.Strategy, e.Endpoint, e.Outcome)
	if e.Cause != nil {
		b.WriteString(": ")
		if e.Step != "" {
			b.WriteString(e.Step + ": ")
		}
		b.WriteString(e.Cause.Error())
	}
	if len(e.Residue) > 0 {
		b.WriteString("; remaining: " + strings.Join(e.Residue, "; "))
	}
	if e.Next != "" {
		b.WriteString("; next: " + e.Next)
	}
	return b.String()
}

// Unwrap returns what the outcome is by [errors.Is], and the cause.
func (e *Error) Unwrap() []error {
	var is []error
	switch e.Outcome {
	case OutcomeRolledBack:
		is = append(is, endpoint.ErrRolledBack)
	case OutcomeSuperseded:
		is = append(is, endpoint.ErrDrift)
	case OutcomeDetached:
		is = append(is, ErrDetached)
	case OutcomeIncomplete:
		is = append(is, ErrIncomplete)
	case OutcomeGone:
		is = append(is, ErrGone)
	case OutcomeNothing, OutcomeNoOp, OutcomeSucceeded, OutcomeAbandoned:
	}
	if e.Cause != nil {
		is = append(is, e.Cause)
	}
	return is
}
