package prometheus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/changeover-dev/changeover/check/prometheus"
	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/rollout"
)

// round answers each request by a function.
type round func(*http.Request) (status int, body string, err error)

func (r round) RoundTrip(req *http.Request) (*http.Response, error) {
	status, body, err := r(req)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
}

func vector(value string) string {
	return `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1.5,"` + value + `"]}]}}`
}

// TestUnknown: what is not a good answer is an error or unknown, and says neither
// where it was asked nor with which credentials.
func TestUnknown(t *testing.T) {
	const secretURL = "https://robot:hunter2222@prometheus.internal.example:9090/x"
	page := "<html>hunter2222 at prometheus.internal.example:9090</html>"
	for _, tt := range []struct {
		name, text string
		status     int
		body       string
		err        error
		want       error
	}{
		{name: "a warning", status: 200, body: strings.TrimSuffix(vector("1"), "}") + `,"warnings":["store hunter2222 is not available"]}`, text: "the server warns: store"},
		{name: "a page", status: 200, body: page, want: endpoint.ErrUnavailable},
		{name: "another's JSON", status: 200, body: `{"ok":true}`, want: endpoint.ErrUnavailable},
		{name: "an error with status 200", status: 200, body: `{"status":"error","errorType":"x","error":"y"}`, want: endpoint.ErrUnavailable},
		{name: "no value", status: 200, body: `{"status":"success","data":{"resultType":"vector","result":[{"metric":{}}]}}`, text: "cannot be read"},
		{name: "half a value", status: 200, body: `{"status":"success","data":{"resultType":"scalar","result":[1]}}`, text: "cannot be read"},
		{name: "a number that is none", status: 200, body: vector("many"), text: "cannot be read"},
		{name: "a list that is none", status: 200, body: `{"status":"success","data":{"resultType":"vector","result":7}}`, text: "cannot be read"},
		{name: "a histogram", status: 200, body: `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}}`, text: "histogram"},
		{name: "too much", status: 200, body: `{"status":"success","warnings":["` + strings.Repeat("x", 2<<20) + `"]}`, want: endpoint.ErrUnavailable},
		{name: "overloaded", status: 503, body: `{"status":"error","errorType":"timeout","error":"query timed out"}`, want: endpoint.ErrUnavailable, text: "query timed out"},
		{name: "a gateway", status: 502, body: page, want: endpoint.ErrUnavailable},
		{name: "throttled", status: 429, body: page, want: endpoint.ErrThrottled},
		{name: "not allowed", status: 401, body: `{"status":"error","errorType":"auth","error":"robot:hunter2222 may not"}`, want: endpoint.ErrUnauthorized},
		{name: "elsewhere", status: 302, text: "redirects are not followed"},
		{name: "broken", err: errors.New("dial tcp: lookup prometheus.internal.example: no such host hunter2222"), want: endpoint.ErrUnavailable},
		{name: "the URL", err: fmt.Errorf("cannot reach %s", secretURL), want: endpoint.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := prometheus.New(secretURL, prometheus.WithHTTPClient(&http.Client{Transport: round(func(*http.Request) (int, string, error) {
				return tt.status, tt.body, tt.err
			})}))
			if err != nil {
				t.Fatal(err)
			}
			c, err := s.Check(prometheus.Below("up", 2))
			if err != nil {
				t.Fatal(err)
			}
			v, err := c.Check(t.Context(), sample)
			if err == nil && (tt.want != nil || v.Result != "" && v.Result != rollout.ResultUnknown) || tt.want != nil && !errors.Is(err, tt.want) {
				t.Fatalf("Check = %+v, %v, want %v", v, err, tt.want)
			}
			text := fmt.Sprintf("%s %+v %v %+v", v.Reason, err, s, s)
			if !strings.Contains(text, tt.text) {
				t.Errorf("%q, want %q in it", text, tt.text)
			}
			if strings.Contains(fmt.Sprint(v.Reason, err), "prometheus.internal") || strings.Contains(text, "hunter2222") {
				t.Errorf("%q has a secret", text)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	var got *http.Request
	s, err := prometheus.New("https://example.com/prometheus/", prometheus.WithHeader("X-Scope-OrgID", "tenant-1"), prometheus.WithHeader("Authorization", "Bearer hunter2222"),
		prometheus.WithHTTPClient(&http.Client{Transport: round(func(r *http.Request) (int, string, error) {
			got = r
			return 200, vector("1"), nil
		})}))
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Check(prometheus.Below(`x{v="{{.Source}}",a="{{.TargetArtifact}}",n=~"{{.TargetNames}}"} < 7`, 2))
	if err != nil {
		t.Fatal(err)
	}
	two := sample
	two.TargetNames = []string{"a.b", "c|d"}
	if v, err := c.Check(t.Context(), two); err != nil || v.Result != rollout.ResultPass {
		t.Fatalf("Check = %+v, %v", v, err)
	}
	if got.Method != http.MethodGet || got.URL.Host != "example.com" || got.URL.Path != "/prometheus/api/v1/query" ||
		got.Header.Get("X-Scope-OrgID") != "tenant-1" || got.Header.Get("Authorization") != "Bearer hunter2222" {
		t.Errorf("asked %s %s %v", got.Method, got.URL, got.Header)
	}
	if q, want := got.URL.Query().Get("query"), `x{v="c1",a="model-2",n=~"a\u005c.b\u007cc\u005c\u007cd"} < 7`; q != want {
		t.Errorf("query %s, want %s", q, want)
	}
	// Without names a selector would match series that have no such label.
	v, err := c.Check(t.Context(), rollout.Sample{Source: sample.Source, Target: sample.Target})
	if err != nil || v.Result == rollout.ResultPass || v.Reason != "the query needs TargetNames, and the rollout has none" {
		t.Errorf("Check = %+v, %v", v, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v, err := c.Check(ctx, two); !errors.Is(err, context.Canceled) {
		t.Errorf("Check = %+v, %v", v, err)
	}
}

func TestRefused(t *testing.T) {
	for _, base := range []string{"", "prometheus:9090", "ftp://example.com", "https://", "https://example.com?x=1", "https://robot:hunter2222@\x00"} {
		if _, err := prometheus.New(base); !errors.Is(err, endpoint.ErrInvalid) || strings.Contains(err.Error(), "hunter2222") {
			t.Errorf("New(%q) = %v", base, err)
		}
	}
	for _, o := range []prometheus.Option{prometheus.WithHTTPClient(nil), prometheus.WithHeader("", "x"), prometheus.WithHeader("A", "hunter\n2")} {
		if _, err := prometheus.New("https://example.com", o); !errors.Is(err, endpoint.ErrInvalid) {
			t.Errorf("New = %v", err)
		}
	}
	s, err := prometheus.New("https://example.com")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []prometheus.Condition{
		{},
		prometheus.Below(" ", 1), prometheus.Below("up", math.NaN()), prometheus.Above("up", math.Inf(1)),
		prometheus.Below("{{.Target", 1), prometheus.Below("{{.Nothing}}", 1), prometheus.Below("{{nothing}}", 1),
		prometheus.Ratio("up", "", 1), prometheus.Ratio("", "up", 1), prometheus.Ratio("up", "up", 0), prometheus.Ratio("up", "{{.Nothing}}", 1),
	} {
		if _, err := s.Check(c); !errors.Is(err, endpoint.ErrInvalid) {
			t.Errorf("Check(%+v) = %v", c, err)
		}
	}
}

func TestParse(t *testing.T) {
	for _, tt := range []struct{ text, name, cond string }{
		{"up=up>0", "up", "above 0"},
		{"p95 = histogram_quantile(0.95, x) < 800 ", "p95", "below 800"},
		{`errors=sum(rate(e{code=~"5.."}[5m])) < 1e-3`, "errors", "below 0.001"},
		{"two=count(x > 3)<-2", "two", "below -2"},
		{"", "", ""},
		{"up", "", ""},
		{"up>0", "", ""},
		{"=up>0", "", ""},
		{"up=up", "", ""},
		{"up=>0", "", ""},
		{"up=up>", "", ""},
		{"up=up>=0", "", ""},
		{"up=up<many", "", ""},
		{"up=up<NaN", "", ""},
		{"up=up<Inf", "", ""},
		{"up=up{{<1", "", ""},
		{`x{a="b"}>0`, "", ""}, // without a name
	} {
		name, c, err := prometheus.Parse(tt.text)
		switch {
		case tt.name == "" && (!errors.Is(err, endpoint.ErrInvalid) || !strings.Contains(err.Error(), fmt.Sprintf("%q", tt.text))):
			t.Errorf("Parse(%q) = %q, %v, %v", tt.text, name, c, err)
		case tt.name != "" && (err != nil || name != tt.name || c.String() != tt.cond):
			t.Errorf("Parse(%q) = %q, %v, %v", tt.text, name, c, err)
		}
	}
}
