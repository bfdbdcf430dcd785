package strategy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/strategy"
)

func TestEventString(t *testing.T) {
	step := func(kind strategy.EventKind, text string) strategy.Event {
		return strategy.Event{Kind: kind, Step: "lower workers.max", N: 2, Of: 9, Text: text}
	}
	back := step(strategy.EventWrite, "workers.max → 3")
	back.Back = true
	for _, tt := range []struct {
		event strategy.Event
		want  string
	}{
		{strategy.Event{Kind: strategy.EventPlan, Text: "in-place: a → b"}, "in-place: a → b"},
		{strategy.Event{Kind: strategy.EventResume, Text: "taking over in-place"}, "taking over in-place"},
		{step(strategy.EventStep, ""), "[2/9] lower workers.max"},
		{step(strategy.EventLook, "1 worker left"), "[2/9] lower workers.max: 1 worker left"},
		{step(strategy.EventWrite, "workers.max → 0"), "[2/9] lower workers.max: workers.max → 0"},
		{back, "[back 2/9] lower workers.max: workers.max → 3"},
		{step(strategy.EventRetry, "throttled"), "[2/9] lower workers.max: throttled"},
		{step(strategy.EventDone, ""), "[2/9] lower workers.max ✓"},
		{step(strategy.EventDone, "left alone"), "[2/9] lower workers.max: left alone ✓"},
		{step(strategy.EventFail, "quota exceeded"), "[2/9] lower workers.max: quota exceeded ✗"},
		{strategy.Event{Kind: strategy.EventFail, Text: "the journal cannot be written any more"}, "the journal cannot be written any more ✗"},
		{strategy.Event{Kind: strategy.EventTurn, Text: "going back: unhealthy"}, "going back: unhealthy"},
		{step(strategy.EventCommit, ""), "[2/9] lower workers.max ✓"},
		{strategy.Event{Kind: strategy.EventDrift, Text: "workers.max: found 7"}, "workers.max: found 7"},
		{strategy.Event{Kind: strategy.EventEnd, Text: "succeeded", Outcome: strategy.Succeeded}, "succeeded"},
	} {
		if got := tt.event.String(); got != tt.want {
			t.Errorf("%s event: %q, want %q", tt.event.Kind, got, tt.want)
		}
	}
}

