package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/changeover-dev/changeover/rollout"
)

// Display shows how a rollout goes. Event is for one goroutine at a time, Note
// for any.
type Display interface {
	Event(e rollout.Event)
	// Note shows a line that is no event.
	Note(text string)
	// Close ends the display, so that others can write where it did. It may be
	// called again.
	Close()
}

// Observe lets a display show a rollout.
func Observe(d Display) rollout.Option {
	return rollout.WithObserver(func(_ context.Context, e rollout.Event) { d.Event(e) })
}

// NewDisplay returns a live display if w is a terminal, and plain lines else.
func NewDisplay(w *os.File) Display {
	if os.Getenv("TERM") != "dumb" && (isatty.IsTerminal(w.Fd()) || isatty.IsCygwinTerminal(w.Fd())) {
		return newLive(w)
	}
	return newLines(w)
}

// lines is a line for each event.
type lines struct {
	w      io.Writer
	show   func(context.Context, rollout.Event)
	failed string
}

func newLines(w io.Writer) *lines { return &lines{w: w, show: rollout.Text(w)} }

func (l *lines) Event(e rollout.Event) {
	e = short(e, l.failed)
	if e.Kind == rollout.EventFail {
		l.failed = e.Text
	}
	l.show(context.Background(), e)
}

func (l *lines) Note(text string) { fmt.Fprintln(l.w, text) }

func (*lines) Close() {}

// jsonLines is a JSON object for each event, on stdout. It keeps back the end
// of the rollout, to which the report belongs.
type jsonLines struct {
	mu    sync.Mutex
	w     io.Writer
	notes io.Writer
	last  rollout.Event
}

func newJSON(w, notes io.Writer) *jsonLines { return &jsonLines{w: w, notes: notes} }

func (j *jsonLines) Event(e rollout.Event) {
	if e.Kind == rollout.EventEnd {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.last = e
		return
	}
	_ = j.write(e) // progress is not worth failing for
}

func (j *jsonLines) write(v any) error {
	line, err := readable(v)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	_, err = j.w.Write(append(line, '\n'))
	return err
}

func (j *jsonLines) Note(text string) { fmt.Fprintln(j.notes, text) }

func (*jsonLines) Close() {}

// end is the last line of the output.
type end struct {
	rollout.Event
	Report *rollout.Report `json:"report,omitempty"`
	Error  string          `json:"error,omitempty"`
	Exit   int             `json:"exit"`
}

func (j *jsonLines) end(name string, report *rollout.Report, err error, status int) {
	j.mu.Lock()
	line := end{Event: j.last, Report: report, Exit: status}
	j.mu.Unlock()
	line.Kind, line.Endpoint = rollout.EventEnd, name
	if line.Time.IsZero() {
		line.Time = time.Now()
	}
	if err != nil {
		line.Error = err.Error()
	}
	switch {
	case report != nil && report.Outcome != rollout.OutcomeRefused:
		line.Outcome = report.Outcome
	case status == exitBack:
		line.Outcome = "cancelled"
	case status == exitRefused, status == exitIncomplete:
		line.Outcome = rollout.OutcomeRefused
	}
	_ = j.write(line)
}

// failures keeps what the display has shown of steps that failed, so that it is
// not said again.
type failures struct {
	mu    sync.Mutex
	texts []string
}

func (f *failures) note(_ context.Context, e rollout.Event) {
	if e.Kind == rollout.EventFail {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.texts = append(f.texts, e.Text)
	}
}

// has reports whether a text was shown.
func (f *failures) has(text string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.texts, text)
}

// short is an event as people get it: the reason of a rollback stands in the line
// of the step that failed.
func short(e rollout.Event, failed string) rollout.Event {
	if e.Kind == rollout.EventRollback && failed != "" && strings.HasSuffix(e.Text, failed) {
		e.Text = strings.TrimSuffix(strings.TrimSpace(strings.TrimSuffix(e.Text, failed)), ":")
	}
	return e
}
