package rollouttest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// between is the longest time between two events outside of steps: before the
// first one a runner that may be alive is waited for, and an endpoint at rest.
const between = 10 * time.Minute

// told listens to a rollout: no secret may show in what it says, and no step
// may outlast its time.
type told struct {
	t       testing.TB
	secrets []string
	panics  bool                     // it is to be told of a panic
	steps   map[string]strategy.Step // of the plan, by way and name

	mu    sync.Mutex
	step  strategy.Step // the present one; none if it has no name
	since time.Time     // when it began, or else the last event
	last  time.Time     // the last event
	more  time.Duration // what the step has beyond its time, as capacity is short
}

// live begins another life of the rollout.
func (l *told) live(records []journal.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin(strategy.Step{}, time.Now())
	for _, r := range records {
		l.know(r.Plan)
	}
}

func (l *told) begin(s strategy.Step, at time.Time) {
	l.step, l.since, l.last, l.more = s, at, at, 0
}

func (l *told) know(p *strategy.Plan) {
	if p == nil {
		return
	}
	l.steps = map[string]strategy.Step{}
	for back, list := range map[bool][]strategy.Step{false: p.Forward, true: p.Rollback} {
		for _, s := range list {
			l.steps[key(back, s.Name)] = s
		}
	}
}

func key(back bool, step string) string { return fmt.Sprint(back, step) }

// hear takes in an event.
func (l *told) hear(_ context.Context, e rollout.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t.Helper()
	l.know(e.Plan)
	l.hush("an event", e, e.String())
	if !l.panics && strings.Contains(e.Text, rollout.ErrPanic.Error()+": ") {
		l.t.Errorf("it says: %v", e)
	}
	if e.Status != nil && slices.ContainsFunc(e.Status.Pools, func(p endpoint.Pool) bool { return p.Throttled > 0 }) {
		l.more += e.Time.Sub(l.last)
	}
	l.last = e.Time
	limit, what := between, "what is no step"
	if l.step.Name != "" {
		limit, what = l.step.Timeout+l.more, l.step.Name
	}
	if took := e.Time.Sub(l.since); took > limit {
		l.t.Errorf("%s took %v until %q, and has %v", what, took, e, limit)
	}
	switch e.Kind { //nolint:exhaustive // the others need nothing here
	case rollout.EventStep:
		l.begin(l.steps[key(e.Rollback, e.Step)], e.Time)
	case rollout.EventPoll, rollout.EventWrite, rollout.EventRetry, rollout.EventDrift:
		if l.step.Name == "" {
			l.begin(l.step, e.Time)
		}
	case rollout.EventPlan, rollout.EventResume, rollout.EventDone, rollout.EventFail, rollout.EventRollback, rollout.EventCommit, rollout.EventEnd:
		l.begin(strategy.Step{}, e.Time)
	}
}

// hush fails the test if a secret shows in what is put out, in JSON or in words.
func (l *told) hush(what string, out any, words ...string) {
	l.t.Helper()
	if len(l.secrets) == 0 {
		return
	}
	b, err := json.Marshal(out)
	if err != nil {
		l.t.Errorf("%s is no JSON: %v", what, err)
	}
	for _, text := range append(words, string(b)) {
		for _, s := range l.secrets {
			if strings.Contains(text, s) {
				l.t.Errorf("a secret shows in %s: %s", what, strings.ReplaceAll(text, s, "<secret>"))
				return
			}
		}
	}
}
