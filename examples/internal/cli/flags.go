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
	"github.com/changeover-dev/changeover/strategy"
)

// Flags are the flags that every example has.
type Flags struct {
	Plan, Resume, Then, Explain bool
	JSON, Version               bool
	Journal, Apply, Page        string
	ResumePolicy, OnCancel      *string
	Approve, Decide, By         string
	Refresh, Abandon            string
	Bake, Timeout, StepTimeout  time.Duration
	Interval, Settle            time.Duration

	judging   judging
	set       *flag.FlagSet
	groups    []group
	plan      *strategy.Plan // of -apply
	approvals []strategy.Approval
	decision  rollout.Decision
}

// group is a group of flags in the help.
type group struct {
	title string
	names []string
}

// defaultSettle is the library's own.
const defaultSettle = 30 * time.Second

// noExpiry is how long an approval without a time of its own is waited for.
const noExpiry = 24 * time.Hour

// Register makes the shared flags known. They stand in the help below those that
// the program adds by [Flags.Group] until [Main].
func Register(fs *flag.FlagSet) *Flags { return &Flags{set: fs} }

// Group has add add flags that stand together in the help.
func (f *Flags) Group(title string, add func(fs *flag.FlagSet)) {
	before := map[string]bool{}
	f.set.VisitAll(func(x *flag.Flag) { before[x.Name] = true })
	add(f.set)
	g := group{title: title}
	f.set.VisitAll(func(x *flag.Flag) {
		if !before[x.Name] {
			g.names = append(g.names, x.Name)
		}
	})
	f.groups = append(f.groups, g)
}

// register adds the shared flags.
func (f *Flags) register() {
	f.Group("what is done, instead of a rollout", func(fs *flag.FlagSet) {
		fs.BoolVar(&f.Plan, "plan", false, "print the plan, change nothing; with -json, in the form that -apply reads")
		fs.StringVar(&f.Apply, "apply", "", "carry out exactly the plan in `FILE`, or be refused by what has moved since")
		fs.BoolVar(&f.Resume, "resume", false, "finish what the journal holds; give the same flags as to the interrupted run")
		f.ResumePolicy = Choice(fs, "resume-policy", "where to resume to from before the commit point: `rollback|forward`", "rollback", "rollback", "forward")
		fs.BoolVar(&f.Then, "then", false, "with -resume: then run the rollout that the flags ask for")
		fs.BoolVar(&f.Explain, "explain", false, "print the journal as a timeline with the next action, change nothing")
		fs.StringVar(&f.Page, "page", "", "with -explain: write the timeline as a picture to `FILE.html`, too")
		fs.StringVar(&f.Decide, "decide", "", "decide about a rollout that waits: `approve|reject|abort|skip-bake[:NAME]`; changes nothing else")
		fs.StringVar(&f.By, "by", "", "with -decide: `WHO` decides")
		fs.StringVar(&f.Abandon, "abandon", "", "give the unfinished rollout up, and say `WHY`: recorded, with what remains; the endpoint is not touched")
	})
	f.Group("the journal", func(fs *flag.FlagSet) {
		fs.StringVar(&f.Journal, "journal", "", "keep the journal in `DIR`, so that an interrupted rollout can be resumed, and how long waits took, so that the next one polls when a wait is likely to be over")
	})
	f.Group("how it is judged", func(fs *flag.FlagSet) {
		f.judging.register(fs)
		Duration(fs, &f.Bake, "bake", 0, "watch the new revision for `D` before the commit point")
		fs.StringVar(&f.Approve, "approve", "", "wait before the commit point until -decide approves of `NAME[=D]`, for D at most; 24h unless it is given")
	})
	f.Group("the same artifact again", func(fs *flag.FlagSet) {
		fs.StringVar(&f.Refresh, "refresh", "", "move what is served to new capacity, for this `REASON`")
	})
	f.Group("time", func(fs *flag.FlagSet) {
		Duration(fs, &f.Timeout, "timeout", 0, "roll back unless the forward part is done within `D`; 0 sets no bound beside those in the plan")
		Duration(fs, &f.StepTimeout, "step-timeout", 0, "the longest single wait for the provider: `D`, beside what it is configured to take; 0 is 30m")
		Duration(fs, &f.Interval, "interval", 0, "poll every `D`, and start backing off after errors there; 0 is the learned schedule")
		Duration(fs, &f.Settle, "settle", defaultSettle, "how long a read may lag behind a write: `D`")
		f.OnCancel = Choice(fs, "on-cancel", "what the first signal means: `rollback|detach`", "rollback", "rollback", "detach")
	})
	f.Group("output", func(fs *flag.FlagSet) {
		fs.BoolVar(&f.JSON, "json", false, "print events as JSON lines on stdout; docs/events.schema.json describes them")
		fs.BoolVar(&f.Version, "version", false, "print the version, do nothing")
	})
}

