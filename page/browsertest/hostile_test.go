package browsertest

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/changeover-dev/changeover/internal/showcase"
	"github.com/changeover-dev/changeover/journal"
)

// hostile are names that somebody may give to things to have a page do something.
var hostile = []string{
	`"><script>alert(1)</script>`, `'><img src=x onerror=alert(1)>`, `</title><script>alert(1)</script>`, `</style><svg onload=alert(1)>`,
	`javascript:alert(1)`, `" autofocus onfocus=alert(1) x="`, `--><iframe src=javascript:alert(1)>`, "`${alert(1)}`", `{{alert(1)}}`,
	`<meta http-equiv=refresh content="0;url=//evil.example">`, `<form action=//evil.example><button>`, `&lt;script&gt;alert(1)`,
}

func hostileStore(t *testing.T, text string) *journal.Memory {
	t.Helper()
	store := journal.NewMemory()
	plan := showcase.CanaryPlan(t, text, "20261201-093000-bad000")
	plan.Notes, plan.Downtime, plan.Strategy = []string{text}, text, text
	plan.Source.Artifact, plan.Target.Artifact, plan.Settings[text] = text, text, 1
	s := showcase.NewScript(t, store, plan, time.Now().Add(-20*time.Minute))
	s.Add(0, journal.Record{Kind: journal.KindClaim, Owner: text})
	showcase.Begin(s)
	s.Judge(0, "soak at 5%", text, text, 1, 2, text)
	s.Add(0, journal.Record{Kind: journal.KindDrift, Drift: &journal.Drift{Thing: text, Want: text, Found: text}})
	s.At = time.Since(s.Began)
	s.Add(0, journal.Record{Kind: journal.KindHold, Step: "approval go-wide", Note: text, NotAfter: time.Now().Add(time.Hour)})
	return store
}

const foreign = `[...document.querySelectorAll("script:not([src='live.js']), img, iframe, object, embed, svg[onload], meta[content*=evil], form[action*=evil], a[href^=javascript]")].map(e => e.outerHTML)`

// Whatever things are named, a page shows the names and does nothing else.
func TestHostileNames(t *testing.T) {
	for _, text := range hostile {
		t.Run(text, func(t *testing.T) {
			store := hostileStore(t, text)
			site := serve(t, store)
			for _, address := range []string{file(t, store, text), site + "/", pageOf(site, text)} {
				x := open(t)
				x.do(chromedp.Navigate(address))
				if got := eval[[]string](x, foreign); len(got) > 0 {
					t.Errorf("%s has %q", address, got)
				}
				if !eval[bool](x, `document.title !== "" && !document.querySelector("[onerror],[onfocus],[autofocus]")`) {
					t.Errorf("%s has no title, or an attribute that a name made", address)
				}
			}
		})
	}
}

// Nor does the page of a fleet.
func TestHostileNamesOfAFleet(t *testing.T) {
	for _, text := range hostile {
		t.Run(text, func(t *testing.T) {
			site := serve(t, showcase.FleetNamed(t, text))
			x := open(t)
			x.do(chromedp.Navigate(fleetOf(site)))
			if got := eval[[]string](x, foreign); len(got) > 0 {
				t.Errorf("it has %q", got)
			}
			if !eval[bool](x, `document.querySelector("form") && !document.querySelector("[onerror],[onfocus],[autofocus]")`) {
				t.Error("it has no form, or an attribute that a name made")
			}
		})
	}
}

// A journal that has been written for months opens in two seconds: the time
// until the browser has laid the page out, with what the server takes. It is tried
// up to ten times on a machine that others use.
func TestLongJournal(t *testing.T) {
	store := journal.NewMemory()
	const name = "sagemaker/long"
	s := showcase.NewScript(t, store, showcase.CanaryPlan(t, name, "20261201-093000-10a600"), time.Now().Add(-40*24*time.Hour))
	showcase.Begin(s)
	for i := range 100_000 {
		if i%1000 == 0 {
			s.Add(time.Minute, journal.Record{Kind: journal.KindClaim, Owner: "ci job"})
			continue
		}
		s.Judge(30*time.Second, "soak at 25%", "error rate", "pass", float64(i%7), 9, "")
	}
	site := serve(t, store)
	best := time.Hour
	for try := 0; try < 10 && (try < 3 || best > 2*time.Second); try++ {
		t.Run("", func(t *testing.T) {
			x := open(t)
			x.do(chromedp.Navigate(pageOf(site, name)))
			took := eval[float64](x, `document.body.offsetHeight && performance.getEntriesByType("navigation")[0].loadEventStart`)
			best = min(best, time.Duration(took)*time.Millisecond)
		})
	}
	t.Logf("opens in %v", best)
	if best > 2*time.Second && browser != nil {
		t.Errorf("it opens in %v, want less than 2s", best)
	}
}
