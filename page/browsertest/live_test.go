package browsertest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/internal/showcase"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/page"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

// serve serves the site of a store, on which everybody may decide.
func serve(t *testing.T, store journal.Store) string {
	t.Helper()
	srv := httptest.NewServer(page.Handler(store, page.WithDecisions(func(*http.Request, string) (string, error) { return "dana", nil })))
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv.URL
}

func pageOf(site, endpoint string) string {
	return site + "/rollout?endpoint=" + url.QueryEscape(endpoint)
}

// held is a rollout in progress that waits for an approval. It ends with the test.
func held(t *testing.T, store journal.Store) (name string, ended <-chan *rollout.Report) {
	t.Helper()
	ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
		Name: "fake/sdxl", Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 2, Max: 3,
		Tick: 20 * time.Millisecond, Start: 20 * time.Millisecond, Idle: 20 * time.Millisecond,
	})
	end := make(chan *rollout.Report, 1)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() {
		defer close(end)
		report, err := rollout.Run(ctx, store, ep, strategy.InPlace{}, rollout.ToRevision("b"),
			rollout.WithInterval(50*time.Millisecond), rollout.WithSettle(50*time.Millisecond),
			rollout.WithApproval(strategy.Approval{Name: "go-live", Expires: time.Hour}))
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		end <- report
	}()
	return ep.Name(), end
}

// The page of a rollout in progress moves by itself, and a click on its button
// lets the rollout go on.
func TestApproveByClick(t *testing.T) {
	x, store := open(t), journal.NewMemory()
	name, ended := held(t, store)
	site := serve(t, store)
	waitFor(t, store, name, journal.KindHold)
	x.do(chromedp.Navigate(pageOf(site, name)))
	x.until(`document.querySelector("h1 .badge").textContent === "waits for a decision"`)
	x.audit()
	x.show(1000, "light", "screen")
	x.do(chromedp.SendKeys(chromedp.CSS("input[name=reason]"), "looks good"), chromedp.Click(chromedp.CSS("button[value=approve]")))
	if report := <-ended; report == nil || report.Outcome != rollout.OutcomeSucceeded {
		t.Fatalf("the rollout ended %v", report)
	}
	x.until(`document.querySelector("h1 .badge").textContent === "succeeded"`)
	if !eval[bool](x, `document.body.innerText.includes("approve go-live by dana: looks good") && !document.querySelector("form")`) {
		t.Error("the page does not say who approved, or still asks")
	}
}

