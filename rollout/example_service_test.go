package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// A job in CI first deals with what a run before has left unfinished.
func ExampleWithResumeFirst() {
	ctx, store, ep := context.Background(), journal.NewMemory(), serverless()
	abandoned(store, ep) // the last job died half-way
	report, err := rollout.Run(ctx, store, ep, strategy.InPlace{}, rollout.ToRevision("b"), append(fast, rollout.WithResumeFirst())...)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("before that:", report.Resumed.Outcome)
	fmt.Println(report.Outcome, "on", report.Status.Serving)
	// Output:
	// before that: rolled back
	// succeeded on template b (acme/sdxl:v2)
}

// A service shows where the rollouts of its endpoints stand.
func ExampleInspect() {
	store, ep := journal.NewMemory(), serverless()
	abandoned(store, ep)
	site := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := rollout.Inspect(r.Context(), store, r.FormValue("endpoint"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		fmt.Fprintln(w, s.Plan.Strategy, "unfinished:", s.Unfinished, "next:", s.Step)
	})
	answer := httptest.NewRecorder()
	site.ServeHTTP(answer, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/?endpoint=fake/sdxl", nil))
	fmt.Print(answer.Body)
	// Output: flush-to-zero unfinished: true next: update
}

// A plan is made, approved by whoever has to, and carried out exactly, or refused.
func ExampleApply() {
	ctx, store, ep := context.Background(), journal.NewMemory(), serverless()
	plan, err := rollout.Preview(ctx, ep, strategy.InPlace{}, rollout.ToRevision("b"), fast...)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := ep.Set(ctx, "workers.max", 5); err != nil { // somebody is quicker
		fmt.Println(err)
		return
	}
	time.Sleep(50 * time.Millisecond)
	_, err = rollout.Apply(ctx, store, ep, plan, rollout.WithInterval(time.Millisecond))
	fmt.Println(errors.Is(err, rollout.ErrStale))
	var stale *rollout.StaleError
	if errors.As(err, &stale) {
		for _, m := range stale.Moved {
			fmt.Println(m.Thing, "was", m.Planned, "and is", m.Found)
		}
	}
	// Output:
	// true
	// workers.max was 3 and is 5
}

// A person approves from another process, which has the same store.
func ExampleDecide() {
	ctx, store, ep := context.Background(), journal.NewMemory(), serverless()
	person := rollout.WithObserver(func(_ context.Context, e rollout.Event) {
		if e.Kind == rollout.EventHold {
			go func() {
				_ = rollout.Decide(ctx, store, ep.Name(), rollout.Decision{Verb: rollout.Approve, Approval: "go", By: "ada"})
			}()
		}
	})
	report, err := rollout.Run(ctx, store, ep, strategy.InPlace{}, rollout.ToRevision("b"), append(fast, person,
		rollout.WithApproval(strategy.Approval{Name: "go", Expires: time.Hour}))...)
	fmt.Println(report.Outcome, err)
	// Output: succeeded <nil>
}

// The endpoint was deleted with its project: its rollout can never be finished.
func ExampleAbandon() {
	ctx, store, ep := context.Background(), journal.NewMemory(), serverless()
	abandoned(store, ep)
	report, err := rollout.Abandon(ctx, store, ep.Name(), "deleted with its project")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Outcome)
	for _, r := range report.Residue {
		fmt.Println("remains:", r.Remedy)
	}
	// Output:
	// abandoned
	// remains: set workers.max to 3
	// remains: set workers.min to 1
}

// A provider asks to leave machines that it cannot patch: the same image, on new workers.
func ExampleWithRefresh() {
	ctx, store, ep := context.Background(), journal.NewMemory(), serverless()
	report, err := rollout.Run(ctx, store, ep, strategy.FlushToZero{}, rollout.Target{}, append(fast, rollout.WithRefresh("the hosts are patched"))...)
	fmt.Println(report.Outcome, report.Plan.Refresh, err)
	// Output: succeeded the hosts are patched <nil>
}
