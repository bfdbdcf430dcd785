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

// terminating are the signals that end a program: an interrupt, a request to
// terminate, the end of its terminal or SSH session, and a quit, which would kill
// it with a dump of its goroutines. Each of them means the same.
var terminating = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}

// listen returns a context that the first of the terminating signals cancels. The
// second one stops even the rollback. One that was ignored when the program was
// started, as nohup has it ignore SIGHUP, stays ignored. The library installs no handler: what a
// signal means is for the program to say.
func (c *command) listen() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	c.abandon = make(chan struct{})
	signals := make(chan os.Signal, 2)
	for _, s := range terminating {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
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
