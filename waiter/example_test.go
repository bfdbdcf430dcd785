package waiter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/waiter"
)

// The examples run on fakes whose updates take a few milliseconds of real
// time, and look at them as often. Against a provider, leave the schedule alone.
var often = waiter.WithSchedule(waiter.Every(time.Millisecond))

// newWorkers returns an endpoint of the kind that RunPod has, with up to three workers.
func newWorkers(minimum int) *endpointtest.Workers {
	return endpointtest.NewWorkers(endpointtest.WorkersConfig{
		Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: minimum, Max: 3,
		Tick: time.Millisecond, Start: time.Millisecond, Idle: time.Millisecond,
	})
}

// newVariants returns an endpoint of the kind that SageMaker has.
func newVariants() *endpointtest.Variants {
	return endpointtest.NewVariants(endpointtest.VariantsConfig{
		Revisions: map[string]string{"sdxl-1": "model-1", "sdxl-2": "model-2"}, Live: "sdxl-1",
		Counts: map[string]int{"AllTraffic": 2},
		Create: time.Millisecond, Rollback: time.Millisecond,
	})
}

func ExampleReady() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ep := newWorkers(1)

	want := endpoint.Revision{Kind: "template", ID: "b"}
	if err := ep.Update(ctx, endpoint.Change{To: want}); err != nil {
		fmt.Println(err)
		return
	}
	status, err := waiter.Ready(ctx, ep, want, often)
	fmt.Println(status.Phase, status.Serving, err)
	// Output: ready template b (acme/sdxl:v2) <nil>
}

// A provider that goes back to the old revision by itself reports that all is
// well. Ready does not.
func ExampleReady_rolledBack() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ep := newVariants()
	ep.FailOn("model-2", "alarm sdxl-5xx went off")

	before, _ := ep.Status(ctx)
	want := endpoint.Revision{Kind: "endpoint-config", ID: "sdxl-2"}
	if err := ep.Update(ctx, endpoint.Change{To: want}); err != nil {
		fmt.Println(err)
		return
	}
	status, err := waiter.Ready(ctx, ep, want, often,
		waiter.WithFrom(before.Serving), waiter.WithGrace(5*time.Millisecond))
	var ended *waiter.Error
	if errors.As(err, &ended) {
		fmt.Println(status.Phase, errors.Is(err, endpoint.ErrRolledBack))
		fmt.Println(ended.Cause)
	}
	// Output:
	// ready true
	// rolled back to endpoint-config sdxl-1 (model-1): alarm sdxl-5xx went off
}

// An endpoint that scales to zero has nothing that could prove what it serves.
func ExampleWithUnproven() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ep := newWorkers(0)

	want := endpoint.Revision{Kind: "template", ID: "a"}
	status, err := waiter.Ready(ctx, ep, want, often, waiter.WithUnproven())
	fmt.Printf("desired %s, serving %s, %v\n", status.Desired, status.Serving, err)
	// Output: desired template a (acme/sdxl:v1), serving nothing, <nil>
}

func ExampleDrained() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ep := newWorkers(1)

	// Down to nothing: the lower bound first.
	for _, key := range []string{endpoint.WorkersMin, endpoint.WorkersMax} {
		if err := ep.Set(ctx, key, 0); err != nil {
			fmt.Println(err)
			return
		}
	}
	status, err := waiter.Drained(ctx, ep, often)
	fmt.Println(status.Phase, status.Live(), err)
	// Output: paused 0 <nil>
}

func ExampleSettled() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ep := newVariants()

	// Somebody's update is in progress. SageMaker refuses another one meanwhile.
	_ = ep.Update(ctx, endpoint.Change{To: endpoint.Revision{Kind: "endpoint-config", ID: "sdxl-2"}})
	status, err := waiter.Settled(ctx, ep, often)
	fmt.Println(status.Phase, status.Serving, err)
	// Output: ready endpoint-config sdxl-2 (model-2) <nil>
}

// Until is the loop by itself, for a condition of one's own.
func ExampleUntil() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ep := newWorkers(1)
	if err := ep.Set(ctx, endpoint.WorkersMin, 3); err != nil {
		fmt.Println(err)
		return
	}
	seen, err := waiter.Until(ctx, func(ctx context.Context) (waiter.Observation, bool, error) {
		s, err := ep.Status(ctx)
		if err != nil {
			return waiter.Observation{}, false, err
		}
		ready := 0
		for _, p := range s.Pools {
			ready += p.Ready
		}
		return waiter.Observation{Status: s, Note: fmt.Sprintf("%d workers ready", ready)}, ready >= 3, nil
	}, often)
	fmt.Println(seen.Note, err)
	// Output: 3 workers ready <nil>
}

