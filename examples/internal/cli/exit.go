package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

// The exit statuses, the same for every example.
const (
	exitOK         = 0 // serves the target, or there was nothing to do
	exitBack       = 1 // serves the source, every guarded value as before
	exitRefused    = 2 // refused before anything was changed
	exitIncomplete = 3 // something remains, and stderr says what
)

// status tells the exit status from how a rollout ended.
func (c *command) status(report *rollout.Report, err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, rollout.ErrRolledBack), errors.Is(err, rollout.ErrSuperseded):
		return exitBack
	case errors.Is(err, rollout.ErrIncomplete), errors.Is(err, rollout.ErrDetached):
		return exitIncomplete
	case errors.Is(err, context.Canceled) && c.Resume && (report == nil || report.Resumed == nil):
		return exitIncomplete // what there was to finish is not finished
	case errors.Is(err, context.Canceled):
		return exitBack
	}
	return exitRefused
}

// finish tells people and machines how it ended, and returns the exit status.
func (c *command) finish(report *rollout.Report, err error) int {
	status := c.status(report, err)
	c.display.Close()
	if j, ok := c.display.(*jsonLines); ok && !(err == nil && (c.Plan || c.Explain)) {
		j.end(c.rollout.Name, report, err, status)
	} else if !ok && report != nil && report.Outcome != rollout.OutcomeRefused {
		if report.Resumed != nil {
			say(os.Stdout, "before that: %s", Outcome(c.rollout.Name, report.Resumed)) //nolint:errcheck // the report says it too
		}
		say(os.Stdout, "%s", Outcome(c.rollout.Name, report)) //nolint:errcheck // the exit status says it too
	}
	if report != nil && report.DroppedEvents > 0 {
		say(os.Stderr, "note: %d events could not be shown\n%s", report.DroppedEvents, report.ObserverPanic) //nolint:errcheck // it is no more than that
	}
	if report != nil && c.rollout.Remarks != nil {
		for _, r := range c.rollout.Remarks(report) {
			say(os.Stderr, "note: %s\n", r) //nolint:errcheck // the report has what they are made of
		}
	}
	if err != nil {
		say(os.Stderr, "%s", c.complaint(err, status)) //nolint:errcheck // there is nowhere else to say it
	}
	return status
}

// complaint says what is wrong and what to do next.
func (c *command) complaint(err error, status int) string {
	var b strings.Builder
	var rerr *rollout.Error
	switch {
	case errors.As(err, &rerr) && rerr.Outcome != rollout.OutcomeRefused:
		short := *rerr // what remains goes on lines of its own
		short.Residue, short.Next = nil, ""
		if short.Cause != nil && !c.JSON && c.shown.has(short.Cause.Error()) {
			short.Cause = errors.New("the reason is above")
		}
		fmt.Fprintf(&b, "%s: %v\n", c.program, &short)
		for _, r := range rerr.Residue {
			fmt.Fprintf(&b, "remains: %s\n", r)
		}
	case status == exitBack:
		fmt.Fprintf(&b, "%s: %v; nothing was changed\n", c.program, err)
	case status == exitIncomplete:
		fmt.Fprintf(&b, "%s: %v; this run changed nothing, and what the journal holds is not finished\n", c.program, err)
	default:
		fmt.Fprintf(&b, "%s: refused, nothing was changed: %v\n", c.program, err)
	}
	switch {
	case status == exitIncomplete && rerr != nil && errors.Is(err, journal.ErrConflict):
		fmt.Fprintf(&b, "next: another runner has taken the rollout over; -explain shows how it goes\n")
	case status == exitIncomplete, errors.Is(err, rollout.ErrUnfinished):
		b.WriteString(c.howToResume())
		if open := rerr == nil || rerr.Outcome == rollout.OutcomeDetached || rerr.Outcome == rollout.OutcomeRefused; open && c.Journal != "" && *c.ResumePolicy == "rollback" {
			b.WriteString("             (it rolls back unless the commit point was passed; -resume-policy forward goes on)\n")
		}
	case status == exitRefused:
		if next := c.advice(err); next != "" {
			fmt.Fprintf(&b, "next: %s\n", next)
		}
	}
	return b.String()
}

