package strategy

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// Facts is what was read of an endpoint, and what the caller asked for. Its
// methods build the steps of a plan with the time limits that belong to them; a
// strategy of one's own is made of them.
type Facts struct {
	Status endpoint.Status
	Target endpoint.Revision
	// Draft is set if Target has to be made first.
	Draft *endpoint.Draft
	// Canary is set if the strategy asked for a revision that serves both.
	Canary *endpoint.Canary
	// Unstages is true if the provider can take back what Stage has made
	// ([endpoint.Unstager]).
	Unstages bool
	// Autoscaling is set if the strategy suspends the provider's autoscaling and
	// there is any.
	Autoscaling *endpoint.AutoscalingSnapshot
	// Prove says what an endpoint without a live worker has to show.
	Prove Proof
	// Bake is how long the new revision is watched before the commit point.
	Bake time.Duration
	// Checks judge the new revision while it has traffic.
	Checks []Check
	// Approvals are waited for before the commit point, in order.
	Approvals []Approval
	// Settle is how long a read may lag behind a write.
	Settle time.Duration
	// StepTimeout is the longest that one wait for the provider may take.
	StepTimeout time.Duration
}

// writeTimeout bounds a step that writes: the call, its retries, and reading
// it back.
func (f Facts) writeTimeout() time.Duration { return time.Minute + 4*f.Settle }

// Stage makes the drafted revision. It has the time of a wait too, as the provider
// may take a while to make it.
func (f Facts) Stage() Step { return f.staging(ActionStage) }

// StageCanary makes the revision that serves source and target side by side.
func (f Facts) StageCanary() Step { return f.staging(ActionStageCanary) }

func (f Facts) staging(do Action) Step {
	return Step{Name: string(do), Do: do, Timeout: f.writeTimeout() + f.StepTimeout}
}

// Unstage are the steps of a rollback that take back what Stage has made: none if
// there is no draft, or the provider leaves nothing that costs anything.
func (f Facts) Unstage() []Step {
	if f.Draft == nil || !f.Unstages {
		return nil
	}
	return []Step{f.staging(ActionUnstage)}
}

// Set sets a setting to a value. The step is named after both.
func (f Facts) Set(key string, value int) Step {
	return Step{Name: fmt.Sprintf("set %s=%d", key, value), Do: ActionSet, Key: key, Value: value, Timeout: f.writeTimeout()}
}

// Suspend suspends the provider's autoscaling, if there is any. It is a step of
// many writes in one: autoscaling has several values for each target.
func (f Facts) Suspend() []Step {
	if f.Autoscaling == nil {
		return nil
	}
	return []Step{f.scaling(ActionSuspendAutoscaling)}
}

// Restore puts the provider's autoscaling back as it was, if there is any.
func (f Facts) Restore() []Step {
	if f.Autoscaling == nil {
		return nil
	}
	return []Step{f.scaling(ActionRestoreAutoscaling)}
}

func (f Facts) scaling(do Action) Step {
	return Step{Name: string(do), Do: do, Timeout: f.writeTimeout() + 10*time.Minute}
}

// Update asks the provider for the target, or in a rollback for the source. It
// may have to wait for a change in progress, so it has the time of a wait too.
func (f Facts) Update() Step {
	return Step{Name: string(ActionUpdate), Do: ActionUpdate, Timeout: f.writeTimeout() + f.StepTimeout}
}

// Await waits for a condition.
func (f Facts) Await(until Condition) Step {
	return Step{Name: "await " + string(until), Do: ActionAwait, Until: until, Timeout: f.StepTimeout}
}

// Verify reads everything back, and puts back what the update has reset: there is
// time for one such write that is not answered. Both lists of a plan end with it.
func (f Facts) Verify() Step {
	return Step{Name: string(ActionVerify), Do: ActionVerify, Timeout: f.writeTimeout() + 2*time.Minute}
}

// Raise sets a setting to at least a value, for a while: [Facts.RestoreSetting]
// takes it back.
func (f Facts) Raise(key string, least int) Step {
	return Step{Name: fmt.Sprintf("raise %s to %d", key, least), Do: ActionRaise, Key: key, Value: least, Timeout: f.writeTimeout() + f.StepTimeout}
}

// RestoreSetting sets a setting to what it was before the rollout first wrote it.
func (f Facts) RestoreSetting(key string) Step {
	return Step{Name: "return " + key, Do: ActionRestoreSetting, Key: key, Timeout: f.writeTimeout() + f.StepTimeout}
}

// Named returns the step under another name. Names are unique in their list.
func (s Step) Named(name string) Step {
	s.Name = name
	return s
}

// idles reports whether the endpoint may well have no worker, now or later,
// and nothing be wrong with that.
func (f Facts) idles() bool {
	least, bounded := f.Status.Settings[endpoint.WorkersMin]
	return bounded && least == 0
}

// empties reports whether part of an endpoint without worker bounds has no
// capacity by its settings, so that nothing there can prove a revision.
func (f Facts) empties() bool {
	_, bounded := f.Status.Settings[endpoint.WorkersMin]
	return !bounded && slices.Contains(slices.Collect(maps.Values(f.Status.Settings)), 0)
}

