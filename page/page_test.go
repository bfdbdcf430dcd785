package page_test

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/internal/showcase"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/page"
	"github.com/changeover-dev/changeover/rollout"
)

// render loads a rollout and returns its page and its summary.
func render(t *testing.T, store journal.Store, name string) (html, markdown string) {
	t.Helper()
	timeline, err := page.Load(t.Context(), store, name)
	if timeline == nil {
		t.Fatal(err)
	}
	var h, m bytes.Buffer
	if err := errors.Join(timeline.WriteHTML(&h), timeline.WriteMarkdown(&m)); err != nil {
		t.Fatal(err)
	}
	return h.String(), m.String()
}

// Whatever the strategy and the outcome, the page says how it ended, draws it,
// and has the same data in tables. It fetches nothing and runs nothing.
func TestPages(t *testing.T) {
	for _, c := range showcase.Cases(t) {
		t.Run(c.Name, func(t *testing.T) {
			html, markdown := render(t, c.Store, c.Endpoint)
			records, err := c.Store.Load(t.Context(), c.Endpoint)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{
				"<title>" + c.Endpoint, `>` + string(c.Outcome) + `</span>`, "<svg", "<table", "default-src &#39;none&#39;", "Plan as agreed",
			} {
				if !strings.Contains(strings.ReplaceAll(html, "'none'", "&#39;none&#39;"), want) {
					t.Errorf("the page lacks %q", want)
				}
			}
			for _, never := range []string{"<script", "<link", "<img", "<iframe", "http://", "https://", "url(", " style=", "ZgotmplZ", "NaN", "Inf"} {
				if strings.Contains(html, never) {
					t.Errorf("the page has %q", never)
				}
			}
			rows := strings.Count(html[strings.Index(html, "<h2>Journal"):], "<tr>") - 1
			if rows != len(records) {
				t.Errorf("the table has %d records, the journal %d", rows, len(records))
			}
			last := records[len(records)-1]
			for _, line := range last.Residue {
				if !strings.Contains(markdown, "**Remains:**") || !strings.Contains(html, "Remains to be done") {
					t.Errorf("it does not say what remains: %s", line)
				}
			}
			if !strings.Contains(markdown, string(c.Outcome[1:])) || !strings.Contains(markdown, "| step |") {
				t.Errorf("the summary is\n%s", markdown)
			}
		})
	}
}

var rect = regexp.MustCompile(`<rect class="bar [a-z]+" x="([0-9.]+)%" y="[0-9]+" width="([0-9.]+)%"`)

// What is drawn is where it happened: bars lie within the picture.
func TestBarsLieWithinThePicture(t *testing.T) {
	for _, c := range showcase.Cases(t) {
		html, _ := render(t, c.Store, c.Endpoint)
		bars := rect.FindAllStringSubmatch(html, -1)
		if len(bars) < 2 {
			t.Errorf("%s: %d bars", c.Name, len(bars))
		}
		for _, b := range bars {
			x, err := strconv.ParseFloat(b[1], 64)
			w, werr := strconv.ParseFloat(b[2], 64)
			if err != nil || werr != nil || x < 0 || x+w > 100.02 {
				t.Errorf("%s: a bar at %s %% and %s %% wide", c.Name, b[1], b[2])
			}
		}
	}
}

func TestSummaryOfACheckThatFailed(t *testing.T) {
	for _, c := range showcase.Canaries(t) {
		if c.Outcome != rollout.OutcomeRolledBack {
			continue
		}
		html, markdown := render(t, c.Store, c.Endpoint)
		for _, want := range []string{"| error rate | +0:08:44 | fail | 6.2 | 2 |", "Rolled back after 11 m 37 s"} {
			if !strings.Contains(markdown, want) {
				t.Errorf("the summary lacks %q:\n%s", want, markdown)
			}
		}
		if !strings.Contains(html, "threshold 2") || !strings.Contains(html, "Prometheus answered 503") {
			t.Error("the page lacks the threshold, or why a check could not tell")
		}
	}
}

// hostile is what somebody may name things to have a page do something.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(1)>'` + "`" + `|[x](javascript:alert(1))<!--{{.}}</title></style>&lt;`

