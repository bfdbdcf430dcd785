package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// Abandon records that a person gives the unfinished rollout of an endpoint up,
// and why, so that another one can begin. It touches nothing but the journal: what
// may not be as it was before is the report's residue, one line each, and is on
// record too. The report's outcome is [OutcomeAbandoned], or [OutcomeNothing] if
// there is no unfinished rollout. An empty why is [endpoint.ErrInvalid]. The report
// is never nil: with an error its outcome is [OutcomeRefused].
//
// A rollout whose runner is alive is not given up: the error is
// [endpoint.ErrBusy]. Stop the runner first.
func Abandon(ctx context.Context, store journal.Store, endpointName, why string) (*Report, error) {
	report, err := abandon(ctx, store, endpointName, why)
	if err != nil {
		return &Report{Outcome: OutcomeRefused}, err
	}
	return report, nil
}

func abandon(ctx context.Context, store journal.Store, endpointName, why string) (*Report, error) {
	if err := checkStore(store); err != nil {
		return nil, err
	}
	if why == "" {
		return nil, fmt.Errorf("%s: %w: it is not said why the rollout is abandoned", endpointName, endpoint.ErrInvalid)
	}
	release, exclusive, err := lock(ctx, store, endpointName)
	if err != nil {
		return nil, err
	}
	defer func() { _ = recovered("the store's unlock", release) }()
	records, err := loadJournal(ctx, store, endpointName)
	if err != nil {
		return nil, err
	}
	j, err := core.Fold(endpointName, records, time.Now())
	if err != nil {
		return nil, err
	}
	if !j.Unfinished() {
		return &Report{Outcome: OutcomeNothing}, nil
	}
	if h, ok := holder(ctx, store, j); ok && !exclusive && time.Since(h.Time) < core.LeaseTimeout+j.Plan.Settle {
		return nil, fmt.Errorf("%s is held by %s: %w", endpointName, runBy(ctx, store, j), endpoint.ErrBusy)
	}
	report := &Report{
		Outcome: OutcomeAbandoned, Plan: j.Plan, Proof: j.Proof, Drift: j.Drift, Began: j.Began, Finished: time.Now(),
	}
	var lines []string
	for _, x := range core.Undone(j, endpoint.Status{}) {
		report.Residue, lines = append(report.Residue, remainder(x)), append(lines, x.String())
	}
	r := journal.Record{
		Version: strategy.FormatVersion, Seq: j.Seq + 1, Time: report.Finished.Round(0), Rollout: j.Plan.Rollout, Kind: journal.KindEnd,
		Outcome: string(OutcomeAbandoned), Error: why, Residue: lines,
	}
	if err := r.Seal(records[len(records)-1].Sum); err != nil {
		return nil, err
	}
	err = do(ctx, "the store's Append", storeTime, func(ctx context.Context) error { return store.Append(ctx, endpointName, r) })
	if errors.Is(err, journal.ErrConflict) {
		return nil, fmt.Errorf("%s: %w: %w", endpointName, endpoint.ErrBusy, err)
	}
	if err != nil {
		return nil, err
	}
	return report, nil
}
