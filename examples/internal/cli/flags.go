package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/rollout"
)

// Flags are the flags that every example has.
type Flags struct {
	Plan, Resume, Explain bool
	JSON                  bool
	Journal, Page         string
	ResumePolicy          *string
	OnCancel              *string
	Bake, Timeout         time.Duration
	Interval, Settle      time.Duration
}

// defaultSettle is the library's own.
const defaultSettle = 30 * time.Second

// Register adds the shared flags to fs.
func Register(fs *flag.FlagSet) *Flags {
	f := &Flags{}
	fs.BoolVar(&f.Plan, "plan", false, "print the plan, change nothing")
	fs.StringVar(&f.Journal, "journal", "", "keep the journal in `DIR`, so that an interrupted rollout can be resumed, and how long waits took, so that the next one looks when it is likely to be over")
	fs.BoolVar(&f.Resume, "resume", false, "finish what the journal holds; give the same flags as to the interrupted run")
	f.ResumePolicy = Choice(fs, "resume-policy", "where to resume to from before the commit point: `rollback|forward`", "rollback", "rollback", "forward")
	f.OnCancel = Choice(fs, "on-cancel", "what the first SIGINT, SIGTERM, SIGHUP or SIGQUIT means: `rollback|detach`", "rollback", "rollback", "detach")
	Duration(fs, &f.Bake, "bake", 0, "watch the new revision for `D` before the commit point")
	Duration(fs, &f.Timeout, "timeout", 0, "roll back unless the way forward is done within `D`; 0 sets no bound beside those in the plan")
	Duration(fs, &f.Interval, "interval", 0, "poll every `D`, and start backing off after errors there; 0 is the library's own schedule")
	Duration(fs, &f.Settle, "settle", defaultSettle, "how long a read may lag behind a write: `D`")
	fs.BoolVar(&f.JSON, "json", false, "print events as JSON lines on stdout")
	fs.BoolVar(&f.Explain, "explain", false, "print the journal as a timeline with the next action, change nothing")
	fs.StringVar(&f.Page, "page", "", "with -explain: write the timeline as a picture to `FILE.html`, too")
	return f
}

// TargetOptional reports whether the flags that say where to go may be left
// out: the journal knows.
func (f *Flags) TargetOptional() bool { return f.Resume || f.Explain }

// parse reads the arguments. A non-nil error is a usage error, or
// [flag.ErrHelp] after the help was printed.
func (f *Flags) parse(fs *flag.FlagSet, args []string) error {
	// The package would print the help after each mistake, and the mistake out
	// of sight.
	fs.SetOutput(io.Discard)
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fs.SetOutput(os.Stdout)
		fmt.Fprintf(os.Stdout, "usage: %s -endpoint … [flags]\n", fs.Name())
		fs.PrintDefaults()
		return err
	case err != nil:
		return Advise(err, fs.Name()+" -h lists the flags")
	case fs.NArg() > 0:
		return Advise(fmt.Errorf("unexpected argument %q", fs.Arg(0)), "give flags only; "+fs.Name()+" -h lists them")
	}
	return f.check(Given(fs))
}

// check refuses combinations that mean nothing.
func (f *Flags) check(given map[string]bool) error {
	switch {
	case f.Plan && f.Resume:
		return Advise(errors.New("-plan and -resume exclude each other"), "-explain shows what -resume would do")
	case f.Plan && f.Explain:
		return Advise(errors.New("-plan and -explain exclude each other"), "-plan is for a rollout to come, -explain for one in the journal")
	case given["page"] && !f.Explain:
		return Advise(errors.New("-page means nothing without -explain"), "give -explain too: it shows the journal of a rollout in progress as well")
	case given["page"] && f.Page == "":
		return Advise(errors.New("-page is empty"), "name the file that the page is written to")
	case given["journal"] && f.Journal == "":
		return Advise(errors.New("-journal is empty"), "name a directory, or leave the flag out to go without crash safety")
	case f.TargetOptional() && f.Journal == "":
		return Advise(errors.New("-resume and -explain need -journal"), "name the directory that the interrupted run was given")
	}
	return nil
}

// options are what the flags mean to package strategy.
func (f *Flags) options() []rollout.Option {
	opts := []rollout.Option{
		rollout.WithBake(f.Bake), rollout.WithTimeout(f.Timeout), rollout.WithSettle(f.Settle),
	}
	if f.Interval > 0 {
		opts = append(opts, rollout.WithInterval(f.Interval))
	}
	if f.Timeout > 0 {
		// Nobody who bounds the rollout wants to wait longer for its beginning.
		opts = append(opts, rollout.WithStartTimeout(min(f.Timeout, 5*time.Minute)))
	}
	if *f.ResumePolicy == "forward" {
		opts = append(opts, rollout.WithForward())
	}
	if *f.OnCancel == "detach" {
		opts = append(opts, rollout.WithDetach())
	}
	return opts
}

// Given tells which flags are on the command line.
func Given(fs *flag.FlagSet) map[string]bool {
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	return given
}

// Choice adds a flag that takes one of a few words.
func Choice(fs *flag.FlagSet, name, usage, value string, words ...string) *string {
	c := &choice{value: value, words: words}
	fs.Var(c, name, usage)
	return &c.value
}

type choice struct {
	value string
	words []string
}

func (c *choice) String() string { return c.value }

func (c *choice) Set(s string) error {
	if !slices.Contains(c.words, s) {
		return errors.New("want " + strings.Join(c.words, " or "))
	}
	c.value = s
	return nil
}

// Duration adds a flag that takes a duration, which must not be negative.
func Duration(fs *flag.FlagSet, p *time.Duration, name string, value time.Duration, usage string) {
	*p = value
	fs.Var((*duration)(p), name, usage)
}

type duration time.Duration

func (d *duration) String() string { return time.Duration(*d).String() }

func (d *duration) Set(s string) error {
	v, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return errors.New("want a duration such as 30s or 5m")
	case v < 0:
		return errors.New("must not be negative")
	}
	*d = duration(v)
	return nil
}
