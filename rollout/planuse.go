package rollout

import (
	"slices"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/strategy"
)

// writes reports whether s may change something.
func writes(s strategy.Step) bool {
	switch s.Do {
	case strategy.ActionStage, strategy.ActionSuspendAutoscaling, strategy.ActionRestoreAutoscaling, strategy.ActionSet, strategy.ActionRaise, strategy.ActionRestoreSetting, strategy.ActionUpdate:
		return true
	case strategy.ActionDrain, strategy.ActionAwait, strategy.ActionProbe, strategy.ActionBake, strategy.ActionCommit, strategy.ActionVerify:
	}
	return false
}

// restores reports whether s restores the value that the endpoint had before.
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

// needs refuses a plan whose steps the endpoint has not the abilities for.
func needs(p *strategy.Plan, u endpoint.Updater) error {
	for _, s := range slices.Concat(p.Forward, p.Rollback) {
		var err error
		switch s.Do {
		case strategy.ActionStage:
			_, err = endpoint.Need[endpoint.Stager](u)
		case strategy.ActionSuspendAutoscaling, strategy.ActionRestoreAutoscaling:
			_, err = endpoint.Need[endpoint.AutoscalingSuspender](u)
		case strategy.ActionSet, strategy.ActionRaise, strategy.ActionRestoreSetting:
			_, err = endpoint.Need[endpoint.Scaler](u)
		case strategy.ActionDrain:
			_, err = endpoint.Need[endpoint.Drainer](u)
		case strategy.ActionProbe:
			_, err = endpoint.Need[endpoint.WorkerInspector](u)
		case strategy.ActionUpdate, strategy.ActionAwait, strategy.ActionBake, strategy.ActionCommit, strategy.ActionVerify:
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// change is what the endpoint is asked for on the way forward or back.
func changeTo(p *strategy.Plan, back bool) endpoint.Change {
	if back {
		return endpoint.Change{To: p.Source, Options: p.Options, Rollback: true}
	}
	return endpoint.Change{To: p.Target, Options: p.Options, Draft: p.Draft, AutoscalingSuspended: p.Autoscaling != nil}
}

// highest are the settings that the rollout sets on its way, each with the
// highest value, so that the provider can be asked whether it would refuse one.
func highest(p *strategy.Plan) endpoint.Settings {
	h := endpoint.Settings{}
	for _, s := range slices.Concat(p.Forward, p.Rollback) {
		if s.Do == strategy.ActionSet || s.Do == strategy.ActionRaise {
			h[s.Key] = max(h[s.Key], s.Value)
		}
	}
	return h
}
