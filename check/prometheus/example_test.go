package prometheus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/changeover-dev/changeover/check/prometheus"
	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// measured stands for a Prometheus server: the target's p95 is 711 ms, and the
// source's 300 ms.
var measured = prometheus.WithHTTPClient(&http.Client{Transport: round(func(r *http.Request) (int, string, error) {
	if strings.Contains(r.URL.Query().Get("query"), "canary") {
		return 200, vector("0.711"), nil
	}
	return 200, vector("0.3"), nil
})})

func ExampleServer_Check() {
	server, err := prometheus.New("https://prometheus.example.com", measured)
	if err != nil {
		fmt.Println(err)
		return
	}
	check, err := server.Check(prometheus.Ratio(
		`histogram_quantile(0.95, sum by (le) (rate(latency_seconds_bucket{variant=~"{{.TargetNames}}"}[2m])))`,
		`histogram_quantile(0.95, sum by (le) (rate(latency_seconds_bucket{variant=~"{{.SourceNames}}"}[2m])))`,
		1.2))
	if err != nil {
		fmt.Println(err)
		return
	}
	ep := endpointtest.NewVariants(endpointtest.VariantsConfig{
		Name: "fake/sdxl", Revisions: map[string]string{"c1": "model-1", "c2": "model-2"}, Live: "c1", Counts: map[string]int{"main": 2},
		Create: time.Millisecond, Rollback: time.Millisecond, Scale: time.Millisecond,
	})
	tenth := strategy.CanaryByWeight{Steps: []strategy.TrafficStep{{Percent: 10, Soak: time.Second}, {Percent: 50, Soak: time.Second}}}
	_, err = rollout.Run(context.Background(), journal.NewMemory(), ep, tenth, rollout.ToRevision("c2"),
		rollout.WithCheck(strategy.Check{Name: "p95"}, check),
		rollout.WithInterval(time.Millisecond), rollout.WithSettle(5*time.Millisecond))
	fmt.Println("rolled back:", errors.Is(err, endpoint.ErrRolledBack))
	fmt.Println("by the check:", errors.Is(err, rollout.ErrCheck))
	fmt.Println("serves:", ep.Truth().Live)
	// Output:
	// rolled back: true
	// by the check: true
	// serves: c1
}

func ExampleParse() {
	name, condition, err := prometheus.Parse(`p95=histogram_quantile(0.95, sum by (le) (rate(latency_seconds_bucket[2m])))<0.8`)
	if err != nil {
		fmt.Println(err)
		return
	}
	server, err := prometheus.New("https://prometheus.example.com", measured)
	if err != nil {
		fmt.Println(err)
		return
	}
	check, err := server.Check(condition)
	if err != nil {
		fmt.Println(err)
		return
	}
	verdict, err := check.Check(context.Background(), rollout.Sample{})
	fmt.Println(name, verdict.Result, *verdict.Value, verdict.Reason, err)
	// Output: p95 pass 0.3 want below 0.8 <nil>
}

func ExampleNew() {
	var asked http.Header
	client := &http.Client{Transport: round(func(r *http.Request) (int, string, error) {
		asked = r.Header
		return 0, "", io.ErrUnexpectedEOF
	})}
	server, err := prometheus.New("https://mimir.example.com/prometheus",
		prometheus.WithHeader("Authorization", "Bearer hunter2222"), prometheus.WithHeader("X-Scope-OrgID", "models"), prometheus.WithHTTPClient(client))
	if err != nil {
		fmt.Println(err)
		return
	}
	check, err := server.Check(prometheus.Above("up", 0))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = check.Check(context.Background(), rollout.Sample{})
	fmt.Println(asked.Get("X-Scope-OrgID"), err)
	// Output: models Prometheus: unavailable: unexpected EOF
}
