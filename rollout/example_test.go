package rollout_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// The examples run on fakes whose workers take a millisecond of real time, and
// look at them as often. Against a provider, leave both options alone.
var fast = []rollout.Option{rollout.WithInterval(time.Millisecond), rollout.WithSettle(5 * time.Millisecond)}

// serverless returns an endpoint of the kind that RunPod has: template a is
// live, b is idle.
func serverless() *endpointtest.Workers {
	return endpointtest.NewWorkers(endpointtest.WorkersConfig{
		Name: "fake/sdxl", Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3,
		Tick: time.Millisecond, Start: time.Millisecond, Idle: time.Millisecond,
	})
}

// scaled returns an endpoint of the kind that SageMaker has, with autoscaling.
func scaled() *endpointtest.Variants {
	return endpointtest.NewVariants(endpointtest.VariantsConfig{
		Name: "fake/sdxl", Revisions: map[string]string{"sdxl-1": "model-1", "sdxl-2": "model-2"}, Live: "sdxl-1",
		Counts: map[string]int{"AllTraffic": 2},
		Targets: map[string]endpointtest.Target{"AllTraffic": {
			Min: 1, Max: 6, Policies: []endpointtest.Policy{{Name: "track", Config: "70"}},
		}},
		Create: time.Millisecond, Rollback: time.Millisecond, Scale: time.Millisecond,
	})
}

func ExampleRun() {
	ctx, ep := context.Background(), serverless()
	report, err := rollout.Run(ctx, journal.NewMemory(), ep, strategy.InPlace{}, rollout.ToRevision("b"), fast...)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Outcome, "on", report.Status.Serving, "proven by", report.Proof)
	// Output: succeeded on template b (acme/sdxl:v2) proven by workers
}

// A rollout that fails is undone before Run returns.
func ExampleRun_rolledBack() {
	ctx, ep := context.Background(), serverless()
	ep.FailOn("acme/sdxl:v2", "image pull backoff")
	report, err := rollout.Run(ctx, journal.NewMemory(), ep, strategy.FlushToZero{}, rollout.ToRevision("b"), fast...)
	fmt.Println(errors.Is(err, rollout.ErrRolledBack), errors.Is(err, endpoint.ErrUnhealthy))
	fmt.Println(report.Status.Serving, report.Status.Settings)
	// Output:
	// true true
	// template a (acme/sdxl:v1) map[workers.max:3 workers.min:1]
}

// abandoned leaves a rollout behind in the store, half done.
func abandoned(store journal.Store, ep endpoint.Updater) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err := rollout.Run(ctx, store, ep, strategy.FlushToZero{}, rollout.ToRevision("b"), append(fast,
		rollout.WithDetach(), rollout.WithOwner("ci job 12"), rollout.WithObserver(func(_ context.Context, e rollout.Event) {
			if e.Kind == rollout.EventDone && e.Step == "await empty" {
				cancel() // at the worst moment: no worker is left
			}
		}))...)
	if !errors.Is(err, rollout.ErrDetached) {
		panic(err)
	}
}

func ExampleResume() {
	ctx, store, ep := context.Background(), journal.NewMemory(), serverless()
	abandoned(store, ep)
	fmt.Println("workers.max is", ep.Truth().Max)

	report, err := rollout.Resume(ctx, store, ep, fast...)
	fmt.Println(report.Outcome, errors.Is(err, rollout.ErrRolledBack), report.Status.Settings)

	report, err = rollout.Resume(ctx, store, ep, fast...)
	fmt.Println(report.Outcome, err)
	// Output:
	// workers.max is 0
	// rolled back true map[workers.max:3 workers.min:1]
	// nothing <nil>
}

// A rollout can be finished forward as well.
func ExampleWithForward() {
	ctx, store, ep := context.Background(), journal.NewMemory(), serverless()
	abandoned(store, ep)
	report, err := rollout.Resume(ctx, store, ep, append(fast, rollout.WithForward())...)
	fmt.Println(report.Outcome, report.Status.Serving, err)
	// Output: succeeded template b (acme/sdxl:v2) <nil>
}