// The error of a wait says why it ended, and what was last seen.
func ExampleError() {
	errBudget := errors.New("the maintenance window is over")
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	ep := newWorkers(1)
	ep.StallOn("acme/sdxl:v2")

	want := endpoint.Revision{Kind: "template", ID: "b"}
	if err := ep.Update(ctx, endpoint.Change{To: want}); err != nil {
		fmt.Println(err)
		return
	}
	_, err := waiter.Ready(ctx, ep, want, often, waiter.WithObserver(func(p waiter.Progress) {
		if p.Observed.Status.Phase == endpoint.PhaseScaling {
			cancel(errBudget)
		}
	}))
	var ended *waiter.Error
	if errors.As(err, &ended) {
		fmt.Println(errors.Is(err, errBudget), ended.Observed.Status.Phase, ended.Observed.Note)
	}
	// Output: true scaling 0 ready, 1 starting, 0 throttled, 0 on another revision
}

func ExampleWithObserver() {
	last := ""
	status, err := waiter.Settled(context.Background(), newWorkers(1), often,
		waiter.WithObserver(func(p waiter.Progress) {
			fmt.Println(p.Polls, p.Observed.Status.Phase, p.Next)
			last = p.Observed.Status.Desired.ID
		}))
	fmt.Println(status.Desired.ID == last, err)
	// Output:
	// 1 ready 1ms
	// 2 ready 0s
	// true <nil>
}

// What to wait out is the caller's decision.
func ExampleWithTransient() {
	ep := newWorkers(1)
	ep.OnRead(func(n int, _ string) endpointtest.Fault {
		if n == 1 {
			return endpointtest.Refuse(endpoint.ErrUnauthorized) // a new key takes a moment to be known
		}
		return endpointtest.Fault{}
	})
	status, err := waiter.Settled(context.Background(), ep, often,
		waiter.WithTransient(func(err error) bool {
			return endpoint.Transient(err) || errors.Is(err, endpoint.ErrUnauthorized)
		}, time.Minute),
		waiter.WithBackoff(time.Millisecond, time.Second))
	fmt.Println(status.Phase, err)
	// Output: ready <nil>
}

// A source of events need not be reliable: it only makes the wait look sooner.
func ExampleWithWake() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	wake := make(chan struct{}, 1)
	ep := newVariants()
	looks := 0
	_, err := waiter.Settled(ctx, ep, waiter.WithWake(wake),
		waiter.WithSchedule(waiter.Every(time.Hour)),
		waiter.WithObserver(func(p waiter.Progress) {
			looks = p.Polls
			wake <- struct{}{} // what a queue of events would do
		}))
	fmt.Println(looks, err)
	// Output: 2 <nil>
}

// progressive looks often at first, and more rarely the longer it takes.
type progressive struct{ longest time.Duration }

func (s progressive) Next(p waiter.Progress) time.Duration {
	return min(s.longest, time.Millisecond+p.Elapsed/10)
}

func ExampleWithSchedule() {
	status, err := waiter.Settled(context.Background(), newVariants(), waiter.WithSchedule(progressive{time.Minute}))
	fmt.Println(status.Phase, err)
	// Output: ready <nil>
}

// A program that runs now and then keeps what it learned in a file of its own.
func ExampleHistory() {
	var h waiter.History
	doc := `[{"kind":"update","of":[{"endpoint":"runpod/i02xupws21hp6i","took":[360000000000]}]}]`
	if err := json.Unmarshal([]byte(doc), &h); err != nil {
		fmt.Println(err)
		return
	}
	// What a wait with WithHistory(&h, "update", u.Name()) does when it succeeds:
	h.Add("update", "runpod/i02xupws21hp6i", 5*time.Minute)
	fmt.Println(h.Durations("update", "runpod/i02xupws21hp6i"))
	_, err := json.Marshal(&h)
	fmt.Println(err)
	// Output:
	// [6m0s 5m0s]
	// <nil>
}

// The default schedule looks rarely while nothing can be ready, and often
// about the time that the same operation took before.
func ExampleLearned() {
	var h waiter.History
	for range 8 {
		h.Add("update", "sagemaker/sdxl", 5*time.Minute)
	}
	schedule := waiter.Learned(waiter.DefaultPrice)
	for _, elapsed := range []time.Duration{time.Minute, 290 * time.Second, 5 * time.Minute, 20 * time.Minute} {
		gap := schedule.Next(waiter.Progress{Elapsed: elapsed, Forecast: h.Forecast("update", "sagemaker/sdxl")})
		fmt.Println(elapsed, "→", gap.Round(time.Second))
	}
	// Output:
	// 1m0s → 1m0s
	// 4m50s → 3s
	// 5m0s → 2s
	// 20m0s → 9s
}
