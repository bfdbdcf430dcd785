package prometheus_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/check/prometheus"
	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// canary runs a canary by weight of ten minutes a step, judged each minute by p95
// of the target against the source's. It returns the writes.
func canary(t *testing.T, p95 func(elapsed time.Duration) (status int, body string)) ([]string, error) {
	t.Helper()
	began := time.Now()
	s, err := prometheus.New("http://prometheus:9090", prometheus.WithHTTPClient(&http.Client{Transport: round(func(r *http.Request) (int, string, error) {
		if !strings.Contains(r.URL.Query().Get("query"), "main-canary") {
			return 200, vector("0.3"), nil
		}
		status, body := p95(time.Since(began))
		return status, body, nil
	})}))
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Check(prometheus.Ratio(`p95{variant=~"{{.TargetNames}}"}`, `p95{variant=~"{{.SourceNames}}"}`, 1.2))
	if err != nil {
		t.Fatal(err)
	}
	ep := endpointtest.NewVariants(endpointtest.VariantsConfig{
		Name: "fake/sdxl", Revisions: map[string]string{"c1": "model-1", "c2": "model-2"}, Live: "c1", Counts: map[string]int{"main": 2},
	})
	_, err = rollout.Run(t.Context(), journal.NewMemory(), ep, strategy.CanaryByWeight{Steps: []strategy.TrafficStep{
		{Percent: 10, Soak: 10 * time.Minute}, {Percent: 50, Soak: 10 * time.Minute},
	}}, rollout.ToRevision("c2"), rollout.WithCheck(strategy.Check{Name: "p95", Interval: time.Minute}, c))
	var writes []string
	for _, call := range ep.Calls() {
		if call.Write > 0 && call.Applied {
			writes = append(writes, call.Name)
		}
	}
	return writes, err
}

func TestRolloutByRatio(t *testing.T) {
	forward := []string{"stage canary-1", "update canary-1", "shift to 10%", "shift to 50%", "update c2"}
	back := []string{"stage canary-1", "update canary-1", "shift to 10%", "shift to 0%", "update c1"}
	for _, tt := range []struct {
		name string
		p95  func(time.Duration) (int, string)
		want []string
		text string
	}{
		{"good", func(time.Duration) (int, string) { return 200, vector("0.3") }, forward, ""},
		{"+137 %", func(time.Duration) (int, string) { return 200, vector("0.711") }, back, "2.37 against 1.2"},
		{"away for nine minutes", func(d time.Duration) (int, string) {
			if d < 9*time.Minute {
				return 503, "<html>"
			}
			return 200, vector("0.3")
		}, forward, ""},
		{"away for good", func(time.Duration) (int, string) { return 503, "<html>" }, back, "could not tell for 15m"},
	} {
		synctest.Test(t, func(t *testing.T) {
			writes, err := canary(t, tt.p95)
			if tt.text == "" && err != nil || tt.text != "" && (!errors.Is(err, endpoint.ErrRolledBack) || !errors.Is(err, rollout.ErrCheck) || !strings.Contains(err.Error(), tt.text)) {
				t.Errorf("%s: Run = %v, want %q", tt.name, err, tt.text)
			}
			if diff := cmp.Diff(tt.want, writes); diff != "" {
				t.Errorf("%s: writes (-want +got):\n%s", tt.name, diff)
			}
		})
	}
}
