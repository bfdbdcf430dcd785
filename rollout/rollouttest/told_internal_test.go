package rollouttest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// recorder is a test that takes down how it failed.
type recorder struct {
	testing.TB
	failed []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.failed = append(r.failed, fmt.Sprintf(format, args...))
}

func TestTold(t *testing.T) {
	began := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	short := &endpoint.Status{Pools: []endpoint.Pool{{Throttled: 1}}}
	plan := &strategy.Plan{Forward: []strategy.Step{{Name: "update", Timeout: time.Minute}}, Rollback: []strategy.Step{{Name: "update", Timeout: time.Hour}}}
	at := func(s int, kind rollout.EventKind, e rollout.Event) rollout.Event {
		e.Time, e.Kind = began.Add(time.Duration(s)*time.Second), kind
		return e
	}
	step := rollout.Event{Step: "update"}
	for name, tt := range map[string]struct {
		events []rollout.Event
		want   string
	}{
		"in time":  {[]rollout.Event{at(0, rollout.EventStep, step), at(60, rollout.EventDone, step)}, ""},
		"too late": {[]rollout.Event{at(0, rollout.EventStep, step), at(30, rollout.EventPoll, step), at(61, rollout.EventDone, step)}, "update took 1m1s"},
		"longer in the rollback": {[]rollout.Event{
			at(0, rollout.EventStep, rollout.Event{Step: "update", Rollback: true}), at(3600, rollout.EventDone, step),
		}, ""},
		"waiting for capacity": {[]rollout.Event{
			at(0, rollout.EventStep, step), at(30, rollout.EventPoll, rollout.Event{Step: "update", Status: short}), at(90, rollout.EventDone, step),
		}, ""},
		"and then no more": {[]rollout.Event{
			at(0, rollout.EventStep, step), at(30, rollout.EventPoll, rollout.Event{Step: "update", Status: short}), at(91, rollout.EventDone, step),
		}, "update took 1m31s"},
		"silence":             {[]rollout.Event{at(0, rollout.EventPlan, rollout.Event{}), at(601, rollout.EventResume, rollout.Event{})}, "what is no step took 10m1s"},
		"a secret in words":   {[]rollout.Event{at(0, rollout.EventFail, rollout.Event{Text: "bad key hunter2"})}, "a secret shows in an event"},
		"a secret in a field": {[]rollout.Event{at(0, rollout.EventPoll, rollout.Event{Status: &endpoint.Status{Reason: "HF_TOKEN=hunter2"}})}, "a secret shows in an event"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{TB: t}
			l := told{t: r, secrets: []string{"hunter2"}}
			l.know(plan)
			l.begin(strategy.Step{}, began)
			for _, e := range tt.events {
				l.hear(t.Context(), e)
			}
			switch all := strings.Join(r.failed, "\n"); {
			case tt.want == "" && all != "":
				t.Errorf("failed: %s", all)
			case !strings.Contains(all, tt.want):
				t.Errorf("failed: %q, want %q", all, tt.want)
			case strings.Contains(all, "hunter2"):
				t.Errorf("the failure shows the secret: %s", all)
			}
		})
	}
}
