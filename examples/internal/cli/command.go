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
	"time"

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
	// Checks are those of the program's own flags.
	Checks []Check
	// Advice says what to do about a refusal, in terms of the program's own
	// flags; "" if it has nothing to say. It may be nil.
	Advice func(error) string
	// Print, if it is not empty, is printed instead of anything else.
	Print string
	// Remarks are what else people should know of a rollout that ended, a line
	// each. It may be nil.
	Remarks func(*rollout.Report) []string
	// Agrees says what of the program's own flags is not as a plan has it that is
	// carried out as it is; nil if all is. It may be nil.
	Agrees func(*strategy.Plan) error
}

// Main parses the command line, does what the flags say, and returns the exit
// status. prepare is called once the flags are parsed; its errors are usage
// errors.
func Main(f *Flags, h Help, prepare func() (Rollout, error)) int {
	c := &command{Flags: f, program: f.set.Name(), display: newLines(os.Stderr)}
	// A terminal gets its cursor back whatever happens.
	defer func() { c.display.Close() }()
	err := f.parse(os.Args[1:], h)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err == nil && f.Version:
		say(os.Stdout, "%s\n", version(c.program)) //nolint:errcheck // there is nowhere else to say it
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
	if c.rollout.Print != "" {
		c.display.Close()
		say(os.Stdout, "%s\n", c.rollout.Print) //nolint:errcheck // there is nowhere else to say it
		return exitOK
	}
	if f.plan != nil && c.rollout.Agrees != nil {
		if err := c.rollout.Agrees(f.plan); err != nil {
			return c.finish(nil, Advise(err, "leave it out, or make a new plan"))
		}
	}
	return c.finish(c.run(ctx))
}

// command is one run of a program.
type command struct {
	*Flags
	program string
	rollout Rollout
	display Display
	shown   failures
	abandon chan struct{} // closed by the second signal
}

func (c *command) run(ctx context.Context) (*rollout.Report, error) {
	switch {
	case c.Explain:
		return nil, c.explain(ctx)
	case c.Decide != "":
		return nil, c.decide(ctx)
	case c.Abandon != "":
		return c.giveUp(ctx)
	case c.Plan:
		return nil, c.preview(ctx)
	}
	store, err := c.store(ctx)
	if err != nil {
		return nil, err
	}
	opts := append(c.options(c.rollout.Checks), Observe(c.display), rollout.WithObserver(c.shown.note))
	if c.abandon != nil {
		opts = append(opts, rollout.WithHardStop(c.abandon))
	}
	if c.plan == nil {
		opts = append(opts, c.rollout.Options...)
	}
	if c.Journal != "" {
		m := c.recall()
		defer c.keep(m)
		opts = append(opts, rollout.WithHistory(&m.History))
		if l, ok := c.display.(*live); ok {
			l.learn(&m.History)
		}
	}
	defer c.summarize(context.WithoutCancel(ctx), store)
	u := c.rollout.Endpoint
	switch {
	case c.plan != nil:
		return rollout.Apply(ctx, store, u, c.plan, opts...)
	case c.Resume && !c.Then:
		return rollout.Resume(ctx, store, u, opts...)
	}
	return rollout.Run(ctx, store, u, c.rollout.Strategy, c.rollout.Target, opts...)
}

func (c *command) preview(ctx context.Context) error {
	r := c.rollout
	opts := append(c.options(r.Checks), r.Options...)
	if !c.JSON { // which is the plan alone, for -apply
		opts = append(opts, Observe(c.display))
	}
	plan, err := rollout.Preview(ctx, r.Endpoint, r.Strategy, r.Target, opts...)
	if err != nil {
		return err
	}
	if j, ok := c.display.(*jsonLines); ok {
		return j.write(rollout.Event{Time: time.Now(), Kind: rollout.EventPlan, Endpoint: plan.Endpoint, Rollout: plan.Rollout, Plan: plan})
	}
	c.display.Close()
	return say(os.Stdout, "%s", plan)
}

// explained is the line of -explain -json.
type explained struct {
	Time     time.Time         `json:"time"`
	Kind     rollout.EventKind `json:"kind"` // "explain"
	Endpoint string            `json:"endpoint"`
	State    *rollout.State    `json:"state"`
	Records  []journal.Record  `json:"records"` // of the newest rollout
}

func (c *command) explain(ctx context.Context) error {
	store, err := c.store(ctx)
	if err != nil {
		return err
	}
	if c.Page != "" {
		if err := writePage(ctx, store, c.rollout.Name, c.Page); err != nil {
			return Advise(err, "name a file that this user may write, and an endpoint that has a journal")
		}
	}
	j, ok := c.display.(*jsonLines)
	if !ok {
		text, err := rollout.Explain(ctx, store, c.rollout.Name)
		c.display.Close()
		return errors.Join(say(os.Stdout, "%s", text), err)
	}
	return c.explainFrom(ctx, store, j)
}

// explainFrom explains a journal as data.
func (c *command) explainFrom(ctx context.Context, store journal.Store, j *jsonLines) error {
	state, err := rollout.Inspect(ctx, store, c.rollout.Name)
	if err != nil {
		return err
	}
	records, err := journal.Load(ctx, store, c.rollout.Name)
	if err != nil {
		return err
	}
	line := explained{Time: time.Now(), Kind: "explain", Endpoint: c.rollout.Name, State: state, Records: []journal.Record{}}
	for _, r := range records {
		if state.Plan != nil && r.Rollout == state.Plan.Rollout {
			line.Records = append(line.Records, r)
		}
	}
	return j.write(line)
}

// decide puts a decision on record.
func (c *command) decide(ctx context.Context) error {
	store, err := c.store(ctx)
	if err != nil {
		return err
	}
	if err := rollout.Decide(ctx, store, c.rollout.Name, c.decision); err != nil {
		return Advise(err, "-explain shows what the rollout waits for")
	}
	if _, ok := c.display.(*jsonLines); ok {
		return nil
	}
	c.display.Close()
	return say(os.Stdout, "on record: %s of %s by %s\n", c.decision.Verb, c.rollout.Name, c.decision.By)
}

// giveUp puts on record that the rollout is abandoned, and says what remains of it.
func (c *command) giveUp(ctx context.Context) (*rollout.Report, error) {
	store, err := c.store(ctx)
	if err != nil {
		return nil, err
	}
	report, err := rollout.Abandon(ctx, store, c.rollout.Name, c.Abandon)
	if _, ok := c.display.(*jsonLines); ok || err != nil || report.Outcome == rollout.OutcomeNothing {
		return report, err
	}
	c.display.Close()
	var b strings.Builder
	fmt.Fprintf(&b, "abandoned: the rollout of %s to %s; the endpoint was not touched\n", c.rollout.Name, report.Plan.Target)
	for _, r := range report.Residue {
		fmt.Fprintf(&b, "remains: %s\n", r)
	}
	return nil, say(os.Stdout, "%s", b.String())
}

// store opens the journal. What only reads one does not make one.
func (c *command) store(ctx context.Context) (journal.Store, error) {
	if c.Journal == "" {
		c.display.Note("no -journal is given: if this program dies, the rollout cannot be resumed")
		return journal.NewMemory(), nil
	}
	if _, err := os.Stat(c.Journal); (c.Resume || c.Offline()) && !c.Then && errors.Is(err, fs.ErrNotExist) {
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
