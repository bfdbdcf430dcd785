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

// pictures are those that the documentation shows.
var pictures = map[string]string{
	"canary-by-weight, rolled back": "rollout-canary.png",
	"flush-to-zero, succeeded":      "rollout-flush.png",
}

const docs = "../../docs"

// TestPictures has the pictures of the documentation made by the renderer. They
// are rewritten with UPDATE=1, and are small and of the present size otherwise.
func TestPictures(t *testing.T) {
	for _, c := range showcase.Cases(t) {
		name, ok := pictures[c.Name]
		if !ok {
			continue
		}
		t.Run(name, func(t *testing.T) {
			x := open(t)
			x.show(1000, "light", "screen")
			x.do(chromedp.Navigate(file(t, c.Store, c.Endpoint)))
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
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range pictures {
		if !strings.Contains(string(readme), "docs/"+name) {
			t.Errorf("README.md does not show docs/%s", name)
		}
	}
}
