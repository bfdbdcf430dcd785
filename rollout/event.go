package rollout

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// Event is one thing that happened in a rollout. It holds no secret.
type Event struct {
	Time     time.Time `json:"time"`
	Kind     EventKind `json:"kind"`
	Rollout  string    `json:"rollout,omitempty"`
	Endpoint string    `json:"endpoint"`
	// Step is the step it is about, the Nth of the Of steps of the way forward, or of
	// the rollback if Rollback is true.
	Step     string `json:"step,omitempty"`
	N        int    `json:"n,omitempty"`
	Of       int    `json:"of,omitempty"`
	Rollback bool   `json:"rollback,omitempty"`
	// Text says it in words.
	Text string `json:"text,omitempty"`
	// Status is the endpoint as seen, if it was looked at.
	Status *endpoint.Status `json:"status,omitempty"`
	// Until is when what is waited for is given up: the end of the step's time, or
	// of the rollout's. Zero if there is no wait.
	Until time.Time `json:"until,omitzero"`
	// Plan is set when the rollout begins.
	Plan *strategy.Plan `json:"plan,omitempty"`
	// Outcome is set when it ends.
	Outcome Outcome `json:"outcome,omitempty"`
	// Verdict is what a check said.
	Verdict *journal.Verdict `json:"verdict,omitempty"`
}

// EventKind says what an event tells.
type EventKind string

// The kinds of events.
const (
	EventPlan     EventKind = "plan"     // the plan is made and on record
	EventResume   EventKind = "resume"   // a rollout is taken over
	EventStep     EventKind = "step"     // a step begins
	EventPoll     EventKind = "poll"     // the endpoint was looked at while a step waits
	EventWrite    EventKind = "write"    // a write is about to be sent
	EventRetry    EventKind = "retry"    // an error that is waited out
	EventDone     EventKind = "done"     // a step is done
	EventFail     EventKind = "fail"     // a step failed
	EventRollback EventKind = "rollback" // the rollout goes back
	EventCommit   EventKind = "commit"   // the commit point is passed
	EventCheck    EventKind = "check"    // a check was asked, see Verdict
	EventHold     EventKind = "hold"     // a person's decision is waited for
	EventDecision EventKind = "decision" // a person decided
	EventDrift    EventKind = "drift"    // somebody else's change was found and left alone
	EventMissed   EventKind = "missed"   // a scheduled change of capacity was due while autoscaling was suspended
	EventEnd      EventKind = "end"      // the rollout ended, or nobody drives it any more
)

// String renders the event as one line for people, without its time.
func (e Event) String() string {
	at := ""
	if e.Step != "" {
		way := ""
		if e.Rollback {
			way = "back "
		}
		at = fmt.Sprintf("[%s%d/%d] %s", way, e.N, e.Of, e.Step)
		if e.Text != "" {
			at += ": "
		}
	}
	line := at + e.Text
	switch e.Kind {
	case EventDone, EventCommit:
		return line + " ✓"
	case EventFail:
		return line + " ✗"
	case EventPlan, EventResume, EventStep, EventPoll, EventWrite, EventRetry, EventRollback, EventCheck, EventHold, EventDecision, EventDrift, EventMissed, EventEnd:
	}
	return line
}

// Text returns an observer that writes a line for each event but polls that
// saw nothing new. Errors of w are ignored. A nil w is refused by [WithObserver].
func Text(w io.Writer) func(context.Context, Event) {
	if w == nil {
		return nil
	}
	var last string
	return func(_ context.Context, e Event) {
		line := e.String()
		if e.Kind == EventPoll && (line == last || e.Text == "") {
			return
		}
		last = line
		fmt.Fprintf(w, "%s  %s\n", e.Time.Format(time.TimeOnly), line)
	}
}

// Slog returns an observer that logs each event with the context of the rollout,
// from which a handler may take a trace. The levels say what to do about it: debug
// for polls, writes and checks that pass, warn for what went wrong or another
// changed, error for a rollout that ends incomplete, and info for all else. A nil
// l is refused by [WithObserver].
func Slog(l *slog.Logger) func(context.Context, Event) {
	if l == nil {
		return nil
	}
	return func(ctx context.Context, e Event) {
		attrs := []slog.Attr{
			slog.String("kind", string(e.Kind)), slog.String("endpoint", e.Endpoint), slog.String("rollout", e.Rollout),
		}
		if e.Step != "" {
			attrs = append(attrs, slog.String("step", e.Step), slog.Bool("rollback", e.Rollback))
		}
		if e.Status != nil {
			attrs = append(attrs, slog.String("phase", e.Status.Phase.String()), slog.String("desired", e.Status.Desired.String()))
		}
		if e.Outcome != "" {
			attrs = append(attrs, slog.String("outcome", string(e.Outcome)))
		}
		l.LogAttrs(ctx, level(&e), cmp.Or(e.Text, string(e.Kind)), attrs...)
	}
}

// level is what an event is logged at.
func level(e *Event) slog.Level {
	switch e.Kind {
	case EventPoll, EventWrite:
		return slog.LevelDebug
	case EventCheck:
		if e.Verdict != nil && e.Verdict.Result == string(ResultPass) {
			return slog.LevelDebug
		}
		return slog.LevelWarn
	case EventFail, EventRollback, EventDrift, EventRetry, EventMissed:
		return slog.LevelWarn
	case EventEnd:
		switch e.Outcome {
		case OutcomeIncomplete, OutcomeGone:
			return slog.LevelError
		case OutcomeRolledBack, OutcomeSuperseded, OutcomeDetached, OutcomeRefused, OutcomeAbandoned:
			return slog.LevelWarn
		case OutcomeNothing, OutcomeNoOp, OutcomeSucceeded:
		}
	case EventPlan, EventResume, EventStep, EventDone, EventCommit, EventHold, EventDecision:
	}
	return slog.LevelInfo
}
