package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/vbauerster/mpb/v8"

	"github.com/changeover-dev/changeover/rollout"
)

// What stays on a terminal is a line for each step that is over, in order.
func TestLive(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	l := newLive(&b, mpb.WithAutoRefresh())
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
