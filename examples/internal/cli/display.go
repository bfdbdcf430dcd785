package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
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
	w    io.Writer
	show func(context.Context, rollout.Event)
}

func newLines(w io.Writer) *lines { return &lines{w, rollout.Text(w)} }

func (l *lines) Event(e rollout.Event) { l.show(context.Background(), e) }

func (l *lines) Note(text string) { fmt.Fprintln(l.w, text) }

func (*lines) Close() {}

// jsonLines is a JSON object for each event, on stdout. It keeps back the end
// of the rollout, to which the report belongs.
type jsonLines struct {
	mu    sync.Mutex
	w     *json.Encoder
	notes io.Writer
	last  rollout.Event
}

func newJSON(w, notes io.Writer) *jsonLines { return &jsonLines{w: json.NewEncoder(w), notes: notes} }

func (j *jsonLines) Event(e rollout.Event) {
	if e.Kind == rollout.EventEnd {
		j.last = e
		return
	}
	j.write(e)
}

func (j *jsonLines) write(v any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	_ = j.w.Encode(v) // progress is not worth failing for
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
	line := end{Event: j.last, Report: report, Exit: status}
	line.Kind, line.Endpoint = rollout.EventEnd, name
	if line.Time.IsZero() {
		line.Time = time.Now()
	}
	if err != nil {
		line.Error = err.Error()
	}
	switch {
	case report != nil:
		line.Outcome = report.Outcome
	case status == exitBack:
		line.Outcome = "cancelled"
	case status == exitRefused:
		line.Outcome = "refused"
	}
	j.write(line)
}
