package strategy

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// String renders the plan for people, over several lines.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s\n", p.Strategy, p.Endpoint)
	fmt.Fprintf(&b, "  from      %s\n", p.Source)
	fmt.Fprintf(&b, "  to        %s\n", p.Target)
	if len(p.Forward) == 0 {
		fmt.Fprintf(&b, "  nothing to do: %s\n", strings.Join(p.Notes, "; "))
		return b.String()
	}
	downtime := p.Downtime
	if downtime == "" {
		downtime = "none by this strategy"
	}
	fmt.Fprintf(&b, "  downtime  %s\n", downtime)
	for _, key := range p.Settings.Keys() {
		if p.ProviderSets(key) {
			fmt.Fprintf(&b, "  now       %s=%d, moved by autoscaling or by the update\n", key, p.Settings[key])
			continue
		}
		fmt.Fprintf(&b, "  kept      %s=%d\n", key, p.Settings[key])
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "  note      %s\n", n)
	}
	p.writeSteps(&b, "forward", p.Forward)
	p.writeSteps(&b, "back, if anything fails before the commit", p.Rollback)
	return b.String()
}

func (p *Plan) writeSteps(b *strings.Builder, title string, steps []Step) {
	fmt.Fprintf(b, "  %s:\n", title)
	to := p.Target
	if title != "forward" {
		to = p.Source
	}
	for i, s := range steps {
		what := s.Name
		switch s.Do {
		case ActionSet:
			if value := fmt.Sprintf("%s=%d", s.Key, s.Value); !strings.Contains(s.Name, value) {
				what += " (" + value + ")"
			}
		case ActionUpdate:
			what += " to " + to.String()
		case ActionStage, ActionUnstage:
			what += " " + p.Draft.Revision.String()
		case ActionBake:
			what += fmt.Sprintf(" for %v", s.For)
			if s.Until != "" {
				what += ", while " + string(s.Until)
			}
			if len(p.Checks) > 0 {
				what += ", checks: " + strings.Join(p.checkNames(), ", ")
			}
		case ActionHold:
			what += fmt.Sprintf(", expires after %v: %s", s.For, cmp.Or(s.Then, ExpiryRollback))
		case ActionStageCanary, ActionUpdateCanary:
			what += " " + p.Canary.Revision.String()
		case ActionProbe:
			what += " by job " + p.Probe
		case ActionSuspendAutoscaling, ActionRestoreAutoscaling, ActionRaise, ActionRestoreSetting, ActionDrain, ActionAwait, ActionShift, ActionCommit, ActionVerify:
		}
		limit := ""
		if s.Timeout > 0 {
			limit = fmt.Sprintf("  (at most %v)", s.Timeout.Round(time.Second))
		}
		fmt.Fprintf(b, "    %2d. %s%s\n", i+1, what, limit)
	}
}

func (p *Plan) checkNames() []string {
	var names []string
	for _, c := range p.Checks {
		names = append(names, c.Name)
	}
	return names
}
