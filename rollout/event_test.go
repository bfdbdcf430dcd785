package rollout_test

import (
	"bytes"
	"context"
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
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
)

func TestEventString(t *testing.T) {
	step := func(kind rollout.EventKind, text string) rollout.Event {
		return rollout.Event{Kind: kind, Step: "lower workers.max", N: 2, Of: 9, Text: text}
	}
	back := step(rollout.EventWrite, "workers.max → 3")
	back.Rollback = true
	for _, tt := range []struct {
		event rollout.Event
		want  string
	}{
		{rollout.Event{Kind: rollout.EventPlan, Text: "in-place: a → b"}, "in-place: a → b"},
		{rollout.Event{Kind: rollout.EventResume, Text: "taking over in-place"}, "taking over in-place"},
		{step(rollout.EventStep, ""), "[2/9] lower workers.max"},
		{step(rollout.EventPoll, "1 worker left"), "[2/9] lower workers.max: 1 worker left"},
		{step(rollout.EventWrite, "workers.max → 0"), "[2/9] lower workers.max: workers.max → 0"},
		{back, "[back 2/9] lower workers.max: workers.max → 3"},
		{step(rollout.EventRetry, "throttled"), "[2/9] lower workers.max: throttled"},
		{step(rollout.EventDone, ""), "[2/9] lower workers.max ✓"},
		{step(rollout.EventDone, "left alone"), "[2/9] lower workers.max: left alone ✓"},
		{step(rollout.EventFail, "quota exceeded"), "[2/9] lower workers.max: quota exceeded ✗"},
		{rollout.Event{Kind: rollout.EventFail, Text: "the journal cannot be written any more"}, "the journal cannot be written any more ✗"},
		{rollout.Event{Kind: rollout.EventRollback, Text: "going back: unhealthy"}, "going back: unhealthy"},
		{step(rollout.EventCommit, ""), "[2/9] lower workers.max ✓"},
		{rollout.Event{Kind: rollout.EventDrift, Text: "workers.max: found 7"}, "workers.max: found 7"},
		{rollout.Event{Kind: rollout.EventEnd, Text: "succeeded", Outcome: rollout.OutcomeSucceeded}, "succeeded"},
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
	observe := rollout.Text(&b)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, e := range []struct {
		kind rollout.EventKind
		text string
	}{
		{rollout.EventStep, ""},
		{rollout.EventPoll, ""}, // has nothing to say
		{rollout.EventPoll, "2 left"},
		{rollout.EventPoll, "2 left"},
		{rollout.EventPoll, "2 left"},
		{rollout.EventPoll, "1 left"},
		{rollout.EventPoll, "1 left"},
		{rollout.EventRetry, "throttled"},
		{rollout.EventRetry, "throttled"},
		{rollout.EventPoll, "1 left"},
		{rollout.EventDone, ""},
	} {
		observe(t.Context(), rollout.Event{Time: at, Kind: e.kind, Step: "await empty", N: 3, Of: 9, Text: e.text})
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

// seeing is a handler that looks at the context of each record.
type seeing struct {
	slog.Handler
	see func(context.Context)
}

func (s *seeing) Handle(ctx context.Context, r slog.Record) error {
	s.see(ctx)
	return s.Handler.Handle(ctx, r)
}

func TestSlog(t *testing.T) {
	status := &endpoint.Status{Phase: endpoint.PhaseReady, Desired: endpoint.Revision{Kind: "template", ID: "b"}}
	for _, tt := range []struct {
		event rollout.Event
		level string
		attrs map[string]any // beside kind, endpoint and rollout
	}{
		{rollout.Event{Kind: rollout.EventPlan}, "INFO", nil},
		{rollout.Event{Kind: rollout.EventResume}, "INFO", nil},
		{rollout.Event{Kind: rollout.EventStep, Step: "update"}, "INFO", map[string]any{"step": "update", "rollback": false}},
		{
			rollout.Event{Kind: rollout.EventPoll, Step: "update", Status: status},
			"DEBUG",
			map[string]any{"step": "update", "rollback": false, "phase": "ready", "desired": "template b"},
		},
		{rollout.Event{Kind: rollout.EventWrite, Step: "update", Rollback: true}, "DEBUG", map[string]any{"step": "update", "rollback": true}},
		{rollout.Event{Kind: rollout.EventRetry, Step: "update"}, "WARN", map[string]any{"step": "update", "rollback": false}},
		{rollout.Event{Kind: rollout.EventDone, Step: "update"}, "INFO", map[string]any{"step": "update", "rollback": false}},
		{rollout.Event{Kind: rollout.EventFail, Step: "update"}, "WARN", map[string]any{"step": "update", "rollback": false}},
		{rollout.Event{Kind: rollout.EventRollback}, "WARN", nil},
		{rollout.Event{Kind: rollout.EventCommit, Step: "commit"}, "INFO", map[string]any{"step": "commit", "rollback": false}},
		{rollout.Event{Kind: rollout.EventDrift}, "WARN", nil},
		{rollout.Event{Kind: rollout.EventCheck, Verdict: &journal.Verdict{Result: "pass"}}, "DEBUG", nil},
		{rollout.Event{Kind: rollout.EventCheck, Verdict: &journal.Verdict{Result: "fail"}}, "WARN", nil},
		{rollout.Event{Kind: rollout.EventHold}, "INFO", nil},
		{rollout.Event{Kind: rollout.EventDecision}, "INFO", nil},
		{rollout.Event{Kind: rollout.EventEnd, Outcome: rollout.OutcomeSucceeded}, "INFO", map[string]any{"outcome": "succeeded"}},
		{rollout.Event{Kind: rollout.EventEnd, Outcome: rollout.OutcomeIncomplete}, "ERROR", map[string]any{"outcome": "incomplete"}},
		{
			rollout.Event{Kind: rollout.EventEnd, Outcome: rollout.OutcomeRolledBack, Status: status},
			"WARN",
			map[string]any{"outcome": "rolled back", "phase": "ready", "desired": "template b"},
		},
	} {
		t.Run(string(tt.event.Kind), func(t *testing.T) {
			var b bytes.Buffer
			h := slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug})
			tt.event.Endpoint, tt.event.Rollout, tt.event.Text = "fake/workers", "r1", "in words"
			type key struct{}
			ctx := context.WithValue(t.Context(), key{}, "trace 1")
			rollout.Slog(slog.New(&seeing{Handler: h, see: func(ctx context.Context) {
				if ctx.Value(key{}) != "trace 1" {
					t.Error("the handler does not see the context")
				}
			}}))(ctx, tt.event)
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
		if !errors.Is(err, rollout.ErrRolledBack) {
			t.Fatal(err)
		}
		kinds := map[rollout.EventKind]bool{}
		for _, e := range fx.events {
			kinds[e.Kind] = true
			b, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			var again rollout.Event
			if err := json.Unmarshal(b, &again); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(e, again); diff != "" {
				t.Errorf("%s event (-sent +read):\n%s", e.Kind, diff)
			}
		}
		for _, k := range []rollout.EventKind{rollout.EventPlan, rollout.EventPoll, rollout.EventWrite, rollout.EventRollback, rollout.EventDrift, rollout.EventEnd} {
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
		switch e.Kind { //nolint:exhaustive // the others need nothing here
		case rollout.EventPoll:
		case rollout.EventWrite, rollout.EventRollback, rollout.EventDrift:
			lines = append(lines, string(e.Kind)+" "+e.Text)
		case rollout.EventEnd:
			lines = append(lines, "end "+string(e.Outcome))
		case rollout.EventPlan, rollout.EventResume, rollout.EventStep, rollout.EventRetry, rollout.EventDone, rollout.EventFail, rollout.EventCommit:
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
		const rollback = 20
		if len(story) <= rollback {
			t.Fatalf("events: %q", story)
		}
		if got := story[rollback]; !strings.HasPrefix(got, "rollback going back: await serving: ") || !strings.Contains(got, "image pull backoff") {
			t.Errorf("event %d is %q, want the rollback and why", rollback, got)
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
			story[rollback],
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
		turned, planned := false, false
		for i, e := range fx.events {
			planned = planned || e.Kind == rollout.EventPlan
			turned = turned || e.Kind == rollout.EventRollback
			if e.Rollback != turned {
				t.Errorf("event %d, %s: Back is %v", i, e, e.Rollback)
			}
			if e.Endpoint != "fake/workers" || (e.Rollout != "") != planned {
				t.Errorf("event %d, %s: of endpoint %q, rollout %q", i, e, e.Endpoint, e.Rollout)
			}
			if e.Step != "" && (e.N < 1 || e.N > e.Of) {
				t.Errorf("event %d, %s: step %d of %d", i, e, e.N, e.Of)
			}
		}
	})
}
