package core

import (
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// Kind says what an operation is.
type Kind uint8

// The kinds of operations.
const (
	OpEnd         Kind = iota // the rollout is over, see [Machine.End]
	OpSleep                   // nothing to do until Until
	OpAppend                  // add Record to the journal
	OpLoad                    // read the journal
	OpHeartbeat               // read the last heartbeat of the journal's owner
	OpNews                    // read the records after After
	OpPrepare                 // read what a plan needs, and make the plan
	OpStatus                  // read the endpoint's status
	OpJobs                    // count its jobs
	OpStaged                  // read whether Draft exists
	OpSnapshot                // take a snapshot of autoscaling for Change
	OpAutoscaling             // compare autoscaling with Snapshot
	OpWorker                  // read whether Worker runs Change.To
	OpRefreshed               // read whether all capacity of Draft was started after Since
	OpWrite                   // make Write
	OpCheck                   // ask the check of that Name about Sample
	OpJob                     // start the caller's job, or ask whether it is done
)

// Op is one operation.
type Op struct {
	Kind Kind
	// Until is when a sleep ends. An event may end it before if Wakeable is true.
	Until    time.Time
	Wakeable bool
	// Within is how long the call may take to be answered, and By when it is
	// called off in any case; a zero By sets no such limit.
	Within time.Duration
	By     time.Time
	// Shared allows a status that a poller for many endpoints read.
	Shared bool

	Record   *journal.Record
	Write    *journal.Write
	Change   endpoint.Change
	Draft    *endpoint.Draft
	Since    time.Time // OpRefreshed: of the rollout's first write
	Snapshot *endpoint.AutoscalingSnapshot
	Status   endpoint.Status // OpPrepare: as read
	Worker   string
	Name     string // of a check
	Sample   Sample
	Percent  int
	Canary   *endpoint.Canary
	After    int // OpNews: the last record that is known
}

// Provider reports whether the operation is a call of the provider, or of the
// caller's own code.
func (o Op) Provider() bool { return o.Kind >= OpPrepare }

// Result is what came of an operation.
type Result struct {
	Err         error
	Status      endpoint.Status
	Vouched     bool // a poller for many endpoints tells of changes
	Jobs        endpoint.Jobs
	Snapshot    endpoint.AutoscalingSnapshot
	Autoscaling endpoint.AutoscalingState
	Records     []journal.Record
	Heartbeat   journal.Heartbeat
	Plan        *strategy.Plan
	Verdict     journal.Verdict
	// Done is true if the caller's job is over: Worker did it, or it failed with JobErr.
	Done   bool
	Worker string
	JobErr error
}
