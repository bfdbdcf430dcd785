package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// live shows the step under way on one line that moves, and above it a line
// for each step that is over.
type live struct {
	w        io.Writer
	progress *mpb.Progress
	bar      *mpb.Bar // nil until the first step
	close    sync.Once

	mu    sync.Mutex
	step  string // "" between steps
	note  string
	began time.Time
	about time.Duration // how long the step took before; 0 if that is not known

	failed  string
	colours bool
	plan    *strategy.Plan
	history *waiter.History
}

// The codes of a terminal.
const (
	hideCursor, showCursor = "\x1b[?25l", "\x1b[?25h"
	red, green, yellow     = "\x1b[1;31m", "\x1b[32m", "\x1b[33m"
	plainText              = "\x1b[0m"
)

var frames = []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")

func newLive(w io.Writer, opts ...mpb.ContainerOption) *live {
	l := &live{w: w, colours: os.Getenv("NO_COLOR") == ""}
	fmt.Fprint(w, hideCursor)
	opts = append([]mpb.ContainerOption{mpb.WithOutput(w), mpb.WithRefreshRate(100 * time.Millisecond)}, opts...)
	l.progress = mpb.New(opts...)
	return l
}

// line is the line that moves. mpb cuts it to the width of the terminal.
func (l *live) line(over bool) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.step == "" || over {
		return ""
	}
	elapsed := time.Since(l.began)
	frame := frames[int(elapsed/(100*time.Millisecond))%len(frames)]
	left := ""
	if l.about > elapsed {
		left = fmt.Sprintf(", some %v left", (l.about - elapsed).Round(time.Second))
	}
	return fmt.Sprintf("%c %s  %v%s  %s", frame, l.step, elapsed.Round(100*time.Millisecond), left, l.note)
}

// learn lets the display say how long a step takes by how long it took before.
func (l *live) learn(h *waiter.History) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.history = h
}

// usual is the median of how long a step of the rollout took before.
func (l *live) usual(e rollout.Event) time.Duration {
	if l.history == nil || l.plan == nil {
		return 0
	}
	all := slices.Clone(l.history.Durations(l.plan.Strategy+" "+e.Step, e.Endpoint))
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// in gives a text a colour.
func (l *live) in(colour, text string) string {
	if !l.colours {
		return text
	}
	return colour + text + plainText
}

func (l *live) Event(e rollout.Event) {
	e = short(e, l.failed)
	if e.Plan != nil {
		l.plan = e.Plan
	}
	switch e.Kind {
	case rollout.EventStep:
		l.begin(e)
	case rollout.EventPoll, rollout.EventWrite, rollout.EventRetry:
		l.mu.Lock()
		waiting := l.step == "" && e.Step == ""
		l.mu.Unlock()
		if waiting { // before the first step
			l.begin(rollout.Event{Text: "before the rollout begins"})
		}
		l.mu.Lock()
		l.note = strings.ReplaceAll(e.Text, "\n", " ")
		l.mu.Unlock()
	case rollout.EventDone, rollout.EventCommit:
		l.over(green, "✓", e.Text)
	case rollout.EventFail:
		l.failed = e.Text
		l.over(red, "✗", e.Text)
	case rollout.EventRollback, rollout.EventDrift:
		l.Note(l.in(yellow, e.Text))
	case rollout.EventPlan, rollout.EventResume:
		l.mu.Lock()
		l.step = ""
		l.mu.Unlock()
		l.Note(e.Text)
	case rollout.EventEnd: // the outcome is shown when the display is closed
	case rollout.EventCheck, rollout.EventHold, rollout.EventDecision, rollout.EventMissed:
		l.Note(e.String())
	default: // a later kind
		l.Note(e.String())
	}
}

func (l *live) begin(e rollout.Event) {
	l.mu.Lock()
	l.step, l.note, l.began, l.about = e.String(), "", time.Now(), l.usual(e)
	l.mu.Unlock()
	if l.bar == nil {
		l.bar = l.progress.New(0, mpb.NopStyle(), mpb.BarFillerTrim(),
			mpb.PrependDecorators(decor.Any(func(s decor.Statistics) string { return l.line(s.Aborted) })))
	}
}

// over moves the step up to those that are over.
func (l *live) over(colour, mark, text string) {
	l.mu.Lock()
	step, elapsed := l.step, time.Since(l.began).Round(100*time.Millisecond)
	l.step = ""
	l.mu.Unlock()
	if text != "" {
		text = "  " + text
	}
	if step == "" {
		l.Note(l.in(colour, mark) + text)
		return
	}
	if colour == red { // all of it: it stands out
		l.Note(l.in(colour, fmt.Sprintf("%s %s  %v%s", mark, step, elapsed, text)))
		return
	}
	l.Note(fmt.Sprintf("%s %s  %v%s", l.in(colour, mark), step, elapsed, text))
}

// Note shows lines, broken at words where they are longer than the terminal is wide.
func (l *live) Note(text string) {
	columns := 100
	if f, ok := l.w.(*os.File); ok {
		columns = width(f)
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if len([]rune(line)) > columns {
			indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
			line = wrap(line, indent, columns)
		}
		fmt.Fprintln(l.progress, line)
	}
}

func (l *live) Close() {
	l.close.Do(func() {
		if l.bar != nil {
			l.bar.Abort(true)
		}
		l.progress.Wait()
		fmt.Fprint(l.w, showCursor)
	})
}
