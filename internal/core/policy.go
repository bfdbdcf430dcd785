package core

import (
	"errors"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// Policy is what the caller chose for one call. It does not change.
type Policy struct {
	Owner string
	// Exclusive is true if the store proved that no other runner is alive.
	Exclusive bool
	// Resume takes over the unfinished rollout; otherwise one is planned.
	Resume bool
	// PlanOnly ends once there is a plan: nothing is begun.
	PlanOnly bool
	// Continue goes on without a claim if the journal names this owner.
	Continue bool
	Forward  bool // a resume goes on forward before the commit point
	Detach   bool // a cancelled rollout is left as it is

	Settle          time.Duration
	StartTimeout    time.Duration
	CapacityTimeout time.Duration
	Timeout         time.Duration // of the forward part; 0 is none
	Schedule        waiter.Schedule
	ErrorInterval   time.Duration
	History         *waiter.History
	Shared          bool

	Checks map[string]bool // those that were given
	Job    string          // the name of the job that was given; "" for none
}

// The limits of single calls.
const (
	statusTime   = time.Minute      // a read that is never answered costs no more
	inspectTime  = 2 * time.Minute  // a read of autoscaling is many calls in one
	writeTime    = time.Minute      // a write
	suspendTime  = 5 * time.Minute  // a write of autoscaling is many calls in one
	longestCall  = suspendTime      // no call takes longer
	storeTime    = 2 * time.Minute  // a call of the store
	storeOutage  = 10 * time.Minute // how long a store that has to be written may be away
	prepareTime  = 5 * time.Minute  // planning is many reads in one
	workerPolls  = time.Second      // a worker that did a job is up for some seconds only
	NoLimit      = 1000 * time.Hour // longer than any step: only its time-out ends its retries
	maxRefusals  = 5                // of a write or read that is refused as such, where it must not be left undone
	maxErrorWait = 30 * time.Second // the longest back-off after errors
)

// LeaseTimeout is how long a runner has to be silent until it counts as dead,
// beside the settle time by which clocks may differ.
const LeaseTimeout = 45 * time.Second

// Errors that end a step or a rollout. Package rollout exports those that
// callers branch on.
var (
	ErrUnfinished   = errors.New("an unfinished rollout is in the journal")
	ErrNotReady     = errors.New("endpoint is not ready to be changed")
	ErrNotConverged = errors.New("rolling release did not converge")
	ErrNotStarted   = errors.New("no worker of the new revision started")
	ErrTimeout      = errors.New("rollout timed out")
	ErrStepTimeout  = errors.New("step timed out")
	ErrHardStop     = errors.New("stopped at once")
	ErrPanic        = errors.New("panicked")

	// ErrHeld: another runner that is alive holds the endpoint.
	ErrHeld = fmt.Errorf("held by another runner: %w", endpoint.ErrBusy)

	// errNotApplied: a write was accepted, or may have been, and is not there.
	errNotApplied = errors.New("the write is not in force")
	// errOverridden: the provider took capacity away by itself.
	errOverridden = errors.New("the provider took capacity away by itself")
	// errResumed: the reason of the rollback is known from the journal only.
	errResumed = errors.New("resumed")
)

// Outcome is how a rollout ended, or stands.
type Outcome string

// The outcomes.
const (
	Nothing    Outcome = "nothing"
	NoOp       Outcome = "no-op"
	Refused    Outcome = "refused"
	Succeeded  Outcome = "succeeded"
	RolledBack Outcome = "rolled back"
	Superseded Outcome = "superseded"
	Detached   Outcome = "detached"
	Incomplete Outcome = "incomplete"
)

// provenBy begins the note of a step that waited for a revision.
const provenBy = "proven by "

func proven(p strategy.Proof) string { return provenBy + string(p) }
