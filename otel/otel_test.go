package otel_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/otel"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// collector takes in what is exported by OTLP over HTTP.
type collector struct {
	t   *testing.T
	url string

	mu      sync.Mutex
	spans   []*spans.Span
	metrics map[string]*metrics.Metric
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{t: t, metrics: map[string]*metrics.Metric{}}
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	c.url = srv.URL
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" && err == nil {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, err = io.ReadAll(z)
		}
	}
	if err != nil {
		c.t.Error(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.URL.Path {
	case "/v1/traces":
		var request coltrace.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &request); err != nil {
			c.t.Error(err)
		}
		for _, rs := range request.GetResourceSpans() {
			for _, ss := range rs.GetScopeSpans() {
				c.spans = append(c.spans, ss.GetSpans()...)
			}
		}
	case "/v1/metrics":
		var request colmetrics.ExportMetricsServiceRequest
		if err := proto.Unmarshal(body, &request); err != nil {
			c.t.Error(err)
		}
		for _, rm := range request.GetResourceMetrics() {
			for _, sm := range rm.GetScopeMetrics() {
				for _, m := range sm.GetMetrics() {
					c.metrics[m.GetName()] = m
				}
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// telemetry is that of one process. flush exports what it has.
func (c *collector) telemetry() (tel *otel.Telemetry, flush func()) {
	c.t.Helper()
	ctx := context.Background()
	te, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(c.url+"/v1/traces"))
	if err != nil {
		c.t.Fatal(err)
	}
	me, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(c.url+"/v1/metrics"))
	if err != nil {
		c.t.Fatal(err)
	}
	tp := sdktrace.NewTracerProvider(sdktrace.WithBatcher(te))
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(me)))
	if tel, err = otel.New(otel.WithTracerProvider(tp), otel.WithMeterProvider(mp)); err != nil {
		c.t.Fatal(err)
	}
	return tel, func() {
		c.t.Helper()
		if err := errors.Join(tp.Shutdown(ctx), mp.Shutdown(ctx)); err != nil {
			c.t.Fatal(err)
		}
	}
}

// children are the spans directly beneath one, by when they began.
func (c *collector) children(of []byte) []*spans.Span {
	var all []*spans.Span
	for _, s := range c.spans {
		if bytes.Equal(s.GetParentSpanId(), of) {
			all = append(all, s)
		}
	}
	slices.SortStableFunc(all, func(a, b *spans.Span) int {
		return int(int64(a.GetStartTimeUnixNano()) - int64(b.GetStartTimeUnixNano()))
	})
	return all
}

func names(all []*spans.Span, prefix string) (names []string) {
	for _, s := range all {
		if strings.HasPrefix(s.GetName(), prefix) {
			names = append(names, s.GetName())
		}
	}
	return names
}

func attr(s *spans.Span, key string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == key {
			return fmt.Sprint(a.GetValue().GetStringValue(), a.GetValue().GetBoolValue())
		}
	}
	return ""
}

func events(s *spans.Span) (names []string) {
	for _, e := range s.GetEvents() {
		names = append(names, e.GetName())
	}
	return names
}

var fast = []rollout.Option{rollout.WithInterval(2 * time.Millisecond), rollout.WithSettle(5 * time.Millisecond)}

func workers() *endpointtest.Workers {
	return endpointtest.NewWorkers(endpointtest.WorkersConfig{
		Name: "fake/sdxl", Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3,
		Tick: 2 * time.Millisecond, Start: 2 * time.Millisecond, Idle: 2 * time.Millisecond,
	})
}

