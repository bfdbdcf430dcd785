package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/page"
)

// writePage writes the timeline of an endpoint's newest rollout as a picture.
// Of a journal that can only be read in part it draws that part.
func writePage(ctx context.Context, store journal.Store, name, path string) error {
	timeline, err := page.Load(ctx, store, name)
	if timeline == nil {
		return fmt.Errorf("-page: %w", err)
	}
	var b bytes.Buffer
	if err := timeline.WriteHTML(&b); err != nil {
		return fmt.Errorf("-page: %w", err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil { //nolint:gosec // it is made to be shown, and holds no secret
		return fmt.Errorf("-page: %w", err)
	}
	return nil
}

// summarize appends the rollout to the summary of a GitHub job, which
// GITHUB_STEP_SUMMARY names. A rollout does not fail for it.
func (c *command) summarize(ctx context.Context, store journal.Store) {
	path := os.Getenv("GITHUB_STEP_SUMMARY")
	if path == "" || c.rollout.Endpoint == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	timeline, _ := page.Load(ctx, store, c.rollout.Endpoint.Name())
	if timeline == nil {
		return // it was refused, and has no journal, or it cannot be read at all
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644) //nolint:gosec // it is GitHub's
	if err == nil {
		err = timeline.WriteMarkdown(file)
		if cerr := file.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		c.display.Note(fmt.Sprintf("the job summary was not written: %v", err))
	}
}
