package strategy

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// Strategy turns what was read of an endpoint into a plan. It is a pure
// function: it reads nothing and changes nothing itself. A strategy with a method
// Check() error is asked before anything is read whether its own values make sense.
type Strategy interface {
	// String names the strategy in plans, events and errors.
	String() string
	// Plan fills in Forward, Back, Downtime and Notes. The rest of the plan is
	// the engine's. An error refuses the rollout before anything is changed.
	Plan(f Facts) (Plan, error)
}

// Facts is what was read of an endpoint, and what the caller asked for.
type Facts struct {
	Status endpoint.Status
	Target endpoint.Revision
	// Draft is set if Target has to be made first.
	Draft *endpoint.Draft
	// Protection is set if the provider has autoscaling that can be protected.
	Autoscaling *endpoint.AutoscalingSnapshot
	// Prove says what an endpoint without a live worker has to show.
	Prove Proof
	// ActionBake is how long the new revision is watched before the commit point.
	Bake time.Duration
	// Gated is true if gates have to pass while baking, however short it is.
	Gated bool
	// Settle is how long a read may lag behind a write.
	Settle time.Duration
	// Patience is the longest that one wait for the provider may take.
	StepTimeout time.Duration
}

// Proof is what has to be shown of an endpoint on which no worker is alive,
// because it is paused or scales to zero.
type Proof string

const (
	// ProofConfiguration believes the configuration: the report says that nothing ran.
	ProofConfiguration Proof = "configuration"
	// ProofWorkers boots one worker on the new revision, and then puts the bounds
	// back. It costs that worker's time.
	ProofWorkers Proof = "workers"
	// ProofProbe has a worker of the new revision do a job. See [WithProbe].
	ProofProbe Proof = "probe"
)

// writeTimeout bounds a step that writes: the call, its retries, and reading
// it back.
func (f Facts) writeTimeout() time.Duration { return time.Minute + 4*f.Settle }

func (f Facts) set(key string, value int) Step {
	return Step{Name: fmt.Sprintf("set %s=%d", key, value), Do: ActionSet, Key: key, Value: value, Timeout: f.writeTimeout()}
}

func (f Facts) write(do Action) Step {
	return Step{Name: string(do), Do: do, Timeout: f.writeTimeout()}
}

// scaling is a step of many writes in one: the provider's autoscaling has
// several values for each target, each with delays of its own.
func (f Facts) scaling(do Action) Step {
	return Step{Name: string(do), Do: do, Timeout: f.writeTimeout() + 10*time.Minute}
}

// update may have to wait for a change in progress that the provider does not
// let go of, so it has the patience of a wait.
func (f Facts) update() Step {
	return Step{Name: string(ActionUpdate), Do: ActionUpdate, Timeout: f.writeTimeout() + f.StepTimeout}
}

func (f Facts) await(until Condition) Step {
	return Step{Name: "await " + string(until), Do: ActionAwait, Until: until, Timeout: f.StepTimeout}
}

func (f Facts) verify() Step {
	return Step{Name: string(ActionVerify), Do: ActionVerify, Timeout: f.writeTimeout() + time.Minute}
}

// idles reports whether the endpoint may well have no worker, now or later,
// and nothing be wrong with that.
func (f Facts) idles() bool {
	least, bounded := f.Status.Settings[endpoint.WorkersMin]
	return bounded && least == 0
}

// ready is how the way forward waits for the target.
func (f Facts) ready() Step {
	if f.idles() || f.empties() {
		return f.await(UntilConfigured)
	}
	return f.await(UntilServing)
}

// empties reports whether part of an endpoint without worker bounds has no
// capacity by its settings, so that nothing there can prove a revision.
func (f Facts) empties() bool {
	_, bounded := f.Status.Settings[endpoint.WorkersMin]
	return !bounded && slices.Contains(slices.Collect(maps.Values(f.Status.Settings)), 0)
}

