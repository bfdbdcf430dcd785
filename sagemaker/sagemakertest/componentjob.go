package sagemakertest

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

// componentJob is what is in progress with a component.
type componentJob struct {
	kind     componentJobKind
	stage    copiesStage
	until    time.Time // zero: it does not end by itself
	deadline time.Time // zero: there is none
	fate     fate

	// Of a replacement of all copies:
	to               []types.InferenceComponentSpecification
	batch, backBatch int32 // copies that are replaced at a time, there and back
	wait             time.Duration
	alarms           []string
	fresh            int32 // copies of the new specification that serve
	extra            int32 // copies that serve beside those they replace
	batches          int   // that came up so far
	back             bool  // it is being rolled back
	backWhy          string
}

type componentJobKind int

const (
	copiesStart componentJobKind = iota
	copiesReplaced
	copiesScaled
	copiesGo
)

// copiesStage is what a batch is at.
type copiesStage int

const (
	batchLaunches copiesStage = iota
	batchBakes
	batchReplaces // the old copies go
)

func (c *component) begin(j *componentJob, now time.Time) {
	c.job, c.status, c.modified = j, types.InferenceComponentStatusUpdating, now
}

// up is how many copies serve.
func (c *component) up() int32 {
	if c.job == nil {
		return c.current
	}
	return c.current + c.job.extra
}

// componentFate is what becomes of copies of specifications.
func (a *account) componentFate(c *component, specs []types.InferenceComponentSpecification) fate {
	if f, ok := a.fates[c.name]; ok {
		return f
	}
	for _, s := range specs {
		if f, ok := a.fates[str(s.ModelName)]; ok {
			return f
		}
	}
	return fate{}
}

// due is when a component has something to do by itself.
func (c *component) due() []time.Time {
	j := c.job
	if j == nil {
		return nil
	}
	if j.kind == copiesReplaced && !j.back {
		return []time.Time{j.until, j.deadline}
	}
	return []time.Time{j.until}
}

// stepComponent does what is due with a component.
func (a *account) stepComponent(c *component) {
	for c.job != nil {
		j := c.job
		if j.kind == copiesReplaced && !j.back {
			if tripped := a.tripped(j.alarms); len(tripped) > 0 {
				a.rollBackComponent(c, "")
				continue
			}
			if !j.deadline.IsZero() && !a.now.Before(j.deadline) {
				a.rollBackComponent(c, "")
				continue
			}
		}
		if j.until.IsZero() || a.now.Before(j.until) {
			return
		}
		a.turnComponent(c)
	}
}

// turnComponent ends what is in progress, or the stage that a batch is in.
func (a *account) turnComponent(c *component) {
	j := c.job
	switch j.kind {
	case copiesGo:
		delete(a.comps, c.name)
		c.job = nil
	case copiesStart, copiesScaled:
		switch {
		case j.fate.outcome == Stalls && c.desired > c.current:
			j.until = time.Time{}
		case j.fate.outcome != Succeeds && c.desired > c.current:
			a.fail(c)
		default:
			c.current = c.desired
			c.end(types.InferenceComponentStatusInService, "", a.now)
		}
	case copiesReplaced:
		a.turnBatch(c)
	}
}

// launch begins the next batch. A component without copies has nothing to launch.
func (a *account) launch(c *component) {
	j := c.job
	j.stage, j.until = batchLaunches, a.now.Add(a.behaviour.launch())
	if c.desired == 0 {
		j.stage, j.until = batchReplaces, a.now.Add(a.behaviour.shift())
	}
}

// turnBatch ends the stage that a batch is in.
func (a *account) turnBatch(c *component) {
	j := c.job
	size := min(j.batch, c.desired-j.fresh)
	if j.back {
		size = min(j.backBatch, j.fresh)
	}
	switch j.stage {
	case batchLaunches:
		if a.batchFails(c) {
			return
		}
		j.batches++
		j.extra = size
		if !j.back {
			j.fresh += size
		}
		if j.wait > 0 && !j.back {
			j.stage, j.until = batchBakes, a.now.Add(j.wait)
			return
		}
		j.stage, j.until = batchReplaces, a.now.Add(a.behaviour.terminate())
	case batchBakes:
		j.stage, j.until = batchReplaces, a.now.Add(a.behaviour.terminate())
	case batchReplaces:
		if j.back {
			j.fresh -= j.extra
		}
		j.extra = 0
		switch {
		case j.back && j.fresh > 0, !j.back && j.fresh < c.desired:
			a.launch(c)
		case j.back:
			c.current = c.desired
			c.end(types.InferenceComponentStatusInService, j.backWhy, a.now)
		default:
			c.specs, c.current = j.to, c.desired
			c.end(types.InferenceComponentStatusInService, "", a.now)
		}
	}
}

// batchFails lets what has to go wrong with a batch go wrong.
func (a *account) batchFails(c *component) bool {
	j := c.job
	switch outcome := j.fate.outcome; {
	case outcome == Succeeds, j.back && outcome != RollbackFails:
		return false
	case j.back:
		a.fail(c)
	case outcome == Stalls:
		j.until = time.Time{}
	case outcome == RollbackFails && j.batches == 0 && c.desired > j.batch:
		return false // the first batch is fine
	case outcome == RollsBack, outcome == RollbackFails && j.batches > 0:
		a.rollBackComponent(c, j.fate.reason)
	default:
		a.fail(c)
	}
	return true
}

// rollBackComponent turns a replacement round: the old copies come back in
// batches, and SageMaker says nothing of it.
func (a *account) rollBackComponent(c *component, why string) {
	j := c.job
	j.back, j.backWhy = true, why
	if j.stage == batchLaunches {
		j.extra = 0
	}
	if j.stage == batchBakes || j.stage == batchReplaces && j.extra > 0 {
		// The copies that the batch was to replace are still there.
		j.fresh -= j.extra
		j.extra = 0
	}
	if j.fresh == 0 {
		j.stage, j.until = batchReplaces, a.now.Add(a.behaviour.terminate())
		return
	}
	a.launch(c)
}

// fail ends what is in progress, for good.
func (a *account) fail(c *component) {
	if j := c.job; j.kind == copiesReplaced && !a.behaviour.OldSpecificationWhenFailed {
		c.specs = j.to
	}
	c.end(types.InferenceComponentStatusFailed, c.job.fate.reason, a.now)
}

func (c *component) end(s types.InferenceComponentStatus, reason string, now time.Time) {
	c.job, c.status, c.reason, c.modified = nil, s, reason, now
}
