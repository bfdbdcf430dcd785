package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/vbauerster/mpb/v8"

	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
	"github.com/changeover-dev/changeover/waiter"
)

// What stays on a terminal is a line for each step that is over, in order.
func TestLive(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	l := newLive(&b, mpb.WithAutoRefresh())
	l.colours = false
	for _, e := range []rollout.Event{
		{Kind: rollout.EventPlan, Text: "a → b"},
		{Kind: rollout.EventStep, Step: "update", N: 1, Of: 2},
		{Kind: rollout.EventWrite, Step: "update", N: 1, Of: 2, Text: "revision → b"},
		{Kind: rollout.EventDone, Step: "update", N: 1, Of: 2},
		{Kind: rollout.EventStep, Step: "await serving", N: 2, Of: 2},
		{Kind: rollout.EventPoll, Step: "await serving", N: 2, Of: 2, Text: "1 starting"},
		{Kind: rollout.EventFail, Step: "await serving", N: 2, Of: 2, Text: "unhealthy"},
		{Kind: rollout.EventRollback, Text: "going back"},
		{Kind: rollout.EventEnd, Text: "rolled back"},
	} {
		l.Event(e)
	}
	l.Note("note")
	l.Close()
	l.Close()
	rest := b.String()
	for _, want := range []string{"a → b", "✓ [1/2] update", "✗ [2/2] await serving", "unhealthy", "going back", "note"} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("%q is missing or out of order in %q", want, b.String())
		}
		rest = after
	}
}

// A step that failed stands out, unless NO_COLOR says no; the cursor comes back.
func TestLiveColours(t *testing.T) {
	for no, want := range map[string]bool{"": true, "1": false} {
		t.Setenv("NO_COLOR", no)
		var b bytes.Buffer
		l := newLive(&b, mpb.WithAutoRefresh())
		l.Event(rollout.Event{Kind: rollout.EventStep, Step: "update", N: 1, Of: 2})
		l.Event(rollout.Event{Kind: rollout.EventFail, Step: "update", N: 1, Of: 2, Text: "unhealthy"})
		l.Close()
		if got := strings.Contains(b.String(), red+"✗ [1/2] update"); got != want {
			t.Errorf("NO_COLOR=%q: red: %t in %q", no, got, b.String())
		}
		if !strings.HasPrefix(b.String(), hideCursor) || !strings.HasSuffix(b.String(), showCursor) {
			t.Errorf("the cursor is not hidden and given back: %q", b.String())
		}
	}
}

// The reason of a failure is shown once, with the step that failed.
func TestReasonOnce(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	l := newLines(&b)
	l.Event(rollout.Event{Kind: rollout.EventFail, Step: "update", N: 1, Of: 2, Text: "no such image"})
	l.Event(rollout.Event{Kind: rollout.EventRollback, Text: "going back: update: no such image"})
	if got := b.String(); strings.Count(got, "no such image") != 1 || !strings.Contains(got, "going back: update\n") {
		t.Errorf("shown: %s", got)
	}
}

// How long a step takes is estimated by how long it took before.
func TestEstimate(t *testing.T) {
	t.Parallel()
	var h waiter.History
	for _, d := range []time.Duration{time.Minute, 3 * time.Minute, 2 * time.Minute} {
		h.Add("in-place await serving", "fake/x", d)
	}
	l := &live{history: &h, plan: &strategy.Plan{Strategy: "in-place"}}
	if got := l.usual(rollout.Event{Endpoint: "fake/x", Step: "await serving"}); got != 2*time.Minute {
		t.Errorf("estimate %v, want the median", got)
	}
	l.step, l.began, l.about = "await serving", time.Now(), 2*time.Minute
	if line := l.line(false); !strings.Contains(line, "some 2m0s left") {
		t.Errorf("line %q", line)
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	for line := range strings.SplitSeq(wrap("a plan that was approved is the plan that runs", "  ", 16), "\n") {
		if len(line) > 16 || !strings.HasPrefix(line, "  ") || strings.HasSuffix(line, " ") {
			t.Errorf("line %q", line)
		}
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{
		"-bake": "-bake", "10m": "10m", "a b": "'a b'", "it's": `'it'\''s'`, "": "''", "$HOME": "'$HOME'", "acme/sdxl@sha256:0": "acme/sdxl@sha256:0",
	} {
		if got := quote(arg); got != want {
			t.Errorf("quote(%q) = %s, want %s", arg, got, want)
		}
	}
}