func TestSpansOfARollout(t *testing.T) {
	c := newCollector(t)
	tel, flush := c.telemetry()
	store, ep := journal.NewMemory(), workers()
	run := tel.Start(t.Context(), store, ep)
	opts := append(run.Options(), fast...)
	opts = append(opts, rollout.WithCheck(strategy.Check{Name: "errors"}, rollout.CheckFunc(func(context.Context, rollout.Sample) (rollout.Verdict, error) {
		return rollout.Measured(0.5, 2, true), nil
	})))
	report, err := rollout.Run(run.Context(), store, run.Updater(), strategy.FlushToZero{}, rollout.ToRevision("b"), opts...)
	run.End(report, err)
	run.End(report, err)
	if err != nil {
		t.Fatal(err)
	}
	flush()

	roots := c.children(nil)
	if len(roots) != 1 || roots[0].GetName() != "rollout" {
		t.Fatalf("roots are %v", names(roots, ""))
	}
	root := roots[0]
	for key, want := range map[string]string{
		"deployment.id": report.Plan.Rollout + "false", "deployment.name": "fake/sdxlfalse", "deployment.status": "succeededfalse",
		"changeover.strategy": "flush-to-zerofalse", "changeover.outcome": "succeededfalse",
	} {
		if got := attr(root, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	steps := c.children(root.GetSpanId())
	want := []string{
		"step lower workers.min", "step lower workers.max", "step await empty", "step update", "step restore workers.max", "step restore workers.min",
		"step await serving", "step bake", "step verify",
	}
	if got := names(steps, "step "); !slices.Equal(got, want) {
		t.Errorf("steps are %q\nwant %q", got, want)
	}
	for _, s := range steps {
		calls := c.children(s.GetSpanId())
		switch s.GetName() {
		case "step update":
			if got := names(calls, "Update"); len(got) != 1 {
				t.Errorf("beneath the update are %q", names(calls, ""))
			}
		case "step lower workers.max":
			if got := names(calls, "Set"); len(got) != 1 {
				t.Errorf("beneath the step that sets are %q", names(calls, ""))
			}
		case "step bake":
			if !slices.Contains(events(s), "check") {
				t.Errorf("events of the bake are %q, want a check", events(s))
			}
		}
		for _, call := range calls {
			if call.GetKind() != spans.Span_SPAN_KIND_CLIENT || call.GetEndTimeUnixNano() > s.GetEndTimeUnixNano()+uint64(time.Second) {
				t.Errorf("%s beneath %s is of kind %v", call.GetName(), s.GetName(), call.GetKind())
			}
		}
	}
	if !slices.Contains(events(root), "commit") {
		t.Errorf("events are %q, want the commit point", events(root))
	}
	for _, s := range c.spans {
		if !bytes.Equal(s.GetTraceId(), root.GetTraceId()) {
			t.Errorf("%s is in another trace", s.GetName())
		}
	}
	for _, name := range []string{
		"changeover.rollouts", "changeover.rollout.duration", "changeover.rollout.unready.duration", "changeover.polls", "changeover.calls", "changeover.call.duration",
	} {
		if c.metrics[name] == nil {
			t.Errorf("no metric %s", name)
		}
	}
	if down := c.metrics["changeover.rollout.unready.duration"].GetHistogram().GetDataPoints(); len(down) != 1 || down[0].GetSum() <= 0 {
		t.Errorf("a flush to zero had nothing ready for %v", down)
	}
}

// A runner that takes over, in another process, goes on in the same trace.
func TestTraceGoesOnAfterAResume(t *testing.T) {
	c := newCollector(t)
	store, ep := journal.NewMemory(), workers()
	tel, flush := c.telemetry()
	run := tel.Start(t.Context(), store, ep)
	ctx, cancel := context.WithCancel(run.Context())
	defer cancel()
	opts := append(run.Options(), append(fast, rollout.WithDetach(), rollout.WithObserver(func(_ context.Context, e rollout.Event) {
		if e.Kind == rollout.EventDone && e.Step == "await empty" {
			cancel()
		}
	}))...)
	report, err := rollout.Run(ctx, store, run.Updater(), strategy.FlushToZero{}, rollout.ToRevision("b"), opts...)
	if !errors.Is(err, rollout.ErrDetached) {
		t.Fatal(err)
	}
	run.End(report, err)
	flush()
	first := c.children(nil)[0]

	tel, flush = c.telemetry()
	run = tel.Start(t.Context(), store, ep)
	report, err = rollout.Resume(run.Context(), store, run.Updater(), append(run.Options(), fast...)...)
	if !errors.Is(err, rollout.ErrRolledBack) {
		t.Fatal(err)
	}
	run.End(report, err)
	flush()
	second := c.children(first.GetSpanId())
	i := slices.IndexFunc(second, func(s *spans.Span) bool { return s.GetName() == "rollout" })
	if i < 0 {
		t.Fatalf("beneath the first runner's span are %q", names(second, ""))
	}
	if got := attr(second[i], "changeover.resumed"); got != "true" {
		t.Errorf("changeover.resumed is %q", got)
	}
	if got := attr(second[i], "deployment.status"); got != "failedfalse" || second[i].GetStatus().GetCode() != spans.Status_STATUS_CODE_ERROR {
		t.Errorf("deployment.status is %q, and the span's %v", got, second[i].GetStatus())
	}
	if steps := names(c.children(second[i].GetSpanId()), "step "); !slices.Contains(steps, "step verify") {
		t.Errorf("its steps are %q", steps)
	}
	if n := len(c.children(nil)); n != 1 {
		t.Errorf("there are %d traces", n)
	}
}

// The wrapper has the abilities that the endpoint has, and no others.
func TestUpdaterHasTheSameAbilities(t *testing.T) {
	tel, err := otel.New()
	if err != nil {
		t.Fatal(err)
	}
	variants := endpointtest.NewVariants(endpointtest.VariantsConfig{
		Revisions: map[string]string{"a": "m1"}, Live: "a", Counts: map[string]int{"AllTraffic": 1},
	})
	for _, u := range []endpoint.Updater{workers(), variants} {
		wrapped := tel.Start(t.Context(), journal.NewMemory(), u).Updater()
		same[endpoint.Scaler](t, u, wrapped)
		same[endpoint.Stager](t, u, wrapped)
		same[endpoint.Shifter](t, u, wrapped)
		same[endpoint.AutoscalingSuspender](t, u, wrapped)
		same[endpoint.Drainer](t, u, wrapped)
		same[endpoint.WorkerInspector](t, u, wrapped)
		same[endpoint.Resolver](t, u, wrapped)
		same[endpoint.Preflighter](t, u, wrapped)
		same[endpoint.DurationEstimator](t, u, wrapped)
	}
}

func same[T any](t *testing.T, u, wrapped endpoint.Updater) {
	t.Helper()
	_, has := endpoint.As[T](u)
	got, shows := endpoint.As[T](wrapped)
	if has != shows {
		t.Errorf("%T of %s: the endpoint has it: %t, the wrapper shows it: %t", *new(T), u.Name(), has, shows)
	}
	if _, bare := any(got).(interface {
		Truth() endpointtest.WorkersState
	}); bare {
		t.Errorf("%T is not traced", got)
	}
}