// A wait that sees the same over and over is one line; what is said again
// after something else is said again.
func TestTextSkipsRepeatedLooks(t *testing.T) {
	var b strings.Builder
	observe := strategy.Text(&b)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, e := range []struct {
		kind strategy.EventKind
		text string
	}{
		{strategy.EventStep, ""},
		{strategy.EventLook, ""}, // has nothing to say
		{strategy.EventLook, "2 left"},
		{strategy.EventLook, "2 left"},
		{strategy.EventLook, "2 left"},
		{strategy.EventLook, "1 left"},
		{strategy.EventLook, "1 left"},
		{strategy.EventRetry, "throttled"},
		{strategy.EventRetry, "throttled"},
		{strategy.EventLook, "1 left"},
		{strategy.EventDone, ""},
	} {
		observe(strategy.Event{Time: at, Kind: e.kind, Step: "await empty", N: 3, Of: 9, Text: e.text})
		at = at.Add(time.Second)
	}
	want := []string{
		"03:04:05  [3/9] await empty",
		"03:04:07  [3/9] await empty: 2 left",
		"03:04:10  [3/9] await empty: 1 left",
		"03:04:12  [3/9] await empty: throttled",
		"03:04:13  [3/9] await empty: throttled",
		"03:04:14  [3/9] await empty: 1 left",
		"03:04:15  [3/9] await empty ✓",
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(b.String()), "\n")); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestSlog(t *testing.T) {
	status := &endpoint.Status{Phase: endpoint.PhaseReady, Desired: endpoint.Revision{Kind: "template", ID: "b"}}
	for _, tt := range []struct {
		event strategy.Event
		level string
		attrs map[string]any // beside kind, endpoint and rollout
	}{
		{strategy.Event{Kind: strategy.EventPlan}, "INFO", nil},
		{strategy.Event{Kind: strategy.EventResume}, "INFO", nil},
		{strategy.Event{Kind: strategy.EventStep, Step: "update"}, "INFO", map[string]any{"step": "update", "back": false}},
		{
			strategy.Event{Kind: strategy.EventLook, Step: "update", Status: status},
			"DEBUG",
			map[string]any{"step": "update", "back": false, "phase": "ready", "desired": "template b"},
		},
		{strategy.Event{Kind: strategy.EventWrite, Step: "update", Back: true}, "DEBUG", map[string]any{"step": "update", "back": true}},
		{strategy.Event{Kind: strategy.EventRetry, Step: "update"}, "WARN", map[string]any{"step": "update", "back": false}},
		{strategy.Event{Kind: strategy.EventDone, Step: "update"}, "INFO", map[string]any{"step": "update", "back": false}},
		{strategy.Event{Kind: strategy.EventFail, Step: "update"}, "WARN", map[string]any{"step": "update", "back": false}},
		{strategy.Event{Kind: strategy.EventTurn}, "WARN", nil},
		{strategy.Event{Kind: strategy.EventCommit, Step: "commit"}, "INFO", map[string]any{"step": "commit", "back": false}},
		{strategy.Event{Kind: strategy.EventDrift}, "WARN", nil},
		{
			strategy.Event{Kind: strategy.EventEnd, Outcome: strategy.RolledBack, Status: status},
			"INFO",
			map[string]any{"outcome": "rolled back", "phase": "ready", "desired": "template b"},
		},
	} {
		t.Run(string(tt.event.Kind), func(t *testing.T) {
			var b bytes.Buffer
			h := slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug})
			tt.event.Endpoint, tt.event.Rollout, tt.event.Text = "fake/workers", "r1", "in words"
			strategy.Slog(slog.New(h))(tt.event)
			var got map[string]any
			if err := json.Unmarshal(b.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			delete(got, "time")
			want := map[string]any{
				"level": tt.level, "msg": "in words", "kind": string(tt.event.Kind), "endpoint": "fake/workers", "rollout": "r1",
			}
			maps.Copy(want, tt.attrs)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
		})
	}
}

// Every event of every way to end can be written as JSON and read back: that is
// how a program shows another one's rollout.
func TestEventJSON(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		fx.FailOn(fx.goal, "image pull backoff")
		fx.OnMutation(func(_ int, name string) endpointtest.Fault {
			if name != "update b" {
				return endpointtest.Fault{}
			}
			return endpointtest.RunAfter(func() { fx.Foreign(func(s *endpointtest.WorkersState) { s.Max = 7 }) })
		})
		_, err := fx.run(t.Context())
		if !errors.Is(err, endpoint.ErrRolledBack) {
			t.Fatal(err)
		}
		kinds := map[strategy.EventKind]bool{}
		for _, e := range fx.events {
			kinds[e.Kind] = true
			b, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			var again strategy.Event
			if err := json.Unmarshal(b, &again); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(e, again); diff != "" {
				t.Errorf("%s event (-sent +read):\n%s", e.Kind, diff)
			}
		}
		for _, k := range []strategy.EventKind{strategy.EventPlan, strategy.EventLook, strategy.EventWrite, strategy.EventTurn, strategy.EventDrift, strategy.EventEnd} {
			if !kinds[k] {
				t.Errorf("no %s event was sent", k)
			}
		}
	})
}

