package rollout

// Remainder is a thing that a rollout left: one that it made and did not remove,
// or one that is not as it has to be. String says what to do about it.
type Remainder struct {
	Kind RemainderKind `json:"kind"`
	// Thing is its name: the key of a setting, the name of a revision or an
	// endpoint, or the step that is to be done.
	Thing string `json:"thing"`
	// Want is how it has to be, and Found how it was seen last. Either is empty
	// where that is no single value, or was not read.
	Want  string `json:"want,omitempty"`
	Found string `json:"found,omitempty"`
	// Remedy says in words what to do, and Reason why the rollout did not.
	Remedy string `json:"remedy"`
	Reason string `json:"reason,omitempty"`
}

// RemainderKind says what a [Remainder] is.
type RemainderKind string

// The kinds of remainders.
const (
	RemainderSetting     RemainderKind = "setting"     // a setting has another value
	RemainderRevision    RemainderKind = "revision"    // a revision is not served, or not proven to be
	RemainderDraft       RemainderKind = "draft"       // a revision was made, or may have been
	RemainderAutoscaling RemainderKind = "autoscaling" // autoscaling is not as it was
	RemainderStep        RemainderKind = "step"        // a step that only reads was not done
	RemainderRollout     RemainderKind = "rollout"     // the rollout is neither rolled back nor committed
	RemainderJournal     RemainderKind = "journal"     // the journal lacks its end
)

// String is the remedy, and the reason in brackets.
func (r Remainder) String() string {
	if r.Reason == "" {
		return r.Remedy
	}
	return r.Remedy + " (" + r.Reason + ")"
}
