package page_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/internal/showcase"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/page"
)

// heldStore has a rollout that waits for the approval "go-wide".
func heldStore(t *testing.T) (*journal.Memory, *showcase.Script) {
	t.Helper()
	store := journal.NewMemory()
	s := showcase.NewScript(t, store, showcase.CanaryPlan(t, canary, "20261201-093000-ac7000"), time.Now().Add(-11*time.Minute))
	showcase.Begin(s)
	showcase.Held(s)
	if err := store.Heartbeat(t.Context(), canary, journal.Heartbeat{Rollout: s.Plan.Rollout, Owner: "ci job 4711", Time: time.Now()}); err != nil {
		t.Fatal(err)
	}
	return store, s
}

const canary = "sagemaker/eu-west-1/sdxl"

// anybody lets everybody decide.
func anybody(*http.Request, string) (string, error) { return "dana", nil }

func ask(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func get(t *testing.T, h http.Handler, target string) *httptest.ResponseRecorder {
	t.Helper()
	return ask(h, httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil))
}

// post decides as a browser does that was shown the page by the site itself.
func post(t *testing.T, h http.Handler, form url.Values, edit ...func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/decide", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, f := range edit {
		f(r)
	}
	return ask(h, r)
}

func approval(verb string) url.Values {
	return url.Values{"endpoint": {canary}, "rollout": {"20261201-093000-ac7000"}, "approval": {"go-wide"}, "verb": {verb}, "reason": {"fine"}}
}

func decisions(t *testing.T, store journal.Store) (all []journal.Decision) {
	t.Helper()
	records, err := store.Load(t.Context(), canary)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if r.Decision != nil {
			all = append(all, *r.Decision)
		}
	}
	return all
}

func TestSite(t *testing.T) {
	store, _ := heldStore(t)
	h := page.Handler(store)
	for target, want := range map[string]struct {
		status int
		text   string
	}{
		"/": {http.StatusOK, "waits for a decision"},
		"/rollout?endpoint=" + url.QueryEscape(canary):                   {http.StatusOK, "Waits for a decision"},
		"/rollout?endpoint=" + url.QueryEscape(canary) + "&rollout=none": {http.StatusNotFound, "no such rollout"},
		"/rollout?endpoint=none":                                         {http.StatusNotFound, "no such rollout"},
		"/rollout":                                                       {http.StatusBadRequest, "No endpoint"},
		"/summary.md?endpoint=" + url.QueryEscape(canary):                {http.StatusOK, "| step |"},
		"/live.js":              {http.StatusOK, "EventSource"},
		"/events?endpoint=none": {http.StatusNotFound, ""},
		"/decide":               {http.StatusMethodNotAllowed, ""},
		"/other":                {http.StatusNotFound, ""},
	} {
		w := get(t, h, target)
		if w.Code != want.status || !strings.Contains(w.Body.String(), want.text) {
			t.Errorf("GET %s: %d, want %d and %q", target, w.Code, want.status, want.text)
		}
		policy := w.Header().Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("GET %s: policy is %q", target, policy)
		}
	}
}

// Without an authorizer there is no form, and a decision is refused.
func TestDecisionsAreOffByDefault(t *testing.T) {
	store, _ := heldStore(t)
	h := page.Handler(store)
	if body := get(t, h, "/rollout?endpoint="+url.QueryEscape(canary)).Body.String(); strings.Contains(body, "<form") {
		t.Error("the page has a form")
	}
	if w := post(t, h, approval("approve")); w.Code != http.StatusForbidden || len(decisions(t, store)) > 0 {
		t.Errorf("a decision was answered with %d", w.Code)
	}
}

