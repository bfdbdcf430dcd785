package rollout_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// Each observer that is added gets every event, in order.
func TestObserversAdd(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		var heard [2][]string
		var opts []rollout.Option
		for i := range heard {
			opts = append(opts, rollout.WithObserver(func(_ context.Context, e rollout.Event) { heard[i] = append(heard[i], e.String()) }))
		}
		var want []string
		opts = append(opts, rollout.WithHook(func(e rollout.Event) { want = append(want, e.String()) }))
		r, err := fx.run(t.Context(), opts...)
		if err != nil || r.DroppedEvents > 0 {
			t.Fatal(r, err)
		}
		if !slices.Equal(heard[0], want) || !slices.Equal(heard[1], want) {
			t.Errorf("heard %q\nand %q\nwant %q", heard[0], heard[1], want)
		}
	})
}

type traceKey struct{}

// An observer gets the values of the rollout's context, and is not cancelled with it.
func TestObserverGetsTheContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fx := flushFixture()
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), traceKey{}, "trace 7"))
		defer cancel()
		after := 0
		r, err := fx.run(ctx, rollout.WithObserver(func(octx context.Context, e rollout.Event) {
			if octx.Value(traceKey{}) != "trace 7" || octx.Err() != nil {
				t.Errorf("%s: context has %v, %v", e, octx.Value(traceKey{}), octx.Err())
			}
			if e.Kind == rollout.EventStep && e.Step == "update" {
				cancel()
			}
			if ctx.Err() != nil {
				after++
			}
		}))
		fx.wantRolledBack(t, err, context.Canceled)
		if after < 5 || r.DroppedEvents > 0 {
			t.Errorf("heard %d events of the rollback, dropped %d", after, r.DroppedEvents)
		}
	})
}

// An observer that blocks for good costs a rollout a tenth of a second, and two
// at its end: the rollback is not held up, and neither is another observer.
func TestBlockedObserver(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		fx.FailOn(fx.goal, "image pull backoff")
		plain := &fixture{Workers: flushFixture().Workers, way: fx.way, before: fx.before}
		plain.FailOn(fx.goal, "image pull backoff")
		schedule := rollout.WithInterval(5 * time.Second)
		start := time.Now()
		_, err := plain.run(t.Context(), schedule)
		plain.wantRolledBack(t, err, rollout.ErrRolledBack)
		alone := time.Since(start)

		start = time.Now()
		ended := make(chan struct{})
		r, err := fx.run(t.Context(), schedule, rollout.WithObserver(func(ctx context.Context, _ rollout.Event) {
			<-ctx.Done() // until the rollout waits for it no longer
			close(ended)
		}))
		fx.wantRolledBack(t, err, rollout.ErrRolledBack)
		if took := time.Since(start); took > alone+3*time.Second {
			t.Errorf("took %v, without the observer %v", took, alone)
		}
		if want := len(fx.events); r.DroppedEvents != want {
			t.Errorf("%d events are dropped, want all %d", r.DroppedEvents, want)
		}
		<-ended
	})
}

// An observer that panics breaks nothing, and is called again.
func TestPanickingObserver(t *testing.T) {
	eachWay(t, func(t *testing.T, fx *fixture) {
		called := 0
		r, err := fx.run(t.Context(), rollout.WithObserver(func(context.Context, rollout.Event) {
			called++
			panic("no such metric")
		}))
		if err != nil || fx.artifact() != fx.goal {
			t.Fatal(err)
		}
		if called != len(fx.events) || r.DroppedEvents != called {
			t.Errorf("called %d times for %d events, %d dropped", called, len(fx.events), r.DroppedEvents)
		}
		if !strings.Contains(r.ObserverPanic, "no such metric") || !strings.Contains(r.ObserverPanic, "observer_test.go") {
			t.Errorf("the report does not say where it panicked: %q", r.ObserverPanic)
		}
	})
}

// While the endpoint is not at rest there are events from the first poll on, with
// what is waited for and until when.
func TestWaitingForTheStartIsTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ep, start := updating(), time.Now()
		var first rollout.Event
		_, err := rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.ScaleProtectedSwap{}, rollout.ToRevision("c2"),
			rollout.WithStartTimeout(time.Minute), rollout.WithObserver(func(_ context.Context, e rollout.Event) {
				if first.Kind == "" {
					first = e
				}
			}))
		if err == nil {
			t.Fatal("it began")
		}
		if first.Kind != rollout.EventPoll || !first.Time.Equal(start) || !first.Until.Equal(start.Add(time.Minute)) || !strings.Contains(first.Text, "updating") {
			t.Errorf("first event %+v", first)
		}
	})
}
