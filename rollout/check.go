package rollout

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/core"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/strategy"
)

// Check judges the new revision while it has traffic: in the provider's own
// canary, linear and rolling stages, between traffic steps, and in the bake. It is
// called on a goroutine of its own. An error, a panic and a call that does not
// return in time mean that the check cannot tell ([ResultUnknown]).
type Check interface {
	Check(ctx context.Context, s Sample) (Verdict, error)
}

// CheckFunc is a function as a [Check].
type CheckFunc func(ctx context.Context, s Sample) (Verdict, error)

// Check implements [Check].
func (f CheckFunc) Check(ctx context.Context, s Sample) (Verdict, error) { return f(ctx, s) }

// Sample is what a check is asked about.
type Sample struct {
	Endpoint string
	Rollout  string
	Step     string
	// Source and Target are the revisions that the rollout moves between.
	Source, Target endpoint.Revision
	// SourceNames and TargetNames name the parts of the endpoint that run each,
	// such as variants, while both are served side by side; nil otherwise.
	SourceNames, TargetNames []string
	// Share is the target's share of the traffic, in percent: 100 once only the
	// target is served, and 0 while the provider moves the traffic by itself.
	Share int
	// Elapsed is for how long the target has had traffic, as far as was seen.
	Elapsed time.Duration
	// Status is the endpoint by the last poll.
	Status endpoint.Status
}

// Result is what a check says. The zero Result is [ResultUnknown].
type Result string

// The results.
const (
	ResultUnknown Result = "unknown" // it cannot tell
	ResultPass    Result = "pass"
	ResultFail    Result = "fail"
)

// Verdict is what a check says, and why. It holds no secret.
type Verdict struct {
	Result Result
	// Value is what was measured, and Limit what it was held against. Both are nil
	// if the check is no measurement.
	Value, Limit *float64
	// Reason says it in words.
	Reason string
}

// Measured returns the verdict of a measurement: pass says whether value is
// within the limit. A value that is infinite or not a number measures nothing,
// and is unknown.
func Measured(value, limit float64, pass bool) Verdict {
	if !finite(&value) || !finite(&limit) {
		return Verdict{Result: ResultUnknown, Reason: fmt.Sprintf("measured %v against %v", value, limit)}
	}
	v := Verdict{Result: ResultFail, Value: &value, Limit: &limit}
	if pass {
		v.Result = ResultPass
	}
	return v
}

// WithCheck has a check judge the new revision. How it is carried out is in the
// plan under rule's name, which must be unique; zero fields have their defaults
// ([strategy.Check.WithDefaults]). A rollout that is resumed forward needs the
// check again.
func WithCheck(rule strategy.Check, c Check) Option {
	return func(o *options) {
		switch _, doubled := o.checks[rule.Name]; {
		case rule.Name == "":
			o.refuse("WithCheck", "the name is empty")
		case doubled:
			o.refuse("WithCheck", "two checks are named %q", rule.Name)
		case isNil(c):
			o.refuse("WithCheck", "the check %q is nil", rule.Name)
		}
		o.rules = append(o.rules, rule)
		if o.checks == nil {
			o.checks = map[string]Check{}
		}
		o.checks[rule.Name] = c
	}
}

// WithApproval has the rollout wait before the commit point until a person
// approves, by [Decide]. While it waits the endpoint is watched, and the rollout
// goes back if the new revision breaks.
func WithApproval(a strategy.Approval) Option {
	return func(o *options) {
		if a.Name == "" {
			o.refuse("WithApproval", "the name is empty")
		}
		o.set("WithApproval")
		o.approvals = append(o.approvals, a)
	}
}

// WithFreeze asks f before a rollout begins, and before it moves more traffic to
// the target, until when that has to wait, and why; a time that has passed
// freezes nothing. A rollout that is to begin is refused with [ErrFrozen]. A
// rollback never waits.
func WithFreeze(f func(now time.Time) (until time.Time, why string)) Option {
	return func(o *options) { o.need("WithFreeze", "function", f); o.freeze = f }
}

// WithFreezeOverride begins in spite of a freeze window. The reason goes into
// the plan's notes.
func WithFreezeOverride(reason string) Option {
	return func(o *options) {
		if reason == "" {
			o.refuse("WithFreezeOverride", "the reason is empty")
		}
		o.override = reason
	}
}

// ask asks a check.
func (r *Rollout) ask(ctx context.Context, op core.Op) (journal.Verdict, error) {
	s := op.Sample
	v, err := call(ctx, "check "+op.Name, op.Within, func(ctx context.Context) (Verdict, error) {
		v, err := r.checks[op.Name].Check(ctx, Sample{
			Endpoint: r.u.Name(), Rollout: r.machine.Ledger().Plan.Rollout, Step: s.Step, Source: s.Source, Target: s.Target,
			SourceNames: s.SourceNames, TargetNames: s.TargetNames, Share: s.Share, Elapsed: s.Elapsed, Status: s.Status,
		})
		if err == nil {
			err = ctx.Err() // a verdict that came too late is none
		}
		return v, err
	})
	if !finite(v.Value) || !finite(v.Limit) { // a record has no place for it
		v = Verdict{Result: ResultUnknown, Reason: "the verdict's value or limit is not a finite number"}
	}
	return journal.Verdict{Result: string(v.Result), Value: v.Value, Limit: v.Limit, Reason: v.Reason}, err
}

func finite(v *float64) bool { return v == nil || !math.IsNaN(*v) && !math.IsInf(*v, 0) }