// story are the events but looks, which depend on how often one looks.
func (fx *fixture) story() []string {
	var lines []string
	for _, e := range fx.events {
		switch e.Kind {
		case strategy.EventLook:
		case strategy.EventWrite, strategy.EventTurn, strategy.EventDrift:
			lines = append(lines, string(e.Kind)+" "+e.Text)
		case strategy.EventEnd:
			lines = append(lines, "end "+string(e.Outcome))
		case strategy.EventPlan, strategy.EventResume, strategy.EventStep, strategy.EventRetry, strategy.EventDone, strategy.EventFail, strategy.EventCommit:
			lines = append(lines, strings.TrimSpace(string(e.Kind)+" "+e.Step))
		}
	}
	return lines
}

func TestEventsOfASuccess(t *testing.T) {
	for _, tt := range []struct {
		way  int
		want []string
	}{
		{0, []string{
			"plan",
			"step update", "write revision → template b (acme/sdxl:v2)", "done update",
			"step await serving", "done await serving",
			"commit commit",
			"step verify", "done verify",
			"end succeeded",
		}},
		{1, []string{
			"plan",
			"step lower workers.min", "write workers.min → 0", "done lower workers.min",
			"step lower workers.max", "write workers.max → 0", "done lower workers.max",
			"step await empty", "done await empty",
			"step update", "write revision → template b (acme/sdxl:v2)", "done update",
			"step restore workers.max", "write workers.max → 3", "done restore workers.max",
			"step restore workers.min", "write workers.min → 1", "done restore workers.min",
			"step await serving", "done await serving",
			"commit commit",
			"step verify", "done verify",
			"end succeeded",
		}},
		{2, []string{
			"plan",
			"step stage", "write draft → template b (acme/sdxl:v3)", "done stage",
			"step update", "write revision → template b (acme/sdxl:v3)", "done update",
			"step await serving", "done await serving",
			"commit commit",
			"step verify", "done verify",
			"end succeeded",
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			fx := flushFixture()
			fx.way = ways()[tt.way]
			if _, err := fx.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, fx.story()); diff != "" {
				t.Errorf("events of %s (-want +got):\n%s", fx.strategy, diff)
			}
		})
	}
}

func TestEventsOfARollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fx := flushFixture()
		fx.FailOn(fx.goal, "image pull backoff")
		_, err := fx.run(t.Context())
		fx.wantRolledBack(t, err, endpoint.ErrUnhealthy)
		story := fx.story()
		const turn = 20
		if len(story) <= turn {
			t.Fatalf("events: %q", story)
		}
		if got := story[turn]; !strings.HasPrefix(got, "turn going back: await serving: ") || !strings.Contains(got, "image pull backoff") {
			t.Errorf("event %d is %q, want the turn and why", turn, got)
		}
		want := []string{
			"plan",
			"step lower workers.min", "write workers.min → 0", "done lower workers.min",
			"step lower workers.max", "write workers.max → 0", "done lower workers.max",
			"step await empty", "done await empty",
			"step update", "write revision → template b (acme/sdxl:v2)", "done update",
			"step restore workers.max", "write workers.max → 3", "done restore workers.max",
			"step restore workers.min", "write workers.min → 1", "done restore workers.min",
			"step await serving", "fail await serving",
			story[turn],
			"step update", "write revision → template a (acme/sdxl:v1)", "done update",
			"step restore workers.max", "done restore workers.max",
			"step restore workers.min", "done restore workers.min",
			"step await serving", "done await serving",
			"step verify", "done verify",
			"end rolled back",
		}
		if diff := cmp.Diff(want, story); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		turned := false
		for i, e := range fx.events {
			turned = turned || e.Kind == strategy.EventTurn
			if e.Back != turned {
				t.Errorf("event %d, %s: Back is %v", i, e, e.Back)
			}
			if e.Endpoint != "fake/workers" || e.Rollout == "" {
				t.Errorf("event %d, %s: of endpoint %q, rollout %q", i, e, e.Endpoint, e.Rollout)
			}
			if e.Step != "" && (e.N < 1 || e.N > e.Of) {
				t.Errorf("event %d, %s: step %d of %d", i, e, e.N, e.Of)
			}
		}
	})
}
