package fleet

import (
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// Event is one thing that happened in a fleet. It holds no secret.
type Event struct {
	Time  time.Time `json:"time"`
	Kind  EventKind `json:"kind"`
	Fleet string    `json:"fleet"`
	Wave  string    `json:"wave,omitempty"`
	// Endpoint is the member it is about, and Rollout the event of its rollout.
	Endpoint string         `json:"endpoint,omitempty"`
	Rollout  *rollout.Event `json:"rollout,omitempty"`
	Text     string         `json:"text,omitempty"`
	Outcome  Outcome        `json:"outcome,omitempty"`
	// Verdict is what a check of the wave said.
	Verdict *journal.Verdict `json:"verdict,omitempty"`
	// Progress is that of the whole fleet.
	Progress Progress `json:"progress"`
}

// EventKind says what an event tells.
type EventKind string

// The kinds of events.
const (
	EventBegin    EventKind = "begin"    // the fleet begins, or is gone on with
	EventWave     EventKind = "wave"     // a wave begins
	EventMember   EventKind = "member"   // an event of a member's rollout
	EventEnded    EventKind = "ended"    // a member has ended, see Outcome
	EventSoak     EventKind = "soak"     // a wave is watched
	EventCheck    EventKind = "check"    // a check was asked, see Verdict
	EventHold     EventKind = "hold"     // a person's decision is waited for
	EventDecision EventKind = "decision" // a person decided
	EventBreach   EventKind = "breach"   // nothing more begins
	EventEnd      EventKind = "end"      // the fleet has ended, or this runner leaves it
)

// Progress counts the members of a fleet.
type Progress struct {
	Total    int `json:"total"`
	Pending  int `json:"pending"`
	UnderWay int `json:"underWay"`
	Moved    int `json:"moved"` // they serve the target
	Failed   int `json:"failed"`
	Skipped  int `json:"skipped"`
	Undone   int `json:"undone"`
}

// String says it in one line.
func (p Progress) String() string {
	return fmt.Sprintf("%d of %d moved, %d under way, %d failed, %d skipped, %d undone", p.Moved, p.Total, p.UnderWay, p.Failed, p.Skipped, p.Undone)
}

// String renders the event as one line for people, without its time.
func (e Event) String() string {
	line := e.Fleet
	if e.Wave != "" {
		line += "/" + e.Wave
	}
	if e.Endpoint != "" {
		line += " " + e.Endpoint
	}
	if e.Rollout != nil {
		return line + ": " + e.Rollout.String()
	}
	return fmt.Sprintf("%s: %s (%s)", line, e.Text, e.Progress)
}
