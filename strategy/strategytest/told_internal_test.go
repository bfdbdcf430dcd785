package strategytest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
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
	plan := &strategy.Plan{Forward: []strategy.Step{{Name: "update", Timeout: time.Minute}}, Back: []strategy.Step{{Name: "update", Timeout: time.Hour}}}
	at := func(s int, kind strategy.EventKind, e strategy.Event) strategy.Event {
		e.Time, e.Kind = began.Add(time.Duration(s)*time.Second), kind
		return e
	}
	step := strategy.Event{Step: "update"}
	for name, tt := range map[string]struct {
		events []strategy.Event
		want   string
	}{
		"in time":  {[]strategy.Event{at(0, strategy.EventStep, step), at(60, strategy.EventDone, step)}, ""},
		"too late": {[]strategy.Event{at(0, strategy.EventStep, step), at(30, strategy.EventLook, step), at(61, strategy.EventDone, step)}, "update took 1m1s"},
		"longer on the way back": {[]strategy.Event{
			at(0, strategy.EventStep, strategy.Event{Step: "update", Back: true}), at(3600, strategy.EventDone, step),
		}, ""},
		"waiting for capacity": {[]strategy.Event{
			at(0, strategy.EventStep, step), at(30, strategy.EventLook, strategy.Event{Step: "update", Status: short}), at(90, strategy.EventDone, step),
		}, ""},
		"and then no more": {[]strategy.Event{
			at(0, strategy.EventStep, step), at(30, strategy.EventLook, strategy.Event{Step: "update", Status: short}), at(91, strategy.EventDone, step),
		}, "update took 1m31s"},
		"silence":             {[]strategy.Event{at(0, strategy.EventPlan, strategy.Event{}), at(601, strategy.EventResume, strategy.Event{})}, "what is no step took 10m1s"},
		"a secret in words":   {[]strategy.Event{at(0, strategy.EventFail, strategy.Event{Text: "bad key hunter2"})}, "a secret shows in an event"},
		"a secret in a field": {[]strategy.Event{at(0, strategy.EventLook, strategy.Event{Status: &endpoint.Status{Reason: "HF_TOKEN=hunter2"}})}, "a secret shows in an event"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{TB: t}
			l := told{t: r, secrets: []string{"hunter2"}}
			l.know(plan)
			l.begin(strategy.Step{}, began)
			for _, e := range tt.events {
				l.hear(e)
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