func waitFor(t *testing.T, store journal.Store, name string, kind journal.RecordKind) {
	t.Helper()
	for range 1200 {
		records, err := store.Load(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if r.Kind == kind {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("no record of kind %s", kind)
}

// What somebody is typing survives that the page moves.
func TestLivePageKeepsWhatIsTyped(t *testing.T) {
	x, store := open(t), journal.NewMemory()
	s := showcase.NewScript(t, store, showcase.CanaryPlan(t, "sagemaker/live", "20261201-093000-11fe00"), time.Now().Add(-15*time.Minute))
	showcase.Begin(s)
	showcase.Held(s)
	s.At = time.Since(s.Began)
	s.Add(0, journal.Record{Kind: journal.KindClaim, Owner: "ci job 1"})
	x.do(chromedp.Navigate(pageOf(serve(t, store), "sagemaker/live")))
	x.do(chromedp.SendKeys(chromedp.CSS("input[name=reason]"), "still thinking"))
	s.Judge(time.Second, "approval go-wide", "error rate", "pass", 0.4321, 2, "")
	x.until(`document.body.innerText.includes("0.4321")`)
	if got := eval[string](x, `document.querySelector("input[name=reason]").value + "|" + document.activeElement.name`); got != "still thinking|reason" {
		t.Errorf("after the page moved, the field and the focus are %q", got)
	}
}

func fleetOf(site string) string { return site + "/fleet?id=" + showcase.FleetID }

// The page of a fleet moves by itself too, keeps what is typed, and takes a click.
func TestApproveAWaveByClick(t *testing.T) {
	store := showcase.Fleet(t)
	site := serve(t, store)
	x, name := open(t), fleet.JournalPrefix+showcase.FleetID
	x.do(chromedp.Navigate(fleetOf(site)), chromedp.SendKeys(chromedp.CSS("input[name=reason]"), "numbers are fine"))
	records, err := store.Load(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	claim := records[len(records)-1]
	claim = journal.Record{Version: claim.Version, Seq: claim.Seq + 1, Time: time.Now(), Rollout: claim.Rollout, Kind: journal.KindClaim, Owner: "ci job 4713"}
	if err := claim.Seal(records[len(records)-1].Sum); err != nil {
		t.Fatal(err)
	}
	if err := store.Append(t.Context(), name, claim); err != nil {
		t.Fatal(err)
	}
	x.until(`document.body.innerText.includes("ci job 4713")`)
	if got := eval[string](x, `document.querySelector("input[name=reason]").value + "|" + document.activeElement.name`); got != "numbers are fine|reason" {
		t.Errorf("after the page moved, the field and the focus are %q", got)
	}
	x.do(chromedp.Click(chromedp.CSS("button[value=approve]")))
	waitFor(t, store, name, journal.KindDecision)
	x.until(`!document.querySelector("button[value=approve]")`)
	records, err = store.Load(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if d := records[len(records)-1].Decision; d == nil || d.Verb != "approve" || d.Reason != "numbers are fine" {
		t.Errorf("the decision on record is %+v", d)
	}
}

// Any number of live pages open in one browser, which has six connections to a
// site, as long as one is in sight at a time. One that comes into sight again moves.
func TestManyLivePages(t *testing.T) {
	store := journal.NewMemory()
	s := showcase.NewScript(t, store, showcase.CanaryPlan(t, "sagemaker/live", "20261201-093000-11fe00"), time.Now().Add(-15*time.Minute))
	showcase.Begin(s)
	showcase.Held(s)
	s.At = time.Since(s.Began)
	site := serve(t, store)
	show := func(x *tab, hidden string) {
		eval[bool](x, `Object.defineProperty(document, "hidden", {get: () => `+hidden+`, configurable: true}) && document.dispatchEvent(new Event("visibilitychange"))`)
	}
	var first *tab
	for range 8 {
		x := open(t)
		x.do(chromedp.Navigate(pageOf(site, "sagemaker/live")))
		show(x, "true")
		if first == nil {
			first = x
		}
	}
	s.Judge(time.Second, "approval go-wide", "error rate", "pass", 0.4321, 2, "")
	if eval[bool](first, `document.body.innerText.includes("0.4321")`) {
		t.Error("a page out of sight moved")
	}
	show(first, "false")
	first.until(`document.body.innerText.includes("0.4321")`)
}

// Without scripts a page is read again now and then, and takes decisions too.
func TestWithoutScripts(t *testing.T) {
	x, store := open(t), journal.NewMemory()
	name, ended := held(t, store)
	site := serve(t, store)
	waitFor(t, store, name, journal.KindHold)
	call(x, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	x.do(chromedp.Navigate(pageOf(site, name)), chromedp.Click(chromedp.CSS("button[value=approve]")))
	if report := <-ended; report == nil || report.Outcome != rollout.OutcomeSucceeded {
		t.Fatalf("the rollout ended %v", report)
	}
	x.until(`document.querySelector("h1 .badge").textContent === "succeeded"`)
}

// A form on another site, sent by the browser of a person who may decide,
// decides nothing.
func TestForgedForm(t *testing.T) {
	x, store := open(t), journal.NewMemory()
	name, _ := held(t, store)
	site := serve(t, store)
	waitFor(t, store, name, journal.KindHold)
	records, err := store.Load(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	forged := `<!DOCTYPE html><title>other</title><form method="post" action="` + site + `/decide"><input name="endpoint" value="` + name +
		`"><input name="rollout" value="` + records[0].Rollout + `"><input name="approval" value="go-live"><input name="verb" value="approve"><button>win a prize</button></form>`
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(forged))
	}))
	defer other.Close()
	x.do(chromedp.Navigate(other.URL), chromedp.Click(chromedp.CSS("button")))
	x.until(`location.pathname === "/decide"`)
	x.mu.Lock()
	x.heard = nil // the browser says that the form was refused
	x.mu.Unlock()
	records, err = store.Load(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if r.Kind == journal.KindDecision {
			t.Error("a forged form put a decision on record")
		}
	}
}
