package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// -page draws what -explain prints, and a job on GitHub gets a summary.
func TestPage(t *testing.T) {
	dir := t.TempDir()
	summary := filepath.Join(dir, "summary.md")
	t.Setenv("GITHUB_STEP_SUMMARY", summary)
	a := newAccount(t)
	a.run("-endpoint", id, "-strategy", "in-place", "-image", "acme/sdxl:bad", "-journal", dir).Exits(1)
	path := filepath.Join(dir, "page.html")
	a.run("-endpoint", id, "-explain", "-journal", dir, "-page", path).Exits(0)
	for file, want := range map[string][]string{
		path:    {"<svg", "rolled back", "acme/sdxl:bad", "Capacity"},
		summary: {"Rolled back after", "| step |", "acme/sdxl:bad"},
	} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(string(b), w) {
				t.Errorf("%s lacks %q", filepath.Base(file), w)
			}
		}
		if strings.Contains(string(b), marker) || strings.Contains(string(b), "value-of-secret") {
			t.Errorf("%s has a secret", filepath.Base(file))
		}
	}
}

func TestPageIsRefused(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	r := a.run("-endpoint", id, "-resume", "-journal", t.TempDir(), "-page", "x.html").Exits(2)
	r.Says(&r.Stderr, "-page means nothing without -explain")
	r = a.run("-endpoint", id, "-explain", "-journal", t.TempDir(), "-page", filepath.Join(t.TempDir(), "no", "x.html")).Exits(2)
	r.Says(&r.Stderr, "-page: ")
}