// Advance is for engines that keep a loop of their own. Each call makes at most
// one call of the provider, and says when the next one is due.
func ExampleRollout_Advance() {
	ctx, store, ep := context.Background(), journal.NewMemory(), serverless()
	r, err := rollout.Begin(ctx, store, ep, strategy.FlushToZero{}, rollout.ToRevision("b"), append(fast, rollout.WithOwner("workflow 7"))...)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	for {
		next, report, err := r.Advance(ctx)
		if next.IsZero() {
			fmt.Println(report.Outcome, err)
			return
		}
		time.Sleep(time.Until(next))
	}
	// Output: succeeded <nil>
}

func ExamplePreview() {
	plan, err := rollout.Preview(context.Background(), serverless(), strategy.FlushToZero{}, rollout.ToRevision("b"),
		rollout.WithInterval(time.Millisecond))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(plan)
	// Output:
	// flush-to-zero of fake/sdxl
	//   from      template a (acme/sdxl:v1)
	//   to        template b (acme/sdxl:v2)
	//   downtime  from the moment that the last worker is gone until the first one of the new revision is ready
	//   kept      workers.max=3
	//   kept      workers.min=1
	//   note      new jobs are refused while workers.max is 0; workers.min=1 workers.max=3 are put back on every way out
	//   forward:
	//      1. lower workers.min (workers.min=0)  (at most 3m0s)
	//      2. lower workers.max (workers.max=0)  (at most 3m0s)
	//      3. await empty  (at most 30m0s)
	//      4. update to template b (acme/sdxl:v2)  (at most 33m0s)
	//      5. restore workers.max (workers.max=3)  (at most 3m0s)
	//      6. restore workers.min (workers.min=1)  (at most 3m0s)
	//      7. await serving  (at most 30m0s)
	//      8. commit
	//      9. verify  (at most 5m0s)
	//   back, if anything fails before the commit:
	//      1. update to template a (acme/sdxl:v1)  (at most 33m0s)
	//      2. restore workers.max (workers.max=3)  (at most 3m0s)
	//      3. restore workers.min (workers.min=1)  (at most 3m0s)
	//      4. await serving  (at most 30m0s)
	//      5. verify  (at most 5m0s)
}

// A plan is data: it can be kept, shown elsewhere and read back.
func ExampleDecodePlan() {
	plan, err := rollout.Preview(context.Background(), serverless(), strategy.InPlace{}, rollout.ToRevision("b"), fast...)
	if err != nil {
		fmt.Println(err)
		return
	}
	b, err := json.Marshal(plan)
	if err != nil {
		fmt.Println(err)
		return
	}
	again, err := strategy.DecodePlan(b)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(again.Strategy, "from", again.Source, "to", again.Target, again.String() == plan.String())
	// Output: in-place from template a (acme/sdxl:v1) to template b (acme/sdxl:v2) true
}

func ExampleExplain() {
	store, ep := journal.NewMemory(), serverless()
	abandoned(store, ep)
	timeline, err := rollout.Explain(context.Background(), store, ep.Name())
	if err != nil {
		fmt.Println(err)
		return
	}
	lines := strings.Split(strings.TrimSpace(timeline), "\n")
	fmt.Println(lines[0])
	fmt.Println("  …", len(lines)-2, "lines, each with its time")
	fmt.Println(lines[len(lines)-1])
	// Output:
	// flush-to-zero of fake/sdxl: template a (acme/sdxl:v1) → template b (acme/sdxl:v2)
	//   … 11 lines, each with its time
	// next: resume: go back to template a (acme/sdxl:v1), or with the forward policy on with "update"
}