// howToResume prints the command line that finishes the rollout. It has no
// key: those are in the environment.
func (c *command) howToResume() string {
	if c.Journal == "" {
		return "next: there is no journal to resume from: do by hand what remains\n"
	}
	line := make([]string, 0, len(os.Args)+1)
	for i, arg := range os.Args {
		flagged := func(s string) bool { return s == "-apply" || s == "--apply" }
		if flagged(arg) || i > 0 && flagged(os.Args[i-1]) || strings.HasPrefix(strings.TrimLeft(arg, "-"), "apply=") {
			continue // the journal has the plan
		}
		line = append(line, quote(arg))
	}
	if !c.Resume {
		line = append(line, "-resume")
	}
	return "resume with: " + strings.Join(line, " ") + "\n"
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// quote makes an argument one word to a shell.
func quote(arg string) string {
	if plain.MatchString(arg) {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}

// Advise adds to an error what to do about it.
func Advise(err error, next string) error { return &advised{err, next} }

type advised struct {
	error
	next string
}

func (a *advised) Unwrap() error { return a.error }

// advice is what to do about a refusal.
func (c *command) advice(err error) string {
	var a *advised
	if errors.As(err, &a) {
		return a.next
	}
	if c.rollout.Advice != nil {
		if next := c.rollout.Advice(err); next != "" {
			return next
		}
	}
	for _, known := range []struct {
		err  error
		next string
	}{
		{journal.ErrForeignJournal, "name the endpoint that the journal is of, or another -journal directory"},
		{journal.ErrDamaged, "read the file; move it away only if you know that no rollout is unfinished"},
		{rollout.ErrStale, "make a new plan with -plan -json, have it approved, and apply that"},
		{rollout.ErrFrozen, "wait until the window is over"},
		{rollout.ErrDecided, "-explain shows the decision that counts"},
		{rollout.ErrNothingToDecide, "-explain shows what the rollout waits for"},
		{endpoint.ErrSameArtifact, "give the new revision an artifact with a name of its own"},
		{endpoint.ErrBusy, "wait until the other rollout has ended"},
		{endpoint.ErrQuota, "lower the capacity elsewhere, or ask the provider for more"},
		{endpoint.ErrThrottled, "try again later"},
		{endpoint.ErrUnavailable, "check the URLs and the network, and try again"},
		// The error that keeps it from being seen to be ready says more.
		{rollout.ErrNotReady, "wait until the change in progress is over, or allow more time with -timeout"},
	} {
		if errors.Is(err, known.err) {
			return known.next
		}
	}
	return ""
}

// Outcome renders a report for people, over several lines.
func Outcome(name string, r *rollout.Report) string {
	var b strings.Builder
	now := r.Status.Desired.String()
	switch r.Outcome {
	case rollout.OutcomeRefused:
		return "" // the error says it
	case rollout.OutcomeNothing:
		fmt.Fprintf(&b, "nothing to resume: no rollout of %s is unfinished\n", name)
		return b.String()
	case rollout.OutcomeNoOp:
		fmt.Fprintf(&b, "no-op: %s serves %s already, nothing was sent\n", name, now)
	case rollout.OutcomeSucceeded:
		fmt.Fprintf(&b, "succeeded: %s serves %s", name, now)
		if r.Proof != "" {
			fmt.Fprintf(&b, ", proven by %s", r.Proof)
		}
		fmt.Fprintf(&b, ", after %v\n", took(r))
	case rollout.OutcomeRolledBack:
		fmt.Fprintf(&b, "rolled back: %s serves %s, as before, after %v\n", name, now, took(r))
	case rollout.OutcomeSuperseded:
		fmt.Fprintf(&b, "superseded: %s serves %s, which another party set; the rollout's own changes are undone\n", name, now)
	case rollout.OutcomeDetached, rollout.OutcomeIncomplete, rollout.OutcomeGone, rollout.OutcomeAbandoned:
		fmt.Fprintf(&b, "%s: %s was last seen on %s\n", r.Outcome, name, now)
	}
	for _, key := range r.Status.Settings.Keys() {
		fmt.Fprintf(&b, "  read back: %s=%d\n", key, r.Status.Settings[key])
	}
	for _, d := range r.Drift {
		fmt.Fprintf(&b, "  drift: %s\n", d)
	}
	for _, l := range r.Leftovers {
		fmt.Fprintf(&b, "  left over: %s\n", l)
	}
	return b.String()
}

func took(r *rollout.Report) time.Duration {
	return r.Finished.Sub(r.Began).Round(100 * time.Millisecond)
}

func say(w io.Writer, format string, args ...any) error {
	_, err := fmt.Fprintf(w, format, args...)
	return err
}
