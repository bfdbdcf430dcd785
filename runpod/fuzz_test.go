package runpod

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"unicode"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

type answerer func(*http.Request) (*http.Response, error)

func (f answerer) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// FuzzAnswers gives the same bytes as the answer to everything: no method may
// panic, answer nothing without an error, leak the key, or call a write
// refused that was answered by nothing of the kind.
func FuzzAnswers(f *testing.F) {
	const key = "rpa_SECRETSECRET"
	for _, s := range []string{
		`{"data":{"myself":{"endpoint":{"id":"abc","name":"n","templateId":"t","workersMin":1,"workersMax":2,"type":"QB","version":7,` +
			`"template":{"id":"t","imageName":"a/b:c","env":[{"key":"K","value":"V"},null],"ports":null},` +
			`"pods":[{"id":"p","imageName":"a/b:c","desiredStatus":"RUNNING","slsVersion":7,"lastStatusChange":"x"},null]}}}}`,
		`{"data":{"podTemplate":{"id":"t","imageName":"a/b:c","env":[],"portsConfig":[{"port":"80","name":"x"}]}}}`,
		`{"data":{"myself":{"endpoints":[{"id":"a","templateId":"t","workersMax":1},null],"podTemplates":[{"id":"t"},null]}}}`,
		`{"data":{"updateEndpointTemplate":{"id":"abc","templateId":"t"}}}`,
		`{"data":{"updateEndpointWorkersMin":{"id":"abc","workersMin":1,"workersMax":2}}}`,
		`{"data":{"saveTemplate":{"id":"t"}}}`,
		`{"errors":[{"message":"no ` + key + `","extensions":{"code":"RUNPOD"}}],"data":{"myself":null}}`,
		`{"jobs":{"inProgress":-1},"workers":{"idle":1e9}}`, `{"data":null}`, `{"data":{"myself":[]}}`, `[]`, `null`, `"x"`, ``, `<html>`,
		`{"data":{"myself":{"endpoint":{"pods":{"id":"x"}}}}}`, `{"error":"` + key + `"}`,
	} {
		for _, above200 := range []int{0, 8, 200, 300} {
			f.Add(above200, []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		synctest.Test(t, func(t *testing.T) {
			c, err := New(key, WithTransport(GraphQL), WithHTTPClient(&http.Client{Transport: answerer(func(r *http.Request) (*http.Response, error) {
				return &http.Response{
					StatusCode: 200 + (status%400+400)%400, Header: http.Header{}, Request: r,
					Body: io.NopCloser(strings.NewReader(string(body))),
				}, nil
			})}))
			if err != nil {
				t.Fatal(err)
			}
			ctx, e := t.Context(), c.Endpoint("abc")
			to := endpoint.Revision{Kind: KindTemplate, ID: "t", Artifact: "a/b:d"}
			s, err := e.Status(ctx)
			if err == nil && (s.Settings == nil || s.Live() < 0) {
				t.Errorf("Status = %+v", s)
			}
			errs := []error{err, e.Update(ctx, endpoint.Change{To: to}), e.Set(ctx, endpoint.WorkersMin, 1)}
			_, err = e.Resolve(ctx, to)
			errs = append(errs, err)
			_, err = e.Preflight(ctx, endpoint.Change{To: to}, nil)
			errs = append(errs, err)
			d, err := e.Draft(ctx, endpoint.Revision{ID: "t"}, "a/b:d")
			errs = append(errs, err)
			if err == nil {
				errs = append(errs, e.Stage(ctx, d), e.Staged(ctx, d))
			}
			for _, err := range errs {
				if err == nil {
					continue
				}
				if !errors.As(err, new(*endpoint.Error)) || strings.Contains(err.Error(), key) {
					t.Errorf("error %v", err)
				}
			}
		})
	})
}

func FuzzStatus(f *testing.F) {
	f.Add(1, 3, []byte(`{"idle":1,"ready":1,"running":1,"initializing":2,"throttled":1,"unhealthy":1}`), uint(2), uint(1), uint(1), 1)
	f.Fuzz(func(t *testing.T, lo, hi int, doc []byte, current, stale, unknown uint, loops int) {
		var h health
		if json.Unmarshal([]byte(`{"workers":`+string(doc)+`}`), &h) != nil {
			return
		}
		h = h.sane()
		some := func(n uint) []*pod { return slices.Repeat([]*pod{{}}, int(n%50)) }
		v := view{current: some(current), stale: some(stale), unknown: some(unknown)}
		names := make([]string, max(0, loops%50))
		s := derive(&state{template: &content{ID: "t"}, workers: bounds{lo, hi}}, v, &h.Workers, names)
		p := s.Pools[0]
		if p.Live() != v.live() || min(p.Ready, p.Starting, p.Throttled, p.Unhealthy, p.Stale) < 0 {
			t.Errorf("%d workers became %+v", v.live(), p)
		}
		if p.Stale != len(v.stale) || p.Ready > len(v.current) {
			t.Errorf("%d current and %d stale workers became %+v", len(v.current), len(v.stale), p)
		}
		if !s.Serving.IsZero() && (p.Ready == 0 || p.Stale > 0) {
			t.Errorf("serving with %+v", p)
		}
		if s.Phase == endpoint.PhaseUnknown || s.Phase == endpoint.PhasePaused && p.Live() > 0 {
			t.Errorf("%v with %+v", s.Phase, p)
		}
	})
}

func FuzzClip(f *testing.F) {
	f.Add(strings.Repeat("ä\n", 700))
	f.Add("\xff\x00")
	f.Fuzz(func(t *testing.T, s string) {
		if c := httpx.Clip(s); len(c) > 1<<10 || strings.ContainsAny(c, "\n\x00") || httpx.Clip(c) != c {
			t.Errorf("httpx.Clip(%q) = %q", s, c)
		}
	})
}

// FuzzWords holds what is made of RunPod's words to the patterns that it stands
// for: package regexp is what a program that is to stay small does without.
func FuzzWords(f *testing.F) {
	for _, s := range []string{
		"Max workers must not exceed your workers quota (5). Lower the max worker count for this endpoint to at most 4.",
		"worker concurrency cannot go beyond the maximum limit of (20)", "5 quota", "Rate Limit", "try again", "Unauthorised", "flat most 3", "at most at most 7",
		"internal error", "Internal Server Error", "connection refused", "doesn't exist", "at most 99999999999999999999", "AT MOST 12.", "_at most 3 at most 4",
	} {
		f.Add(s)
	}
	most := regexp.MustCompile(`(?i)\bat most (\d+)`)
	quota := regexp.MustCompile(`(?i)(quota|concurrency)\D*\d`)
	said := []struct {
		pattern *regexp.Regexp
		words   []string
	}{
		{regexp.MustCompile(`(?i)unauthori[sz]ed|unauthenticated|forbidden|permission denied|invalid api key`), authWords},
		{regexp.MustCompile(`(?i)not found|does not exist|doesn't exist|could not find`), absentWords},
		{regexp.MustCompile(`(?i)too many requests|rate limit`), busyWords},
		{regexp.MustCompile(`(?i)try again|internal (server )?error|service unavailable|temporarily unavailable|something went wrong|timed out|bad gateway|connection (reset|refused)`), faultWords},
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) {
			return // RunPod speaks English; letters that fold into it are no concern
		}
		n, ok := atMost(s)
		want, wantOK := 0, false
		if m := most.FindStringSubmatch(s); m != nil {
			var err error
			want, err = strconv.Atoi(m[1])
			wantOK = err == nil
		}
		if n != want || ok != wantOK {
			t.Errorf("AtMost of %q = %d, %t; want %d, %t", s, n, ok, want, wantOK)
		}
		if got := ofQuota(s); got != quota.MatchString(s) {
			t.Errorf("ofQuota of %q = %t", s, got)
		}
		for _, w := range said {
			if got := says(s, w.words); got != w.pattern.MatchString(s) {
				t.Errorf("%q says one of %q: %t", s, w.words, got)
			}
		}
	})
}