func ExampleNewFiles() {
	dir, err := os.MkdirTemp("", "journal-*")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	store, err := journal.NewFiles(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	ep := serverless()
	if _, err := rollout.Run(context.Background(), store, ep, strategy.InPlace{}, rollout.ToRevision("b"), fast...); err != nil {
		fmt.Println(err)
		return
	}
	journal, err := os.ReadFile(store.Path(ep.Name()))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(filepath.Base(store.Path(ep.Name())), "holds", strings.Count(string(journal), "\n"), "records")
	// Output: fake%2Fsdxl.jsonl holds 9 records
}

// To use Memory is to say that a crash cannot be resumed.
func ExampleNewMemory() {
	ctx, store, ep := context.Background(), journal.NewMemory(), serverless()
	if _, err := rollout.Run(ctx, store, ep, strategy.InPlace{}, rollout.ToRevision("b"), fast...); err != nil {
		fmt.Println(err)
		return
	}
	records, err := store.Load(ctx, ep.Name())
	fmt.Println(records[0].Kind, "…", records[len(records)-1].Outcome, err)
	// Output: plan … succeeded <nil>
}

func ExampleInPlace() {
	ep := serverless()
	report, err := rollout.Run(context.Background(), journal.NewMemory(), ep, strategy.InPlace{}, rollout.ToRevision("b"), fast...)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Outcome, "on", report.Status.Serving)
	printWrites(ep.Calls())
	// Output:
	// succeeded on template b (acme/sdxl:v2)
	// update b
}

// printWrites shows what an endpoint was sent.
func printWrites(calls []endpointtest.Call) {
	for _, c := range calls {
		if c.Write > 0 {
			fmt.Println(c.Name)
		}
	}
}

func ExampleFlushToZero() {
	ep := serverless()
	report, err := rollout.Run(context.Background(), journal.NewMemory(), ep,
		strategy.FlushToZero{Drain: time.Minute}, rollout.ToRevision("b"), fast...)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Outcome, "on", report.Status.Serving)
	printWrites(ep.Calls())
	// Output:
	// succeeded on template b (acme/sdxl:v2)
	// set workers.min=0
	// set workers.max=0
	// update b
	// set workers.max=3
	// set workers.min=1
}

func ExampleAlternatingTemplate() {
	ep := serverless()
	pair := strategy.AlternatingTemplate{Templates: [2]string{"a", "b"}}
	for _, image := range []string{"acme/sdxl:v3", "acme/sdxl:v4"} {
		report, err := rollout.Run(context.Background(), journal.NewMemory(), ep, pair, rollout.ToArtifact(image), fast...)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(report.Status.Serving, "and", report.Plan.Source, "as the way back")
	}
	// Output:
	// template b (acme/sdxl:v3) and template a (acme/sdxl:v1) as the way back
	// template a (acme/sdxl:v4) and template b (acme/sdxl:v3) as the way back
}

func ExampleScaleProtectedSwap() {
	ep := scaled()
	report, err := rollout.Run(context.Background(), journal.NewMemory(), ep,
		strategy.ScaleProtectedSwap{Prescale: 4}, rollout.ToRevision("sdxl-2"), fast...)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Outcome, "on", report.Status.Serving)
	printWrites(ep.Calls())
	// Output:
	// succeeded on endpoint-config sdxl-2 (model-2)
	// protect AllTraffic
	// set variant/AllTraffic/instances=4
	// update sdxl-2
	// set variant/AllTraffic/instances=2
	// restore AllTraffic
}

// A revision that exists is named by the provider's identifier.
func ExampleToRevision() {
	plan, err := rollout.Preview(context.Background(), serverless(), strategy.InPlace{}, rollout.ToRevision("b"), fast...)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(plan.Target)
	// Output: template b (acme/sdxl:v2)
}

// A revision that does not exist yet is named by what it runs, and made on the
// way.
func ExampleToArtifact() {
	plan, err := rollout.Preview(context.Background(), scaled(), strategy.ScaleProtectedSwap{}, rollout.ToArtifact("model-3"), fast...)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(plan.Forward[0].Name, plan.Target, "like", plan.Draft.Base)
	// Output: stage endpoint-config sdxl-1-1 (model-3) like endpoint-config sdxl-1 (model-1)
}

