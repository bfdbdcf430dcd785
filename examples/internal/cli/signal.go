package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// stopTime is how long the engine gets to put on record that it was told to
// stop at once. It needs milliseconds, unless the disk hangs.
const stopTime = 3 * time.Second

// listen returns a context that the first SIGINT or SIGTERM cancels. The
// second one stops even the way back. The library installs no handler: what a
// signal means is for the program to say.
func (c *command) listen() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	c.abandon = make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	// Whoever reads the output may leave, as head does. That must not kill a
	// rollout half-way.
	signal.Ignore(syscall.SIGPIPE)
	go func() {
		first := <-signals
		c.display.Note(fmt.Sprintf("%v: %s; once more stops at once", first, c.onCancel()))
		cancel(fmt.Errorf("%v: %w", first, context.Canceled))
		second := <-signals
		c.display.Note(fmt.Sprintf("%v again: stopping at once", second))
		close(c.abandon)
		time.AfterFunc(stopTime, func() {
			err := fmt.Errorf("%s: stopped at once by a second signal; what remains is in the journal", c.program)
			say(os.Stderr, "%v\n%s", err, c.howToResume()) //nolint:errcheck // the exit status says it too
			os.Exit(exitIncomplete)
		})
	}()
	return ctx
}

func (c *command) onCancel() string {
	if *c.OnCancel == "detach" {
		return "leaving the rollout as it stands"
	}
	return "going back"
}
