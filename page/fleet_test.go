package page_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/fleet"
	"github.com/changeover-dev/changeover/internal/showcase"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/page"
)

const fleetPath = "/fleet?id=sdxl-v2-december"

func TestFleet(t *testing.T) {
	store := showcase.Fleet(t)
	site := page.Handler(store)
	list := get(t, site, "/").Body.String()
	for _, want := range []string{`href="fleet?id=sdxl-v2-december"`, ">fleet sdxl-v2-december<", `href="rollout?endpoint=runpod%2fsdxl-01"`} {
		if !strings.Contains(list, want) {
			t.Errorf("the list lacks %s", want)
		}
	}
	w := get(t, site, fleetPath)
	text := w.Body.String()
	for _, want := range []string{
		"in progress", "8 of 24 ended", "1 failed, 2 allowed", "canary", "passed", "waits for go-wide until", "5 succeeded, 1 rolled back", "to come", "16 pending",
		"image pull backoff", `href="rollout?endpoint=runpod%2fsdxl-05"`, `src="live.js"`, `data-events="events?endpoint=fleet%2Fsdxl-v2-december"`, "<svg", "ci job 4712",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if w.Code != http.StatusOK || strings.Contains(text, "<form") {
		t.Errorf("status %d; a site that takes no decisions has a form: %v", w.Code, strings.Contains(text, "<form"))
	}
	if text := get(t, site, "/summary.md?id=sdxl-v2-december").Body.String(); !strings.Contains(text, "| quarter | waits for go-wide until") {
		t.Errorf("the site's summary is\n%s", text)
	}
	if w := get(t, site, "/fleet?id=none"); w.Code != http.StatusNotFound {
		t.Errorf("a fleet that is not: status %d", w.Code)
	}
	f, err := page.LoadFleet(t.Context(), store, showcase.FleetID)
	if err != nil {
		t.Fatal(err)
	}
	var html, summary strings.Builder
	if err := errors.Join(f.WriteHTML(&html), f.WriteMarkdown(&summary)); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(html.String(), "<a ") || strings.Contains(html.String(), "refresh") {
		t.Error("a page that stands alone has links, or is read again")
	}
	if !strings.Contains(summary.String(), "| quarter | waits for go-wide until") {
		t.Errorf("the summary is\n%s", summary.String())
	}
	if _, err := page.LoadFleet(t.Context(), store, "none"); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("LoadFleet of none = %v", err)
	}
}

// A person approves a wave on the page of the fleet.
func TestApproveAWave(t *testing.T) {
	store := showcase.Fleet(t)
	site := page.Handler(store, page.WithDecisions(anybody))
	if text := get(t, site, fleetPath).Body.String(); !strings.Contains(text, "Approve go-wide?") || !strings.Contains(text, `value="fleet/sdxl-v2-december"`) {
		t.Error("the page asks for no decision")
	}
	form := url.Values{"endpoint": {fleet.JournalPrefix + showcase.FleetID}, "rollout": {showcase.FleetID}, "verb": {"approve"}, "approval": {"go-wide"}}
	w := post(t, site, form)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "fleet?id=sdxl-v2-december" {
		t.Errorf("status %d, location %q", w.Code, w.Header().Get("Location"))
	}
	records, err := journal.Load(t.Context(), store, fleet.JournalPrefix+showcase.FleetID)
	if err != nil {
		t.Fatal(err)
	}
	if d := records[len(records)-1].Decision; d == nil || d.Verb != "approve" || d.By != "dana" {
		t.Errorf("the last record is %+v", records[len(records)-1])
	}
	form.Set("verb", "reject")
	if w := post(t, site, form); w.Code != http.StatusConflict {
		t.Errorf("a second decision that disagrees: status %d", w.Code)
	}
	form.Set("verb", "approve")
	if w := post(t, page.Handler(store), form); w.Code != http.StatusForbidden {
		t.Errorf("without WithDecisions: status %d", w.Code)
	}
}
