package browsertest

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/changeover-dev/changeover/internal/showcase"
)

// picture is one that a page of the documentation shows.
type picture struct{ file, shownBy string }

var pictures = map[string]picture{
	"canary-by-weight, rolled back": {"rollout-canary.png", "../../README.md"},
	"flush-to-zero, succeeded":      {"rollout-flush.png", "../../README.md"},
	"a fleet":                       {"fleet.png", "../../README.md"},
	"canary-by-weight, detached":    {"rollout-held.png", docs + "/checks.md"}, // while it waited for a person
}

const docs = "../../docs"

// TestPictures has the pictures of the documentation made by the renderer. They
// are rewritten with UPDATE=1, and are small and of the present size otherwise.
func TestPictures(t *testing.T) {
	pages := map[string]string{"a fleet": fleetFile(t, showcase.Fleet(t))}
	for _, c := range showcase.Cases(t) {
		if _, ok := pictures[c.Name]; ok {
			pages[c.Name] = file(t, c.Store, c.Endpoint)
		}
	}
	for of, shown := range pictures {
		name := shown.file
		t.Run(name, func(t *testing.T) {
			x := open(t)
			x.show(1000, "light", "screen")
			x.do(chromedp.Navigate(pages[of]))
			// The tables are for the page.
			eval[bool](x, `(() => { const f = document.querySelector("figure"); while (f.nextElementSibling) f.nextElementSibling.remove();
				document.querySelector("footer").remove(); return true })()`)
			got, err := chromedp.Run(x, chromedp.Screenshot(chromedp.CSS("main")))
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(docs, name)
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if len(want) > 150<<10 {
				t.Errorf("%s has %d bytes, want at most 150 KiB", path, len(want))
			}
			a, err := png.DecodeConfig(bytes.NewReader(want))
			b, gotErr := png.DecodeConfig(bytes.NewReader(got))
			if err != nil || gotErr != nil {
				t.Fatal(err, gotErr)
			}
			// Fonts differ from machine to machine, and lines break elsewhere.
			if a.Width != b.Width || a.Height*10 < b.Height*9 || b.Height*10 < a.Height*9 {
				t.Errorf("%s is %d by %d, and the renderer makes it %d by %d: run it with UPDATE=1", path, a.Width, a.Height, b.Width, b.Height)
			}
		})
	}
	for _, shown := range pictures {
		text, err := os.ReadFile(shown.shownBy)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), shown.file) {
			t.Errorf("%s does not show %s", shown.shownBy, shown.file)
		}
	}
}