// hostileStore has a held canary in which every text is hostile.
func hostileStore(t *testing.T) *journal.Memory {
	t.Helper()
	store := journal.NewMemory()
	plan := showcase.CanaryPlan(t, hostile, "20261201-093000-bad000")
	plan.Notes, plan.Downtime = []string{hostile}, hostile
	plan.Source.Artifact, plan.Target.Artifact, plan.Strategy = hostile, hostile, hostile
	plan.Settings[hostile] = 1
	s := showcase.NewScript(t, store, plan, time.Now().Add(-20*time.Minute))
	s.Add(0, journal.Record{Kind: journal.KindClaim, Owner: hostile})
	showcase.Begin(s)
	s.Judge(0, "soak at 5%", hostile, hostile, 1, 2, hostile)
	s.Add(0, journal.Record{Kind: journal.KindDrift, Drift: &journal.Drift{Thing: hostile, Want: hostile, Found: hostile}})
	s.Add(0, journal.Record{Kind: journal.KindHold, Step: "approval go-wide", Note: hostile, NotAfter: time.Now().Add(time.Hour)})
	s.Add(0, journal.Record{Kind: journal.KindStop, Outcome: hostile, Error: hostile, Residue: []string{hostile}})
	return store
}

func TestHostileNamesStayText(t *testing.T) {
	html, markdown := render(t, hostileStore(t), hostile)
	for _, never := range []string{"<script", "<img", "onerror=alert(1)>", "<!--{{", "ZgotmplZ"} {
		if strings.Contains(html, never) {
			t.Errorf("the page has %q", never)
		}
	}
	for _, never := range []string{"<script", "<img", "](", "`", "\n|[x"} {
		if strings.Contains(markdown, never) {
			t.Errorf("the summary has %q", never)
		}
	}
	if strings.Count(html, "</title>") != 1+strings.Count(html, "<title>")-1 || strings.Count(html, "</style>") != 1 {
		t.Error("a title or the style sheet ends early")
	}
}

// damaged is a store of which only the beginning can be read.
type damaged struct{ *journal.Memory }

func (d damaged) Load(ctx context.Context, name string) ([]journal.Record, error) {
	records, err := d.Memory.Load(ctx, name)
	if err != nil {
		return nil, err
	}
	return nil, &journal.ReadError{Records: records[:len(records)/2], Line: len(records)/2 + 1, Err: journal.ErrDamaged}
}

// Of a damaged journal, that part is shown which can be read, with the reason.
func TestDamagedJournal(t *testing.T) {
	c := showcase.Canaries(t)[0]
	timeline, err := page.Load(t.Context(), damaged{c.Store}, c.Endpoint)
	if timeline == nil || !errors.Is(err, journal.ErrDamaged) {
		t.Fatalf("Load = %v, %v; want a part, and %v", timeline, err, journal.ErrDamaged)
	}
	var b bytes.Buffer
	if err := timeline.WriteHTML(&b); err != nil || !strings.Contains(b.String(), "The rest of the journal cannot be read") {
		t.Errorf("the page does not say so (%v)", err)
	}
}

func TestLoadOfNoRollout(t *testing.T) {
	c := showcase.Canaries(t)[0]
	for _, err := range []error{
		func() error { _, err := page.Load(t.Context(), c.Store, "sagemaker/other"); return err }(),
		func() error { _, err := page.LoadRollout(t.Context(), c.Store, c.Endpoint, "other"); return err }(),
	} {
		if !errors.Is(err, endpoint.ErrNotFound) {
			t.Errorf("%v, want %v", err, endpoint.ErrNotFound)
		}
	}
}

// A journal that has been written for months is shown too, in part.
func TestLongJournal(t *testing.T) {
	store, name := longJournal(t)
	began := time.Now()
	html, _ := render(t, store, name)
	t.Logf("a journal of 100,000 records: %v, %d kB", time.Since(began), len(html)>>10)
	if len(html) > 2<<20 {
		t.Errorf("the page has %d bytes", len(html))
	}
	if !strings.Contains(html, "records in the middle are left out here") {
		t.Error("it does not say that records are left out")
	}
}

// longJournal is a rollout with a hundred thousand records.
func longJournal(t *testing.T) (*journal.Memory, string) {
	t.Helper()
	store := journal.NewMemory()
	s := showcase.NewScript(t, store, showcase.CanaryPlan(t, "sagemaker/long", "20261201-093000-10a600"), time.Now().Add(-40*24*time.Hour))
	showcase.Begin(s)
	for i := range 100_000 - 60 {
		switch {
		case i%1000 == 0:
			s.Add(time.Minute, journal.Record{Kind: journal.KindClaim, Owner: "ci job " + strconv.Itoa(i)})
		default:
			s.Judge(30*time.Second, "soak at 25%", "error rate", "pass", float64(i%7), 9, "")
		}
	}
	return store, "sagemaker/long"
}
