package cli

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/check/prometheus"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// Check is a check that a program makes of its own flags.
type Check struct {
	Name  string
	Check rollout.Check
}

// checkInterval is the time between two evaluations of a check.
const checkInterval = 15 * time.Second

// judging are the flags of checks, and what is made of them.
type judging struct {
	conditions []string
	server     string
	unknown    *string
	checks     []Check
}

func (j *judging) register(fs *flag.FlagSet) {
	fs.Func("check", "judge the new revision by `'NAME=PROMQL<NUMBER'`, or with >, while it has traffic; may be repeated", func(s string) error {
		j.conditions = append(j.conditions, s)
		return nil
	})
	fs.StringVar(&j.server, "prometheus", "", "with -check: the `URL` of the Prometheus server")
	j.unknown = Choice(fs, "check-unknown", "what it means that a check cannot tell: `hold|rollback|continue`; hold waits for 15m, and then rolls back",
		"hold", "hold", "rollback", "continue")
}

// check refuses combinations that mean nothing.
func (j *judging) check(given map[string]bool) error {
	switch {
	case len(j.conditions) > 0 && j.server == "":
		return Advise(errors.New("-check needs -prometheus"), "give the server's URL, such as http://localhost:9090")
	case given["prometheus"] && len(j.conditions) == 0:
		return Advise(errors.New("-prometheus means nothing without -check"), "leave it out, or add -check 'NAME=PROMQL<NUMBER'")
	case given["check-unknown"] && len(j.conditions) == 0 && !given["check-alarm"]:
		return Advise(errors.New("-check-unknown means nothing without a check"), "leave it out, or add a check")
	}
	return nil
}

// read makes the checks. It asks the server nothing.
func (j *judging) read() error {
	if len(j.conditions) == 0 {
		return nil
	}
	server, err := prometheus.New(j.server)
	if err != nil {
		return Advise(fmt.Errorf("-prometheus: %w", err), "give the server's URL, such as http://localhost:9090")
	}
	for _, text := range j.conditions {
		name, condition, err := prometheus.Parse(text)
		if err != nil {
			return Advise(fmt.Errorf("-check: %w", err), `give it as 'errors=sum(rate(failures_total[1m]))<0.01'`)
		}
		c, err := server.Check(condition)
		if err != nil {
			return Advise(fmt.Errorf("-check %s: %w", text, err), "correct the query")
		}
		j.checks = append(j.checks, Check{name, c})
	}
	return nil
}

// options are the checks of all flags, by one rule about what they cannot tell.
func (j *judging) options(more []Check) []rollout.Option {
	var opts []rollout.Option
	for _, c := range append(j.checks, more...) {
		opts = append(opts, rollout.WithCheck(strategy.Check{Name: c.Name, Interval: checkInterval, Unknown: strategy.OnUnknown(*j.unknown)}, c.Check))
	}
	return opts
}
