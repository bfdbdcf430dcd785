package prometheus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/check/prometheus"
	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/rollout"
)

// odd is a label's value with all that could end a string, or begin another selector.
const odd = "it's \"odd\"\\ `} or vector(0) or up{x=\"\n\t{{.}} ü€😀 1.5+"

// exposed is what the server scrapes.
const exposed = `latency{variant="main"} 0.3
latency{variant="main-canary"} 0.711
latency{variant="main.canary"} 9
errors{variant="main"} 0
errors{variant="main-canary"} 0
errors{variant="broken"} 2
odd{version="%s"} 7
`

// server starts a Prometheus server of its own that has scraped what is exposed,
// and returns its URL.
func server(t *testing.T) string {
	t.Helper()
	binary, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("SKIPPED: Prometheus is not installed, in Debian the package prometheus: its real answers were not tested")
	}
	escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(odd)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, exposed, escaped) }))
	t.Cleanup(target.Close)
	dir := t.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n- job_name: test\n  static_configs: [{targets: [%q]}]\n",
		strings.TrimPrefix(target.URL, "http://"))
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	cmd := exec.CommandContext(t.Context(), binary, "--config.file="+filepath.Join(dir, "prometheus.yml"), //nolint:gosec // the test's own server
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	var log lockedBuffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	url := "http://" + address
	awaitScrape(t, url, &log)
	return url
}

