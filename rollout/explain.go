package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// Explain renders the journal of an endpoint's newest rollout as a timeline
// for people, with the next action. It only reads the store. Of a journal that
// can only be read in part, which is an error, it renders that part.
func Explain(ctx context.Context, store journal.Store, endpoint string) (string, error) {
	records, err := journal.Load(ctx, store, endpoint)
	var partly *journal.ReadError
	if errors.As(err, &partly) {
		records = partly.Records
	}
	j, ferr := fold(endpoint, records)
	if errors.As(ferr, &partly) && err == nil {
		err = ferr
	}
	if partly != nil {
		return explainPart(endpoint, partly), err
	}
	if err != nil {
		return "", err
	}
	if j.plan == nil {
		return fmt.Sprintf("%s: the journal is empty\n", endpoint), nil
	}
	var b strings.Builder
	explainRecords(&b, endpoint, j.plan, records)
	if stamp, ok := j.holder(ctx, store); ok {
		fmt.Fprintf(&b, "  %s  %s was last seen alive\n", stamp.Time.UTC().Format(time.DateTime), stamp.Owner)
	}
	fmt.Fprintf(&b, "next: %s\n", j.nextAction())
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

// explain says what a record tells, in words.
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
func (j *state) nextAction() string {
	switch {
	case !j.unfinished():
		return "nothing, the rollout has ended " + j.last.Outcome
	case j.pending != nil && (j.back || j.committed):
		return fmt.Sprintf("resume: find out whether %s was written, then go on", j.pending.Write)
	case j.pending != nil:
		return fmt.Sprintf("resume: find out whether %s was written, then go back to %s", j.pending.Write, j.plan.Source)
	case !j.back && !j.committed:
		return fmt.Sprintf("resume: go back to %s, or with the forward policy on with %q", j.plan.Source, j.nextStep())
	}
	return fmt.Sprintf("resume: go on with %q", j.nextStep())
}

func (j *state) nextStep() string {
	if list := j.list(); j.next < len(list) {
		return list[j.next].Name
	}
	return "the end"
}
