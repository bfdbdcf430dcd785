package cloudwatch_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/check/cloudwatch"
	"github.com/changeover-dev/changeover/check/prometheus"
	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// The code of docs/checks.md, so that it compiles: TestDocs finds each piece here.
var _ = []any{docsPrometheus, docsCloudWatch, docsRule, docsSteps, docsDecide, docsWebhook}

func docsPrometheus() (rollout.Check, error) {
	server, err := prometheus.New("https://prometheus.example.com")
	if err != nil {
		return nil, err
	}
	p95 := `histogram_quantile(0.95, sum by (le) (rate(latency_seconds_bucket{variant=~"%s"}[2m])))`
	return server.Check(prometheus.Ratio(fmt.Sprintf(p95, "{{.TargetNames}}"), fmt.Sprintf(p95, "{{.SourceNames}}"), 1.2))
}

func docsCloudWatch(client cloudwatch.API) ([]rollout.Check, error) {
	latency := cloudwatch.Variant("sdxl", "", "ModelLatency", "p95")
	ratio, err := cloudwatch.Ratio(client, latency, 1.2)
	if err != nil {
		return nil, err
	}
	limit, err := cloudwatch.Below(client, latency, 800_000) // microseconds
	if err != nil {
		return nil, err
	}
	alarm, err := cloudwatch.Alarm(client, "sdxl-errors")
	return []rollout.Check{ratio, limit, alarm}, err
}

func docsRule(check rollout.Check) []rollout.Option {
	rule := strategy.Check{
		Name: "p95", Interval: time.Minute, Delay: 2 * time.Minute,
		Failures: 1, // the second one rolls back
		Passes:   5,
		Unknown:  strategy.UnknownHold, UnknownLimit: 10 * time.Minute,
	}
	opts := []rollout.Option{rollout.WithCheck(rule, check)}
	return opts
}

func docsSteps() strategy.CanaryByWeight {
	steps := strategy.CanaryByWeight{Steps: []strategy.TrafficStep{
		{Percent: 5, Soak: 10 * time.Minute, Approval: strategy.Approval{Name: "five", Expires: time.Hour}},
		{Percent: 50, Soak: 10 * time.Minute},
	}}
	return steps
}

func docsDecide(ctx context.Context, store journal.Store) error {
	err := rollout.Decide(ctx, store, "sagemaker/sdxl", rollout.Decision{Verb: rollout.Approve, Approval: "five", By: "ada"})
	return err
}

func docsWebhook(ctx context.Context, store journal.Store, ep endpoint.Updater, steps strategy.Strategy, to rollout.Target, url string, secret []byte) error {
	hook, err := rollout.NewWebhook(rollout.WebhookConfig{URL: url, Secret: secret})
	if err != nil {
		return err
	}
	_, err = rollout.Run(ctx, store, ep, steps, to, rollout.WithObserver(hook.Observe))
	return errors.Join(err, hook.Close(context.WithoutCancel(ctx)))
}

func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/checks.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("docs_test.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]bool{}
	for line := range strings.Lines(string(source)) {
		lines[strings.TrimSpace(line)] = true
	}
	blocks := strings.Split(string(page), "```go\n")
	if len(blocks) != 7 {
		t.Errorf("%d pieces of code, want 6", len(blocks)-1)
	}
	for _, b := range blocks[1:] {
		code, _, _ := strings.Cut(b, "```")
		for line := range strings.Lines(code) {
			if !lines[strings.TrimSpace(line)] {
				t.Errorf("docs/checks.md has code that is not compiled: %s", line)
			}
		}
	}
	if _, err := docsPrometheus(); err != nil {
		t.Error(err)
	}
	if checks, err := docsCloudWatch(&stub{}); err != nil || len(checks) != 3 {
		t.Error(err)
	}
	if err := docsRule(nil); len(err) != 1 {
		t.Error("no option")
	}
}
