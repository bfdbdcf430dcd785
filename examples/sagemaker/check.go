package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/changeover-dev/changeover/examples/internal/cli"
)

// check refuses combinations of flags that mean nothing.
func (p *program) check(shared *cli.Flags) error {
	given := cli.Given(p.fs)
	for _, name := range []string{"component", "config", "model", "strategy", "protect", "deployment", "exclude-retained"} {
		if given[name] && strings.TrimSpace(p.fs.Lookup(name).Value.String()) == "" {
			return cli.Advise(fmt.Errorf("-%s is empty", name), "give it a value, or leave it out")
		}
	}
	for name, with := range map[string]string{"steps": byWeight, "soak": byWeight, "prescale": scaleProtected} {
		if given[name] && *p.strategy != "" && *p.strategy != with {
			return cli.Advise(fmt.Errorf("-%s has no meaning for -strategy %s", name, *p.strategy), "leave it out, or choose "+with)
		}
	}
	switch {
	case given["soak"] && !given["steps"]:
		return cli.Advise(errors.New("-soak means nothing without -steps"), "add -steps, or leave it out")
	case *p.strategy == byWeight && p.steps == "" && !shared.TargetOptional():
		return cli.Advise(errors.New("-strategy canary-by-weight needs -steps"), "give the shares of the traffic in percent, such as -steps 5,25,50")
	case p.component != "" && *p.strategy == byWeight:
		return cli.Advise(errors.New("-strategy canary-by-weight has no meaning for an inference component"), "choose in-place or scale-protected")
	case p.endpoint == "":
		return cli.Advise(errors.New("-endpoint is empty"), "give the endpoint's name")
	case p.config != "" && p.model != "":
		return cli.Advise(errors.New("-config and -model exclude each other"), "give one of them: -config NAME goes to a configuration that exists, -model NAME makes one")
	case p.deployment != "" && p.retain:
		return cli.Advise(errors.New("-deployment and -retain-deployment exclude each other"), "give one of them: SageMaker uses one or the other")
	case p.prescale < 0:
		return cli.Advise(fmt.Errorf("-prescale is %d", p.prescale), "give a number of instances of 1 or more, or leave it out")
	case *p.strategy == "in-place" && p.prescale > 0:
		return cli.Advise(errors.New("-prescale has no meaning for -strategy in-place, which leaves the capacity alone"), "leave it out, or choose scale-protected")
	case *p.strategy == "in-place" && (*p.protect == "suspend" || *p.protect == "deregister"):
		return cli.Advise(fmt.Errorf("-protect %s has no meaning for -strategy in-place, which leaves autoscaling alone", *p.protect), "leave it out, or choose scale-protected")
	}
	if err := p.checkComponent(); err != nil {
		return err
	}
	if shared.TargetOptional() {
		return nil
	}
	switch {
	case *p.strategy == "":
		return cli.Advise(errors.New("-strategy is not given"), "choose in-place, scale-protected or canary-by-weight")
	case p.config == "" && p.model == "" && shared.Refresh == "":
		return cli.Advise(errors.New("nothing to move to: neither -config nor -model is given"), "give -config NAME or -model NAME")
	}
	return nil
}

// checkComponent refuses flags that mean nothing for an inference component.
func (p *program) checkComponent() error {
	switch {
	case p.component == "":
		return nil
	case p.config != "":
		return cli.Advise(errors.New("-config has no meaning for -component, which has a model"), "give -model NAME")
	case p.prescale > 0:
		return cli.Advise(errors.New("-prescale has no meaning for -component, whose copies stay as many as they are"), "leave it out")
	case *p.protect == "deregister":
		return cli.Advise(errors.New("-protect deregister has no meaning for -component, which AWS updates with its scalable target registered"), "leave it out")
	case p.retain, p.excludeRetained != "":
		return cli.Advise(errors.New("-retain-deployment and -exclude-retained have no meaning for -component"), "leave them out")
	}
	return nil
}