// TargetOptional reports whether the flags that say where to go may be left
// out: the journal or the plan knows.
func (f *Flags) TargetOptional() bool {
	return f.Resume && !f.Then || f.Offline() || f.Apply != ""
}

// Offline reports whether the provider is not asked: a journal can be read, and
// decided about, without a key.
func (f *Flags) Offline() bool { return f.Explain || f.Decide != "" || f.Abandon != "" }

// parse reads the arguments. A non-nil error is a usage error, or
// [flag.ErrHelp] after the help was printed.
func (f *Flags) parse(args []string, h Help) error {
	f.register()
	fs := f.set
	// The package would print the help after each mistake, and the mistake out
	// of sight.
	fs.SetOutput(io.Discard)
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		f.help(os.Stdout, h, width(os.Stdout))
		return err
	case err != nil:
		return Advise(err, fs.Name()+" -h lists the flags")
	case fs.NArg() > 0:
		return Advise(fmt.Errorf("unexpected argument %q", fs.Arg(0)), "give flags only; "+fs.Name()+" -h lists them")
	case f.Version:
		return nil
	}
	given := Given(fs)
	if err := f.check(given); err != nil {
		return err
	}
	return f.read(given)
}

// check refuses combinations that mean nothing.
func (f *Flags) check(given map[string]bool) error {
	for _, name := range []string{"apply", "approve", "decide", "by", "refresh", "abandon", "prometheus"} {
		if given[name] && f.set.Lookup(name).Value.String() == "" {
			return Advise(fmt.Errorf("-%s is empty", name), "give it a value, or leave it out")
		}
	}
	var modes []string
	for _, name := range []string{"plan", "resume", "explain", "apply", "decide", "abandon"} {
		if given[name] && f.set.Lookup(name).Value.String() != "false" && (name != "resume" || !f.Then || f.Apply == "") {
			modes = append(modes, "-"+name)
		}
	}
	switch {
	case len(modes) == 2 && f.Plan && f.Resume:
		return Advise(errors.New("-plan and -resume exclude each other"), "-explain shows what -resume would do")
	case len(modes) > 1:
		return Advise(fmt.Errorf("%s exclude each other", strings.Join(modes, " and ")), "-plan is for a rollout to come, -explain for one in the journal; give one of them")
	case given["page"] && !f.Explain:
		return Advise(errors.New("-page means nothing without -explain"), "give -explain too: it shows the journal of a rollout in progress as well")
	case given["page"] && f.Page == "":
		return Advise(errors.New("-page is empty"), "name the file that the page is written to")
	case given["journal"] && f.Journal == "":
		return Advise(errors.New("-journal is empty"), "name a directory, or leave the flag out to go without crash safety")
	case (f.Resume || f.Offline()) && f.Journal == "":
		return Advise(errors.New("-resume, -explain, -decide and -abandon need -journal"), "name the directory that the interrupted run was given")
	case f.Decide != "" && f.By == "":
		return Advise(errors.New("-decide needs -by"), "say who decides")
	}
	for name, with := range map[string]string{"resume-policy": "resume", "then": "resume", "by": "decide"} {
		if given[name] && !given[with] {
			return Advise(fmt.Errorf("-%s means nothing without -%s", name, with), "leave it out, or add -"+with)
		}
	}
	for _, name := range []string{"check", "check-alarm", "refresh", "bake", "approve"} {
		if given[name] && f.Offline() {
			return Advise(fmt.Errorf("-%s means nothing for %s, which rolls nothing out", name, modes[0]), "leave it out")
		}
	}
	return f.judging.check(given)
}

