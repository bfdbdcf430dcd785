package journal

import (
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/strategy"
)

// Record is one line of a journal. A journal is append-only: a rollout records
// what it intends before it acts, and the result afterwards.
type Record struct {
	Version int        `json:"v"`
	Seq     int        `json:"seq"` // 1, 2, 3 … without a gap
	Time    time.Time  `json:"time"`
	Rollout string     `json:"rollout"`
	Kind    RecordKind `json:"kind"`

	Plan  *strategy.Plan `json:"plan,omitempty"`  // KindPlan
	Owner string         `json:"owner,omitempty"` // KindPlan and KindClaim: the runner from here on
	// Exclusive is set on a claim if a [Locker] proved that no other runner is alive.
	Exclusive bool `json:"exclusive,omitempty"`

	Step string `json:"step,omitempty"`
	// Before is the endpoint just before an intent, or as it was read for KindOverridden.
	Before *endpoint.Status `json:"before,omitempty"`
	// Write is the change that an intent announces.
	Write *Write `json:"write,omitempty"`
	// NotAfter is when the call of an intent ends, also if its runner has died.
	NotAfter time.Time `json:"notAfter,omitzero"`

	// Note is the finding of a step that is done. Error is why a step failed,
	// or why the rollout turned to the rollback or stopped.
	Note  string `json:"note,omitempty"`
	Error string `json:"error,omitempty"`
	// Drift is what a third party set (KindDrift), or what the provider made of a
	// write that failed for that (KindFailed).
	Drift   *Drift   `json:"drift,omitempty"`
	Outcome string   `json:"outcome,omitempty"` // KindEnd, KindStop
	Residue []string `json:"residue,omitempty"` // KindStop

	// Verdict is what a check said.
	Verdict *Verdict `json:"verdict,omitempty"` // KindCheck
	// Decision is what a person decided. Any process may append it.
	Decision *Decision `json:"decision,omitempty"` // KindDecision

	// Prev is the Sum of the record before, and Sum the checksum of this one
	// with Prev; see [Record.Seal]. They stay the last two fields.
	Prev string `json:"prev,omitempty"`
	Sum  string `json:"sum,omitempty"`
}

// RecordKind is the kind of a record.
type RecordKind string

// The kinds of records.
const (
	KindPlan     RecordKind = "plan"     // a rollout begins
	KindClaim    RecordKind = "claim"    // a runner takes over
	KindIntent   RecordKind = "intent"   // a write is about to be made
	KindDone     RecordKind = "done"     // a step is done; its write, if any, was read back
	KindFailed   RecordKind = "failed"   // the write of the last intent was not applied; with Step: that step could not be done
	KindRollback RecordKind = "rollback" // the rollback begins
	KindCommit   RecordKind = "commit"   // from here on only forward
	KindBake     RecordKind = "bake"     // the bake begins; it ends at NotAfter
	KindCheck    RecordKind = "check"    // a check was asked
	KindHold     RecordKind = "hold"     // Step waits for a person's decision on the approval Note, until NotAfter
	KindDecision RecordKind = "decision" // a person decided
	KindDrift    RecordKind = "drift"    // a foreign value was found and left alone
	// KindOverridden: the capacity fails, and the provider sets Before.ProviderOverrides for it.
	KindOverridden RecordKind = "overridden"
	KindStop       RecordKind = "stop" // the rollout is unfinished and has no runner
	KindEnd        RecordKind = "end"  // the rollout is finished
)

// Write is one change of one thing.
type Write struct {
	Thing    string                        `json:"thing"` // "revision", "draft", "canary", "share", "autoscaling", or a setting's key
	Value    *int                          `json:"value,omitempty"`
	AtLeast  bool                          `json:"atLeast,omitempty"` // a higher value will do
	Revision *endpoint.Revision            `json:"revision,omitempty"`
	Unstage  bool                          `json:"unstage,omitempty"` // the draft is taken back
	Suspend  *endpoint.AutoscalingSnapshot `json:"suspend,omitempty"` // the snapshot, durable before the first write
}

// The things that are not settings.
const (
	ThingRevision    = "revision"
	ThingCanary      = "canary" // the draft of the revision that serves both
	ThingShare       = "share"  // the target's share of the traffic, in percent
	ThingDraft       = "draft"
	ThingAutoscaling = "autoscaling"
)

// Drift is a value that was changed from outside while a rollout ran.
type Drift struct {
	Thing string `json:"thing"`
	Want  string `json:"want"`
	Found string `json:"found"`
}

func (d Drift) String() string {
	return fmt.Sprintf("%s: found %s, left alone (the rollout would have set %s)", d.Thing, d.Found, d.Want)
}

// String names the thing and its new value.
func (w *Write) String() string {
	switch {
	case w.Value != nil:
		return fmt.Sprintf("%s=%d", w.Thing, *w.Value)
	case w.Revision != nil:
		return fmt.Sprintf("%s=%s", w.Thing, *w.Revision)
	case w.Unstage:
		return w.Thing + " taken back"
	}
	return w.Thing
}

// Verdict is what a check said of the target.
type Verdict struct {
	Check  string `json:"check"`
	Result string `json:"result"` // "pass", "fail" or "unknown"
	// Value is what was measured and Limit what it was held against, if the check
	// is a measurement.
	Value  *float64 `json:"value,omitempty"`
	Limit  *float64 `json:"limit,omitempty"`
	Reason string   `json:"reason,omitempty"`
}

func (v Verdict) String() string {
	text := v.Check + ": " + v.Result
	if v.Value != nil && v.Limit != nil {
		text += fmt.Sprintf(", %.4g against %.4g", *v.Value, *v.Limit)
	}
	if v.Reason != "" {
		text += ": " + v.Reason
	}
	return text
}

// Decision is what a person decided about a rollout.
type Decision struct {
	Verb string `json:"verb"` // "approve", "reject", "abort" or "skip-bake"
	// Approval is the name of the approval that is approved or rejected.
	Approval string `json:"approval,omitempty"`
	By       string `json:"by"`
	Reason   string `json:"reason,omitempty"`
}

func (d Decision) String() string {
	text := d.Verb
	if d.Approval != "" {
		text += " " + d.Approval
	}
	text += " by " + d.By
	if d.Reason != "" {
		text += ": " + d.Reason
	}
	return text
}
