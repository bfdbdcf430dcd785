package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// metrics answers instant queries with value, as a Prometheus server does. That
// the client of a real one is right is for check/prometheus to show.
func metrics(t *testing.T, value string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != "/api/v1/query" || value == "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"status":"error","errorType":"unavailable","error":"starting"}`)
			return
		}
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1764576000,"`+value+`"]}]}}`)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		value   string
		unknown string
		status  int
		image   string
		says    string
	}{
		"passes":                          {"0.001", "hold", 0, v2, ""},
		"fails":                           {"0.5", "hold", 1, v1, "check did not pass: errors: fail"},
		"cannot tell and rolls back":      {"", "rollback", 1, v1, "errors: unknown"},
		"cannot tell and does not matter": {"", "continue", 0, v2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			want := a.protective()
			want.Image = tt.image
			r := a.run(with(rollouts["rest in-place"],
				"-check", "errors=sum(rate(failures_total[1m]))<0.01", "-prometheus", metrics(t, tt.value), "-check-unknown", tt.unknown)...).Exits(tt.status)
			r.Says(&r.Stderr, "errors: ")
			if tt.says != "" {
				r.Says(&r.Stderr, tt.says)
			}
			a.is(want)
		})
	}
}

// The plan names the checks, and is carried out only with them.
func TestApplyWithChecks(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	check := []string{"-check", "errors=sum(rate(failures_total[1m]))<0.01", "-prometheus", metrics(t, "0")}
	r := a.run(append(with(rollouts["rest in-place"], "-plan", "-json"), check...)...).Exits(0)
	file := t.TempDir() + "/plan.json"
	if err := os.WriteFile(file, []byte(r.Stdout.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	refused := a.run("-endpoint", id, "-apply", file).Exits(2)
	refused.Says(&refused.Stderr, `the check "errors" is not given`)
	if n := len(a.Mutations()); n != 0 {
		t.Errorf("%d mutations", n)
	}
	a.run(append([]string{"-endpoint", id, "-apply", file}, check...)...).Exits(0)
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	before := a.protective()
	worker := a.Workers(id)[0].ID
	r := a.run("-endpoint", id, "-strategy", "flush-to-zero", "-refresh", "the hosts are patched").Exits(0)
	r.Says(&r.Stdout, "succeeded")
	a.is(before)
	if now := a.Workers(id)[0].ID; now == worker {
		t.Errorf("worker %s is still there", now)
	}
	refused := a.run("-endpoint", id, "-strategy", "in-place", "-refresh", "the hosts are patched").Exits(2)
	refused.Says(&refused.Stderr, "refreshed by a strategy that takes every worker away first, such as flush-to-zero")
	refused = a.run(with(rollouts["rest in-place"], "-refresh", "the hosts are patched")...).Exits(2)
	refused.Says(&refused.Stderr, "a refresh moves that to new capacity")
}

func TestAbandon(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	dir := t.TempDir()
	none := a.run("-endpoint", id, "-journal", dir, "-abandon", "it is gone").Exits(0)
	none.Says(&none.Stdout, "nothing to resume")
	r := a.stuck("-journal", dir)
	busy := a.run("-endpoint", id, "-journal", dir, "-abandon", "it is gone").Exits(2)
	busy.Says(&busy.Stderr, "another change is in progress")
	if err := r.Cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-r.Done
	n := len(a.Requests())
	done := a.run("-endpoint", id, "-journal", dir, "-abandon", "it is gone").Exits(0)
	done.Says(&done.Stdout, "abandoned: the rollout of runpod/"+id, "the endpoint was not touched", "remains: update to image "+v1)
	if got := len(a.Requests()); got != n {
		t.Errorf("%d requests", got-n)
	}
	shown := a.run("-endpoint", id, "-journal", dir, "-explain").Exits(0)
	shown.Says(&shown.Stdout, "abandoned", "it is gone")
	again := a.run("-endpoint", id, "-journal", dir, "-resume").Exits(0)
	again.Says(&again.Stdout, "nothing to resume")
}

func TestJudgingIsRefused(t *testing.T) {
	t.Parallel()
	good := []string{"-check", "errors=up<1", "-prometheus", "http://127.0.0.1:9"}
	ok, dir := rollouts["rest in-place"], t.TempDir()
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"check without a server":          {with(ok, "-check", "errors=up<1"), "-check needs -prometheus"},
		"server without a check":          {with(ok, "-prometheus", "http://127.0.0.1:9"), "-prometheus means nothing without -check"},
		"unknown without a check":         {with(ok, "-check-unknown", "hold"), "-check-unknown means nothing without a check"},
		"unknown meaning":                 {with(with(ok, good...), "-check-unknown", "guess"), "-check-unknown"},
		"check without a number":          {with(ok, "-check", "errors=up", "-prometheus", "http://127.0.0.1:9"), "there is no < or >"},
		"check that is no query":          {with(ok, "-check", "errors=<1", "-prometheus", "http://127.0.0.1:9"), "-check"},
		"server that is no URL":           {with(ok, "-check", "errors=up<1", "-prometheus", "localhost"), "-prometheus"},
		"two checks of a name":            {with(with(ok, good...), "-check", "errors=up<2"), `two checks are named "errors"`},
		"check with -explain":             {with([]string{"-endpoint", id, "-explain", "-journal", dir}, good...), "-check means nothing for -explain"},
		"check with -abandon":             {with([]string{"-endpoint", id, "-abandon", "x", "-journal", dir}, good...), "-check means nothing for -abandon"},
		"empty reason to refresh":         {with(ok, "-refresh", ""), "-refresh is empty"},
		"empty reason to abandon":         {[]string{"-endpoint", id, "-abandon", "", "-journal", dir}, "-abandon is empty"},
		"abandon without a journal":       {[]string{"-endpoint", id, "-abandon", "x"}, "-abandon need -journal"},
		"abandon and resume":              {[]string{"-endpoint", id, "-abandon", "x", "-resume", "-journal", dir}, "-resume and -abandon exclude each other"},
		"refresh with a decision":         {[]string{"-endpoint", id, "-decide", "approve", "-by", "a", "-refresh", "x", "-journal", dir}, "-refresh means nothing for -decide"},
		"alarm, which only AWS has":       {with(ok, "-check-alarm", "x"), "-check-alarm"},
		"steps, which only SageMaker has": {with(ok, "-steps", "5"), "-steps"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			r := a.run(tt.args...).Exits(2)
			r.Says(&r.Stderr, tt.says, "next: ")
			if n := len(a.Requests()); n != 0 {
				t.Errorf("it sent %d requests", n)
			}
			if out := r.Stdout.String(); strings.TrimSpace(out) != "" {
				t.Errorf("stdout: %s", out)
			}
		})
	}
}
