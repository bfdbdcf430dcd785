package core

import (
	"fmt"
	"slices"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/strategy"
)

// writes reports whether s may change something.
func writes(s strategy.Step) bool {
	switch s.Do {
	case strategy.ActionStage, strategy.ActionSuspendAutoscaling, strategy.ActionRestoreAutoscaling, strategy.ActionSet, strategy.ActionRaise, strategy.ActionRestoreSetting, strategy.ActionUpdate,
		strategy.ActionStageCanary, strategy.ActionUpdateCanary, strategy.ActionShift, strategy.ActionUnstage:
		return true
	case strategy.ActionDrain, strategy.ActionAwait, strategy.ActionProbe, strategy.ActionBake, strategy.ActionHold, strategy.ActionCommit, strategy.ActionVerify:
	}
	return false
}

// restoresValue reports whether s restores the value that the endpoint had before.
func restoresValue(p *strategy.Plan, s strategy.Step) bool {
	v, ok := p.Settings[s.Key]
	return s.Do == strategy.ActionRestoreSetting || s.Do == strategy.ActionRestoreAutoscaling || s.Do == strategy.ActionSet && ok && v == s.Value
}

// mayIdle reports whether nothing has to run on an endpoint that is configured
// for the wanted revision, and nothing else does.
func mayIdle(p *strategy.Plan, s endpoint.Status) bool {
	stale := 0
	for _, pool := range s.Pools {
		stale += pool.Stale
	}
	if !s.Serving.IsZero() || s.Mixed || stale > 0 || s.Unhealthy() > 0 {
		return false
	}
	least, bounded := p.Settings[endpoint.WorkersMin]
	switch s.Phase {
	case endpoint.PhaseReady, endpoint.PhasePaused:
		return s.Unproven()
	case endpoint.PhaseScaling:
		return bounded && least == 0 // a job has woken it
	case endpoint.PhaseUnknown, endpoint.PhaseUpdating, endpoint.PhaseDegraded, endpoint.PhaseFailed:
	}
	return false
}

// Change is what the endpoint is asked for, forward or in a rollback.
func Change(p *strategy.Plan, rollback bool) endpoint.Change {
	if rollback {
		return endpoint.Change{To: p.Source, Options: p.Options, Rollback: true}
	}
	return endpoint.Change{To: p.Target, Options: p.Options, Draft: p.Draft, AutoscalingSuspended: p.Autoscaling != nil}
}

// Highest are the settings that the rollout sets, each with its highest value,
// so that the provider can be asked whether it would refuse one.
func Highest(p *strategy.Plan) endpoint.Settings {
	h := endpoint.Settings{}
	for _, s := range slices.Concat(p.Forward, p.Rollback) {
		if s.Do == strategy.ActionSet || s.Do == strategy.ActionRaise {
			h[s.Key] = max(h[s.Key], s.Value)
		}
	}
	return h
}

// waitsForCapacity reports whether a step is one that new capacity ends.
func waitsForCapacity(s strategy.Step) bool {
	return s.Do == strategy.ActionAwait && (s.Until == strategy.UntilServing || s.Until == strategy.UntilConfigured) || s.Do == strategy.ActionProbe
}

// describe says what a step brings about, for a person who has to do it by hand.
func describe(j *Ledger, s strategy.Step) string {
	switch s.Do {
	case strategy.ActionSet, strategy.ActionRaise:
		return fmt.Sprintf("set %s to %d", s.Key, s.Value)
	case strategy.ActionRestoreSetting:
		if v, ok := j.before(s.Key); ok {
			return fmt.Sprintf("set %s to %d", s.Key, v)
		}
	case strategy.ActionUpdate:
		return fmt.Sprintf("update to %s", Change(j.Plan, j.RollingBack).To)
	case strategy.ActionAwait:
		return fmt.Sprintf("see %s %s", Change(j.Plan, j.RollingBack).To, s.Until)
	case strategy.ActionUnstage:
		return fmt.Sprintf("delete %s", j.Plan.Draft.Revision)
	case strategy.ActionShift:
		return fmt.Sprintf("give the target %d%% of the traffic", s.Value)
	case strategy.ActionStage, strategy.ActionStageCanary, strategy.ActionUpdateCanary, strategy.ActionHold, strategy.ActionSuspendAutoscaling, strategy.ActionRestoreAutoscaling, strategy.ActionDrain,
		strategy.ActionProbe, strategy.ActionBake, strategy.ActionCommit, strategy.ActionVerify:
	}
	return s.Name
}
