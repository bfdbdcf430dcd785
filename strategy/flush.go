package strategy

import (
	"fmt"
	"slices"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// FlushToZero takes every worker away before it changes the revision, and
// gives the capacity back afterwards, so that no cached container of the old
// one survives. RunPod's "Updating Your Endpoint" calls it a forced flush of
// the container cache. Requests are refused from when the last worker goes
// until the first new one is ready.
type FlushToZero struct {
	// Drain is how long to wait first until no job is in flight or queued.
	// At its end the rollout is given up, with nothing changed. Zero does not
	// wait.
	Drain time.Duration
}

func (FlushToZero) String() string { return "flush-to-zero" }

// Check refuses a strategy that means nothing, before anything is read.
func (s FlushToZero) Check() error {
	if s.Drain < 0 {
		return fmt.Errorf("drain %v: %w: it must not be negative", s.Drain, endpoint.ErrInvalid)
	}
	return nil
}

// Plan implements [Strategy].
func (s FlushToZero) Plan(f Facts) (Plan, error) {
	if err := s.Check(); err != nil {
		return Plan{}, err
	}
	if err := f.bounded(); err != nil {
		return Plan{}, err
	}
	least, most := f.Status.Settings[endpoint.WorkersMin], f.Status.Settings[endpoint.WorkersMax]
	p := Plan{
		Downtime: "from the moment that the last worker is gone until the first one of the new revision is ready",
		Notes: append(f.ProofNotes(), fmt.Sprintf(
			"new jobs are refused while %s is 0; %s=%d %s=%d are put back on every way out", endpoint.WorkersMax,
			endpoint.WorkersMin, least, endpoint.WorkersMax, most)),
	}
	if s.Drain > 0 {
		p.Forward = append(p.Forward, Step{Name: string(ActionDrain), Do: ActionDrain, Timeout: s.Drain})
	}
	p.Forward = append(p.Forward,
		f.Set(endpoint.WorkersMin, 0).Named("lower "+endpoint.WorkersMin),
		f.Set(endpoint.WorkersMax, 0).Named("lower "+endpoint.WorkersMax),
		f.Await(UntilEmpty), f.Update())
	p.Forward = slices.Concat(p.Forward, f.RestoreBounds(), f.ProveTarget(), f.Commit(), []Step{f.Verify()})
	p.Rollback = slices.Concat([]Step{f.Update()}, f.RestoreBounds(), []Step{f.AwaitSource(), f.Verify()})
	return p, nil
}
