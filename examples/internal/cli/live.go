package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/changeover-dev/changeover/rollout"
)

// live shows the step under way on one line that moves, and above it a line
// for each step that is over.
type live struct {
	progress *mpb.Progress
	bar      *mpb.Bar // nil until the first step
	close    sync.Once

	mu    sync.Mutex
	step  string // "" between steps
	note  string
	began time.Time
}

var frames = []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")

func newLive(w io.Writer, opts ...mpb.ContainerOption) *live {
	l := &live{}
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
	return fmt.Sprintf("%c %s  %v  %s", frame, l.step, elapsed.Round(100*time.Millisecond), l.note)
}

func (l *live) Event(e rollout.Event) {
	switch e.Kind {
	case rollout.EventStep:
		l.begin(e.String())
	case rollout.EventPoll, rollout.EventWrite, rollout.EventRetry:
		l.mu.Lock()
		l.note = strings.ReplaceAll(e.Text, "\n", " ")
		l.mu.Unlock()
	case rollout.EventDone, rollout.EventCommit:
		l.over("✓", e.Text)
	case rollout.EventFail:
		l.over("✗", e.Text)
	case rollout.EventPlan, rollout.EventResume, rollout.EventRollback, rollout.EventDrift, rollout.EventMissed:
		l.Note(e.Text)
	case rollout.EventEnd: // the outcome is shown when the display is closed
	}
}

func (l *live) begin(step string) {
	l.mu.Lock()
	l.step, l.note, l.began = step, "", time.Now()
	l.mu.Unlock()
	if l.bar == nil {
		l.bar = l.progress.New(0, mpb.NopStyle(), mpb.BarFillerTrim(),
			mpb.PrependDecorators(decor.Any(func(s decor.Statistics) string { return l.line(s.Aborted) })))
	}
}

// over moves the step up to those that are over.
func (l *live) over(mark, text string) {
	l.mu.Lock()
	step, elapsed := l.step, time.Since(l.began).Round(100*time.Millisecond)
	l.step = ""
	l.mu.Unlock()
	if text != "" {
		text = "  " + text
	}
	if step == "" {
		l.Note(mark + text)
		return
	}
	l.Note(fmt.Sprintf("%s %s  %v%s", mark, step, elapsed, text))
}

func (l *live) Note(text string) { fmt.Fprintln(l.progress, text) }

func (l *live) Close() {
	l.close.Do(func() {
		if l.bar != nil {
			l.bar.Abort(true)
		}
		l.progress.Wait()
	})
}
