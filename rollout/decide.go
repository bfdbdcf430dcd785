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

// Verb is what a person decides.
type Verb string

// The verbs.
const (
	Approve  Verb = core.VerbApprove  // the rollout goes on
	Reject   Verb = core.VerbReject   // the rollout goes back
	Abort    Verb = core.VerbAbort    // the rollout goes back, wherever it is before the commit point
	SkipBake Verb = core.VerbSkipBake // the rest of the present bake or soak is left out
)

// Decision is what a person decides about an unfinished rollout.
type Decision struct {
	Verb Verb
	// Approval is the name of the approval that Approve and Reject are about. It
	// may be empty if only one is pending.
	Approval string
	// By says who decided. It must not be empty.
	By string
	// Reason says why; it may be empty.
	Reason string
}

// Errors of decisions.
var (
	// ErrRejected: a person rejected or aborted the rollout.
	ErrRejected = core.ErrRejected
	// ErrExpired: an approval was not decided in time.
	ErrExpired = core.ErrExpired
	// ErrFrozen: a freeze window keeps the rollout from beginning.
	ErrFrozen = core.ErrFrozen
	// ErrDecided: another decision was first.
	ErrDecided = errors.New("already decided")
	// ErrNothingToDecide: no rollout waits for such a decision.
	ErrNothingToDecide = errors.New("nothing to decide")
)

// Decide puts a decision on record, from any process that has the same store:
// the rollout's runner acts on it with its next poll. It takes no lock, and
// changes nothing else. A decision that repeats the one on record is no error;
// one that disagrees with it is [ErrDecided]. If no rollout waits for it the
// error is [ErrNothingToDecide].
func Decide(ctx context.Context, store journal.Store, endpointName string, d Decision) error {
	for range 10 {
		err := decide(ctx, store, endpointName, d)
		if !errors.Is(err, journal.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("%s: the journal is written too often: %w", endpointName, endpoint.ErrBusy)
}

// decide reads the journal, and appends the decision if it still holds.
func decide(ctx context.Context, store journal.Store, name string, d Decision) error {
	if d.By == "" {
		return fmt.Errorf("decision %q: %w: it does not say who decided", d.Verb, endpoint.ErrInvalid)
	}
	records, err := loadJournal(ctx, store, name)
	if err != nil {
		return err
	}
	j, err := core.Fold(name, records, time.Now())
	if err != nil {
		return err
	}
	done, err := checkDecision(j, &d)
	if err != nil || done {
		return err
	}
	r := journal.Record{
		Version: strategy.FormatVersion, Seq: j.Seq + 1, Time: time.Now().Round(0), Rollout: j.Plan.Rollout, Kind: journal.KindDecision,
		Decision: &journal.Decision{Verb: string(d.Verb), Approval: d.Approval, By: d.By, Reason: d.Reason},
	}
	if err := r.Seal(records[len(records)-1].Sum); err != nil {
		return err
	}
	return do(ctx, "the store's Append", storeTime, func(ctx context.Context) error { return store.Append(ctx, name, r) })
}

// checkDecision refuses a decision that no rollout waits for. It completes the
// name of the approval, and reports whether the very decision is on record.
func checkDecision(j *core.Ledger, d *Decision) (done bool, err error) {
	nothing := func(format string, args ...any) error {
		return fmt.Errorf("%s: %w: %s", j.Endpoint, ErrNothingToDecide, fmt.Sprintf(format, args...))
	}
	switch {
	case !j.Unfinished():
		return false, nothing("no rollout is in progress")
	case j.Restoring():
		return false, nothing("the rollout is past the point where a decision counts")
	}
	switch d.Verb {
	case Approve, Reject:
		h := j.Hold
		if h == nil || d.Approval != "" && h.Approval != d.Approval {
			return false, nothing("it waits for no approval %q; pending: %s", d.Approval, pending(j))
		}
		d.Approval = h.Approval
		return decided(h.Decision, d)
	case Abort:
		return decided(j.Aborted, d)
	case SkipBake:
		if list := j.List(); j.Next >= len(list) || list[j.Next].Do != strategy.ActionBake {
			return false, nothing("it is in no bake")
		}
		return false, nil
	}
	return false, fmt.Errorf("decision %q: %w: want one of %q", d.Verb, endpoint.ErrInvalid, []Verb{Approve, Reject, Abort, SkipBake})
}

// decided compares a decision with the one on record.
func decided(on *journal.Decision, d *Decision) (bool, error) {
	switch {
	case on == nil:
		return false, nil
	case on.Verb == string(d.Verb):
		return true, nil
	}
	return false, fmt.Errorf("%w: %s", ErrDecided, on)
}

func pending(j *core.Ledger) string {
	if h := j.Hold; h != nil && h.Decision == nil {
		return h.Approval
	}
	return "none"
}
