package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

const verbAbort = string(rollout.Abort)

// Decide puts a decision about a fleet on record, from any process that has the
// same store: to approve or reject the wave that waits for it, or to abort the
// fleet, which is a breach. The fleet's runner acts on it within ten seconds. A
// decision that repeats the one on record is no error. Errors are those of
// [rollout.Decide].
func Decide(ctx context.Context, store journal.Store, id string, d rollout.Decision) error {
	if d.By == "" {
		return fmt.Errorf("decision %q: %w: it does not say who decided", d.Verb, endpoint.ErrInvalid)
	}
	for range 10 {
		err := decide(ctx, store, id, d)
		if !errors.Is(err, journal.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("fleet %s: the journal is written too often: %w", id, endpoint.ErrBusy)
}

// decide reads the journal, and appends the decision if it still holds.
func decide(ctx context.Context, store journal.Store, id string, d rollout.Decision) error {
	records, err := journal.Load(ctx, store, journalName(id))
	if err != nil {
		return err
	}
	l, err := fold(id, records)
	if err != nil {
		return err
	}
	if done, err := l.accepts(id, &d); done || err != nil {
		return err
	}
	rec := journal.Record{
		Version: strategy.FormatVersion, Seq: l.seq + 1, Time: time.Now().Round(0), Rollout: id, Kind: journal.KindDecision,
		Decision: &journal.Decision{Verb: string(d.Verb), Approval: d.Approval, By: d.By, Reason: d.Reason},
	}
	if err := rec.Seal(l.sum); err != nil {
		return err
	}
	return store.Append(ctx, journalName(id), rec)
}

// accepts refuses a decision that the fleet does not wait for. It completes the
// name of the approval, and reports whether the decision is on record.
func (l *ledger) accepts(id string, d *rollout.Decision) (done bool, err error) {
	nothing := func(format string, args ...any) error {
		return fmt.Errorf("fleet %s: %w: %s", id, rollout.ErrNothingToDecide, fmt.Sprintf(format, args...))
	}
	switch {
	case !l.unfinished():
		return false, nothing("it is not in progress")
	case d.Verb == rollout.Abort:
		return l.abort != nil, nil
	case l.breach != "":
		return false, nothing("nothing more begins: %s", l.breach)
	case d.Verb != rollout.Approve && d.Verb != rollout.Reject:
		return false, fmt.Errorf("decision %q: %w: want one of %q", d.Verb, endpoint.ErrInvalid, []rollout.Verb{rollout.Approve, rollout.Reject, rollout.Abort})
	}
	for _, h := range l.holds {
		if h.decision == nil || d.Approval == "" || h.approval != d.Approval || l.passed[h.wave] {
			continue
		}
		if h.decision.Verb == string(d.Verb) {
			return true, nil
		}
		return false, fmt.Errorf("%w: %s", rollout.ErrDecided, h.decision)
	}
	h := l.pending()
	if h == nil || d.Approval != "" && h.approval != d.Approval {
		return false, nothing("no wave waits for the approval %q", d.Approval)
	}
	d.Approval = h.approval
	return false, nil
}
