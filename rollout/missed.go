package rollout

import (
	"context"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/core"
)

// missed names the scheduled changes of capacity that were due while the rollout
// had autoscaling suspended. The provider does not make up for them.
func missed(u endpoint.Updater, j *core.Ledger) []string {
	reporter, ok := endpoint.As[endpoint.MissedReporter](u)
	snapshot, from, to := j.Suspension()
	if !ok || snapshot == nil {
		return nil
	}
	if to.IsZero() {
		to = time.Now() // it is suspended still
	}
	var all []string
	if err := recovered("what was missed", func() (err error) {
		all, err = reporter.Missed(*snapshot, from, to)
		return err
	}); err != nil {
		return []string{fmt.Sprintf("whether scheduled actions were due while autoscaling was suspended is not known: %v", err)}
	}
	return all
}

// tellMissed tells the observer of each, before the end of the rollout.
func (r *Rollout) tellMissed(ctx context.Context) {
	for _, text := range missed(r.u, r.machine.Ledger()) {
		r.emit(ctx, core.Event{Kind: core.EventMissed, Rollback: r.machine.Ledger().RollingBack, Text: text})
	}
}
