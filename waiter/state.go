package waiter

import (
	"errors"
	"time"
)

// State is what a [Wait] has gathered by polls. It is small and can be kept as
// JSON, so that another process goes on with the wait; see [Wait.Restore].
type State struct {
	Start time.Time `json:"start"`
	Due   time.Time `json:"due,omitzero"` // of the next poll; zero before the first
	Polls int       `json:"polls,omitempty"`
	// Held counts the polls in a row for which the condition held.
	Held int `json:"held,omitempty"`
	// Failures counts the polls in a row that failed, and Failing is when the
	// first of them ended. Err is what the last poll failed with, "" if it did not.
	Failures int       `json:"failures,omitempty"`
	Failing  time.Time `json:"failing,omitzero"`
	Err      string    `json:"err,omitempty"`
	// Before is the last poll for which the condition did not hold, Began the
	// first of those for which it holds, both from Start, and Waited whether
	// there was one of the former.
	Before time.Duration `json:"before,omitempty"`
	Began  time.Duration `json:"began,omitempty"`
	Waited bool          `json:"waited,omitempty"`
	// Vouched is true if a poller for many endpoints tells of changes.
	Vouched bool `json:"vouched,omitempty"`
}

// State returns what the wait has gathered. The stages of an update in progress
// are not part of it: they are learned again from the next poll.
func (w *Wait) State() State {
	s := State{
		Start: w.start, Due: w.due, Polls: w.progress.Polls, Held: w.progress.Held, Failures: w.failures, Failing: w.failing,
		Before: w.before, Began: w.began, Waited: w.waited, Vouched: w.vouched,
	}
	if w.progress.Err != nil {
		s.Err = w.progress.Err.Error()
	}
	return s
}

// Restore lets the wait go on from s, which another wait with the same options
// had gathered. Of an error only its text is left.
func (w *Wait) Restore(s State) {
	p := &w.progress
	w.start, w.due, p.Polls, p.Held, w.failures, w.failing = s.Start, s.Due, s.Polls, s.Held, s.Failures, s.Failing
	w.before, w.began, w.waited, w.vouched = s.Before, s.Began, s.Waited, s.Vouched
	p.Elapsed, p.Err, w.last = s.Due.Sub(s.Start), nil, nil
	if s.Err != "" {
		p.Err = errors.New(s.Err)
		w.last = p.Err
	}
}
