package sagemakertest

import (
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

// job is what is in progress with an endpoint, one stage after the other.
type job struct {
	kind     jobKind
	stages   []stage // the first one is in progress
	since    time.Time
	until    time.Time // zero: it does not end by itself
	started  time.Time
	deadline time.Time // zero: there is none
	fate     fate
	back     bool // it is being rolled back
	why      string

	// Of a deployment:
	config         *config
	fresh, shadows []*variant
	rolling        bool
	batch, backOff float64 // shares of the fleet that a rolling deployment moves at a time, there and back
	alarms         []string
	at             levels

	was []*variant // of a change of capacity: what to go back to
}

type jobKind int

const (
	creation jobKind = iota
	deployment
	scaling
	patching
)

// levels say how much of each fleet is up, and where the traffic goes, as shares.
type levels struct{ fresh, old, traffic float64 }

func (j *job) clone() *job {
	c := *j
	c.fresh, c.shadows, c.was = cloneVariants(j.fresh), cloneVariants(j.shadows), cloneVariants(j.was)
	return &c
}

// all are the variants that a deployment makes.
func (j *job) all() []*variant { return slices.Concat(j.fresh, j.shadows) }

func (a *account) creation(c *config) *job {
	return &job{
		kind: creation, config: c, started: a.now, since: a.now, until: a.now.Add(a.behaviour.launch()), fate: a.fateOf(c),
		stages: []stage{{status: types.VariantStatusCreating, took: a.behaviour.launch()}},
	}
}

// due is when an endpoint has something to do by itself.
func (e *endpoint) due() []time.Time {
	j := e.job
	if j == nil {
		return nil
	}
	if j.canGoBack() {
		return []time.Time{j.until, j.deadline}
	}
	return []time.Time{j.until}
}

// canGoBack reports whether an alarm or the timeout would roll the job back.
func (j *job) canGoBack() bool { return j.kind == deployment && !j.back && !j.stages[0].final }

// step does what is due with an endpoint.
func (a *account) step(e *endpoint) {
	for {
		j := e.job
		if j == nil {
			if e.maintenance <= 0 || e.status != statusInService {
				return
			}
			e.begin(&job{kind: patching, stages: []stage{{status: types.VariantStatusUpdating, took: e.maintenance}}}, types.EndpointStatusSystemUpdating, a.now)
			e.maintenance = 0
			continue
		}
		if j.canGoBack() {
			if tripped := a.tripped(j.alarms); len(tripped) > 0 {
				a.rollBack(e, "The deployment was rolled back because of alarms in state ALARM: "+strings.Join(tripped, ", ")+".")
				continue
			}
			if !j.deadline.IsZero() && !a.now.Before(j.deadline) {
				a.rollBack(e, "The deployment did not complete within MaximumExecutionTimeoutInSeconds.")
				continue
			}
		}
		if j.until.IsZero() || a.now.Before(j.until) {
			return
		}
		a.turn(e)
	}
}

// begin starts a job.
func (e *endpoint) begin(j *job, status types.EndpointStatus, now time.Time) {
	j.started, j.since, j.until = now, now, now.Add(j.stages[0].took)
	e.job, e.status, e.modified = j, status, now
}

// turn ends the stage in progress.
func (a *account) turn(e *endpoint) {
	j := e.job
	if a.goesWrong(e) {
		return
	}
	j.at = j.stages[0].then
	j.stages = j.stages[1:]
	e.level()
	if len(j.stages) > 0 {
		j.since, j.until = a.now, a.now.Add(j.stages[0].took)
		return
	}
	if j.back {
		e.revert(a.now)
		return
	}
	e.complete(a.now)
}

// goesWrong lets the job's fate happen to it, if the stage in progress is the one
// in which it does.
func (a *account) goesWrong(e *endpoint) bool {
	j := e.job
	s := j.stages[0].status
	launching := s == types.VariantStatusCreating || j.kind == scaling
	switch outcome := j.fate.outcome; {
	case !launching || j.kind == patching || outcome == Succeeds:
		return false
	case j.back:
		if outcome != RollbackFails || j.kind != deployment {
			return false
		}
		e.mixed = j.config.name
		for _, v := range e.variants {
			v.images = slices.Concat(v.images, j.fresh[0].images)
		}
		e.end(types.EndpointStatusUpdateRollbackFailed, j.fate.reason, a.now)
	case outcome == Stalls:
		j.until = time.Time{}
	case outcome == RollbackFails && j.rolling:
		if j.at.fresh == 0 {
			return false // the first batch is fine
		}
		a.rollBack(e, j.fate.reason)
	case outcome == RollsBack && j.kind != creation:
		a.rollBack(e, j.fate.reason)
	default:
		e.end(types.EndpointStatusFailed, j.fate.reason, a.now)
	}
	return true
}

// rollBack turns a job round.
func (a *account) rollBack(e *endpoint, why string) {
	j := e.job
	j.back, j.why = true, why
	b := a.behaviour
	switch {
	case j.kind == scaling:
		e.status = types.EndpointStatusRollingBack
		j.stages = []stage{{status: types.VariantStatusUpdating, took: b.terminate(), text: "Rolling back."}}
	case j.rolling && j.at.fresh > 0:
		j.stages = a.batches(j.at, j.backOff, 0, true)
	default:
		j.stages = nil
		if j.at.traffic > 0 {
			j.stages = append(j.stages, stage{
				status: types.VariantStatusActivatingTraffic, took: b.shift(), share: 1, then: levels{fresh: j.at.fresh, old: 1},
				text: "Deactivating traffic on %d instance(s).",
			})
		}
		j.stages = append(j.stages, stage{
			status: types.VariantStatusDeleting, took: b.terminate(), text: "Terminating %d instance(s).", share: 1, then: levels{old: 1},
		})
	}
	if b.ShowRollingBack {
		e.status = types.EndpointStatusRollingBack
	}
	j.since, j.until = a.now, a.now.Add(j.stages[0].took)
}

// tripped are those of the alarms that are in ALARM.
func (a *account) tripped(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		al := a.alarms[n]
		return al == nil || al.state != alarmAlarm
	})
}

// level lets the fleets have what the deployment's levels say.
func (e *endpoint) level() {
	if e.job.kind != deployment {
		return
	}
	at := e.job.at
	for _, v := range e.all() {
		v.current, v.traffic = v.desired-count(1-at.old, v.desired), v.weight*float32(1-at.traffic)
	}
	for _, v := range e.job.all() {
		v.current, v.traffic = count(at.fresh, v.desired), v.weight*float32(at.traffic)
		if at.fresh > 0 {
			v.served = v.serverless
		}
	}
}

// complete ends a job as it was meant to end.
func (e *endpoint) complete(now time.Time) {
	if j := e.job; j.kind == deployment {
		e.config, e.variants, e.shadows, e.mixed = j.config, j.fresh, j.shadows, ""
	}
	for _, v := range e.all() {
		v.land()
	}
	e.end(statusInService, e.reason, now)
}

// revert ends a job that was rolled back.
func (e *endpoint) revert(now time.Time) {
	if e.job.kind == scaling {
		for _, was := range e.job.was {
			v := e.variant(was.name)
			v.desired, v.weight, v.serverless = was.desired, was.weight, was.serverless
		}
	}
	for _, v := range e.all() {
		v.land()
	}
	e.end(statusInService, e.job.why, now)
}

func (e *endpoint) end(s types.EndpointStatus, reason string, now time.Time) {
	e.job, e.status, e.reason, e.modified = nil, s, reason, now
}