// readyAgain is how the way back waits for the source. It asks for no more
// than the source gave before: a revision that was broken must not make its
// own replacement's rollback fail.
func (f Facts) readyAgain() Step {
	switch {
	case f.Status.Phase == endpoint.PhaseScaling && f.Status.Serving.Same(f.Status.Desired):
		return f.await(UntilRunning)
	case f.Status.Phase != endpoint.PhaseReady && f.Status.Phase != endpoint.PhasePaused:
		return f.await(UntilAccepted)
	case f.idles(), f.empties():
		return f.await(UntilConfigured)
	}
	return f.await(UntilServing)
}

// boots reports whether a worker has to be booted to prove the target.
func (f Facts) boots() bool { return f.Prove == ProofWorkers && f.idles() }

// probes reports whether a job has to be done to prove the target.
func (f Facts) probes() bool { return f.Prove == ProofProbe && f.idles() }

// lends reports whether proving the target takes other bounds for a while.
func (f Facts) lends() bool {
	return f.boots() || f.probes() && f.Status.Settings[endpoint.WorkersMax] == 0
}

// prove are the steps between the update and the bake: wait for the target,
// on a worker that is booted for it, or by a job, if that was asked for.
func (f Facts) prove() []Step {
	least, most := f.Status.Settings[endpoint.WorkersMin], f.Status.Settings[endpoint.WorkersMax]
	steps := []Step{f.ready()}
	switch {
	case f.boots():
		steps = []Step{f.set(endpoint.WorkersMin, 1), f.await(UntilServing), named("give back the worker", f.set(endpoint.WorkersMin, least))}
	case f.probes():
		steps = append(steps, Step{Name: string(ActionProbe), Do: ActionProbe, Timeout: f.StepTimeout})
	}
	if f.lends() && most == 0 {
		steps = slices.Concat([]Step{named("allow one worker", f.set(endpoint.WorkersMax, 1))}, steps,
			[]Step{named("pause again", f.set(endpoint.WorkersMax, most))})
	}
	return steps
}

func named(name string, s Step) Step {
	s.Name = name
	return s
}

// commit are the steps from a proven target to the commit point.
func (f Facts) commit() []Step {
	if f.Bake <= 0 && !f.Gated {
		return []Step{{Name: string(ActionCommit), Do: ActionCommit}}
	}
	return []Step{
		{Name: string(ActionBake), Do: ActionBake, For: f.Bake, Timeout: f.Bake + f.StepTimeout},
		{Name: string(ActionCommit), Do: ActionCommit},
	}
}

// bounds puts the worker bounds back in the order that keeps min at or below
// max whatever they are now.
func (f Facts) bounds() []Step {
	least := named("restore "+endpoint.WorkersMin, f.set(endpoint.WorkersMin, f.Status.Settings[endpoint.WorkersMin]))
	most := named("restore "+endpoint.WorkersMax, f.set(endpoint.WorkersMax, f.Status.Settings[endpoint.WorkersMax]))
	if most.Value == 0 {
		return []Step{least, most}
	}
	return []Step{most, least}
}

// bounded refuses an endpoint without worker bounds.
func (f Facts) bounded() error {
	for _, k := range []string{endpoint.WorkersMin, endpoint.WorkersMax} {
		if _, ok := f.Status.Settings[k]; !ok {
			return fmt.Errorf("the endpoint has no setting %s: %w", k, endpoint.ErrInvalid)
		}
	}
	return nil
}

// proofNote says what the proof costs.
func (f Facts) proofNote() []string {
	switch {
	case f.boots():
		return []string{"extra capacity: one worker is booted on the new revision to prove it, and given back"}
	case f.probes():
		return []string{"extra capacity: a job is sent to prove the new revision, and wakes a worker for it"}
	case f.idles():
		return []string{"with " + endpoint.WorkersMin + "=0 there may be no worker to prove the new revision: the configuration is believed then"}
	}
	return nil
}
