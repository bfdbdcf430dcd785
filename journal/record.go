package journal

import (
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/strategy"
)

// Record is one line of a journal. A journal is append-only: what a rollout
// intends is written down before it is done, and what came of it afterwards.
type Record struct {
	Version int        `json:"v"`
	Seq     int        `json:"seq"` // 1, 2, 3 … without a gap
	Time    time.Time  `json:"time"`
	Rollout string     `json:"rollout"`
	Kind    RecordKind `json:"kind"`

	Plan  *strategy.Plan `json:"plan,omitempty"`  // KindPlan
	Owner string         `json:"owner,omitempty"` // KindClaim: who drives from here on
	// Alone is set on a claim if the store proved that no other driver lives.
	Exclusive bool `json:"exclusive,omitempty"`

	Step string `json:"step,omitempty"`
	// Before is the endpoint just before an intent, or as KindImposed found it.
	Before *endpoint.Status `json:"before,omitempty"`
	// Write is what an intent is about to do.
	Write *Write `json:"write,omitempty"`
	// NotAfter is when the call of an intent ends, whatever became of its driver.
	NotAfter time.Time `json:"notAfter,omitzero"`

	// Note says what a step that is done found, Error why one failed, or why
	// the rollout turned back or stopped.
	Note    string   `json:"note,omitempty"`
	Error   string   `json:"error,omitempty"`
	Drift   *Drift   `json:"drift,omitempty"`
	Outcome string   `json:"outcome,omitempty"` // KindEnd, KindStop
	Residue []string `json:"residue,omitempty"` // KindStop
}

// RecordKind says what a record tells.
type RecordKind string

// The kinds of records.
const (
	KindPlan     RecordKind = "plan"     // a rollout begins
	KindClaim    RecordKind = "claim"    // a driver takes over
	KindIntent   RecordKind = "intent"   // a write is about to be made
	KindDone     RecordKind = "done"     // a step is done; its write, if any, was read back
	KindFailed   RecordKind = "failed"   // the write of the last intent is not in force; with Step: that step could not be done
	KindRollback RecordKind = "rollback" // from here on back
	KindCommit   RecordKind = "commit"   // from here on only forward
	KindBake     RecordKind = "bake"     // the bake begins; it ends at NotAfter
	KindDrift    RecordKind = "drift"    // somebody else's value was found, and left alone
	// KindImposed: the capacity fails, and the provider sets Before.Imposed for it.
	KindOverridden RecordKind = "overridden"
	KindStop       RecordKind = "stop" // the rollout is unfinished and nobody drives it
	KindEnd        RecordKind = "end"  // the rollout is finished
)

// Write is one change of one thing.
type Write struct {
	Thing    string                        `json:"thing"` // "revision", "draft", "autoscaling", or a setting's key
	Value    *int                          `json:"value,omitempty"`
	AtLeast  bool                          `json:"atLeast,omitempty"` // a higher value will do
	Revision *endpoint.Revision            `json:"revision,omitempty"`
	Suspend  *endpoint.AutoscalingSnapshot `json:"suspend,omitempty"` // the snapshot, durable before the first write
}

// The things that are not settings.
const (
	ThingRevision    = "revision"
	ThingDraft       = "draft"
	ThingAutoscaling = "autoscaling"
)

// Drift is a value that somebody else changed while a rollout ran.
type Drift struct {
	Thing string `json:"thing"`
	Want  string `json:"want"`
	Found string `json:"found"`
}

func (d Drift) String() string {
	return fmt.Sprintf("%s: found %s, left alone (the rollout would have set %s)", d.Thing, d.Found, d.Want)
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
