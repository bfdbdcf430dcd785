package fleet

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Outcome is how a fleet, or one of its members, ended.
type Outcome string

// The outcomes. The last three are of fleets only, and those before are of
// members, [Succeeded] and [RolledBack] of both.
const (
	Pending    Outcome = "pending"     // not begun, or not ended
	Succeeded  Outcome = "succeeded"   // serves the target
	NoOp       Outcome = "no-op"       // served the target already; nothing was sent
	RolledBack Outcome = "rolled back" // serves the source
	Refused    Outcome = "refused"     // did not begin; nothing was changed
	Superseded Outcome = "superseded"  // serves a third party's revision
	Incomplete Outcome = "incomplete"  // something remains to be done; can be gone on with
	Skipped    Outcome = "skipped"     // another runner rolls it
	Undone     Outcome = "undone"      // was moved by this fleet, and serves the source again
	NotUndone  Outcome = "not undone"  // was moved by this fleet, and could not be moved back

	Stopped   Outcome = "stopped"   // the budget was breached; what was done stays
	Cancelled Outcome = "cancelled" // the context is done; can be gone on with
	TakenOver Outcome = "taken over"
)

// failed reports whether the outcome of a member counts against the budget.
func failed(o Outcome) bool {
	return slices.Contains([]Outcome{RolledBack, Refused, Superseded, Incomplete}, o)
}

// Errors of fleets.
var (
	// ErrBreached: more members failed than the budget allows, a check failed or an
	// approval was not given. See [Report.Breach].
	ErrBreached = errors.New("breached")
	// ErrIncomplete: something remains to be done. Run the fleet again.
	ErrIncomplete = errors.New("incomplete")
	// ErrTakenOver: another runner goes on with the fleet.
	ErrTakenOver = errors.New("another runner has taken the fleet over")
)

// Report is what a fleet came to.
type Report struct {
	Fleet   string  `json:"fleet"`
	Outcome Outcome `json:"outcome"`
	// Breach says why nothing more began; "" if nothing was breached.
	Breach  string         `json:"breach,omitempty"`
	Members []MemberReport `json:"members"`
	// Reasons are why members failed or were skipped, the most frequent first.
	Reasons  []Reason  `json:"reasons,omitempty"`
	Began    time.Time `json:"began,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
}

// MemberReport is what became of one member, in the order of the waves.
type MemberReport struct {
	Endpoint string  `json:"endpoint"`
	Wave     string  `json:"wave"`
	Outcome  Outcome `json:"outcome"`
	Reason   string  `json:"reason,omitempty"`
	// Rollout is the name of its newest rollout by this fleet.
	Rollout string `json:"rollout,omitempty"`
}

// Reason is why some of the members have the same outcome. Text is that of the
// first of them, without the endpoint's name; the others' may differ from it in
// numbers and times.
type Reason struct {
	Outcome Outcome  `json:"outcome"`
	Text    string   `json:"text"`
	Members []string `json:"members"`
}

// Count is the number of members with an outcome.
func (r *Report) Count(o Outcome) int {
	n := 0
	for _, m := range r.Members {
		if m.Outcome == o {
			n++
		}
	}
	return n
}

// String says it in lines for people.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "fleet %s: %s", r.Fleet, r.Outcome)
	if r.Breach != "" {
		b.WriteString(": " + r.Breach)
	}
	b.WriteString("\n")
	for _, o := range []Outcome{Succeeded, NoOp, RolledBack, Refused, Superseded, Incomplete, Skipped, Undone, NotUndone, Pending} {
		if n := r.Count(o); n > 0 {
			fmt.Fprintf(&b, "%6d  %s\n", n, o)
		}
	}
	for _, reason := range r.Reasons {
		fmt.Fprintf(&b, "%s: %s: %s\n", reason.Outcome, reason.Text, strings.Join(reason.Members, ", "))
	}
	return b.String()
}

// group groups the members by reason.
func group(members []MemberReport) []Reason {
	var reasons []Reason
	at := map[[2]string]int{}
	for _, m := range members {
		if m.Reason == "" {
			continue
		}
		text := strings.ReplaceAll(m.Reason, m.Endpoint, "the endpoint")
		key := [2]string{string(m.Outcome), numbers.ReplaceAllString(text, "#")}
		i, ok := at[key]
		if !ok {
			i, at[key] = len(reasons), len(reasons)
			reasons = append(reasons, Reason{Outcome: m.Outcome, Text: text})
		}
		reasons[i].Members = append(reasons[i].Members, m.Endpoint)
	}
	slices.SortStableFunc(reasons, func(a, b Reason) int { return cmp.Compare(len(b.Members), len(a.Members)) })
	return reasons
}

// numbers are times and numbers that stand alone.
var numbers = regexp.MustCompile(`\b(?:[0-9.]+(?:h|ms|µs|m|s))+\b|\b[0-9]+\b`)
