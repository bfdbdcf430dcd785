package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// Rollout is what a program makes of its own flags.
type Rollout struct {
	// Name is the endpoint's, as the journal has it. The rest is not needed
	// with -explain, nor Strategy and Target with -resume.
	Name     string
	Endpoint endpoint.Updater
	Strategy strategy.Strategy
	Target   rollout.Target
	Options  []rollout.Option
	// Advice says what to do about a refusal, in terms of the program's own
	// flags; "" if it has nothing to say. It may be nil.
	Advice func(error) string
	// Remarks are what else people should know of a rollout that ended, a line
	// each. It may be nil.
	Remarks func(*rollout.Report) []string
}

// Main parses the command line, does what the flags say, and returns the exit
// status. prepare is called once the flags are parsed; its errors are usage
// errors.
func Main(flags *flag.FlagSet, f *Flags, prepare func() (Rollout, error)) int {
	c := &command{Flags: f, program: flags.Name(), display: newLines(os.Stderr)}
	err := f.parse(flags, os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case f.JSON:
		c.display = newJSON(os.Stdout, os.Stderr)
	case err == nil:
		c.display = NewDisplay(os.Stderr)
	}
	if err != nil {
		return c.finish(nil, err)
	}
	ctx := c.listen()
	if c.rollout, err = prepare(); err != nil {
		return c.finish(nil, err)
	}
	return c.finish(c.run(ctx))
}

// command is one run of a program.
type command struct {
	*Flags
	program string
	rollout Rollout
	display Display
	abandon chan struct{} // closed by the second signal
}

func (c *command) run(ctx context.Context) (*rollout.Report, error) {
	switch {
	case c.Explain:
		return nil, c.explain(ctx)
	case c.Plan:
		return nil, c.preview(ctx)
	}
	store, err := c.store(ctx)
	if err != nil {
		return nil, err
	}
	opts := append(c.options(), Observe(c.display))
	if c.abandon != nil {
		opts = append(opts, rollout.WithHardStop(c.abandon))
	}
	opts = append(opts, c.rollout.Options...)
	if c.Journal != "" {
		m := c.recall()
		defer c.keep(m)
		opts = append(opts, rollout.WithHistory(&m.History))
	}
	if c.Resume {
		return rollout.Resume(ctx, store, c.rollout.Endpoint, opts...)
	}
	return rollout.Run(ctx, store, c.rollout.Endpoint, c.rollout.Strategy, c.rollout.Target, opts...)
}

func (c *command) preview(ctx context.Context) error {
	r := c.rollout
	plan, err := rollout.Preview(ctx, r.Endpoint, r.Strategy, r.Target, append(c.options(), r.Options...)...)
	if err != nil {
		return err
	}
	if c.JSON {
		c.display.Event(rollout.Event{Kind: rollout.EventPlan, Endpoint: plan.Endpoint, Rollout: plan.Rollout, Plan: plan})
		return nil
	}
	return say(os.Stdout, "%s", plan)
}

func (c *command) explain(ctx context.Context) error {
	store, err := c.store(ctx)
	if err != nil {
		return err
	}
	text, err := rollout.Explain(ctx, store, c.rollout.Name)
	if err != nil {
		return err
	}
	if c.JSON {
		c.display.Event(rollout.Event{Kind: "explain", Endpoint: c.rollout.Name, Text: text})
		return nil
	}
	return say(os.Stdout, "%s", text)
}

// store opens the journal. What only reads one does not make one.
func (c *command) store(ctx context.Context) (journal.Store, error) {
	if c.Journal == "" {
		c.display.Note("no -journal is given: if this program dies, the rollout cannot be resumed")
		return journal.NewMemory(), nil
	}
	if _, err := os.Stat(c.Journal); c.TargetOptional() && errors.Is(err, fs.ErrNotExist) {
		c.display.Note(fmt.Sprintf("the journal directory %s does not exist", c.Journal))
		return journal.NewMemory(), nil
	}
	files, err := journal.NewFiles(c.Journal)
	if err != nil {
		return nil, Advise(fmt.Errorf("-journal %s: %w", c.Journal, err), "name a directory that this user may read and write")
	}
	if c.Resume {
		return files, c.misled(ctx, files)
	}
	return files, nil
}

// misled refuses to resume an endpoint that has no journal in a directory in
// which a rollout of another one is unfinished: to say "nothing to resume"
// because of a slip in -endpoint would leave that one half-changed.
func (c *command) misled(ctx context.Context, files *journal.Files) error {
	own := files.Path(c.rollout.Name)
	if _, err := os.Stat(own); err == nil {
		return nil
	}
	paths, err := filepath.Glob(filepath.Join(escapeGlob(c.Journal), "*"+filepath.Ext(own)))
	if err != nil {
		return err
	}
	for _, path := range paths {
		name, err := url.PathUnescape(strings.TrimSuffix(filepath.Base(path), filepath.Ext(own)))
		if err != nil || files.Path(name) != path {
			continue
		}
		records, err := files.Load(ctx, name)
		if err == nil && len(records) > 0 && records[len(records)-1].Kind != journal.KindEnd {
			return Advise(fmt.Errorf("-journal %s holds nothing of %s, but an unfinished rollout of %s: %w",
				c.Journal, c.rollout.Name, name, journal.ErrForeignJournal), "name that endpoint, or the directory that this one's rollout was given")
		}
	}
	return nil
}

// escapeGlob makes a path a pattern that matches itself.
func escapeGlob(path string) string {
	return strings.NewReplacer(`[`, `[[]`, `*`, `[*]`, `?`, `[?]`).Replace(path)
}
