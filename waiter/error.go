package waiter

import (
	"fmt"
	"strings"
	"time"
)

// Error says why a wait ended without its condition, and what was last seen.
// Both the cause and the last error of a poll are found by [errors.Is].
type Error struct {
	// Cause is why the wait ended: the context's cause, or the error of a poll
	// that could not be waited out.
	Cause error
	// Last is the error of the last poll if it is not the cause itself.
	Last error
	// Polls counts the polls, Elapsed is how long the wait took.
	Polls   int
	Elapsed time.Duration
	// Observed is the last successful poll, zero if there was none.
	Observed Observation
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "wait ended after %s in %v: %v", plural(e.Polls, "poll"), e.Elapsed.Round(time.Millisecond), e.Cause)
	var last []string
	if e.Last != nil {
		last = append(last, "last error: "+e.Last.Error())
	}
	if s := e.Observed.Status; s.Phase.String() != "unknown" || e.Observed.Note != "" {
		what := "last seen: " + s.Phase.String()
		if e.Observed.Note != "" {
			what += ", " + e.Observed.Note
		}
		last = append(last, what)
	}
	if len(last) > 0 {
		b.WriteString(" (" + strings.Join(last, "; ") + ")")
	}
	return b.String()
}

// Unwrap returns Cause and Last.
func (e *Error) Unwrap() []error {
	if e.Last == nil {
		return []error{e.Cause}
	}
	return []error{e.Cause, e.Last}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
