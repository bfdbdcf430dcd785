package core

import (
	"errors"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// The results of a check.
const (
	resultPass    = "pass"
	resultFail    = "fail"
	resultUnknown = "unknown"
)

// tally is what a check has said so far, by the records.
type tally struct {
	passes, failures int
	last             journal.Verdict
	unknownSince     time.Time // zero unless the last verdict is unknown
}

// tallies are those of all checks, by name.
type tallies map[string]tally

// add takes in a verdict that is on record.
func (ts tallies) add(r *journal.Record) {
	t := ts[r.Verdict.Check]
	t.last = *r.Verdict
	switch r.Verdict.Result {
	case resultPass:
		t.passes++
		t.unknownSince = time.Time{}
	case resultFail:
		t.failures++
		t.unknownSince = time.Time{}
	default:
		if t.unknownSince.IsZero() {
			t.unknownSince = r.Time
		}
	}
	ts[r.Verdict.Check] = t
}

// Sample is what a check is asked about.
type Sample struct {
	Step           string
	Source, Target endpoint.Revision
	// SourceNames and TargetNames are the parts of the endpoint that run each.
	SourceNames, TargetNames []string
	// Share is the target's share of the traffic, in percent; 0 if the provider
	// moves the traffic by itself and does not say.
	Share   int
	Elapsed time.Duration // since the target has traffic
	Status  endpoint.Status
}

// verdict is what all checks come to: an error if one failed, or whether the
// rollout has to hold, and why.
func (k *known) verdict(now time.Time) (hold string, err error) {
	for _, c := range k.ledger.Plan.Checks {
		t := k.ledger.tallies[c.Name]
		unknown := t.last.Result == resultUnknown
		switch {
		case t.failures > c.Failures:
			return "", fmt.Errorf("%w: %s%s", ErrCheck, t.last, tolerated(t.failures, c.Failures))
		case unknown && c.Unknown == strategy.UnknownRollback:
			return "", fmt.Errorf("%w: %s", ErrCheck, t.last)
		case unknown && c.Unknown == strategy.UnknownContinue:
		case unknown:
			if passed := now.Sub(t.unknownSince); passed >= c.UnknownLimit {
				return "", fmt.Errorf("%w: it could not tell for %v whether the new revision is good: %s", ErrCheck, passed.Round(time.Second), t.last)
			}
			hold = "holding, since a check cannot tell: " + t.last.String()
		case t.passes < c.Passes:
			hold = fmt.Sprintf("holding until %s has passed %d of %d times", c.Name, t.passes, c.Passes)
		}
	}
	return hold, nil
}

func tolerated(failures, tolerated int) string {
	if tolerated == 0 {
		return ""
	}
	return fmt.Sprintf(" (failed %d times, %d are tolerated)", failures, tolerated)
}

// missingCheck is the error of a check that is in the plan and was not given.
func (k *known) missingCheck() error {
	for _, c := range k.ledger.Plan.Checks {
		if !k.policy.Checks[c.Name] {
			return fmt.Errorf("%w: %q is in the plan and was not given", ErrCheck, c.Name)
		}
	}
	return nil
}

// ErrCheck means that a check or the probe did not pass, or is missing.
var ErrCheck = errors.New("check did not pass")

// hasTraffic reports whether the target serves some of the requests by now.
func (k *known) hasTraffic(s endpoint.Status) bool {
	if k.wants() != k.ledger.Plan.Target || s.Share != nil {
		return s.Share != nil && *s.Share > 0
	}
	return s.Mixed || s.Serving.Same(k.ledger.Plan.Target) || s.UpdateStage.Name != ""
}
