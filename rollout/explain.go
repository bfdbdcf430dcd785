package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// Explain renders the journal of an endpoint's newest rollout as a timeline
// for people, with the next action. It only reads the store. Of a journal that
// can only be read in part, which is an error, it renders that part.
func Explain(ctx context.Context, store journal.Store, endpoint string) (string, error) {
	records, err := loadJournal(ctx, store, endpoint)
	var partly *journal.ReadError
	if errors.As(err, &partly) {
		records = partly.Records
	}
	j, ferr := core.Fold(endpoint, records, time.Now())
	if errors.As(ferr, &partly) && err == nil {
		err = ferr
	}
	if partly != nil {
		return explainPart(endpoint, partly), err
	}
	if err != nil {
		return "", err
	}
	if j.Plan == nil {
		return fmt.Sprintf("%s: the journal is empty\n", endpoint), nil
	}
	var b strings.Builder
	explainRecords(&b, endpoint, j.Plan, records)
	if stamp, ok := holder(ctx, store, j); ok {
		fmt.Fprintf(&b, "  %s  %s was last seen alive\n", stamp.Time.UTC().Format(time.DateTime), stamp.Owner)
	}
	fmt.Fprintf(&b, "next: %s\n", nextAction(j))
	return b.String(), nil
}

// explainRecords renders the records of a plan's rollout.
func explainRecords(b *strings.Builder, endpoint string, p *strategy.Plan, records []journal.Record) {
	fmt.Fprintf(b, "%s of %s: %s → %s\n", p.Strategy, endpoint, p.Source, p.Target)
	for _, r := range records {
		if r.Rollout == p.Rollout {
			fmt.Fprintf(b, "  %s  %s\n", r.Time.UTC().Format(time.DateTime), explainRecord(&r))
		}
	}
}

// explainPart renders what can be read of a journal's newest rollout.
func explainPart(endpoint string, partly *journal.ReadError) string {
	var b strings.Builder
	for i, r := range slices.Backward(partly.Records) {
		if r.Kind == journal.KindPlan && r.Plan != nil {
			explainRecords(&b, endpoint, r.Plan, partly.Records[i:])
			break
		}
	}
	fmt.Fprintf(&b, "  the rest of the journal cannot be read, from line %d on\n", partly.Line)
	fmt.Fprintf(&b, "next: nothing is done from a journal that cannot be read whole\n")
	return b.String()
}

// explainRecord says what a record tells, in words.
func explainRecord(r *journal.Record) string {
	var text string
	switch r.Kind {
	case journal.KindPlan:
		return fmt.Sprintf("planned: %d steps forward, %d back", len(r.Plan.Forward), len(r.Plan.Rollback))
	case journal.KindClaim:
		text = "driven by " + r.Owner
	case journal.KindIntent:
		text = fmt.Sprintf("%s: about to write %s, not after %s", r.Step, r.Write, r.NotAfter.UTC().Format(time.TimeOnly))
	case journal.KindDone:
		text = r.Step + ": done"
		if r.Step == "" {
			text = "the write is in force"
		}
	case journal.KindFailed:
		text = "the write is not in force"
		if r.Step != "" {
			text = r.Step + ": could not be done"
		}
	case journal.KindRollback:
		text = "turned back"
	case journal.KindCommit:
		text = "committed: from here on only forward"
	case journal.KindBake:
		text = fmt.Sprintf("%s: until %s", r.Step, r.NotAfter.UTC().Format(time.DateTime))
	case journal.KindCheck:
		text = r.Step + ": check " + r.Verdict.String()
	case journal.KindHold:
		text = fmt.Sprintf("%s: waits for the approval %q until %s", r.Step, r.Note, r.NotAfter.UTC().Format(time.DateTime))
		return text
	case journal.KindDecision:
		text = "decided: " + r.Decision.String()
	case journal.KindDrift:
		text = "found somebody else's change of " + r.Drift.String()
	case journal.KindOverridden:
		text = fmt.Sprintf("the capacity fails, and the provider sets %v for it", r.Before.ProviderOverrides)
	case journal.KindStop:
		text = "stopped " + r.Outcome
	case journal.KindEnd:
		text = "ended " + r.Outcome
	default:
		text = string(r.Kind)
	}
	for _, more := range []string{r.Note, r.Error} {
		if more != "" {
			text += ": " + more
		}
	}
	for _, line := range r.Residue {
		text += "\n                         remains: " + line
	}
	return text
}

// nextAction says what a resume would begin with.
func nextAction(j *core.Ledger) string {
	switch {
	case !j.Unfinished():
		return "nothing, the rollout has ended " + j.Last.Outcome
	case j.Pending != nil && (j.RollingBack || j.Committed):
		return fmt.Sprintf("resume: find out whether %s was written, then go on", j.Pending.Write)
	case j.Pending != nil:
		return fmt.Sprintf("resume: find out whether %s was written, then go back to %s", j.Pending.Write, j.Plan.Source)
	case !j.RollingBack && !j.Committed:
		return fmt.Sprintf("resume: go back to %s, or with the forward policy on with %q", j.Plan.Source, j.NextStep())
	}
	return fmt.Sprintf("resume: go on with %q", j.NextStep())
}
