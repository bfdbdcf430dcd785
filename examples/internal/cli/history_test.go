package cli

import (
	"context"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// rolls moves a new endpoint with the journal directory dir, and returns how
// often it looked while it waited, and what was said about the history.
func rolls(t *testing.T, dir string) (looks int, said string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
			Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3, Start: 8 * time.Minute,
		})
		time.Sleep(20 * time.Minute)
		policy, cancelled := "rollback", "rollback"
		var notes bytes.Buffer
		c := &command{
			Flags: &Flags{Journal: dir, ResumePolicy: &policy, OnCancel: &cancelled, Settle: defaultSettle},
			rollout: Rollout{
				Name: ep.Name(), Endpoint: ep, Strategy: strategy.InPlace{}, Target: rollout.ToRevision("b"),
				Options: []rollout.Option{rollout.WithObserver(func(_ context.Context, e rollout.Event) {
					if e.Kind == rollout.EventPoll {
						looks++
					}
				})},
			},
			display: newLines(&notes),
		}
		report, err := c.run(t.Context())
		if err != nil || report.Outcome != rollout.OutcomeSucceeded {
			t.Fatalf("%+v, %v", report, err)
		}
		for line := range strings.Lines(notes.String()) {
			if strings.Contains(line, "looks as often as the first") || strings.Contains(line, "not kept") {
				said += line
			}
		}
	})
	return looks, said
}

// TestHistory: the second rollout in a journal directory looks when the first
// says that it is likely to be over.
func TestHistory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, said := rolls(t, dir)
	if !strings.Contains(said, dir+" has no record") {
		t.Errorf("the first rollout said %q", said)
	}
	second, said := rolls(t, dir)
	if said != "" {
		t.Errorf("the second rollout said %q", said)
	}
	if second > first*3/4 {
		t.Errorf("%d looks, and %d with what they taught", first, second)
	}
	left, err := filepath.Glob(filepath.Join(dir, historyFile+"*"))
	if err != nil || len(left) != 1 {
		t.Errorf("the directory has %v, %v; want %s alone", left, err, historyFile)
	}
}

// TestHistoryLost: what is wrong with the file costs looks, and is said.
func TestHistoryLost(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t *testing.T, path string){
		"half of it":     func(t *testing.T, path string) { put(t, path, `[{"kind":"in-place`) },
		"empty":          func(t *testing.T, path string) { put(t, path, "") },
		"something else": func(t *testing.T, path string) { put(t, path, `{"a":1}`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, historyFile)
			damage(t, path)
			if _, said := rolls(t, dir); !strings.Contains(said, path+" cannot be read") {
				t.Errorf("it said %q", said)
			}
			if _, said := rolls(t, dir); said != "" {
				t.Errorf("the next rollout said %q, although there is a history again", said)
			}
		})
	}
	t.Run("neither read nor written", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, historyFile, "a directory"), 0o755); err != nil {
			t.Fatal(err)
		}
		_, said := rolls(t, dir)
		if !strings.Contains(said, "cannot be read") || !strings.Contains(said, "not kept") {
			t.Errorf("it said %q", said)
		}
		if left, err := filepath.Glob(filepath.Join(dir, historyFile+".*")); err != nil || len(left) > 0 {
			t.Errorf("it left %v, %v", left, err)
		}
	})
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
