package strategy

// Strategy turns what was read of an endpoint into a plan. It is a pure
// function: it reads nothing and changes nothing itself. A strategy with a method
// Check() error is asked before anything is read whether its own values make sense.
type Strategy interface {
	// String names the strategy in plans, events and errors.
	String() string
	// Plan fills in Forward, Rollback, Downtime and Notes, and ResetTo where it
	// knows more of the update than the provider says. The rest of the plan is
	// made by package rollout, which refuses one that [Plan.Check] or [Plan.Fits]
	// refuses. An error refuses the rollout before anything is changed.
	Plan(f Facts) (Plan, error)
}

// Proof is what shows that a revision works, and what has to be shown of an
// endpoint on which no worker is alive because it is paused or scales to zero.
type Proof string

const (
	// ProofConfiguration takes the configuration for it: nothing ran.
	ProofConfiguration Proof = "configuration"
	// ProofWorkers needs live workers. Where none is alive one is booted on the
	// new revision, and the bounds are put back. It costs that worker's time.
	ProofWorkers Proof = "workers"
	// ProofProbe has a worker of the new revision do a job of the caller's.
	ProofProbe Proof = "probe"
)