func TestApproveByPost(t *testing.T) {
	store, _ := heldStore(t)
	h := page.Handler(store, page.WithDecisions(anybody))
	if body := get(t, h, "/rollout?endpoint="+url.QueryEscape(canary)).Body.String(); !strings.Contains(body, `value="approve"`) {
		t.Error("the page does not ask")
	}
	w := post(t, h, approval("approve"))
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "rollout?endpoint="+url.QueryEscape(canary) {
		t.Errorf("%d to %q", w.Code, w.Header().Get("Location"))
	}
	got := decisions(t, store)
	if len(got) != 1 || got[0] != (journal.Decision{Verb: "approve", Approval: "go-wide", By: "dana", Reason: "fine"}) {
		t.Errorf("on record is %+v", got)
	}
	if w := post(t, h, approval("reject")); w.Code != http.StatusConflict || len(decisions(t, store)) != 1 {
		t.Errorf("a decision after the first was answered with %d", w.Code)
	}
}

// None of these puts anything on record.
func TestDecisionsThatAreRefused(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	edited := func(key, value string) url.Values {
		v := approval("approve")
		v.Set(key, value)
		return v
	}
	nobody := func(*http.Request, string) (string, error) { return "", errors.New("LDAP says: secret-token") }
	for name, tt := range map[string]struct {
		authorize func(*http.Request, string) (string, error)
		form      url.Values
		edit      func(*http.Request)
		want      int
	}{
		"made by another site": {anybody, approval("approve"), header("Sec-Fetch-Site", "cross-site"), http.StatusForbidden},
		"made by a neighbour":  {anybody, approval("approve"), header("Sec-Fetch-Site", "same-site"), http.StatusForbidden},
		"from another origin": {anybody, approval("approve"), func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Origin", "https://evil.example")
		}, http.StatusForbidden},
		"by nobody":                {nobody, approval("approve"), nil, http.StatusForbidden},
		"about another rollout":    {anybody, edited("rollout", "20250101-000000-000000"), nil, http.StatusConflict},
		"about another approval":   {anybody, edited("approval", "go-home"), nil, http.StatusConflict},
		"about another endpoint":   {anybody, edited("endpoint", "sagemaker/other"), nil, http.StatusNotFound},
		"an unknown verb":          {anybody, edited("verb", "destroy"), nil, http.StatusConflict},
		"a bake that there is not": {anybody, edited("verb", "skip-bake"), nil, http.StatusConflict},
		"a form of ten megabytes":  {anybody, edited("reason", strings.Repeat("x", 10<<20)), nil, http.StatusBadRequest},
		"no form, but a query":     {anybody, url.Values{}, func(r *http.Request) { r.URL.RawQuery = approval("approve").Encode() }, http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			store, _ := heldStore(t)
			edit := tt.edit
			if edit == nil {
				edit = func(*http.Request) {}
			}
			w := post(t, page.Handler(store, page.WithDecisions(tt.authorize)), tt.form, edit)
			if w.Code != tt.want || len(decisions(t, store)) > 0 {
				t.Errorf("%d with %d decisions on record, want %d and none", w.Code, len(decisions(t, store)), tt.want)
			}
			if strings.Contains(w.Body.String(), "secret-token") {
				t.Error("the answer has the authorizer's error")
			}
		})
	}
}

// A page is told of a new record, without being asked.
func TestEvents(t *testing.T) {
	store, script := heldStore(t)
	srv := httptest.NewServer(page.Handler(store))
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/events?endpoint="+url.QueryEscape(canary), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if got := answer.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("Content-Type is %q", got)
	}
	lines := bufio.NewReader(answer.Body)
	next := func() string {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				return strings.TrimSpace(data)
			}
		}
	}
	body, err := io.ReadAll(get(t, page.Handler(store), "/rollout?endpoint="+url.QueryEscape(canary)).Body)
	if first := next(); err != nil || !strings.Contains(string(body), `data-seen="`+first+`"`) {
		t.Errorf("the first event is %q, which the page does not know", first)
	} else {
		script.Add(time.Second, journal.Record{Kind: journal.KindDecision, Decision: &journal.Decision{Verb: "approve", Approval: "go-wide", By: "dana"}})
		if second := next(); second == first {
			t.Errorf("after a new record the event is %q again", second)
		}
	}
}
