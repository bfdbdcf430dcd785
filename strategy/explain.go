package strategy

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Explain renders the journal of an endpoint's newest rollout as a timeline
// for people, with the next action. It only reads the store. A journal that
// cannot be believed is an error.
func Explain(ctx context.Context, store Store, endpoint string) (string, error) {
	records, err := store.Load(ctx, endpoint)
	if err != nil {
		return "", err
	}
	j, err := fold(endpoint, records)
	if err != nil {
		return "", err
	}
	if j.plan == nil {
		return fmt.Sprintf("%s: the journal is empty\n", endpoint), nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s: %s → %s\n", j.plan.Strategy, endpoint, j.plan.Source, j.plan.Target)
	for _, r := range records {
		if r.Rollout == j.plan.Rollout {
			fmt.Fprintf(&b, "  %s  %s\n", r.Time.UTC().Format(time.DateTime), r.explain())
		}
	}
	if stamp, ok := j.holder(ctx, store); ok {
		fmt.Fprintf(&b, "  %s  %s was last seen alive\n", stamp.Time.UTC().Format(time.DateTime), stamp.Driver)
	}
	fmt.Fprintf(&b, "next: %s\n", j.nextAction())
	return b.String(), nil
}

// explain says what a record tells, in words.
func (r *Record) explain() string {
	var text string
	switch r.Kind {
	case KindPlan:
		return fmt.Sprintf("planned: %d steps forward, %d back", len(r.Plan.Forward), len(r.Plan.Back))
	case KindClaim:
		text = "driven by " + r.Driver
	case KindIntent:
		text = fmt.Sprintf("%s: about to write %s, not after %s", r.Step, r.Write, r.NotAfter.UTC().Format(time.TimeOnly))
	case KindDone:
		text = r.Step + ": done"
		if r.Step == "" {
			text = "the write is in force"
		}
	case KindFailed:
		text = "the write is not in force"
		if r.Step != "" {
			text = r.Step + ": could not be done"
		}
	case KindTurn:
		text = "turned back"
	case KindCommit:
		text = "committed: from here on only forward"
	case KindDrift:
		text = "found somebody else's change of " + r.Drift.String()
	case KindImposed:
		text = fmt.Sprintf("the capacity fails, and the provider sets %v for it", r.Before.Imposed)
	case KindStop:
		text = "stopped " + string(r.Outcome)
	case KindEnd:
		text = "ended " + string(r.Outcome)
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

// String names what is written and its new value.
func (w *Write) String() string {
	switch {
	case w.Value != nil:
		return fmt.Sprintf("%s=%d", w.Thing, *w.Value)
	case w.Revision != nil:
		return fmt.Sprintf("%s=%s", w.Thing, *w.Revision)
	}
	return w.Thing
}

// nextAction says what a resume would begin with.
func (j *journal) nextAction() string {
	switch {
	case !j.unfinished():
		return "nothing, the rollout has ended " + string(j.last.Outcome)
	case j.pending != nil && (j.back || j.committed):
		return fmt.Sprintf("resume: find out whether %s was written, then go on", j.pending.Write)
	case j.pending != nil:
		return fmt.Sprintf("resume: find out whether %s was written, then go back to %s", j.pending.Write, j.plan.Source)
	case !j.back && !j.committed:
		return fmt.Sprintf("resume: go back to %s, or with the forward policy on with %q", j.plan.Source, j.nextStep())
	}
	return fmt.Sprintf("resume: go on with %q", j.nextStep())
}

func (j *journal) nextStep() string {
	if list := j.list(); j.next < len(list) {
		return list[j.next].Name
	}
	return "the end"
}