// AwaitTarget waits until the target is proven to serve, or, where the
// endpoint may have no worker, until it is configured.
func (f Facts) AwaitTarget() Step {
	if f.idles() || f.empties() {
		return f.Await(UntilConfigured)
	}
	return f.Await(UntilServing)
}

// AwaitSource waits for the source in a rollback. It asks for no more than the
// source gave before: a revision that was broken must not make the rollback of
// its own replacement fail.
func (f Facts) AwaitSource() Step {
	switch {
	case f.Status.Phase == endpoint.PhaseScaling && f.Status.Serving.Same(f.Status.Desired):
		return f.Await(UntilRunning)
	case f.Status.Phase != endpoint.PhaseReady && f.Status.Phase != endpoint.PhasePaused:
		return f.Await(UntilAccepted)
	case f.idles(), f.empties():
		return f.Await(UntilConfigured)
	}
	return f.Await(UntilServing)
}

// boots reports whether a worker has to be booted to prove the target.
func (f Facts) boots() bool { return f.Prove == ProofWorkers && f.idles() }

// probes reports whether a job has to be done to prove the target.
func (f Facts) probes() bool { return f.Prove == ProofProbe && f.idles() }

// Lends reports whether proving the target takes other worker bounds for a
// while, so that a rollback has to restore them ([Facts.RestoreBounds]).
func (f Facts) Lends() bool {
	return f.boots() || f.probes() && f.Status.Settings[endpoint.WorkersMax] == 0
}

// ProveTarget are the steps between the update and the bake: wait for the
// target, on a worker that is booted for it, or by a job, if that was asked for.
func (f Facts) ProveTarget() []Step {
	least, most := f.Status.Settings[endpoint.WorkersMin], f.Status.Settings[endpoint.WorkersMax]
	steps := []Step{f.AwaitTarget()}
	switch {
	case f.boots():
		steps = []Step{f.Set(endpoint.WorkersMin, 1), f.Await(UntilServing), f.Set(endpoint.WorkersMin, least).Named("give back the worker")}
	case f.probes():
		steps = append(steps, Step{Name: string(ActionProbe), Do: ActionProbe, Timeout: f.StepTimeout})
	}
	if f.Lends() && most == 0 {
		steps = slices.Concat([]Step{f.Set(endpoint.WorkersMax, 1).Named("allow one worker")}, steps,
			[]Step{f.Set(endpoint.WorkersMax, most).Named("pause again")})
	}
	return steps
}

// Watch watches the target for a while: it has to stay healthy, and the checks
// have to pass. Set [Step.Until] where it has to be proven all the while, or may be
// less than healthy.
func (f Facts) Watch(name string, d time.Duration) Step {
	return Step{Name: name, Do: ActionBake, For: d, Timeout: addTime(d, f.StepTimeout, f.unknownTime())}
}

// Hold waits until a person approves.
func (f Facts) Hold(a Approval) Step {
	return Step{Name: "approval " + a.Name, Do: ActionHold, Key: a.Name, For: a.Expires, Then: a.Then, Timeout: addTime(a.Expires, f.StepTimeout)}
}

// unknownTime is how long checks that cannot tell may hold a rollout.
func (f Facts) unknownTime() time.Duration {
	var most time.Duration
	for _, c := range f.Checks {
		if c.Unknown == UnknownHold {
			most = max(most, c.UnknownLimit)
		}
	}
	return most
}

// Commit are the steps from a proven target to the commit point: the bake with
// its checks, the approvals, and the commit point itself.
func (f Facts) Commit() []Step {
	var steps []Step
	if f.Bake > 0 || len(f.Checks) > 0 {
		steps = append(steps, f.Watch(string(ActionBake), f.Bake))
	}
	for _, a := range f.Approvals {
		steps = append(steps, f.Hold(a))
	}
	return append(steps, Step{Name: string(ActionCommit), Do: ActionCommit})
}

// RestoreBounds puts the worker bounds back in the order that keeps the minimum
// at or below the maximum, whatever they are now.
func (f Facts) RestoreBounds() []Step {
	least := f.Set(endpoint.WorkersMin, f.Status.Settings[endpoint.WorkersMin]).Named("restore " + endpoint.WorkersMin)
	most := f.Set(endpoint.WorkersMax, f.Status.Settings[endpoint.WorkersMax]).Named("restore " + endpoint.WorkersMax)
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

// ProofNotes say what proving the target costs, for the plan.
func (f Facts) ProofNotes() []string {
	switch {
	case f.boots():
		return []string{"extra capacity: one worker is booted on the new revision to prove it, and given back"}
	case f.probes():
		return []string{"extra capacity: a job is sent to prove the new revision, and wakes a worker for it"}
	case f.idles():
		return []string{"with " + endpoint.WorkersMin + "=0 there may be no worker to prove the new revision: its configuration counts as proof then"}
	}
	return nil
}

// addTime adds times of which a caller may have meant one to be endless.
func addTime(ds ...time.Duration) time.Duration {
	var sum time.Duration
	for _, d := range ds {
		sum = min(sum+min(max(0, d), longestBake), 10*longestBake)
	}
	return sum
}
