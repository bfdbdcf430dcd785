package browsertest

import (
	"bytes"
	_ "embed"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/changeover-dev/changeover/internal/showcase"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/page"
	"github.com/changeover-dev/changeover/rollout"
)

//go:embed audit.js
var audit string

// file writes the page of a rollout and returns its address.
func file(t *testing.T, store journal.Store, name string) string {
	t.Helper()
	timeline, err := page.Load(t.Context(), store, name)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := timeline.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// The page of each outcome of each strategy opens without a word in the
// console, fits a phone, a tablet, a screen and paper, and can be read in both
// colour schemes.
func TestPages(t *testing.T) {
	for _, c := range showcase.Cases(t) {
		t.Run(c.Name, func(t *testing.T) {
			x := open(t)
			x.do(chromedp.Navigate(file(t, c.Store, c.Endpoint)))
			x.audit()
		})
	}
}

// The page of a fleet does as well, however its waves are named.
func TestFleetPage(t *testing.T) {
	for state, store := range map[string]*journal.Memory{
		"held":        showcase.Fleet(t),
		"succeeded":   showcase.EndedFleet(t, rollout.Approve),
		"rolled back": showcase.EndedFleet(t, rollout.Reject),
		"long names":  showcase.FleetNamed(t, "the quarter of the endpoints that internal teams alone use"),
	} {
		t.Run(state, func(t *testing.T) {
			x := open(t)
			x.do(chromedp.Navigate(fleetFile(t, store)))
			if badge := eval[string](x, `document.querySelector("h1 .badge").textContent`); badge != state && badge != "in progress" {
				t.Errorf("the fleet is %s", badge)
			}
			x.audit()
		})
	}
}

// fleetFile writes the page of a fleet and returns its address.
func fleetFile(t *testing.T, store journal.Store) string {
	t.Helper()
	f, err := page.LoadFleet(t.Context(), store, showcase.FleetID)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := f.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "fleet.html")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

func (x *tab) audit() {
	x.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{360, 768, 1440} {
			x.show(width, scheme, "screen")
			for _, wrong := range eval[[]string](x, audit) {
				x.t.Errorf("%s, %d px: %s", scheme, width, wrong)
			}
		}
		x.show(794, scheme, "print")
		for _, wrong := range eval[[]string](x, audit) {
			x.t.Errorf("printed, %s: %s", scheme, wrong)
		}
	}
}

// A page whose contrast or width is wrong does not pass.
func TestAuditFindsWhatIsWrong(t *testing.T) {
	x := open(t)
	path := filepath.Join(t.TempDir(), "bad.html")
	bad := `<!DOCTYPE html><meta name="viewport" content="width=device-width"><body style="background:#fff;color:#999">` +
		`<p>pale</p><p>pale</p><p>pale</p><p>pale</p><p style="width:2000px">wide</p>` +
		`<figure><svg class="lanes" width="100%" height="40"><text class="label" x="0" y="20" fill="#000">one thing</text><text class="muted" x="20" y="20" fill="#000">another</text></svg></figure>`
	if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	x.do(chromedp.Navigate("file://" + path))
	x.show(360, "light", "screen")
	if wrong := eval[[]string](x, audit); len(wrong) != 3 {
		t.Errorf("it found %q, want the width, the contrast and the texts above each other", wrong)
	}
}