// A draft can be looked at, or changed, before the rollout makes it.
func ExampleToDraft() {
	ctx, ep := context.Background(), scaled()
	live, err := ep.Status(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	draft, err := ep.Draft(ctx, live.Serving, "model-3")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(draft.Body))
	report, err := rollout.Run(ctx, journal.NewMemory(), ep, strategy.ScaleProtectedSwap{}, rollout.ToDraft(draft), fast...)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Outcome, "on", report.Status.Serving)
	// Output:
	// {"name":"sdxl-1-1","artifact":"model-3"}
	// succeeded on endpoint-config sdxl-1-1 (model-3)
}

func ExampleWithCheck() {
	latency := rollout.CheckFunc(func(context.Context, rollout.Sample) (rollout.Verdict, error) {
		return rollout.Measured(0.9, 0.5, false), nil // ask your metrics
	})
	ep := serverless()
	_, err := rollout.Run(context.Background(), journal.NewMemory(), ep, strategy.InPlace{}, rollout.ToRevision("b"),
		append(fast, rollout.WithBake(10*time.Millisecond), rollout.WithCheck(strategy.Check{Name: "p99 seconds"}, latency))...)
	fmt.Println(errors.Is(err, rollout.ErrRolledBack), errors.Is(err, rollout.ErrCheck))
	fmt.Println("serves template", ep.Truth().Live)
	// Output:
	// true true
	// serves template a
}

func ExampleWithObserver() {
	_, err := rollout.Run(context.Background(), journal.NewMemory(), serverless(), strategy.InPlace{}, rollout.ToRevision("b"),
		append(fast, rollout.WithObserver(func(_ context.Context, e rollout.Event) {
			if e.Kind == rollout.EventDone || e.Kind == rollout.EventCommit || e.Kind == rollout.EventEnd {
				fmt.Println(e)
			}
		}))...)
	fmt.Println(err)
	// Output:
	// [1/4] update ✓
	// [2/4] await serving: proven by workers ✓
	// [3/4] commit ✓
	// [4/4] verify ✓
	// succeeded
	// <nil>
}

// Text writes a line for each event, as here for one of them.
func ExampleText() {
	observe := rollout.Text(os.Stdout) // for rollout.WithObserver
	observe(context.Background(), rollout.Event{
		Time: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC), Kind: rollout.EventPoll,
		Step: "await empty", N: 3, Of: 9, Text: "2 workers left",
	})
	// Output: 15:04:05  [3/9] await empty: 2 workers left
}

// Slog logs each event, as here one of them.
func ExampleSlog() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{} // different each time
			}
			return a
		},
	}))
	observe := rollout.Slog(logger) // for rollout.WithObserver
	observe(context.Background(), rollout.Event{
		Kind: rollout.EventRetry, Endpoint: "fake/sdxl", Rollout: "20260102-150405-5eed00",
		Step: "update", N: 4, Of: 9, Text: "rate exceeded",
	})
	// Output: level=WARN msg="rate exceeded" kind=retry endpoint=fake/sdxl rollout=20260102-150405-5eed00 step=update rollback=false
}

func ExampleError() {
	ep := serverless()
	ep.FailOn("acme/sdxl:v2", "image pull backoff")
	_, err := rollout.Run(context.Background(), journal.NewMemory(), ep, strategy.FlushToZero{}, rollout.ToRevision("b"), fast...)
	var ended *rollout.Error
	if errors.As(err, &ended) {
		fmt.Println(ended.Strategy, "of", ended.Endpoint, ended.Outcome, "at", ended.Step)
		fmt.Println("remaining:", len(ended.Residue))
	}
	// Output:
	// flush-to-zero of fake/sdxl rolled back at await serving
	// remaining: 0
}
