package page_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/changeover-dev/changeover/internal/showcase"
	"github.com/changeover-dev/changeover/page"
)

func TestDump(t *testing.T) {
	dir := os.Getenv("DUMP")
	for _, c := range showcase.Cases(t) {
		tl, err := page.Load(t.Context(), c.Store, c.Endpoint)
		if err != nil {
			t.Fatal(err)
		}
		var b, m bytes.Buffer
		if err := tl.WriteHTML(&b); err != nil {
			t.Fatal(err)
		}
		if err := tl.WriteMarkdown(&m); err != nil {
			t.Fatal(err)
		}
		if dir != "" {
			name := regexp.MustCompile(`\W+`).ReplaceAllString(c.Name, "-")
			os.WriteFile(filepath.Join(dir, name+".html"), b.Bytes(), 0o644)
			os.WriteFile(filepath.Join(dir, name+".md"), m.Bytes(), 0o644)
		}
	}
}