// awaitScrape waits until the server has data. It is another process, in real time.
func awaitScrape(t *testing.T, url string, log *lockedBuffer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/v1/query?query=odd", nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			body, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if strings.Contains(string(body), `"value"`) {
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("Prometheus has no data after 90s:\n%s", log.String())
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var sample = rollout.Sample{
	Endpoint: "fake/sdxl", Rollout: "r1", Step: "soak at 10%", Share: 10, Elapsed: 90 * time.Second,
	Source:      endpoint.Revision{Kind: "endpoint-config", ID: "c1", Artifact: "model-1"},
	Target:      endpoint.Revision{Kind: "endpoint-config", ID: odd, Artifact: "model-2"},
	SourceNames: []string{"main"}, TargetNames: []string{"main-canary"},
}

// TestRealServer asks a Prometheus server that was started for it.
func TestRealServer(t *testing.T) {
	url := server(t)
	s, err := prometheus.New(url)
	if err != nil {
		t.Fatal(err)
	}
	broken := sample
	broken.TargetNames = []string{"broken"}
	bake := sample
	bake.Share, bake.SourceNames = 100, []string{"gone"}
	for _, tt := range []struct {
		name   string
		sample rollout.Sample
		c      prometheus.Condition
		want   rollout.Result
		value  float64
		text   string
	}{
		{"below", sample, prometheus.Below(`max(latency{variant=~"{{.TargetNames}}"})`, 0.8), rollout.ResultPass, 0.711, "want below 0.8"},
		{"not below", sample, prometheus.Below(`latency{variant="main-canary"}`, 0.711), rollout.ResultFail, 0.711, ""},
		{"above", sample, prometheus.Above(`latency{variant="main"}`, 0.2), rollout.ResultPass, 0.3, ""},
		{"not above", sample, prometheus.Above(`latency{variant="main"}`, 0.3), rollout.ResultFail, 0.3, "want above 0.3"},
		{"scalar", sample, prometheus.Below(`scalar(latency{variant="main"}) * {{.Share}}`, 4), rollout.ResultPass, 3, ""},
		{"elapsed", sample, prometheus.Below(`sum(count_over_time(odd[{{.Elapsed}}])) * 0`, 1), rollout.ResultPass, 0, ""},
		{"ratio", sample, prometheus.Ratio(`latency{variant=~"{{.TargetNames}}"}`, `latency{variant=~"{{.SourceNames}}"}`, 2.37), rollout.ResultPass, 2.37, "target 0.711, source 0.3"},
		{"+137 %", sample, prometheus.Ratio(`latency{variant=~"{{.TargetNames}}"}`, `latency{variant=~"{{.SourceNames}}"}`, 1.2), rollout.ResultFail, 2.37, ""},
		{"no errors on either side", sample, prometheus.Ratio(`errors{variant=~"{{.TargetNames}}"}`, `errors{variant=~"{{.SourceNames}}"}`, 1.2), rollout.ResultPass, 0, ""},
		{"errors of the target alone", broken, prometheus.Ratio(`errors{variant=~"{{.TargetNames}}"}`, `errors{variant=~"{{.SourceNames}}"}`, 1.2), rollout.ResultFail, 0, "source 0"},
		{"no source any more", bake, prometheus.Ratio(`latency{variant=~"{{.TargetNames}}"}`, `latency{variant=~"{{.SourceNames}}"}`, 1.2), rollout.ResultPass, 0, "not compared"},
		{"no source and no target", bake, prometheus.Ratio(`latency{variant="gone"}`, `latency{variant=~"{{.SourceNames}}"}`, 1.2), rollout.ResultUnknown, 0, "no data"},
		{"no source", sample, prometheus.Ratio(`latency{variant="main"}`, `latency{variant="gone"}`, 1.2), rollout.ResultUnknown, 0, "source: there is no data"},
		{"negative", sample, prometheus.Ratio(`-latency{variant="main"}`, `latency{variant="main"}`, 1.2), rollout.ResultUnknown, 0, "no ratio"},
		{"no data", sample, prometheus.Below(`latency{variant="gone"}`, 1), rollout.ResultUnknown, 0, "there is no data"},
		{"NaN", sample, prometheus.Below(`errors{variant="main"} / errors{variant="main"}`, 1), rollout.ResultUnknown, 0, "NaN"},
		{"infinite", sample, prometheus.Below(`latency{variant="main"} / errors{variant="main"}`, 1), rollout.ResultUnknown, 0, "infinite (+Inf)"},
		{"several", sample, prometheus.Below(`latency`, 1), rollout.ResultUnknown, 0, "3 time series, want 1"},
		{"a range", sample, prometheus.Below(`latency[1m]`, 1), rollout.ResultUnknown, 0, "a matrix for result"},
		{"a text", sample, prometheus.Below(`"text"`, 1), rollout.ResultUnknown, 0, "a string for result"},
		{"no PromQL", sample, prometheus.Below(`sum(`, 1), "", 0, "parse error"},
		// The value of the label is found, and nothing else, in both kinds of quotes.
		{"quoted", sample, prometheus.Below(`odd{version="{{.Target}}"}`, 8), rollout.ResultPass, 7, ""},
		{"in single quotes", sample, prometheus.Below(`odd{version='{{.Target}}'}`, 8), rollout.ResultPass, 7, ""},
		{"as a regular expression", sample, prometheus.Below(`odd{version=~"{{regexp .Target}}"}`, 8), rollout.ResultPass, 7, ""},
		{"in backquotes", sample, prometheus.Below("odd{version=`{{.Target}}`}", 8), rollout.ResultUnknown, 0, "no data"},
		{"without quotes", sample, prometheus.Below(`odd{version={{.Target}}}`, 8), "", 0, "parse error"},
		{"without quotes as an operand", sample, prometheus.Below(`up + {{.Target}}`, 8), "", 0, "parse error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := s.Check(tt.c)
			if err != nil {
				t.Fatal(err)
			}
			v, err := c.Check(t.Context(), tt.sample)
			if tt.want == "" {
				if err == nil || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("Check = %+v, %v, want an error with %q", v, err, tt.text)
				}
				return
			}
			if err != nil || v.Result != tt.want && (tt.want != rollout.ResultUnknown || v.Result != "") || !strings.Contains(v.Reason, tt.text) {
				t.Errorf("Check = %+v, %v, want %s with %q", v, err, tt.want, tt.text)
			}
			if v.Value != nil && (*v.Value-tt.value > 1e-9 || tt.value-*v.Value > 1e-9) {
				t.Errorf("value %v, want %v", *v.Value, tt.value)
			}
		})
	}
	t.Run("another path", func(t *testing.T) {
		other, err := prometheus.New(url + "/elsewhere")
		if err != nil {
			t.Fatal(err)
		}
		c, err := other.Check(prometheus.Below("up", 2))
		if err != nil {
			t.Fatal(err)
		}
		if v, err := c.Check(t.Context(), sample); !errors.Is(err, endpoint.ErrUnavailable) || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("Check = %+v, %v", v, err)
		}
	})
}