// read makes of the words of flags what the library takes.
func (f *Flags) read(given map[string]bool) error {
	if f.Decide != "" {
		verb, name, _ := strings.Cut(f.Decide, ":")
		f.decision = rollout.Decision{Verb: rollout.Verb(verb), Approval: name, By: f.By}
		if !slices.Contains([]rollout.Verb{rollout.Approve, rollout.Reject, rollout.Abort, rollout.SkipBake}, f.decision.Verb) {
			return Advise(fmt.Errorf("-decide %s: %q is no decision", f.Decide, verb), "give approve, reject, abort or skip-bake")
		}
	}
	if f.Approve != "" {
		name, text, timed := strings.Cut(f.Approve, "=")
		a := strategy.Approval{Name: name, Expires: noExpiry}
		if timed {
			var err error
			if a.Expires, err = time.ParseDuration(text); err != nil {
				return Advise(fmt.Errorf("-approve %s: %q is no duration", f.Approve, text), "give a duration such as 30m after the =")
			}
		}
		if err := a.Validate(); err != nil {
			return Advise(fmt.Errorf("-approve %s: %w", f.Approve, err), "give a name, and a duration of more than 0 after a =")
		}
		f.approvals = append(f.approvals, a)
	}
	if err := f.judging.read(); err != nil || f.Apply == "" {
		return err
	}
	raw, err := os.ReadFile(f.Apply)
	if err == nil {
		f.plan, err = decodePlan(raw)
	}
	if err != nil {
		return Advise(fmt.Errorf("-apply %s: %w", f.Apply, err), "name a file that -plan -json made")
	}
	return f.agree(given)
}

// agree refuses flags that say something else than the plan of -apply.
func (f *Flags) agree(given map[string]bool) error {
	bake := time.Duration(0)
	for _, s := range f.plan.Forward {
		if s.Do == strategy.ActionBake {
			bake += s.For
		}
	}
	for _, x := range []struct {
		name          string
		planned, said string
	}{
		{"settle", f.plan.Settle.String(), f.Settle.String()},
		{"bake", bake.String(), f.Bake.String()},
	} {
		if given[x.name] && x.planned != x.said {
			return Advise(fmt.Errorf("-%s %s is not what the plan in %s says: %s", x.name, x.said, f.Apply, x.planned), "leave it out, or make a new plan")
		}
	}
	for _, name := range []string{"step-timeout", "approve", "refresh"} {
		if given[name] {
			return Advise(fmt.Errorf("-%s shapes a plan, and -apply carries one out that is made", name), "leave it out, or make a new plan with it")
		}
	}
	if s := f.set.Lookup("strategy"); given["strategy"] && s.Value.String() != f.plan.Strategy {
		return Advise(fmt.Errorf("-strategy %s is not what the plan in %s says: %s", s.Value, f.Apply, f.plan.Strategy), "leave it out, or make a new plan")
	}
	return nil
}

// options are what the flags mean to package rollout.
func (f *Flags) options(checks []Check) []rollout.Option {
	opts := []rollout.Option{rollout.WithTimeout(f.Timeout), rollout.WithInterval(f.Interval)}
	if f.Apply == "" {
		opts = append(opts, rollout.WithBake(f.Bake), rollout.WithSettle(f.Settle))
		for _, a := range f.approvals {
			opts = append(opts, rollout.WithApproval(a))
		}
	}
	if f.Refresh != "" {
		opts = append(opts, rollout.WithRefresh(f.Refresh))
	}
	opts = append(opts, f.judging.options(checks)...)
	if f.StepTimeout > 0 {
		opts = append(opts, rollout.WithStepTimeout(f.StepTimeout))
	}
	if f.Timeout > 0 {
		// Its beginning is not waited for longer than the whole may take.
		opts = append(opts, rollout.WithStartTimeout(min(f.Timeout, 5*time.Minute)))
	}
	if f.Then {
		opts = append(opts, rollout.WithResumeFirst())
	}
	if f.Resume && *f.ResumePolicy == "forward" {
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
